"""Facts about native ONNX nodes that plan and report ask for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import onnx_ir as ir

from onebyone.axes.graph import Node, Use, Value
from onebyone.axes.positional import Kind
from onebyone.dialects.onnx.bodies import key_of
from onebyone.dialects.onnx.read.reader import nested_graphs
from onebyone.layout.contraction import roles_of
from onebyone.lower.places import operand
from onebyone.report import Counts, Layer

# (domain, operator): another domain's Conv is another operator.
CONVOLUTIONS = tuple(("", name) for name in ("Conv", "ConvTranspose"))
RESHAPES = tuple(("", name) for name in ("Reshape", "Flatten", "Squeeze", "Unsqueeze"))
_PRODUCTS = tuple(("", name) for name in ("MatMul", "Gemm", "Einsum"))
_QUANTIZED = (
    ("", "ConvInteger"),
    ("", "MatMulInteger"),
    ("", "QLinearConv"),
    ("", "QLinearMatMul"),
    ("com.microsoft", "MatMulBnb4"),
    ("com.microsoft", "MatMulNBits"),
    ("com.microsoft", "QGemm"),
    ("com.microsoft", "QLinearConv"),
)
_FLOATS = ("float", "float16", "bfloat16")


class OnnxNatives:
    """Answers for one graph; see `onebyone.axes.natives.Natives`."""

    # MatMul takes any number of batch positions.
    flat_products = False

    def __init__(self, opset: int) -> None:
        self.opset = opset

    def is_convolution(self, node: Node) -> bool:
        """Whether a Contract's native node is a convolution."""
        return key_of(node.natives[0]) in CONVOLUTIONS

    def is_linear(self, node: Node) -> bool:
        """Whether a Contract's native node is a MatMul with the weight on the right."""
        weight = node.operands[1]
        native: ir.Node = node.natives[0]
        return key_of(native) == ("", "MatMul") and weight is not None and weight.value.derived

    def is_product(self, node: Node) -> bool:
        """Every ONNX node that multiplies reads its factors as they are."""
        return True

    def along_fits(self, node: Node, slots: Sequence[int]) -> bool:
        """Before opset 13 softmax runs over all positions from its axis on: it must be last."""
        if self.opset >= 13 or node.fn == "cumsum":
            return True
        return bool(slots) and slots[-1] < 0

    def name(self, node: Node) -> str:
        """The name of the native node."""
        return node_name(node.natives[0])

    def operator(self, node: Node) -> str:
        """The operator's type."""
        native: ir.Node = node.natives[0]
        return native.op_type

    def must_keep(self, node: Node, form: str) -> str | None:
        """Why an FC layer must keep its form, None where it need not."""
        weight = operand(node, roles_of(node).weight)
        origin = _computed_by(weight.value)
        if origin is not None:
            return f"its weight is computed at run time, by {origin}"
        dtype = weight.value.dtype
        if form == "linear":
            return None
        if dtype == "double":
            return "convolutions of float64 are not implemented by onnxruntime"
        if dtype not in _FLOATS:
            return f"there is no convolution of {dtype or 'unknown type'}"
        if dtype == "bfloat16" and self.opset < 22:
            return f"convolutions of bfloat16 need opset 22, the model has {self.opset}"
        return None

    def written_as(self, form: str, rank: int) -> str:
        """Conv whatever its rank, or MatMul."""
        return "Conv" if form == "conv" else "MatMul"

    def not_layers(self, node: Node) -> Iterator[Layer]:
        """Convolutions that are windows, quantized layers, products in bodies."""
        native: ir.Node = node.natives[0]
        if node.kind is Kind.CONTRACT and any(map(_has_default, node.operands[:2])):
            yield _row(native, "its weight is a graph input, which a caller may override")
        elif node.kind in (Kind.WINDOW, Kind.OPAQUE):
            if key_of(native) in _QUANTIZED:
                yield _row(native, "its weight is quantized")
            elif key_of(native) in (*CONVOLUTIONS, *_PRODUCTS):
                yield _row(native, node.reason or str(next(iter(node.attrs), "")))
            yield from _nested(native)

    def has_effect(self, node: Node) -> bool:
        """Every node: what shape arithmetic is for does not show in the axis graph."""
        return True


def node_name(node: ir.Node) -> str:
    """The name of a node: its own, or that of its output where it has none."""
    return node.name or next((v.name for v in node.outputs if v.name), "") or node.op_type


def counts(graph: ir.Graph, fc_layers: int) -> Counts:
    """Nodes by kind, nested graphs not counted."""
    by_key = Counter(key_of(node) for node in graph)
    return Counts(
        nodes=sum(by_key.values()) - by_key["", "Constant"],
        fc_layers=fc_layers,
        convolutions=sum(by_key[key] for key in CONVOLUTIONS),
        transposes=by_key["", "Transpose"],
        reshapes=sum(by_key[key] for key in RESHAPES),
    )


def _computed_by(value: Value) -> str | None:
    """The operator that computes a weight; casts of constants may move with the layout."""
    node = value.producer
    if value.constant or node is None:
        return None
    if node.kind is not Kind.POINTWISE:
        native: ir.Node = node.natives[0]
        return native.op_type
    operators = (_computed_by(use.value) for use in node.operands if use)
    return next((operator for operator in operators if operator), None)


def _has_default(use: Use | None) -> bool:
    """Whether an operand is a graph input with an initializer."""
    if use is None or use.value.producer is not None or use.value.constant:
        return False
    value: ir.Value = use.value.tensor.key
    return value.const_value is not None


def _nested(node: ir.Node) -> Iterator[Layer]:
    for graph in nested_graphs(node):
        for inner in ir.traversal.RecursiveGraphIterator(graph):
            if key_of(inner) in (*CONVOLUTIONS, *_PRODUCTS):
                yield _row(inner, f"it is in the body of {node_name(node)}")


def _row(node: ir.Node, reason: str) -> Layer:
    data, weight = (*node.inputs[:2], None, None)[:2]
    return Layer(
        name=node_name(node),
        op=node.op_type,
        case="",
        before=node.op_type,
        after=node.op_type,
        input_shape=_shape(data),
        output_shape=_shape(node.outputs[0]),
        weight_shape=_shape(weight),
        macs=None,
        status="kept",
        reason=reason,
    )


def _shape(value: ir.Value | None) -> tuple[int | str, ...]:
    """The declared shape; empty where there is none."""
    if value is None or value.shape is None:
        return ()
    return tuple(dim if isinstance(dim, int) else str(dim) for dim in value.shape.dims)
