"""Operators that rename, select, join and place elements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from onebyone.dialects.aten.semantics.base import Call, Operator, Result, axes_of, check_size
from onebyone.kernels.arithmetic import Array, Tensor
from onebyone.kernels.errors import UnsupportedError

_END = 1 << 62


def _same(name: str = "self") -> Operator:
    return lambda call: call.tensor(name)


def _dropout(call: Call) -> Tensor:
    if call.given.get("train") and call.given.get("p"):
        raise UnsupportedError("dropout in training mode")
    return call.tensor("input")


def _shaped(shape_of: Callable[[Call, Any], Any]) -> Operator:
    def run(call: Call) -> Tensor:
        x = call.tensor("self")
        shape = tuple(shape_of(call, x))
        return call.move(lambda a: a.reshape(shape), x)

    return run


def _flat(call: Call, x: Any) -> list[int]:
    if not x.ndim:
        return [1]
    start, end = call.given["start_dim"] % x.ndim, call.given["end_dim"] % x.ndim
    return [*x.shape[:start], -1 if x.size else 0, *x.shape[end + 1 :]]


def _unflat(call: Call, x: Any) -> list[int]:
    axis = call.given["dim"] % x.ndim
    return [*x.shape[:axis], *call.given["sizes"], *x.shape[axis + 1 :]]


def _squeezed(call: Call, x: Any) -> list[int]:
    which = axes_of(call.given.get("dim"), x.ndim)
    return [n for i, n in enumerate(x.shape) if n != 1 or i not in which]


def _unsqueezed(call: Call, x: Any) -> list[int]:
    axis = call.given["dim"] % (x.ndim + 1)
    return [*x.shape[:axis], 1, *x.shape[axis:]]


def _permuted(order_of: Callable[[Call, int], Any]) -> Operator:
    def run(call: Call) -> Tensor:
        x = call.tensor("self")
        order = tuple(order_of(call, x.ndim))
        return call.move(lambda a: a.transpose(order), x)

    return run


def _dims(call: Call, rank: int) -> list[int]:
    return [axis % rank for axis in call.given["dims"]]


def _swapped(first: str, second: str) -> Callable[[Call, int], list[int]]:
    def run(call: Call, rank: int) -> list[int]:
        order = list(range(rank))
        if rank:
            a, b = call.given[first], call.given[second]
            order[a], order[b] = order[b], order[a]
        return order

    return run


def _last_two(call: Call, rank: int) -> list[int]:
    return [*range(rank - 2), rank - 1, rank - 2]


def _moved(call: Call, rank: int) -> list[int]:
    source, target = call.given["source"], call.given["destination"]
    source = [source] if isinstance(source, int) else source
    target = [target] if isinstance(target, int) else target
    goes = {t % rank: s % rank for s, t in zip(source, target, strict=True)}
    rest = iter(i for i in range(rank) if i not in goes.values())
    return [goes[i] if i in goes else next(rest) for i in range(rank)]


def _expand(call: Call) -> Tensor:
    x = call.tensor("self")
    wanted = call.given["size"] if "size" in call.given else call.tensor("other").shape
    own = (1,) * (len(wanted) - x.ndim) + tuple(x.shape)
    shape = tuple(n if w == -1 else w for w, n in zip(wanted, own, strict=True))
    check_size(shape)
    return call.move(lambda a: np.broadcast_to(a, shape), x)


def _repeat(call: Call) -> Tensor:
    x, times = call.tensor("self"), list(call.given["dims" if call.op == "tile" else "repeats"])
    times = [1] * (x.ndim - len(times)) + times
    own = (1,) * (len(times) - x.ndim) + tuple(x.shape)
    check_size([n * t for n, t in zip(own, times, strict=True)])
    return call.move(lambda a: np.tile(a.reshape(own), times), x)


def _repeat_interleave(call: Call) -> Tensor:
    x, times = call.tensor("self"), call.given["repeats"]
    if not isinstance(times, int):
        raise UnsupportedError("repetitions by numbers of the data")
    check_size([*x.shape, times])
    return call.move(lambda a: np.repeat(a, times, call.given.get("dim")), x)


def _cat(call: Call) -> Tensor:
    tensors = list(call.given["tensors"])
    if any(map(call.ar.is_data, tensors)) or call.dtype.is_floating_point:
        tensors = [call.real(x) for x in tensors]
    rank = max(x.ndim for x in tensors)
    tensors = [x for x in tensors if x.ndim == rank or x.size]
    axis = call.given["dim"]
    join = np.stack if call.op == "stack" else np.concatenate
    return call.move(lambda *arrays: join(arrays, axis), *tensors)


def _cut(a: Array, axis: int, index: slice) -> Array:
    return a[(*[slice(None)] * axis, index)]


def _split(call: Call) -> Result:
    x = call.tensor("self")
    axis = call.given["dim"] % x.ndim
    size = x.shape[axis]
    if call.op == "chunk":
        parts: Any = -(-size // call.given["chunks"])
    else:
        parts = call.given.get("split_size", call.given.get("split_sizes"))
    if isinstance(parts, int):
        parts = [min(parts, size - i) for i in range(0, size, parts)] if size else [0]
    if sum(parts) != size:
        raise ValueError(f"split {list(parts)} of an axis of size {size}")
    ends = [int(n) for n in np.cumsum(parts)]
    return tuple(
        call.move(lambda a, e=end, n=n: _cut(a, axis, slice(e - n, e)), x)
        for end, n in zip(ends, parts, strict=True)
    )


def _unbind(call: Call) -> Result:
    x = call.tensor("self")
    axis = call.given["dim"] % x.ndim
    return tuple(call.move(lambda a, i=i: a.take(i, axis), x) for i in range(x.shape[axis]))


def _select(call: Call) -> Tensor:
    x, index = call.tensor("self"), call.given["index"]
    axis = call.given["dim"] % x.ndim
    if not -x.shape[axis] <= index < x.shape[axis]:
        raise IndexError(f"{index} is out of range for an axis of size {x.shape[axis]}")
    return call.move(lambda a: a.take(index, axis), x)


def _slice(call: Call) -> Tensor:
    x = call.tensor("self")
    start, end, step = call.get("start", 0), call.get("end", _END), call.get("step", 1)
    return call.move(lambda a: _cut(a, call.given["dim"] % x.ndim, slice(start, end, step)), x)


def _checked(index: Array, size: int) -> Array:
    whole = np.asarray(index, np.int64)
    if whole.size and not (-size <= whole.min() and whole.max() < size):
        raise IndexError(f"an index is out of range for an axis of size {size}")
    return np.where(whole < 0, whole + size, whole)


def _take(table: str, index: str) -> Operator:
    def run(call: Call) -> Tensor:
        x = call.tensor(table)
        axis = call.given.get("dim", 0) % x.ndim
        places = _checked(call.tensor(index), x.shape[axis])
        call.looked_up(index, x, axis)
        return call.move(lambda a: np.take(a, places, axis), x)

    return run


def _gather(call: Call) -> Tensor:
    x, index = call.tensor("self"), call.tensor("index")
    axis = call.given["dim"] % x.ndim
    places = _checked(index, x.shape[axis])
    call.looked_up("index", x, axis)
    grid: list[Array] = list(np.indices(places.shape, sparse=True))
    grid[axis] = places
    return call.move(lambda a: a[tuple(grid)], x)


def _index(call: Call) -> Tensor:
    x = call.tensor("self")
    where: list[Any] = []
    for place in call.given["indices"]:
        if place is None:
            where.append(slice(None))
        elif place.dtype.kind == "b":
            if "indices" in call.free:
                call.ar.steered("index")
            where += list(np.nonzero(place))
        else:
            where.append(_checked(place, x.shape[len(where)]))
    axis = next(i for i, place in enumerate(where) if not isinstance(place, slice))
    call.looked_up("indices", x, axis)
    return call.move(lambda a: a[tuple(where)], x)


def _pad(call: Call) -> Tensor:
    x, pads, mode = call.tensor("self"), call.given["pad"], call.get("mode", "constant")
    around = [(0, 0)] * x.ndim
    for n in range(len(pads) // 2):
        around[x.ndim - 1 - n] = (pads[2 * n], pads[2 * n + 1])
    crop = tuple(
        slice(max(-low, 0), n - max(-high, 0))
        for n, (low, high) in zip(x.shape, around, strict=True)
    )
    wide = [(max(low, 0), max(high, 0)) for low, high in around]
    check_size([n + low + high for n, (low, high) in zip(x.shape, wide, strict=True)])
    if mode == "constant":
        value = call.get("value", 0)
        fill = call.number(value) if call.ar.is_data(x) else np.asarray(value, x.dtype)
        inside = np.pad(np.ones(x.shape, bool)[crop], wide)
        return call.move(lambda a, v: np.where(inside, np.pad(a[crop], wide), v), x, fill)
    kinds: dict[str, Any] = {"replicate": "edge", "reflect": "reflect", "circular": "wrap"}
    return call.move(lambda a: np.pad(a[crop], wide, mode=kinds[mode]), x)


def _roll(call: Call) -> Tensor:
    x, shifts, dims = call.tensor("self"), call.given["shifts"], call.given["dims"]
    shifts = [shifts] if isinstance(shifts, int) else list(shifts)
    dims = [dims] if isinstance(dims, int) else list(dims)
    if not dims:
        return call.move(lambda a: np.roll(a, shifts[0]), x)
    return call.move(lambda a: np.roll(a, tuple(shifts), tuple(dims)), x)


def _flip(call: Call) -> Tensor:
    return call.move(lambda a: np.flip(a, tuple(call.given["dims"])), call.tensor("self"))


def _triangle(fn: Callable[..., Array]) -> Operator:
    return lambda call: call.move(lambda a: fn(a, call.get("diagonal", 0)), call.tensor("self"))


def _copy(call: Call) -> Tensor:
    source = call.tensor("src")
    source = call.real(source) if call.dtype.is_floating_point else source
    return call.move(lambda a: np.broadcast_to(a, call.tensor("self").shape), source)


_VIEW = "_unsafe_view reshape view".split()
_SAME = "alias clone contiguous detach lift_fresh_copy".split()

TABLE: dict[str, Operator] = {
    **dict.fromkeys(_SAME, _same()),
    **dict.fromkeys(
        _VIEW, _shaped(lambda call, x: call.given["size" if call.op != "reshape" else "shape"])
    ),
    **dict.fromkeys(("reshape_as", "view_as"), _shaped(lambda call, x: call.tensor("other").shape)),
    **dict.fromkeys(("swapaxes", "swapdims"), _permuted(_swapped("axis0", "axis1"))),
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
    "flatten": _shaped(_flat),
    "flip": _flip,
    "gather": _gather,
    "index": _index,
    "index_select": _take("self", "index"),
    "movedim": _permuted(_moved),
    "permute": _permuted(_dims),
    "ravel": _shaped(lambda call, x: [-1]),
    "repeat": _repeat,
    "repeat_interleave": _repeat_interleave,
    "tile": _repeat,
    "roll": _roll,
    "select": _select,
    "slice": _slice,
    "squeeze": _shaped(_squeezed),
    "transpose": _permuted(_swapped("dim0", "dim1")),
    "tril": _triangle(np.tril),
    "triu": _triangle(np.triu),
    "unbind": _unbind,
    "unflatten": _shaped(_unflat),
    "unsqueeze": _shaped(_unsqueezed),
}
