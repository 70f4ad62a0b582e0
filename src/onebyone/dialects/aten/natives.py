"""Facts about native nodes of a program that plan and report ask for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from torch import fx

from onebyone.axes.graph import Node, Value
from onebyone.axes.positional import Kind
from onebyone.dialects.aten.read.contract import CONVOLUTIONS
from onebyone.dialects.aten.read.reader import Reader
from onebyone.dialects.aten.values import Native, fake, op_name, shape_of
from onebyone.layout.contraction import roles_of
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


class AtenNatives:
    """Answers for one program; see `onebyone.axes.natives.Natives`."""

    # Core ATen has `bmm` only; a `matmul` of more positions decomposes into expands.
    flat_products = True

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def is_convolution(self, node: Node) -> bool:
        """Whether a Contract's native node is a convolution."""
        return node.natives[0].op in CONVOLUTIONS

    def is_linear(self, node: Node) -> bool:
        """Whether a Contract's native node is a matrix product with the weight on the right."""
        second = node.operands[1]
        return node.natives[0].op in _LINEAR and second is not None and second.value.derived

    def is_product(self, node: Node) -> bool:
        """Whether it is a matrix product by itself, and no part of a fused attention."""
        return bool(node.natives[0].names)

    def along_fits(self, node: Node, slots: Sequence[int]) -> bool:
        """Softmax and running sums take any position."""
        return True

    def name(self, node: Node) -> str:
        """The module that owns the weight, as its name in the program; else the fx node's."""
        key = _weight(node).tensor.key
        if isinstance(key, fx.Node) and key in self._reader.targets:
            return self._reader.targets[key].removesuffix(".weight")
        return node.natives[0].node.name

    def operator(self, node: Node) -> str:
        """The operator's name, without namespace and overload."""
        return node.natives[0].op

    def must_keep(self, node: Node, form: str) -> str | None:
        """Why an FC layer must keep its form, None where it need not."""
        weight = _weight(node)
        origin = _unpacked(weight)
        if origin is not None:
            return f"its weight is unpacked at run time, by {origin}"
        if form != "linear" and weight.dtype not in _FLOATS:
            return f"there is no convolution of {weight.dtype}"
        return None

    def written_as(self, form: str, rank: int) -> str:
        """``conv1d``, ``conv2d`` or ``conv3d`` by the weight's rank, or ``linear``."""
        return f"conv{rank - 2}d" if form == "conv" else "linear"

    def not_layers(self, node: Node) -> Iterator[Layer]:
        """Convolutions that are windows, products that are not understood."""
        native: Native = node.natives[0]
        if node.kind in (Kind.WINDOW, Kind.OPAQUE) and native.op in (*CONVOLUTIONS, *_LINEAR):
            yield self._row(native.node, node.reason or str(next(iter(node.attrs), "")))

    def has_effect(self, node: Node) -> bool:
        """Whether it does more than it yields, as a draw of random numbers does."""
        return node.natives[0].node.is_impure()

    def _row(self, node: fx.Node, reason: str) -> Layer:
        shapes = [_plain(shape_of(fake(source))) for source in node.all_input_nodes[:2]]
        weight = node.all_input_nodes[-1] if len(shapes) < 2 else node.all_input_nodes[1]
        return Layer(
            name=self._reader.targets.get(weight, node.name).removesuffix(".weight"),
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


def counts(graph: fx.Graph, fc_layers: int) -> Counts:
    """Nodes by kind; placeholders, sizes and parts of tuples are not counted."""
    nodes = [n for n in graph.nodes if n.op == "call_function"]
    by_op = Counter(op_name(node) for node in nodes)
    return Counts(
        nodes=len(nodes) - by_op["getitem"] - by_op["sym_size"] - by_op["_assert_tensor_metadata"],
        fc_layers=fc_layers,
        convolutions=sum(by_op[name] for name in CONVOLUTIONS),
        transposes=sum(by_op[name] for name in TRANSPOSES),
        reshapes=sum(by_op[name] for name in RESHAPES),
    )


def _weight(node: Node) -> Value:
    return operand(node, roles_of(node).weight).value


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


def _plain(sizes: Sequence[object]) -> tuple[int | str, ...]:
    return tuple(int(str(s)) if str(s).isdecimal() else str(s) for s in sizes)
