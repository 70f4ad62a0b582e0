"""Resizing as one matrix per axis, after the ``Resize`` operator of ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from onebyone.kernels.arithmetic import Arithmetic, Array, Tensor
from onebyone.kernels.errors import UnsupportedError
from onebyone.kernels.operands import move

_MODES = frozenset({"nearest", "linear", "cubic"})
_COORDINATES = frozenset(
    "align_corners asymmetric half_pixel half_pixel_symmetric pytorch_half_pixel "
    "tf_crop_and_resize".split()
)


@dataclass(frozen=True)
class Resize:
    """How to resize; values as those of ONNX's ``Resize``.

    Attributes:
        mode: ``nearest``, ``linear`` or ``cubic``.
        coordinates: how places of the result lie among those of the operand.
        nearest: how a place is rounded in the mode ``nearest``.
        cubic: the coefficient of the mode ``cubic``.
        exclude_outside: elements beyond the border have no weight.
        antialias: a smaller result is smoothed.
        policy: what becomes of sizes that would change the aspect ratio.
        single: places that are rounded are computed in float32, and lengths from scales, too.
        fill: what lies outside of an operand that is cropped.
    """

    mode: str
    coordinates: str
    nearest: str
    cubic: float
    exclude_outside: bool
    antialias: bool
    policy: str
    single: bool = False
    fill: float = 0.0


# The part of an axis that is cropped, as shares of its length; all of it.
_WHOLE = (0.0, 1.0)


def resize(
    ar: Arithmetic,
    x: Tensor,
    plan: Resize,
    axes: Sequence[int],
    *,
    scales: Array | None,
    sizes: Array | None,
    crops: Sequence[tuple[float, float]] | None = None,
) -> Tensor:
    """Resize ``axes`` of ``x`` by ``scales`` or to ``sizes``.

    Args:
        ar: the arithmetic.
        x: data; exact values, too, where elements are only selected.
        plan: how.
        axes: the axes.
        scales: of each axis.
        sizes: of each axis.
        crops: where each axis begins and ends, as shares of its length, in the coordinates
            ``tf_crop_and_resize``.

    Raises:
        UnsupportedError: a way to resize that is not known here.
    """
    known = plan.coordinates in _COORDINATES and plan.mode in _MODES
    if not known or (plan.antialias and plan.mode == "nearest"):
        raise UnsupportedError(f"{plan.mode} resize of {plan.coordinates} coordinates")
    if plan.mode != "nearest" and not ar.is_data(x):
        raise UnsupportedError(f"{plan.mode} resize of integers")
    cropped = plan.coordinates == "tf_crop_and_resize"
    if cropped and (crops is None or plan.antialias or plan.policy != "stretch"):
        raise UnsupportedError("a resize that crops, without a region or in a special way")
    parts = list(crops or ()) if cropped else [_WHOLE] * len(axes)
    lengths, factors = _targets(x.shape, plan, axes, scales, sizes)
    inside = np.ones((), bool)
    for axis, length, factor, part in zip(axes, lengths, factors, parts, strict=True):
        size = x.shape[axis]
        if length == size and factor == 1.0 and part == _WHOLE:
            continue

        def last(a: Array, axis: int = axis) -> Array:
            return np.moveaxis(a, axis, -1)

        def back(a: Array, axis: int = axis) -> Array:
            return np.moveaxis(a, -1, axis)

        table = matrix(size, length, factor, plan, part)
        if plan.mode == "nearest":
            index = table.argmax(axis=1)
            x = move(ar, lambda a, index=index, axis=axis: np.take(a, index, axis), x)
        else:
            x = ar.move(back, ar.matmul(ar.move(last, x), ar.constant(table.T)))
        if cropped:
            place = _coordinates(size, length, factor, plan, part)
            within = (place >= 0) & (place <= size - 1)
            inside = inside & within.reshape([-1 if a == axis else 1 for a in range(x.ndim)])
    if bool(np.all(inside)):
        return x
    fill = ar.constant(plan.fill) if ar.is_data(x) else np.asarray(plan.fill).astype(x.dtype)
    return move(ar, lambda a, b: np.where(inside, a, b), x, fill)


def _targets(
    shape: Sequence[int],
    plan: Resize,
    axes: Sequence[int],
    scales: Array | None,
    sizes: Array | None,
) -> tuple[list[int], list[float]]:
    """The lengths of the axes, and their scales."""
    if scales is not None:
        exact = [float(s) for s in scales]
        # The runtime scales the whole length, where an operand is cropped, too.
        lengths = [_length(shape[a], s, plan) for a, s in zip(axes, exact, strict=True)]
        return lengths, [
            _ratio(n, shape[a], s) if plan.single else s
            for a, n, s in zip(axes, lengths, exact, strict=True)
        ]
    if sizes is None:
        raise ValueError("Resize has neither scales nor sizes")
    lengths = [int(n) for n in sizes]
    factors = [n / shape[a] for a, n in zip(axes, lengths, strict=True)]
    if plan.policy != "stretch":
        factor = min(factors) if plan.policy == "not_larger" else max(factors)
        lengths = [int(np.floor(factor * shape[a] + 0.5)) for a in axes]
        factors = [factor] * len(lengths)
    return lengths, factors


def _length(size: int, scale: float, plan: Resize) -> int:
    product = np.float32(size) * np.float32(scale) if plan.single else size * scale
    return int(np.floor(product))


def _ratio(length: int, size: int, scale: float) -> float:
    """A scale, or the quotient of lengths that it is the rounded form of."""
    quotient = length / size
    return quotient if np.float32(quotient) == np.float32(scale) else scale


def matrix(
    size: int, length: int, scale: float, plan: Resize, part: tuple[float, float] = _WHOLE
) -> Array:
    """The ``(length, size)`` matrix that resizes one axis."""
    place = _coordinates(size, length, scale, plan, part)
    table = np.zeros((length, size))
    rows = np.arange(length)
    if plan.mode == "nearest":
        table[rows, np.clip(_nearest(place, plan.nearest, scale), 0, size - 1)] = 1.0
        return table
    # A smaller result is smoothed over as many elements as become one.
    stretch = max(1.0 / scale, 1.0) if plan.antialias else 1.0
    reach = (1.0 if plan.mode == "linear" else 2.0) * stretch
    first = np.floor(place - reach + 1.0).astype(np.int64)
    for offset in range(int(np.ceil(2 * reach)) + 1):
        column = first + offset
        weight = _weight((column - place) / stretch, plan)
        if plan.exclude_outside:
            weight = np.where((column >= 0) & (column < size), weight, 0.0)
        np.add.at(table, (rows, np.clip(column, 0, size - 1)), weight)
    if plan.exclude_outside or plan.antialias:
        table /= table.sum(axis=1, keepdims=True)
    return table


def _coordinates(
    size: int, length: int, scale: float, plan: Resize, part: tuple[float, float]
) -> Array:
    """Where the elements of the result lie in the operand."""
    kind = np.float32 if plan.single and plan.mode == "nearest" else np.float64
    out, factor, half = np.arange(length, dtype=kind), kind(scale), kind(0.5)
    match plan.coordinates:
        case "asymmetric":
            return out / factor
        case "align_corners":
            # The standard takes the length before it is rounded down; the runtime does not.
            return out * kind(size - 1) / kind(max(length - 1, 1))
        case "pytorch_half_pixel":
            return (out + half) / factor - half if length > 1 else np.zeros(1)
        case "half_pixel_symmetric":
            offset = kind(size / 2) * (kind(1) - kind(length) / (factor * kind(size)))
            return offset + (out + half) / factor - half
        case "tf_crop_and_resize":
            start, end = (kind(share) for share in part)
            if length == 1:
                return half * (start + end) * kind(size - 1) * np.ones(1, kind)
            return start * kind(size - 1) + out * (end - start) * kind(size - 1) / kind(length - 1)
        case _:
            return (out + half) / factor - half


def _nearest(place: Array, mode: str, scale: float) -> Array:
    match mode:
        case "round_prefer_floor":
            out = np.ceil(place - 0.5)
        case "round_prefer_ceil":
            out = np.floor(place + 0.5)
        case "ceil":
            out = np.ceil(place)
        case "floor":
            out = np.floor(place)
        case "floor_or_ceil":
            # Before opset 11: down where the result is larger, up where it is smaller.
            out = np.ceil(place) if scale < 1 else np.floor(place)
        case _:
            raise UnsupportedError(f"places rounded by {mode!r}")
    return out.astype(np.int64)


def _weight(distance: Array, plan: Resize) -> Array:
    """The weight of an element at a distance from a place."""
    t = np.abs(distance)
    if plan.mode == "linear":
        return np.maximum(1 - t, 0)
    a = plan.cubic
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    return np.where(t <= 1, near, np.where(t < 2, far, 0.0))
