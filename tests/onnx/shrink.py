"""Make a failing model small: cut outputs, cut inputs, bypass nodes, as long as it fails alike."""

from __future__ import annotations

import collections
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from onnx import helper as h

from tests.onnx.graph_check import Case, Problem, check, run


def shrink(case: Case, to: str, problem: Problem, *, rounds: int = 60) -> Case:
    """The smallest case found with a problem of the same kind."""
    best = case
    for _ in range(rounds):
        for candidate in _smaller(best):
            found = check(candidate, to, collections.Counter())
            if found is not None and found.kind == problem.kind:
                best = candidate
                break
        else:
            return best
    return best


def _smaller(case: Case) -> Iterator[Case]:
    model = case.model
    nodes = list(model.graph.node)
    made = {name: i for i, node in enumerate(nodes) for name in node.output if name}
    values = _values(case)
    # An inner value as the only output: everything behind it goes.
    for name in made:
        if name in values and [v.name for v in model.graph.output] != [name]:
            yield _pruned(case, nodes, [name], [], values)
    outputs = [v.name for v in model.graph.output]
    if len(outputs) > 1:
        for name in outputs:
            yield _pruned(case, nodes, [o for o in outputs if o != name], [], values)
    # An inner value as an input: everything before it goes.
    for name in reversed(list(made)):
        if name in values and name not in outputs:
            yield _pruned(case, nodes, outputs, [name], values)
    # A node bypassed, where the shape stays.
    for i, node in enumerate(nodes):
        for source in node.input:
            a, b = values.get(source), values.get(node.output[0])
            if a is not None and b is not None and a.shape == b.shape and a.dtype == b.dtype:
                renamed = [onnx.NodeProto.FromString(n.SerializeToString()) for n in nodes]
                for other in renamed[i + 1 :]:
                    for k, name in enumerate(other.input):
                        if name == node.output[0]:
                            other.input[k] = source
                del renamed[i]
                if node.output[0] not in outputs:
                    yield _pruned(case, renamed, outputs, [], values)


def _values(case: Case) -> dict[str, Any]:
    """Every value of the graph, computed."""
    names = [o for node in case.model.graph.node for o in node.output if o]
    model = onnx.ModelProto.FromString(case.model.SerializeToString())
    shown = {v.name for v in model.graph.output}
    for name in names:
        if name not in shown:
            model.graph.output.append(h.make_empty_tensor_value_info(name))
    found = run(model, case.feeds)
    if found is None:
        inferred = {v.name: v for v in model.graph.output}
        return {name: case.feeds[name] for name in inferred if name in case.feeds} | case.feeds
    return dict(zip([v.name for v in model.graph.output], found, strict=True)) | case.feeds


def _pruned(
    case: Case,
    nodes: list[onnx.NodeProto],
    outputs: list[str],
    cut: list[str],
    values: dict[str, Any],
) -> Case:
    """The nodes that ``outputs`` need, with the values of ``cut`` as inputs."""
    wanted, kept = set(outputs), []
    for node in reversed(nodes):
        if set(node.output) & wanted - set(cut):
            kept.append(node)
            wanted |= _names(node)
    old = {v.name: v for v in (*case.model.graph.input, *case.model.graph.output)}
    inputs = [v for v in case.model.graph.input if v.name in wanted]
    inputs += [_info(name, values[name]) for name in cut]
    infos = [
        old.get(name) or _info(name, values[name])
        for name in outputs
        if name in old or name in values
    ]
    known = [t for t in case.model.graph.initializer if t.name in wanted]
    graph = h.make_graph(kept[::-1], "small", inputs, infos, known)
    model = h.make_model(
        graph,
        opset_imports=list(case.model.opset_import),
        ir_version=case.model.ir_version,
        functions=list(case.model.functions),
    )
    feeds = {v.name: values[v.name] for v in inputs if v.name in values}
    return Case(case.seed, model, feeds, case.exact)


def _names(node: onnx.NodeProto) -> set[str]:
    found = set(node.input)
    for attribute in node.attribute:
        for inner in attribute.g.node:
            found |= _names(inner)
    return found


def _info(name: str, array: Any) -> onnx.ValueInfoProto:
    code = h.np_dtype_to_tensor_dtype(np.asarray(array).dtype)
    return h.make_tensor_value_info(name, code, list(array.shape))
