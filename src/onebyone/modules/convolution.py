"""Convolutions as FC layers: cut the input into windows, apply the FC layer, put it together.

The results have the memory order that the convolution would give, since the code around a layer
may rely on it with ``view``.
"""

from __future__ import annotations

from math import prod
from typing import cast

import torch
from torch import Tensor, nn

from onebyone.modules.swapped_layer import CHANNEL_BIAS, Swapped, channels_last


class ConvAsLinear(Swapped):
    """A convolution whose windows do not overlap, as an ``nn.Linear``.

    Should an input come for which windows do overlap (a ``whole`` layer, larger input), the FC
    layer is applied to every window: slower, still exact.
    """

    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    in_channels: int
    groups: int

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer to ``(B, C, *S)``, with or without B; returns ``(B, N, *out)``."""
        if x.dim() == len(self.kernel_size) + 1:
            return self.forward(x.unsqueeze(0)).squeeze(0)
        check_input(x, self.in_channels, self.kernel_size)
        last = channels_last(x)
        pointwise = max(self.kernel_size) == 1
        x = _subsample(x, self.stride) if pointwise else _windows(x, self.kernel_size, self.stride)
        out = tuple(x.shape[2:] if pointwise else x.shape[2::2])
        positions = prod(out)
        if self._wants_batched(positions, last):
            columns = x.flatten(2) if pointwise else _columns(x)
            y = _batched(cast("nn.Linear", self.child), columns)
        else:
            tokens = _pixels(x, last) if pointwise else _tokens(x)
            y = self._contract(tokens)
            y = y if last else y.contiguous()
        return y.unflatten(2, out)

    def _contract(self, tokens: Tensor) -> Tensor:
        """``(B, P, K)`` tokens to ``(B, N, P)``."""
        if self.groups > 1:
            return _grouped(self, tokens, self.groups).mT
        if tokens.size(1) == 1:
            return self.child(tokens.squeeze(1)).unsqueeze(2)
        return self.child(tokens).mT

    def _wants_batched(self, positions: int, last: bool) -> bool:
        """Whether to multiply from the left, which writes channels first without a transpose."""
        if last or positions == 1 or self.groups > 1 or not self.is_plain:
            return False
        # An exported graph keeps the layer itself: quantizers look for it, with its own weight.
        if torch.compiler.is_exporting():
            return False
        rows, columns = self.swap.weight_map.new
        weight = cast("Tensor", self.child.weight)
        trains = torch.is_grad_enabled() and weight.requires_grad
        # Its backward pass holds one weight gradient for each batch member.
        return not trains or positions * (rows + columns) >= rows * columns


class ConvTransposeAsLinear(Swapped):
    """A transposed convolution with kernel == stride as an ``nn.Linear`` that writes patches."""

    kernel_size: tuple[int, ...]
    in_channels: int
    out_channels: int
    groups: int

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Apply the layer to ``(B, C, *S)`` or ``(C, *S)``; returns ``(B, N, *(S * kernel))``."""
        rank = len(self.kernel_size)
        if x.dim() == rank + 1:
            spatial = None if output_size is None else output_size[-rank:]
            return self.forward(x.unsqueeze(0), spatial).squeeze(0)
        check_input(x, self.in_channels, (1,) * rank)
        last = channels_last(x)
        tokens = _pixels(x, last)
        y = self.child(tokens) if self.groups == 1 else _grouped(self, tokens, self.groups)
        y = y.unflatten(2, (self.out_channels, *self.kernel_size)).unflatten(1, x.shape[2:])
        # (B, *S, N, *k) -> (B, N, S1, k1, S2, k2, ...)
        pairs = [axis for i in range(rank) for axis in (1 + i, 2 + rank + i)]
        sizes = [size * k for size, k in zip(x.shape[2:], self.kernel_size, strict=True)]
        y = y.permute(0, 1 + rank, *pairs).reshape(x.size(0), self.out_channels, *sizes)
        if output_size is not None:
            y = self._extend(y, output_size[-rank:])
        if self.swap.bias_path == CHANNEL_BIAS:
            y = self.get_submodule("channel_bias")(y)
        if last:
            form = torch.channels_last if rank == 2 else torch.channels_last_3d
            return y.contiguous(memory_format=form)
        return y.contiguous()

    def _extend(self, y: Tensor, output_size: list[int]) -> Tensor:
        """Add the positions past the last patch that ``output_size`` asks for: only bias there."""
        extra = [want - have for want, have in zip(output_size, y.shape[2:], strict=True)]
        for more, step in zip(extra, self.kernel_size, strict=True):
            if not 0 <= more < step:
                raise ValueError(
                    f"output_size {list(output_size)} is not between {list(y.shape[2:])} and one "
                    f"less than a further patch of {list(self.kernel_size)}"
                )
        return nn.functional.pad(y, [size for more in reversed(extra) for size in (0, more)])


