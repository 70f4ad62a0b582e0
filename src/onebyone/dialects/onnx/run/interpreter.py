"""The positional interpreter: run an ONNX graph node by node over any arithmetic.

It reads the graph as the file says it, without the axis graph, so it witnesses independently of
the rest of this package. Control flow runs its branches; model-local functions are called.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir

from onebyone.dialects.onnx.semantics import OPERATORS, Call, apply
from onebyone.dialects.onnx.semantics.base import unit_roundoff
from onebyone.kernels import precision
from onebyone.kernels.arithmetic import Arithmetic, Array, Tensor
from onebyone.kernels.errors import ExecutionError, OverBudgetError, UnsupportedError

# A name of the ONNX domain, and what ONNX Runtime's exporters write for it.
_ONNX_DOMAINS = {"": "", "ai.onnx": ""}
_MAX_DEPTH = 64


@dataclass
class _Slot:
    """A value at run time.

    Attributes:
        tensor: the value.
        unit: unit roundoff of the type it was computed in.
        free: whether it depends on the values of the model's inputs, and not on their shapes only.
    """

    tensor: Any
    unit: float
    free: bool = False


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
        scope: dict[ir.Value, _Slot] = {}
        for value in graph.inputs:
            name = value.name or ""
            if name in inputs:
                scope[value] = _Slot(inputs[name], unit_roundoff(value.dtype), True)
            elif value.const_value is None:
                raise ExecutionError(f"input {name!r} has no value")
        outputs = self._graph(graph, scope, dict(self.model.opset_imports), observe=self.observe)
        names = [value.name or "" for value in graph.outputs]
        return {name: slot.tensor for name, slot in zip(names, outputs, strict=True)}

    # Scopes.

    def _graph(
        self,
        graph: ir.Graph,
        scope: dict[ir.Value, _Slot],
        opsets: dict[str, int],
        observe: Observer | None = None,
    ) -> list[_Slot]:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise UnsupportedError(f"subgraphs nested deeper than {_MAX_DEPTH}")
        nodes = list(graph)
        uses = Counter(
            value
            for node in nodes
            for value in _read_by(node)
            if value.producer() is not None or value.const_value is not None
        )
        uses.update(graph.outputs)
        for node in nodes:
            self._node(node, scope, opsets, observe)
            for value in _read_by(node):
                uses[value] -= 1
                # Values of an outer graph may be read again by its later nodes.
                if uses[value] == 0 and value.graph is graph:
                    scope.pop(value, None)
        self._depth -= 1
        return [self._value(value, scope) for value in graph.outputs]

    def _value(self, value: ir.Value, scope: dict[ir.Value, _Slot]) -> _Slot:
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
            else:
                embedded = array
            slot = scope[value] = _Slot(embedded, unit_roundoff(tensor.dtype))
        return slot

    # Nodes.

    def _node(
        self,
        node: ir.Node,
        scope: dict[ir.Value, _Slot],
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
        slots: list[_Slot | None],
        unit: float,
        scope: dict[ir.Value, _Slot],
        opsets: dict[str, int],
    ) -> list[_Slot | None]:
        domain = _ONNX_DOMAINS.get(node.domain, node.domain)
        flow = _CONTROL_FLOW.get(node.op_type) if domain == "" else None
        if flow is not None:
            if any(slot is not None and slot.free for slot in slots[: 2 - (node.op_type == "If")]):
                self.ar.steered(describe(node))
            return list(flow(self, node, slots, scope, opsets))
        function = self.model.functions.get((node.domain, node.op_type, node.overload))
        if function is not None:
            return list(self._call(function, node, slots))
        operator = OPERATORS.get((domain, node.op_type))
        if operator is None:
            raise UnsupportedError(f"operator {_operator(node)}")
        version = node.version or opsets.get(node.domain) or opsets.get(domain) or 1
        call = Call(
            node.op_type, version, _attributes(node), len(node.outputs), unit,
            tuple(slot is not None and slot.free for slot in slots), domain,
        )  # fmt: skip
        to = call.attributes.get("to", call.attributes.get("dtype"))
        if to is not None and node.op_type != "Constant":
            unit = unit_roundoff(ir.DataType(to))
        elif not unit and (value := call.attributes.get("value")) is not None:
            unit = unit_roundoff(value.dtype)
        self.ar.unit = unit
        result = apply(operator, self.ar, call, [None if s is None else s.tensor for s in slots])
        results = result if isinstance(result, tuple) else (result,)
        free = any(call.free) and node.op_type not in ("Shape", "Size")
        return [
            None if r is None else _Slot(r, (unit or 2.0**-24) if self.ar.is_data(r) else 0.0, free)
            for r in results
        ]

    def _call(self, function: ir.Function, node: ir.Node, slots: list[_Slot | None]) -> list[_Slot]:
        bound = {a.name: a for a in node.attributes.values()}
        if any(a.is_ref() for n in function for a in n.attributes.values()):
            raise UnsupportedError(f"function {_operator(node)} with attribute references")
        del bound
        scope = {v: s for v, s in zip(function.inputs, slots, strict=False) if s is not None}
        return self._graph(function.graph, scope, dict(function.opset_imports))

    # Control flow.

    def _if(
        self,
        node: ir.Node,
        slots: list[_Slot | None],
        scope: dict[ir.Value, _Slot],
        opsets: dict[str, int],
    ) -> list[_Slot]:
        assert slots[0] is not None
        branch = "then_branch" if bool(np.ravel(slots[0].tensor)[0]) else "else_branch"
        return self._graph(node.attributes[branch].as_graph(), dict(scope), opsets)

    def _loop(
        self,
        node: ir.Node,
        slots: list[_Slot | None],
        scope: dict[ir.Value, _Slot],
        opsets: dict[str, int],
    ) -> list[_Slot]:
        body = node.attributes["body"].as_graph()
        limit = np.inf if slots[0] is None else int(np.ravel(slots[0].tensor)[0])
        going = slots[1] is None or bool(np.ravel(slots[1].tensor)[0])
        state = [s for s in slots[2:] if s is not None]
        scans: list[list[_Slot]] = [[] for _ in range(len(body.outputs) - 1 - len(state))]
        step = 0
        while going and step < limit:
            first = [_Slot(np.array(step, np.int64), 0.0), _Slot(np.array(going), 0.0)]
            inner = dict(scope)
            inner.update(zip(body.inputs, first + state, strict=True))
            out = self._graph(body, inner, opsets)
            going = bool(np.ravel(out[0].tensor)[0])
            if out[0].free:
                self.ar.steered(describe(node))
            for rows, slot in zip(scans, out[1 + len(state) :], strict=True):
                rows.append(slot)
            state = out[1 : 1 + len(state)]
            step += 1
        return state + [self._stack(rows, 0) for rows in scans]

    def _scan(
        self,
        node: ir.Node,
        slots: list[_Slot | None],
        scope: dict[ir.Value, _Slot],
        opsets: dict[str, int],
    ) -> list[_Slot]:
        body = node.attributes["body"].as_graph()
        count = node.attributes["num_scan_inputs"].as_int()
        options = _attributes(node)
        if (node.version or opsets.get("", 9)) < 9:
            raise UnsupportedError("Scan before opset 9")
        if any(any(options.get(name, ())) for name in _SCAN_OPTIONS):
            raise UnsupportedError("Scan with axes or directions other than the default")
        given = [s for s in slots if s is not None]
        state, series = given[: len(given) - count], given[len(given) - count :]
        scans: list[list[_Slot]] = [[] for _ in range(len(body.outputs) - len(state))]
        for step in range(series[0].tensor.shape[0]):
            rows = [_Slot(self._row(s.tensor, step), s.unit, s.free) for s in series]
            inner = dict(scope)
            inner.update(zip(body.inputs, state + rows, strict=True))
            out = self._graph(body, inner, opsets)
            state = out[: len(state)]
            for parts, slot in zip(scans, out[len(state) :], strict=True):
                parts.append(slot)
        return state + [self._stack(parts, 0) for parts in scans]

    def _row(self, x: Tensor, step: int) -> Tensor:
        return self.ar.move(lambda a: a[step], x) if self.ar.is_data(x) else np.asarray(x)[step]

    def _stack(self, rows: list[_Slot], axis: int) -> _Slot:
        if not rows:
            raise UnsupportedError("a loop that runs zero times and collects outputs")
        tensors = [slot.tensor for slot in rows]
        if self.ar.is_data(tensors[0]):
            out = self.ar.move(lambda *a: np.stack(a, axis), *tensors)
            return _Slot(out, rows[0].unit, any(row.free for row in rows))
        return _Slot(np.stack(tensors, axis), 0.0, any(row.free for row in rows))


_SCAN_OPTIONS = (
    "scan_input_axes", "scan_output_axes", "scan_input_directions", "scan_output_directions",
)  # fmt: skip

_CONTROL_FLOW: dict[str, Callable[..., list[_Slot]]] = {
    "If": Interpreter._if,  # pyright: ignore[reportPrivateUsage]
    "Loop": Interpreter._loop,  # pyright: ignore[reportPrivateUsage]
    "Scan": Interpreter._scan,  # pyright: ignore[reportPrivateUsage]
}


def _read_by(node: ir.Node) -> list[ir.Value]:
    """What a node reads, its subgraphs included."""
    values = [v for v in node.inputs if v is not None]
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            for inner in attribute.as_graph():
                values += _read_by(inner)
            values += list(attribute.as_graph().outputs)
    return values


def _attributes(node: ir.Node) -> dict[str, Any]:
    return {
        name: a.value
        for name, a in node.attributes.items()
        if a.type not in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
    }


def _operator(node: ir.Node) -> str:
    return f"{node.domain}.{node.op_type}" if node.domain else node.op_type


def describe(node: ir.Node) -> str:
    """A node as a user finds it in the file: operator and name, or its first output."""
    name = node.name or (node.outputs[0].name if node.outputs else None)
    return f"{_operator(node)} {name!r}"


def _one_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{text[0] if text else type(error).__name__}"
