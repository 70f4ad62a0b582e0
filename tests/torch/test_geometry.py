"""Every geometry: the swapped convolution equals the old one, or is refused for a reason."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from math import prod
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import onebyone
from tests.torch.checks import close

CONVS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
LAST = {2: torch.channels_last, 3: torch.channels_last_3d}


@dataclass(frozen=True)
class Drawn:
    """A drawn convolution and its input size."""

    transposed: bool
    groups: int
    reads: int
    writes: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    size: tuple[int, ...]
    bias: bool
    dtype: torch.dtype = torch.float32
    memory: str = "dense"  # "dense", "last", "transposed", "unbatched"
    batch: int = 2

    def layer(self) -> nn.Module:
        """The convolution."""
        kind = (TRANSPOSED if self.transposed else CONVS)[len(self.kernel)]
        return kind(
            self.reads * self.groups,
            self.writes * self.groups,
            self.kernel,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
            bias=self.bias,
            dtype=self.dtype,
        )

    def input(self) -> Tensor:
        """An input in the memory order that was drawn."""
        x = torch.randn(self.batch, self.reads * self.groups, *self.size).to(self.dtype)
        rank = len(self.size)
        if self.memory == "last" and rank in LAST:
            return x.to(memory_format=LAST[rank])
        if self.memory == "transposed":
            return x.transpose(1, -1).contiguous().transpose(1, -1)
        return x[0] if self.memory == "unbatched" and self.batch else x

    def expected(self) -> bool:
        """Whether it has to be swapped, said again in other words than the code's."""
        axes = list(zip(self.kernel, self.stride, self.dilation, strict=True))
        if any(self.padding):
            return False
        if not self.transposed:
            return all(k == 1 or (k == s and d == 1) for k, s, d in axes)
        if self.groups > 1 and self.reads > 1 and self.writes * prod(self.kernel) > 1:
            return False
        return all(k == s and (d == 1 or k == 1) for k, s, d in axes)


@st.composite
def drawn(draw: Any) -> Drawn:
    """Geometries, about half of them FC layers."""
    rank = draw(st.integers(1, 3))
    small = st.integers(1, 3)
    kernel = tuple(draw(small) for _ in range(rank))
    tiled = draw(st.booleans())
    stride = kernel if tiled else tuple(draw(small) for _ in range(rank))
    if not tiled and draw(st.booleans()):
        kernel = (1,) * rank
    odd = draw(st.integers(0, 5)) == 0
    dilation = tuple(draw(small) if odd else 1 for _ in range(rank))
    room = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    return Drawn(
        transposed=draw(st.integers(0, 3)) == 0,
        groups=draw(st.sampled_from((1, 1, 1, 2, 3))),
        reads=draw(st.integers(1, 4)),
        writes=draw(st.integers(1, 4)),
        kernel=kernel,
        stride=stride,
        padding=tuple(draw(st.integers(0, 1)) if draw(st.integers(0, 5)) == 0 else 0 for _ in room),
        dilation=dilation,
        size=tuple(size + draw(st.integers(0, 5)) for size in room),
        bias=draw(st.booleans()),
        dtype=draw(st.sampled_from((torch.float32, torch.float64, torch.bfloat16, torch.float16))),
        memory=draw(st.sampled_from(("dense", "last", "transposed", "unbatched"))),
        batch=draw(st.sampled_from((0, 1, 2, 5))),
    )


def magnitude(layer: nn.Module, x: Tensor) -> Tensor:
    """The layer with absolute values everywhere, in float64."""
    twin = copy.deepcopy(layer).double()
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.copy_(parameter.abs())
        return twin(x.detach().double().abs())


@settings(max_examples=300, deadline=None)
@given(drawn())
@example(Drawn(False, 1, 3, 4, (2, 2), (2, 2), (0, 0), (1, 1), (5, 4), True))
@example(
    Drawn(False, 3, 1, 2, (1, 2), (1, 2), (0, 0), (1, 1), (3, 2), False, torch.bfloat16, "last", 5)
)
@example(
    Drawn(False, 2, 1, 1, (1, 1, 2), (1, 1, 2), (0,) * 3, (1,) * 3, (1, 1, 2), False, memory="last")
)
@example(Drawn(True, 2, 2, 1, (1,), (1,), (0,), (1,), (3,), False))
@example(Drawn(True, 2, 1, 4, (2, 2), (2, 2), (0, 0), (1, 1), (3, 4), True, memory="last"))
def test_swapped_equals_or_is_refused(case: Drawn) -> None:
    torch.manual_seed(0)
    layer, x = case.layer(), case.input().requires_grad_()
    swapped = onebyone.to_linear(layer)
    (row,) = onebyone.layers(layer)
    if not case.expected():
        assert type(swapped) is type(layer)
        assert row.reason
        return
    assert row.reason is None
    assert any(type(module) is nn.Linear for module in swapped.modules())
    assert [p.data_ptr() for p in swapped.parameters()] == [
        p.data_ptr() for p in layer.parameters()
    ]
    y, z = layer(x), swapped(x)
    size = magnitude(layer, x)
    length = case.reads * prod(case.kernel)
    assert y.dtype == z.dtype
    # Not with the old layer in its own dtype: torch 2.13's grouped bfloat16 convolution of a
    # channels-last input can be wrong by as much as its result (see the first example).
    close(copy.deepcopy(layer).double()(x.double()).to(z.dtype), z, size, length)
    # Code behind a layer may use `view`, which depends on the memory order.
    if y.is_contiguous() and y.dim() > 3:
        assert z.is_contiguous() or z.is_contiguous(memory_format=LAST[len(case.kernel)])
    if y.is_contiguous() and not (y.dim() in (4, 5) and case.memory != "dense"):
        assert z.is_contiguous()
    if not y.numel():
        return
    same_gradients(layer, swapped, x, case)


