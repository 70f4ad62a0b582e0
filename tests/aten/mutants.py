"""Wrong rewrites of programs: the mistakes that converters make, one at a time.

Each kind edits a program in place at one site and says what it did, or returns None where the
program has no such site. The results keep their shapes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx
from torch.export import ExportedProgram

aten = torch.ops.aten
Kind = Callable[["Graph"], str | None]


@dataclass(frozen=True)
class Mutant:
    """A program with one mistake in it."""

    kind: str
    what: str
    program: ExportedProgram


class Graph:
    """A program to edit."""

    def __init__(self, program: ExportedProgram) -> None:
        self.program = program
        self.graph: fx.Graph = program.graph_module.graph
        program._state_dict = dict(program.state_dict)
        self.targets = {
            spec.arg.name: spec.target
            for spec in program.graph_signature.input_specs
            if spec.target in program.state_dict
        }

    def calls(self, *names: str) -> list[fx.Node]:
        return [
            n for n in self.graph.nodes
            if n.op == "call_function" and hasattr(n.target, "_schema")
            and n.target._schema.name.removeprefix("aten::") in names and n.users
        ]  # fmt: skip

    def stored(self, node: Any) -> torch.Tensor | None:
        return self.program.state_dict.get(self.targets.get(getattr(node, "name", ""), ""))

    def store(self, node: fx.Node, value: torch.Tensor) -> None:
        name = self.targets[node.name]
        own = value.detach().clone().contiguous()
        old = self.program.state_dict[name]
        if isinstance(old, torch.nn.Parameter):
            own = torch.nn.Parameter(own, requires_grad=False)
        self.program.state_dict[name] = own

    def weights(self) -> list[tuple[fx.Node, fx.Node]]:
        """(layer, its weight's placeholder)"""
        found = []
        for node in self.calls("linear", "conv1d", "conv2d", "conv3d", "addmm", "matmul", "mm"):
            place = node.args[2] if "addmm" in str(node.target) else node.args[1]
            if self.stored(place) is not None:
                found.append((node, place))
        return found

    def insert(self, before: fx.Node, target: Any, args: tuple[Any, ...], like: fx.Node) -> fx.Node:
        with self.graph.inserting_before(before):
            node = self.graph.call_function(target, args)
            node.meta = dict(like.meta)
            with torch.no_grad():
                fakes = fx.map_arg(args, lambda n: n.meta["val"])
                node.meta["val"] = target(*fakes)
        return node

    def set(self, node: fx.Node, name: str, value: Any) -> None:
        for place, argument in enumerate(node.target._schema.arguments):  # type: ignore[union-attr]
            if argument.name == name:
                if place < len(node.args):
                    node.update_arg(place, value)
                else:
                    node.update_kwarg(name, value)

    def get(self, node: fx.Node, name: str) -> Any:
        for place, argument in enumerate(node.target._schema.arguments):  # type: ignore[union-attr]
            if argument.name == name:
                own = node.args[place] if place < len(node.args) else node.kwargs.get(name)
                return argument.default_value if own is None else own
        return None


def shape(node: Any) -> tuple[int, ...]:
    return tuple(node.meta["val"].shape)


def real(node: Any) -> bool:
    value = node.meta.get("val") if isinstance(node, fx.Node) else None
    return isinstance(value, torch.Tensor) and value.is_floating_point()


def transposed_square_weight(g: Graph) -> str | None:
    for _, place in g.weights():
        w = g.stored(place)
        assert w is not None
        plain = [n for n in w.shape if n != 1]
        if len(plain) == 2 and plain[0] == plain[1]:
            g.store(place, w.reshape(plain).t().reshape(w.shape))
            return f"{place.name} transposed"
    return None


def swapped_kernel_axes(g: Graph) -> str | None:
    for _, place in g.weights():
        w = g.stored(place)
        assert w is not None
        if w.ndim == 4 and w.shape[2] == w.shape[3] > 1:
            g.store(place, w.transpose(2, 3))
            return f"height and width of {place.name} swapped"
    return None


def swapped_heads(g: Graph) -> str | None:
    for _, place in g.weights():
        w = g.stored(place)
        assert w is not None
        if w.shape[0] > 1:
            g.store(place, torch.roll(w, w.shape[0] // 2, 0))
            return f"halves of {place.name} swapped"
    return None


def swapped_layers(g: Graph) -> str | None:
    """Two layers of the same shape that read the same value, such as Q and K."""
    layers = g.weights()
    for i, (one, p) in enumerate(layers):
        for other, q in layers[i + 1 :]:
            if one.args[0] is other.args[0] and shape(p) == shape(q) and one.args[0] is not p:
                first, second = g.stored(p), g.stored(q)
                assert first is not None and second is not None
                g.store(p, second)
                g.store(q, first)
                return f"{p.name} and {q.name} swapped"
    return None


def flipped_bit(g: Graph) -> str | None:
    for _, place in g.weights():
        w = g.stored(place)
        assert w is not None
        if w.numel() > 100:
            own = w.detach().clone()
            own.view(torch.int32).view(-1)[7] ^= 1
            g.store(place, own)
            return f"lowest bit of {place.name} flipped"
    return None


def dropped_bias(g: Graph) -> str | None:
    for node in g.calls("linear", "conv2d"):
        if g.get(node, "bias") is not None:
            g.set(node, "bias", None)
            return f"bias of {node.name} dropped"
    return None


def doubled_bias(g: Graph) -> str | None:
    for node in g.calls("linear", "conv2d", "layer_norm"):
        bias = g.get(node, "bias")
        own = g.stored(bias)
        if own is not None:
            g.store(bias, own * 2)
            return f"bias of {node.name} doubled"
    return None


def changed_epsilon(g: Graph) -> str | None:
    for node in g.calls("layer_norm", "batch_norm", "_native_batch_norm_legit_no_training"):
        g.set(node, "eps", 1e-2)
        return f"epsilon of {node.name} changed"
    return None


def changed_scale(g: Graph) -> str | None:
    for node in g.calls("scaled_dot_product_attention"):
        g.set(node, "scale", 0.5 / math.sqrt(shape(node.args[0])[-1]))
        return f"scale of {node.name} halved"
    for node in g.calls("mul"):
        if isinstance(node.args[1], float) and node.args[1] not in (0.0, 1.0):
            g.set(node, "other", node.args[1] * 0.5)
            return f"factor of {node.name} halved"
    return None


def swapped_qk(g: Graph) -> str | None:
    for node in g.calls("scaled_dot_product_attention", "matmul"):
        a, b = node.args[:2]
        if real(a) and real(b) and shape(a) == shape(b) and a is not b:
            node.args = (b, a, *node.args[2:])
            return f"operands of {node.name} swapped"
    return None


def missing_mask(g: Graph) -> str | None:
    for node in g.calls("scaled_dot_product_attention"):
        if g.get(node, "attn_mask") is not None:
            g.set(node, "attn_mask", None)
            return f"{node.name} without its mask"
    for node in g.calls("softmax"):
        before = node.args[0]
        if isinstance(before, fx.Node) and "add" in before.name and real(before.args[0]):
            node.update_arg(0, before.args[0])
            return f"{node.name} without its mask"
    return None


def softmax_axis(g: Graph) -> str | None:
    for node in g.calls("softmax", "_softmax"):
        g.set(node, "dim", -2 if node.args[1] in (-1, len(shape(node)) - 1) else -1)
        return f"{node.name} over another axis"
    return None


def wrong_permute(g: Graph) -> str | None:
    """Two axes of equal size exchanged: the shapes stay."""
    for node in g.calls("permute"):
        dims, sizes = list(node.args[1]), shape(node)
        for i in range(len(dims)):
            for j in range(i):
                if sizes[i] == sizes[j] > 1:
                    dims[i], dims[j] = dims[j], dims[i]
                    node.update_arg(1, dims)
                    return f"axes {j} and {i} of {node.name} exchanged"
    return None


def reshape_for_permute(g: Graph) -> str | None:
    for node in g.calls("permute", "transpose"):
        before, after = shape(node.args[0]), shape(node)
        if [n for n in before if n > 1] != [n for n in after if n > 1]:
            source = node.args[0]
            new = g.insert(node, aten.reshape.default, (source, list(after)), node)
            node.replace_all_uses_with(new)
            return f"{node.name} reshaped instead"
    return None


def hwc_flatten(g: Graph) -> str | None:
    for node in g.calls("flatten", "reshape", "view"):
        before, after = shape(node.args[0]), shape(node)
        if len(before) == 4 > len(after) and before[1] > 1 and before[2] * before[3] > 1:
            turned = g.insert(node, aten.permute.default, (node.args[0], [0, 2, 3, 1]), node)
            node.update_arg(0, g.insert(node, aten.clone.default, (turned,), node))
            node.replace_all_uses_with(
                g.insert(node.next, aten.reshape.default, (turned, list(after)), node)
            )
            return f"{node.name} flattens HWC"
    return None


def shifted_slice(g: Graph) -> str | None:
    for node in g.calls("slice"):
        size = shape(node.args[0])[g.get(node, "dim") or 0]
        start, end = g.get(node, "start") or 0, g.get(node, "end")
        if real(node) and isinstance(start, int) and isinstance(end, int):
            by = 1 if end < size else -1 if start > 0 else 0
            if by:
                g.set(node, "start", start + by)
                g.set(node, "end", min(end, size) + by)
                return f"{node.name} shifted by {by}"
    return None


def shifted_select(g: Graph) -> str | None:
    for node in g.calls("select"):
        axis, index = g.get(node, "dim"), g.get(node, "index")
        size = shape(node.args[0])[axis]
        if size > 1 and real(node):
            g.set(node, "index", (index + 1) % size)
            return f"{node.name} off by one"
    return None


def shifted_roll(g: Graph) -> str | None:
    for node in g.calls("roll"):
        node.update_arg(1, [n + 1 for n in node.args[1]])
        return f"{node.name} by one more"
    return None


def swapped_parts(g: Graph) -> str | None:
    for node in g.calls("cat"):
        parts = list(node.args[0])
        alike = len(parts) > 1 and shape(parts[0]) == shape(parts[1])
        if alike and real(parts[0]) and parts[0] is not parts[1]:
            node.update_arg(0, [parts[1], parts[0], *parts[2:]])
            return f"parts of {node.name} swapped"
    return None


def tanh_gelu(g: Graph) -> str | None:
    for node in g.calls("gelu"):
        exact = g.get(node, "approximate") == "none"
        g.set(node, "approximate", "tanh" if exact else "none")
        return f"{node.name} by the other formula"
    return None


def other_activation(g: Graph) -> str | None:
    for node in g.calls("relu", "gelu", "silu", "tanh", "sigmoid"):
        if real(node):
            node.target = aten.tanh.default if "tanh" not in node.name else aten.sigmoid.default
            node.kwargs = {}
            return f"{node.name} replaced"
    return None


def dropped_activation(g: Graph) -> str | None:
    for node in g.calls("relu", "gelu", "silu", "tanh"):
        node.replace_all_uses_with(node.args[0])
        return f"{node.name} dropped"
    return None


def wrong_residual(g: Graph) -> str | None:
    for node in g.calls("add"):
        a, b = node.args[:2]
        if real(a) and real(b) and shape(a) == shape(b) and g.stored(a) is g.stored(b) is None:
            node.update_arg(1, a)
            return f"{node.name} adds {a.name} twice"
    return None


def average_for_maximum(g: Graph) -> str | None:
    for node in g.calls("max_pool2d"):
        if not any(g.get(node, "dilation") or ()) or set(node.args[4:5]) <= {(1, 1)}:
            node.target = aten.avg_pool2d.default
            node.args = node.args[:4]
            return f"{node.name} averages"
    return None


def shifted_padding(g: Graph) -> str | None:
    for node in g.calls("pad", "constant_pad_nd"):
        pads = list(node.args[1])
        for i in range(0, len(pads), 2):
            if pads[i] > 0:
                pads[i] -= 1
                pads[i + 1] += 1
                node.update_arg(1, pads)
                return f"padding of {node.name} shifted"
    for node in g.calls("conv2d"):
        padding = list(g.get(node, "padding"))
        kernel = shape(node.args[1])[2:]
        if all(padding) and all(k == 2 * p + 1 for k, p in zip(kernel, padding, strict=True)):
            shifted = g.insert(node, aten.roll.default, (node.args[0], [1], [3]), node.args[0])
            node.update_arg(0, shifted)
            return f"window of {node.name} shifted"
    return None


def wrong_dilation(g: Graph) -> str | None:
    """A depthwise window of the same extent that skips every other place."""
    for node in g.calls("conv2d"):
        kernel, padding = shape(node.args[1])[2:], list(g.get(node, "padding"))
        if set(kernel) == {3} and padding == [1, 1] and g.get(node, "stride") == [1, 1]:
            g.set(node, "padding", [2, 2])
            g.set(node, "dilation", [2, 2])
            return f"dilation of {node.name} is 2"
    return None


KINDS: dict[str, Kind] = {
    kind.__name__: kind
    for kind in (
        transposed_square_weight, swapped_kernel_axes, swapped_heads, swapped_layers, flipped_bit,
        dropped_bias, doubled_bias, changed_epsilon, changed_scale, swapped_qk, missing_mask,
        softmax_axis, wrong_permute, reshape_for_permute, hwc_flatten, shifted_slice,
        shifted_select, shifted_roll, swapped_parts, tanh_gelu, other_activation,
        dropped_activation, wrong_residual, average_for_maximum, shifted_padding, wrong_dilation,
    )
}  # fmt: skip


def mutants(make: Callable[[], ExportedProgram]) -> Iterator[Mutant]:
    """One mutant of every kind that the program has a site for; ``make`` gives a fresh program."""
    for name, kind in KINDS.items():
        graph = Graph(make())
        what = kind(graph)
        if what is not None:
            graph.graph.lint()
            graph.program.graph_module.recompile()
            yield Mutant(name, what, graph.program)
