"""What looks at whole lines of elements: reductions, norms, softmax, running sums, order.

Axes that are reduced stay, as size 1, until `kept` drops them. Everything is spelled out in sums,
products and the few functions that an arithmetic has, so a fused operator and its written-out form
compute the same thing. Exact integers are computed in their type, where they wrap around.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from onebyone.kernels.arithmetic import Arithmetic, Array, Tensor
from onebyone.kernels.element import REAL
from onebyone.kernels.elementwise import (
    Kernel,
    absolute,
    as_type,
    compare,
    is_nan,
    square,
    where,
)
from onebyone.kernels.operands import data, move

# Axes of an array, by their numbers.
Axes = tuple[int, ...]


def kept(ar: Arithmetic, x: Tensor, *, axes: Axes, keep: bool) -> Tensor:
    """A reduced tensor with or without the axes of size 1 that were reduced."""
    return x if keep or not axes else move(ar, lambda a: a.squeeze(axes), x)


# Reductions.


def total(ar: Arithmetic, x: Tensor, *, axes: Axes, dtype: Any = None) -> Tensor:
    """The sum; of exact values in ``dtype``, or else in their own type."""
    if ar.is_data(x):
        return ar.total(x, axes)
    return np.sum(x, axis=axes, keepdims=True, dtype=dtype or x.dtype)


def product(ar: Arithmetic, x: Tensor, *, axes: Axes, dtype: Any = None) -> Tensor:
    """The product; of exact values in ``dtype``, or else in their own type."""
    if not ar.is_data(x):
        return np.prod(x, axis=axes, keepdims=True, dtype=dtype or x.dtype)
    for axis in axes:
        parts = [
            ar.move(lambda a, i=i, axis=axis: np.take(a, [i], axis), x)
            for i in range(x.shape[axis])
        ]
        empty = ar.constant(np.ones([1 if a == axis else n for a, n in enumerate(x.shape)]))
        x = reduce(ar.mul, parts) if parts else empty
    return x


def mean(ar: Arithmetic, x: Tensor, *, axes: Axes) -> Tensor:
    """The mean over axes, which stay with size 1."""
    return ar.mean(x, axes)


def largest(ar: Arithmetic, x: Tensor, *, axes: Axes, where: Array | None = None) -> Tensor:
    """The maximum; of nothing the least number that there is, of one element that element.

    Args:
        ar: the arithmetic.
        x: data or exact values.
        axes: the axes to reduce.
        where: the elements of data that take part; all by default.
    """
    if ar.is_data(x):
        count = int(np.prod([x.shape[a] for a in axes], dtype=np.int64))
        if count == 1 and where is None:
            return x
        if not count:
            shape = [1 if axis in axes else n for axis, n in enumerate(x.shape)]
            return ar.constant(np.full(shape, -np.inf))
        return ar.largest(x, axes, where)
    return np.max(x, axis=axes, keepdims=True, initial=_bounds(x)[0])


def smallest(ar: Arithmetic, x: Tensor, *, axes: Axes) -> Tensor:
    """The minimum; of nothing the largest number that there is."""
    if ar.is_data(x):
        return ar.neg(largest(ar, ar.neg(x), axes=axes))
    return np.min(x, axis=axes, keepdims=True, initial=_bounds(x)[1])


def _bounds(x: Array) -> tuple[Any, Any]:
    if x.dtype.kind == "b":
        return False, True
    limits = np.iinfo(x.dtype)
    return limits.min, limits.max


def sum_of_squares(ar: Arithmetic, x: Tensor, *, axes: Axes) -> Tensor:
    """The sum of squares over axes, which stay with size 1."""
    return total(ar, square(ar, x), axes=axes)


def l1(ar: Arithmetic, x: Tensor, *, axes: Axes) -> Tensor:
    """The sum of absolute values over axes."""
    return total(ar, absolute(ar, x), axes=axes)


def l2(ar: Arithmetic, x: Tensor, *, axes: Axes) -> Tensor:
    """The root of the sum of squares over axes."""
    return ar.function("Sqrt", sum_of_squares(ar, x, axes=axes))


def log_sum(ar: Arithmetic, x: Tensor, *, axes: Axes) -> Tensor:
    """The logarithm of the sum over axes."""
    return ar.function("Log", ar.total(x, axes))


def log_sum_exp(ar: Arithmetic, x: Tensor, *, axes: Axes) -> Tensor:
    """The logarithm of the sum of exponentials over axes."""
    return ar.log_sum_exp(x, axes)


def moments(
    ar: Arithmetic, x: Tensor, *, axes: Axes, correction: float = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """The mean, ``x`` without it, and the variance.

    Args:
        ar: the arithmetic.
        x: data.
        axes: the axes to reduce.
        correction: what is subtracted from the number of elements that the variance divides by.
    """
    centre = ar.mean(x, axes)
    centred = ar.sub(x, centre)
    squares = ar.mul(centred, centred)
    if not correction:
        return centre, centred, ar.mean(squares, axes)
    count = int(np.prod([x.shape[a] for a in axes], dtype=np.int64))
    share = ar.reciprocal(ar.constant(count - correction))
    return centre, centred, ar.mul(ar.total(squares, axes), share)


def running_sum(
    ar: Arithmetic,
    x: Tensor,
    *,
    axis: int,
    reverse: bool = False,
    exclusive: bool = False,
    dtype: Any = None,
) -> Tensor:
    """Sums of all elements up to each along ``axis``; without it where ``exclusive``."""
    turned = move(ar, lambda a: np.flip(a, axis), x) if reverse else x
    if ar.is_data(x):
        out = ar.running(turned, axis)
        out = ar.sub(out, turned) if exclusive else out
    else:
        out = np.cumsum(turned, axis, dtype=dtype or x.dtype)
        out = out - turned if exclusive else out
    return move(ar, lambda a: np.flip(a, axis), out) if reverse else out


# Norms.


def affine(ar: Arithmetic, x: Tensor, scale: Tensor | None, bias: Tensor | None) -> Tensor:
    """``x * scale + bias``, without what is absent."""
    x = x if scale is None else ar.mul(x, scale)
    return x if bias is None else ar.add(x, bias)


def per_channel(ar: Arithmetic, vector: Tensor | None, *, rank: int) -> Tensor | None:
    """A vector (C,) as (C, 1, ..., 1), to broadcast over axis 1 of a tensor of ``rank``."""
    if vector is None:
        return None
    return ar.move(lambda a: a.reshape(-1, *[1] * (rank - 2)), vector)


def _affine_channels(
    ar: Arithmetic, x: Tensor, scale: Tensor | None, bias: Tensor | None
) -> Tensor:
    return affine(ar, x, per_channel(ar, scale, rank=x.ndim), per_channel(ar, bias, rank=x.ndim))


def root_of(ar: Arithmetic, square: Tensor, *, epsilon: float) -> Tensor:
    """``sqrt(square + epsilon)``: what norms divide by."""
    return ar.function("Sqrt", ar.add(square, ar.constant(epsilon)))


def standardize(ar: Arithmetic, x: Tensor, *, axes: Axes, epsilon: float) -> Tensor:
    """``(x - mean) / sqrt(variance + epsilon)`` over ``axes``."""
    _, centred, variance = moments(ar, x, axes=axes)
    return ar.div(centred, root_of(ar, variance, epsilon=epsilon))


def layer_norm(
    ar: Arithmetic,
    x: Tensor,
    scale: Tensor | None = None,
    bias: Tensor | None = None,
    *,
    axes: Axes,
    epsilon: float,
) -> Tensor:
    """Standardized over the last axes; ``scale`` and ``bias`` broadcast against ``x``."""
    return affine(ar, standardize(ar, x, axes=axes, epsilon=epsilon), scale, bias)


def rms_norm(
    ar: Arithmetic, x: Tensor, scale: Tensor | None = None, *, axes: Axes, epsilon: float
) -> Tensor:
    """``x / sqrt(mean(x^2) + epsilon) * scale``."""
    root = root_of(ar, ar.mean(ar.mul(x, x), axes), epsilon=epsilon)
    return affine(ar, ar.div(x, root), scale, None)


def batch_norm(
    ar: Arithmetic,
    x: Tensor,
    scale: Tensor | None,
    bias: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    *,
    epsilon: float,
) -> Tensor:
    """``x`` (N, C, ...) by the statistics (C,) given."""
    root = root_of(ar, per_channel(ar, variance, rank=x.ndim), epsilon=epsilon)
    centred = ar.sub(x, per_channel(ar, mean, rank=x.ndim))
    return _affine_channels(ar, ar.div(centred, root), scale, bias)


def instance_norm(
    ar: Arithmetic, x: Tensor, scale: Tensor | None, bias: Tensor | None, *, epsilon: float
) -> Tensor:
    """``x`` (N, C, ...) standardized in each channel."""
    out = standardize(ar, x, axes=tuple(range(2, x.ndim)), epsilon=epsilon)
    return _affine_channels(ar, out, scale, bias)


def group_norm(
    ar: Arithmetic,
    x: Tensor,
    scale: Tensor | None,
    bias: Tensor | None,
    *,
    groups: int,
    epsilon: float,
) -> Tensor:
    """``x`` (N, C, ...) standardized in each group of channels; parameters are (C,)."""
    split = ar.move(lambda a: a.reshape(a.shape[0], groups, -1), x)
    out = standardize(ar, split, axes=(2,), epsilon=epsilon)
    return _affine_channels(ar, ar.move(lambda a: a.reshape(x.shape), out), scale, bias)


# Softmax and its relatives.


def softmax(ar: Arithmetic, x: Tensor, *, axis: int) -> Tensor:
    """Exponentials along an axis, divided by their sum."""
    return ar.softmax(x, axis)


def log_softmax(ar: Arithmetic, x: Tensor, *, axis: int) -> Tensor:
    """The logarithm of a softmax."""
    return ar.log_softmax(x, axis)


def behind(ar: Arithmetic, x: Tensor, *, axis: int, kernel: Kernel) -> Tensor:
    """``kernel``, a softmax or its logarithm, over ``axis`` and all behind it as one."""
    rows = int(np.prod(x.shape[:axis], dtype=np.int64))
    flat = kernel(ar, ar.move(lambda a: a.reshape(rows, -1), x), axis=1)
    return ar.move(lambda a: a.reshape(x.shape), flat)


def safe_softmax(ar: Arithmetic, x: Tensor, *, axis: int) -> Tensor:
    """A softmax in which lines of nothing but minus infinity give 0."""
    out = ar.softmax(x, axis)
    return where(ar, is_nan(ar, out), ar.constant(0.0), out)


def hardmax(ar: Arithmetic, x: Tensor, *, axis: int) -> Tensor:
    """1 at the first of the largest elements, 0 elsewhere."""
    place = extremum_place(ar, x, axis=axis, largest=True)
    turned = [-1 if a == axis % x.ndim else 1 for a in range(x.ndim)]
    places = np.arange(x.shape[axis]).reshape(turned)
    return as_type(data(ar, compare(ar, place, places, relation="==")), REAL)


# Order.


def extremum_place(
    ar: Arithmetic,
    x: Tensor,
    *,
    axis: int,
    largest: bool,
    last: bool = False,
    nan_wins: bool = False,
) -> Tensor:
    """Where along ``axis`` an extremum lies; the axis stays, as size 1.

    Args:
        ar: the arithmetic.
        x: data or exact values.
        axis: the axis.
        largest: the maximum is wanted, not the minimum.
        last: the last of equal ones, not the first.
        nan_wins: what is no number is the extremum, whichever is wanted.
    """

    def place(values: Array) -> Array:
        key = _ranks(values, descending=True)
        if nan_wins and values.dtype.kind == "f":
            key = np.where(np.isnan(values), -key.size - 1, key)
        if last:
            return np.asarray(key.shape[-1] - 1 - np.argmin(key[..., ::-1], -1), np.int64)
        return np.asarray(np.argmin(key, -1), np.int64)

    # The least is the largest of the negative; integers have no negative of their least one.
    if ar.is_data(x):
        x = x if largest else ar.neg(x)
    elif not largest:
        x = -_ranks(np.asarray(x), descending=False)
    lines = move(ar, lambda a: np.moveaxis(a, axis, -1), x)
    if not ar.is_data(lines):
        return np.expand_dims(place(lines), axis)
    # A number that is added to all moves no extremum.
    centred = ar.sub(lines, ar.mean(lines, (lines.ndim - 1,)))
    known = ar.known(lines)
    operand = lines if known is not None else centred
    name = f"place of the largest, {'last' if last else 'first'}"
    out = ar.opaque(name, place, operand, core=(1,), dtype=np.dtype(np.int64))
    return move(ar, lambda a: np.expand_dims(a, axis), out)


def _ranks(values: Array, *, descending: bool) -> Array:
    """Numbers in the order of ``values``, equal for equal ones; NaN is larger than all numbers."""
    rank = np.unique(values, return_inverse=True)[1].reshape(values.shape)
    return -rank if descending else rank


def sorted_places(
    ar: Arithmetic, x: Tensor, *, axis: int, descending: bool, count: int | None = None
) -> tuple[Tensor, Tensor]:
    """The first ``count`` elements in order along ``axis``, and their places.

    Of equal elements the first comes first.
    """
    most: int = x.shape[axis] if count is None else count
    lines = move(ar, lambda a: np.moveaxis(a, axis, -1), x)

    def places(values: Array) -> Array:
        order = np.argsort(_ranks(values, descending=descending), axis=-1, kind="stable")
        return order[..., :most].astype(np.int64)

    def elements(values: Array) -> Array:
        return np.take_along_axis(values, places(values), -1)

    def back(a: Array) -> Array:
        return np.moveaxis(a, -1, axis)

    if not ar.is_data(lines) or ar.known(lines) is not None:
        real = np.asarray(ar.known(lines))
        if real.size <= 1 << 24:
            place = places(real)
            ordered = move(ar, lambda a: np.take_along_axis(a, place, -1), lines)
            return move(ar, back, ordered), back(place)
    order = f"{'descending' if descending else 'ascending'} order"
    shape = (most,)
    values = ar.opaque(
        f"values in {order}", elements, lines, core=(1,), shape=shape, dtype=lines.dtype
    )
    found = ar.opaque(
        f"places in {order}", places, lines, core=(1,), shape=shape, dtype=np.dtype(np.int64)
    )
    return move(ar, back, values), move(ar, back, found)
