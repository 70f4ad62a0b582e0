"""Calls that stay calls: native nodes that were read through their bodies and need not change.

A plan says what happens within a body as if its parts stood in the model. But a call hides how
its parts do it: where it reads and yields what it always did, it may stay, whatever orders were
chosen within. Only where a layer of its body changes its form, or where what stands around it
wants another order, it is spelled out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from onebyone.axes.graph import AxisGraph, Node, Order, Value, order_of
from onebyone.axes.positional import Call
from onebyone.layout.solve import Variant

_CONVERTED = ("conv", "linear")
Wanted = set[tuple[Value, Order]]


def kept_calls(graph: AxisGraph, orders: Mapping[Node, Variant]) -> dict[Node, Call]:
    """For each node within a call that stays, the outermost such call.

    Args:
        graph: the model.
        orders: the variant of each node, as orders of axes.
    """
    members: dict[Call, set[Node]] = {}
    children: dict[Call, dict[Call, None]] = {}
    kept: dict[Call, None] = {}
    for node in graph.nodes:
        for outer, call in zip((None, *node.calls), node.calls, strict=False):
            members.setdefault(call, set()).add(node)
            if outer is None:
                kept[call] = None
            else:
                children.setdefault(outer, {})[call] = None
    refused = [
        call for call, nodes in members.items() if any(orders[n].tag in _CONVERTED for n in nodes)
    ]
    while True:
        found = {node: call for node in graph.nodes for call in node.calls if call in kept}
        boundary = _Boundary(graph, orders, found)
        gone = [call for call in kept if call in refused or not boundary.fits(call, members[call])]
        if not gone:
            return found
        for call in gone:
            del kept[call]
            kept.update(children.get(call, {}))


def yielded_by_calls(graph: AxisGraph, calls: Collection[Call]) -> Wanted:
    """The values that calls yield, each with the order that it is yielded in."""
    views = [graph.views[tensor] for call in calls for tensor in call.outputs]
    return {(view.value, order_of(view.form)) for view in views}


def wanted_by_calls(graph: AxisGraph, calls: Collection[Call]) -> Wanted:
    """The values that calls read, each with the order that it is read in."""
    views = [graph.views[tensor] for call in calls for tensor in call.inputs]
    return {(view.value, order_of(view.form)) for view in views if not view.value.constant}


class _Boundary:
    """The orders in which values are at hand and wanted, given which calls stay."""

    def __init__(
        self, graph: AxisGraph, orders: Mapping[Node, Variant], kept: Mapping[Node, Call]
    ) -> None:
        self.graph, self.kept = graph, kept
        calls = set(kept.values())
        self.written = yielded_by_calls(graph, calls)
        self.read: Wanted = set()
        for node in graph.nodes:
            if node in kept:
                continue
            variant = orders[node]
            for use, order in zip(node.results, variant.writes, strict=True):
                self.written.add((use.value, order))
            for use, order in zip(node.operands, variant.reads, strict=True):
                if use is not None and order is not None:
                    self.read.add((use.value, order))
        for tensor in graph.outputs:
            view = graph.views[tensor]
            self.read.add((view.value, order_of(view.form)))
        for value in graph.values:
            if value.producer is None:
                self.written.add((value, order_of(value.native)))
        self.wanted = self.read | wanted_by_calls(graph, calls)

    def fits(self, call: Call, members: set[Node]) -> bool:
        """Whether a call reads what is at hand anyway, and yields what is wanted."""
        inputs = wanted_by_calls(self.graph, [call])
        # An order that something else wants, too, is made for that.
        if not inputs <= self.written | self.read:
            return False
        results = {use.value for node in members for use in node.results}
        return all(
            (value, order) in self.written for value, order in self.wanted if value in results
        )
