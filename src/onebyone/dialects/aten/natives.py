"""The FC layers of a program: which there are, in which disguise, and why some must stay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from torch import fx

from onebyone.axes.graph import AxisGraph, Form, Node, Use, Value
from onebyone.axes.positional import Kind
from onebyone.axes.sizes import product
from onebyone.dialects.aten.read.contract import CONVOLUTIONS
from onebyone.dialects.aten.read.reader import Reader
from onebyone.dialects.aten.values import Native, fake, op_name, shape_of
from onebyone.layout.contraction import layer_case, roles
from onebyone.layout.plan import Plan, is_layer
from onebyone.lower.places import operand
from onebyone.report import Counts, Layer

RESHAPES = (
    "_unsafe_view",
    "flatten",
    "reshape",
    "squeeze",
    "unflatten",
    "unsqueeze",
    "view",
)
TRANSPOSES = ("movedim", "numpy_T", "permute", "t", "transpose")
_LINEAR = ("addmm", "linear", "matmul", "mm")
_FLOATS = ("bfloat16", "double", "float", "float16")


class AtenAbilities:
    """Facts about native nodes that a plan asks for."""

    def is_convolution(self, node: Node) -> bool:
        """Whether a Contract's native node is a convolution."""
        return node.natives[0].op in CONVOLUTIONS

    def is_linear(self, node: Node) -> bool:
        """Whether a Contract's native node is a matrix product with the weight on the right."""
        return node.natives[0].op in _LINEAR and operand(node, 1).value.derived

    def is_product(self, node: Node) -> bool:
        """Whether it is a matrix product by itself, and no part of a fused attention."""
        return bool(node.natives[0].names)

    @property
    def flat_products(self) -> bool:
        """Core ATen has `bmm` only; a `matmul` of more positions decomposes into expands."""
        return True

    def along_fits(self, node: Node, slots: Sequence[int]) -> bool:
        """Softmax and running sums take any position."""
        return True


def layer_name(reader: Reader, node: Node) -> str:
    """The module that owns the weight, as its name in the program; else that of the fx node."""
    weight = operand(node, roles(node).weight).value
    key = weight.tensor.key
    if isinstance(key, fx.Node) and key in reader.targets:
        return reader.targets[key].removesuffix(".weight")
    return node.natives[0].node.name


def keep_reason(node: Node, form: str) -> str | None:
    """Why an FC layer must keep its form, None where it need not."""
    value = operand(node, roles(node).weight).value
    origin = _unpacked(value)
    if origin is not None:
        return f"its weight is unpacked at run time, by {origin}"
    if form == "conv" and value.dtype not in _FLOATS:
        return f"there is no convolution of {value.dtype}"
    return None


def _unpacked(value: Value) -> str | None:
    """The operator that makes a weight of integers: backends look for it next to the layer."""
    node = value.producer
    if value.constant or node is None:
        return None
    operands = [use.value for use in node.operands if use is not None]
    pinned = node.kind in (Kind.OPAQUE, Kind.WINDOW)
    if pinned and any(o.dtype not in _FLOATS and o.sizes for o in operands):
        return node.natives[0].op
    return next((origin for o in operands if (origin := _unpacked(o)) is not None), None)


def counts(program_graph: fx.Graph, fc_layers: int) -> Counts:
    """Nodes by kind; placeholders, sizes and parts of tuples are not counted."""
    nodes = [n for n in program_graph.nodes if n.op == "call_function"]
    by_op = Counter(op_name(node) for node in nodes)
    return Counts(
        nodes=len(nodes) - by_op["getitem"] - by_op["sym_size"] - by_op["_assert_tensor_metadata"],
        fc_layers=fc_layers,
        convolutions=sum(by_op[name] for name in CONVOLUTIONS),
        transposes=sum(by_op[name] for name in TRANSPOSES),
        reshapes=sum(by_op[name] for name in RESHAPES),
    )


def describe(graph: AxisGraph, reader: Reader, plan: Plan) -> list[Layer]:
    """All layers in graph order: FC layers, and convolutions that are none."""
    found: list[Layer] = []
    for node in graph.nodes:
        native: Native = node.natives[0]
        if is_layer(node):
            found.append(_fc_layer(node, reader, plan))
        elif node.kind in (Kind.WINDOW, Kind.OPAQUE) and native.op in (*CONVOLUTIONS, *_LINEAR):
            reason = node.reason or str(next(iter(node.attrs), ""))
            found.append(_other(native.node, reader, reason))
    return found


def _other(node: fx.Node, reader: Reader, reason: str) -> Layer:
    shapes = [_plain(shape_of(fake(source))) for source in node.all_input_nodes[:2]]
    weight = node.all_input_nodes[-1] if len(shapes) < 2 else node.all_input_nodes[1]
    return Layer(
        name=reader.targets.get(weight, node.name).removesuffix(".weight"),
        op=op_name(node),
        case="",
        before=op_name(node),
        after=op_name(node),
        input_shape=shapes[0],
        output_shape=_plain(shape_of(fake(node))),
        weight_shape=shapes[-1],
        macs=None,
        status="kept",
        reason=reason,
    )


def _plain(sizes: Sequence[object]) -> tuple[int | str, ...]:
    return tuple(int(str(s)) if str(s).isdecimal() else str(s) for s in sizes)


def _fc_layer(node: Node, reader: Reader, plan: Plan) -> Layer:
    native: Native = node.natives[0]
    part = roles(node)
    data, weight = part.data, part.weight
    x, w, result = operand(node, data), operand(node, weight), node.results[0]
    before = _form_name(native.op, w, w.form)
    after, case, status = before, layer_case(node, x, x.form), "unchanged"
    variant = plan.forms.nodes[node]
    reason = plan.kept.get(node)
    if reason is not None:
        status = "kept"
    elif variant.tag in ("conv", "linear"):
        status = "converted"
        conv = variant.tag == "conv"
        op = f"conv{len(variant.reads[weight]) - 2}d" if conv else "linear"
        after = _form_name(op, w, variant.reads[weight])
        case = layer_case(node, x, variant.reads[data]) if conv else case
    return Layer(
        name=layer_name(reader, node),
        op=native.op,
        case=case,
        before=before,
        after=after,
        input_shape=_shape(x, x.form),
        output_shape=_shape(result, result.form),
        weight_shape=_shape(w, w.form),
        macs=product(node.sizes).known,
        status=status,
        reason=reason,
    )


def _shape(use: Use, form: Form) -> tuple[int | str, ...]:
    return _plain([product([use.value.sizes[axis] for axis in group]) for group in form])


def native_case(node: Node) -> str:
    """The case of a layer in its native form."""
    x = operand(node, roles(node).data)
    return layer_case(node, x, x.form)


def _form_name(op: str, w: Use, form: Form) -> str:
    if "conv" not in op:
        return op
    sizes = [product([w.value.sizes[a] for a in group]) for group in form[2:]]
    return f"{op} {'x'.join(str(size) for size in sizes)}"
