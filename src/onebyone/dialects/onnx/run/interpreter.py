"""The positional interpreter: run an ONNX graph node by node over any arithmetic.

It reads the graph as the file says it, without the axis graph, so it witnesses independently of
the rest of this package. Control flow runs its branches; model-local functions are called.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
import onnx_ir as ir

from onebyone.dialects.onnx.bodies import ONNX_DOMAINS, Bodies, Body
from onebyone.dialects.onnx.run.control_flow import (
    CONTROL_FLOW,
    Slot,
    attributes,
    describe,
    kind_of,
    operator_name,
)
from onebyone.dialects.onnx.semantics import OPERATORS, Call, apply
from onebyone.dialects.onnx.semantics.base import unit_roundoff
from onebyone.kernels import precision
from onebyone.kernels.arithmetic import Arithmetic, Array, Tensor
from onebyone.kernels.errors import ExecutionError, OverBudgetError, UnsupportedError

_MAX_DEPTH = 64

Observer = Callable[[ir.Node, list[Tensor | None], bool], None]


@dataclass
class Interpreter:
    """Runs one model.

    Attributes:
        model: the model to run.
        ar: the arithmetic to run it in.
        deadline: ``time.monotonic()`` after which `OverBudgetError` is raised.
        observe: called after each node of the main graph with the node, its outputs, and whether
            no value that the model is given takes part in them.
        embed: how a constant enters the arithmetic, by name; exact by default.
    """

    model: ir.Model
    ar: Arithmetic
    deadline: float | None = None
    observe: Observer | None = None
    embed: Callable[[str, Array], Tensor] | None = None
    _depth: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._bodies = Bodies(self.model)
        self._calling: list[ir.OperatorIdentifier] = []
        self._called: dict[tuple[ir.Node, tuple[bytes | None, ...]], tuple[Body, ir.Function]] = {}

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Compute the outputs of the main graph.

        Args:
            inputs: for each input of the graph its tensor: data as the arithmetic embeds it,
                integers and booleans as numpy arrays.

        Raises:
            UnsupportedError: an operator or a use of it is not understood.
            ExecutionError: a node does not fit its operands.
            OverBudgetError: the deadline has passed.
        """
        graph = self.model.graph
        scope: dict[ir.Value, Slot] = {}
        for value in graph.inputs:
            name = value.name or ""
            if name in inputs:
                scope[value] = Slot(inputs[name], unit_roundoff(value.dtype), True)
            elif value.const_value is None:
                raise ExecutionError(f"input {name!r} has no value")
        outputs = self.run_graph(graph, scope, dict(self.model.opset_imports), observe=self.observe)
        names = [value.name or "" for value in graph.outputs]
        return {name: slot.tensor for name, slot in zip(names, outputs, strict=True)}

    def part(self, given: Mapping[str, Tensor], wanted: Collection[str]) -> dict[str, Tensor]:
        """Values of the main graph that follow from given ones and from constants.

        Args:
            given: values by name, as the arithmetic holds them.
            wanted: names of values.

        Raises:
            UnsupportedError: they follow from inputs, too, or an operator is not understood.
            ExecutionError: a node does not fit its operands.
        """
        graph = self.model.graph
        named = {v.name or "": v for v in graph.inputs}
        named |= {v.name or "": v for node in graph for v in node.outputs}
        scope = {named[n]: Slot(x, unit_roundoff(named[n].dtype)) for n, x in given.items()}
        needed: set[ir.Node] = set()
        pending = [named[name] for name in wanted]
        while pending:
            value = pending.pop()
            producer = value.producer()
            if value in scope or value.const_value is not None or producer in needed:
                continue
            if producer is None:
                raise UnsupportedError(f"{value.name!r} is an input")
            needed.add(producer)
            pending += _read_by(producer)
        opsets = dict(self.model.opset_imports)
        for node in graph:
            if node in needed:
                self._node(node, scope, opsets, None)
        return {name: self._value(named[name], scope).tensor for name in wanted}

    # Scopes.

    def run_graph(
        self,
        graph: ir.Graph,
        scope: dict[ir.Value, Slot],
        opsets: dict[str, int],
        observe: Observer | None = None,
    ) -> list[Slot]:
        """The outputs of a graph whose inputs, and what it captures, are in ``scope``."""
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise UnsupportedError(f"subgraphs nested deeper than {_MAX_DEPTH}")
        try:
            return self._run_nodes(graph, scope, opsets, observe)
        finally:
            self._depth -= 1

    def _run_nodes(
        self,
        graph: ir.Graph,
        scope: dict[ir.Value, Slot],
        opsets: dict[str, int],
        observe: Observer | None,
    ) -> list[Slot]:
        nodes = list(graph)
        uses = Counter(value for node in nodes for value in _read_by(node))
        uses.update(graph.outputs)
        for node in nodes:
            self._node(node, scope, opsets, observe)
            for value in _read_by(node):
                if value not in uses:
                    continue
                uses[value] -= 1
                # Values of an outer graph may be read again by its later nodes.
                if uses[value] == 0 and value.graph is graph:
                    scope.pop(value, None)
        return [self._value(value, scope) for value in graph.outputs]

    def _value(self, value: ir.Value, scope: dict[ir.Value, Slot]) -> Slot:
        slot = scope.get(value)
        if slot is None:
            if value.const_value is None:
                raise ExecutionError(f"value {value.name!r} has no value")
            tensor = value.const_value
            array = precision.native(np.asarray(tensor.numpy()))
            if array.dtype.kind == "f":
                embedded = (
                    self.ar.constant(array)
                    if self.embed is None
                    else self.embed(value.name or "", array)
                )
                # numpy makes of an array without axes a number.
                embedded = np.asarray(embedded) if isinstance(embedded, np.generic) else embedded
            else:
                embedded = array
            slot = scope[value] = Slot(embedded, unit_roundoff(tensor.dtype))
        return slot

    # Nodes.

    def _node(
        self,
        node: ir.Node,
        scope: dict[ir.Value, Slot],
        opsets: dict[str, int],
        observe: Observer | None,
    ) -> None:
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise OverBudgetError(f"the time was over at {describe(node)}")
        slots = [None if v is None else self._value(v, scope) for v in node.inputs]
        unit = max((s.unit for s in slots if s is not None), default=0.0)
        try:
            results = self._apply(node, slots, unit, scope, opsets)
        except (UnsupportedError, ExecutionError, OverBudgetError):
            raise
        except MemoryError as error:
            raise UnsupportedError(f"{describe(node)} needs more memory than there is") from error
        except Exception as error:
            raise ExecutionError(f"{describe(node)}: {_one_line(error)}") from error
        for value, result in zip(node.outputs, results, strict=False):
            if result is not None:
                scope[value] = result
        if observe is not None:
            fixed = not any(r.free for r in results if r is not None)
            observe(node, [None if r is None else r.tensor for r in results], fixed)

    def _apply(
        self,
        node: ir.Node,
        slots: list[Slot | None],
        unit: float,
        scope: dict[ir.Value, Slot],
        opsets: dict[str, int],
    ) -> list[Slot | None]:
        domain = "" if node.domain in ONNX_DOMAINS else node.domain
        flow = CONTROL_FLOW.get(node.op_type) if domain == "" else None
        if flow is not None:
            return list(flow(self, node, slots, scope, opsets))
        operator = OPERATORS.get((domain, node.op_type))
        if operator is None or self._bodies.is_local(node):
            return self._call(node, slots, opsets, f"operator {operator_name(node)}")
        version = node.version or opsets.get(node.domain) or opsets.get(domain) or 1
        call = Call(
            node.op_type, version, attributes(node), len(node.outputs), unit,
            domain, tuple(0.0 if slot is None else slot.unit for slot in slots),
            tuple(map(kind_of, node.inputs)),
        )  # fmt: skip
        to = call.attributes.get("to", call.attributes.get("dtype"))
        if to is not None and node.op_type != "Constant":
            unit = unit_roundoff(ir.DataType(to))
        elif not unit and (value := call.attributes.get("value")) is not None:
            unit = unit_roundoff(value.dtype)
        self.ar.unit = unit
        tensors = [None if slot is None else slot.tensor for slot in slots]
        try:
            result = apply(operator, self.ar, call, tensors)
        except UnsupportedError as error:
            # What a row does not understand, the standard may say in other operators.
            try:
                return self._call(node, slots, opsets, str(error))
            except UnsupportedError:
                raise error from None
        results = result if isinstance(result, tuple) else (result,)
        # numpy makes of an array without axes a number, which no arithmetic takes for data.
        results = [np.asarray(r) if isinstance(r, np.generic) else r for r in results]
        free = any(slot is not None and slot.free for slot in slots)
        free = free and node.op_type not in ("Shape", "Size")
        return [None if r is None else Slot(r, self._unit(r, unit), free) for r in results]

    def _unit(self, result: Tensor, unit: float) -> float:
        """The unit roundoff of a result, of a node that computed in ``unit``."""
        real = self.ar.is_data(result) and result.dtype.kind == "f"
        return (unit or 2.0**-24) if real else 0.0

    def _call(
        self, node: ir.Node, slots: list[Slot | None], opsets: dict[str, int], why: str
    ) -> list[Slot | None]:
        """Run a function of the model's, or an operator through its official body.

        Args:
            node: what is called.
            slots: its operands.
            opsets: the version of each domain.
            why: what is not understood where there is no body.
        """
        key = node.op_identifier()
        if key in self._calling:
            raise UnsupportedError(f"function {operator_name(node)} calls itself")
        types = tuple(
            None if value is None or slot is None else self._type(value, slot)
            for value, slot in zip(node.inputs, slots, strict=True)
        )
        said = tuple(None if t is None else t.SerializeToString() for t in types)
        if (node, said) not in self._called:
            body = self._bodies.of(node, opsets, types)
            if body is None:
                raise UnsupportedError(why)
            self._called[node, said] = (body, ir.from_proto(body.proto))
        body, function = self._called[node, said]
        scope: dict[ir.Value, Slot] = {}
        for value, place in zip(function.inputs, body.inputs, strict=True):
            slot = slots[place]
            assert slot is not None, "a body has the inputs that are there"
            scope[value] = slot
        self._calling.append(key)
        try:
            slots_out = self.run_graph(function.graph, scope, body.opsets)
        finally:
            self._calling.pop()
        results: list[Slot | None] = [None] * len(node.outputs)
        for place, slot in zip(body.outputs, slots_out, strict=True):
            results[place] = slot
        return results

    def _type(self, value: ir.Value, slot: Slot) -> onnx.TypeProto | None:
        """The type of a value at run time; of what is no number, the one that the model gives."""
        shape = getattr(slot.tensor, "shape", None)
        if shape is None:
            return None
        dtype = value.dtype
        if dtype is None:
            exact = slot.tensor.dtype.kind in "biu"
            name = slot.tensor.dtype if exact else precision.type_of_roundoff(slot.unit)
            dtype = None if name is None else ir.DataType.from_numpy(np.dtype(name))
        return None if dtype is None else onnx.helper.make_tensor_type_proto(int(dtype), shape)


def _read_by(node: ir.Node) -> list[ir.Value]:
    """What a node reads, its subgraphs included."""
    values = [v for v in node.inputs if v is not None]
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            for inner in attribute.as_graph():
                values += _read_by(inner)
            values += list(attribute.as_graph().outputs)
    return values


def _one_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{text[0] if text else type(error).__name__}"
