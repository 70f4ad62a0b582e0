"""Candidate forms of every placed value, and the form variants of nodes and moves.

Forms spread from what is native and what operators demand, as orders do in the first stage.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from onebyone.axes.graph import AxisGraph, Form, Node, Order, Use, Value, order_of
from onebyone.axes.positional import Kind
from onebyone.layout.form_rules import (
    block_form,
    channels_second,
    conv_form,
    conv_input_form,
    free_forms,
    free_groups,
    linear_form,
    permuted,
    product_forms,
)
from onebyone.layout.orders import FREE_KINDS, Orders
from onebyone.layout.solve import Variant

_LIMIT = 10
# A node that stays as it was is worth a little, so that equal plans prefer it.
_CHANGED = 0.01
# New convolutions have two spatial positions, [B, C, 1, S], unless reshapes would pay for it.
_ODD_RANK = 1.5
# Core ML has five positions at most, TensorFlow Lite broadcasts over six: more cost a reshape each.
_POSITIONS = 5
_TOO_MANY = 1.0
# Where products are flat, more batch positions pay only if they save a reshape.
_MANY_POSITIONS = 0.1

Place = tuple[Value, Order]


@dataclass(frozen=True, eq=False)
class Move:
    """A transpose of a value from one order to another."""

    value: Value
    source: Order
    target: Order


class FormCandidates:
    """Candidate forms of every placed value, grown until no node or move adds one.

    Attributes:
        candidates: the forms of a value in an order.
        offered: the form variants of each node and move, never empty.
    """

    def __init__(
        self, graph: AxisGraph, orders: Orders, picked: dict[Node, Variant], moves: list[Move]
    ) -> None:
        self.orders, self.picked = orders, picked
        self.candidates: dict[Place, dict[Form, None]] = {}
        self._around: dict[Place, list[Node | Move]] = {}
        self._dirty: dict[Node | Move, None] = {}
        self.offered: dict[Node | Move, list[Variant]] = {}
        for node in graph.nodes:
            for place in (*self._reads(node), *self._writes(node)):
                if place is not None:
                    self._around.setdefault(place, []).append(node)
        for move in moves:
            for order in (move.source, move.target):
                self._around.setdefault((move.value, order), []).append(move)
        for view in graph.views.values():
            self._add((view.value, order_of(view.form)), view.form)
        # Contracts first: their forms are what the free nodes should follow.
        for step in [*graph.nodes, *moves]:
            self._dirty[step] = None
        while self._dirty:
            step = next(iter(self._dirty))
            del self._dirty[step]
            self.offered[step] = self._variants(step)
            for variant in self.offered[step]:
                for place, form in zip(
                    self.places(step), (*variant.reads, *variant.writes), strict=True
                ):
                    if place is not None and form is not None:
                        self._add(place, form)

    def _add(self, place: Place, form: Form) -> None:
        forms = self.candidates.setdefault(place, {})
        if form in forms or len(forms) >= _LIMIT:
            return
        forms[form] = None
        for step in self._around.get(place, ()):
            self._dirty[step] = None

    def _reads(self, node: Node) -> list[Place | None]:
        picked = self.picked[node]
        return [
            None if use is None or order is None or use.value.constant else (use.value, order)
            for use, order in zip(node.operands, picked.reads, strict=True)
        ]

    def _writes(self, node: Node) -> list[Place]:
        picked = self.picked[node]
        return [(u.value, o) for u, o in zip(node.results, picked.writes, strict=True)]

    def places(self, step: Node | Move) -> list[Place | None]:
        """What a step reads, then what it writes; None for what costs nothing to convert."""
        if isinstance(step, Move):
            return [(step.value, step.source), (step.value, step.target)]
        return [*self._reads(step), *self._writes(step)]

    def _variants(self, step: Node | Move) -> list[Variant]:
        if isinstance(step, Move):
            offered = list(self._moved(step))
        else:
            offered = [variant for variant in self._node(step) if self._in_order(step, variant)]
        # Of equal variants the first counts: a node that stays comes first.
        return list({(v.reads, v.writes): v for v in reversed(offered)}.values())[::-1]

    def _in_order(self, node: Node, variant: Variant) -> bool:
        """Whether a form variant has the orders that were picked.

        One form of the data may be read as a convolution's input in a second way, whose result
        has another order.
        """
        picked = self.picked[node]
        pairs = zip((*picked.reads, *picked.writes), (*variant.reads, *variant.writes), strict=True)
        return all(order is None or order_of(form) == order for order, form in pairs)

    def _moved(self, move: Move) -> Iterator[Variant]:
        here, there = (move.value, move.source), (move.value, move.target)
        block = block_form(move.source, move.target)
        for form in (*self.candidates.get(here, ()), block):
            if (other := permuted(form, move.target)) is not None:
                yield Variant("move", (form,), (other,), _CHANGED)
                for wanted in self.candidates.get(there, ()):
                    if sorted(wanted) == sorted(form):
                        yield Variant("move", (form,), (wanted,), _CHANGED)
        for form in self.candidates.get(there, ()):
            if (other := permuted(form, move.source)) is not None:
                yield Variant("move", (other,), (form,), _CHANGED)

    def _node(self, node: Node) -> Iterator[Variant]:
        picked = self.picked[node]
        native = self._native(node)
        if (
            self._may_stay(node)
            and picked.reads
            == tuple(None if form is None else order_of(form) for form in native.reads)
            and picked.writes == tuple(order_of(form) for form in native.writes)
        ):
            yield native
        if picked.tag == "native" and (node.stays or node.kind is not Kind.NORM):
            yield native
        elif node.kind in FREE_KINDS:
            yield from self._free(node)
        elif picked.tag == "conv":
            yield from self._conv(node)
        elif picked.tag == "linear":
            yield from self._linear(node)
        elif picked.tag == "product":
            yield from self._product(node)

    def _may_stay(self, node: Node) -> bool:
        """Whether the native node has the form that was picked."""
        if node.spread:
            return False
        tag = self.picked[node].tag
        if tag == "conv":
            return self.orders.is_convolution(node)
        return tag not in ("linear", "spelled") or self.orders.is_linear(node)

    def _native(self, node: Node) -> Variant:
        sizes = node.kind is Kind.SIZES
        return Variant(
            "kept",
            tuple(None if use is None or sizes else use.form for use in node.operands),
            tuple(use.form for use in node.results),
        )

    def _forms_at(self, place: Place) -> list[Form]:
        return list(self.candidates.get(place, ()))

    def _free(self, node: Node) -> Iterator[Variant]:
        slotted = self.orders.slotted[node]
        picked = self.picked[node]
        every = len(slotted.native)
        groupings: dict[tuple[tuple[int, ...], ...], None] = {}
        sides = [(n, False) for n in slotted.free] + [(n, True) for n in range(len(node.results))]
        for number, result in sides:
            use = node.results[number] if result else node.operands[number]
            assert use is not None
            order = (picked.writes if result else picked.reads)[number]
            if use.value.constant:
                continue
            slots = slotted.of(number, order, result=result)
            if slots is None:
                continue
            if slotted.width(number, result=result) == every:
                groupings[tuple((slot,) for slot in slots)] = None
                for form in self._forms_at((use.value, order)):
                    groups = free_groups(slotted, number, form, result)
                    if groups is not None:
                        groupings[groups] = None
        if not groupings:
            groupings[tuple((s,) for s in self._slots_of(node))] = None
        if node.kind is Kind.NORM and picked.tag == "native":
            groupings[channels_second(node, self._slots_of(node))] = None
        for groups in groupings:
            cost = _CHANGED + _TOO_MANY * max(len(groups) - _POSITIONS, 0)
            yield from free_forms(node, slotted, groups, picked, cost)

    def _slots_of(self, node: Node) -> tuple[int, ...]:
        """All slots in an order that fits the picked orders of all sides."""
        slotted, picked = self.orders.slotted[node], self.picked[node]
        merged: tuple[int, ...] = ()
        for number in range(len(node.results)):
            slots = slotted.of(number, picked.writes[number], result=True)
            assert slots is not None
            merged = max(merged, slots, key=len)
        for number in slotted.free:
            slots = slotted.of(number, picked.reads[number])
            if slots is not None and len(slots) > len(merged):
                merged = slots
        return slotted.complete(merged)

    def _conv(self, node: Node) -> Iterator[Variant]:
        roles, picked = self.orders.roles[node], self.picked[node]
        x = self._use(node, roles.data)
        place = (x.value, picked.reads[roles.data])
        forms: list[Form | None] = [None, *self._forms_at(place)]
        for wanted in self._forms_at((node.results[0].value, picked.writes[0])):
            forms.append(conv_input_form(node, roles, picked, wanted))
        for form in forms:
            variant = conv_form(node, roles, picked, form, _CHANGED, _ODD_RANK)
            if variant is not None:
                yield variant

    def _linear(self, node: Node) -> Iterator[Variant]:
        roles, picked = self.orders.roles[node], self.picked[node]
        x = self._use(node, roles.data)
        place = (x.value, picked.reads[roles.data])
        for form in (None, *self._forms_at(place)):
            variant = linear_form(node, roles, picked, form, _CHANGED)
            if variant is not None:
                yield variant

    def _product(self, node: Node) -> Iterator[Variant]:
        roles, picked = self.orders.roles[node], self.picked[node]
        groupings: dict[Form, None] = {tuple((i,) for i in self._batch(node, roles.data)): None}
        for number in (roles.data, roles.weight):
            use = self._use(node, number)
            for form in self._forms_at((use.value, picked.reads[number])):
                indices = tuple(tuple(use.indices[k] for k in group) for group in form)
                lead = indices[: len(indices) - 2]
                if tuple(i for group in lead for i in group) == self._batch(node, number):
                    groupings[lead] = None
        flat = self.orders.natives.flat_products
        if flat:
            groupings[(self._batch(node, roles.data),)] = None
        for lead in groupings:
            odd = _MANY_POSITIONS if flat and len(lead) > 1 else 0.0
            yield from product_forms(node, roles, picked, lead, _CHANGED + odd)

    def _batch(self, node: Node, number: int) -> tuple[int, ...]:
        roles = self.orders.roles[node]
        use = self._use(node, number)
        order = self.picked[node].reads[number]
        return tuple(use.indices[k] for k in order if use.indices[k] in roles.batch)

    def _use(self, node: Node, number: int) -> Use:
        use = node.operands[number]
        assert use is not None
        return use
