"""Operators that only move elements: they regroup, permute, or act along named axes."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from onebyone.axes import meanings
from onebyone.axes import meanings_axis as mean
from onebyone.axes.positional import Permute, Regroup, Unknown
from onebyone.axes.sizes import Size
from onebyone.dialects.aten.read.arguments import Arguments
from onebyone.dialects.aten.read.reader import Handler, Key, Reader, Reading
from onebyone.dialects.aten.values import (
    Name,
    fake,
    integers,
    op_name,
    schema_of,
    shape_of,
    size_of,
    tags_of,
)

_END = 2**31 - 1


def regroup(reader: Reader, node: fx.Node, given: Arguments) -> Reading:
    """View, flatten, squeeze, clone and the like: the same elements in row-major order."""
    given.told("dim", "end_dim", "other", "shape", "size", "sizes", "start_dim")
    return Reading(Regroup(), "input" if "input" in given else "self")


def permute(reader: Reader, node: fx.Node, given: Arguments) -> Reading | Unknown:
    """Transposes of any kind."""
    rank, name = fake(node).ndim, op_name(node)
    order = list(range(rank))
    if name == "permute":
        order = [axis % rank for axis in given["dims"]]
    elif name in ("t", "numpy_T", "mT", "adjoint"):
        if name == "adjoint" and fake(node).is_complex():
            return Unknown("an adjoint of complex numbers")
        order = order[:-2] + order[:-3:-1] if name in ("mT", "adjoint") else order[::-1]
    elif name == "movedim":
        source, target = integers(given["source"]), integers(given["destination"])
        assert source is not None and target is not None
        goes = {t % rank: s % rank for s, t in zip(source, target, strict=True)}
        rest = iter(i for i in order if i not in goes.values())
        order = [goes[i] if i in goes else next(rest) for i in range(rank)]
    elif rank:
        a, b = (
            (given["dim0"], given["dim1"]) if "dim0" in given else (given["axis0"], given["axis1"])
        )
        order[a], order[b] = order[b], order[a]
    return Reading(Permute(tuple(order)), "self")


def slice_(reader: Reader, node: fx.Node, given: Arguments) -> Reading | Unknown:
    """Some elements of one axis, at equal distances."""
    source = fake(node.all_input_nodes[0])
    axis = given["dim"] % source.ndim
    before, after = shape_of(source)[axis], shape_of(fake(node))[axis]
    start, end, step = (
        size_argument(given["start"] or 0),
        size_argument(given["end"]),
        size_argument(given["step"]),
    )
    if before == after and step == Size(1):
        return Reading(Regroup(), "self")
    if step.known is None:
        return Unknown("a slice with a step that is computed at run time")
    if end.known is not None and end.known >= _END:
        end = before
    elif end.known is not None and before.known is not None:
        known = end.known + before.known if end.known < 0 else end.known
        end = Size(min(known, before.known))
    meaning = mean.slice_(source.ndim, {axis: after}, (start,), (end,), (step.known,))
    return Reading(meaning, "self")


def size_argument(value: Any) -> Size:
    """A size among the arguments of a call; an absent one is the end of an axis."""
    if value is None:
        return Size(_END)
    return size_of(fake(value) if isinstance(value, fx.Node) else value)


def select(reader: Reader, node: fx.Node, given: Arguments) -> Reading | Unknown:
    """One element of an axis, which goes away."""
    rank = fake(node).ndim + 1
    if isinstance(given["index"], fx.Node):
        return Unknown("an operand is a size that is computed at run time")
    return Reading(mean.gather(rank, given["dim"] % rank, 0), "self", "index")


def embedding(reader: Reader, node: fx.Node, given: Arguments) -> Reading:
    """Rows of a table."""
    table, indices = fake(given["weight"]), fake(given["indices"])
    return Reading(mean.gather(table.ndim, 0, indices.ndim), "weight", "indices")


def index_select(reader: Reader, node: fx.Node, given: Arguments) -> Reading:
    """Elements of an axis by a list of places."""
    source, picked = fake(given["self"]), fake(given["index"])
    return Reading(
        mean.gather(source.ndim, given["dim"] % source.ndim, picked.ndim), "self", "index"
    )


def index(reader: Reader, node: fx.Node, given: Arguments) -> Reading | Unknown:
    """Indexing by one tensor; by several where they only address every element in order."""
    source, indices = fake(given["self"]), given["indices"]
    where = [n for n, value in enumerate(indices) if value is not None]
    if len(where) == 1:
        picked = fake(indices[where[0]])
        if picked.dtype == torch.bool:
            return Unknown("a selection whose size depends on the data")
        return Reading(
            mean.gather(source.ndim, where[0], picked.ndim), "self", ("indices", where[0])
        )
    known = all(size.known is not None for size in shape_of(source))
    places = _computed(indices) if known and where == list(range(source.ndim)) else None
    if places is None:
        return Unknown("indexing by several tensors")
    counted = torch.arange(source.numel()).reshape(source.shape)[places]
    if torch.equal(counted.reshape(-1), torch.arange(source.numel())):
        return Reading(Regroup(), "self")
    return Unknown("indexing by several tensors")


def _computed(nodes: list[fx.Node]) -> tuple[torch.Tensor, ...] | None:
    """The elements of index tensors that depend on nothing, such as ranges with views of them."""

    def compute(node: fx.Node) -> torch.Tensor:
        target: Any = node.target
        if node.op != "call_function" or schema_of(target) is None:
            raise LookupError
        if torch.Tag.nondeterministic_seeded in tags_of(target):
            raise LookupError
        args, kwargs = fx.map_arg((node.args, node.kwargs), compute)
        kwargs = {name: value for name, value in kwargs.items() if name != "device"}
        return target(*args, **kwargs)

    try:
        return tuple(compute(node) for node in nodes)
    except LookupError:
        return None


def split(reader: Reader, node: fx.Node, given: Arguments) -> Reading | Unknown:
    """Parts along one axis; unbind takes parts of size 1 and drops the axis."""
    source, parts = fake(node.all_input_nodes[0]), fake(node)
    axis = given["dim"] % source.ndim
    given.told("chunks", "split_size", "split_sizes")
    drops = op_name(node) == "unbind"
    lengths = [Size(1) if drops else shape_of(part)[axis] for part in parts]
    if any(length.known is None for length in lengths):
        return Unknown("parts whose sizes are computed at run time")
    return Reading(mean.split(source.ndim, axis, lengths, drop=drops), "self")


def concat(reader: Reader, node: fx.Node, given: Arguments) -> Reading | Unknown:
    """Operands side by side along one axis; stack gives each the axis first."""
    tensors = [fake(value) for value in given["tensors"]]
    stacks = op_name(node) == "stack"
    rank = fake(node).ndim
    if any(tensor.ndim != rank - stacks for tensor in tensors):
        return Unknown("a concatenation with empty tensors")
    axis = given["dim"] % rank
    filled = [i for i, t in enumerate(tensors) if stacks or shape_of(t)[axis].known != 0]
    if len(filled) == 1 and not stacks:
        return Reading(Regroup(), ("tensors", filled[0]))
    total = shape_of(fake(node))[axis]
    names: list[Name] = [("tensors", i) for i in filled]
    return Reading(mean.concat(rank, axis, len(filled), total, stack=stacks), *names)


def pad(reader: Reader, node: fx.Node, given: Arguments) -> Reading | Unknown:
    """Padding with a constant; the positions that are not padded keep their axes."""
    source, pads = fake(node.all_input_nodes[0]), integers(given["pad"])
    mode, value = given.get("mode", "constant"), given.get("value") or 0.0
    if pads is None or mode != "constant" or isinstance(value, fx.Node):
        return Unknown(f"padding of mode {mode}, or by a size that is computed at run time")
    ends = {
        source.ndim - 1 - n: (pads[2 * n], pads[2 * n + 1])
        for n in range(len(pads) // 2)
        if pads[2 * n] or pads[2 * n + 1]
    }
    if not ends:
        return Reading(Regroup(), "self")
    after = {axis: shape_of(fake(node))[axis] for axis in sorted(ends)}
    pairs = [ends[axis] for axis in after]
    # A whole number beyond 2 to the 53 is no float.
    fill = float(value) if float(value) == value else value
    return Reading(mean.pad(source.ndim, after, pairs, mode, fill), "self")


def turn(reader: Reader, node: fx.Node, given: Arguments) -> Reading | Unknown:
    """Roll and flip: axes whose elements change places."""
    source, dims = fake(node.all_input_nodes[0]), integers(given["dims"])
    shifts = integers(given["shifts"]) if "shifts" in given else []
    if not dims or shifts is None:
        return Unknown("a roll of all elements in row-major order")
    axes, shape = [axis % source.ndim for axis in dims], shape_of(source)
    if len(set(axes)) < len(axes) or any(shape[axis].is_one for axis in axes):
        return Unknown(f"a {op_name(node)} that names an axis twice, or one of size 1")
    meaning = mean.turn(op_name(node), shape, axes, dict(zip(axes, shifts, strict=False)))
    return Reading(meaning, "self")


def check(reader: Reader, node: fx.Node, given: Arguments) -> Reading | Unknown:
    """A check of a tensor's type and device, which no layout changes."""
    if given.get("size") is not None or given.get("stride") is not None:
        return Unknown("a check of sizes or strides")
    given.told("dtype")
    rank = fake(node.all_input_nodes[0]).ndim
    return Reading(meanings.sizes("check", rank, []), "a")


_REGROUP = (
    "_unsafe_view alias atleast_1d clone contiguous detach flatten lift_fresh_copy ravel reshape "
    "squeeze unflatten unsqueeze view view_as reshape_as"
).split()
_PERMUTE = "adjoint mT movedim numpy_T permute swapaxes swapdims t transpose".split()

TABLE: dict[Key, Handler] = {
    **{("aten", name): regroup for name in _REGROUP},
    **{("aten", name): permute for name in _PERMUTE},
    **{("aten", name): split for name in ("chunk", "split", "split_with_sizes", "unbind")},
    **{("aten", name): concat for name in ("cat", "stack")},
    **{("aten", name): pad for name in ("constant_pad_nd", "pad")},
    **{("aten", name): turn for name in ("flip", "roll")},
    ("aten", "_assert_tensor_metadata"): check,
    ("aten", "embedding"): embedding,
    ("aten", "index"): index,
    ("aten", "index_select"): index_select,
    ("aten", "select"): select,
    ("aten", "slice"): slice_,
}
