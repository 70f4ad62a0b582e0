"""Slices, pads, gathers and the like at the positions that a form gives their axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import fx

from onebyone.axes.graph import Form, Node, Use
from onebyone.axes.sizes import product
from onebyone.dialects.aten.values import Native, Number, arguments, op_name
from onebyone.layout.form_rules import strip
from onebyone.layout.solve import Variant

if TYPE_CHECKING:
    from onebyone.dialects.aten.write.writer import Emitter

aten = torch.ops.aten

Inputs = Sequence[Any]


def _clone(*args: Any) -> list[fx.Node]:
    from onebyone.dialects.aten.write.express import clone

    return clone(*args)


def positions(node: Node, variant: Variant, number: int = 0) -> list[int]:
    """The position of each replaced group of an operand.

    A group of size 1 has no axes: it is the position where the result has what replaces it.
    """
    use = node.operands[number]
    assert use is not None
    found: list[int] = []
    for k, group in enumerate(node.axis_in[number]):
        place = _place(use, variant.reads[number], group)
        if place is None:
            place = _place(node.results[0], variant.writes[0], node.axis_out[0][k])
        if place is None:
            form = variant.reads[number]
            place = next(n for n, g in enumerate(form) if not g and n not in found)
        found.append(place)
    return found


def _place(use: Use, form: Form, group: tuple[int, ...]) -> int | None:
    if not group:
        return None
    for place, axes in enumerate(form):
        if tuple(use.indices[axis] for axis in axes) == group:
            return place
    raise AssertionError(f"no position for {group} in {form}")


def _slice(emitter: Emitter, node: Node, variant: Variant, inputs: Inputs) -> list[fx.Node]:
    native: Native = node.natives[0]
    given = arguments(native.node)
    bounds = {
        name: emitter.native(given[name])
        for name in ("start", "end")
        if isinstance(given[name], fx.Node)
    }
    return _clone(emitter, node, inputs, {"dim": positions(node, variant)[0], **bounds})


def _subsample(emitter: Emitter, node: Node, variant: Variant, inputs: Inputs) -> list[fx.Node]:
    held, steps = inputs[0], node.attrs[2]
    assert isinstance(steps, tuple)
    for axis, step in zip(positions(node, variant), steps, strict=True):
        given = {"self": held, "dim": axis, "step": step}
        rule = "stride of a pointwise convolution"
        held = emitter.call(aten.slice.Tensor, given, origin=node.natives[0].node, rule=rule)
    return [held]


def _concat(emitter: Emitter, node: Node, variant: Variant, inputs: Inputs) -> list[fx.Node]:
    number = next((n for n, groups in enumerate(node.axis_in) if groups and groups[0]), 0)
    axis = positions(node, variant, number)[0]
    return [emitter.op(aten.cat.default, (list(inputs), axis), origin=node.natives[0].node)]


def _split(emitter: Emitter, node: Node, variant: Variant, inputs: Inputs) -> list[fx.Node]:
    from onebyone.dialects.aten.write.express import results

    origin = node.natives[0].node
    args = (inputs[0], list(node.attrs), positions(node, variant)[0])
    new = emitter.op(aten.split_with_sizes.default, args, origin=origin)
    return results(emitter, new, len(node.results), origin)


def _gather(emitter: Emitter, node: Node, variant: Variant, inputs: Inputs) -> list[fx.Node]:
    axis, table = positions(node, variant)[0], variant.reads[0]
    native: Native = node.natives[0]
    indices = node.operands[1]
    assert indices is not None
    if isinstance(indices.value.tensor.key, Number):
        return [_select(emitter, node, variant, inputs[0], axis)]
    if op_name(native.node) == "embedding" and len(table) == 2 and axis == 0:
        return _clone(emitter, node, inputs)
    args = (inputs[0], [*[None] * axis, inputs[1]])
    return [emitter.op(aten.index.Tensor, args, origin=native.node)]


def _select(emitter: Emitter, node: Node, variant: Variant, held: Any, axis: int) -> fx.Node:
    """One element of an axis as a slice and a reshape, which more backends have than select."""
    native: Native = node.natives[0]
    place = int(arguments(native.node)["index"])
    end = None if place == -1 else place + 1
    given = {"self": held, "dim": axis, "start": place, "end": end}
    held = emitter.call(aten.slice.Tensor, given, origin=native.node)
    value = node.results[0].value
    if len(variant.writes[0]) < len(variant.reads[0] or ()):
        held = emitter.reshape(value, held, variant.writes[0])
    return held


def _pad(emitter: Emitter, node: Node, variant: Variant, inputs: Inputs) -> list[fx.Node]:
    rank = len(variant.reads[0])
    ends = dict(zip(positions(node, variant), node.attrs[2:], strict=True))
    pads: list[int] = []
    for place in range(rank - 1, min(ends) - 1, -1):
        own = ends.get(place, (0, 0))
        assert isinstance(own, tuple)
        pads += own
    args = (inputs[0], pads, node.attrs[1])
    return [emitter.op(aten.constant_pad_nd.default, args, origin=node.natives[0].node)]


def _expand(emitter: Emitter, node: Node, variant: Variant, inputs: Inputs) -> list[fx.Node]:
    use, result, form = node.operands[0], node.results[0], variant.writes[0]
    assert use is not None
    sizes = tuple(product([result.value.sizes[a] for a in group]) for group in form)
    place = {index: axis for axis, index in enumerate(use.indices)}
    indices = [[result.indices[axis] for axis in group] for group in form]
    wanted = tuple(tuple(place[i] for i in group if i in place) for group in indices)
    held = inputs[0]
    if strip(wanted) != strip(variant.reads[0] or ()):
        # A new axis between the others needs a position of size 1 to start from.
        held = emitter.reshape(use.value, held, wanted)
    args = (held, emitter.sizes.shape(sizes))
    return [emitter.op(aten.expand.default, args, origin=node.natives[0].node)]


def _turn(emitter: Emitter, node: Node, variant: Variant, inputs: Inputs) -> list[fx.Node]:
    return _clone(emitter, node, inputs, {"dims": positions(node, variant)})


def _causal(emitter: Emitter, node: Node, variant: Variant, inputs: Inputs) -> list[fx.Node]:
    result, form = node.results[0], variant.writes[0]
    native: Native = node.natives[0]
    rows = node.axis_out[0][0]
    full = [group for group in form if group]
    sizes = tuple(product([result.value.sizes[a] for a in group]) for group in full)
    shape = emitter.sizes.shape(sizes)
    lower = tuple(result.indices[axis] for axis in full[0]) == rows
    kwargs = {"dtype": torch.bool}
    held = emitter.op(aten.full.default, (shape, True), kwargs, origin=native.node, rule="mask")
    target = aten.tril.default if lower else aten.triu.default
    held = emitter.op(target, (held,), origin=native.node, rule="mask")
    return [held if len(form) == 2 else emitter.reshape(result.value, held, form)]


AXIS: dict[str, Callable[[Emitter, Node, Variant, Inputs], list[fx.Node]]] = {
    "causal": _causal,
    "concat": _concat,
    "expand": _expand,
    "flip": _turn,
    "gather": _gather,
    "pad": _pad,
    "roll": _turn,
    "slice": _slice,
    "split": _split,
    "subsample": _subsample,
}
