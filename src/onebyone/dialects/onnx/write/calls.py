"""Functions that nobody calls any more."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from onebyone.dialects.onnx.read.reader import nested_graphs


def drop_functions(model: ir.Model, before: Iterable[ir.Node]) -> None:
    """Remove the functions that the nodes ``before`` called and the model no longer calls."""
    for identifier in _called(model, before) - _called(model, model.graph):
        del model.functions[identifier]


def _called(model: ir.Model, nodes: Iterable[ir.Node]) -> set[ir.OperatorIdentifier]:
    """The functions that nodes call, and those that these call."""
    called: set[ir.OperatorIdentifier] = set()
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        waiting += [inner for graph in nested_graphs(node) for inner in graph]
        identifier = node.op_identifier()
        if identifier in model.functions and identifier not in called:
            called.add(identifier)
            waiting += list(model.functions[identifier])
    return called
