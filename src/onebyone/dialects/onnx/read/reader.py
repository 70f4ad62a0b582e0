"""Read an ONNX graph as operations on labelled positions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from onebyone.axes.meanings import is_described, label_shape
from onebyone.axes.parts import without_elements
from onebyone.axes.positional import (
    Apply,
    Call,
    Meaning,
    Operation,
    Positional,
    Regroup,
    Tensor,
    Unknown,
)
from onebyone.axes.sizes import Size, declared, made_up
from onebyone.dialects.onnx.bodies import Key, key_of
from onebyone.dialects.onnx.read.attributes import Attributes
from onebyone.dialects.onnx.read.bodies import Speller
from onebyone.dialects.onnx.read.fold import Folder
from onebyone.dialects.onnx.read.opaque_shapes import opaque_shape
from onebyone.dialects.onnx.read.shape_values import Evaluator

Shape = tuple[Size, ...]


class Reading:
    """What a handler returns: a meaning, and the result's shape where the labels do not give it."""

    def __init__(self, meaning: Meaning, shape: Shape | None = None) -> None:
        self.meaning = meaning
        self.shape = shape


Handler = Callable[["Reader", ir.Node, Attributes], "Reading | Meaning | list[Operation]"]


class Reader:
    """Reads one graph; knows the shape, the type and the contents of its tensors."""

    def __init__(
        self,
        model: ir.Model,
        table: Mapping[Key, Handler],
        *,
        fold: bool = False,
        strict: bool = False,
    ) -> None:
        self.graph = model.graph
        self.opset = model.opset_imports.get("", model.opset_imports.get("ai.onnx", 1))
        self._opsets = {**model.opset_imports, "": self.opset}
        # Before IR version 4 every initializer is listed as an input, and runtimes let no caller
        # override it; since then an input with an initializer has a default.
        self.overridable = (model.ir_version or 4) >= 4
        self.folder = Folder(self.opset) if fold else None
        self.tensors: dict[ir.Value, Tensor] = {}
        shapes = [_declared_shape(value) or () for value in model.graph.inputs]
        symbols = [Counter(s for size in shape for s in size.symbols) for shape in shapes]
        self.contents = Evaluator(self.shape, self.is_given, inputs=symbols if strict else None)
        self.speller = Speller(model, self.tensor, arithmetic=not strict)
        self._table = table
        self.strict = strict

    def is_given(self, value: ir.Value) -> bool:
        """Whether a caller may set a value, whatever default it has."""
        return value.is_graph_input() and (
            self.overridable or ir.convenience.get_const_tensor(value) is None
        )

    def tensor(self, value: ir.Value) -> Tensor:
        """The positional tensor of an ONNX value."""
        if value not in self.tensors:
            constant = ir.convenience.get_const_tensor(value)
            is_input = self.is_given(value)
            known = constant is not None and not is_input
            own = None
            if constant is not None and known:
                own = tuple(Size(d) for d in constant.shape.numpy())
            self.tensors[value] = Tensor(
                key=value,
                # A graph output may be declared with symbols and yet be a constant.
                shape=own or _static_shape(value) or _declared_shape(value),
                dtype=_dtype(value),
                constant=known or (self.folder is not None and self.folder.knows(value)),
                name=value.name or "",
                contents=None if is_input else self.contents.get(value),
            )
        return self.tensors[value]

    def elements(self, value: ir.Value | None) -> np.ndarray[Any, Any] | None:
        """The elements of a constant, None where the value is none."""
        if value is None or not self.tensor(value).constant:
            return None
        if self.folder is not None and (found := self.folder.elements(value)) is not None:
            return found
        tensor = ir.convenience.get_const_tensor(value)
        return None if tensor is None else tensor.numpy()

    def shape(self, value: ir.Value | None) -> Shape | None:
        """The shape of a value, None where the rank is not known or the input is absent."""
        return None if value is None else self.tensor(value).shape

    def read(self) -> Positional:
        """All operations of the graph, in its order."""
        model = Positional()
        inputs = [self.tensor(value) for value in self.graph.inputs]
        model.inputs = [tensor for tensor in inputs if not tensor.constant]
        for node in self.graph:
            model.operations += self._visited(node)
        model.outputs = [self.tensor(value) for value in self.graph.outputs]
        model.calls = list(dict.fromkeys(c for o in model.operations for c in o.calls))
        return model

    def _visited(self, node: ir.Node) -> list[Operation]:
        if node.op_type == "Constant" and self.tensor(node.outputs[0]).constant:
            return []
        if self.folder is not None and self.folder.fold(node):
            self.contents.visit(node)
            return []
        return self._operations(node)

    def _operations(self, node: ir.Node) -> list[Operation]:
        inputs = [None if v is None else self.tensor(v) for v in node.inputs]
        outer = [self.tensor(v) for v in captured(node, self.graph)]
        if not self.speller.is_local(node):
            self.contents.visit(node)
        reading = self._meaning(node)
        if isinstance(reading, list):
            return reading
        meaning = reading.meaning
        for value in node.outputs:
            self.tensors[value] = Tensor(
                key=value,
                shape=self._result_shape(node, value, reading),
                dtype=_dtype(value) or self._first_dtype(node, meaning),
                name=value.name or "",
                contents=self.contents.get(value),
            )
        outputs = [self.tensors[v] for v in node.outputs]
        if isinstance(meaning, Apply) and len(meaning.results) < len(outputs):
            meaning = Unknown("an optional result is used")
        used = [v for v in node.outputs if v.name]
        if isinstance(meaning, Unknown):
            outputs = [self.tensors[v] for v in used]
        return [Operation(node, meaning, (*inputs, *outer), tuple(outputs))]

    def _first_dtype(self, node: ir.Node, meaning: Meaning) -> str:
        """The type of the first operand, where onnx does not know the operator and a row does."""
        first = node.inputs[0] if node.inputs else None
        if first is None or isinstance(meaning, Unknown) or onnx.defs.has(*key_of(node)[::-1]):
            return ""
        return self.tensor(first).dtype

    def _meaning(self, node: ir.Node) -> Reading | list[Operation]:
        if self.speller.is_local(node):
            return self._body(node)
        if nested_graphs(node):
            return Reading(Unknown(f"the body of {node.op_type} is left as it is"))
        known = [self.contents.sizes(value) for value in node.outputs]
        integral = all(contents is not None and contents.ndim <= 1 for contents in known)
        if integral and node.op_type not in ("Shape", "Size"):
            return Reading(Unknown("shape arithmetic"))
        handler = self._table.get(key_of(node))
        if handler is None:
            return self._body(node)
        given = Attributes(node, self._opsets)
        answer = handler(self, node, given)
        if isinstance(answer, list) and without_elements(answer):
            answer = Unknown("a tensor without elements")
        reading = answer if isinstance(answer, Reading | list) else Reading(answer)
        described = isinstance(reading, Reading) and is_described(reading.meaning)
        name = None if described else given.unread()
        if name is None:
            return reading
        # What an official body means is all that the operator's definition says.
        spelled = self._body(node) if given.is_defined(name) else None
        if isinstance(spelled, list):
            return spelled
        reason = f"attribute {name} of {node.op_type} is not known"
        return Reading(Unknown(reason), None if isinstance(reading, list) else reading.shape)

    def _body(self, node: ir.Node) -> Reading | list[Operation]:
        """What a node's body says, or why that is not known."""
        spelled = self.speller.spell(node)
        if isinstance(spelled, str):
            return Reading(Unknown(spelled))
        for value, inner in spelled.outputs:
            if inner.producer() in spelled.nodes and _static_shape(value) is not None:
                inner.shape = value.shape
        self.speller.enter(node)
        operations = [o for inner in spelled.nodes for o in self._visited(inner)]
        self.speller.leave()
        sources = [self.tensor(inner) for _, inner in spelled.outputs]
        if any(t.shape is None or any(s.coefficient <= 0 for s in t.shape) for t in sources):
            return Reading(Unknown(f"the shape of what {node.op_type} yields is not known"))
        for value, inner in spelled.outputs:
            self.contents.copy(inner, value)
            if self.folder is not None:
                self.folder.copy(inner, value)
            self.tensors[value] = replace(self.tensor(inner), key=value, name=value.name or "")
        call = Call(
            node,
            tuple(None if value is None else self.tensor(value) for value in node.inputs),
            tuple(self.tensors[value] for value, _ in spelled.outputs),
        )
        views = zip(sources, call.outputs, strict=True)
        operations += [Operation(None, Regroup(), (a,), (b,)) for a, b in views]
        for operation in operations:
            operation.calls = (call, *operation.calls)
        return operations

    def result(self, node: ir.Node, shape: Shape | None, number: int = 0) -> Tensor:
        """The tensor of a result of a node that is read as its parts."""
        value = node.outputs[number]
        data = node.inputs[0]
        assert data is not None
        dtype = self.tensor(data).dtype
        self.tensors[value] = Tensor(value, shape, dtype, name=value.name or "")
        return self.tensors[value]

    def _result_shape(self, node: ir.Node, value: ir.Value, reading: Reading) -> Shape | None:
        contents = self.contents.sizes(value)
        if contents is not None:
            return tuple(Size(count) for count in contents.shape)
        static = _static_shape(value)
        if static is not None:
            return static
        meaning = reading.meaning
        if isinstance(meaning, Apply):
            inputs = [None if v is None else self.tensor(v) for v in node.inputs]
            return label_shape(meaning, inputs, node.outputs.index(value), exact=self.strict)
        if isinstance(meaning, Unknown):
            number = node.outputs.index(value)
            return (
                reading.shape or opaque_shape(self.contents, node, number) or _declared_shape(value)
            )
        if isinstance(meaning, Regroup):
            return reading.shape
        source = self.shape(node.inputs[0])
        assert source is not None
        return tuple(source[position] for position in meaning.order)


