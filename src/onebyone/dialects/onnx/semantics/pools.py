"""Pooling by other norms and with places, unpooling, and combining scattered elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from onebyone.dialects.onnx.semantics import linear, places
from onebyone.dialects.onnx.semantics.base import Call, Result, Table
from onebyone.kernels import elementwise, lines, sampling, scattering, windows
from onebyone.kernels.arithmetic import Arithmetic, Array, Tensor
from onebyone.kernels.errors import UnsupportedError
from onebyone.kernels.operands import axis_of, floats, ints
from onebyone.kernels.places import along, checked, take_elements
from onebyone.kernels.places import put as placed


def _powers(ar: Arithmetic, x: Any, order: float) -> Tensor:
    magnitude = elementwise.absolute(ar, x) if order % 2 else x
    return elementwise.power(ar, magnitude, ar.constant(order))


def _root(ar: Arithmetic, x: Any, order: float) -> Tensor:
    return x if order == 1 else elementwise.power(ar, x, ar.constant(1 / order))


def _lp_pool(ar: Arithmetic, call: Call, x: Any) -> Tensor:
    order = float(call.get("p", 2))
    geometry, _ = linear.pool(call, x.shape[2:])
    return _root(ar, windows.sum_pool(ar, _powers(ar, x, order), **geometry), order)


def _global_lp_pool(ar: Arithmetic, call: Call, x: Any) -> Tensor:
    order = float(call.get("p", 2))
    axes = tuple(range(2, x.ndim))
    return _root(ar, lines.total(ar, _powers(ar, x, order), axes=axes), order)


def _max_pool(ar: Arithmetic, call: Call, x: Any) -> Result:
    if call.outputs == 1:
        return linear.max_pool(ar, call, x)
    if not ar.is_data(x):
        raise UnsupportedError("MaxPool of integers with indices")
    geometry, _ = linear.pool(call, x.shape[2:])
    number, counts = sampling.max_pool_places(ar, x, **geometry)
    shape = (*x.shape[:2], *counts)
    lead = int(np.prod(x.shape[:2]))
    view = ar.move(lambda a: a.reshape(lead, -1)[:, number], x)
    place = lines.extremum_place(ar, view, axis=2, largest=True)
    size = x.shape[2:]
    written = number
    if call.get("storage_order", 0):
        coordinates = np.unravel_index(number, size)
        written = np.ravel_multi_index(coordinates[::-1], size[::-1])
    offset = np.arange(lead, dtype=np.int64)[:, None, None] * int(np.prod(size))
    index = take_elements(ar, (written + offset).astype(np.int64), place, axis=2)
    out = windows.max_pool(ar, x, **geometry)
    return out, _reshaped(ar, index, shape)


def _reshaped(ar: Arithmetic, x: Any, shape: tuple[int, ...]) -> Tensor:
    return ar.move(lambda a: a.reshape(shape), x) if ar.is_data(x) else x.reshape(shape)


def _max_unpool(ar: Arithmetic, call: Call, x: Any, index: Any, shape: Any = None) -> Tensor:
    kernel = list(call.given("kernel_shape"))
    strides = list(call.get("strides", [1] * len(kernel)))
    pads = list(call.get("pads", [0] * (2 * len(kernel))))
    size = [
        (n - 1) * s + k - pads[i] - pads[i + len(kernel)]
        for i, (n, s, k) in enumerate(zip(x.shape[2:], strides, kernel, strict=True))
    ]
    whole = [*x.shape[:2], *size]
    if shape is not None and ints(ar, shape, "a shape") != whole:
        # Whether indices count in the larger image standard and runtime do not agree.
        raise UnsupportedError("MaxUnpool to another size")
    empty = ar.constant(np.zeros(int(np.prod(whole))))
    flat = placed(ar, empty, x, index=(index,))
    return _reshaped(ar, flat, tuple(whole))


def _scatter_elements(ar: Arithmetic, call: Call, x: Any, indices: Any, updates: Any) -> Tensor:
    reduction = call.text("reduction", "none")
    if reduction == "none":
        return _plain(ar, call, x, indices, updates)
    axis = axis_of(call.get("axis", 0), x.ndim)
    index = along(checked(_known(ar, indices), x.shape[axis]), axis)
    return scattering.combined(ar, x, updates, index=index, reduction=reduction)


def _scatter_nd(ar: Arithmetic, call: Call, x: Any, indices: Any, updates: Any) -> Tensor:
    reduction = call.text("reduction", "none")
    if reduction == "none":
        return _plain(ar, call, x, indices, updates)
    parts = np.moveaxis(_known(ar, indices), -1, 0)
    index = tuple(checked(part, size) for part, size in zip(parts, x.shape, strict=False))
    return scattering.combined(ar, x, updates, index=index, reduction=reduction)


def _plain(ar: Arithmetic, call: Call, *operands: Any) -> Result:
    return places.TABLE["", call.op](ar, call, *operands)


def _known(ar: Arithmetic, indices: Any) -> Array:
    return np.asarray(floats(ar, indices, "an index"), np.int64)


def _cum_prod(ar: Arithmetic, call: Call, x: Any, axis: Any) -> Tensor:
    where = axis_of(ints(ar, axis, "an axis")[0], x.ndim)
    reverse, exclusive = bool(call.get("reverse", 0)), bool(call.get("exclusive", 0))
    if not ar.is_data(x):
        raise UnsupportedError("CumProd of integers")
    steps = [ar.move(lambda a, i=i: np.take(a, i, where), x) for i in range(x.shape[where])]
    steps = steps[::-1] if reverse else steps
    running: list[Tensor] = [ar.constant(np.ones(steps[0].shape))]
    for step in steps:
        running.append(ar.mul(running[-1], step))
    kept = running[:-1] if exclusive else running[1:]
    return ar.move(lambda *a: np.stack(a, where), *(kept[::-1] if reverse else kept))


def _col2im(ar: Arithmetic, call: Call, x: Any, image: Any, block: Any) -> Tensor:
    size, kernel = ints(ar, image, "a shape"), ints(ar, block, "a shape")
    ones, rank = [1] * len(kernel), len(kernel)
    pads = list(call.get("pads", [0] * (2 * rank)))
    return sampling.overlaid(
        ar, x, size=size, kernel=kernel,
        strides=list(call.get("strides", ones)), dilations=list(call.get("dilations", ones)),
        pads=list(zip(pads[:rank], pads[rank:], strict=True)),
    )  # fmt: skip


def _det(ar: Arithmetic, call: Call, x: Any) -> Tensor:
    return ar.opaque("Det", np.linalg.det, x, core=(2,))


TABLE: Table = {
    ("", "Col2Im"): _col2im,
    ("", "CumProd"): _cum_prod,
    ("", "Det"): _det,
    ("", "GlobalLpPool"): _global_lp_pool,
    ("", "LpPool"): _lp_pool,
    ("", "MaxPool"): _max_pool,
    ("", "MaxUnpool"): _max_unpool,
    ("", "ScatterElements"): _scatter_elements,
    ("", "ScatterND"): _scatter_nd,
}
