"""Elements between elements: images read at places, and windows laid on each other."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from onebyone.kernels.arithmetic import Arithmetic, Array, Tensor

# The coefficient of cubic samples.
_CUBIC = -0.75


@dataclass(frozen=True)
class Sampling:
    """How an image is read between its elements.

    Attributes:
        mode: ``nearest``, ``linear`` or ``cubic``.
        padding: what lies outside: ``zeros``, ``border`` or ``reflection``.
        corners: -1 and 1 are the centres of the first and last element, not their outer edges.
    """

    mode: str
    padding: str
    corners: bool


def grid_sample(ar: Arithmetic, x: Tensor, grid: Tensor, plan: Sampling) -> Tensor:
    """``x`` (N, C, *size) at the places (N, *out, rank) of a grid, (N, C, *out).

    Places run from -1 to 1, those along the last axis first. Where they are known the result is a
    sum of products; else it is a function of image and place of which nothing is known.
    """
    batch, channels, *size = x.shape
    out = grid.shape[1:-1]
    count = int(np.prod(out, dtype=np.int64))
    places = ar.known(grid)
    if places is not None:
        table = _table(places.reshape(batch, count, len(size)), size, plan)
        flat = ar.move(lambda a: a.reshape(batch, channels, -1), x)
        return ar.move(
            lambda a: a.reshape(batch, channels, *out), ar.matmul(flat, ar.constant(table))
        )

    def sample(image: Array, place: Array) -> Array:
        table = _table(place.reshape(batch, count, len(size)), size, plan)
        return np.matmul(image.reshape(batch, channels, -1), table)

    read = ar.opaque(
        f"GridSample {plan.mode} {plan.padding} {plan.corners}", sample,
        ar.move(lambda a: a.reshape(batch, channels, 1, *size), x),
        ar.move(lambda a: a.reshape(batch, 1, count, len(size)), grid),
        core=(len(size), 1),
    )  # fmt: skip
    return ar.move(lambda a: a.reshape(batch, channels, *out), read)


def _table(grid: Array, size: Sequence[int], plan: Sampling) -> Array:
    """(N, elements of the image, places): how much of each element is read at each place."""
    batch, count, _ = grid.shape
    axes = [_taps(grid[..., -1 - axis], length, plan) for axis, length in enumerate(size)]
    table = np.zeros((batch, int(np.prod(size)), count))
    rows, columns = np.indices((batch, count))
    for taps in itertools.product(*axes):
        index = np.ravel_multi_index([place for place, _ in taps], tuple(size))
        weight = np.prod([share for _, share in taps], axis=0)
        np.add.at(table, (rows, index, columns), weight)
    return table


def _taps(grid: Array, length: int, plan: Sampling) -> list[tuple[Array, Array]]:
    """Elements of one axis that are read, and their weights."""
    if plan.corners:
        place, low, high = (grid + 1) / 2 * (length - 1), 0.0, length - 1.0
    else:
        place, low, high = ((grid + 1) * length - 1) / 2, -0.5, length - 0.5
    if plan.mode != "cubic":
        place = _within(place, length, low, high, plan)
    if plan.mode == "nearest":
        taps = [(np.rint(place), np.ones_like(place))]
    elif plan.mode == "linear":
        base = np.floor(place)
        taps = [(base, base + 1 - place), (base + 1, place - base)]
    else:
        base = np.floor(place)
        taps = [(base + i, _cubic(np.abs(place - base - i))) for i in (-1, 0, 1, 2)]
    found: list[tuple[Array, Array]] = []
    for column, weight in taps:
        column = _within(column, length, low, high, plan)
        inside = (column >= 0) & (column <= length - 1)
        index = np.clip(column, 0, length - 1).astype(np.int64)
        found.append((index, weight * inside))
    return found


def _within(place: Array, length: int, low: float, high: float, plan: Sampling) -> Array:
    """Places beyond the border where the padding finds them."""
    if plan.padding == "border":
        return np.clip(place, 0, length - 1)
    if plan.padding == "reflection":
        span = high - low
        if not span:
            return np.zeros_like(place)
        turned = np.mod(place - low, 2 * span)
        inner = np.minimum(turned, 2 * span - turned) + low
        outside = (place < low) | (place > high)
        return np.where(outside, inner, place)
    return place


def _cubic(t: Array) -> Array:
    a = _CUBIC
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    return np.where(t <= 1, near, np.where(t < 2, far, 0.0))


def overlaid(
    ar: Arithmetic,
    x: Tensor,
    *,
    size: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    pads: Sequence[tuple[int, int]],
) -> Tensor:
    """The image (N, C, *size) of which ``x`` (N, C * elements of a window, windows) is the sum.

    The inverse of reading windows, but for elements that lie in several.
    """
    batch, depth, _ = x.shape
    elements = int(np.prod(kernel))
    padded = [n + sum(p) for n, p in zip(size, pads, strict=True)]
    counts = [
        (n - (k - 1) * d - 1) // s + 1
        for n, k, s, d in zip(padded, kernel, strides, dilations, strict=True)
    ]
    shape = (batch, depth // elements, elements, *counts)
    total: Tensor = None
    for number, offset in enumerate(np.ndindex(*kernel)):
        where = tuple(
            slice(o * d, o * d + (c - 1) * s + 1, s)
            for o, d, c, s in zip(offset, dilations, counts, strides, strict=True)
        )

        def lay(a: Array, number: int = number, where: tuple[slice, ...] = where) -> Array:
            part = a.reshape(shape)[:, :, number]
            canvas = np.zeros((*part.shape[:2], *padded), a.dtype)
            canvas[(slice(None), slice(None), *where)] = part
            return canvas

        part = ar.move(lay, x)
        total = part if total is None else ar.add(total, part)
    inner = tuple(slice(low, low + n) for n, (low, _) in zip(size, pads, strict=True))
    return ar.move(lambda a: a[(slice(None), slice(None), *inner)], total)


def max_pool_places(
    ar: Arithmetic,
    x: Tensor,
    *,
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    pads: Sequence[tuple[int, int]],
) -> tuple[Array, Array]:
    """For each window, which elements of an image it reads, by their numbers in row-major order.

    Returns:
        The numbers, (windows, elements of a window), an element beyond the border replaced by the
        window's first that is not; and the number of windows along each axis.
    """
    size = x.shape[2:]
    axes: list[Array] = []
    for n, k, s, d, (low, high) in zip(size, kernel, strides, dilations, pads, strict=True):
        count = (n + low + high - (k - 1) * d - 1) // s + 1
        axes.append(np.arange(count)[:, None] * s + np.arange(k) * d - low)
    counts = np.array([len(axis) for axis in axes])
    rank = len(axes)
    grids: list[Array] = []
    for axis, places in enumerate(axes):
        shape = [1] * (2 * rank)
        shape[axis], shape[rank + axis] = places.shape
        grids.append(np.broadcast_to(places.reshape(shape), (*counts, *kernel)))
    inside = np.all([(g >= 0) & (g < n) for g, n in zip(grids, size, strict=True)], axis=0)
    number = np.ravel_multi_index(
        [np.clip(g, 0, n - 1) for g, n in zip(grids, size, strict=True)], tuple(size)
    )
    windows = int(np.prod(counts))
    flat, real = number.reshape(windows, -1), inside.reshape(windows, -1)
    first = np.take_along_axis(flat, real.argmax(axis=1)[:, None], 1)
    return np.where(real, flat, first), counts
