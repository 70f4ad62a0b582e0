"""Slices, pads, gathers and the like at the positions that a form gives their axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import fx

from onebyone.axes.graph import Node
from onebyone.dialects.aten.values import Native, Number, arguments, op_name
from onebyone.dialects.aten.write.context import Context
from onebyone.layout.form_rules import strip
from onebyone.layout.solve import Variant
from onebyone.lower import places
from onebyone.lower.expressions import CanWrite, Row

aten = torch.ops.aten

Inputs = Sequence[Any]


def _from(op: str) -> CanWrite:
    """Only the operator itself says all that it does."""
    return lambda node, alone: node.natives[0].op == op and bool(node.natives[0].names)


def _can_pad(node: Node, alone: bool) -> bool:
    return node.attrs[0] == "constant"


def _slice(context: Context, node: Node, variant: Variant, inputs: Inputs) -> list[fx.Node]:
    native: Native = node.natives[0]
    given = arguments(native.node)
    bounds = {
        name: context.sizes.integer(given[name])
        for name in ("start", "end")
        if isinstance(given[name], fx.Node)
    }
    axis = places.replaced(node, variant)[0]
    return context.build.clone(node, inputs, {"dim": axis, **bounds})


def _subsample(context: Context, node: Node, variant: Variant, inputs: Inputs) -> list[fx.Node]:
    tensor, steps = inputs[0], node.attrs[2]
    assert isinstance(steps, tuple)
    rule = "stride of a pointwise convolution"
    for axis, step in zip(places.replaced(node, variant), steps, strict=True):
        given = {"self": tensor, "dim": axis, "step": step}
        origin = node.natives[0].node
        tensor = context.build.call(aten.slice.Tensor, given, origin=origin, rule=rule)
    return [tensor]


def _concat(context: Context, node: Node, variant: Variant, inputs: Inputs) -> list[fx.Node]:
    args = (list(inputs), places.joined(node, variant))
    return [context.build.instead(node, aten.cat.default, args)]


def _split(context: Context, node: Node, variant: Variant, inputs: Inputs) -> list[fx.Node]:
    args = (inputs[0], list(node.attrs), places.joined(node, variant))
    new = context.build.instead(node, aten.split_with_sizes.default, args)
    return context.build.results(new, len(node.results), node.natives[0].node)


def _gather(context: Context, node: Node, variant: Variant, inputs: Inputs) -> list[fx.Node]:
    axis, table = places.gathered(node, variant), variant.reads[0]
    native: Native = node.natives[0]
    picked = places.operand(node, 1).value.tensor.key
    if isinstance(picked, Number):
        return [_select(context, node, variant, inputs[0], axis, int(picked.value))]
    if op_name(native.node) == "embedding" and len(table) == 2 and axis == 0:
        return context.build.clone(node, inputs)
    args = (inputs[0], [*[None] * axis, inputs[1]])
    return [context.build.instead(node, aten.index.Tensor, args)]


def _select(
    context: Context, node: Node, variant: Variant, tensor: Any, axis: int, place: int
) -> fx.Node:
    """One element of an axis as a slice and a reshape, which more backends have than select."""
    end = None if place == -1 else place + 1
    given = {"self": tensor, "dim": axis, "start": place, "end": end}
    tensor = context.build.call(aten.slice.Tensor, given, origin=node.natives[0].node)
    if len(variant.writes[0]) < len(variant.reads[0] or ()):
        tensor = context.reshape(node.results[0].value, tensor, variant.writes[0])
    return tensor


def _pad(context: Context, node: Node, variant: Variant, inputs: Inputs) -> list[fx.Node]:
    ends = places.pads(node, variant)
    while ends and ends[0] == (0, 0):
        del ends[0]
    # From the last position to the first.
    pads = [size for pair in reversed(ends) for size in pair]
    args = (inputs[0], pads, node.attrs[1])
    return [context.build.instead(node, aten.constant_pad_nd.default, args)]


def _expand(context: Context, node: Node, variant: Variant, inputs: Inputs) -> list[fx.Node]:
    wanted, tensor = places.aligned(node, variant), inputs[0]
    if strip(wanted) != strip(variant.reads[0] or ()):
        # A new axis between the others needs a position of size 1 to start from.
        tensor = context.reshape(places.operand(node, 0).value, tensor, wanted)
    shape = context.sizes.shape(places.shape(node.results[0].value, variant.writes[0]))
    return [context.build.instead(node, aten.expand.default, (tensor, shape))]


def _turn(context: Context, node: Node, variant: Variant, inputs: Inputs) -> list[fx.Node]:
    return context.build.clone(node, inputs, {"dims": places.replaced(node, variant)})


def _causal(context: Context, node: Node, variant: Variant, inputs: Inputs) -> list[fx.Node]:
    result, form = node.results[0], variant.writes[0]
    rows = node.axis_out[0][0]
    matrix = tuple(group for group in form if group)
    args = (context.sizes.shape(places.shape(result.value, matrix)), True)
    lower = tuple(result.indices[axis] for axis in matrix[0]) == rows
    tensor = context.build.op(
        aten.full.default,
        args,
        {"dtype": torch.bool},
        origin=node.natives[0].node,
        rule="mask",
    )
    target = aten.tril.default if lower else aten.triu.default
    tensor = context.build.instead(node, target, (tensor,), "mask")
    return [tensor if len(form) == 2 else context.reshape(result.value, tensor, form)]


AXIS: dict[str, Row[Context, fx.Node]] = {
    "causal": Row(_causal),
    "concat": Row(_concat),
    "expand": Row(_expand),
    "flip": Row(_turn, _from("flip")),
    "gather": Row(_gather),
    "pad": Row(_pad, _can_pad),
    "roll": Row(_turn, _from("roll")),
    "slice": Row(_slice, _from("slice")),
    "split": Row(_split),
    "subsample": Row(_subsample),
}
