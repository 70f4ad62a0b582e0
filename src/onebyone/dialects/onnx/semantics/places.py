"""Operators that select and place elements: slices, gathers, joins, padding, sorting."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from onebyone.dialects.onnx.semantics.base import (
    Call,
    Machine,
    Operator,
    Result,
    floats,
    ints,
    move,
)
from onebyone.dialects.onnx.semantics.shapes import check_size, operand_axes
from onebyone.kernels.arithmetic import Array, Tensor
from onebyone.kernels.errors import UnsupportedError


def _concat(m: Machine, call: Call, *xs: Any) -> Tensor:
    axis = call.attributes["axis"]
    return move(m, lambda *arrays: np.concatenate(arrays, axis), *xs)


def _split(m: Machine, call: Call, x: Any, sizes: Any = None) -> Result:
    axis = call.get("axis", 0)
    total = x.shape[axis]
    if sizes is not None:
        parts = ints(m, sizes, "split sizes")
    elif call.get("split") is not None:
        parts = list(call.get("split"))
    else:
        count = call.get("num_outputs", call.outputs)
        step = -(-total // count)
        parts = [min(step, total - i * step) for i in range(count)]
    if sum(parts) != total:
        raise ValueError(f"split {parts} of an axis of size {total}")
    ends = [int(n) for n in np.cumsum(parts)]
    return tuple(
        move(m, lambda a, i=i: _cut(a, axis, ends[i] - parts[i], ends[i]), x)
        for i in range(len(parts))
    )


def _cut(x: Array, axis: int, start: int, end: int) -> Array:
    index: list[slice] = [slice(None)] * x.ndim
    index[axis] = slice(start, end)
    return x[tuple(index)]


def _slice(
    m: Machine,
    call: Call,
    x: Any,
    starts: Any = None,
    ends: Any = None,
    axes: Any = None,
    steps: Any = None,
) -> Tensor:
    if any(call.free[1:]):
        m.ar.steered("Slice")
    begin = list(call.get("starts", ())) if starts is None else ints(m, starts, "slice starts")
    stop = list(call.get("ends", ())) if ends is None else ints(m, ends, "slice ends")
    which = operand_axes(m, call, axes)
    which = list(range(len(begin))) if which is None else which
    step = [1] * len(begin) if steps is None else ints(m, steps, "slice steps")
    index: list[slice] = [slice(None)] * x.ndim
    for axis, first, last, by in zip(which, begin, stop, step, strict=True):
        size = x.shape[axis]
        # Python reads a stop of -1 after counting from the end; ONNX clamps it instead.
        if by > 0:
            low, high = _clamp(first, size, 0, size), _clamp(last, size, 0, size)
            index[axis] = slice(low, high, by)
        else:
            low, high = _clamp(first, size, 0, size - 1), _clamp(last, size, -1, size - 1)
            index[axis] = slice(low, None if high < 0 else high, by)
            if low <= high or size == 0:
                index[axis] = slice(0, 0)
    return move(m, lambda a: a[tuple(index)], x)


def _clamp(value: int, size: int, low: int, high: int) -> int:
    return min(max(value + size if value < 0 else value, low), high)


def _pad(
    m: Machine, call: Call, x: Any, pads: Any = None, value: Any = None, axes: Any = None
) -> Tensor:
    width = list(call.get("pads", ())) if pads is None else ints(m, pads, "pads")
    which = list(range(x.ndim)) if axes is None else ints(m, axes, "axes")
    before, after = [0] * x.ndim, [0] * x.ndim
    for i, axis in enumerate(which):
        before[axis], after[axis] = width[i], width[i + len(which)]
    crop = tuple(
        slice(max(-low, 0), n - max(-high, 0))
        for n, low, high in zip(x.shape, before, after, strict=True)
    )
    around = [(max(low, 0), max(high, 0)) for low, high in zip(before, after, strict=True)]
    check_size([n + low + high for n, (low, high) in zip(x.shape, around, strict=True)])
    mode = call.text("mode", "constant")
    if mode == "constant":
        if value is None:
            fill = call.get("value", 0.0)
            value = m.ar.constant(fill) if m.ar.is_data(x) else np.asarray(fill, x.dtype)
        if value.size != 1:
            value = m.ar.constant(0.0) if m.ar.is_data(x) else np.zeros((), x.dtype)
        inside = np.pad(np.ones(x.shape, bool)[crop], around)
        return move(
            m, lambda a, v: np.where(inside, np.pad(a[crop], around), v.reshape(())), x, value
        )
    kinds: dict[str, Any] = {"edge": "edge", "reflect": "reflect", "wrap": "wrap"}
    return move(m, lambda a: np.pad(a[crop], around, mode=kinds[mode]), x)


def _index(m: Machine, indices: Any, size: int) -> NDArray[np.int64]:
    index = np.asarray(indices, np.int64)
    if index.size and not (-size <= index.min() and index.max() < size):
        raise IndexError(f"an index is out of range for an axis of size {size}")
    return np.where(index < 0, index + size, index)


def _look_up(m: Machine, call: Call, table: Any, axis: int) -> None:
    if any(call.free[1:2]) and m.ar.is_data(table):
        m.ar.looked_up(table, axis)


def _gather(m: Machine, call: Call, x: Any, indices: Any) -> Tensor:
    axis = call.get("axis", 0)
    index = _index(m, indices, x.shape[axis])
    _look_up(m, call, x, axis)
    return move(m, lambda a: np.take(a, index, axis), x)


def _gather_elements(m: Machine, call: Call, x: Any, indices: Any) -> Tensor:
    axis = call.get("axis", 0) % x.ndim
    index = _elements(_index(m, indices, x.shape[axis]), axis)
    _look_up(m, call, x, axis)
    return move(m, lambda a: a[index], x)


def _elements(index: Array, axis: int) -> tuple[Array, ...]:
    grid: list[Array] = list(np.indices(index.shape, sparse=True))
    grid[axis] = index
    return tuple(np.broadcast_arrays(*grid))


def _gather_nd(m: Machine, call: Call, x: Any, indices: Any) -> Tensor:
    batch = call.get("batch_dims", 0)
    _look_up(m, call, x, 0)
    lead = x.shape[:batch]
    flat = np.asarray(indices).reshape(-1, *indices.shape[batch:])
    count = flat.shape[0]

    def take(a: Array) -> Array:
        rows = a.reshape(count, *a.shape[batch:])
        parts = [rows[i][tuple(np.moveaxis(flat[i], -1, 0))] for i in range(count)]
        return np.stack(parts).reshape(*lead, *parts[0].shape)

    return move(m, take, x)


def _scatter_nd(m: Machine, call: Call, x: Any, indices: Any, updates: Any) -> Tensor:
    if call.text("reduction", "none") != "none":
        raise UnsupportedError("ScatterND with a reduction")
    index = tuple(np.moveaxis(np.asarray(indices), -1, 0))

    def place(a: Array, u: Array) -> Array:
        out = a.copy()
        out[index] = u
        return out

    return move(m, place, x, updates)


def _scatter_elements(m: Machine, call: Call, x: Any, indices: Any, updates: Any) -> Tensor:
    if call.text("reduction", "none") != "none":
        raise UnsupportedError(f"{call.op} with a reduction")
    axis = call.get("axis", 0) % x.ndim
    index = _elements(_index(m, indices, x.shape[axis]), axis)

    def place(a: Array, u: Array) -> Array:
        out = a.copy()
        out[index] = u
        return out

    return move(m, place, x, updates)


def _compress(m: Machine, call: Call, x: Any, condition: Any) -> Tensor:
    axis = call.get("axis")
    kept = np.flatnonzero(condition)
    if axis is None:
        return move(m, lambda a: a.reshape(-1)[kept], x)
    return move(m, lambda a: np.take(a, kept, axis), x)


def _one_hot(m: Machine, call: Call, indices: Any, depth: Any, values: Any) -> Tensor:
    size = ints(m, depth, "a depth")[0]
    index = np.asarray(floats(m, indices, "OneHot indices"), np.int64)
    if any(call.free[:1]):
        m.ar.steered("OneHot")
    axis = call.get("axis", -1)
    axis += index.ndim + 1 if axis < 0 else 0
    hot = np.expand_dims(np.where(index < 0, index + size, index), axis) == np.arange(size).reshape(
        [-1 if i == axis else 1 for i in range(index.ndim + 1)]
    )
    return move(m, lambda v: np.where(hot, v[1], v[0]), values)


def _non_zero(m: Machine, call: Call, x: Any) -> Tensor:
    if m.ar.is_data(x):
        key, zero = m.ar.keys(x, m.ar.constant(0.0))
        x = key != zero
    return np.array(np.nonzero(np.atleast_1d(x)), np.int64)


def _trilu(m: Machine, call: Call, x: Any, k: Any = None) -> Tensor:
    shift = 0 if k is None else ints(m, k)[0]
    fn = np.triu if call.get("upper", 1) else np.tril
    return move(m, lambda a: fn(a, shift), x)


def _arg(sign: int) -> Operator:
    def run(m: Machine, call: Call, x: Any) -> Tensor:
        axis = call.get("axis", 0) % x.ndim
        key = _order(m, x, largest=sign > 0)
        if call.get("select_last_index", 0):
            out = x.shape[axis] - 1 - np.argmin(np.flip(key, axis), axis)
        else:
            out = np.argmin(key, axis)
        out = out.astype(np.int64)
        return np.expand_dims(out, axis) if call.get("keepdims", 1) else out

    return run


def _order(m: Machine, x: Any, largest: bool) -> Array:
    """Ranks of the values of ``x``, ascending, or descending for ``largest``."""
    key = m.ar.keys(x)[0] if m.ar.is_data(x) else np.asarray(x)
    ranks = np.unique(key, return_inverse=True)[1].reshape(key.shape)
    return -ranks if largest else ranks


def _top_k(m: Machine, call: Call, x: Any, k: Any = None) -> Result:
    count = int(call.attributes["k"]) if k is None else ints(m, k, "k")[0]
    axis = call.get("axis", -1) % x.ndim
    key = _order(m, x, largest=bool(call.get("largest", 1)))
    order = np.argsort(key, axis=axis, kind="stable")
    index = np.take(order, range(count), axis).astype(np.int64)
    return move(m, lambda a: np.take_along_axis(a, index, axis), x), index


def _cum_sum(m: Machine, call: Call, x: Any, axis: Any) -> Tensor:
    along = ints(m, axis, "an axis")[0] % x.ndim
    backwards, exclusive = call.get("reverse", 0), call.get("exclusive", 0)
    turned = move(m, lambda a: np.flip(a, along), x) if backwards else x
    if m.ar.is_data(x):
        out = m.ar.running(turned, along)
        out = m.ar.sub(out, turned) if exclusive else out
    else:
        out = np.cumsum(turned, along, dtype=x.dtype)
        out = out - turned if exclusive else out
    return move(m, lambda a: np.flip(a, along), out) if backwards else out


def _reverse_sequence(m: Machine, call: Call, x: Any, lengths: Any) -> Tensor:
    time, batch = call.get("time_axis", 0), call.get("batch_axis", 1)
    sizes = np.asarray(lengths)

    def turn(a: Array) -> Array:
        out = np.moveaxis(a.copy(), (batch, time), (0, 1))
        for i, n in enumerate(sizes):
            out[i, :n] = out[i, :n][::-1].copy()
        return np.moveaxis(out, (0, 1), (batch, time))

    return move(m, turn, x)


TABLE: dict[tuple[str, str], Operator] = {
    ("", "ArgMax"): _arg(1),
    ("", "ArgMin"): _arg(-1),
    ("", "Compress"): _compress,
    ("", "Concat"): _concat,
    ("", "CumSum"): _cum_sum,
    ("", "Gather"): _gather,
    ("", "GatherElements"): _gather_elements,
    ("", "GatherND"): _gather_nd,
    ("", "NonZero"): _non_zero,
    ("", "OneHot"): _one_hot,
    ("", "Pad"): _pad,
    ("", "ReverseSequence"): _reverse_sequence,
    ("", "Scatter"): _scatter_elements,
    ("", "ScatterElements"): _scatter_elements,
    ("", "ScatterND"): _scatter_nd,
    ("", "Slice"): _slice,
    ("", "Split"): _split,
    ("", "TopK"): _top_k,
    ("", "Trilu"): _trilu,
}
