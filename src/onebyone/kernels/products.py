"""Convolution, pooling, einsum, norms and resizing over any `Arithmetic`.

Everything is spelled out in sums, products and the few functions that an arithmetic has, so a
fused operator and its written-out form compute the same thing. Layouts are ``(N, C, *spatial)``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from onebyone.kernels.arithmetic import Arithmetic, Array, Tensor

# Unfolded windows of one matrix product stay below this many elements (512 MB of float64).
_UNFOLD_LIMIT = 1 << 26

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
    return add_channel(ar, out, bias)


def add_channel(ar: Arithmetic, x: Tensor, bias: Tensor | None) -> Tensor:
    """Add ``bias`` (C,) to ``x`` (N, C, ...)."""
    return x if bias is None else ar.add(x, per_channel(ar, bias, x.ndim))


def per_channel(ar: Arithmetic, vector: Tensor, rank: int) -> Tensor:
    """A vector (C,) as (C, 1, ..., 1), to broadcast over axis 1 of a tensor of ``rank``."""
    return ar.move(lambda a: a.reshape(-1, *[1] * (rank - 2)), vector)


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
    out = ar.largest(view, axes, inside if any(map(any, pads)) else None)
    return ar.move(lambda a: a.reshape(a.shape[: x.ndim]), out)


def average_pool(
    ar: Arithmetic,
    x: Tensor,
    *,
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    pads: Pads,
    counted: Pads,
) -> Tensor:
    """The mean of every window; ``counted`` is the part of ``pads`` that counts as elements."""
    view = ar.move(lambda a: windows(pad(a, pads), kernel, strides, dilations), x)
    ones = pad(np.ones((1, 1, *x.shape[2:])), counted, 1.0)
    rest = [(p[0] - c[0], p[1] - c[1]) for p, c in zip(pads, counted, strict=True)]
    axes = tuple(range(x.ndim, 2 * x.ndim - 2))
    count = windows(pad(ones, rest), kernel, strides, dilations).sum(axis=axes)
    total = ar.move(lambda a: a.reshape(a.shape[: x.ndim]), ar.total(view, axes))
    return ar.mul(total, ar.reciprocal(ar.constant(count)))


def standardize(ar: Arithmetic, x: Tensor, axes: tuple[int, ...], epsilon: float) -> Tensor:
    """``(x - mean) / sqrt(variance + epsilon)`` over ``axes``."""
    centred = ar.sub(x, ar.mean(x, axes))
    variance = ar.mean(ar.mul(centred, centred), axes)
    return ar.div(centred, ar.function("Sqrt", ar.add(variance, ar.constant(epsilon))))


def contract(ar: Arithmetic, a: Tensor, b: Tensor, left: str, right: str, out: str) -> Tensor:
    """``einsum("left,right->out")`` of two operands without repeated letters."""
    a, left = _sum_out(ar, a, left, keep=set(right) | set(out))
    b, right = _sum_out(ar, b, right, keep=set(left) | set(out))
    batch = [c for c in left if c in right and c in out]
    inner = [c for c in left if c in right and c not in out]
    rows = [c for c in left if c not in right]
    columns = [c for c in right if c not in left]
    size = dict(zip(right, b.shape, strict=True)) | dict(zip(left, a.shape, strict=True))
    for c, n in zip(right, b.shape, strict=True):
        if size[c] != n:
            raise ValueError(f"einsum sizes of {c!r} differ: {size[c]} and {n}")

    def count(letters: list[str]) -> int:
        return int(np.prod([size[c] for c in letters], dtype=np.int64))

    def arrange(text: str, first: list[str], second: list[str]) -> tuple[list[int], list[int]]:
        order = [text.index(c) for c in (*batch, *first, *second)]
        return order, [count(batch), count(first), count(second)]

    order_a, shape_a = arrange(left, rows, inner)
    order_b, shape_b = arrange(right, inner, columns)
    product = ar.matmul(
        ar.move(lambda x: x.transpose(order_a).reshape(shape_a), a),
        ar.move(lambda x: x.transpose(order_b).reshape(shape_b), b),
    )
    have = [*batch, *rows, *columns]
    order = [have.index(c) for c in out]
    return ar.move(lambda x: x.reshape([size[c] for c in have]).transpose(order), product)


def einsum(ar: Arithmetic, equation: str, xs: Sequence[Tensor]) -> Tensor:
    """``numpy.einsum`` over any arithmetic, with ellipses and implicit outputs."""
    terms, out = _parse(equation, [x.ndim for x in xs])
    operands = [_diagonal(ar, x, term) for x, term in zip(xs, terms, strict=True)]
    total, letters = operands[0]
    for i, (x, term) in enumerate(operands[1:], start=2):
        later = set(out).union(*(t for _, t in operands[i:]))
        keep = "".join(dict.fromkeys(c for c in letters + term if c in later))
        total, letters = contract(ar, total, x, letters, term, keep), keep
    total, letters = _sum_out(ar, total, letters, keep=set(out))
    return ar.move(lambda a: a.transpose([letters.index(c) for c in out]), total)


def _parse(equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    left, arrow, out = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    spare = [chr(c) for c in range(0x4E00, 0x4E40)]
    widest = 0
    for i, (term, rank) in enumerate(zip(terms, ranks, strict=True)):
        extra = rank - len(term.replace("...", ""))
        if "..." in term:
            widest = max(widest, extra)
            terms[i] = term.replace("...", "".join(spare[:extra][::-1]))
    dots = "".join(spare[:widest][::-1])
    if not arrow:
        every = "".join(terms)
        out = dots + "".join(sorted(c for c in set(every) - set(dots) if every.count(c) == 1))
    return terms, out.replace("...", dots)


def _diagonal(ar: Arithmetic, x: Tensor, term: str) -> tuple[Tensor, str]:
    unique = "".join(dict.fromkeys(term))
    if unique == term:
        return x, term
    number = {c: i for i, c in enumerate(unique)}
    labels, wanted = [number[c] for c in term], [number[c] for c in unique]
    return ar.move(lambda a: np.einsum(a, labels, wanted), x), unique


def _sum_out(ar: Arithmetic, x: Tensor, text: str, keep: set[str]) -> tuple[Tensor, str]:
    gone = tuple(i for i, c in enumerate(text) if c not in keep)
    if not gone:
        return x, text
    rest = "".join(c for c in text if c in keep)
    shape = [n for i, n in enumerate(x.shape) if i not in gone]
    return ar.move(lambda a: a.reshape(shape), ar.total(x, gone)), rest
