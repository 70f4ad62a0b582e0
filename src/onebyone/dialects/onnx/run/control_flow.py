"""Control flow: nodes whose bodies the interpreter runs, and what runs them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import onnx_ir as ir

from onebyone.kernels.arithmetic import Arithmetic, Tensor
from onebyone.kernels.element import Element
from onebyone.kernels.errors import UnsupportedError

_SCAN_OPTIONS = (
    "scan_input_axes", "scan_output_axes", "scan_input_directions", "scan_output_directions",
)  # fmt: skip


@dataclass
class Slot:
    """A value at run time.

    Attributes:
        tensor: the value.
        unit: unit roundoff of the type it was computed in.
        free: whether it depends on the values of the model's inputs, and not on their shapes only.
    """

    tensor: Any
    unit: float
    free: bool = False


class Machine(Protocol):
    """What runs the bodies."""

    ar: Arithmetic

    def run_graph(
        self, graph: ir.Graph, scope: dict[ir.Value, Slot], opsets: dict[str, int]
    ) -> list[Slot]:
        """The outputs of a graph whose inputs are in ``scope``."""
        ...


def if_(
    machine: Machine,
    node: ir.Node,
    slots: list[Slot | None],
    scope: dict[ir.Value, Slot],
    opsets: dict[str, int],
) -> list[Slot]:
    """One of two branches; both, where data decides, and their results chosen from."""
    assert slots[0] is not None
    condition, ar = slots[0].tensor, machine.ar

    def branch(name: str) -> list[Slot]:
        return machine.run_graph(node.attributes[name].as_graph(), dict(scope), opsets)

    if not isinstance(condition, Element):
        return branch("then_branch" if bool(np.ravel(condition)[0]) else "else_branch")
    pairs = list(zip(branch("then_branch"), branch("else_branch"), strict=True))
    if any(a.tensor.shape != b.tensor.shape for a, b in pairs):
        raise UnsupportedError(
            f"{describe(node)}: branches of different shapes, chosen by the data"
        )
    scalar = ar.move(lambda a: a.reshape(()), condition)
    return [
        Slot(ar.select(scalar, a.tensor, b.tensor), max(a.unit, b.unit), True) for a, b in pairs
    ]


def loop(
    machine: Machine,
    node: ir.Node,
    slots: list[Slot | None],
    scope: dict[ir.Value, Slot],
    opsets: dict[str, int],
) -> list[Slot]:
    """A body, as often as a limit and a condition say."""
    body = node.attributes["body"].as_graph()
    limit = np.inf if slots[0] is None else int(np.ravel(slots[0].tensor)[0])
    going = slots[1] is None or bool(np.ravel(slots[1].tensor)[0])
    state = [s for s in slots[2:] if s is not None]
    scans: list[list[Slot]] = [[] for _ in range(len(body.outputs) - 1 - len(state))]
    step = 0
    while going and step < limit:
        first = [Slot(np.array(step, np.int64), 0.0), Slot(np.array(going), 0.0)]
        inner = dict(scope)
        inner.update(zip(body.inputs, first + state, strict=True))
        out = machine.run_graph(body, inner, opsets)
        going = bool(np.ravel(out[0].tensor)[0])
        for rows, slot in zip(scans, out[1 + len(state) :], strict=True):
            rows.append(slot)
        state = out[1 : 1 + len(state)]
        step += 1
    return state + [_stack(machine, rows, 0) for rows in scans]


def scan(
    machine: Machine,
    node: ir.Node,
    slots: list[Slot | None],
    scope: dict[ir.Value, Slot],
    opsets: dict[str, int],
) -> list[Slot]:
    """A body for each row of its series."""
    body = node.attributes["body"].as_graph()
    count = node.attributes["num_scan_inputs"].as_int()
    options = attributes(node)
    if (node.version or opsets.get("", 9)) < 9:
        raise UnsupportedError("Scan before opset 9")
    if any(any(options.get(name, ())) for name in _SCAN_OPTIONS):
        raise UnsupportedError("Scan with axes or directions other than the default")
    given = [s for s in slots if s is not None]
    state, series = given[: len(given) - count], given[len(given) - count :]
    scans: list[list[Slot]] = [[] for _ in range(len(body.outputs) - len(state))]
    for step in range(series[0].tensor.shape[0]):
        rows = [Slot(_row(machine, s.tensor, step), s.unit, s.free) for s in series]
        inner = dict(scope)
        inner.update(zip(body.inputs, state + rows, strict=True))
        out = machine.run_graph(body, inner, opsets)
        state = out[: len(state)]
        for parts, slot in zip(scans, out[len(state) :], strict=True):
            parts.append(slot)
    return state + [_stack(machine, parts, 0) for parts in scans]


def _row(machine: Machine, x: Tensor, step: int) -> Tensor:
    return machine.ar.move(lambda a: a[step], x) if machine.ar.is_data(x) else np.asarray(x)[step]


def _stack(machine: Machine, rows: list[Slot], axis: int) -> Slot:
    if not rows:
        raise UnsupportedError("a loop that runs zero times and collects outputs")
    tensors = [slot.tensor for slot in rows]
    if machine.ar.is_data(tensors[0]):
        out = machine.ar.move(lambda *a: np.stack(a, axis), *tensors)
        return Slot(out, rows[0].unit, any(row.free for row in rows))
    return Slot(np.stack(tensors, axis), 0.0, any(row.free for row in rows))


CONTROL_FLOW: dict[str, Callable[..., list[Slot]]] = {"If": if_, "Loop": loop, "Scan": scan}


def attributes(node: ir.Node) -> dict[str, Any]:
    """The values of a node's attributes, graphs left out."""
    return {
        name: a.value
        for name, a in node.attributes.items()
        if a.type not in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
    }


def operator_name(node: ir.Node) -> str:
    """The operator with its domain, where that is not ONNX's own."""
    return f"{node.domain}.{node.op_type}" if node.domain else node.op_type


def kind_of(value: ir.Value | None) -> str:
    """The name of a value's type as numpy and ``ml_dtypes`` call it; "" where nothing tells it."""
    if value is None:
        return ""
    dtype, node = value.dtype, value.producer()
    if dtype is None and node is not None:
        attribute = {"Cast": "to", "Constant": "value"}.get(node.op_type, "")
        said = node.attributes.get(attribute)
        if said is not None:
            dtype = ir.DataType(said.as_int()) if attribute == "to" else said.as_tensor().dtype
    return "" if dtype in (None, ir.DataType.UNDEFINED, ir.DataType.STRING) else dtype.numpy().name


def describe(node: ir.Node) -> str:
    """A node as a user finds it in the file: operator and name, or its first output."""
    name = node.name or (node.outputs[0].name if node.outputs else None)
    return f"{operator_name(node)} {name!r}"
