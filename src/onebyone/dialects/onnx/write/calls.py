"""Calls in a written model: those that only change a form, and functions that nobody calls."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import onnx_ir as ir

from onebyone.axes.graph import AxisGraph, Relayout
from onebyone.axes.positional import Call


def views_by_calls(graph: AxisGraph, kept: Collection[Call]) -> Iterator[tuple[ir.Node, Relayout]]:
    """The native nodes that only change a form, each with what it changes.

    A call of whose body nothing else is left is one of them, and comes before its parts. What
    stands in a call that is kept is not written.
    """
    full = {call for node in graph.nodes for call in node.calls}
    hidden = {
        inner
        for relayout in graph.relayouts
        for place, inner in enumerate(relayout.calls)
        if any(outer in kept for outer in relayout.calls[:place])
    }
    for call in graph.calls:
        computed = [t for t in call.inputs if not graph.views[t].value.constant]
        if call not in full | hidden and len(computed) == 1:
            for tensor in call.outputs[:1]:
                if graph.views[tensor].value is graph.views[computed[0]].value:
                    yield call.native, Relayout(call.native, computed[0], tensor)
    for relayout in graph.relayouts:
        # There is no native node between the parts of one.
        if relayout.native is not None and not any(call in kept for call in relayout.calls):
            yield relayout.native, relayout


def drop_functions(model: ir.Model, before: Iterable[ir.Node]) -> None:
    """Remove the functions that were called and no longer are."""
    gone = _called(model, before) - _called(model, model.graph)
    for identifier in gone:
        del model.functions[identifier]


def _called(model: ir.Model, nodes: Iterable[ir.Node]) -> set[ir.OperatorIdentifier]:
    """The functions that nodes call, and those that these call."""
    found: set[ir.OperatorIdentifier] = set()
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        for attribute in node.attributes.values():
            if attribute.type == ir.AttributeType.GRAPH:
                waiting += list(attribute.as_graph())
            elif attribute.type == ir.AttributeType.GRAPHS:
                waiting += [inner for graph in attribute.as_graphs() for inner in graph]
        identifier = node.op_identifier()
        if identifier in model.functions and identifier not in found:
            found.add(identifier)
            waiting += list(model.functions[identifier])
    return found
