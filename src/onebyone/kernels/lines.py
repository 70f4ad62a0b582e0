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
from onebyone.kernels.elementwise import Kernel, absolute, is_nan, square, where
from onebyone.kernels.operands import move

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
    place = np.expand_dims(np.argmax(ar.keys(x)[0], axis), axis)
    hot = np.zeros(x.shape)
    np.put_along_axis(hot, place, 1.0, axis)
    return ar.constant(hot)


# Order.


def ranks(ar: Arithmetic, x: Tensor, *, descending: bool) -> Array:
    """Numbers in the order of the values of ``x``; equal ones for equal values.

    What is no number counts as larger than all numbers.
    """
    key = ar.keys(x)[0] if ar.is_data(x) else np.asarray(x)
    rank = np.unique(key, return_inverse=True)[1].reshape(key.shape)
    return -rank if descending else rank


def extremum_place(
    ar: Arithmetic,
    x: Tensor,
    *,
    axis: int,
    largest: bool,
    last: bool = False,
    nan_wins: bool = False,
) -> Array:
    """Where along ``axis`` an extremum lies; the axis stays, as size 1.

    Args:
        ar: the arithmetic.
        x: data or exact values.
        axis: the axis.
        largest: the maximum is wanted, not the minimum.
        last: the last of equal ones, not the first.
        nan_wins: what is no number is the extremum, whichever is wanted.
    """
    key = ranks(ar, x, descending=largest)
    if nan_wins:
        key = np.where(is_nan(ar, x), -key.size, key)
    if last:
        place = x.shape[axis] - 1 - np.argmin(np.flip(key, axis), axis)
    else:
        place = np.argmin(key, axis)
    return np.expand_dims(np.asarray(place, np.int64), axis)


def sorted_places(
    ar: Arithmetic, x: Tensor, *, axis: int, descending: bool, count: int | None = None
) -> tuple[Tensor, Array]:
    """The first ``count`` elements in order along ``axis``, and their places."""
    place = np.argsort(ranks(ar, x, descending=descending), axis=axis, kind="stable")
    if count is not None:
        place = np.take(place, range(count), axis)
    return move(ar, lambda a: np.take_along_axis(a, place, axis), x), place.astype(np.int64)
