"""Calls spelled out: the nodes of a body, reading what the call reads.

The nodes stand in no graph. They have names that nothing else has, so that a writer may put them
in place of the call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import onnx
import onnx_ir as ir

from onebyone.axes.positional import Tensor
from onebyone.axes.sizes import Size, file_name
from onebyone.dialects.onnx.bodies import ONNX_DOMAINS, Bodies, Body, graphs, same_definition
from onebyone.dialects.onnx.files import infer

_RULE = "onebyone.rule"
_SOURCE = "onebyone.from"
_RANDOM = ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")
# Bodies within bodies; every level of calls multiplies the nodes.
_MAX_DEPTH = 32
_MAX_NODES = 200_000


@dataclass(frozen=True)
class Spelled:
    """A call spelled out.

    Attributes:
        nodes: of the body, in order.
        outputs: pairs of an output of the call and the value that holds the same.
    """

    nodes: tuple[ir.Node, ...]
    outputs: tuple[tuple[ir.Value, ir.Value], ...]


class Speller:
    """Spells out the calls of one model.

    Args:
        model: the model.
        tensor: the tensor of a value.
        arithmetic: believe onnx's arithmetic with shapes, which never overflows.

    Attributes:
        opsets: the version of each domain; what functions need is added to what the model has.
        nodes: all nodes made so far.
    """

    def __init__(
        self, model: ir.Model, tensor: Callable[[ir.Value], Tensor], *, arithmetic: bool = True
    ) -> None:
        self.opsets = dict(model.opset_imports)
        self.nodes: list[ir.Node] = []
        self._model = model
        self._bodies = Bodies(model)
        self._tensor = tensor
        self._arithmetic = arithmetic
        self._names: set[str] | None = None
        self._within: list[ir.OperatorIdentifier] = []

    def is_local(self, node: ir.Node) -> bool:
        """Whether a node calls a function that the model brings."""
        return self._bodies.is_local(node)

    def enter(self, node: ir.Node) -> None:
        """The body of a call is read now."""
        self._within.append(node.op_identifier())

    def leave(self) -> None:
        """The body of the call that was entered last is read."""
        self._within.pop()

    def spell(self, node: ir.Node) -> Spelled | str:
        """The nodes that a node stands for, or the reason why it must stay as it is."""
        if node.op_identifier() in self._within:
            return f"function {node.op_type} calls itself"
        if len(self._within) >= _MAX_DEPTH or len(self.nodes) > _MAX_NODES:
            return f"the bodies within {node.op_type} are too many"
        types = [None if value is None else self._type(value) for value in node.inputs]
        try:
            body = self._bodies.of(node, self.opsets, types)
        except Exception as error:  # onnx's own, of several types
            return f"the body of {node.op_type} is not valid: {error}"
        if body is None:
            domain = "" if node.domain in ONNX_DOMAINS else f"{node.domain}::"
            return f"operator {domain}{node.op_type} is not known"
        if (reason := self._refused(node, body)) is not None:
            return reason
        return self._spelled(node, body)

    def _refused(self, node: ir.Node, body: Body) -> str | None:
        for inner in body.proto.node:
            if graphs(inner):
                return f"the body of {node.op_type} has graphs of its own"
            if inner.op_type in _RANDOM:
                return f"{node.op_type} is random"
            if inner.domain in ONNX_DOMAINS:
                mine = self.opsets.get("", self.opsets.get("ai.onnx", 1))
                its = body.opsets.get("", body.opsets.get("ai.onnx", mine))
            elif (inner.domain, inner.op_type, inner.overload) in self._model.functions:
                mine = its = 1
            else:
                its = body.opsets.get(inner.domain, 1)
                mine = self.opsets.get(inner.domain, its)
            if not same_definition(inner.op_type, inner.domain, mine, its):
                return (
                    f"the body of {node.op_type} has {inner.op_type} of opset {its}, "
                    f"and the model another one, of opset {mine}"
                )
        for domain, version in body.opsets.items():
            if domain not in ONNX_DOMAINS:
                self.opsets.setdefault(domain, version)
        return None

    def _spelled(self, node: ir.Node, body: Body) -> Spelled | str:
        actual = [value for place in body.inputs if (value := node.inputs[place]) is not None]
        try:
            graph = self._inferred(body, actual)
        except Exception as error:  # onnx's own, of several types
            return f"the body of {node.op_type} does not fit its operands: {error}"
        if (ill := _ill_typed(graph, self.opsets.get("", 1))) is not None:
            return f"the body of {node.op_type} mixes types of elements at {ill.op_type}"
        known = dict(zip(graph.inputs, actual, strict=True))
        base = node.name or next((v.name for v in node.outputs if v.name), None) or node.op_type
        nodes = list(graph)
        outputs = [known.get(value, value) for value in graph.outputs]
        for inner in nodes:
            for place, value in enumerate(inner.inputs):
                if value in known:
                    inner.replace_input_with(place, known[value])
        graph.outputs.clear()
        graph.remove(nodes)
        for inner in nodes:
            inner.metadata_props[_RULE] = "function body"
            inner.metadata_props[_SOURCE] = base
            inner.name = self._unique(f"{base}/{inner.name or inner.op_type}")
            for value in inner.outputs:
                if value.name:
                    value.name = self._unique(f"{base}/{value.name}")
        self.nodes += nodes
        pairs = zip((node.outputs[place] for place in body.outputs), outputs, strict=True)
        return Spelled(tuple(nodes), tuple(pairs))

    def _inferred(self, body: Body, actual: Sequence[ir.Value]) -> ir.Graph:
        """The body as a graph with inputs of the call's types, and what follows from them."""
        local = self._model.functions
        calls = any((n.domain, n.op_type, n.overload) in local for n in body.proto.node)
        functions = self._bodies.functions() if calls else []
        graph = onnx.GraphProto(name="body", node=body.proto.node)
        symbols: set[str] = set()
        for name, value in zip(body.proto.input, actual, strict=True):
            known = self._type(value)
            graph.input.append(onnx.ValueInfoProto(name=name, type=known))
            if known is not None:
                symbols |= {d.dim_param for d in known.tensor_type.shape.dim if d.dim_param}
            contents = self._tensor(value).contents
            numbers = [None] if contents is None else [size.known for size in contents]
            if value.const_value is not None and None not in numbers:
                graph.initializer.append(ir.to_proto(value.const_value))
                graph.initializer[-1].name = name
        graph.output.extend(onnx.ValueInfoProto(name=name) for name in body.proto.output)
        opsets = [onnx.helper.make_opsetid(d, v) for d, v in self.opsets.items()]
        model = onnx.ModelProto(
            ir_version=10, graph=graph, opset_import=opsets, functions=functions
        )
        inferred = infer.infer_shapes(model, values=self._arithmetic).graph
        del inferred.initializer[:]
        result = ir.from_proto(inferred)
        for node in result:
            for value in node.outputs:
                if value.shape is not None:
                    # A symbol that inference made up may be that of another size elsewhere.
                    dims = value.shape
                    value.shape = ir.Shape(
                        [d if isinstance(d, int) or str(d) in symbols else None for d in dims]
                    )
        return result

    def _type(self, value: ir.Value) -> onnx.TypeProto | None:
        """The type of a value, its shape as far as it is known."""
        tensor = self._tensor(value)
        if value.type is not None and not isinstance(value.type, ir.TensorType):
            return ir.to_proto(value.type)
        if not tensor.dtype:
            return None
        dtype = int(ir.DataType[tensor.dtype.upper()])
        shape = None if tensor.shape is None else [_dimension(size) for size in tensor.shape]
        return onnx.helper.make_tensor_type_proto(dtype, shape)

    def _unique(self, name: str) -> str:
        if self._names is None:
            values = ir.convenience.create_value_mapping(self._model.graph)
            self._names = {*values, *(n.name for n in self._model.graph if n.name)}
        unique, count = name, 1
        while unique in self._names:
            count += 1
            unique = f"{name}_{count}"
        self._names.add(unique)
        return unique


def _ill_typed(graph: ir.Graph, opset: int) -> ir.Node | None:
    """A node whose operands should be of one type and are not.

    Some official bodies have constants of float32 whatever the type of their operands.
    """
    for node in graph:
        try:
            formals = onnx.defs.get_schema(node.op_type, opset, node.domain).inputs
        except onnx.defs.SchemaError:
            continue
        types: dict[str, ir.DataType] = {}
        for place, value in enumerate(node.inputs):
            formal = formals[min(place, len(formals) - 1)]
            if value is None or value.dtype is None or not formal.is_homogeneous:
                continue
            if types.setdefault(formal.type_str, value.dtype) != value.dtype:
                return node
    return None


def _dimension(size: Size) -> int | str | None:
    if size.known is not None:
        return size.known
    single = size.coefficient == 1 and len(size.symbols) == 1
    return file_name(size.symbols[0]) if single else None
