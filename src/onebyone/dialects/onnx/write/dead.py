"""Removing what no output depends on."""

from __future__ import annotations

import onnx_ir as ir

from onebyone.dialects.onnx.read.reader import captured, nested_graphs


def remove_dead(graph: ir.Graph) -> None:
    """Remove nodes and initializers that no graph output depends on, in place.

    Initializers that are graph inputs stay: they are defaults of the caller's arguments.
    """
    wanted = set(graph.outputs)
    dead: list[ir.Node] = []
    for node in reversed(graph):
        if any(value in wanted for value in node.outputs):
            wanted.update(value for value in node.inputs if value is not None)
            wanted.update(captured(node, graph))
        else:
            dead.append(node)
    for node in dead:
        detach(node)
    graph.remove(dead)
    for name, value in list(graph.initializers.items()):
        if value not in wanted and not value.is_graph_input():
            del graph.initializers[name]


def detach(node: ir.Node) -> None:
    """Let a node, and the graphs nested in it, read nothing any more."""
    for graph in nested_graphs(node):
        for inner in ir.traversal.RecursiveGraphIterator(graph):
            for index in range(len(inner.inputs)):
                inner.replace_input_with(index, None)
    for index in range(len(node.inputs)):
        node.replace_input_with(index, None)


def replace_in_nested(node: ir.Node, old: ir.Value, new: ir.Value) -> None:
    """Let the graphs nested in ``node`` read ``new`` where they read ``old``."""
    for graph in nested_graphs(node):
        for inner in ir.traversal.RecursiveGraphIterator(graph):
            for index, value in enumerate(inner.inputs):
                if value is old:
                    inner.replace_input_with(index, new)
