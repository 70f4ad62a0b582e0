"""What the axes of a sum of products are for, and which axes count examples."""

from __future__ import annotations

from dataclasses import dataclass

from onebyone.axes.graph import AxisGraph, Form, Node, Use, Value
from onebyone.axes.positional import Kind
from onebyone.identity import Case


@dataclass(frozen=True)
class Roles:
    """The indices of a Contract by what they do; each tuple in native order.

    Attributes:
        data: number of the operand that is the data.
        weight: number of the operand that is the weight (or the second factor).
        batch: indices of both factors and the result (groups, heads).
        summed: indices of both factors, summed away.
        rows: indices of the data alone.
        columns: indices of the weight alone.
        constant: True where the weight depends on constants alone.
    """

    data: int
    weight: int
    batch: tuple[int, ...]
    summed: tuple[int, ...]
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    constant: bool


def roles(node: Node) -> Roles:
    """The roles of a Contract's indices."""
    first, second = node.operands[0], node.operands[1]
    assert first is not None and second is not None
    swap = first.value.derived and not second.value.derived
    data, weight = (1, 0) if swap else (0, 1)
    x, w = (second, first) if swap else (first, second)
    result = node.results[0].indices
    return Roles(
        data=data,
        weight=weight,
        batch=tuple(i for i in result if i in x.indices and i in w.indices),
        summed=tuple(i for i in x.indices if i not in result),
        rows=tuple(i for i in result if i in x.indices and i not in w.indices),
        columns=tuple(i for i in result if i in w.indices and i not in x.indices),
        constant=w.value.derived and not x.value.derived,
    )


def batch_axes(graph: AxisGraph) -> dict[Value, frozenset[int]]:
    """For each value its axes that count examples: those that come from position 0 of an input.

    A static batch of 1 has no axis; so a value may have none. Used for preferences only: a wrong
    guess costs speed, never correctness.
    """
    found: dict[Value, frozenset[int]] = {value: frozenset() for value in graph.values}
    for tensor in graph.inputs:
        view = graph.views[tensor]
        if len(view.form) > 1:
            found[view.value] = frozenset(view.form[0])
    for node in graph.nodes:
        if node.kind in (Kind.OPAQUE, Kind.WINDOW):
            _through_positions(node, found)
            continue
        marked = {
            use.indices[axis]
            for number, use in enumerate(node.operands)
            if use is not None and use.indices
            for axis in found[use.value]
            if number not in node.pinned or node.kind is Kind.AXIS
        }
        for use in node.results:
            found[use.value] = frozenset(k for k, i in enumerate(use.indices) if i in marked)
    return found


def _through_positions(node: Node, found: dict[Value, frozenset[int]]) -> None:
    """A pinned node keeps its batch at position 0 where the sizes agree."""
    if not node.operands or node.operands[0] is None:
        return
    first = node.operands[0]
    if not first.form or not set(first.form[0]) <= found[first.value] or not first.form[0]:
        return
    size = [first.value.sizes[axis] for axis in first.form[0]]
    for use in node.results:
        if use.form and [use.value.sizes[axis] for axis in use.form[0]] == size:
            found[use.value] = frozenset(use.form[0])


def layer_case(node: Node, data: Use, form: Form) -> Case:
    """The case of an FC layer that reads ``data`` in ``form``: what its summed axes cover."""
    summed = set(node.summed)
    case = Case.POINTWISE
    for group in form[2:]:
        inside = [data.indices[axis] in summed for axis in group]
        if any(inside):
            if not all(inside):
                return Case.PATCH
            case = Case.WHOLE
    if len(form) == 3 and case is Case.WHOLE:
        # [batch, tokens, features]: the last position is what one token reads.
        return Case.POINTWISE
    return case
