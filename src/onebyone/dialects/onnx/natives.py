"""The FC layers of an ONNX model: which there are, in which disguise, and why some must stay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import onnx_ir as ir

from onebyone.axes.graph import AxisGraph, Form, Node, Use, Value
from onebyone.axes.positional import Kind
from onebyone.axes.sizes import product
from onebyone.dialects.onnx.read.reader import nested_graphs
from onebyone.layout.contraction import layer_case
from onebyone.layout.plan import Plan, is_layer
from onebyone.report import Counts, Layer

CONVOLUTIONS = ("Conv", "ConvTranspose")
RESHAPES = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")
_PRODUCTS = ("MatMul", "Gemm", "Einsum")
_QUANTIZED = (
    "ConvInteger",
    "MatMulBnb4",
    "MatMulInteger",
    "MatMulNBits",
    "QGemm",
    "QLinearConv",
    "QLinearMatMul",
)
_FLOATS = ("float", "float16", "bfloat16")


class OnnxAbilities:
    """Facts about native ONNX nodes that a plan asks for."""

    def __init__(self, opset: int) -> None:
        self.opset = opset

    def is_convolution(self, node: Node) -> bool:
        """Whether a Contract's native node is a convolution."""
        return node.natives[0].op_type in CONVOLUTIONS

    def is_linear(self, node: Node) -> bool:
        """Whether a Contract's native node is a MatMul with the weight on the right."""
        weight = node.operands[1]
        native: ir.Node = node.natives[0]
        return native.op_type == "MatMul" and weight is not None and weight.value.derived

    def is_product(self, node: Node) -> bool:
        """Every ONNX node that multiplies reads its factors as they are."""
        return True

    @property
    def flat_products(self) -> bool:
        """MatMul takes any number of batch positions."""
        return False

    def along_fits(self, node: Node, slots: Sequence[int]) -> bool:
        """Before opset 13 softmax runs over all positions from its axis on: it must be last."""
        if self.opset >= 13 or node.fn == "cumsum":
            return True
        return bool(slots) and slots[-1] < 0


def node_name(node: ir.Node) -> str:
    """The name of a node: its own, or that of its output where it has none."""
    return node.name or next((v.name for v in node.outputs if v.name), "") or node.op_type


def keep_reason(node: Node, form: str, opset: int) -> str | None:
    """Why an FC layer must keep its form, None where it need not."""
    w = _data_and_weight(node)[1]
    origin = _computed_by(w.value)
    if origin is not None:
        return f"its weight is computed at run time, by {origin}"
    dtype = w.value.dtype
    if form != "linear":
        if dtype == "double":
            return "convolutions of float64 are not implemented by onnxruntime"
        if dtype not in _FLOATS:
            return f"there is no convolution of {dtype or 'unknown type'}"
        if dtype == "bfloat16" and opset < 22:
            return f"convolutions of bfloat16 need opset 22, the model has {opset}"
    return None


def _data_and_weight(node: Node) -> tuple[Use, Use]:
    a, b = node.operands[0], node.operands[1]
    assert a is not None and b is not None
    return (b, a) if a.value.derived and not b.value.derived else (a, b)


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


def counts(graph: ir.Graph, fc_layers: int) -> Counts:
    """Nodes by kind, nested graphs not counted."""
    by_type = Counter(node.op_type for node in graph)
    return Counts(
        nodes=sum(by_type.values()) - by_type["Constant"],
        fc_layers=fc_layers,
        convolutions=sum(by_type[name] for name in CONVOLUTIONS),
        transposes=by_type["Transpose"],
        reshapes=sum(by_type[name] for name in RESHAPES),
    )


