"""What ONNX's operators do to integers that may be sizes: one rule each, exact or silent.

A rule says nothing (None) where it does not know the result for every value of the symbols.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import onnx_ir as ir

from onebyone.axes.sizes import Size, product
from onebyone.dialects.onnx.read import attributes as at
from onebyone.dialects.onnx.read import shape_arithmetic as sizes

# An array of `Size`, of any rank.
Sizes = np.ndarray[Any, Any]
Outputs = Sequence[Sizes | None]


class Known(Protocol):
    """What is known of the tensors that a node reads."""

    def sizes(self, value: ir.Value | None) -> Sizes | None:
        """The contents of a tensor, or None where they are not sizes."""
        ...

    def integer(self, value: ir.Value | None) -> int | None:
        """The single integer that a tensor holds, or None."""
        ...

    def integers(self, value: ir.Value | None) -> list[int] | None:
        """The integers that a tensor holds, or None where one is not known."""
        ...

    def shape(self, value: ir.Value) -> tuple[Size, ...] | None:
        """The shape of a tensor."""
        ...


Rule = Callable[[Known, ir.Node], Outputs]

# More elements than any rule makes of one number.
_MOST = 4096


def each(function: Callable[[Any], Size], array: np.ndarray[Any, Any]) -> Sizes:
    """A function of every element."""
    return _array([function(item) for item in array.reshape(-1)], array.shape)


def _array(items: Sequence[Size], shape: Sequence[int]) -> Sizes:
    array = np.empty(len(items), object)
    array[:] = items
    return array.reshape(tuple(shape))


def _pairs(combine: sizes.Combine, a: Sizes, b: Sizes) -> Sizes | None:
    try:
        left, right = np.broadcast_arrays(a, b)
    except ValueError:
        return None
    found = [combine(x, y) for x, y in zip(left.reshape(-1), right.reshape(-1), strict=True)]
    known = [size for size in found if size is not None]
    return _array(known, left.shape) if len(known) == len(found) else None


def _pairwise(combine: sizes.Combine) -> Rule:
    def rule(ev: Known, node: ir.Node) -> Outputs:
        # Max and Min take any number; until opset 6 one broadcasts by attributes.
        if len(node.inputs) != 2 or "broadcast" in node.attributes or "axis" in node.attributes:
            return [None]
        a, b = ev.sizes(node.inputs[0]), ev.sizes(node.inputs[1])
        return [None if a is None or b is None else _pairs(combine, a, b)]

    return rule


def _mod(ev: Known, node: ir.Node) -> Outputs:
    return _pairwise(sizes.rest if at.integer(node, "fmod", 0) else sizes.remainder)(ev, node)


def _shape(ev: Known, node: ir.Node) -> Outputs:
    source = node.inputs[0]
    shape = ev.shape(source) if source is not None else None
    if shape is None:
        return [None]
    part = shape[slice(at.integer(node, "start", 0), at.optional_integer(node, "end"))]
    return [_array(part, (len(part),))]


def _size(ev: Known, node: ir.Node) -> Outputs:
    source = node.inputs[0]
    shape = ev.shape(source) if source is not None else None
    return [None if shape is None else _array([product(shape)], ())]


def _same(ev: Known, node: ir.Node) -> Outputs:
    return [ev.sizes(node.inputs[0])]


def _cast(ev: Known, node: ir.Node) -> Outputs:
    integral = at.integer(node, "to", 0) in (ir.DataType.INT64, ir.DataType.INT32)
    return [ev.sizes(node.inputs[0]) if integral else None]


def _moved(function: Callable[[Known, ir.Node, Sizes], Sizes | None]) -> Rule:
    """A rule for what only moves elements, which numpy does as ONNX does."""

    def rule(ev: Known, node: ir.Node) -> Outputs:
        data = ev.sizes(node.inputs[0])
        try:
            return [None if data is None else function(ev, node, data)]
        except (IndexError, ValueError):  # numpy's, for what no runtime takes either
            return [None]

    return rule


def _axes(ev: Known, node: ir.Node, place: int = 1) -> list[int] | None:
    """Axes of an attribute or an operand; an absent list is empty, an unknown one None."""
    given = at.integers(node, "axes")
    if given is not None or len(node.inputs) <= place or node.inputs[place] is None:
        return given or []
    return ev.integers(node.inputs[place])


def _squeeze(ev: Known, node: ir.Node, data: Sizes) -> Sizes | None:
    axes = _axes(ev, node)
    return None if axes is None else np.squeeze(data, tuple(axes) if axes else None)


def _unsqueeze(ev: Known, node: ir.Node, data: Sizes) -> Sizes | None:
    axes = _axes(ev, node)
    return np.expand_dims(data, tuple(axes)) if axes else None


def _reshape(ev: Known, node: ir.Node, data: Sizes) -> Sizes | None:
    target = at.integers(node, "shape")
    if target is None:
        target = ev.integers(node.inputs[1]) if len(node.inputs) > 1 else None
    if target is None:
        return None
    if not at.integer(node, "allowzero", 0):
        target = [data.shape[i] if size == 0 else size for i, size in enumerate(target)]
    return data.reshape(target)


def _flatten(ev: Known, node: ir.Node, data: Sizes) -> Sizes | None:
    axis = at.integer(node, "axis", 1)
    lead = data.shape[: axis if axis >= 0 else axis + data.ndim]
    return data.reshape((int(np.prod(lead, dtype=int)), -1))


def _transpose(ev: Known, node: ir.Node, data: Sizes) -> Sizes | None:
    return data.transpose(at.integers(node, "perm"))


def _gather(ev: Known, node: ir.Node, data: Sizes) -> Sizes | None:
    places = ev.sizes(node.inputs[1])
    known = [] if places is None else [place.known for place in places.reshape(-1)]
    if places is None or None in known or not data.ndim:
        return None
    index = np.array(known, np.int64).reshape(places.shape)
    taken: Any = np.take(data, index, at.integer(node, "axis", 0))
    return taken if isinstance(taken, np.ndarray) else _array([taken], ())


def _slice(ev: Known, node: ir.Node, data: Sizes) -> Sizes | None:
    if len(node.inputs) < 3 or not data.ndim:
        return None
    starts, ends = ev.integers(node.inputs[1]), ev.integers(node.inputs[2])
    if starts is None or ends is None:
        return None
    axes, steps = list(range(len(starts))), [1] * len(starts)
    if len(node.inputs) > 3 and node.inputs[3] is not None:
        axes = ev.integers(node.inputs[3])
    if len(node.inputs) > 4 and node.inputs[4] is not None:
        steps = ev.integers(node.inputs[4])
    if axes is None or steps is None:
        return None
    where = [slice(None)] * data.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        if sizes.is_odd_slice(start, end, step, data.shape[axis]):
            return None
        where[axis] = slice(start, end, step)
    return data[tuple(where)]


def _concat(ev: Known, node: ir.Node) -> Outputs:
    parts = [ev.sizes(value) for value in node.inputs]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return [None]
    try:
        return [np.concatenate(known, at.integer(node, "axis", 1))]
    except ValueError:  # also where scalars meet
        return [None]


def _split(ev: Known, node: ir.Node) -> Outputs:
    data, axis = ev.sizes(node.inputs[0]), at.integer(node, "axis", 0)
    unknown = [None] * len(node.outputs)
    if data is None or data.ndim != 1 or axis not in (0, -1):
        return unknown
    lengths = at.integers(node, "split")
    if lengths is None and len(node.inputs) > 1 and node.inputs[1] is not None:
        lengths = ev.integers(node.inputs[1])
        if lengths is None:
            return unknown
    if lengths is None:
        part = -(-len(data) // len(node.outputs))
        lengths = [min(part, len(data) - i * part) for i in range(len(node.outputs))]
    if sum(lengths) != len(data) or min(lengths) < 0 or len(lengths) != len(node.outputs):
        return unknown
    ends = np.cumsum(lengths)
    return [data[end - length : end] for length, end in zip(lengths, ends, strict=True)]


def _not(ev: Known, node: ir.Node) -> Outputs:
    data = ev.sizes(node.inputs[0])
    return [None if data is None else each(lambda size: Size(int(size == Size(0))), data)]


def _neg(ev: Known, node: ir.Node) -> Outputs:
    data = ev.sizes(node.inputs[0])
    return [None if data is None else each(lambda s: Size(-s.coefficient, s.symbols), data)]


def _where(ev: Known, node: ir.Node) -> Outputs:
    found = [ev.sizes(value) for value in node.inputs]
    known = [array for array in found if array is not None]
    if len(known) != 3:
        return [None]
    try:
        flags, a, b = np.broadcast_arrays(*known)
    except ValueError:
        return [None]
    triples = zip(flags.reshape(-1), a.reshape(-1), b.reshape(-1), strict=True)
    return [_array([y if flag == Size(0) else x for flag, x, y in triples], flags.shape)]


def _constant_of_shape(ev: Known, node: ir.Node) -> Outputs:
    shape, fill = ev.integers(node.inputs[0]), node.attributes.get("value")
    if shape is None or fill is None or any(not 0 <= size <= _MOST for size in shape):
        return [None]
    tensor, count = fill.as_tensor(), int(np.prod(shape, dtype=object))
    if tensor.dtype not in (ir.DataType.INT64, ir.DataType.INT32) or count > _MOST:
        return [None]
    return [_array([Size(int(tensor.numpy().reshape(-1)[0]))] * count, shape)]


def _reduce_prod(ev: Known, node: ir.Node) -> Outputs:
    data, axes = ev.sizes(node.inputs[0]), _axes(ev, node)
    if data is None or axes is None or data.ndim > 1:
        return [None]
    if not axes and at.integer(node, "noop_with_empty_axes", 0):
        return [data]
    keep = bool(data.ndim and at.integer(node, "keepdims", 1))
    return [_array([product(list(data.reshape(-1)))], (1,) if keep else ())]


def _range(ev: Known, node: ir.Node) -> Outputs:
    bounds = [ev.integer(value) for value in node.inputs]
    start, limit, delta = [0, 0, 0] if None in bounds else [b or 0 for b in bounds]
    if delta == 0 or abs(limit - start) > _MOST * abs(delta):
        return [None]
    numbers = [Size(i) for i in range(start, limit, delta)]
    return [_array(numbers, (len(numbers),))]


RULES: dict[str, Rule] = {
    "Add": _pairwise(sizes.plus),
    "And": _pairwise(sizes.times),
    "Cast": _cast,
    "Concat": _concat,
    "ConstantOfShape": _constant_of_shape,
    "Div": _pairwise(sizes.divided),
    "Equal": _pairwise(sizes.equal),
    "Flatten": _moved(_flatten),
    "Gather": _moved(_gather),
    "Identity": _same,
    "Max": _pairwise(sizes.known(max)),
    "Min": _pairwise(sizes.known(min)),
    "Mod": _mod,
    "Mul": _pairwise(sizes.times),
    "Neg": _neg,
    "Not": _not,
    "Range": _range,
    "ReduceProd": _reduce_prod,
    "Reshape": _moved(_reshape),
    "Shape": _shape,
    "Size": _size,
    "Slice": _moved(_slice),
    "Split": _split,
    "Squeeze": _moved(_squeeze),
    "Sub": _pairwise(sizes.minus),
    "Transpose": _moved(_transpose),
    "Unsqueeze": _moved(_unsqueeze),
    "Where": _where,
}
