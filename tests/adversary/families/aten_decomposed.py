"""Modules beside their programs taken apart into core operators, and beside spoiled ones."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

from tests.adversary.pairs import Pair, Program
from tests.adversary.programs import Shapes

KIND = "aten_decomposed"


class Attention(nn.Module):
    """Self-attention by the module of PyTorch."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: torch.Tensor) -> Any:
        """The first result."""
        return self.inner(x, x, x, need_weights=False)[0]


def conv_norm() -> nn.Module:
    """Convolution, batch norm with statistics of its own, activation."""
    net = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Hardswish())
    norm = net[1]
    norm.running_mean.copy_(torch.randn(4))  # pyright: ignore
    norm.running_var.copy_(torch.rand(4) + 0.5)  # pyright: ignore
    return net


IMAGE: Shapes = ((1, 2, 6, 6),)
TOKENS: Shapes = ((2, 3, 8),)
NETS: Mapping[str, tuple[Shapes, Callable[[], nn.Module]]] = {
    "linear": (((3, 8),), lambda: nn.Linear(8, 4)),
    "mlp": (TOKENS, lambda: nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))),
    "mlp_tanh": (TOKENS, lambda: nn.Sequential(nn.Linear(8, 8), nn.GELU("tanh"))),
    "silu": (TOKENS, lambda: nn.Sequential(nn.Linear(8, 8), nn.SiLU(), nn.Dropout(0.5))),
    "layer_norm": (TOKENS, lambda: nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8))),
    "rms_norm": (TOKENS, lambda: nn.Sequential(nn.Linear(8, 8), nn.RMSNorm(8, eps=1e-5))),
    "group_norm": (IMAGE, lambda: nn.Sequential(nn.Conv2d(2, 4, 1), nn.GroupNorm(2, 4, eps=0.1))),
    "conv_norm": (IMAGE, conv_norm),
    "depthwise": (IMAGE, lambda: nn.Sequential(nn.Conv2d(2, 2, 3, groups=2), nn.ReLU6())),
    "pools": (IMAGE, lambda: nn.Sequential(nn.Conv2d(2, 2, 3), nn.MaxPool2d(2), nn.Flatten())),
    "average": (IMAGE, lambda: nn.Sequential(nn.Conv2d(2, 3, 1), nn.AdaptiveAvgPool2d(1))),
    "upsample": (IMAGE, lambda: nn.Sequential(nn.Conv2d(2, 1, 1), nn.Upsample(scale_factor=2))),
    "transposed": (IMAGE, lambda: nn.Sequential(nn.ConvTranspose2d(2, 2, 2, 2), nn.ELU())),
    "prelu": (IMAGE, lambda: nn.Sequential(nn.Conv2d(2, 3, 1), nn.PReLU(3))),
    "attention": (TOKENS, Attention),
    "softmax": (TOKENS, lambda: nn.Sequential(nn.Linear(8, 4), nn.Softmax(-1))),
}


def pairs() -> Iterator[Pair]:
    """Each network taken apart, and taken apart with one weight spoiled."""
    for name, (shapes, make) in NETS.items():
        with torch.random.fork_rng():
            torch.manual_seed(len(name))
            whole = make().eval()
        first = Program(whole, tuple(shapes))
        apart = Program(copy.deepcopy(whole), tuple(shapes), decomposed=True)
        yield Pair(f"aten.{name}.apart", KIND, first, apart, "equal", wide=False)
        spoiled = copy.deepcopy(whole)
        with torch.no_grad():
            weights = [p for p in spoiled.parameters() if p.ndim > 1]
            weights[-1].view(-1)[0] += 0.25
        wrong = Program(spoiled, tuple(shapes), decomposed=True)
        yield Pair(f"aten.{name}.spoiled", KIND, first, wrong, "differ", wide=False)
