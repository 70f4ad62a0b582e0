"""The books of a writer: what is used, what is made, and in which order it is looked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from onebyone.axes.graph import AxisGraph, Form, Node, Use, Value
from onebyone.axes.positional import Kind
from onebyone.layout.solve import Variant
from onebyone.lower.holdings import Holdings
from tests.lower import graphs

A, B, C = (0,), (1,), (2,)


@dataclass
class Fake:
    """A builder whose tensors are tuples: what was done, and to which tensor."""

    unready: set[str] = field(default_factory=set[str])
    done: list[str] = field(default_factory=list[str])

    def reshaped(self, value: Value, tensor: Any, source: Form, form: Form) -> Any:
        self.done.append("reshape")
        assert [a for g in source for a in g] == [a for g in form for a in g]
        return ("reshape", tensor, form)

    def permuted(self, value: Value, tensor: Any, order: list[int], form: Form) -> Any:
        self.done.append("permute")
        return ("permute", tensor, tuple(order))

    def again(self, native: Any, tensor: Any) -> Any:
        if native in self.unready:
            return None
        self.unready.add(native)  # once
        self.done.append(native)
        return (native, tensor)


def _held(graph: AxisGraph, form: Form, **plan: Any) -> tuple[Holdings[Any], Fake]:
    fake = Fake()
    holdings: Holdings[Any] = Holdings(graphs.plan(graph, **plan), fake)
    holdings.put(graph.values[0], form, "x")
    return holdings, fake


def test_what_is_there_is_given() -> None:
    value = graphs.value(2, 3)
    holdings, fake = _held(graphs.with_relayouts(value), (A, B))
    assert holdings.get(value, (A, B)) == "x"
    assert list(holdings) == [(value, (A, B), "x")]
    assert holdings.forms(value) == {(A, B): "x"}
    assert not fake.done


def test_a_form_of_the_same_order_is_a_reshape_made_once() -> None:
    value = graphs.value(2, 3)
    holdings, fake = _held(graphs.with_relayouts(value), (A, B))
    joined: Form = ((0, 1),)
    assert holdings.get(value, joined) == ("reshape", "x", joined)
    assert holdings.get(value, joined) is holdings.get(value, joined)
    assert fake.done == ["reshape"]


def test_an_order_without_a_move_is_permuted_axis_by_axis() -> None:
    value = graphs.value(2, 3, 4)
    holdings, fake = _held(graphs.with_relayouts(value), ((0, 1), C))
    split = ("reshape", "x", (A, B, C))
    assert holdings.get(value, (C, A, B)) == ("permute", split, (2, 0, 1))
    assert fake.done == ["reshape", "permute"]


def test_a_move_is_made_in_the_forms_of_the_plan() -> None:
    value = graphs.value(2, 3, 4)
    moves = [(value, ((0, 1), C), (C, (0, 1)))]
    holdings, fake = _held(graphs.with_relayouts(value), ((0, 1), C), moves=moves)
    moved = ("permute", "x", (1, 0))
    assert holdings.get(value, (C, A, B)) == ("reshape", moved, (C, A, B))
    assert fake.done == ["permute", "reshape"]


def test_an_original_transpose_comes_before_a_new_one() -> None:
    value = graphs.value(2, 3)
    graph = graphs.with_relayouts(value, ("t", (A, B), (B, A)))
    holdings, fake = _held(graph, (A, B))
    assert holdings.get(value, (B, A)) == ("t", "x")
    assert holdings.natives(value, (B, A)) == ["t"]
    assert fake.done == ["t"]


def test_an_original_reshape_comes_before_a_new_one() -> None:
    value = graphs.value(2, 3)
    graph = graphs.with_relayouts(value, ("r", (A, B), ((0, 1),)))
    holdings, fake = _held(graph, (A, B))
    assert holdings.get(value, ((0, 1),)) == ("r", "x")
    assert fake.done == ["r"]


def test_the_source_form_is_made_before_the_original_transpose_is_asked_again() -> None:
    """The value is there as [ab, c]; the original transposes [a, b, c]: reshape, then that."""
    value = graphs.value(2, 3, 4)
    graph = graphs.with_relayouts(value, ("t", (A, B, C), (C, A, B)))
    moves = [(value, (A, B, C), (C, A, B))]
    holdings, fake = _held(graph, ((0, 1), C), moves=moves)
    assert holdings.get(value, (C, A, B)) == ("t", ("reshape", "x", (A, B, C)))
    assert fake.done == ["reshape", "t"]


def test_an_original_transpose_that_is_not_ready_is_made_anew() -> None:
    value = graphs.value(2, 3)
    graph = graphs.with_relayouts(value, ("t", (A, B), (B, A)))
    holdings, fake = _held(graph, (A, B))
    fake.unready.add("t")
    assert holdings.get(value, (B, A)) == ("permute", "x", (1, 0))


def test_a_second_original_is_asked_where_the_first_is_not_ready() -> None:
    value = graphs.value(2, 3)
    relayouts = [("t", (A, B), (B, A)), ("u", (A, B), (B, A))]
    holdings, fake = _held(graphs.with_relayouts(value, *relayouts), (A, B))
    fake.unready.add("t")
    assert holdings.get(value, (B, A)) == ("u", "x")


def test_a_change_of_form_within_a_native_node_is_nobodys_transpose() -> None:
    value = graphs.value(2, 3)
    graph = graphs.with_relayouts(value, ("t", (A, B), (B, A)))
    graph.relayouts = [type(r)(None, r.source, r.target) for r in graph.relayouts]
    holdings, fake = _held(graph, (A, B))
    holdings.get(value, (B, A))
    assert fake.done == ["permute"]


def test_a_value_that_nobody_wrote_is_named() -> None:
    value = graphs.value(2, name="lost")
    holdings: Holdings[Any] = Holdings(graphs.plan(AxisGraph(values=[value])), Fake())
    with pytest.raises(LookupError, match="lost"):
        holdings.get(value, (A,))


def _pair(second: Variant) -> tuple[Holdings[Any], list[Node]]:
    """Two nodes that share a native node; the second has the variant given."""
    x, y, z = graphs.value(2, 3), graphs.value(2, 3), graphs.value(2, 3)
    nodes = [
        Node(
            n,
            Kind.POINTWISE,
            "f",
            (Use(a, (0, 1), (A, B)),),
            (Use(b, (0, 1), (A, B)),),
            natives=("one",),
        )
        for n, (a, b) in enumerate(((x, y), (y, z)))
    ]
    graph = AxisGraph(values=[x, y, z], nodes=nodes)
    variants = dict(zip(nodes, (graphs.native(nodes[0]), second), strict=True))
    return Holdings(graphs.plan(graph, variants), Fake()), nodes


@pytest.mark.parametrize(
    ("variant", "kept"),
    [
        (Variant("kept", ((A, B),), ((A, B),)), True),
        (Variant("free", ((A, B),), ((A, B),)), True),
        (Variant("free", ((B, A),), ((A, B),)), False),
        (Variant("free", ((A, B),), ((B, A),)), False),
        (Variant("spelled", ((A, B),), ((A, B),)), False),
        (Variant("conv", ((A, B),), ((A, B),)), False),
        (Variant("linear", ((A, B),), ((A, B),)), False),
        (Variant("native", (None,), ((A, B),)), True),
    ],
)
def test_nodes_that_share_a_native_node_are_kept_together(variant: Variant, *, kept: bool) -> None:
    holdings, nodes = _pair(variant)
    assert [holdings.is_kept(node) for node in nodes] == [kept, kept]
    assert holdings.sharing(nodes[0]) == nodes


def test_a_shape_is_kept_while_its_source_is_there_in_its_form() -> None:
    x, shape = graphs.value(2, 3), graphs.value()
    node = Node(
        0, Kind.SIZES, "sizes", (Use(x, (0, 1), (A, B)),), (Use(shape, (), ((),)),), natives=("s",)
    )
    variants = {node: Variant("native", (None,), (((),),))}
    plan = graphs.plan(AxisGraph(values=[x, shape], nodes=[node]), variants)
    holdings: Holdings[Any] = Holdings(plan, Fake())
    holdings.put(x, (B, A), "x")
    assert not holdings.is_kept(node)
    holdings.put(x, (A, B), "x")
    assert holdings.is_kept(node)