def check_input(x: Tensor, channels: int, kernel: tuple[int, ...]) -> None:
    """Refuse what the convolution refuses: another rank, other channels, too small a size."""
    if x.dim() != len(kernel) + 2 or x.size(1) != channels:
        raise RuntimeError(
            f"input {tuple(x.shape)} should be (B, {channels}, {len(kernel)} spatial axes)"
        )
    for size, k in zip(x.shape[2:], kernel, strict=True):
        if size < k:
            raise RuntimeError(f"input {tuple(x.shape)} is smaller than the kernel {kernel}")


def _subsample(x: Tensor, stride: tuple[int, ...]) -> Tensor:
    if max(stride) == 1:
        return x
    return x[(slice(None), slice(None), *(slice(None, None, step) for step in stride))]


def _windows(x: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    """Cut ``(B, C, S1, S2, ...)`` into windows, a view ``(B, C, out1, k1, out2, k2, ...)``."""
    for i, (k, step) in enumerate(zip(kernel, stride, strict=True)):
        x = _cut(x, 2 + 2 * i, k, step)
    return x


def _tokens(windows: Tensor) -> Tensor:
    """Windows as rows: ``(B, P, C * prod(kernel))``."""
    axes = (0, *range(2, windows.dim(), 2), 1, *range(3, windows.dim(), 2))
    positions, taps = prod(windows.shape[2::2]), prod(windows.shape[1::2])
    return windows.permute(axes).reshape(windows.size(0), positions, taps)


def _columns(windows: Tensor) -> Tensor:
    """Windows as columns, ``(B, C * prod(kernel), P)``: the faster copy for small kernels."""
    axes = (0, *range(1, windows.dim(), 2), *range(2, windows.dim(), 2))
    positions, taps = prod(windows.shape[2::2]), prod(windows.shape[1::2])
    return windows.permute(axes).reshape(windows.size(0), taps, positions)


def _cut(x: Tensor, axis: int, k: int, step: int) -> Tensor:
    """Replace ``axis`` by two: the position of the window, and the place within it."""
    size = x.size(axis)
    if size == k:
        return x.unsqueeze(axis)
    if k == step:
        return x.narrow(axis, 0, size // k * k).unflatten(axis, (size // k, k))
    return x.unfold(axis, k, step).movedim(-1, axis + 1)


def _pixels(x: Tensor, last: bool) -> Tensor:
    """``(B, C, *S)`` as ``(B, P, C)``, without a copy for a dense input of either memory order."""
    return x.movedim(1, -1).flatten(1, -2) if last else x.flatten(2).mT


def _grouped(layer: Swapped, tokens: Tensor, groups: int) -> Tensor:
    """Let groups be one more batch axis: ``(B, P, groups * K)`` to ``(B, P, N)``."""
    rows, columns = layer.swap.weight_map.new
    tokens = tokens.reshape(*tokens.shape[:2], groups, columns)
    if layer.is_plain:
        child = cast("nn.Linear", layer.child)
        weight = child.weight.view(groups, rows // groups, columns)
        y = torch.einsum("bpgk,gnk->bpgn", tokens, weight).flatten(2).contiguous()
        return y if child.bias is None else y + child.bias.to(y.dtype)  # pyright: ignore[reportUnnecessaryComparison]
    # A replaced child is only known as a function: apply it whole, keep each group's own block.
    y = layer.child(tokens).unflatten(3, (groups, rows // groups))
    return y.diagonal(dim1=2, dim2=3).mT.flatten(2).contiguous()


def _batched(linear: nn.Linear, columns: Tensor) -> Tensor:
    """``(B, K, P)`` columns to ``(B, N, P)``."""
    weight = linear.weight.expand(columns.size(0), -1, -1)
    if linear.bias is None:  # pyright: ignore[reportUnnecessaryComparison]
        return torch.bmm(weight, columns)
    return torch.baddbmm(linear.bias.unsqueeze(1), weight, columns)
