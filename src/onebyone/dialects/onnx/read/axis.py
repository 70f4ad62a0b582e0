"""Operators that act along named axes: slice, split, concat, pad, gather, expand; and Shape."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from onebyone.axes import meanings
from onebyone.axes import meanings_axis as mean
from onebyone.axes.positional import Meaning, Operation, Regroup, Unknown
from onebyone.axes.sizes import ONE, Size, at_most, made_up, unlimited
from onebyone.dialects.onnx.bodies import Key, key_of
from onebyone.dialects.onnx.read.attributes import Attributes
from onebyone.dialects.onnx.read.layout import static_shape
from onebyone.dialects.onnx.read.reader import Handler, Reader, Reading
from onebyone.dialects.onnx.read.shape_arithmetic import LARGEST, is_odd_slice, minus
from onebyone.dialects.onnx.read.shape_values import Contents

_UNKNOWN = Unknown("a shape is not known")


def slice_(reader: Reader, node: ir.Node, given: Attributes) -> Meaning | Reading:
    """A slice; its bounds stay the operands that they are."""
    shape = reader.shape(node.inputs[0])
    if shape is None:
        return _UNKNOWN
    bounds: list[Contents | None]
    if len(node.inputs) > 1:
        inputs = [*node.inputs, None, None, None, None][1:5]
        bounds = [reader.contents.get(v) for v in inputs]
        if any(v is not None and c is None for v, c in zip(inputs[2:], bounds[2:], strict=True)):
            return Unknown("a slice along axes that are computed at run time")
    else:
        old = [given.integers(name) for name in ("starts", "ends", "axes")]
        bounds = [None if b is None else tuple(Size(i) for i in b) for b in old] + [None]
    starts, ends = bounds[0], bounds[1]
    count = len(starts or ends or bounds[2] or ())
    axes = [s.known for s in bounds[2]] if bounds[2] is not None else list(range(count))
    steps = [s.known for s in bounds[3]] if bounds[3] is not None else [1] * len(axes)
    if any(a is None for a in axes) or any(s is None for s in steps) or not axes:
        return Unknown("a slice along axes that are computed at run time")
    where = [a % len(shape) for a in axes if a is not None]
    after: dict[int, Size] = {}
    static = static_shape(node)
    for number, (axis, step) in enumerate(zip(where, steps, strict=True)):
        size = None
        if static is not None:
            size = static[axis]
        elif starts is not None and ends is not None and step is not None:
            size = _sliced(shape[axis], starts[number], ends[number], step, strict=reader.strict)
        after[axis] = size or Size(1, (_unknown(node, shape[axis], starts, ends, number, step),))
    if all(after[a] == shape[a] and step == 1 for a, step in zip(where, steps, strict=True)):
        return Reading(Regroup(), shape)
    strides = tuple(step for step in steps if step is not None)
    bounded = zip(ends or (), where, strides, strict=False)
    known = tuple(_clamped(e, shape[a]) if step > 0 else e for e, a, step in bounded)
    meaning = mean.slice_(len(shape), after, starts, known if ends else None, strides)
    return meanings.pinned(meaning, len(node.inputs))


def _unknown(
    node: ir.Node,
    size: Size,
    starts: Contents | None,
    ends: Contents | None,
    number: int,
    step: int | None,
) -> str:
    """A symbol for the length of a slice, named by all that determines it.

    So it is the same whatever the layout of the data, and whatever the name of the result.
    """
    start, end = (
        bounds[number]
        if bounds and number < len(bounds)
        else made_up(f"{bound and bound.name}.{number}")
        for bounds, bound in zip((starts, ends), [*node.inputs, None, None][1:3], strict=True)
    )
    return f"({size}[{start}:{end}:{step}])"


def _clamped(end: Size, size: Size) -> Size:
    """An end beyond the axis means the end of the axis, however it was written."""
    if end.known is not None and end.known >= LARGEST:
        return size
    if end.known is not None and size.known is not None:
        known = end.known + size.known if end.known < 0 else end.known
        return Size(max(min(known, size.known), 0))
    return end


def _sliced(size: Size, start: Size, end: Size, step: int, *, strict: bool) -> Size | None:
    """The length of a slice, None where it is not known.

    A symbol is taken for large enough, unless this is to be ``strict``: then it is at least 1.
    """
    if size.known is not None and start.known is not None and end.known is not None:
        if is_odd_slice(start.known, end.known, step, size.known):
            return None
        count = len(range(*slice(start.known, end.known, step).indices(size.known)))
        return Size(count)
    if step != 1 or start.known is None or start.known < 0:
        return None
    most = 1 if strict else start.known + abs(end.coefficient)
    whole = end == size or (end.known is not None and end.known >= LARGEST)
    if whole and start.known <= most:
        return minus(size, start)
    if size.symbols and end.known is not None and end.known < 0 and start.known - end.known <= most:
        return minus(size, Size(start.known - end.known))
    # An end that is another symbol, such as the sequence length within a longer table.
    if not strict:
        return minus(end, start) if end.symbols else None
    named = end.coefficient == 1 and len(end.symbols) == 1 and start.known == 0
    return at_most(end, size.known) if named and size.known else None


def split(reader: Reader, node: ir.Node, given: Attributes) -> Meaning | list[Operation]:
    """Parts along one axis; a part that is all of it is no part."""
    shape = reader.shape(node.inputs[0])
    if not shape:
        return _UNKNOWN
    axis = given.integer("axis", 0) % len(shape)
    lengths = given.integers("split")
    if lengths is None and len(node.inputs) > 1 and node.inputs[1] is not None:
        lengths = reader.contents.integers(node.inputs[1])
        if lengths is None:
            return Unknown("Split into parts whose sizes are computed at run time")
    if lengths is None:
        total, count = shape[axis].known, len(node.outputs)
        if total is None:
            return Unknown("Split of an axis whose size is not known")
        each = -(-total // count)
        lengths = [min(each, total - i * each) for i in range(count)]
    if min(lengths, default=0) < 0 or len(lengths) != len(node.outputs):
        return Unknown("Split into other parts than it has results")
    if reader.strict and shape[axis].known != sum(lengths):
        return Unknown("Split of an axis that may have another size")
    filled = [number for number, length in enumerate(lengths) if length]
    if len(filled) == 1 and len(lengths) > 1:
        empty = (value for number, value in enumerate(node.outputs) if number not in filled)
        if any(not _is_joined(node, value, axis, len(shape)) for value in empty):
            return Unknown("Split with an empty part")
        # All of the operand: a Concat leaves the empty parts out.
        data = node.inputs[0]
        assert data is not None
        nothing = (*shape[:axis], Size(0), *shape[axis + 1 :])
        results = [
            reader.result(node, shape if length else nothing, number)
            for number, length in enumerate(lengths)
        ]
        return [Operation(None, Regroup(), (reader.tensor(data),), (results[filled[0]],))]
    meaning = mean.split(len(shape), axis, [Size(length) for length in lengths])
    return meanings.pinned(meaning, len(node.inputs))


def _is_joined(node: ir.Node, value: ir.Value, axis: int, rank: int) -> bool:
    """Whether all that reads a result of ``node`` puts it beside others along ``axis``."""

    def joins(user: ir.Node) -> bool:
        place = user.attributes.get("axis")
        same = place is not None and place.as_int() % rank == axis and user.graph is node.graph
        return same and key_of(user) == ("", "Concat")

    return not value.is_graph_output() and all(joins(use.node) for use in value.uses())


def concat(reader: Reader, node: ir.Node, given: Attributes) -> Meaning | list[Operation]:
    """Operands side by side along one axis; the empty ones are left out."""
    shapes = [reader.shape(v) for v in node.inputs]
    if any(not shape for shape in shapes):
        return _UNKNOWN
    ranks = {len(shape) for shape in shapes if shape}
    if len(ranks) != 1:
        return _UNKNOWN
    rank = ranks.pop()
    axis = given.integer("axis", 1) % rank
    total = Size(0)
    for shape in shapes:
        assert shape is not None
        total = minus(total, Size(-shape[axis].coefficient, shape[axis].symbols))
    inputs = [reader.tensor(value) for value in node.inputs if value is not None]
    filled = [t for t in inputs if t.shape is not None and t.shape[axis].known != 0]
    if len(filled) == len(shapes) or not filled:
        return mean.concat(rank, axis, len(shapes), total)
    before = filled[0].shape
    assert before is not None
    result = reader.result(node, (*before[:axis], total, *before[axis + 1 :]))
    if len(filled) == 1:
        return [Operation(None, Regroup(), (filled[0],), (result,))]
    meaning = mean.concat(rank, axis, len(filled), total)
    return [Operation(node, meaning, tuple(filled), (result,))]


def pad(reader: Reader, node: ir.Node, given: Attributes) -> Meaning:
    """Padding of some positions; the others keep their axes."""
    shape = reader.shape(node.inputs[0])
    pads = given.integers("pads")
    if pads is None and len(node.inputs) > 1:
        pads = reader.contents.integers(node.inputs[1])
    if shape is None or pads is None:
        return Unknown("padding that is computed at run time")
    axes = list(range(len(shape)))
    if len(node.inputs) > 3 and node.inputs[3] is not None:
        listed = reader.contents.integers(node.inputs[3])
        if listed is None:
            return Unknown("padding that is computed at run time")
        axes = [axis % len(shape) for axis in listed]
    if len(pads) != 2 * len(axes):
        return _UNKNOWN
    padded = {
        axis: (pads[i], pads[i + len(axes)])
        for i, axis in enumerate(axes)
        if pads[i] or pads[i + len(axes)]
    }
    if reader.strict and any(shape[a].symbols and min(ends) < 0 for a, ends in padded.items()):
        return Unknown("a cut from an axis that may be too short")
    after = {axis: minus(shape[axis], Size(-sum(ends))) for axis, ends in padded.items()}
    mode, fill = given.text("mode", "constant"), given.number("value", 0)
    meaning = mean.pad(len(shape), after, list(padded.values()), mode, fill)
    return meanings.pinned(meaning, len(node.inputs))


def gather(reader: Reader, node: ir.Node, given: Attributes) -> Meaning:
    """Rows picked by an index tensor: one axis gives way to the axes of the indices."""
    shape, indices = reader.shape(node.inputs[0]), reader.shape(node.inputs[1])
    if not shape or indices is None:
        return _UNKNOWN
    return mean.gather(len(shape), given.integer("axis", 0) % len(shape), len(indices))


def gather_nd(reader: Reader, node: ir.Node, given: Attributes) -> Meaning | Reading:
    """Elements picked by constant coordinates, where those only count all elements in order."""
    shape, picked = reader.shape(node.inputs[0]), reader.elements(node.inputs[1])
    sizes = [] if shape is None else [size.known for size in shape]
    known = [size for size in sizes if size is not None]
    if picked is None or not known or len(known) != len(sizes):
        return Unknown("GatherND by coordinates that are computed at run time")
    if given.integer("batch_dims", 0) or picked.shape[-1] != len(known):
        return Unknown("GatherND of slices")
    if picked.size != math.prod(known) * len(known):
        return Unknown("GatherND of some elements")
    places = picked.reshape(-1, len(known))
    if not np.array_equal(places, np.indices(known).reshape(len(known), -1).T):
        return Unknown("GatherND of some elements")
    return Reading(Regroup(), tuple(Size(d) for d in picked.shape[:-1]))


def expand(reader: Reader, node: ir.Node, given: Attributes) -> Meaning | Reading:
    """Broadcasting, written out."""
    shape, target = reader.shape(node.inputs[0]), reader.contents.get(node.inputs[1])
    target = static_shape(node) or target
    if shape is None or target is None:
        return Unknown("an expansion to a shape that is not known")
    rank = max(len(shape), len(target))
    before = (ONE,) * (rank - len(shape)) + shape
    want = (ONE,) * (rank - len(target)) + tuple(target)
    pairs = zip(map(unlimited, before), want, strict=True)
    if any(not b.is_one and not a.is_one and a != b for a, b in pairs):
        return Unknown("an expansion to a shape that is not known")
    after = tuple(a if b.is_one else b for a, b in zip(before, want, strict=True))
    meaning = mean.broadcast(shape, after)
    if meaning is None:
        return Reading(Regroup(), before)
    return meanings.pinned(meaning, len(node.inputs))


def sizes(reader: Reader, node: ir.Node, given: Attributes) -> Meaning:
    """Shape and Size read no element: only sizes, which do not depend on the layout."""
    shape = reader.shape(node.inputs[0])
    if shape is None or reader.contents.get(node.outputs[0]) is None:
        return _UNKNOWN
    # Shape gives a list of sizes, Size a scalar.
    if node.op_type == "Size":
        return meanings.sizes("sizes", len(shape), [0], ("count",))
    end = given.integer("end", len(shape)) if "end" in given else None
    start, stop, _ = slice(given.integer("start", 0), end).indices(len(shape))
    return meanings.sizes("sizes", len(shape), [1], (start, stop))


TABLE: dict[Key, Handler] = {
    ("", "Concat"): concat,
    ("", "Expand"): expand,
    ("", "Gather"): gather,
    ("", "GatherND"): gather_nd,
    ("", "Pad"): pad,
    ("", "Shape"): sizes,
    ("", "Size"): sizes,
    ("", "Slice"): slice_,
    ("", "Split"): split,
}
