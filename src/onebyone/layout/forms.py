"""Second stage of planning: how each order is cut into the positions of a tensor.

The first stage has fixed the orders and the moves; what is left costs reshapes, which move
nothing. The same solver chooses.
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
from onebyone.layout.solve import Choice, Problem, Solution, Variant, solve

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


@dataclass(frozen=True)
class Formed:
    """The second stage's answer: a form variant for each node and each move."""

    nodes: dict[Node, Variant]
    moves: list[tuple[Move, Variant]]
    solution: Solution


class Forms:
    """Candidate forms of every placed value, then the choice among them."""

    def __init__(
        self, graph: AxisGraph, orders: Orders, picked: dict[Node, Variant], moves: list[Move]
    ) -> None:
        self.graph, self.orders, self.picked, self.moves = graph, orders, picked, moves
        self.candidates: dict[Place, dict[Form, None]] = {}
        self._around: dict[Place, list[Node | Move]] = {}
        self._dirty: dict[Node | Move, None] = {}
        self._offered: dict[Node | Move, list[Variant]] = {}
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
            self._offered[step] = self._variants(step)
            for variant in self._offered[step]:
                for place, form in zip(
                    self._places(step), (*variant.reads, *variant.writes), strict=True
                ):
                    if place is not None and form is not None:
                        self._add(place, form)

    def choose(self, seconds: float) -> Formed:
        """Fewest reshapes, then fewest changed nodes."""
        problem = Problem()
        numbers: dict[Place, int] = {}

        def number(place: Place | None) -> int | None:
            return None if place is None else numbers.setdefault(place, len(numbers))

        steps: list[Node | Move] = [*self.graph.nodes, *self.moves]
        options = [self._offered[step] for step in steps]
        for step, offered in zip(steps, options, strict=True):
            places = self._places(step)
            split = len(offered[0].reads)
            problem.choices.append(
                Choice(
                    offered,
                    tuple(number(p) for p in places[:split]),
                    tuple(n for p in places[split:] if (n := number(p)) is not None),
                )
            )
        for tensor in self.graph.outputs:
            view = self.graph.views[tensor]
            if not view.value.constant:
                pin = Variant("output", (view.form,), ())
                place = number((view.value, order_of(view.form)))
                problem.choices.append(Choice([pin], (place,), ()))
        for place, n in numbers.items():
            problem.price[n] = self.orders.target.reshape
            if place[0].producer is None and place[1] == order_of(place[0].native):
                problem.given[n] = place[0].native
        solution = solve(problem, seconds=seconds)
        chosen = [offered[k] for offered, k in zip(options, solution.picked, strict=False)]
        count = len(self.graph.nodes)
        return Formed(
            nodes=dict(zip(self.graph.nodes, chosen[:count], strict=True)),
            moves=list(zip(self.moves, chosen[count:], strict=True)),
            solution=solution,
        )

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

    def _places(self, step: Node | Move) -> list[Place | None]:
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

    def _candidates(self, place: Place) -> list[Form]:
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
                for form in self._candidates((use.value, order)):
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
        forms: list[Form | None] = [None, *self._candidates(place)]
        for wanted in self._candidates((node.results[0].value, picked.writes[0])):
            forms.append(conv_input_form(node, roles, picked, wanted))
        for form in forms:
            variant = conv_form(node, roles, picked, form, _CHANGED, _ODD_RANK)
            if variant is not None:
                yield variant

    def _linear(self, node: Node) -> Iterator[Variant]:
        roles, picked = self.orders.roles[node], self.picked[node]
        x = self._use(node, roles.data)
        place = (x.value, picked.reads[roles.data])
        for form in (None, *self._candidates(place)):
            variant = linear_form(node, roles, picked, form, _CHANGED)
            if variant is not None:
                yield variant

    def _product(self, node: Node) -> Iterator[Variant]:
        roles, picked = self.orders.roles[node], self.picked[node]
        groupings: dict[Form, None] = {tuple((i,) for i in self._batch(node, roles.data)): None}
        for number in (roles.data, roles.weight):
            use = self._use(node, number)
            for form in self._candidates((use.value, picked.reads[number])):
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
