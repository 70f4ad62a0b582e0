"""Fold a bias that is added behind a sum of products into the Contract; drop what nobody reads."""

from __future__ import annotations

from collections.abc import Callable

from onebyone.axes.graph import AxisGraph, Node, Use
from onebyone.axes.positional import Kind


def fold_biases(graph: AxisGraph) -> None:
    """Replaces ``Add(Contract(x, w), b)`` by ``Contract(x, w, b)`` in place, in either order.

    Only where ``b`` is a constant vector over all output channels and nothing else reads the sum.
    """
    outputs = {graph.views[tensor].value for tensor in graph.outputs}
    consumers = graph.consumers()
    viewed = {graph.views[relayout.source].value for relayout in graph.relayouts}
    gone: set[Node] = set()
    for node in graph.nodes:
        if node.kind is not Kind.CONTRACT or len(node.operands) != 2:
            continue
        value = node.results[0].value
        readers = consumers[value]
        if value in outputs or len(readers) != 1:
            continue
        add, number = readers[0]
        bias = _bias(node, add, number)
        if bias is None or add in gone or add.calls != node.calls:
            continue
        node.operands = (*node.operands, bias)
        node.inner = node.results
        node.spread = value in viewed
        node.results = (_result(node, add, number),)
        node.natives = (*node.natives, *add.natives)
        node.results[0].value.producer = node
        gone.add(add)
    graph.nodes = [node for node in graph.nodes if node not in gone]
    for number, node in enumerate(graph.nodes):
        node.number = number


def drop_unread(graph: AxisGraph, has_effect: Callable[[Node], bool]) -> None:
    """Removes nodes, in place, whose results nothing reads and that do nothing else."""
    read = {graph.views[tensor].value for tensor in graph.outputs}
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        wanted = any(use.value in read for use in node.results)
        if wanted or node.kind is Kind.SIZES or has_effect(node):
            kept.append(node)
            read |= {use.value for use in node.operands if use is not None}
    gone = {use.value for node in graph.nodes for use in node.results} - {
        use.value for node in kept for use in node.results
    }
    graph.nodes = kept[::-1]
    for number, node in enumerate(graph.nodes):
        node.number = number
    graph.values = [value for value in graph.values if value not in gone]
    graph.relayouts = [r for r in graph.relayouts if graph.views[r.source].value not in gone]
    graph.views = {t: view for t, view in graph.views.items() if view.value not in gone}


def _bias(node: Node, add: Node, number: int) -> Use | None:
    """The bias, bound to the Contract's own indices; None where it is no bias."""
    if add.kind is not Kind.POINTWISE or add.fn != "add" or add.natives == node.natives:
        return None
    other = add.operands[1 - number]
    sum_ = add.operands[number]
    a, b = node.operands
    if other is None or sum_ is None or a is None or b is None or not other.value.constant:
        return None
    if a.value.derived == b.value.derived or other.value.dtype != sum_.value.dtype:
        return None
    weight = a if a.value.derived else b
    result = node.results[0]
    contract_index = dict(zip(sum_.indices, result.indices, strict=True))
    if any(index not in contract_index for index in other.indices):
        return None
    indices = tuple(contract_index[index] for index in other.indices)
    channels = tuple(i for i in result.indices if i in weight.indices)
    if indices != channels or len(add.results[0].indices) != len(sum_.indices):
        return None
    return Use(other.value, indices, other.form)


def _result(node: Node, add: Node, number: int) -> Use:
    """The Add's result, bound to the Contract's indices."""
    sum_ = add.operands[number]
    assert sum_ is not None
    contract_index = dict(zip(sum_.indices, node.results[0].indices, strict=True))
    result = add.results[0]
    return Use(result.value, tuple(contract_index[i] for i in result.indices), result.form)
