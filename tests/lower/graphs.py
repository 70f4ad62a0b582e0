"""Hand-made nodes and plans, without any dialect."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from onebyone.axes.graph import AxisGraph, Form, Node, Relayout, Use, Value, View
from onebyone.axes.lift import lift
from onebyone.axes.positional import Apply, Kind, Operation, Position, Positional, Tensor
from onebyone.axes.sizes import Size
from onebyone.layout.find_target import find_target
from onebyone.layout.form_candidates import Move
from onebyone.layout.forms import Formed
from onebyone.layout.plan import Plan
from onebyone.layout.solve import Solution, Variant

_NOTHING = Solution((), 0.0, 0.0)


def sizes(*numbers: int) -> tuple[Size, ...]:
    """Integers as sizes."""
    return tuple(Size(n) for n in numbers)


def value(*numbers: int, name: str = "v") -> Value:
    """A value with an axis of each size, first met with each axis in a position of its own."""
    form = tuple((axis,) for axis in range(len(numbers)))
    tensor = Tensor(name, sizes(*numbers), "float", name=name)
    return Value(0, sizes(*numbers), "float", form, tensor)


def plan(
    graph: AxisGraph,
    nodes: Mapping[Node, Variant] | None = None,
    moves: Sequence[tuple[Value, Form, Form]] = (),
) -> Plan:
    """A plan with these variants, and with moves from one form to another."""
    moved = [
        (
            Move(of, tuple(a for g in source for a in g), tuple(a for g in target for a in g)),
            Variant("move", (source,), (target,)),
        )
        for of, source, target in moves
    ]
    return Plan(
        graph, find_target("conv"), {}, Formed(dict(nodes or {}), moved, _NOTHING), _NOTHING, {}
    )


def with_relayouts(of: Value, *relayouts: tuple[str, Form, Form]) -> AxisGraph:
    """A graph of one value, whose original views are made by these native nodes."""
    graph = AxisGraph(values=[of])
    for name, source, target in relayouts:
        ends = [Tensor(f"{name}.{end}", None, "float") for end in ("in", "out")]
        for tensor, form in zip(ends, (source, target), strict=True):
            graph.views[tensor] = View(of, form)
        graph.relayouts.append(Relayout(name, ends[0], ends[1]))
    return graph


def node(
    kind: Kind,
    operands: Sequence[tuple[Sequence[int], Sequence[Position]]],
    result: Sequence[Position],
    *,
    fn: str = "",
    constant: bool = False,
    **rest: Any,
) -> Node:
    """A lifted node, from the shape and the labels of each operand; the second may be constant."""
    tensors = [
        Tensor(f"t{n}", sizes(*shape), "float", constant and n == 1, f"t{n}")
        for n, (shape, _) in enumerate(operands)
    ]
    out = Tensor("y", None, "float", name="y")
    labels = tuple(tuple(positions) for _, positions in operands)
    meaning = Apply(kind, fn, labels, (tuple(result),), **rest)
    known: dict[str, Size] = dict(meaning.sizes)
    for tensor, positions in zip(tensors, labels, strict=True):
        for position, size in zip(positions, tensor.shape or (), strict=True):
            if len(position) == 1:
                known.setdefault(position[0], size)
    shape: list[Size] = []
    for position in result:
        total = Size(1)
        for label in position:
            total *= known.get(label, Size(1))
        shape.append(total)
    out.shape = tuple(shape)
    inputs = [tensor for tensor in tensors if not tensor.constant]
    operation = Operation("native", meaning, tuple(tensors), (out,))
    return lift(Positional(inputs, [out], [operation])).nodes[0]


def native(of: Node, tag: str = "native", detail: Hashable = None) -> Variant:
    """The variant that reads and writes as the native node does."""
    reads = tuple(None if use is None else use.form for use in of.operands)
    return Variant(tag, reads, tuple(use.form for use in of.results), detail=detail)


def cut(use: Use, groups: Sequence[Sequence[int]]) -> Form:
    """The form of an operand or result with these indices of the node in its positions."""
    axis = {index: n for n, index in enumerate(use.indices)}
    return tuple(tuple(axis[i] for i in group if i in axis) for group in groups)
