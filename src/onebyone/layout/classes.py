"""Classes of FC layers that a target may refuse, read off the axis graph, never off names."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from onebyone.axes.graph import AxisGraph, Node, Value
from onebyone.axes.positional import Kind
from onebyone.layout.contraction import roles_of

_FREE = (Kind.POINTWISE, Kind.ALONG, Kind.AXIS, Kind.REDUCE)


class Classes:
    """Answers for one graph which classes a layer belongs to.

    ``attention``: a projection: only element-wise functions and slices lie between it and a
    product of two computed values, before or behind. ``head``: the same between it and an output
    of the model, softmax and reductions allowed, sums of two computed values not. ``grouped``: its
    weight is block diagonal.
    """

    def __init__(self, graph: AxisGraph) -> None:
        self._consumers = graph.consumers()
        views = graph.views
        self._outputs = {views[tensor].value for tensor in graph.outputs}

    def of(self, layer: Node) -> frozenset[str]:
        """The classes of an FC layer."""
        found: set[str] = set()
        own = roles_of(layer)
        result, x = layer.results[0].value, layer.operands[own.data]
        assert x is not None
        if own.batch:
            found.add("grouped")
        if any(_is_product(node) for node in self._walk(result, self._readers)) or any(
            _is_product(node) for node in self._walk(x.value, _writers)
        ):
            found.add("attention")
        if self._is_head(result):
            found.add("head")
        return frozenset(found)

    def _readers(self, value: Value) -> list[Node]:
        return [node for node, _ in self._consumers[value]]

    def _walk(self, start: Value, step: Callable[[Value], list[Node]]) -> Iterator[Node]:
        """The nodes before or behind a value, up to the first that is not free."""
        seen: set[Node] = set()
        stack = step(start)
        while stack:
            node = stack.pop()
            if node in seen:
                continue
            seen.add(node)
            yield node
            if node.kind in _FREE:
                uses = node.results if step == self._readers else node.operands
                stack += [n for use in uses if use for n in step(use.value)]

    def _is_head(self, value: Value) -> bool:
        stack, seen = [value], set[Value]()
        while stack:
            value = stack.pop()
            if value in self._outputs:
                return True
            if value in seen:
                continue
            seen.add(value)
            for node in self._readers(value):
                computed = sum(u is not None and not u.value.derived for u in node.operands)
                if node.kind in _FREE and computed == 1:
                    stack += [use.value for use in node.results]
        return False


def _writers(value: Value) -> list[Node]:
    return [] if value.producer is None else [value.producer]


def _is_product(node: Node) -> bool:
    if node.kind is not Kind.CONTRACT:
        return False
    a, b = node.operands[:2]
    return a is not None and b is not None and not a.value.derived and not b.value.derived
