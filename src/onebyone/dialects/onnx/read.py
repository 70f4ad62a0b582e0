"""From an ONNX model to its axis graph: the table of operators in one place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir

from onebyone.axes.graph import AxisGraph
from onebyone.axes.lift import lift
from onebyone.dialects.onnx import (
    lift_contract,
    lift_layout,
    lift_norm,
    lift_pointwise,
    lift_window,
)
from onebyone.dialects.onnx.lift import Handler, Reader, is_symbol, nested_graphs

TABLE: dict[str, Handler] = {
    **lift_pointwise.TABLE,
    **lift_layout.TABLE,
    **lift_contract.TABLE,
    **lift_norm.TABLE,
    **lift_window.TABLE,
}


@dataclass(frozen=True)
class Lifted:
    """An axis graph, and the reader that knows where its tensors are in the ONNX model."""

    graph: AxisGraph
    reader: Reader


def read(model: ir.Model) -> Lifted:
    """Lift a model. Adds inferred shapes to its values, and changes nothing else of it."""
    infer_shapes(model)
    reader = Reader(model, TABLE)
    return Lifted(lift(reader.read()), reader)


def infer_shapes(model: ir.Model) -> None:
    """Shape inference by onnx; leaves the model as it is where that fails.

    Input dimensions written as -1 or ``?`` are hidden from it: it would compute with the -1, and
    take two ``?`` for the same size.
    """
    from onnx_ir.passes.common import ShapeInferencePass

    declared = [(value, value.shape) for value in model.graph.inputs if value.shape is not None]
    for value, shape in declared:
        value.shape = ir.Shape(
            [
                dim if (isinstance(dim, int) and dim >= 0) or is_symbol(dim) else None
                for dim in shape
            ]
        )
    own = [(value, value.type, value.shape) for value in _untouched(model)]
    ShapeInferencePass(check_type=False, strict_mode=False, data_prop=True)(model)
    for value, shape in declared:
        value.shape = shape
    for value, type_, shape in own:
        value.type, value.shape = type_, shape


def _untouched(model: ir.Model) -> Iterator[ir.Value]:
    """Values whose inferred type onnx-ir would take for a tensor's: sequences, optionals."""
    for graph in model.graphs():
        for node in graph:
            tensors = node.op_type in TABLE or not nested_graphs(node)
            plain = not any(word in node.op_type for word in ("Sequence", "Optional"))
            if graph is not model.graph or not (tensors and plain):
                yield from node.outputs
        if graph is not model.graph:
            yield from graph.inputs
    yield from (v for v in model.graph.inputs if not isinstance(v.type, ir.TensorType))
