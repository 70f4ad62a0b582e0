"""Function bodies: an operator, or a model's own function, said in other operators.

ONNX defines some operators by a body (`onnx.defs`), and a model may bring functions with bodies
of its own. Reader and interpreter understand both through the same few steps: find the body,
put the call's attributes where the body refers to them, leave out what the call leaves out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnx
import onnx.defs
import onnx_ir as ir

# Names of the ONNX domain: the standard's, and what ONNX Runtime's exporters write for it.
ONNX_DOMAINS = ("", "ai.onnx")
# (domain, operator); ONNX's own domain is "".
Key = tuple[str, str]
# From this opset on, a definition with the same inputs, outputs and attributes as an earlier one
# has only other types than that one.
_SETTLED = 13


def key_of(node: ir.Node) -> Key:
    """The domain and the operator of a node, as tables have them."""
    return ("" if node.domain in ONNX_DOMAINS else node.domain, node.op_type)


@dataclass(frozen=True)
class Body:
    """What one call computes.

    Attributes:
        proto: nodes without references to attributes; its inputs are those that the call gives,
            its outputs those that the call names.
        inputs: the place of each input of ``proto`` among those of the call.
        outputs: the place of each output of ``proto`` among those of the call.
        local: whether the model brings the body, and not the standard.
    """

    proto: onnx.FunctionProto
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    local: bool

    @property
    def opsets(self) -> dict[str, int]:
        """The version of each domain that the nodes are of."""
        return {opset.domain: opset.version for opset in self.proto.opset_import}


class Bodies:
    """The bodies of the nodes of one model."""

    def __init__(self, model: ir.Model) -> None:
        self._functions = model.functions
        self._protos: dict[ir.OperatorIdentifier, onnx.FunctionProto] = {}

    def is_local(self, node: ir.Node) -> bool:
        """Whether a node calls a function that the model brings."""
        return node.op_identifier() in self._functions

    def functions(self) -> list[onnx.FunctionProto]:
        """All functions that the model brings."""
        return [self._local(identifier) for identifier in self._functions]

    def of(
        self,
        node: ir.Node,
        opsets: Mapping[str, int],
        types: Sequence[onnx.TypeProto | None],
    ) -> Body | None:
        """The body of a node, None where it has none, or none for operands of these types.

        Args:
            node: of the model, or of the body of one.
            opsets: the version of each domain that the node is of.
            types: of each of the node's inputs; None where it is absent or not known.
        """
        local = self.is_local(node)
        proto = self._local(node.op_identifier()) if local else official(node, opsets, types)
        if proto is None or len(proto.output) < len(node.outputs):
            return None
        return _called(proto, node, local)

    def _local(self, identifier: ir.OperatorIdentifier) -> onnx.FunctionProto:
        if identifier not in self._protos:
            self._protos[identifier] = ir.to_proto(self._functions[identifier])
        return self._protos[identifier]


def official(
    node: ir.Node, opsets: Mapping[str, int], types: Sequence[onnx.TypeProto | None]
) -> onnx.FunctionProto | None:
    """The body that the standard gives an operator, with the defaults of its attributes.

    Of the bodies for several opsets it is the latest that is no later than the model's opset.
    """
    domain = "" if node.domain in ONNX_DOMAINS else node.domain
    version = node.version or opsets.get(node.domain) or opsets.get(domain) or 1
    try:
        # onnx's stubs lack what its schemas know of functions.
        schema: Any = onnx.defs.get_schema(node.op_type, version, domain)
    except onnx.defs.SchemaError:
        return None
    if any(name not in schema.attributes for name in node.attributes):
        return None  # the body would do without it
    if schema.has_function:
        usable: list[int] = [v for v in schema.function_opset_versions if v <= version]
        if not usable:
            return None
        data = schema.get_function_with_opset_version(max(usable))
    elif schema.has_context_dependent_function:
        usable = [v for v in schema.context_dependent_function_opset_versions if v <= version]
        given = zip(node.inputs, types, strict=True)
        if not usable or any(value is not None and known is None for value, known in given):
            return None
        said = [(known or onnx.TypeProto()).SerializeToString() for known in types]
        data = schema.get_context_dependent_function_with_opset_version(
            max(usable), ir.to_proto(node).SerializeToString(), said
        )
    else:
        return None
    proto = onnx.FunctionProto.FromString(data)
    if not proto.node:
        return None  # there is a body, but not for these types
    for name, attribute in schema.attributes.items():
        if attribute.default_value.type != onnx.AttributeProto.UNDEFINED:
            proto.attribute_proto.add().CopyFrom(attribute.default_value)
            proto.attribute_proto[-1].name = name
    return proto


def same_definition(op_type: str, domain: str, first: int, second: int) -> bool:
    """Whether an operator means the same in two opsets, for the types that both take."""
    if first == second:
        return True
    if domain not in ONNX_DOMAINS:
        return False
    try:
        a, b = (onnx.defs.get_schema(op_type, version, "") for version in (first, second))
    except onnx.defs.SchemaError:
        return False
    if a.since_version == b.since_version:
        return True
    return min(a.since_version, b.since_version) >= _SETTLED and _signature(a) == _signature(b)


def _signature(schema: onnx.defs.OpSchema) -> object:
    ports = [(p.name, p.option) for p in (*schema.inputs, *schema.outputs)]
    attributes = {
        name: (a.type, a.required, a.default_value.SerializeToString())
        for name, a in schema.attributes.items()
    }
    return len(schema.inputs), ports, attributes


def _called(function: onnx.FunctionProto, node: ir.Node, local: bool) -> Body:
    """The body with what one call says: attributes, absent inputs, the outputs that it names."""
    attributes = {a.name: a for a in function.attribute_proto}
    attributes |= {a.name: ir.to_proto(a) for a in node.attributes.values()}
    inputs = tuple(
        place
        for place, value in enumerate(node.inputs)
        if value is not None and place < len(function.input)
    )
    absent = {name for place, name in enumerate(function.input) if place not in inputs}
    outputs = tuple(place for place, value in enumerate(node.outputs) if value.name)
    proto = onnx.FunctionProto(
        domain=function.domain,
        name=function.name,
        overload=function.overload,
        input=[function.input[place] for place in inputs],
        output=[function.output[place] for place in outputs],
        opset_import=function.opset_import,
        node=_live(function.node, {function.output[place] for place in outputs}),
    )
    _bind(proto.node, attributes, absent)
    return Body(proto, inputs, outputs, local)


def _live(nodes: Sequence[onnx.NodeProto], wanted: set[str]) -> list[onnx.NodeProto]:
    """The nodes that the wanted values depend on, in order."""
    live: list[onnx.NodeProto] = []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            live.append(node)
            wanted.update(_read_by(node))
    return live[::-1]


def _read_by(node: onnx.NodeProto) -> Iterable[str]:
    yield from node.input
    for graph in graphs(node):
        yield from (output.name for output in graph.output)
        for inner in graph.node:
            yield from _read_by(inner)


def graphs(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    """The graphs in a node's attributes."""
    nested = [a.g for a in node.attribute if a.type == onnx.AttributeProto.GRAPH]
    for attribute in node.attribute:
        nested += attribute.graphs
    return nested


def _bind(
    nodes: Iterable[onnx.NodeProto],
    attributes: Mapping[str, onnx.AttributeProto],
    absent: set[str],
) -> None:
    """Replace references to attributes and absent inputs, in nested graphs too.

    An attribute that refers to one that the call does not have, and that has no default, is
    absent itself.
    """
    for node in nodes:
        for place, name in enumerate(node.input):
            if name in absent:
                node.input[place] = ""
        for attribute in list(node.attribute):
            if not attribute.ref_attr_name:
                continue
            given = attributes.get(attribute.ref_attr_name)
            if given is None:
                node.attribute.remove(attribute)
                continue
            name = attribute.name
            attribute.CopyFrom(given)
            attribute.name = name
        for graph in graphs(node):
            _bind(graph.node, attributes, absent)
