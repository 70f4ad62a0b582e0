"""The FC layers of an ONNX model: which there are, in which disguise, and why some must stay."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from onebyone.axes.graph import Node, Value
from onebyone.axes.positional import Kind
from onebyone.layout.plan import is_layer

_CONVOLUTIONS = ("Conv", "ConvTranspose")
_FLOATS = ("float", "float16", "bfloat16")


class OnnxAbilities:
    """Facts about native ONNX nodes that a plan asks for."""

    def __init__(self, opset: int) -> None:
        self.opset = opset

    def is_convolution(self, node: Node) -> bool:
        """Whether a Contract's native node is a convolution."""
        return node.natives[0].op_type in _CONVOLUTIONS

    def is_linear(self, node: Node) -> bool:
        """Whether a Contract's native node is a MatMul with the weight on the right."""
        weight = node.operands[1]
        native: ir.Node = node.natives[0]
        return native.op_type == "MatMul" and weight is not None and weight.value.derived

    def along_fits(self, node: Node, slots: Sequence[int]) -> bool:
        """Before opset 13 softmax runs over all positions from its axis on: it must be last."""
        if self.opset >= 13 or node.fn == "cumsum" or not node.along:
            return True
        return bool(slots) and slots[-1] < 0


def layer_name(node: Node) -> str:
    """The name of a layer: that of its node, or of its output where the node has none."""
    native: ir.Node = node.natives[0]
    return native.name or native.outputs[0].name or native.op_type


def keep_reason(node: Node, form: str, opset: int) -> str | None:
    """Why an FC layer must keep its form, None where it need not."""
    x, w = node.operands[0], node.operands[1]
    assert x is not None and w is not None
    weight = w.value if w.value.derived else x.value
    origin = _computed_by(weight)
    if origin is not None:
        return f"its weight is computed at run time, by {origin}"
    dtype = weight.dtype
    if form == "conv":
        if dtype == "double":
            return "convolutions of float64 are not implemented by onnxruntime"
        if dtype not in _FLOATS:
            return f"there is no convolution of {dtype or 'unknown type'}"
        if dtype == "bfloat16" and opset < 22:
            return f"convolutions of bfloat16 need opset 22, the model has {opset}"
    return None


def _computed_by(value: Value) -> str | None:
    """The operator that computes a weight; casts of constants may move with the layout."""
    node = value.producer
    if value.constant or node is None:
        return None
    if node.kind is not Kind.POINTWISE:
        native: ir.Node = node.natives[0]
        return native.op_type
    return next(
        (found for use in node.operands if use and (found := _computed_by(use.value))), None
    )


def layers(nodes: Sequence[Node]) -> list[Node]:
    """The FC layers among the nodes of a graph."""
    return [node for node in nodes if is_layer(node)]
