"""From an ONNX model to its axis graph: the table of operators in one place."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from onebyone.axes.graph import AxisGraph
from onebyone.axes.lift import lift
from onebyone.dialects.onnx import lift_contract, lift_layout, lift_norm, lift_pointwise
from onebyone.dialects.onnx.lift import Handler, Reader

TABLE: dict[str, Handler] = {
    **lift_pointwise.TABLE,
    **lift_layout.TABLE,
    **lift_contract.TABLE,
    **lift_norm.TABLE,
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
    """Static shape inference by onnx; leaves the model as it is where that fails."""
    from onnx_ir.passes.common import ShapeInferencePass

    ShapeInferencePass(check_type=False, strict_mode=False, data_prop=True)(model)
