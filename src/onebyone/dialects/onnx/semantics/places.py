"""Operators that select and place elements: slices, gathers, joins, padding, sorting."""

from __future__ import annotations

from typing import Any

import numpy as np

from onebyone.dialects.onnx.semantics.base import Call, Operator, Result, Table, operand_axes
from onebyone.kernels import elementwise, lines, places
from onebyone.kernels.arithmetic import Arithmetic, Tensor
from onebyone.kernels.errors import UnsupportedError
from onebyone.kernels.operands import axis_of, ints, move

_PAD_MODES = {"constant": "constant", "edge": "edge", "reflect": "reflect", "wrap": "wrap"}


def _concat(ar: Arithmetic, call: Call, *xs: Any) -> Tensor:
    # In the first opset axis 1 was the default.
    axis = call.get("axis", 1) if call.version < 4 else call.given("axis")
    return places.concatenated(ar, *xs, axis=axis)


def _split(ar: Arithmetic, call: Call, x: Any, sizes: Any = None) -> Result:
    axis = axis_of(call.get("axis", 0), x.ndim)
    size, written = x.shape[axis], call.get("split")
    count = call.get("num_outputs", call.outputs)
    step = -(-size // count)
    if sizes is not None:
        parts = ints(ar, sizes, "split sizes")
    elif written is not None:
        parts = list(written)
    else:
        parts = [min(step, size - i * step) for i in range(count)]
    return places.split(ar, x, axis=axis, sizes=parts)


def _slice(
    ar: Arithmetic,
    call: Call,
    x: Any,
    starts: Any = None,
    ends: Any = None,
    axes: Any = None,
    steps: Any = None,
) -> Tensor:
    begin = list(call.get("starts", ())) if starts is None else ints(ar, starts, "slice starts")
    stop = list(call.get("ends", ())) if ends is None else ints(ar, ends, "slice ends")
    chosen = operand_axes(ar, call, axes)
    chosen = list(range(len(begin))) if chosen is None else chosen
    step = [1] * len(begin) if steps is None else ints(ar, steps, "slice steps")
    index: list[slice] = [slice(None)] * x.ndim
    for axis, first, last, by in zip(chosen, begin, stop, step, strict=True):
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
    return move(ar, lambda a: a[tuple(index)], x)


def _clamp(value: int, size: int, low: int, high: int) -> int:
    return min(max(value + size if value < 0 else value, low), high)


def _pad(
    ar: Arithmetic, call: Call, x: Any, pads: Any = None, value: Any = None, axes: Any = None
) -> Tensor:
    # Named "paddings" in the first opset.
    written = call.get("pads", call.get("paddings", ()))
    width = list(written) if pads is None else ints(ar, pads, "pads")
    chosen = list(range(x.ndim)) if axes is None else ints(ar, axes, "axes")
    around = [(0, 0)] * x.ndim
    for axis, before, after in zip(chosen, width, width[len(chosen) :], strict=False):
        around[axis] = (before, after)
    if value is None or not value.size:
        fill = call.get("value", 0.0)
        value = ar.constant(fill) if ar.is_data(x) else np.asarray(fill, x.dtype)
    return places.pad(ar, x, value, pads=around, mode=_PAD_MODES[call.text("mode", "constant")])


def _gather(ar: Arithmetic, call: Call, x: Any, indices: Any) -> Tensor:
    axis = axis_of(call.get("axis", 0), x.ndim)
    return places.take(ar, x, indices, axis=axis)


def _gather_elements(ar: Arithmetic, call: Call, x: Any, indices: Any) -> Tensor:
    axis = axis_of(call.get("axis", 0), x.ndim)
    return places.take_elements(ar, x, indices, axis=axis)


def _gather_nd(ar: Arithmetic, call: Call, x: Any, indices: Any) -> Tensor:
    batch = call.get("batch_dims", 0)
    return places.take_nested(ar, x, indices, batch=batch)


def _scatter_nd(ar: Arithmetic, call: Call, x: Any, indices: Any, updates: Any) -> Tensor:
    _without_reduction(call)
    if ar.is_data(indices) and indices.shape[-1] == 1:
        rows = move(ar, lambda a: a.reshape(-1, *x.shape[1:]), updates)
        return places.put_rows(ar, x, rows, indices)
    return places.put(ar, x, updates, index=tuple(np.moveaxis(np.asarray(indices), -1, 0)))


def _scatter_elements(ar: Arithmetic, call: Call, x: Any, indices: Any, updates: Any) -> Tensor:
    _without_reduction(call)
    axis = axis_of(call.get("axis", 0), x.ndim)
    index = places.along(places.checked(indices, x.shape[axis]), axis)
    return places.put(ar, x, updates, index=index)


def _without_reduction(call: Call) -> None:
    if call.text("reduction", "none") != "none":
        raise UnsupportedError(f"{call.op} with a reduction")


def _compress(ar: Arithmetic, call: Call, x: Any, condition: Any) -> Tensor:
    axis, index = call.get("axis"), np.flatnonzero(np.asarray(condition))
    if axis is None:
        return move(ar, lambda a: a.reshape(-1)[index], x)
    return places.take(ar, x, index, axis=axis)


def _one_hot(ar: Arithmetic, call: Call, indices: Any, depth: Any, values: Any) -> Tensor:
    known = ar.known(indices)
    index = indices if known is None else np.asarray(known, np.int64)
    size = ints(ar, depth, "a depth")[0]
    return places.one_hot(ar, index, values, depth=size, axis=call.get("axis", -1))


def _non_zero(ar: Arithmetic, call: Call, x: Any) -> Tensor:
    where = np.asarray(elementwise.truth(ar, x))
    return np.array(np.nonzero(np.atleast_1d(where)), np.int64)


def _trilu(ar: Arithmetic, call: Call, x: Any, k: Any = None) -> Tensor:
    diagonal = 0 if k is None else ints(ar, k)[0]
    return places.triangle(ar, x, upper=bool(call.get("upper", 1)), diagonal=diagonal)


def _arg(largest: bool) -> Operator:
    def run(ar: Arithmetic, call: Call, x: Any) -> Tensor:
        axis = axis_of(call.get("axis", 0), x.ndim)
        last = bool(call.get("select_last_index", 0))
        place = lines.extremum_place(ar, x, axis=axis, largest=largest, last=last)
        return lines.kept(ar, place, axes=(axis,), keep=bool(call.get("keepdims", 1)))

    return run


def _top_k(ar: Arithmetic, call: Call, x: Any, k: Any = None) -> Result:
    count = int(call.given("k")) if k is None else ints(ar, k, "k")[0]
    axis, descending = axis_of(call.get("axis", -1), x.ndim), bool(call.get("largest", 1))
    return lines.sorted_places(ar, x, axis=axis, descending=descending, count=count)


def _cum_sum(ar: Arithmetic, call: Call, x: Any, axis: Any) -> Tensor:
    return lines.running_sum(
        ar, x, axis=axis_of(ints(ar, axis, "an axis")[0], x.ndim),
        reverse=bool(call.get("reverse", 0)), exclusive=bool(call.get("exclusive", 0)),
    )  # fmt: skip


def _reverse_sequence(ar: Arithmetic, call: Call, x: Any, lengths: Any) -> Tensor:
    time, batch = call.get("time_axis", 0), call.get("batch_axis", 1)
    return places.reversed_rows(ar, x, lengths, time_axis=time, batch_axis=batch)


TABLE: Table = {
    ("", "ArgMax"): _arg(largest=True),
    ("", "ArgMin"): _arg(largest=False),
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
