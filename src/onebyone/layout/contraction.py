"""What the axes of a sum of products are for, and an order of them read as a convolution.

A convolution reads ``[batch][groups, channels][spatial]...``. A spatial position holds output
axes, then kernel axes: ``(oh, kh)`` is a height cut into patches. With kernel axes alone it is read
whole; with output axes alone the kernel is 1.
"""

from __future__ import annotations

from collections.abc import Sequence
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


def roles_of(node: Node) -> Roles:
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
    batch: dict[Value, frozenset[int]] = {value: frozenset() for value in graph.values}
    for tensor in graph.inputs:
        view = graph.views[tensor]
        if len(view.form) > 1:
            batch[view.value] = frozenset(view.form[0])
    for node in graph.nodes:
        if node.kind in (Kind.OPAQUE, Kind.WINDOW):
            _through_positions(node, batch)
            continue
        marked = {
            use.indices[axis]
            for number, use in enumerate(node.operands)
            if use is not None and use.indices
            for axis in batch[use.value]
            if number not in node.pinned or node.kind is Kind.AXIS
        }
        for use in node.results:
            batch[use.value] = frozenset(k for k, i in enumerate(use.indices) if i in marked)
    return batch


def _through_positions(node: Node, batch: dict[Value, frozenset[int]]) -> None:
    """A pinned node keeps its batch at position 0 where the sizes agree."""
    if not node.operands or node.operands[0] is None:
        return
    first = node.operands[0]
    if not first.form or not set(first.form[0]) <= batch[first.value] or not first.form[0]:
        return
    size = [first.value.sizes[axis] for axis in first.form[0]]
    for use in node.results:
        if use.form and [use.value.sizes[axis] for axis in use.form[0]] == size:
            batch[use.value] = frozenset(use.form[0])


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


@dataclass(frozen=True)
class Spatial:
    """One spatial position of the input."""

    outer: tuple[int, ...]
    kernel: tuple[int, ...]


@dataclass(frozen=True)
class ConvOrder:
    """An order of indices, read as a convolution's input."""

    batch: tuple[int, ...]
    channels: tuple[int, ...]
    spatial: tuple[Spatial, ...]

    @property
    def pointwise(self) -> bool:
        """True where every kernel is 1."""
        return not any(position.kernel for position in self.spatial)

    @property
    def rest(self) -> tuple[int, ...]:
        """The output positions, outermost first."""
        return tuple(index for position in self.spatial for index in position.outer)


def parse_convolution(order: Sequence[int], roles: Roles, most: int = 2) -> ConvOrder | None:
    """Read ``order`` (indices of a Contract) as a convolution over at most ``most`` positions.

    Returns:
        None where the order is no convolution's input: channels apart from their groups, or more
        kernel axes than positions.
    """
    summed, groups = set(roles.summed), set(roles.batch)
    start = next((n for n, i in enumerate(order) if i in summed or i in groups), len(order))
    lead = groups or (start < len(order) and order[start] in summed)
    if not lead:
        return None
    end = start
    while end < len(order) and order[end] in groups:
        end += 1
    if set(order[start:end]) != groups:
        return None
    while end < len(order) and order[end] in summed:
        end += 1
    if groups and tuple(i for i in order if i in groups) != roles.batch:
        return None
    spatial = _tail(order[end:], summed)
    if len(spatial) <= most:
        return ConvOrder(tuple(order[:start]), tuple(order[start:end]), spatial)
    return None


def parse_without_channels(
    order: Sequence[int], roles: Roles, lead: int, most: int = 2
) -> ConvOrder | None:
    """As `parse_convolution`, for one input channel, which has no axis: ``lead`` axes are batch."""
    if roles.batch or any(i in roles.summed for i in order[:lead]):
        return None
    spatial = _tail(order[lead:], set(roles.summed))
    if len(spatial) > most or not any(position.kernel for position in spatial):
        return None
    return ConvOrder(tuple(order[:lead]), (), spatial)


def _tail(order: Sequence[int], summed: set[int]) -> tuple[Spatial, ...]:
    positions: list[Spatial] = []
    outer: list[int] = []
    kernel: list[int] = []
    for index in order:
        if index in summed:
            kernel.append(index)
        elif kernel:
            positions.append(Spatial(tuple(outer), tuple(kernel)))
            outer, kernel = [index], []
        else:
            outer.append(index)
    if outer or kernel:
        positions.append(Spatial(tuple(outer), tuple(kernel)))
    return tuple(positions)
