"""The new graph while it grows: nodes, names, and the metadata that says where they came from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import onnx_ir as ir

from onebyone.axes.graph import Form, Node, Value
from onebyone.lower import places

_RULE = "onebyone.rule"
_SOURCE = "onebyone.from"

Inputs = Sequence[ir.Value | None]
Attributes = Mapping[str, object]


class Build:
    """Appends nodes and initializers, and gives them names that nobody has.

    Attributes:
        opset: the version of ONNX's own operators.
        nodes: of the new graph, in order.
    """

    def __init__(self, graph: ir.Graph, opset: int, bodies: Iterable[ir.Node] = ()) -> None:
        self.opset = opset
        self.nodes: list[ir.Node] = []
        self._initializers = graph.initializers
        self._names = {v.name for n in graph for v in n.outputs if v.name}
        self._names |= {v.name for v in graph.inputs if v.name}
        self._names |= set(graph.initializers)
        self._node_names = {n.name for n in graph if n.name}
        for node in bodies:
            self._names |= {value.name for value in node.outputs if value.name}
            self._node_names |= {node.name} if node.name else set()
        self._pushed: set[ir.Node] = set()

    def push(self, node: ir.Node) -> None:
        """Append a node."""
        self._pushed.add(node)
        self.nodes.append(node)

    def has(self, node: ir.Node | None) -> bool:
        """Whether a node is in the new graph."""
        return node in self._pushed

    def unique(self, name: str) -> str:
        """A value name that nobody has."""
        unused, count = name, 1
        while unused in self._names:
            count += 1
            unused = f"{name}_{count}"
        self._names.add(unused)
        return unused

    def op(
        self,
        op_type: str,
        inputs: Inputs,
        attributes: Attributes | None = None,
        *,
        like: Value | None = None,
        rule: str = "layout",
        name: str = "",
    ) -> ir.Value:
        """Append a new node of ONNX's own domain with one output.

        Args:
            op_type: the operator.
            inputs: what it reads.
            attributes: as Python values.
            like: the value that it yields, after which it is named.
            rule: why it is there.
            name: of the node, where another is wanted.
        """
        base = name or (like.tensor.name if like is not None else "") or op_type
        node = ir.node(op_type, list(inputs), dict(attributes or {}))  # pyright: ignore[reportArgumentType]
        self._adopt(node, name or f"{base}/{op_type}", rule, like.tensor.name if like else base)
        node.outputs[0].name = self.unique(f"{base}/{op_type}")
        return node.outputs[0]

    def clone(
        self,
        node: Node,
        inputs: Inputs,
        attributes: Attributes | None = None,
        *,
        drop: Iterable[str] = (),
    ) -> list[ir.Value]:
        """The native node again, with other inputs and some other attributes.

        Args:
            node: means the native operator, and nothing less.
            inputs: what it reads now.
            attributes: those that change.
            drop: names of attributes that it no longer has.
        """
        native: ir.Node = node.natives[0]
        kept = {k: v for k, v in native.attributes.items() if k not in drop}
        kept |= _converted(attributes)
        new = ir.Node(
            native.domain,
            native.op_type,
            inputs,
            kept,
            overload=native.overload,
            num_outputs=len(node.results),
            version=native.version,
        )
        return self._instead(new, node)

    def anew(
        self, node: Node, op_type: str, inputs: Inputs, attributes: Attributes
    ) -> list[ir.Value]:
        """One of ONNX's own operators in place of the native node; the attributes are all it has.

        Where the native node is that operator, it is cloned, and keeps its other attributes.
        """
        if is_operator(node.natives[0], op_type):
            return self.clone(node, inputs, attributes)
        new = ir.Node("", op_type, inputs, _converted(attributes), num_outputs=len(node.results))
        return self._instead(new, node)

    def initializer(self, name: str, tensor: ir.TensorProtocol) -> ir.Value:
        """A new initializer under ``name``, or one like it that nobody has."""
        unique = self.unique(name)
        tensor.name = unique
        value = ir.Value(
            name=unique,
            shape=ir.Shape(tensor.shape.numpy()),
            type=ir.TensorType(tensor.dtype),
            const_value=tensor,
        )
        self._initializers[unique] = value
        return value

    def _adopt(self, node: ir.Node, name: str, rule: str, source: str) -> None:
        """Append a node that this tool made; it records the rule and where it came from."""
        node.name = name
        while node.name in self._node_names:
            node.name += "_"
        self._node_names.add(node.name)
        node.metadata_props[_RULE] = rule
        node.metadata_props[_SOURCE] = source
        self.push(node)

    def _instead(self, new: ir.Node, node: Node) -> list[ir.Value]:
        """Append a node that stands for a native one, under its name and with its metadata."""
        native: ir.Node = node.natives[0]
        new.metadata_props.update(native.metadata_props)
        self._adopt(new, native.name or native.op_type, "layout", native.name or "")
        for output, use in zip(new.outputs, node.results, strict=True):
            output.name = self.unique(f"{use.value.tensor.name or native.name}/moved")
        return list(new.outputs)


def is_operator(native: ir.Node, *op_types: str) -> bool:
    """Whether a node is one of these operators of ONNX's own domain."""
    return native.domain in ("", "ai.onnx") and native.op_type in op_types


def dtype_of(value: Value) -> ir.DataType | None:
    """The element type of a value, None where nobody said."""
    if value.tensor.key is not None and value.tensor.key.dtype is not None:
        return value.tensor.key.dtype
    return ir.DataType[value.tensor.dtype.upper()] if value.tensor.dtype else None


def annotated(tensor: ir.Value, value: Value, form: Form) -> ir.Value:
    """``tensor`` with the type and shape of ``value`` in ``form``."""
    sizes = places.shape(value, form)
    tensor.shape = ir.Shape([str(s) if s.known is None else s.known for s in sizes])
    if (dtype := dtype_of(value)) is not None:
        tensor.type = ir.TensorType(dtype)
    return tensor


def _converted(attributes: Attributes | None) -> dict[str, ir.Attr]:
    return {
        name: ir.convenience.convert_attribute(name, value)  # pyright: ignore
        for name, value in (attributes or {}).items()
    }
