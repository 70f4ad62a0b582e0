"""The canonical form of an ONNX model."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Hashable, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from onebyone.axes.canonical import canonical, hashes_by_name
from onebyone.axes.graph import Node
from onebyone.axes.positional import Kind, Tensor
from onebyone.axes.terms import Canonical, digest
from onebyone.dialects.onnx.bodies import ONNX_DOMAINS, key_of
from onebyone.dialects.onnx.read import attributes as at
from onebyone.dialects.onnx.read.reader import captured, nested_graphs
from onebyone.dialects.onnx.read.table import read

_RANDOM = frozenset(
    (
        "Bernoulli",
        "Dropout",
        "Multinomial",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
    )
)


def canonical_form(model: ir.Model, *, by_position: bool = False) -> Canonical:
    """Hash a model; its layout, and the form of its FC layers, do not count.

    Args:
        model: what is hashed.
        by_position: inputs, outputs and symbols are told apart by position, not by name, so that
            models of different dialects can be compared; what depends on constants alone is
            computed first, for exporters differ in what of it they leave to the model.
    """
    return canonical_values(model, by_position=by_position)[0]


def canonical_values(
    model: ir.Model, *, by_position: bool = False
) -> tuple[Canonical, dict[str, str]]:
    """The canonical form, and the hash behind every tensor's name, reshaped ones included."""
    opsets = _opsets(model)
    with _shapes_kept(model):
        return _canonical_values(model, opsets, by_position=by_position)


def _opsets(model: ir.Model) -> dict[str, int]:
    """The version of each domain, ONNX's own under its one name."""
    own = {model.opset_imports[name] for name in ONNX_DOMAINS if name in model.opset_imports}
    if len(own) > 1:
        raise ValueError("the model imports two opsets of ONNX")
    return {**model.opset_imports, "": own.pop() if own else 1}


@contextmanager
def _shapes_kept(model: ir.Model) -> Generator[None]:
    """Leave declared shapes as they are: the strict reading forgets them."""
    values = ir.convenience.create_value_mapping(model.graph, include_subgraphs=False).values()
    shapes = [(value, value.shape) for value in values if value.shape is not None]
    try:
        yield
    finally:
        for value, shape in shapes:
            value.shape = shape


def _canonical_values(
    model: ir.Model, opsets: dict[str, int], *, by_position: bool
) -> tuple[Canonical, dict[str, str]]:
    lifted = read(model, fold=by_position, strict=True)
    functions = {f.identifier(): digest(ir.to_proto(f).SerializeToString()) for f in _sorted(model)}

    def describe(node: Node) -> tuple[str, Hashable]:
        native: ir.Node = node.natives[0]
        if node.kind is Kind.SIZES:
            return "sizes", node.attrs
        outer: _Known = {
            value: ("outer", n) for n, value in enumerate(captured(native, model.graph))
        }
        # A function may call any other, and so may a body.
        calls = native.op_identifier() in functions or nested_graphs(native)
        return native.op_type, (
            _described(native, opsets, outer),
            tuple(n for n, value in enumerate(native.outputs) if value.name),
            tuple(functions.values()) if calls else (),
        )

    def elements(tensor: Tensor) -> np.ndarray[Any, Any]:
        contents = lifted.reader.elements(tensor.key)
        assert contents is not None
        return contents

    form = canonical(lifted.graph, elements, describe, by_position=by_position)
    defaults = [
        (value.name, _tensor_key(value.const_value))
        for value in model.graph.inputs
        if value.const_value is not None and lifted.reader.overridable
    ]
    if defaults:
        told = tuple(digest(output, defaults) for output in form.outputs)
        form = replace(form, outputs=told)
    return form, hashes_by_name(lifted.graph, form)


def _sorted(model: ir.Model) -> list[ir.Function]:
    return sorted(model.functions.values(), key=lambda f: f.identifier())


_Known = dict[ir.Value, tuple[Hashable, ...]]


def _described(node: ir.Node, opsets: dict[str, int], known: _Known) -> Hashable:
    """What a native node computes: operator, version, attributes, bodies."""
    bodies = tuple(_body(graph, opsets, known) for graph in nested_graphs(node))
    graphs = frozenset(
        name
        for name, attribute in node.attributes.items()
        if attribute.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
    )
    names = tuple(name for name in node.attributes if name in graphs)
    version = _version(node, opsets)
    if node.op_type in _RANDOM:
        # Two draws are two values, however equal the nodes that draw them.
        names = (*names, *(str(value.name) for value in node.outputs))
    return (*key_of(node), node.overload, version, at.hashable(node, graphs), names, bodies)


def _version(node: ir.Node, opsets: dict[str, int]) -> int:
    """The opset version that defined the operator as it is used here."""
    domain, _ = key_of(node)
    version = opsets.get(domain, 1)
    try:
        return onnx.defs.get_schema(node.op_type, version, domain).since_version
    except onnx.defs.SchemaError:
        return version


def _body(graph: ir.Graph, opsets: dict[str, int], outer: _Known) -> Hashable:
    """A nested graph, its values numbered in order; ``outer`` names those that it captures."""
    known = dict(outer)
    depth = len(outer)

    def add(values: Sequence[ir.Value]) -> None:
        for value in values:
            known[value] = ("inner", depth, len(known))

    add(list(graph.inputs))
    initializers = list(graph.initializers.values())
    add(initializers)
    constants = tuple(_tensor_key(value.const_value) for value in initializers)
    types = tuple((str(value.type), str(value.shape)) for value in graph.inputs)
    nodes: list[Hashable] = []
    for node in graph:
        inputs = tuple(_reference(value, known) for value in node.inputs)
        used = tuple(bool(value.name) for value in node.outputs)
        nodes.append((_described(node, opsets, known), inputs, used))
        add(node.outputs)
    outputs = tuple(_reference(value, known) for value in graph.outputs)
    return (types, constants, tuple(nodes), outputs)


def _reference(value: ir.Value | None, known: _Known) -> Hashable:
    return None if value is None else known.get(value, ("unknown", value.name))


def _tensor_key(tensor: ir.TensorProtocol | None) -> Hashable:
    if tensor is None:
        return None
    array = tensor.numpy()
    data = repr(array.tolist()).encode() if array.dtype.kind in "OUS" else array.tobytes()
    return (str(tensor.dtype), tuple(array.shape), hashlib.blake2b(data).hexdigest())
