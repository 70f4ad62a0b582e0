"""Calls that stay calls: native nodes that were read through their bodies and need not change.

The first stage of planning sees a call's parts as if they stood in the model. But a call hides
how its parts do it: it may stay, whatever orders were chosen within, if the model around it then
costs no more moves than with its parts spelled out. That is planned anew, with the calls that stay
as opaque nodes, so that no order within a call decides what happens around it. Only where a layer
of its body changes its form a call must be spelled out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from onebyone.axes.graph import AxisGraph, Form, Node, Order, Relayout, Use, Value, order_of
from onebyone.axes.positional import Call, Kind, Tensor
from onebyone.layout.solve import Variant

_Place = tuple[Value, Order]
_STAYS = "it stays a call"


def staying(
    graph: AxisGraph,
    orders: Mapping[Node, Variant],
    changes: Callable[[Node], bool],
    price: Callable[[Value], float],
) -> list[set[Call]]:
    """Two sets of calls that may stay together, to be planned and compared.

    The first has every outermost call that no layer forces to be spelled out. The second is the
    better of two greedy walks, one that spells calls out and one that keeps them, by the moves
    that the free plan needs; it is left out where it is the first.

    Args:
        graph: the model.
        orders: the variant of each node, as orders of axes, where no call stays.
        changes: whether a node changes its form, so that its call must be spelled out.
        price: what it costs to move a value.
    """
    members: dict[Call, list[Node]] = {}
    outer: dict[Call, tuple[Call, ...]] = {}
    for node in graph.nodes:
        for place, call in enumerate(node.calls):
            members.setdefault(call, []).append(node)
            outer[call] = node.calls[:place]
    free = {
        call: around
        for call, around in outer.items()
        if _is_plain(graph, call) and not any(map(changes, members[call]))
    }
    every = {call for call, around in free.items() if not free.keys() & set(around)}
    # Calls around come first: where one stays, those within it do not matter.
    order = sorted(free, key=lambda call: len(free[call]))
    ledgers = [_Ledger(graph, orders, members, price) for _ in range(2)]
    spelling, keeping = ledgers
    for call in order:
        if not spelling.kept.intersection(free[call]):
            spelling.switch(call)
    for call in order:
        # What stood in a call that is spelled out by now may stay itself.
        if call not in spelling.kept and not spelling.kept.intersection(free[call]):
            spelling.switch(call)
        if call in spelling.kept and spelling.switch(call) >= 0:
            spelling.switch(call)
    for call in order:
        if not keeping.kept.intersection(free[call]) and keeping.switch(call) > 0:
            keeping.switch(call)
    best = min(ledgers, key=lambda ledger: ledger.total).kept
    return [every, best] if best != every else [every]


def _is_plain(graph: AxisGraph, call: Call) -> bool:
    """Whether no two outputs of a call are the same value."""
    values = [graph.views[tensor].value for tensor in call.outputs]
    return len({*values}) == len(values)


class _Ledger:
    """What the moves cost that the nodes outside of the kept calls need, and those calls.

    Attributes:
        kept: the calls that stay.
        total: the price of every order of a value that is wanted and not at hand.
    """

    def __init__(
        self,
        graph: AxisGraph,
        orders: Mapping[Node, Variant],
        members: Mapping[Call, list[Node]],
        price: Callable[[Value], float],
    ) -> None:
        self._graph, self._orders, self._members, self._price = graph, orders, members, price
        self.kept: set[Call] = set()
        self._at_hand = Counter(
            (value, order_of(value.native)) for value in graph.values if value.producer is None
        )
        self._wanted = Counter(self._places(graph.outputs))
        for node in graph.nodes:
            self._at_hand.update(self._writes(node))
            self._wanted.update(self._reads(node))
        self.total = self._cost({*self._wanted})

    def switch(self, call: Call) -> float:
        """Keep a call that is spelled out, or the reverse; returns how much more that costs."""
        sign = -1 if call in self.kept else 1
        whole = self._places(call.outputs), self._places(t for t in call.inputs if t is not None)
        nodes = self._members[call]
        parts = (
            [place for node in nodes for place in self._writes(node)],
            [place for node in nodes for place in self._reads(node)],
        )
        touched = {place for places in (*whole, *parts) for place in places}
        before = self._cost(touched)
        for counter, more, less in zip((self._at_hand, self._wanted), whole, parts, strict=True):
            for place in more:
                counter[place] += sign
            for place in less:
                counter[place] -= sign
        self.kept ^= {call}
        change = self._cost(touched) - before
        self.total += change
        return change

    def _cost(self, places: set[_Place]) -> float:
        missing = [p for p in places if self._wanted[p] > 0 and self._at_hand[p] <= 0]
        return sum(sorted(self._price(value) for value, _ in missing))

    def _places(self, tensors: Iterable[Tensor]) -> list[_Place]:
        # A constant that no operation reads, such as one that lends its type, has no view.
        views = [self._graph.views.get(tensor) for tensor in tensors]
        return [(v.value, order_of(v.form)) for v in views if v and not v.value.constant]

    def _reads(self, node: Node) -> list[_Place]:
        return [
            (use.value, order)
            for use, order in zip(node.operands, self._orders[node].reads, strict=True)
            if use is not None and order is not None and not use.value.constant
        ]

    def _writes(self, node: Node) -> list[_Place]:
        orders = self._orders[node].writes
        return [(use.value, order) for use, order in zip(node.results, orders, strict=True)]


def collapsed(graph: AxisGraph, kept: set[Call]) -> AxisGraph:
    """The graph with each kept call as one opaque node, and each that only changes a form as that.

    Nothing of ``graph`` changes; `settle` says the rest once it is certain.
    """
    views = {call: view for call in graph.calls if (view := _view(graph, call))}
    nodes: list[Node] = []
    whole: set[Call] = set()
    for node in graph.nodes:
        call = next((call for call in node.calls if call in kept or call in views), None)
        if call is None:
            nodes.append(node)
        elif call not in views and call not in whole:
            whole.add(call)
            nodes.append(_opaque(graph, call, node))
    relayouts: list[Relayout] = []
    for relayout in graph.relayouts:
        first = next((c for c in relayout.calls if c in kept or c in views), None)
        if first is None:
            relayouts.append(relayout)
        elif first in views and relayout.target is first.outputs[0]:
            relayouts.append(views[first])
    yielded = {use.value for node in nodes for use in node.results}
    values = [value for value in graph.values if value.producer is None or value in yielded]
    left = {*values}
    shown = {tensor: view for tensor, view in graph.views.items() if view.value in left}
    return replace(graph, nodes=nodes, relayouts=relayouts, values=values, views=shown)


def settle(graph: AxisGraph) -> Callable[[], None]:
    """Sets, in place, that calls which stay yield their results, first met in the results' forms.

    Returns:
        Takes it back.
    """
    before: list[tuple[Value, Form, Tensor, Node | None]] = []
    for number, node in enumerate(graph.nodes):
        node.number = number
        if node.reason != _STAYS:
            continue
        call: Call = node.attrs[0]  # pyright: ignore[reportAssignmentType]
        tensors = {graph.views[tensor].value: tensor for tensor in call.outputs}
        for use in node.results:
            value = use.value
            before.append((value, value.native, value.tensor, value.producer))
            value.native, value.tensor, value.producer = use.form, tensors[value], node

    def undo() -> None:
        for value, native, tensor, producer in before:
            value.native, value.tensor, value.producer = native, tensor, producer

    return undo


def _opaque(graph: AxisGraph, call: Call, first: Node) -> Node:
    operands: list[Use | None] = []
    for tensor in call.inputs:
        view = None if tensor is None else graph.views.get(tensor)
        operands.append(None if view is None else Use(view.value, (), view.form))
    results: list[Use] = []
    for tensor in call.outputs:
        view = graph.views[tensor]
        producer = view.value.producer
        if producer is not None and call in producer.calls:
            results.append(Use(view.value, (), view.form))
        # Else an input or a constant is handed on.
    return Node(
        number=first.number,
        kind=Kind.OPAQUE,
        fn="opaque",
        operands=tuple(operands),
        results=tuple(results),
        attrs=(call,),
        pinned=frozenset(range(len(operands))),
        natives=(call.native,),
        reason=_STAYS,
        calls=first.calls[: first.calls.index(call)],
    )


def _view(graph: AxisGraph, call: Call) -> Relayout | None:
    """The change of form that a call is, where it is no more than that."""
    views = {t: graph.views[t] for t in call.inputs if t is not None and t in graph.views}
    computed = [t for t, view in views.items() if not view.value.constant]
    if len(computed) != 1 or len(call.outputs) != 1 or call.inputs[0] is not computed[0]:
        return None
    if graph.views[computed[0]].value is not graph.views[call.outputs[0]].value:
        return None
    return Relayout(call.native, computed[0], call.outputs[0])