def _dtype(value: ir.Value) -> str:
    """The name of the element type; of what is no tensor the whole type."""
    if value.type is not None and not isinstance(value.type, ir.TensorType):
        return str(value.type)
    return value.dtype.name.lower() if value.dtype is not None else ""


def _static_shape(value: ir.Value) -> Shape | None:
    shape = value.shape
    if shape is None:
        tensor = ir.convenience.get_const_tensor(value)
        if tensor is None:
            return None
        return tuple(Size(d) for d in tensor.shape.numpy())
    if not all(isinstance(d, int) and d >= 0 for d in shape.dims):
        return None
    return tuple(Size(d) for d in shape.dims if isinstance(d, int))


def _declared_shape(value: ir.Value) -> Shape | None:
    if value.shape is None:
        return None
    found: list[Size] = []
    for position, dim in enumerate(value.shape.dims):
        if isinstance(dim, int) and dim >= 0:
            found.append(Size(dim))
        elif is_symbol(dim):
            found.append(Size(1, (declared(str(dim)),)))
        else:
            found.append(Size(1, (made_up(f"{value.name}.{position}"),)))
    return tuple(found)


def is_symbol(dim: object) -> bool:
    """Whether a dimension has a name that means the same size wherever it stands.

    Some exporters write -1 or ``?`` for every size that they do not know.
    """
    return isinstance(dim, ir.SymbolicDim) and dim.value not in (None, "", "?", "-1")


def nested_graphs(node: ir.Node) -> list[ir.Graph]:
    """The graphs in a node's attributes, those nested in them not counted."""
    found: list[ir.Graph] = []
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            found.append(attribute.as_graph())
        elif attribute.type == ir.AttributeType.GRAPHS:
            found += attribute.as_graphs()
    return found


def captured(node: ir.Node, outer: ir.Graph) -> list[ir.Value]:
    """The values of ``outer`` that the node's nested graphs read, at whatever depth."""
    read: list[ir.Value | None] = []

    def enter(graph: ir.Graph | ir.Function | ir.GraphView) -> None:
        read.extend(graph.outputs)

    for graph in nested_graphs(node):
        for inner in ir.traversal.RecursiveGraphIterator(graph, enter_graph=enter):
            read += inner.inputs
    return list(dict.fromkeys(v for v in read if v is not None and v.graph is outer))
