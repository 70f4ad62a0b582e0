"""Shapes of what some operators yield that nothing else is known of, beyond onnx's own inference.

onnx makes up a new size for every one that it does not know as a number or by its name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import onnx_ir as ir

from onebyone.axes.sizes import Size, is_name
from onebyone.dialects.onnx.bodies import Key, key_of
from onebyone.dialects.onnx.read import attributes as at

if TYPE_CHECKING:
    from onebyone.dialects.onnx.read.reader import Reader

Shape = tuple[Size, ...]


def opaque_shape(reader: Reader, node: ir.Node, number: int) -> Shape | None:
    """The shape of result ``number`` of a node, None where there is no rule for it."""
    rule = _RULES.get(key_of(node))
    return None if rule is None or number else rule(reader, node)


def _range(reader: Reader, node: ir.Node) -> Shape | None:
    start, limit, delta = (reader.contents.get(value) for value in node.inputs)
    if start != (Size(0),) or delta != (Size(1),) or limit is None:
        return None
    # A symbol is no negative number; an expression may be one.
    single = limit[0].coefficient > 0 and all(map(is_name, limit[0].symbols))
    return (limit[0],) if single else None


def _gathered(reader: Reader, node: ir.Node) -> Shape | None:
    return reader.shape(node.inputs[1])


def _gathered_rows(reader: Reader, node: ir.Node) -> Shape | None:
    data, places = reader.shape(node.inputs[0]), reader.shape(node.inputs[1])
    if not data or not places or (width := places[-1].known) is None:
        return None
    return (*places[:-1], *data[at.integer(node, "batch_dims", 0) + width :])


_RULES: dict[Key, Callable[[Reader, ir.Node], Shape | None]] = {
    ("", "GatherElements"): _gathered,
    ("", "GatherND"): _gathered_rows,
    ("", "Range"): _range,
}
