"""What has no expression is said before a plan is made, and refused where it is asked for."""

from __future__ import annotations

from typing import Any

import pytest

from onebyone.axes.graph import AxisGraph, Node
from onebyone.axes.positional import Kind
from onebyone.errors import InexpressibleError
from onebyone.layout.solve import Variant
from onebyone.lower.expressions import Expressions, Row
from tests.lower import graphs


def _write(context: str, node: Node, variant: Variant, inputs: Any) -> list[str]:
    return [f"{context} {node.fn}"]


_TABLE: Expressions[str, str] = Expressions(
    {
        Kind.POINTWISE: Row(_write, lambda node, alone: alone or node.fn == "add"),
        Kind.AXIS: {"pad": Row(_write)},
    }
)


def _node(kind: Kind, fn: str, native: str) -> Node:
    labels = [("a",), ("b",)]
    node = graphs.node(kind, [((2, 3), labels)], labels, fn=fn)
    node.natives = (native,)
    return node


def test_a_node_with_a_row_is_written_by_it() -> None:
    node = _node(Kind.AXIS, "pad", "p")
    assert _TABLE.write("in c", node, graphs.native(node), ["x"]) == ["in c pad"]


@pytest.mark.parametrize(("kind", "fn"), [(Kind.AXIS, "turn"), (Kind.NORM, "n"), (Kind.WINDOW, "")])
def test_a_node_without_a_row_stays_and_is_refused(kind: Kind, fn: str) -> None:
    node = _node(kind, fn, "n")
    _TABLE.mark_stays(AxisGraph(nodes=[node]))
    assert node.stays
    with pytest.raises(InexpressibleError, match="'y'"):
        _TABLE.write("c", node, graphs.native(node), ["x"])


def test_what_a_reader_says_stays_is_not_written() -> None:
    node = _node(Kind.AXIS, "pad", "p")
    node.stays = True
    with pytest.raises(InexpressibleError, match="native layout"):
        _TABLE.write("c", node, graphs.native(node), ["x"])


@pytest.mark.parametrize(("fn", "stays"), [("add", False), ("cube", True)])
def test_the_parts_of_a_native_node_stay_together(fn: str, *, stays: bool) -> None:
    """By itself a function is the native operator again; as a part it needs its own."""
    alone = _node(Kind.POINTWISE, fn, "a")
    pair = [_node(Kind.POINTWISE, "add", "b"), _node(Kind.POINTWISE, fn, "b")]
    _TABLE.mark_stays(AxisGraph(nodes=[alone, *pair]))
    assert [node.stays for node in (alone, *pair)] == [False, stays, stays]
