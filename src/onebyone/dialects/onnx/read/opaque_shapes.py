"""Shapes of what some operators yield that nothing else is known of, beyond onnx's own inference.

onnx makes up a new size for every one that it does not know as a number or by its name.
"""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from onebyone.axes.sizes import Size, is_name
from onebyone.dialects.onnx.bodies import Key, key_of
from onebyone.dialects.onnx.read import attributes as at
from onebyone.dialects.onnx.read.shape_values import Evaluator

Shape = tuple[Size, ...]


def opaque_shape(known: Evaluator, node: ir.Node, number: int) -> Shape | None:
    """The shape of result ``number`` of a node, None where there is no rule for it."""
    rule = _RULES.get(key_of(node))
    return None if rule is None or number else rule(known, node)


def _shape(known: Evaluator, value: ir.Value | None) -> Shape | None:
    return None if value is None else known.shape(value)


def _range(known: Evaluator, node: ir.Node) -> Shape | None:
    start, limit, delta = (known.get(value) for value in node.inputs)
    if start != (Size(0),) or delta != (Size(1),) or limit is None:
        return None
    return (limit[0],) if _is_positive(limit[0]) else None


def _filled(known: Evaluator, node: ir.Node) -> Shape | None:
    shape = known.get(node.inputs[0])
    return shape if shape is not None and all(_is_positive(size) for size in shape) else None


def _is_positive(size: Size) -> bool:
    """A name is at least 1; an expression of names may be anything."""
    return size.coefficient > 0 and all(map(is_name, size.symbols))


def _tiled(known: Evaluator, node: ir.Node) -> Shape | None:
    shape, counts = _shape(known, node.inputs[0]), known.get(node.inputs[1])
    if shape is None or counts is None or len(counts) != len(shape):
        return None
    return tuple(a * b for a, b in zip(shape, counts, strict=True))


def _gathered(known: Evaluator, node: ir.Node) -> Shape | None:
    return _shape(known, node.inputs[1])


def _gathered_rows(known: Evaluator, node: ir.Node) -> Shape | None:
    data, places = _shape(known, node.inputs[0]), _shape(known, node.inputs[1])
    if not data or not places or (width := places[-1].known) is None:
        return None
    return (*places[:-1], *data[at.integer(node, "batch_dims", 0) + width :])


_RULES: dict[Key, Callable[[Evaluator, ir.Node], Shape | None]] = {
    ("", "ConstantOfShape"): _filled,
    ("", "GatherElements"): _gathered,
    ("", "GatherND"): _gathered_rows,
    ("", "Range"): _range,
    ("", "Tile"): _tiled,
}
