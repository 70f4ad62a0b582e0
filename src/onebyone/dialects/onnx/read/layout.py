"""Operators that only regroup or permute positions."""

from __future__ import annotations

import onnx_ir as ir

from onebyone.axes.positional import Meaning, Permute, Regroup, Unknown
from onebyone.axes.sizes import ONE, Size, product
from onebyone.dialects.onnx.bodies import Key
from onebyone.dialects.onnx.read.attributes import Attributes
from onebyone.dialects.onnx.read.reader import Handler, Reader, Reading, Shape

_UNKNOWN = Unknown("a shape is not known")


def reshape(reader: Reader, node: ir.Node, given: Attributes) -> Meaning | Reading:
    """Reshape with 0 and -1 resolved."""
    shape, keep_zero = reader.shape(node.inputs[0]), bool(given.integer("allowzero", 0))
    target = reader.contents.get(node.inputs[1]) if len(node.inputs) > 1 else None
    if target is None and (old := given.integers("shape")) is not None:
        target = tuple(Size(d) for d in old)
    if shape is None or target is None:
        static = static_shape(node)
        return Reading(Regroup(), static) if static and shape else Unknown("a shape is not known")
    if not keep_zero:
        if any(d.known == 0 and i >= len(shape) for i, d in enumerate(target)):
            return _UNKNOWN
        target = tuple(shape[i] if d.known == 0 else d for i, d in enumerate(target))
    if any(d.known == -1 for d in target):
        rest = product([d for d in target if d.known != -1])
        free = product(shape).divided_by(rest)
        if free is None:
            return static_reading(node)
        target = tuple(free if d.known == -1 else d for d in target)
    return Reading(Regroup(), target)


def static_shape(node: ir.Node) -> Shape | None:
    """The result's shape as shape inference found it, where all of it is integers."""
    shape = node.outputs[0].shape
    if shape is None or not all(isinstance(d, int) for d in shape.dims):
        return None
    return tuple(Size(d) for d in shape.dims if isinstance(d, int))


def static_reading(node: ir.Node) -> Meaning | Reading:
    """A reshape to the shape that shape inference found."""
    shape = static_shape(node)
    return _UNKNOWN if shape is None else Reading(Regroup(), shape)


def identity(reader: Reader, node: ir.Node, given: Attributes) -> Meaning | Reading:
    """The same tensor."""
    shape = reader.shape(node.inputs[0])
    return _UNKNOWN if shape is None else Reading(Regroup(), shape)


def flatten(reader: Reader, node: ir.Node, given: Attributes) -> Meaning | Reading:
    """Two positions: before and from ``axis``."""
    shape = reader.shape(node.inputs[0])
    if shape is None:
        return _UNKNOWN
    axis = given.integer("axis", 1)
    axis = axis + len(shape) if axis < 0 else axis
    return Reading(Regroup(), (product(shape[:axis]), product(shape[axis:])))


def _axes(reader: Reader, node: ir.Node, given: Attributes) -> list[int] | None:
    axes = given.integers("axes")
    if axes is None and len(node.inputs) > 1:
        axes = reader.contents.integers(node.inputs[1])
    return axes


def squeeze(reader: Reader, node: ir.Node, given: Attributes) -> Meaning | Reading:
    """Drop positions of size 1."""
    shape = reader.shape(node.inputs[0])
    if shape is None:
        return _UNKNOWN
    axes = _axes(reader, node, given)
    if axes is None:
        computed = len(node.inputs) > 1 and node.inputs[1] is not None
        if computed or any(size.symbols for size in shape):
            return static_reading(node)
        axes = [i for i, size in enumerate(shape) if size.is_one]
    gone = {axis % len(shape) for axis in axes} if shape else set[int]()
    rest = tuple(s for i, s in enumerate(shape) if i not in gone)
    if any(not shape[axis].is_one for axis in gone):
        return Reading(Unknown("Squeeze of an axis whose size is not known to be 1"), rest)
    return Reading(Regroup(), rest)


def unsqueeze(reader: Reader, node: ir.Node, given: Attributes) -> Meaning | Reading:
    """Insert positions of size 1."""
    shape, axes = reader.shape(node.inputs[0]), _axes(reader, node, given)
    if shape is None or axes is None:
        return static_reading(node)
    rank = len(shape) + len(axes)
    new = {axis % rank for axis in axes}
    rest = iter(shape)
    return Reading(Regroup(), tuple(ONE if i in new else next(rest) for i in range(rank)))


def transpose(reader: Reader, node: ir.Node, given: Attributes) -> Meaning:
    """A permutation of positions."""
    shape = reader.shape(node.inputs[0])
    if shape is None:
        return _UNKNOWN
    order = given.integers("perm") or list(range(len(shape)))[::-1]
    return Permute(tuple(order))


TABLE: dict[Key, Handler] = {
    ("", "Flatten"): flatten,
    ("", "Identity"): identity,
    ("", "Reshape"): reshape,
    ("", "Squeeze"): squeeze,
    ("", "Transpose"): transpose,
    ("", "Unsqueeze"): unsqueeze,
}
