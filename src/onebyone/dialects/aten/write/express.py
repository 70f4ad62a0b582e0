"""Express a node of the axis graph in the forms that the plan chose: one table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import fx

from onebyone.axes.graph import Form, Node, Use
from onebyone.axes.positional import Kind
from onebyone.axes.sizes import product
from onebyone.dialects.aten.values import Native, Number, arguments, fake
from onebyone.dialects.aten.write.express_axis import AXIS
from onebyone.dialects.aten.write.express_norm import fused_norm, spell_norm
from onebyone.layout.solve import Variant

if TYPE_CHECKING:
    from onebyone.dialects.aten.write.writer import Emitter

aten = torch.ops.aten

Inputs = Sequence[Any]
Expression = Callable[["Emitter", Node, Variant, Inputs], list[fx.Node]]

# Operators for the parts of a native node that stands for several operations.
PARTS: dict[str, Any] = {
    "add": aten.add.Tensor,
    "isnan": aten.isnan.default,
    "mul": aten.mul.Tensor,
    "where": aten.where.self,
}

# Reductions over several axes at once; the others are cloned for one axis.
_REDUCE: dict[str, Any] = {
    "all": aten.all.dims,
    "any": aten.any.dims,
    "l2": aten.linalg_vector_norm.default,
    "logsumexp": aten.logsumexp.default,
    "max": aten.amax.default,
    "mean": aten.mean.dim,
    "min": aten.amin.default,
    "sum": aten.sum.dim_IntList,
}


def express(emitter: Emitter, node: Node, variant: Variant, inputs: Inputs) -> list[fx.Node]:
    """New nodes for one axis node; returns those that hold its results."""
    return _TABLE[node.kind](emitter, node, variant, inputs)


def reads(node: Node, variant: Variant) -> tuple[Form | None, ...]:
    """The forms in which a variant reads its operands here.

    `linear` keeps its weight as [out, in], the rows of which the plan calls columns.
    """
    if node.kind is not Kind.CONTRACT or variant.tag != "linear":
        return variant.reads
    weight = data_and_weight(node)[1]
    form = variant.reads[weight]
    if len(form) != 2:
        return variant.reads
    found = list(variant.reads)
    found[weight] = (form[1], form[0])
    if len(found) > 2 and found[2] is not None:
        found[2] = (tuple(axis for group in found[2] for axis in group),)
    return tuple(found)


def use_of(node: Node, number: int) -> Use:
    """An operand that is present."""
    use = node.operands[number]
    assert use is not None
    return use


def data_and_weight(node: Node) -> tuple[int, int]:
    """Numbers of the operands of a Contract: data first."""
    first, second = use_of(node, 0).value, use_of(node, 1).value
    return (1, 0) if first.derived and not second.derived else (0, 1)


def clone(
    emitter: Emitter, node: Node, inputs: Inputs, changed: dict[str, Any] | None = None
) -> list[fx.Node]:
    """The native node again, with other operands and some other arguments."""
    native: Native = node.natives[0]
    given = arguments(native.node)
    for name, held in zip(native.names, inputs, strict=False):
        if isinstance(name, str):
            given[name] = held
        else:
            own = list(given[name[0]])
            own[name[1]] = held
            given[name[0]] = own
    given.update(changed or {})
    new = emitter.call(native.node.target, given, origin=native.node)
    return results(emitter, new, len(node.results), native.node)


def results(emitter: Emitter, new: fx.Node, count: int, origin: fx.Node) -> list[fx.Node]:
    """The nodes that hold what a node yields."""
    import operator

    if not isinstance(fake(new), list | tuple):
        return [new]
    return [emitter.op(operator.getitem, (new, n), origin=origin) for n in range(count)]


def _contract(emitter: Emitter, node: Node, variant: Variant, inputs: Inputs) -> list[fx.Node]:
    if variant.tag == "conv":
        return [_conv(emitter, node, variant, inputs)]
    if variant.tag == "linear":
        return [_linear(emitter, node, variant, inputs)]
    return [_product(emitter, node, variant, inputs)]


def _product(emitter: Emitter, node: Node, variant: Variant, inputs: Inputs) -> fx.Node:
    """A matrix product; a factor whose last two positions are swapped is read through strides."""
    left, right = (1, 0) if variant.detail else (0, 1)
    summed = set(node.summed)
    factors: list[Any] = []
    for number, last in ((left, True), (right, False)):
        use, form = use_of(node, number), variant.reads[number]
        held = inputs[number]
        ends = [{use.indices[axis] in summed for axis in group} for group in form[-2:]]
        # The summed axes belong at the end of the left factor, in front of the right one's last.
        if len(ends) == 2 and ((not last) in ends[1] or last in ends[0]):
            order = [*range(len(form) - 2), len(form) - 1, len(form) - 2]
            held = _new(emitter, node, aten.permute.default, (held, order), "transposed factor")
        factors.append(held)
    flat = all(fake(held).ndim == 3 for held in factors)
    target = aten.bmm.default if flat else aten.matmul.default
    return _new(emitter, node, target, tuple(factors), "matrix product")


def _new(emitter: Emitter, node: Node, target: Any, args: tuple[Any, ...], rule: str) -> fx.Node:
    return emitter.op(target, args, origin=node.natives[0].node, rule=rule)


def _conv(emitter: Emitter, node: Node, variant: Variant, inputs: Inputs) -> fx.Node:
    """The weight is ``[out, in, *kernel]``; a kernel axis strides by its own size."""
    data, weight = data_and_weight(node)
    w, form = use_of(node, weight), variant.reads[weight]
    x, x_form = use_of(node, data), variant.reads[data]
    kernel = [_size(w, group) for group in form[2:]]
    outer = [any(x.indices[axis] not in w.indices for axis in group) for group in x_form[2:]]
    groups = 1
    for axis, index in enumerate(w.indices):
        if index in x.indices and index in node.results[0].indices:
            groups *= w.value.sizes[axis].known or 1
    target = (aten.conv1d, aten.conv2d, aten.conv3d)[len(kernel) - 1].default
    given = {
        "input": inputs[data],
        "weight": inputs[weight],
        "bias": inputs[2] if len(inputs) > 2 else None,
        "stride": [k if moves else 1 for k, moves in zip(kernel, outer, strict=True)],
        "groups": groups,
    }
    rule = "fully connected to convolution"
    return emitter.call(target, given, origin=node.natives[0].node, rule=rule)


def _size(use: Use, group: tuple[int, ...]) -> int:
    known = product([use.value.sizes[axis] for axis in group]).known
    assert known is not None, "the sizes of a weight are integers"
    return known


def _linear(emitter: Emitter, node: Node, variant: Variant, inputs: Inputs) -> fx.Node:
    data, weight = data_and_weight(node)
    rule = "convolution to fully connected"
    bias = inputs[2] if len(inputs) > 2 else None
    pair = (inputs[data], inputs[weight])
    if bias is not None and not set(_columns(node, variant)) <= set(use_of(node, 2).indices):
        return _narrow_bias(emitter, node, variant, pair, bias)
    if len(variant.reads[weight]) == 2:
        args = pair if bias is None else (*pair, bias)
        return _new(emitter, node, aten.linear.default, args, rule)
    held = _new(emitter, node, aten.matmul.default, pair, rule)
    return held if bias is None else _new(emitter, node, aten.add.Tensor, (held, bias), "bias")


def _columns(node: Node, variant: Variant) -> list[int]:
    """The indices of the last position that a matrix product writes."""
    return [node.results[0].indices[axis] for axis in variant.writes[0][-1]]


def _narrow_bias(
    emitter: Emitter, node: Node, variant: Variant, pair: tuple[Any, Any], bias: Any
) -> fx.Node:
    """A transposed convolution adds one number at all places of a patch: here they are columns."""
    value, form, own = node.results[0].value, variant.writes[0], set(use_of(node, 2).indices)
    matrix = len(fake(pair[1]).shape) == 2
    target = aten.linear.default if matrix else aten.matmul.default
    held = _new(emitter, node, target, pair, "convolution to fully connected")
    apart: Form = (*form[:-1], *((axis,) for axis in form[-1]))
    held = emitter.reshape(value, held, apart)
    sizes = zip(_columns(node, variant), fake(held).shape[len(form) - 1 :], strict=True)
    shape = [size if index in own else 1 for index, size in sizes]
    bias = _new(emitter, node, aten.reshape.default, (bias, shape), "bias")
    held = _new(emitter, node, aten.add.Tensor, (held, bias), "bias")
    return emitter.reshape(value, held, form)


def _pointwise(emitter: Emitter, node: Node, variant: Variant, inputs: Inputs) -> list[fx.Node]:
    native: Native = node.natives[0]
    if native.op == "prelu":
        # It has its channels at position 1.
        return [_new(emitter, node, aten._prelu_kernel.default, tuple(inputs), "layout")]
    if native.names:
        return clone(emitter, node, inputs)
    origin = native.node
    if node.fn == "scale":
        return [emitter.op(aten.mul.Tensor, (inputs[0], node.attrs[0]), origin=origin)]
    if node.fn == "cast":
        given = {"self": inputs[0], "dtype": fake(origin).dtype}
        return [emitter.call(aten.to.dtype, given, origin=origin)]
    if node.fn == "where":
        # It takes tensors only.
        inputs = [
            emitter.constants.number(use.value, origin)
            if use is not None and isinstance(use.value.tensor.key, Number)
            else held
            for use, held in zip(node.operands, inputs, strict=True)
        ]
    return [emitter.op(PARTS[node.fn], tuple(inputs), origin=origin, rule="attention")]


def _position(use: Use, form: Form, indices: Sequence[int]) -> int:
    """The position that holds exactly ``indices``."""
    wanted = tuple(indices)
    for place, group in enumerate(form):
        if tuple(use.indices[axis] for axis in group) == wanted:
            return place
    raise AssertionError(f"no position for {wanted} in {form}")


def _along(emitter: Emitter, node: Node, variant: Variant, inputs: Inputs) -> list[fx.Node]:
    axis = _position(use_of(node, 0), variant.reads[0], node.along)
    native: Native = node.natives[0]
    if native.names:
        return clone(emitter, node, inputs, {"dim": axis})
    target = aten.log_softmax.int if node.fn == "logsoftmax" else aten.softmax.int
    return [emitter.op(target, (inputs[0], axis), origin=native.node, rule="attention")]


def _reduce(emitter: Emitter, node: Node, variant: Variant, inputs: Inputs) -> list[fx.Node]:
    x, form = use_of(node, 0), variant.reads[0]
    gone = set(node.summed)
    axes = [n for n, group in enumerate(form) if group and x.indices[group[0]] in gone]
    keep = len(variant.writes[0]) == len(form)
    native: Native = node.natives[0]
    if node.fn in _REDUCE:
        given = {"self": inputs[0], "dim": axes, "keepdim": keep}
        return [emitter.call(_REDUCE[node.fn], given, origin=native.node)]
    if node.fn in ("std", "var"):
        given = {"self": inputs[0], "dim": axes, "correction": node.attrs[0], "keepdim": keep}
        target = aten.std.correction if node.fn == "std" else aten.var.correction
        return [emitter.call(target, given, origin=native.node)]
    if node.fn == "prod":
        held = inputs[0]
        for axis in reversed(axes):
            given = {"self": held, "dim": axis, "keepdim": keep}
            held = emitter.call(aten.prod.dim_int, given, origin=native.node)
        return [held]
    return clone(emitter, node, inputs, {"dim": axes[0], "keepdim": keep})


def _axis(emitter: Emitter, node: Node, variant: Variant, inputs: Inputs) -> list[fx.Node]:
    return AXIS[node.fn](emitter, node, variant, inputs)


def _norm(emitter: Emitter, node: Node, variant: Variant, inputs: Inputs) -> list[fx.Node]:
    make = spell_norm if variant.tag == "spelled" else fused_norm
    return [make(emitter, node, variant, inputs)]


_TABLE: dict[Kind, Expression] = {
    Kind.ALONG: _along,
    Kind.AXIS: _axis,
    Kind.CONTRACT: _contract,
    Kind.NORM: _norm,
    Kind.POINTWISE: _pointwise,
    Kind.REDUCE: _reduce,
}