def same_gradients(layer: nn.Module, swapped: nn.Module, x: Tensor, case: Drawn) -> None:
    """Compare the gradients of both; the sums run over rows (input) or positions (weight)."""
    seed = torch.randn_like(layer(x))
    twin = copy.deepcopy(layer).double()
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.copy_(parameter.abs())
    truth = gradients(copy.deepcopy(layer).double(), x.double(), seed.double())
    first, second = [grad.to(x.dtype) for grad in truth], gradients(swapped, x, seed)
    sizes = gradients(twin, x.detach().double().abs(), seed.double().abs())
    positions = seed.numel() // seed.shape[0 if x.dim() == len(case.kernel) + 1 else 1]
    lengths = (case.writes * prod(case.kernel), positions, positions)
    for a, b, size, length in zip(first, second, sizes, lengths, strict=False):
        close(a, b, size, length)


def gradients(layer: nn.Module, x: Tensor, seed: Tensor) -> list[Tensor]:
    """The gradients of the input and, as the layer itself answers, of weight and bias."""
    x = x.detach().requires_grad_()
    layer.zero_grad()
    layer(x).backward(seed)
    held = (x, layer.weight, layer.bias)
    return [tensor.grad for tensor in held if tensor is not None]


@settings(max_examples=150, deadline=None)
@given(
    lead=st.lists(st.integers(0, 4), min_size=0, max_size=5),
    sizes=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    bias=st.booleans(),
    dtype=st.sampled_from((torch.float32, torch.float64, torch.bfloat16)),
    strided=st.booleans(),
)
def test_linear_as_convolution(
    lead: list[int], sizes: tuple[int, int], bias: bool, dtype: torch.dtype, strided: bool
) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(*sizes, bias=bias, dtype=dtype)
    x = torch.randn(*lead, sizes[0]).to(dtype)
    if strided and lead:
        x = x.transpose(0, -1).contiguous().transpose(0, -1)
    swapped = onebyone.to_conv(layer)
    assert [type(module) for module in swapped.children()] == [nn.Conv2d]
    y, z = layer(x), swapped(x)
    assert z.is_contiguous()
    close(y, z, magnitude(layer, x), sizes[0])
    back = onebyone.to_linear(swapped)
    assert type(back) is nn.Linear
    assert torch.equal(back(x), y)


@pytest.mark.parametrize("size", [(7, 7), (7, 9), (12, 8)])
def test_whole_needs_an_example_and_then_takes_any_size(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(4, 6, 7), nn.ReLU(), nn.Conv2d(6, 5, 1))
    assert "7x7" in (onebyone.layers(model)[0].reason or "")
    swapped = onebyone.to_linear(model, example_input=torch.randn(1, 4, 7, 7))
    assert onebyone.layers(swapped)[0].case == "whole"
    x = torch.randn(2, 4, *size)
    close(model[0](x), swapped[0](x), magnitude(model[0], x), 4 * 49)


def test_one_patch_is_read_without_a_permutation() -> None:
    layer = nn.Conv3d(3, 8, (2, 4, 4), stride=(2, 4, 4), bias=False)
    swapped = onebyone.to_linear(layer)
    seen: list[Tensor] = []
    swapped.linear.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    x = torch.randn(5, 96)
    y = swapped(x.view(-1, 3, 2, 4, 4)).view(-1, 8)
    assert seen[0].data_ptr() == x.data_ptr()
    close(layer(x.view(-1, 3, 2, 4, 4)).view(-1, 8), y, torch.ones(5, 8) * 96, 96)


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_channels_last_goes_in_and_out_without_a_copy(memory: torch.memory_format) -> None:
    layer = onebyone.to_linear(nn.Conv2d(3, 8, 1))
    seen: list[Tensor] = []
    layer.linear.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    x = torch.randn(2, 3, 5, 4).to(memory_format=memory)
    y = layer(x)
    assert y.is_contiguous(memory_format=memory)
    assert seen[0].data_ptr() == x.data_ptr()


def test_output_size_of_a_transposed_convolution() -> None:
    layer = nn.ConvTranspose2d(3, 4, 3, stride=3)
    swapped = onebyone.to_linear(layer)
    x = torch.randn(2, 3, 4, 5)
    for want in ([12, 15], [13, 17], [2, 4, 14, 16]):
        close(layer(x, want), swapped(x, want), magnitude(layer, x).max().expand(1), 3)
    with pytest.raises(ValueError, match="output_size"):
        swapped(x, [15, 15])
    close(layer(x[0], [13, 17]), swapped(x[0], [13, 17]), torch.tensor(10.0), 3)


@pytest.mark.parametrize(
    "shape",
    [(2, 4, 8, 8), (8, 8), (2, 3, 1, 8), (1, 2, 3, 8, 8)],
    ids=["channels", "rank 2", "smaller than the kernel", "rank 5"],
)
def test_what_the_convolution_does_not_take_is_not_taken(shape: tuple[int, ...]) -> None:
    layer = nn.Conv2d(3, 4, 2, stride=2)
    with pytest.raises(RuntimeError):
        layer(torch.randn(shape))
    with pytest.raises(RuntimeError):
        onebyone.to_linear(layer)(torch.randn(shape))
