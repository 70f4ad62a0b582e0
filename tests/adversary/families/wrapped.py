"""Pairs of other families inside of something that could blind a layer of the certificate."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tests.adversary.families import (
    arithmetic,
    comparisons,
    constants,
    integers,
    norms,
    primes,
    resizing,
    shapes,
    symbols,
    types,
    windows,
)  # fmt: skip
from tests.adversary.pairs import Pair

KIND = "wrapped"
_SOURCES = (
    arithmetic, comparisons, constants, integers, norms, primes, resizing, shapes, symbols, types,
    windows,
)  # fmt: skip
# Every so many pairs of the others are wrapped by each wrapper.
EVERY = 29
Wrapper = Callable[..., onnx.ModelProto]


def pairs() -> Iterator[Pair]:
    """Every `EVERY`-th pair of the other families, by each wrapper in turn."""
    others = [p for source in _SOURCES for p in source.pairs()]
    for number, (name, wrap) in enumerate(WRAPPERS.items()):
        for pair in others[number * 3 :: EVERY]:
            if wrap is unchanged and pair.kind == "symbols":
                # Where only the second side runs, nothing is said.
                continue
            models = [m for m in (pair.first, pair.second) if isinstance(m, onnx.ModelProto)]
            if any(len(m.SerializeToString()) > 20_000 or not _plain(m) for m in models):
                continue
            more = (copy.deepcopy(pair.first),) if wrap is in_branch else ()
            first, second = (wrap(copy.deepcopy(m), *more) for m in models)
            if wrap is unchanged:
                first, second = second, first
            feeds = [{**f, **EXTRA.get(name, {})} for f in pair.feeds]
            yield Pair(
                f"{name}.{pair.kind}.{pair.name}", KIND, first, second, pair.expected,
                sizes=pair.sizes, ranges=pair.ranges, exact=pair.exact, wide=pair.wide, feeds=feeds,
            )  # fmt: skip


def _plain(model: onnx.ModelProto) -> bool:
    """No functions of its own, no inputs with a default, an opset that functions may have."""
    held = {t.name for t in model.graph.initializer}
    old = any(i.domain == "" and i.version < 13 for i in model.opset_import)
    return not (model.functions or old or held & {i.name for i in model.graph.input})


def _value(name: str, kind: int, shape: list[int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def beside_quantizer(model: onnx.ModelProto) -> onnx.ModelProto:
    """A quantizer that has nothing to do with the rest."""
    graph = model.graph
    graph.input.append(_value("qx", 1, [2]))
    graph.output.append(_value("qd", 1, [2]))
    graph.initializer.append(numpy_helper.from_array(np.array(0.1, np.float32), "qs"))
    graph.node.append(helper.make_node("QuantizeLinear", ["qx", "qs"], ["qq"]))
    graph.node.append(helper.make_node("DequantizeLinear", ["qq", "qs"], ["qd"]))
    return model


def beside_strings(model: onnx.ModelProto) -> onnx.ModelProto:
    """Strings that are read as numbers beside the rest, which few interpreters know."""
    graph = model.graph
    graph.output.append(_value("number", 1, [2]))
    graph.initializer.append(numpy_helper.from_array(np.array(["0.5", "2"], object), "text"))
    graph.node.append(helper.make_node("Cast", ["text"], ["number"], to=1))
    return model


def in_function(model: onnx.ModelProto) -> onnx.ModelProto:
    """All nodes in a function, the constants handed to it."""
    graph = model.graph
    takes = [i.name for i in graph.input] + [t.name for t in graph.initializer]
    gives = [o.name for o in graph.output]
    body = helper.make_function("loc", "Whole", takes, gives, list(graph.node), model.opset_import)
    del graph.node[:]
    graph.node.append(helper.make_node("Whole", takes, gives, domain="loc"))
    if not any(i.domain == "loc" for i in model.opset_import):
        model.opset_import.append(helper.make_opsetid("loc", 1))
    model.functions.append(body)
    return model


def in_branch(model: onnx.ModelProto, first: onnx.ModelProto) -> onnx.ModelProto:
    """All nodes in a branch of an ``If``; the other branch is the first model on both sides."""
    graph = model.graph
    then, other = (
        helper.make_graph(list(g.node), name, [], list(g.output), initializer=list(g.initializer))
        for name, g in (("then", graph), ("other", first.graph))
    )
    names = [f"{o.name}_chosen" for o in graph.output]
    del graph.node[:], graph.initializer[:]
    for value, name in zip(graph.output, names, strict=True):
        value.name = name
    graph.input.append(_value("branch", 9, []))
    graph.node.append(
        helper.make_node("If", ["branch"], names, then_branch=then, else_branch=other)
    )
    return model


def in_loop(model: onnx.ModelProto) -> onnx.ModelProto:
    """All nodes in a loop that runs twice and stacks its results."""
    graph = model.graph
    taken = _value("again", 9, [])
    left = _value("again2", 9, [])
    nodes = [helper.make_node("Identity", ["again"], ["again2"]), *graph.node]
    outputs = [copy.deepcopy(o) for o in graph.output]
    body = helper.make_graph(nodes, "body", [_value("turn", 7, []), taken], [left, *outputs])
    for value in graph.output:
        value.name += "_all"
        shape = value.type.tensor_type.shape
        dims = [copy.deepcopy(d) for d in shape.dim]
        del shape.dim[:]
        shape.dim.add().dim_value = 2
        shape.dim.extend(dims)
    names = [o.name for o in graph.output]
    del graph.node[:]
    graph.initializer.append(numpy_helper.from_array(np.array(2), "turns"))
    graph.node.append(helper.make_node("Loop", ["turns", ""], names, body=body))
    return model


def renamed(model: onnx.ModelProto) -> onnx.ModelProto:
    """Every inner value has another name, nodes have names, each input is an output, too."""
    graph = model.graph
    kept = {v.name for v in (*graph.input, *graph.output)}
    names = {o: f"v{i}_{j}" for i, n in enumerate(graph.node) for j, o in enumerate(n.output)
             if o and o not in kept}  # fmt: skip
    if any(a.type == onnx.AttributeProto.GRAPH for n in graph.node for a in n.attribute):
        names = {}
    for i, node in enumerate(graph.node):
        node.name = f"node_{i}"
        node.input[:] = [names.get(n, n) for n in node.input]
        node.output[:] = [names.get(n, n) for n in node.output]
    graph.output.extend(copy.deepcopy(v) for v in graph.input)
    return model


def unchanged(model: onnx.ModelProto) -> onnx.ModelProto:
    """As it is: the two sides change places."""
    return model


WRAPPERS: dict[str, Wrapper] = {
    "quantizer": beside_quantizer, "strings": beside_strings, "function": in_function,
    "branch": in_branch, "loop": in_loop, "renamed": renamed,
    "exchanged": unchanged,
}  # fmt: skip
EXTRA: dict[str, dict[str, np.ndarray]] = {
    "quantizer": {"qx": np.array([0.5, -1], np.float32)}, "branch": {"branch": np.array(True)},
}  # fmt: skip
