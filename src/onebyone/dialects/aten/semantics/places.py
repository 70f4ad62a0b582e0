"""Operators that rename, select, join and place elements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from onebyone.dialects.aten.semantics.base import (
    Call,
    Operator,
    Result,
    Table,
    numpy_type,
    several,
)
from onebyone.kernels import operands, places
from onebyone.kernels.arithmetic import Tensor
from onebyone.kernels.errors import UnsupportedError

_PAD_MODES = {
    "circular": "wrap", "constant": "constant", "reflect": "reflect", "replicate": "edge",
}  # fmt: skip


def _dropout(call: Call) -> Tensor:
    share, train = call.get("p"), call.get("train")
    if share and train:
        raise UnsupportedError("dropout in training mode")
    return call.tensor("input")


def _shaped(shape_of: Callable[[Call, Any], Any]) -> Operator:
    def run(call: Call) -> Tensor:
        x = call.tensor("self")
        return places.reshaped(call.ar, x, shape=shape_of(call, x))

    return run


def _flat(call: Call, x: Any) -> list[int]:
    start, end = call.axis(x, "start_dim"), call.axis(x, "end_dim")
    return [*x.shape[:start], -1 if x.size else 0, *x.shape[end + 1 :]]


def _unflat(call: Call, x: Any) -> list[int]:
    axis = call.axis(x)
    return [*x.shape[:axis], *call.given["sizes"], *x.shape[axis + 1 :]]


def _squeezed(call: Call, x: Any) -> list[int]:
    axes = call.axes(x)
    return [n for i, n in enumerate(x.shape) if n != 1 or i not in axes]


def _unsqueezed(call: Call, x: Any) -> list[int]:
    axis = call.given["dim"] % (x.ndim + 1)
    return [*x.shape[:axis], 1, *x.shape[axis:]]


def _view(call: Call) -> Tensor:
    """The elements in another shape, or their bits as another type."""
    x = call.tensor("self")
    if "size" in call.given:
        return places.reshaped(call.ar, x, shape=call.given["size"])
    if call.dtypes[0] == call.dtype:
        return x
    if call.ar.is_data(x) or call.dtype.is_floating_point:
        raise UnsupportedError("the bits of floating-point numbers")
    return np.ascontiguousarray(x).view(numpy_type(call.dtype))


def _permuted(order_of: Callable[[Call, int], Sequence[int]]) -> Operator:
    def run(call: Call) -> Tensor:
        x = call.tensor("self")
        return places.transposed(call.ar, x, order=order_of(call, x.ndim))

    return run


def _dims(call: Call, rank: int) -> list[int]:
    return [axis % rank for axis in call.given["dims"]]


def _swapped(first: str, second: str) -> Callable[[Call, int], list[int]]:
    def run(call: Call, rank: int) -> list[int]:
        order = list(range(rank))
        a, b = call.given[first], call.given[second]
        if rank:
            order[a], order[b] = order[b], order[a]
        return order

    return run


def _last_two(call: Call, rank: int) -> list[int]:
    return [*range(rank - 2), rank - 1, rank - 2]


def _moved(call: Call, rank: int) -> list[int]:
    source, target = several(call.given["source"]), several(call.given["destination"])
    goes = {t % rank: s % rank for s, t in zip(source, target, strict=True)}
    rest = iter(i for i in range(rank) if i not in goes.values())
    return [goes[i] if i in goes else next(rest) for i in range(rank)]


def _expand(call: Call) -> Tensor:
    x = call.tensor("self")
    wanted = call.given["size"] if "size" in call.given else call.tensor("other").shape
    sizes = (1,) * (len(wanted) - x.ndim) + tuple(x.shape)
    shape = [n if w == -1 else w for w, n in zip(wanted, sizes, strict=True)]
    return places.expanded(call.ar, x, shape=shape)


def _repeat(call: Call) -> Tensor:
    x, times = call.tensor("self"), list(call.given["dims" if call.op == "tile" else "repeats"])
    return places.tiled(call.ar, x, times=[1] * (x.ndim - len(times)) + times)


def _repeat_interleave(call: Call) -> Tensor:
    x, times = call.tensor("self"), call.given["repeats"]
    if not isinstance(times, int):
        raise UnsupportedError("repetitions by numbers of the data")
    # The size that this makes of the axis.
    call.get("output_size")
    return places.repeated(call.ar, x, times=times, axis=call.get("dim"))


def _cat(call: Call) -> Tensor:
    tensors = list(call.given["tensors"])
    if operands.any_data(call.ar, *tensors) or call.dtype.is_floating_point:
        tensors = [operands.data(call.ar, x) for x in tensors]
    rank = max(x.ndim for x in tensors)
    # Tensors without elements take part in no shape.
    tensors = [x for x in tensors if x.ndim == rank or x.size]
    join = places.stacked if call.op == "stack" else places.concatenated
    return join(call.ar, *tensors, axis=call.given["dim"])


def _hstack(call: Call) -> Tensor:
    tensors = list(call.given["tensors"])
    rank = max(x.ndim for x in tensors)
    return places.concatenated(call.ar, *tensors, axis=min(rank - 1, 1))


def _narrow(call: Call) -> Tensor:
    x = call.tensor("self")
    axis, start, length = call.axis(x), call.given["start"], call.given["length"]
    start = start if isinstance(start, int) else operands.ints(call.ar, start, "a start")[0]
    start += x.shape[axis] if start < 0 else 0
    return places.cut(call.ar, x, axis=axis, index=slice(start, start + length))


def _pixel_shuffle(call: Call) -> Tensor:
    """(..., C r^2, H, W) as (..., C, H r, W r)."""
    x, r = call.tensor("self"), call.given["upscale_factor"]
    *lead, channels, height, width = x.shape
    depth, n = channels // (r * r), len(lead)
    order = (*range(n), *(n + i for i in (0, 3, 1, 4, 2)))
    split = places.reshaped(call.ar, x, shape=(*lead, depth, r, r, height, width))
    turned = places.transposed(call.ar, split, order=order)
    return places.reshaped(call.ar, turned, shape=(*lead, depth, height * r, width * r))


def _split(call: Call) -> Result:
    x = call.tensor("self")
    axis = call.axis(x)
    size = x.shape[axis]
    if call.op == "chunk":
        parts: Any = max(-(-size // call.given["chunks"]), 1)
    else:
        parts = call.get("split_size", call.get("split_sizes"))
    sizes = places.even_parts(size, parts) if isinstance(parts, int) else parts
    return places.split(call.ar, x, axis=axis, sizes=sizes)


def _unbind(call: Call) -> Result:
    x = call.tensor("self")
    axis = call.axis(x)
    return tuple(places.take(call.ar, x, i, axis=axis) for i in range(x.shape[axis]))


def _select(call: Call) -> Tensor:
    x = call.tensor("self")
    return places.take(call.ar, x, call.given["index"], axis=call.axis(x))


def _slice(call: Call) -> Tensor:
    x = call.tensor("self")
    index = slice(call.get("start", 0), call.get("end"), call.get("step", 1))
    return places.cut(call.ar, x, axis=call.axis(x), index=index)


def _take(table: str, index: str) -> Operator:
    def run(call: Call) -> Tensor:
        x = call.tensor(table)
        axis = operands.axis_of(call.get("dim", 0), x.ndim)
        return places.take(call.ar, x, call.tensor(index), axis=axis)

    return run


def _gather(call: Call) -> Tensor:
    x = call.tensor("self")
    return places.take_elements(call.ar, x, call.tensor("index"), axis=call.axis(x))


def _along(call: Call) -> Tensor:
    x, index = call.tensor("self"), call.tensor("indices")
    if call.get("dim") is None or index.ndim != x.ndim:
        raise UnsupportedError("take_along_dim without an axis")
    axis = call.axis(x)
    sizes = [
        n if a == axis else max(m, n)
        for a, (m, n) in enumerate(zip(x.shape, index.shape, strict=True))
    ]
    reach = [m if a == axis else n for a, (m, n) in enumerate(zip(x.shape, sizes, strict=True))]
    table = places.expanded(call.ar, x, shape=reach)
    wide = places.expanded(call.ar, index, shape=sizes)
    return places.take_elements(call.ar, table, wide, axis=axis)


def _index(call: Call) -> Tensor:
    x, wanted = call.tensor("self"), call.given["indices"]
    given = [(axis, place) for axis, place in enumerate(wanted) if place is not None]
    if len(given) == 1 and call.ar.is_data(given[0][1]) and given[0][1].dtype != bool:
        return places.take(call.ar, x, given[0][1], axis=given[0][0])
    index: list[Any] = []
    for place in wanted:
        if place is None:
            index.append(slice(None))
        elif place.dtype.kind == "b":
            index += list(np.nonzero(np.asarray(place)))
        else:
            index.append(places.checked(place, x.shape[len(index)]))
    return operands.move(call.ar, lambda a: a[tuple(index)], x)


def _pad(call: Call) -> Tensor:
    x, pads, value = call.tensor("self"), call.given["pad"], call.get("value", 0)
    around = [(0, 0)] * x.ndim
    for n in range(len(pads) // 2):
        around[x.ndim - 1 - n] = (pads[2 * n], pads[2 * n + 1])
    fill = call.number(value) if call.ar.is_data(x) else np.asarray(value, x.dtype)
    mode = _PAD_MODES[call.get("mode", "constant")]
    return places.pad(call.ar, x, fill, pads=around, mode=mode)


def _roll(call: Call) -> Tensor:
    shifts, axes = several(call.given["shifts"]), several(call.given["dims"])
    return places.rolled(call.ar, call.tensor("self"), shifts=shifts, axes=axes)


def _flip(call: Call) -> Tensor:
    return places.flipped(call.ar, call.tensor("self"), axes=call.given["dims"])


def _triangle(upper: bool) -> Operator:
    def run(call: Call) -> Tensor:
        x, diagonal = call.tensor("self"), call.get("diagonal", 0)
        return places.triangle(call.ar, x, upper=upper, diagonal=diagonal)

    return run


def _copy(call: Call) -> Tensor:
    source, target = call.tensor("src"), call.tensor("self")
    source = operands.data(call.ar, source) if call.dtype.is_floating_point else source
    return places.expanded(call.ar, source, shape=target.shape)


_SAME = "alias clone contiguous detach lift_fresh_copy".split()

TABLE: Table = {
    **dict.fromkeys(_SAME, lambda call: call.tensor("self")),
    "_unsafe_view": _shaped(lambda call, x: call.given["size"]),
    "view": _view,
    **dict.fromkeys(("reshape_as", "view_as"), _shaped(lambda call, x: call.tensor("other").shape)),
    "swapaxes": _permuted(_swapped("axis0", "axis1")),
    "swapdims": _permuted(_swapped("dim0", "dim1")),
    **dict.fromkeys(("chunk", "split", "split_with_sizes"), _split),
    **dict.fromkeys(("mT", "adjoint"), _permuted(_last_two)),
    **dict.fromkeys(("constant_pad_nd", "pad"), _pad),
    **dict.fromkeys(("cat", "stack"), _cat),
    **dict.fromkeys(("expand", "expand_as"), _expand),
    **dict.fromkeys(("t", "numpy_T"), _permuted(lambda call, rank: range(rank)[::-1])),
    "atleast_1d": _shaped(lambda call, x: x.shape or (1,)),
    "copy": _copy,
    "dropout": _dropout,
    "embedding": _take("weight", "indices"),
    "flatten": _shaped(lambda call, x: _flat(call, x) if x.ndim else [1]),
    "flip": _flip,
    "gather": _gather,
    "hstack": _hstack,
    "index": _index,
    "index_select": _take("self", "index"),
    "movedim": _permuted(_moved),
    "narrow": _narrow,
    "permute": _permuted(_dims),
    "pixel_shuffle": _pixel_shuffle,
    "ravel": _shaped(lambda call, x: [-1]),
    "repeat": _repeat,
    "repeat_interleave": _repeat_interleave,
    "reshape": _shaped(lambda call, x: call.given["shape"]),
    "roll": _roll,
    "select": _select,
    "slice": _slice,
    "squeeze": _shaped(_squeezed),
    "take_along_dim": _along,
    "tile": _repeat,
    "transpose": _permuted(_swapped("dim0", "dim1")),
    "tril": _triangle(upper=False),
    "triu": _triangle(upper=True),
    "unbind": _unbind,
    "unflatten": _shaped(_unflat),
    "unsqueeze": _shaped(_unsqueezed),
}
