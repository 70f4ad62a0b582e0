"""Wrong rewrites: the mistakes that converters make, applied to a real model, one at a time.

Each kind is a function ``kind(graph, rng) -> str | None`` that edits a model at one random site and
says what it did, or returns None where the model has no such site. `mutants` applies all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper

from tests.mutant_graph import Graph, Node

Kind = Callable[[Graph, np.random.Generator], str | None]


@dataclass(frozen=True)
class Mutant:
    """A model with one mistake in it."""

    kind: str
    what: str
    model: onnx.ModelProto


def mutants(model: onnx.ModelProto, seed: int = 0, each: int = 1) -> Iterator[Mutant]:
    """Up to ``each`` mutants of every kind that the model has a site for."""
    for name, kind in KINDS.items():
        seen: set[str] = set()
        for attempt in range(each):
            graph = Graph(model)
            rng = np.random.default_rng([seed, attempt, *name.encode()])
            what = kind(graph, rng)
            if what is not None and what not in seen:
                seen.add(what)
                yield Mutant(name, what, graph.model)


def _pick(rng: np.random.Generator, items: list[Any]) -> Any:
    return items[int(rng.integers(len(items)))] if items else None


# Weights.


def transposed_square_weight(g: Graph, rng: np.random.Generator) -> str | None:
    found = []
    for name in g.weights():
        shape = [n for n in g.constants[name].shape if n != 1]
        if len(shape) == 2 and shape[0] == shape[1]:
            found.append(name)
    name = _pick(rng, found)
    if name is None:
        return None
    old = g.constants[name]
    side = max(old.shape)
    g.set_constant(name, old.reshape(side, side).T.reshape(old.shape))
    return f"{name} transposed"


def swapped_kernel_axes(g: Graph, rng: np.random.Generator) -> str | None:
    name = _pick(rng, [
        n for n in g.weights() if g.constants[n].ndim == 4
        and g.constants[n].shape[2] == g.constants[n].shape[3] > 1
    ])  # fmt: skip
    if name is None:
        return None
    g.set_constant(name, g.constants[name].swapaxes(2, 3))
    return f"height and width of {name} swapped"


def swapped_heads(g: Graph, rng: np.random.Generator) -> str | None:
    name = _pick(rng, g.weights(least=16))
    if name is None:
        return None
    w = g.constants[name]
    axis = int(np.argmax(w.shape))
    half = w.shape[axis] // 2
    if not half:
        return None
    g.set_constant(name, np.roll(w, half, axis))
    return f"halves of {name} swapped along axis {axis}"


def flipped_bit(g: Graph, rng: np.random.Generator) -> str | None:
    name = _pick(rng, g.weights(least=16))
    if name is None:
        return None
    w = g.constants[name].copy()
    bits = w.reshape(-1).view(f"u{w.dtype.itemsize}")
    at = int(rng.integers(bits.size))
    bits[at] ^= 1
    g.set_constant(name, w)
    return f"lowest bit of element {at} of {name} flipped"


def swapped_weights(g: Graph, rng: np.random.Generator) -> str | None:
    """Q and K, or any two layers of equal shape that read the same value, exchange weights."""
    pairs = []
    readers: dict[tuple[str, tuple[int, ...]], list[Node]] = {}
    for node, position in g.layers():
        shape = g.constants[node.input[position]].shape
        readers.setdefault((g.origin(node.input[1 - position]), shape), []).append((node, position))
    for group in readers.values():
        pairs += [(p, q) for i, p in enumerate(group) for q in group[i + 1 :]]
    pair = _pick(rng, pairs)
    if pair is None:
        return None
    (first, i), (second, j) = pair
    first.input[i], second.input[j] = second.input[j], first.input[i]
    return f"weights of {first.name} and {second.name} exchanged"


def merged_groups(g: Graph, rng: np.random.Generator) -> str | None:
    node = _pick(rng, [
        n for n in g.ops("Conv")
        if g.attribute(n, "group", 1) % 2 == 0 and n.input[1] in g.constants
    ])  # fmt: skip
    if node is None:
        return None
    w = g.constants[node.input[1]]
    node.input[1] = g.add_constant(np.concatenate([w, w], axis=1))
    g.set_attribute(node, "group", g.attribute(node, "group", 1) // 2)
    return f"pairs of groups of {node.name} merged"


# Biases and scales.


def dropped_bias(g: Graph, rng: np.random.Generator) -> str | None:
    site = _pick(rng, g.biases())
    if site is None:
        return None
    node, position = site
    if node.op_type == "Add":
        g.replace_value(node.output[0], node.input[1 - position])
    else:
        del node.input[position]
    return f"bias of {node.name} dropped"


def doubled_bias(g: Graph, rng: np.random.Generator) -> str | None:
    site = _pick(rng, g.biases())
    if site is None:
        return None
    node, position = site
    old = g.constants[node.input[position]]
    node.input[position] = g.add_constant(old + old)
    return f"bias of {node.name} doubled"


def bias_before_scale(g: Graph, rng: np.random.Generator) -> str | None:
    node = _pick(rng, [n for n in g.ops("LayerNormalization") if len(n.input) == 3])
    if node is None:
        return None
    scale = node.input[1]
    node.input[1] = g.add_constant(np.ones_like(g.constants[scale]))
    out = g.rename_output(node)
    g.insert_after(node, helper.make_node("Mul", [node.output[0], scale], [out], f"{node.name}_m"))
    return f"bias of {node.name} added before the scale"


def wrong_scalar(g: Graph, rng: np.random.Generator) -> str | None:
    """An attention scale, or another scalar factor, squared."""
    sites = [
        (n, i) for n in g.ops("Mul", "Div") for i, x in enumerate(n.input)
        if x in g.constants and g.constants[x].size == 1 and g.constants[x].dtype.kind == "f"
        and float(g.constants[x].reshape(())) not in (0.0, 1.0)
    ]  # fmt: skip
    site = _pick(rng, sites)
    if site is None:
        return None
    node, i = site
    old = g.constants[node.input[i]]
    node.input[i] = g.add_constant(old * old)
    return f"scalar of {node.name} squared"


def wrong_epsilon(g: Graph, rng: np.random.Generator) -> str | None:
    names = ("LayerNormalization", "BatchNormalization", "RMSNormalization", "GroupNormalization")
    attributed = [n for n in g.ops(*names) if g.scaled(n)]
    constants = [
        (n, i) for n in g.ops("Add") for i, x in enumerate(n.input)
        if x in g.constants and g.constants[x].size == 1
        and 0 < float(g.constants[x].reshape(-1)[0]) < 1e-3 and g.constants[x].dtype.kind == "f"
    ]  # fmt: skip
    site = _pick(rng, [*attributed, *constants])
    if site is None:
        return None
    if isinstance(site, tuple):
        node, i = site
        node.input[i] = g.add_constant(g.constants[node.input[i]] * 10)
    else:
        node = site
        g.set_attribute(node, "epsilon", g.attribute(node, "epsilon", 1e-5) * 10)
    return f"epsilon of {node.name} ten times larger"


def broadcast_wrong_axis(g: Graph, rng: np.random.Generator) -> str | None:
    sites = []
    for node in g.ops("Add", "Mul"):
        for i, x in enumerate(node.input):
            shape = g.shapes.get(node.input[1 - i])
            constant = g.constants.get(x)
            if constant is None or shape is None or constant.size < 2:
                continue
            axes = [a for a, n in enumerate(constant.shape) if n > 1]
            if len(axes) != 1:
                continue
            own = len(shape) - constant.ndim + axes[0]
            others = [a for a, n in enumerate(shape) if n == constant.size and a != own]
            if own >= 0 and others:
                sites.append((node, i, others[0], len(shape)))
    site = _pick(rng, sites)
    if site is None:
        return None
    node, i, axis, rank = site
    old = g.constants[node.input[i]]
    shape = [old.size if a == axis else 1 for a in range(rank)]
    node.input[i] = g.add_constant(old.reshape(shape))
    return f"operand of {node.name} broadcast along axis {axis}"


# Geometry of convolutions.


def same_padding(g: Graph, rng: np.random.Generator) -> str | None:
    node = _pick(rng, [
        n for n in g.ops("Conv") if max(g.kernel(n), default=1) > 1
        and not any(g.attribute(n, "pads", [0]))
    ])  # fmt: skip
    if node is None:
        return None
    g.drop_attribute(node, "pads")
    g.set_attribute(node, "auto_pad", "SAME_UPPER")
    return f"SAME padding for VALID in {node.name}"


def shifted_padding(g: Graph, rng: np.random.Generator) -> str | None:
    node = _pick(rng, [n for n in g.ops("Conv") if any(g.attribute(n, "pads", [0]))])
    if node is None:
        return None
    pads = list(g.attribute(node, "pads", []))
    at = next(i for i, p in enumerate(pads) if p)
    half = len(pads) // 2
    pads[at] -= 1
    pads[(at + half) % len(pads)] += 1
    g.set_attribute(node, "pads", pads)
    return f"padding of {node.name} shifted by one"


def stride_one(g: Graph, rng: np.random.Generator) -> str | None:
    node = _pick(rng, [n for n in g.ops("Conv") if max(g.attribute(n, "strides", [1])) > 1])
    if node is None:
        return None
    g.set_attribute(node, "strides", [1] * len(g.attribute(node, "strides", [1])))
    return f"stride 1 in {node.name}"


# Axes.


def hwc_flatten(g: Graph, rng: np.random.Generator) -> str | None:
    sites = []
    for node in g.ops("Reshape", "Flatten"):
        before, after = g.shapes.get(node.input[0]), g.shapes.get(node.output[0])
        if (
            before and after and len(before) == 4 and len(after) < 4
            and before[1] > 1 and before[2] * before[3] > 1
        ):  # fmt: skip
            sites.append(node)
    node = _pick(rng, sites)
    if node is None:
        return None
    moved = f"{node.input[0]}_hwc"
    turn = helper.make_node(
        "Transpose", [node.input[0]], [moved], f"{node.name}_t", perm=[0, 2, 3, 1]
    )
    g.insert_before(node, turn)
    node.input[0] = moved
    return f"{node.name} flattens HWC for CHW"


def wrong_transpose(g: Graph, rng: np.random.Generator) -> str | None:
    """Two axes of equal size exchanged: the shapes stay valid."""
    sites = []
    for node in g.ops("Transpose"):
        shape = g.shapes.get(node.output[0])
        if shape:
            sites += [
                (node, i, j) for i in range(len(shape)) for j in range(i)
                if shape[i] == shape[j] > 1
            ]  # fmt: skip
    site = _pick(rng, sites)
    if site is None:
        return None
    node, i, j = site
    perm = list(g.attribute(node, "perm", []))
    perm[i], perm[j] = perm[j], perm[i]
    g.set_attribute(node, "perm", perm)
    return f"axes {j} and {i} of {node.name} exchanged"


def reshape_for_transpose(g: Graph, rng: np.random.Generator) -> str | None:
    """A transpose done by reshaping: right shape, wrong order (split heads the wrong way)."""
    sites = [
        n for n in g.ops("Transpose")
        if (s := g.shapes.get(n.output[0])) and g.shapes.get(n.input[0]) and all(k > 0 for k in s)
        and g.moves(n)
    ]  # fmt: skip
    node = _pick(rng, sites)
    if node is None:
        return None
    shape = g.add_constant(np.array(g.shapes[node.output[0]], np.int64))
    g.replace_node(node, helper.make_node(
        "Reshape", [node.input[0], shape], list(node.output), f"{node.name}_r"
    ))  # fmt: skip
    return f"{node.name} reshaped instead of transposed"


def softmax_axis(g: Graph, rng: np.random.Generator) -> str | None:
    node = _pick(rng, g.ops("Softmax"))
    if node is None:
        return None
    rank = len(g.shapes.get(node.input[0], (1, 1)))
    axis = g.attribute(node, "axis", -1) % rank
    g.set_attribute(node, "axis", axis - 1 if axis else 1)
    return f"{node.name} over axis {axis - 1}"


def norm_axis(g: Graph, rng: np.random.Generator) -> str | None:
    sites = [n for n in g.ops("LayerNormalization", "RMSNormalization") if len(g.shape0(n)) > 2]
    sites += [
        n for n in g.ops("ReduceMean") if len(n.input) > 1 and n.input[1] in g.constants
        and g.constants[n.input[1]].size == 1 and g.attribute(n, "keepdims", 1)
    ]  # fmt: skip
    node = _pick(rng, sites)
    if node is None:
        return None
    if node.op_type == "ReduceMean":
        axis = int(g.constants[node.input[1]].reshape(())) % max(len(g.shape0(node)), 2)
        node.input[1] = g.add_constant(np.array([axis - 1 if axis else 1], np.int64))
    else:
        g.set_attribute(node, "axis", -2)
    return f"{node.name} over another axis"


def swapped_split(g: Graph, rng: np.random.Generator) -> str | None:
    node = _pick(rng, [
        n for n in g.ops("Split")
        if len(n.output) > 1 and g.shapes.get(n.output[0]) == g.shapes.get(n.output[1])
    ])  # fmt: skip
    if node is None:
        return None
    node.output[0], node.output[1] = node.output[1], node.output[0]
    return f"parts of {node.name} exchanged"


def swapped_concat(g: Graph, rng: np.random.Generator) -> str | None:
    node = _pick(rng, [
        n for n in g.ops("Concat") if len(n.input) > 1 and n.input[0] in g.shapes
        and g.is_real(n.input[0])
    ])  # fmt: skip
    if node is None:
        return None
    node.input[0], node.input[1] = node.input[1], node.input[0]
    return f"parts of {node.name} exchanged"


# Indices.


def shifted_slice(g: Graph, rng: np.random.Generator) -> str | None:
    sites = []
    for node in g.ops("Slice"):
        if not all(x in g.constants for x in node.input[1:3]) or not g.is_real(node.input[0]):
            continue
        shape, axes = g.shape0(node), [0]
        if len(node.input) > 3 and node.input[3] in g.constants:
            axes = g.constants[node.input[3]].reshape(-1).tolist()
        start = int(g.constants[node.input[1]].reshape(-1)[0])
        end = int(g.constants[node.input[2]].reshape(-1)[0])
        size = shape[axes[0]] if shape else 0
        if start > 0:
            sites.append((node, -1))
        elif 0 < end < size:
            sites.append((node, 1))
    site = _pick(rng, sites)
    if site is None:
        return None
    node, by = site
    for i in (1, 2):
        old = g.constants[node.input[i]].copy()
        flat = old.reshape(-1)
        if abs(int(flat[0])) < 1 << 30:
            flat[0] += by
        node.input[i] = g.add_constant(old)
    return f"{node.name} shifted by {by}"


def shifted_gather(g: Graph, rng: np.random.Generator) -> str | None:
    sites = []
    for node in g.ops("Gather"):
        index, shape = g.constants.get(node.input[1]), g.shape0(node)
        size = shape[g.attribute(node, "axis", 0)] if shape else 0
        if index is not None and size > 1 and g.is_real(node.input[0]):
            sites.append((node, (index + 1) % size))
    site = _pick(rng, sites)
    if site is None:
        return None
    node, index = site
    node.input[1] = g.add_constant(index)
    return f"index of {node.name} off by one"


def shifted_mask(g: Graph, rng: np.random.Generator) -> str | None:
    masks = [i for i in g.model.graph.input if "mask" in i.name]
    if not masks:
        return None
    name = masks[0].name
    axis = g.add_constant(np.array([1], np.int64))
    cut = [g.add_constant(np.array([n], np.int64)) for n in (0, -1, np.iinfo(np.int64).max)]
    last, rest, new = f"{name}_last", f"{name}_rest", f"{name}_rolled"
    g.read_instead(name, new)
    g.prepend([
        helper.make_node("Slice", [name, cut[1], cut[2], axis], [last], "mask_last"),
        helper.make_node("Slice", [name, cut[0], cut[1], axis], [rest], "mask_rest"),
        helper.make_node("Concat", [last, rest], [new], "mask_roll", axis=1),
    ])  # fmt: skip
    return f"{name} shifted by one position"


# Wiring and functions.


def wrong_residual(g: Graph, rng: np.random.Generator) -> str | None:
    """An Add of two values reads an earlier value of the same shape."""
    order = {name: i for i, node in enumerate(g.nodes) for name in node.output}
    sites = []
    for node in g.ops("Add"):
        if any(x in g.constants for x in node.input):
            continue
        shape = g.shapes.get(node.input[0])
        for name, i in order.items():
            if (
                i < order[node.output[0]] and shape is not None and g.shapes.get(name) == shape
                and name not in node.input and g.is_real(name)
            ):  # fmt: skip
                sites.append((node, name))
    site = _pick(rng, sites)
    if site is None:
        return None
    node, name = site
    node.input[0] = name
    return f"{node.name} adds {name}"


def swapped_operands(g: Graph, rng: np.random.Generator) -> str | None:
    node = _pick(rng, [
        n for n in g.ops("Sub", "Div", "MatMul")
        if g.is_real(n.output[0]) and g.shapes.get(n.input[0]) == g.shapes.get(n.input[1])
        and n.input[0] not in g.constants and n.input[1] not in g.constants
        and n.input[0] != n.input[1]
    ])  # fmt: skip
    if node is None:
        return None
    node.input[0], node.input[1] = node.input[1], node.input[0]
    return f"operands of {node.name} exchanged"


def dropped_activation(g: Graph, rng: np.random.Generator) -> str | None:
    node = _pick(rng, g.ops("Relu", "Gelu", "Erf", "Tanh", "Sigmoid", "HardSwish", "HardSigmoid"))
    if node is None:
        return None
    g.replace_value(node.output[0], node.input[0])
    return f"{node.name} dropped"


def other_activation(g: Graph, rng: np.random.Generator) -> str | None:
    other = {"Relu": "Sigmoid", "Gelu": "Relu", "Erf": "Tanh", "Tanh": "Erf", "Sigmoid": "Tanh",
             "HardSwish": "Relu", "HardSigmoid": "Sigmoid"}  # fmt: skip
    node = _pick(rng, g.ops(*other))
    if node is None:
        return None
    new = helper.make_node(other[node.op_type], list(node.input), list(node.output), node.name)
    what = f"{new.op_type} for {node.op_type} in {node.name}"
    g.replace_node(node, new)
    return what


def tanh_gelu(g: Graph, rng: np.random.Generator) -> str | None:
    node = _pick(rng, g.ops("Gelu"))
    if node is None:
        return None
    exact = g.attribute(node, "approximate", "none") in ("none", b"none")
    g.set_attribute(node, "approximate", "tanh" if exact else "none")
    return f"{node.name} by the other formula"


def average_for_maximum(g: Graph, rng: np.random.Generator) -> str | None:
    node = _pick(rng, g.ops("MaxPool", "GlobalMaxPool", "ReduceMax", "AveragePool",
                            "GlobalAveragePool"))  # fmt: skip
    if node is None:
        return None
    other = {
        "MaxPool": "AveragePool",
        "AveragePool": "MaxPool",
        "GlobalMaxPool": "GlobalAveragePool",
        "GlobalAveragePool": "GlobalMaxPool",
        "ReduceMax": "ReduceMean",
    }
    g.drop_attribute(node, "count_include_pad")
    node.op_type = other[node.op_type]
    return f"{node.op_type} in {node.name}"


KINDS: dict[str, Kind] = {
    kind.__name__: kind
    for kind in (
        transposed_square_weight, swapped_kernel_axes, swapped_heads, flipped_bit, swapped_weights,
        merged_groups, dropped_bias, doubled_bias, bias_before_scale, wrong_scalar, wrong_epsilon,
        broadcast_wrong_axis, same_padding, shifted_padding, stride_one, hwc_flatten,
        wrong_transpose, reshape_for_transpose, softmax_axis, norm_axis, swapped_split,
        swapped_concat, shifted_slice, shifted_gather, shifted_mask, wrong_residual,
        swapped_operands, dropped_activation, other_activation, tanh_gelu, average_for_maximum,
    )
}  # fmt: skip
