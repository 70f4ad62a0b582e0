"""Selecting, joining and placing elements: the same for data and for exact values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from onebyone.kernels.arithmetic import Arithmetic, Array, Tensor
from onebyone.kernels.element import REAL
from onebyone.kernels.elementwise import as_type, compare, logical, where
from onebyone.kernels.operands import check_size, data, move

_PAD_MODES = {"edge", "reflect", "wrap"}


def reshaped(ar: Arithmetic, x: Tensor, *, shape: Sequence[int]) -> Tensor:
    """The same elements in row-major order."""
    return move(ar, lambda a: a.reshape(tuple(shape)), x)


def transposed(ar: Arithmetic, x: Tensor, *, order: Sequence[int]) -> Tensor:
    """Position i of the result is position ``order[i]``."""
    return move(ar, lambda a: a.transpose(tuple(order)), x)


def expanded(ar: Arithmetic, x: Tensor, *, shape: Sequence[int]) -> Tensor:
    """Broadcasting, written out."""
    check_size(shape)
    return move(ar, lambda a: np.broadcast_to(a, tuple(shape)), x)


def tiled(ar: Arithmetic, x: Tensor, *, times: Sequence[int]) -> Tensor:
    """``x`` repeated as a whole; leading axes are added where ``times`` names more."""
    shape = (1,) * (len(times) - x.ndim) + tuple(x.shape)
    check_size([n * t for n, t in zip(shape, times, strict=True)])
    return move(ar, lambda a: np.tile(a.reshape(shape), tuple(times)), x)


def repeated(ar: Arithmetic, x: Tensor, *, times: int, axis: int | None) -> Tensor:
    """Each element of ``axis`` repeated; of ``x`` flattened where there is no axis."""
    check_size([*x.shape, times])
    return move(ar, lambda a: np.repeat(a, times, axis), x)


def filled(ar: Arithmetic, value: Tensor, *, shape: Sequence[int]) -> Tensor:
    """A tensor that is ``value``, of one element, everywhere."""
    check_size(shape)
    return move(ar, lambda a: np.broadcast_to(a.reshape(()), tuple(shape)), value)


def concatenated(ar: Arithmetic, *xs: Tensor, axis: int) -> Tensor:
    """Operands side by side along an axis."""
    return move(ar, lambda *arrays: np.concatenate(arrays, axis), *xs)


def stacked(ar: Arithmetic, *xs: Tensor, axis: int) -> Tensor:
    """Operands along a new axis."""
    return move(ar, lambda *arrays: np.stack(arrays, axis), *xs)


def cut(ar: Arithmetic, x: Tensor, *, axis: int, index: slice) -> Tensor:
    """A slice of one axis."""
    return move(ar, lambda a: a[(*[slice(None)] * (axis % a.ndim), index)], x)


def split(ar: Arithmetic, x: Tensor, *, axis: int, sizes: Sequence[int]) -> tuple[Tensor, ...]:
    """``x`` in consecutive parts of ``axis``.

    Raises:
        ValueError: the sizes do not add up.
    """
    if sum(sizes) != x.shape[axis]:
        raise ValueError(f"split {list(sizes)} of an axis of size {x.shape[axis]}")
    ends = [int(n) for n in np.cumsum(sizes)]
    return tuple(
        cut(ar, x, axis=axis, index=slice(end - size, end))
        for end, size in zip(ends, sizes, strict=True)
    )


def even_parts(size: int, step: int) -> list[int]:
    """Sizes of parts of ``step`` elements, the last one smaller."""
    return [min(step, size - i) for i in range(0, size, step)] if size else [0]


def rolled(ar: Arithmetic, x: Tensor, *, shifts: Sequence[int], axes: Sequence[int]) -> Tensor:
    """``x`` rotated along ``axes``; as one row where there are none."""
    if not axes:
        return move(ar, lambda a: np.roll(a, shifts[0]), x)
    return move(ar, lambda a: np.roll(a, tuple(shifts), tuple(axes)), x)


def flipped(ar: Arithmetic, x: Tensor, *, axes: Sequence[int]) -> Tensor:
    """The elements along some axes in reverse."""
    return move(ar, lambda a: np.flip(a, tuple(axes)), x)


def triangle(ar: Arithmetic, x: Tensor, *, upper: bool, diagonal: int) -> Tensor:
    """The lower or upper triangle of the last two axes, zeros elsewhere."""
    fn = np.triu if upper else np.tril
    return move(ar, lambda a: fn(a, diagonal), x)


# Indices.


def checked(index: Any, size: int) -> Array:
    """Indices as non-negative numbers.

    Raises:
        IndexError: one is out of range for an axis of ``size``.
    """
    whole = np.asarray(index, np.int64)
    if whole.size and not (-size <= whole.min() and whole.max() < size):
        raise IndexError(f"an index is out of range for an axis of size {size}")
    return np.where(whole < 0, whole + size, whole)


def take(ar: Arithmetic, x: Tensor, index: Any, *, axis: int) -> Tensor:
    """Whole slices of ``axis``, by an index of any shape.

    Args:
        ar: the arithmetic.
        x: the table.
        index: integers; negative ones count from the end.
        axis: the axis that is looked up.
    """
    if ar.is_data(index):
        return ar.picked(x, index, axis)
    where = checked(index, x.shape[axis])
    return move(ar, lambda a: np.take(a, where, axis), x)


def take_elements(ar: Arithmetic, x: Tensor, index: Any, *, axis: int) -> Tensor:
    """Single elements along ``axis``, one for each element of ``index``."""
    if ar.is_data(index):
        return _chosen(ar, x, index, axis=axis)
    where = along(checked(index, x.shape[axis]), axis)
    return move(ar, lambda a: a[where], x)


def _chosen(ar: Arithmetic, x: Tensor, index: Tensor, *, axis: int) -> Tensor:
    """`take_elements` by an index that data decides: a sum over all that might be chosen."""
    rows = x.shape[axis]
    check_size([index.size, rows])
    last = move(
        ar, lambda a: np.moveaxis(a, axis, -1)[..., None, :], index_space(ar, x, index, axis)
    )
    where = move(ar, lambda a: np.moveaxis(a, axis, -1)[..., None], index)
    here = compare(ar, where, np.arange(rows), relation="==")
    behind = compare(ar, where, np.arange(rows) - rows, relation="==")
    hot = ar.add(as_type(data(ar, here), REAL), as_type(data(ar, behind), REAL))
    out = ar.total(ar.mul(hot, as_type(data(ar, last), REAL)), (where.ndim - 1,))
    placed = ar.move(lambda a: np.moveaxis(a[..., 0], -1, axis), out)
    return as_type(placed, x.dtype) if x.dtype.kind in "biu" else placed


def index_space(ar: Arithmetic, x: Tensor, index: Tensor, axis: int) -> Tensor:
    """The part of ``x`` that an index along ``axis`` can reach: other axes as long as its own."""
    part = tuple(slice(None) if a == axis % x.ndim else slice(n) for a, n in enumerate(index.shape))
    return move(ar, lambda a: a[part], x)


def along(index: Array, axis: int) -> tuple[Array, ...]:
    """An index along one axis as one for all axes."""
    grid: list[Array] = list(np.indices(index.shape, sparse=True))
    grid[axis] = index
    return tuple(np.broadcast_arrays(*grid))


def take_nested(ar: Arithmetic, x: Tensor, index: Any, *, batch: int) -> Tensor:
    """Slices by tuples of indices, which are the last axis of ``index``; ``batch`` axes are shared.

    ``x`` is (*batch, *rest), ``index`` (*batch, ..., depth).
    """
    if ar.is_data(index) and not batch and index.shape[-1] == 1:
        return ar.picked(x, ar.move(lambda a: a[..., 0], index), 0)
    lead = tuple(x.shape[:batch])
    flat = np.asarray(index).reshape(-1, *index.shape[batch:])

    def pick(a: Array) -> Array:
        rows = a.reshape(len(flat), *a.shape[batch:])
        parts = [r[tuple(np.moveaxis(i, -1, 0))] for r, i in zip(rows, flat, strict=True)]
        return np.stack(parts).reshape(*lead, *parts[0].shape)

    return move(ar, pick, x)


def put(ar: Arithmetic, x: Tensor, updates: Tensor, *, index: tuple[Array, ...]) -> Tensor:
    """``x`` with ``updates`` at ``index``."""

    def place(a: Array, u: Array) -> Array:
        out = a.copy()
        out[index] = u
        return out

    return move(ar, place, x, updates)


def put_rows(ar: Arithmetic, x: Tensor, updates: Tensor, index: Tensor) -> Tensor:
    """``x`` with rows of its first axis replaced one after the other, where data says.

    ``index`` is (N,), ``updates`` (N, *rest).
    """
    check_size([index.size, *x.shape])
    rows = np.arange(x.shape[0])
    turned = (-1, *[1] * (x.ndim - 1))
    for n in range(index.size):
        one = ar.move(lambda a, n=n: a.reshape(-1)[n : n + 1], index)
        here = [compare(ar, one, places, relation="==") for places in (rows, rows - len(rows))]
        hot = ar.logical("or", *here)
        row = move(ar, lambda a, n=n: a[n : n + 1], updates)
        x = where(ar, ar.move(lambda a: a.reshape(turned), hot), row, x)
    return x


def one_hot(ar: Arithmetic, index: Tensor, values: Tensor, *, depth: int, axis: int) -> Tensor:
    """``values`` (off, on): on where a new ``axis`` of size ``depth`` is at ``index``."""
    rank = index.ndim + 1
    places = np.arange(depth).reshape([-1 if i == axis % rank else 1 for i in range(rank)])
    whole = move(ar, lambda a: np.expand_dims(a, axis), index)
    here = compare(ar, whole, places, relation="==")
    behind = compare(ar, whole, places - depth, relation="==")
    hot = logical(ar, here, behind, name="or")
    off, on = (move(ar, lambda v, n=n: v[n], values) for n in (0, 1))
    return where(ar, hot, on, off)


def pad(
    ar: Arithmetic,
    x: Tensor,
    value: Tensor | None = None,
    *,
    pads: Sequence[tuple[int, int]],
    mode: str = "constant",
) -> Tensor:
    """``x`` with elements before and after each axis; negative numbers crop.

    Args:
        ar: the arithmetic.
        x: the tensor.
        value: of one element, in the mode ``constant``.
        pads: (before, after) of each axis.
        mode: ``constant``, or numpy's ``edge``, ``reflect`` or ``wrap``.

    Raises:
        ValueError: an unknown mode.
    """
    crop = tuple(
        slice(max(-low, 0), n - max(-high, 0)) for n, (low, high) in zip(x.shape, pads, strict=True)
    )
    around = [(max(low, 0), max(high, 0)) for low, high in pads]
    check_size([n + low + high for n, (low, high) in zip(x.shape, around, strict=True)])
    if mode == "constant":
        assert value is not None
        inside = np.pad(np.ones(x.shape, bool)[crop], around)

        def fill(a: Array, v: Array) -> Array:
            return np.where(inside, np.pad(a[crop], around), v.reshape(()))

        return move(ar, fill, x, value)
    if mode not in _PAD_MODES:
        raise ValueError(f"padding by {mode!r}")
    spread: Callable[..., Array] = np.pad
    return move(ar, lambda a: spread(a[crop], around, mode=mode), x)


def reversed_rows(
    ar: Arithmetic, x: Tensor, lengths: Any, *, time_axis: int, batch_axis: int
) -> Tensor:
    """The first ``lengths[i]`` elements along time of each sample, in reverse."""

    def turn(a: Array) -> Array:
        out = np.moveaxis(a.copy(), (batch_axis, time_axis), (0, 1))
        for row, length in zip(out, np.asarray(lengths), strict=True):
            row[:length] = row[:length][::-1].copy()
        return np.moveaxis(out, (0, 1), (batch_axis, time_axis))

    return move(ar, turn, x)
