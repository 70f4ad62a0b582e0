"""Convolutions and what else reads windows: pooling, local response norms.

Layouts are ``(N, C, *spatial)``; kernels, strides, dilations and pads are given for each spatial
axis.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from onebyone.kernels import lines
from onebyone.kernels.arithmetic import Arithmetic, Array, Tensor
from onebyone.kernels.places import concatenated, cut

# Unfolded windows of one matrix product stay below this many elements (512 MB of float64).
_UNFOLD_LIMIT = 1 << 26

# Elements to add before and behind each spatial axis.
Pads = Sequence[tuple[int, int]]


def windows(
    x: Array, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> Array:
    """A view ``(N, C, *out, *kernel)`` of every window of ``x``."""
    spatial = range(2, x.ndim)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    if any(x.shape[a] < r for a, r in zip(spatial, reach, strict=True)):
        raise ValueError(f"a window of {reach} does not fit into {list(x.shape[2:])}")
    view = sliding_window_view(x, tuple(reach), axis=tuple(spatial))
    steps = [slice(None, None, s) for s in strides] + [slice(None, None, d) for d in dilations]
    return view[(slice(None), slice(None), *steps)]


def pad(x: Array, pads: Pads, value: float | bool = 0) -> Array:
    """``x`` with ``pads`` on its spatial axes."""
    if not any(map(any, pads)):
        return x
    return np.pad(x, [(0, 0), (0, 0), *pads], constant_values=value)


def conv(
    ar: Arithmetic,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *,
    strides: Sequence[int],
    dilations: Sequence[int],
    pads: Pads,
    groups: int,
) -> Tensor:
    """Cross-correlation: ``x`` (N, C, *spatial), ``weight`` (M, C / groups, *kernel)."""
    kernel = weight.shape[2:]
    filters, depth = weight.shape[0], int(np.prod(weight.shape[1:]))
    if x.shape[1] != weight.shape[1] * groups or filters % groups:
        raise ValueError(f"a weight {list(weight.shape)} in {groups} groups cannot read {x.shape}")
    out_size = [
        (x.shape[2 + i] + sum(pads[i]) - (kernel[i] - 1) * dilations[i] - 1) // strides[i] + 1
        for i in range(len(kernel))
    ]
    places = int(np.prod(out_size))
    matrix = ar.move(lambda w: w.reshape(groups, filters // groups, depth), weight)

    def unfold(a: Array, sample: slice, rows: slice) -> Array:
        view = windows(pad(a[sample], pads), kernel, strides, dilations)[:, :, rows]
        rank = len(kernel)
        # (N, C, out, kernel) -> (N, groups, C / groups * kernel, out)
        order = (0, 1, *range(2 + rank, 2 + 2 * rank), *range(2, 2 + rank))
        return view.transpose(order).reshape(view.shape[0], groups, depth, -1)

    every = slice(None)
    if x.shape[0] * groups * depth * places <= _UNFOLD_LIMIT:
        flat = ar.matmul(matrix, ar.move(lambda a: unfold(a, every, every), x))
    else:
        # Unfolded, an image is as many times larger as its kernel has places: a few rows at once.
        step = max(_UNFOLD_LIMIT * out_size[0] // (groups * depth * places), 1)
        samples: list[Tensor] = []
        for i in range(x.shape[0]):
            pieces = [
                ar.matmul(
                    matrix,
                    ar.move(lambda a, i=i, r=r: unfold(a, slice(i, i + 1), slice(r, r + step)), x),
                )
                for r in range(0, out_size[0], step)
            ]
            samples.append(ar.move(lambda *parts: np.concatenate(parts, -1), *pieces))
        flat = ar.move(lambda *parts: np.concatenate(parts), *samples)
    out = ar.move(lambda a: a.reshape(x.shape[0], filters, *out_size), flat)
    return lines.affine(ar, out, None, lines.per_channel(ar, bias, rank=out.ndim))


def conv_transpose(
    ar: Arithmetic,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *,
    strides: Sequence[int],
    dilations: Sequence[int],
    pads: Pads,
    output_padding: Sequence[int],
    groups: int,
) -> Tensor:
    """The gradient of `conv`: a convolution of ``x`` spread by ``strides``.

    ``weight`` is (C, M / groups, *kernel).
    """
    kernel = weight.shape[2:]
    spread = [(n - 1) * s + 1 for n, s in zip(x.shape[2:], strides, strict=True)]

    def dilate(a: Array) -> Array:
        out = np.zeros((*a.shape[:2], *spread), a.dtype)
        out[(slice(None), slice(None), *(slice(None, None, s) for s in strides))] = a
        return out

    def flip(w: Array) -> Array:
        split = w.reshape(groups, -1, *w.shape[1:]).swapaxes(1, 2)
        merged = split.reshape(-1, *split.shape[2:])
        return merged[(slice(None), slice(None), *[slice(None, None, -1)] * len(kernel))]

    around: list[tuple[int, int]] = []
    for k, d, (low, high), extra in zip(kernel, dilations, pads, output_padding, strict=True):
        reach = (k - 1) * d
        around.append((reach - low, reach - high + extra))
    # A padding larger than the window's reach crops.
    crops = [(max(-low, 0), max(-high, 0)) for low, high in around]
    inner = [(max(low, 0), max(high, 0)) for low, high in around]

    def crop(a: Array) -> Array:
        cuts = [slice(low, n - high) for (low, high), n in zip(crops, a.shape[2:], strict=True)]
        return a[(slice(None), slice(None), *cuts)]

    ones = [1] * len(kernel)
    return conv(
        ar,
        ar.move(lambda a: crop(dilate(a)), x),
        ar.move(flip, weight),
        bias,
        strides=ones,
        dilations=dilations,
        pads=inner,
        groups=groups,
    )


def _pooled(ar: Arithmetic, x: Tensor, rank: int) -> Tensor:
    """Windows that are reduced to size 1, without their axes."""
    return ar.move(lambda a: a.reshape(a.shape[:rank]), x)


def max_pool(
    ar: Arithmetic,
    x: Tensor,
    *,
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    pads: Pads,
) -> Tensor:
    """The maximum of every window; padding never wins."""
    view = ar.move(lambda a: windows(pad(a, pads), kernel, strides, dilations), x)
    inside = windows(pad(np.ones((1, 1, *x.shape[2:]), bool), pads), kernel, strides, dilations)
    axes = tuple(range(x.ndim, 2 * x.ndim - 2))
    where = inside if any(map(any, pads)) else None
    return _pooled(ar, lines.largest(ar, view, axes=axes, where=where), x.ndim)


def sum_pool(
    ar: Arithmetic,
    x: Tensor,
    *,
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    pads: Pads,
) -> Tensor:
    """The sum of every window."""
    view = ar.move(lambda a: windows(pad(a, pads), kernel, strides, dilations), x)
    return _pooled(ar, ar.total(view, tuple(range(x.ndim, 2 * x.ndim - 2))), x.ndim)


def average_pool(
    ar: Arithmetic,
    x: Tensor,
    *,
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    pads: Pads,
    counted: Pads,
    divisor: int | None = None,
) -> Tensor:
    """The mean of every window.

    Args:
        ar: the arithmetic.
        x: (N, C, *spatial).
        kernel: size of the window.
        strides: from one window to the next.
        dilations: from one element of a window to the next.
        pads: zeros around ``x``.
        counted: the part of ``pads`` that counts as elements.
        divisor: what sums are divided by instead of the number of elements.
    """
    geometry = {"kernel": kernel, "strides": strides, "dilations": dilations}
    sums = sum_pool(ar, x, pads=pads, **geometry)
    if divisor is not None:
        return ar.mul(sums, ar.reciprocal(ar.constant(divisor)))
    ones = pad(np.ones((1, 1, *x.shape[2:])), counted, 1.0)
    rest = [(p[0] - c[0], p[1] - c[1]) for p, c in zip(pads, counted, strict=True)]
    axes = tuple(range(x.ndim, 2 * x.ndim - 2))
    count = windows(pad(ones, rest), **geometry).sum(axis=axes)
    return ar.mul(sums, ar.reciprocal(ar.constant(count)))


def adaptive_average_pool(ar: Arithmetic, x: Tensor, *, sizes: Sequence[int]) -> Tensor:
    """Means of as many bins as ``sizes`` says; they overlap where the sizes do not divide."""
    first = x.ndim - len(sizes)
    if all(n == 1 for n in sizes):
        return ar.mean(x, tuple(range(first, x.ndim)))
    for axis, size in enumerate(sizes, first):
        length = x.shape[axis]
        bins = [slice(i * length // size, -(-(i + 1) * length // size)) for i in range(size)]
        parts = [ar.mean(cut(ar, x, axis=axis, index=b), (axis,)) for b in bins]
        x = concatenated(ar, *parts, axis=axis)
    return x


def local_response_norm(
    ar: Arithmetic, x: Tensor, *, size: int, alpha: float, beta: float, bias: float
) -> Tensor:
    """``x / (bias + alpha / size * sum of squares)^beta`` over ``size`` channels around each."""
    before = (size - 1) // 2
    around = [(0, 0), (before, size - 1 - before), *[(0, 0)] * (x.ndim - 2)]
    view = ar.move(lambda a: sliding_window_view(np.pad(a, around), size, axis=1), ar.mul(x, x))
    sums = ar.move(lambda a: a[..., 0], ar.total(view, (x.ndim,)))
    share = ar.div(ar.constant(alpha), ar.constant(size))
    base = ar.add(ar.constant(bias), ar.mul(share, sums))
    return ar.div(x, ar.function("Pow", base, ar.constant(beta)))


def same_pads(
    size: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    *,
    rest_behind: bool,
) -> list[tuple[int, int]]:
    """Pads that give as many windows as strides fit; an odd one is behind or in front."""
    pads: list[tuple[int, int]] = []
    for n, k, s, d in zip(size, kernel, strides, dilations, strict=True):
        both = max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
        pads.append(halves(both, rest_behind=rest_behind))
    return pads


def halves(both: int, *, rest_behind: bool) -> tuple[int, int]:
    """``both`` in two halves, the odd rest in the second or the first."""
    small, large = both // 2, both - both // 2
    return (small, large) if rest_behind else (large, small)


def pool_pads(
    size: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    declared: Sequence[tuple[int, int]],
    ceil_mode: bool,
) -> list[tuple[int, int]]:
    """The declared pads of a pooling with the rest that ``ceil_mode`` adds behind."""
    padded: list[tuple[int, int]] = []
    for n, k, s, d, (low, high) in zip(size, kernel, strides, dilations, declared, strict=True):
        reach = (k - 1) * d + 1
        span = n + low + high - reach
        count = (-(-span // s) if ceil_mode else span // s) + 1
        if ceil_mode and (count - 1) * s >= n + low:
            # A window that starts in the end padding is dropped.
            count -= 1
        padded.append((low, max(high, (count - 1) * s + reach - n - low)))
    return padded