def describe(graph: AxisGraph, plan: Plan | None) -> list[Layer]:
    """All layers in graph order: FC layers, convolutions that are none, quantized layers."""
    found: list[Layer] = []
    for node in graph.nodes:
        native: ir.Node = node.natives[0]
        if is_layer(node):
            found.append(_fc_layer(node, plan))
        elif node.kind is Kind.CONTRACT and any(map(_has_default, node.operands[:2])):
            found.append(_other(native, "its weight is a graph input, which a caller may override"))
        elif node.kind in (Kind.WINDOW, Kind.OPAQUE):
            reason = node.reason or str(next(iter(node.attrs), ""))
            if native.op_type in (*CONVOLUTIONS, *_QUANTIZED, *_PRODUCTS):
                quantized = native.op_type in _QUANTIZED
                found.append(_other(native, "its weight is quantized" if quantized else reason))
            found += _nested(native)
    return found


def _has_default(use: Use | None) -> bool:
    """Whether an operand is a graph input with an initializer."""
    if use is None or use.value.producer is not None or use.value.constant:
        return False
    value: ir.Value = use.value.tensor.key
    return value.const_value is not None


def _nested(node: ir.Node) -> Iterator[Layer]:
    for graph in nested_graphs(node):
        for inner in ir.traversal.RecursiveGraphIterator(graph):
            if inner.op_type in (*CONVOLUTIONS, *_PRODUCTS):
                yield _other(inner, f"it is in the body of {node_name(node)}")


def _other(node: ir.Node, reason: str) -> Layer:
    shapes = [
        tuple(str(d) if not isinstance(d, int) else d for d in v.shape.dims)
        if v is not None and v.shape is not None
        else ()
        for v in (*node.inputs[:2], None, None)[:2]
    ]
    out = node.outputs[0].shape
    return Layer(
        name=node_name(node),
        op=node.op_type,
        case="",
        before=node.op_type,
        after=node.op_type,
        input_shape=shapes[0],
        output_shape=()
        if out is None
        else tuple(str(d) if not isinstance(d, int) else d for d in out.dims),
        weight_shape=shapes[1],
        macs=None,
        status="kept",
        reason=reason,
    )


def _fc_layer(node: Node, plan: Plan | None) -> Layer:
    native: ir.Node = node.natives[0]
    x, w = _data_and_weight(node)
    result = node.results[0]
    total = product(node.sizes).known
    before = _form_name(native.op_type, node, x, w, x.form, w.form)
    after, case = before, layer_case(node, x, x.form)
    status, reason = "unchanged", None
    if plan is not None:
        variant = plan.forms.nodes[node]
        reason = plan.kept.get(node)
        x_form = variant.reads[node.operands.index(x)]
        w_form = variant.reads[node.operands.index(w)]
        if reason is not None:
            status = "kept"
        elif variant.tag in ("conv", "linear"):
            status = "converted"
            op = "Conv" if variant.tag == "conv" else "MatMul"
            after = _form_name(op, node, x, w, x_form, w_form)
            if variant.tag == "conv":
                case = layer_case(node, x, x_form)
    return Layer(
        name=node_name(native),
        op=native.op_type,
        case=case,
        before=before,
        after=after,
        input_shape=_shape(x, x.form),
        output_shape=_shape(result, result.form),
        weight_shape=_shape(w, w.form),
        macs=total,
        status=status,
        reason=reason,
    )


def _shape(use: Use, form: Form) -> tuple[int | str, ...]:
    sizes = [product([use.value.sizes[axis] for axis in group]) for group in form]
    return tuple(str(size) if size.known is None else size.known for size in sizes)


def native_case(node: Node) -> str:
    """The case of a layer in its native form: ``pointwise``, ``patch`` or ``whole``."""
    x = _data_and_weight(node)[0]
    return layer_case(node, x, x.form)


def _form_name(op: str, node: Node, x: Use, w: Use, x_form: Form, w_form: Form) -> str:
    if op not in CONVOLUTIONS:
        return op
    sizes = [product([w.value.sizes[a] for a in group]) for group in w_form[2:]]
    return f"{op} {'x'.join(str(size) for size in sizes)}"
