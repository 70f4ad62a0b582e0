"""Calls that stay calls: native nodes that were read through their bodies and need not change.

The first stage of planning sees a call's parts as if they stood in the model. But a call hides
how its parts do it: it may stay, whatever orders were chosen within, if it then costs no more
moves around it than its parts would cost spelled out. Only where a layer of its body changes its
form it must be spelled out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from onebyone.axes.graph import AxisGraph, Node, Order, Relayout, Use, Value, order_of
from onebyone.axes.positional import Call, Kind
from onebyone.layout.solve import Variant
from onebyone.layout.variants import native

_Place = tuple[Value, Order]


def keep_calls(
    graph: AxisGraph,
    orders: Mapping[Node, Variant],
    changes: Callable[[Node], bool],
    price: Callable[[Value], float],
) -> tuple[AxisGraph, dict[Node, Variant]]:
    """The graph with each call that stays as one opaque node, and the variants of its nodes.

    Args:
        graph: the model.
        orders: the variant of each node, as orders of axes.
        changes: whether a node changes its form, so that its call must be spelled out.
        price: what it costs to move a value.
    """
    if not graph.calls:
        return graph, dict(orders)
    kept = _kept(graph, orders, changes, price)
    return _collapsed(graph, orders, kept)


def _kept(
    graph: AxisGraph,
    orders: Mapping[Node, Variant],
    changes: Callable[[Node], bool],
    price: Callable[[Value], float],
) -> set[Call]:
    members: dict[Call, set[Node]] = {}
    within: dict[Call, dict[Call, None]] = {}
    kept: dict[Call, None] = {}
    for node in graph.nodes:
        for outer, call in zip((None, *node.calls), node.calls, strict=False):
            members.setdefault(call, set()).add(node)
            if outer is None:
                kept[call] = None
            else:
                within.setdefault(outer, {})[call] = None
    refused = {
        call
        for call, nodes in members.items()
        if any(map(changes, nodes)) or not _is_plain(graph, call)
    }
    while True:
        around = _Around(graph, orders, kept)
        gone = [
            call
            for call in kept
            if call in refused or not around.is_worth_it(call, members[call], price)
        ]
        if not gone:
            return set(kept)
        for call in gone:
            del kept[call]
            kept.update(within.get(call, {}))


def _is_plain(graph: AxisGraph, call: Call) -> bool:
    """Whether no two outputs of a call are the same value."""
    values = [graph.views[tensor].value for tensor in call.outputs]
    return len({*values}) == len(values)


class _Around:
    """The orders of values at hand and wanted outside of the calls that stay."""

    def __init__(
        self, graph: AxisGraph, orders: Mapping[Node, Variant], kept: Mapping[Call, None]
    ) -> None:
        self._graph, self._orders = graph, orders
        hidden = {node for node in graph.nodes if any(call in kept for call in node.calls)}
        shown = [node for node in graph.nodes if node not in hidden]
        self._written = self._writes(shown)
        self._written |= {(v, order_of(v.native)) for v in graph.values if v.producer is None}
        self._read = self._reads(shown)
        for tensor in graph.outputs:
            view = graph.views[tensor]
            self._read.add((view.value, order_of(view.form)))
        self._yielded = Counter(place for call in kept for place in self._yields(call))
        self._wanted = Counter(place for call in kept for place in self._wants(call))

    def is_worth_it(self, call: Call, members: set[Node], price: Callable[[Value], float]) -> bool:
        """Whether a call costs no more moves than its parts."""
        wants, yields = self._wants(call), self._yields(call)
        at_hand = self._written | set(self._yielded - Counter(yields))
        wanted = self._read | set(self._wanted - Counter(wants))
        results = {use.value for node in members for use in node.results}
        leave = {place for place in wanted if place[0] in results}
        as_call = (wants - at_hand - wanted) | (leave - yields)
        writes = self._writes(members)
        as_parts = (self._reads(members) - at_hand - (wanted - leave) | leave) - writes
        return _total(as_call, price) <= _total(as_parts, price)

    def _wants(self, call: Call) -> set[_Place]:
        views = [self._graph.views[tensor] for tensor in call.inputs if tensor is not None]
        return {(v.value, order_of(v.form)) for v in views if not v.value.constant}

    def _yields(self, call: Call) -> set[_Place]:
        views = [self._graph.views[tensor] for tensor in call.outputs]
        return {(v.value, order_of(v.form)) for v in views if not v.value.constant}

    def _reads(self, nodes: Iterable[Node]) -> set[_Place]:
        return {
            (use.value, order)
            for node in nodes
            for use, order in zip(node.operands, self._orders[node].reads, strict=True)
            if use is not None and order is not None and not use.value.constant
        }

    def _writes(self, nodes: Iterable[Node]) -> set[_Place]:
        return {
            (use.value, order)
            for node in nodes
            for use, order in zip(node.results, self._orders[node].writes, strict=True)
        }


def _total(places: set[_Place], price: Callable[[Value], float]) -> float:
    return sum(sorted(price(value) for value, _ in places))


def _collapsed(
    graph: AxisGraph, orders: Mapping[Node, Variant], kept: set[Call]
) -> tuple[AxisGraph, dict[Node, Variant]]:
    """Each kept call as one node; a call of which only a change of form is left, as that."""
    nodes: list[Node] = []
    whole: dict[Call, Node] = {}
    for node in graph.nodes:
        call = next((call for call in node.calls if call in kept), None)
        if call is None:
            nodes.append(node)
        elif call not in whole:
            whole[call] = _opaque(graph, call, node)
            nodes.append(whole[call])
    for number, node in enumerate(nodes):
        node.number = number
    full = {call for node in graph.nodes for call in node.calls}
    views = {call: v for call in graph.calls if call not in full and (v := _view(graph, call))}
    relayouts: list[Relayout] = []
    for relayout in graph.relayouts:
        first = next((c for c in relayout.calls if c in kept or c in views), None)
        if first is None:
            relayouts.append(relayout)
        elif first in views and relayout.target is first.outputs[0]:
            relayouts.append(views[first])
    picked = {node: orders[node] if node in orders else native(node) for node in nodes}
    return replace(graph, nodes=nodes, relayouts=relayouts), picked


def _opaque(graph: AxisGraph, call: Call, first: Node) -> Node:
    operands: list[Use | None] = []
    for tensor in call.inputs:
        view = None if tensor is None else graph.views[tensor]
        operands.append(None if view is None else Use(view.value, (), view.form))
    node = Node(
        number=first.number,
        kind=Kind.OPAQUE,
        fn="opaque",
        operands=tuple(operands),
        results=(),
        pinned=frozenset(range(len(operands))),
        natives=(call.native,),
        reason="it stays a call",
        calls=first.calls[: first.calls.index(call)],
    )
    results: list[Use] = []
    for tensor in call.outputs:
        view = graph.views[tensor]
        producer = view.value.producer
        if producer is None or call not in producer.calls:
            continue  # an input or a constant, handed on
        # The first form that is met is now that of the call's result.
        view.value.native, view.value.tensor, view.value.producer = view.form, tensor, node
        results.append(Use(view.value, (), view.form))
    node.results = tuple(results)
    return node


def _view(graph: AxisGraph, call: Call) -> Relayout | None:
    """The change of form that a call is, where it is no more than that."""
    computed = [t for t in call.inputs if t is not None and not graph.views[t].value.constant]
    if len(computed) != 1 or len(call.outputs) != 1 or call.inputs[0] is not computed[0]:
        return None
    if graph.views[computed[0]].value is not graph.views[call.outputs[0]].value:
        return None
    return Relayout(call.native, computed[0], call.outputs[0])
