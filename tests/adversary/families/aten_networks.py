"""PyTorch programs: attention, recurrent layers, symbols, and programs beside files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from tests.adversary.pairs import Pair, Program, model
from tests.adversary.programs import ONE, Shapes, held, over

KIND = "aten_networks"


def pairs() -> Iterator[Pair]:
    """All pairs of the family."""
    yield from _attention()
    yield from _recurrent()
    yield from _symbols()
    yield from _files()


def _attention() -> Iterator[Pair]:
    three: Shapes = ((1, 2, 3, 4), (1, 2, 3, 4), (1, 2, 3, 4))

    def spelled(q: Any, k: Any, v: Any, scale: float = 0.5) -> Any:
        return (q @ k.mT * scale).softmax(-1) @ v

    yield from over(
        KIND,
        "sdpa",
        three,
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v),
        {
            "causal": lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
            "scale": lambda q, k, v: F.scaled_dot_product_attention(q, k, v, scale=0.4),
            "kv": lambda q, k, v: F.scaled_dot_product_attention(q, v, k),
            "mask": lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=torch.eye(3)),
        },
        {"spelled": spelled},
    )
    yield from over(
        KIND,
        "causal",
        three,
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
        {
            "upper": lambda q, k, v: F.scaled_dot_product_attention(
                q, k, v, attn_mask=torch.ones(3, 3).triu().bool()
            )
        },
        {
            "mask": lambda q, k, v: F.scaled_dot_product_attention(
                q, k, v, attn_mask=torch.ones(3, 3).tril().bool()
            )
        },
    )


def _seeded(make: Any, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return make().eval()


class First(nn.Module):
    """The first result of a module."""

    def __init__(self, of: nn.Module) -> None:
        super().__init__()
        self.inner = of

    def forward(self, x: torch.Tensor) -> Any:
        """Run it."""
        return self.inner(x)[0]


def _recurrent() -> Iterator[Pair]:
    steps: Shapes = ((4, 2, 3),)
    for kind in (nn.LSTM, nn.GRU, nn.RNN):
        plain = First(_seeded(lambda kind=kind: kind(3, 5)))
        spoiled = First(_seeded(lambda kind=kind: kind(3, 5)))
        with torch.no_grad():
            spoiled.inner.weight_hh_l0[0, 0] *= 1.5  # pyright: ignore
        other = First(_seeded(lambda kind=kind: kind(3, 5), 1))
        yield from over(
            KIND,
            kind.__name__.lower(),
            steps,
            plain,
            {
                "weight": spoiled,
                "seed": other,
                "batch_first": First(_seeded(lambda kind=kind: kind(3, 5, batch_first=True))),
            },
            wide=False,
        )


def _symbols() -> Iterator[Pair]:
    tokens: Shapes = (("b", "t", 4),)
    yield from over(
        KIND,
        "dynamic",
        tokens,
        lambda x: x.transpose(1, 2).reshape(x.shape[0], -1),
        {"not_moved": lambda x: x.reshape(x.shape[0], -1)},
        {"flatten": lambda x: x.permute(0, 2, 1).flatten(1)},
    )
    yield from over(
        KIND,
        "mean_by_size",
        (("b", "h", "w"),),
        lambda x: x.sum((1, 2)) / (x.shape[1] * x.shape[2]),
        {
            "square": lambda x: x.sum((1, 2)) / (x.shape[1] * x.shape[1]),
            "batch": lambda x: x.sum((1, 2)) / (x.shape[0] * x.shape[2]),
        },
        {"mean": lambda x: x.mean((1, 2))},
    )
    yield from over(
        KIND,
        "positions",
        tokens,
        lambda x: x + torch.arange(x.shape[1])[:, None],
        {
            "modulo": lambda x: x + (torch.arange(x.shape[1]) % 6)[:, None],
            "batch": lambda x: x + torch.arange(x.shape[0])[:, None, None],
        },
        sizes=[{"t": 9}],
    )
    yield from over(
        KIND,
        "causal_by_size",
        (("b", "t", "t"),),
        lambda x: x.tril(),
        {"upper": lambda x: x.triu()},
        {
            "mask": lambda x: torch.where(
                torch.arange(x.shape[1])[:, None] >= torch.arange(x.shape[1]), x, 0.0
            )
        },
    )


def _files() -> Iterator[Pair]:
    """A program beside a file."""
    w = held(4, 4)
    constants = {"w": w.numpy()}
    sign = "float[3,4] x0 => float[3,4] y"

    def pair(name: str, function: Any, text: str, expected: Any, **more: Any) -> Pair:
        given: dict[str, Any] = {"opset": 20, "constants": constants if "w)" in text else {}} | more
        return Pair(
            f"file.{name}",
            KIND,
            Program(function, tuple(ONE)),
            model(sign, text, **given),
            expected,
        )

    yield pair("linear", lambda x: F.linear(x, w), "y = Gemm<transB=1>(x0, w)", "equal")
    yield pair("linear.transposed", lambda x: F.linear(x, w), "y = MatMul(x0, w)", "differ")
    yield pair("matmul", lambda x: x @ w, "y = MatMul(x0, w)", "equal")
    yield pair(
        "gelu", lambda x: F.gelu(x, approximate="tanh"), 'y = Gelu<approximate="tanh">(x0)', "equal"
    )
    yield pair("gelu.exact", lambda x: F.gelu(x, approximate="tanh"), "y = Gelu(x0)", "differ")
    yield pair("softmax", lambda x: x.softmax(1), "y = Softmax<axis=1>(x0)", "equal")
    yield pair("softmax.axis", lambda x: x.softmax(1), "y = Softmax<axis=0>(x0)", "differ")
    yield pair("round", torch.round, "y = Round(x0)", "equal")
    yield pair("round.floor", torch.round, "y = Floor(x0)", "differ")
    yield pair("remainder", lambda x: torch.fmod(x, 3), "y = Mod<fmod=1>(x0, '3')", "equal")
    yield pair(
        "remainder.floor", lambda x: torch.remainder(x, 3), "y = Mod<fmod=1>(x0, '3')", "differ"
    )
    yield pair(
        "gt",
        lambda x: torch.where(x > 1, x, 0.0),
        "c = Greater(x0, '1'); y = Where(c, x0, '0')",
        "equal",
    )
    yield pair(
        "gt.ge",
        lambda x: torch.where(x > 1, x, 0.0),
        "c = GreaterOrEqual(x0, '1'); y = Where(c, x0, '0')",
        "differ",
    )
    yield pair("clamp", lambda x: x.clamp(0, 6), "y = Clip(x0, '0', '6')", "equal")
    yield pair("clamp.low", lambda x: x.clamp(0, 6), "y = Clip(x0, '-0.1', '6')", "differ")
    yield pair(
        "roll", lambda x: torch.roll(x, 1, 1), "y = Gather<axis=1>(x0, '[3, 0, 1, 2]i')", "equal"
    )
    yield pair(
        "roll.back",
        lambda x: torch.roll(x, 1, 1),
        "y = Gather<axis=1>(x0, '[1, 2, 3, 0]i')",
        "differ",
    )
