"""Resizing as one matrix per axis, after the ``Resize`` operator of ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from onebyone.kernels.arithmetic import Arithmetic, Array, Tensor
from onebyone.kernels.errors import UnsupportedError

_MODES = frozenset({"nearest", "linear", "cubic"})
_COORDINATES = frozenset(
    {"align_corners", "asymmetric", "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel"}
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
    """

    mode: str
    coordinates: str
    nearest: str
    cubic: float
    exclude_outside: bool
    antialias: bool
    policy: str


def resize(
    ar: Arithmetic,
    x: Tensor,
    plan: Resize,
    axes: Sequence[int],
    *,
    scales: Array | None,
    sizes: Array | None,
) -> Tensor:
    """Resize ``axes`` of ``x`` by ``scales`` or to ``sizes``.

    Raises:
        UnsupportedError: a way to resize that is not known here.
    """
    if plan.antialias or plan.coordinates not in _COORDINATES or plan.mode not in _MODES:
        raise UnsupportedError(f"{plan.mode} resize of {plan.coordinates} coordinates")
    lengths, factors = _targets(x.shape, plan, axes, scales, sizes)
    for axis, length, factor in zip(axes, lengths, factors, strict=True):
        if length == x.shape[axis] and factor == 1.0:
            continue
        table = matrix(x.shape[axis], length, factor, plan)

        def last(a: Array, axis: int = axis) -> Array:
            return np.moveaxis(a, axis, -1)

        def back(a: Array, axis: int = axis) -> Array:
            return np.moveaxis(a, -1, axis)

        if plan.mode == "nearest":
            index = table.argmax(axis=1)
            x = ar.move(lambda a, index=index, axis=axis: np.take(a, index, axis), x)
        else:
            x = ar.move(back, ar.matmul(ar.move(last, x), ar.constant(table.T)))
    return x


def _targets(
    shape: Sequence[int],
    plan: Resize,
    axes: Sequence[int],
    scales: Array | None,
    sizes: Array | None,
) -> tuple[list[int], list[float]]:
    if scales is not None:
        factors = [float(s) for s in scales]
        return [int(np.floor(shape[a] * f)) for a, f in zip(axes, factors, strict=True)], factors
    if sizes is None:
        raise ValueError("Resize has neither scales nor sizes")
    lengths = [int(n) for n in sizes]
    factors = [n / shape[a] for a, n in zip(axes, lengths, strict=True)]
    if plan.policy != "stretch":
        factor = min(factors) if plan.policy == "not_larger" else max(factors)
        lengths = [int(np.floor(factor * shape[a] + 0.5)) for a in axes]
        factors = [factor] * len(lengths)
    return lengths, factors


def matrix(size: int, length: int, scale: float, plan: Resize) -> Array:
    """The ``(length, size)`` matrix that resizes one axis."""
    place = _coordinates(size, length, scale, plan.coordinates)
    table = np.zeros((length, size))
    rows = np.arange(length)
    if plan.mode == "nearest":
        table[rows, np.clip(_nearest(place, plan.nearest), 0, size - 1)] = 1.0
        return table
    base = np.floor(place).astype(np.int64)
    part = place - base
    if plan.mode == "linear":
        taps = {0: 1.0 - part, 1: part}
    else:
        taps = _cubic(part, plan.cubic)
    for offset, weight in taps.items():
        column = base + offset
        if plan.exclude_outside:
            weight = np.where((column >= 0) & (column < size), weight, 0.0)
        np.add.at(table, (rows, np.clip(column, 0, size - 1)), weight)
    if plan.exclude_outside:
        table /= table.sum(axis=1, keepdims=True)
    return table


def _coordinates(size: int, length: int, scale: float, mode: str) -> Array:
    out = np.arange(length, dtype=np.float64)
    match mode:
        case "asymmetric":
            return out / scale
        case "align_corners":
            span = scale * size - 1
            return out * (size - 1) / span if length > 1 else np.zeros(1)
        case "pytorch_half_pixel":
            return (out + 0.5) / scale - 0.5 if length > 1 else np.zeros(1)
        case "half_pixel_symmetric":
            exact = scale * size
            offset = size / 2 * (1 - length / exact)
            return offset + (out + 0.5) / scale - 0.5
        case _:
            return (out + 0.5) / scale - 0.5


def _nearest(place: Array, mode: str) -> Array:
    match mode:
        case "round_prefer_floor":
            out = np.ceil(place - 0.5)
        case "round_prefer_ceil":
            out = np.floor(place + 0.5)
        case "ceil":
            out = np.ceil(place)
        case "floor":
            out = np.floor(place)
        case _:
            raise UnsupportedError(f"places rounded by {mode!r}")
    return out.astype(np.int64)


def _cubic(part: Array, a: float) -> dict[int, Array]:
    def near(t: Array) -> Array:
        return ((a + 2) * t - (a + 3)) * t * t + 1

    def far(t: Array) -> Array:
        return ((a * t - 5 * a) * t + 8 * a) * t - 4 * a

    return {-1: far(part + 1), 0: near(part), 1: near(1 - part), 2: far(2 - part)}
