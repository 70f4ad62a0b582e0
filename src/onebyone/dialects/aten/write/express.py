"""Express a node of the axis graph in the forms that the plan chose: one table.

A node is written by the function that it means, or as the very operator that it came from, never
by what an operator's name looks like. Each row says which nodes it can write so, before a plan is
made; anything else keeps its layout.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from onebyone.axes.graph import Form, Node
from onebyone.axes.positional import Kind
from onebyone.dialects.aten.read.contract import CONVOLUTIONS
from onebyone.dialects.aten.values import DTYPES, Native, Number, arguments, fake
from onebyone.dialects.aten.write.context import Context
from onebyone.dialects.aten.write.express_axis import AXIS, Inputs
from onebyone.errors import InexpressibleError
from onebyone.layout.contraction import roles_of
from onebyone.layout.solve import Variant
from onebyone.lower import places
from onebyone.lower.expressions import Expressions, Row

aten = torch.ops.aten

# Operators for the parts of a native node that stands for several operations.
PARTS: dict[str, Any] = {
    "add": aten.add.Tensor,
    "isnan": aten.isnan.default,
    "mul": aten.mul.Tensor,
    "where": aten.where.self,
}
_PARTS = (*PARTS, "cast", "scale")
_DTYPES = {name: dtype for dtype, name in DTYPES.items()}

ALONG: dict[str, Any] = {"logsoftmax": aten.log_softmax.int, "softmax": aten.softmax.int}

# Reductions over several axes at once, and what else they are told.
REDUCE: dict[str, tuple[Any, dict[str, Any]]] = {
    "all": (aten.all.dims, {}),
    "any": (aten.any.dims, {}),
    "l1": (aten.linalg_vector_norm.default, {"ord": 1}),
    "l2": (aten.linalg_vector_norm.default, {}),
    "logsumexp": (aten.logsumexp.default, {}),
    "max": (aten.amax.default, {}),
    "mean": (aten.mean.dim, {}),
    "min": (aten.amin.default, {}),
    "sum": (aten.sum.dim_IntList, {}),
}
# Those that are told whether they divide by n or n - 1; the axes of the others are taken one by
# one, or they have one axis.
_SPREAD: dict[str, Any] = {"std": aten.std.correction, "var": aten.var.correction}
_ARG: dict[str, Any] = {"argmax": aten.argmax.default, "argmin": aten.argmin.default}

_FUSED: dict[str, Any] = {
    "batch_norm": aten.batch_norm.default,
    "group_norm": aten.group_norm.default,
    "layer_norm": aten.layer_norm.default,
    "rms_norm": aten.rms_norm.default,
}


def _contract(context: Context, node: Node, variant: Variant, inputs: Inputs) -> list[fx.Node]:
    if variant.tag == "linear":
        return [_linear(context, node, variant, inputs)]
    if variant.tag == "conv" or (variant.tag != "product" and _is_convolution(node)):
        return [_conv(context, node, variant, inputs)]
    return [_product(context, node, variant, inputs)]


def _is_convolution(node: Node) -> bool:
    """Whether the native node is a convolution, whose forms are native ones of a convolution."""
    native: Native = node.natives[0]
    transposed = "transpose" in native.op or arguments(native.node).get("transposed")
    return native.op in CONVOLUTIONS and not transposed


def _is_product(node: Node) -> bool:
    reads = tuple(None if use is None else use.form for use in node.operands)
    native = Variant("native", reads, tuple(use.form for use in node.results))
    return node.operands[2:] in ((), (None,)) and places.factors(node, native) is not None


def _product(context: Context, node: Node, variant: Variant, inputs: Inputs) -> fx.Node:
    """A matrix product; a factor whose last two positions are swapped is read through strides."""
    pair = places.factors(node, variant)
    if pair is None or any(bias is not None for bias in inputs[2:]):
        name = node.natives[0].node.name
        raise InexpressibleError(f"{name} is no matrix product in its forms")
    tensors: list[Any] = []
    for factor in pair:
        tensor = inputs[factor.number]
        if factor.swapped:
            rank = len(variant.reads[factor.number])
            args = (tensor, [*range(rank - 2), rank - 1, rank - 2])
            tensor = context.build.instead(node, aten.permute.default, args, "transposed factor")
        tensors.append(tensor)
    flat = all(fake(tensor).ndim == 3 for tensor in tensors)
    target = aten.bmm.default if flat else aten.matmul.default
    return context.build.instead(node, target, tuple(tensors), "matrix product")


def _conv(context: Context, node: Node, variant: Variant, inputs: Inputs) -> fx.Node:
    conv = places.convolution(node, variant)
    target = (aten.conv1d, aten.conv2d, aten.conv3d)[len(conv.kernel) - 1].default
    bias = inputs[2] if len(inputs) > 2 else None
    narrow = bias is not None and _is_narrow(node, variant.writes[0], 1)
    given = {
        "input": inputs[conv.data],
        "weight": inputs[conv.weight],
        "bias": None if narrow else bias,
        "stride": list(conv.strides),
        "groups": conv.groups,
    }
    rule = "fully connected to convolution"
    total = context.build.call(target, given, origin=node.natives[0].node, rule=rule)
    return _narrow_bias(context, node, variant.writes[0], 1, total, bias) if narrow else total


def _linear(context: Context, node: Node, variant: Variant, inputs: Inputs) -> fx.Node:
    part, new = roles_of(node), context.build.instead
    rule = "convolution to fully connected"
    bias = inputs[2] if len(inputs) > 2 else None
    pair = (inputs[part.data], inputs[part.weight])
    matrix = len(variant.reads[part.weight]) == 2
    form = variant.writes[0]
    if bias is not None and _is_narrow(node, form, len(form) - 1):
        total = new(node, (aten.linear if matrix else aten.matmul).default, pair, rule)
        return _narrow_bias(context, node, form, len(form) - 1, total, bias)
    if matrix:
        args = pair if bias is None else (*pair, bias)
        return new(node, aten.linear.default, args, rule)
    total = new(node, aten.matmul.default, pair, rule)
    return total if bias is None else new(node, aten.add.Tensor, (total, bias), "bias")


def _is_narrow(node: Node, form: Form, place: int) -> bool:
    """Whether the bias lacks some of the columns, which are at one position of the result.

    A transposed convolution adds one number at all places of a patch: here they are columns.
    """
    columns = {node.results[0].indices[axis] for axis in form[place]}
    return not columns <= set(places.operand(node, 2).indices)


def _narrow_bias(
    context: Context, node: Node, form: Form, place: int, total: fx.Node, bias: Any
) -> fx.Node:
    """``total + bias`` where `_is_narrow`: each column has a position of its own for a while."""
    result, new = node.results[0], context.build.instead
    before, columns, behind = form[:place], form[place], form[place + 1 :]
    apart = (*before, *((axis,) for axis in columns), *behind)
    total = context.reshape(result.value, total, apart)
    channels = places.operand(node, 2).indices
    sizes = zip(columns, fake(total).shape[place:], strict=False)
    shape = [size if result.indices[axis] in channels else 1 for axis, size in sizes]
    args = (bias, [*shape, *(1 for _ in behind)])
    total = new(
        node, aten.add.Tensor, (total, new(node, aten.reshape.default, args, "bias")), "bias"
    )
    return context.reshape(result.value, total, form)


def _pointwise(context: Context, node: Node, variant: Variant, inputs: Inputs) -> list[fx.Node]:
    native: Native = node.natives[0]
    build, origin = context.build, native.node
    if native.op == "prelu":
        # It has its channels at position 1.
        return [build.instead(node, aten._prelu_kernel.default, tuple(inputs))]
    if native.names:
        return build.clone(node, inputs)
    if node.fn == "scale":
        return [build.instead(node, aten.mul.Tensor, (inputs[0], node.attrs[0]))]
    if node.fn == "cast":
        dtype = _DTYPES.get(node.results[0].value.dtype)
        given = {"self": inputs[0], "dtype": dtype or getattr(torch, node.results[0].value.dtype)}
        return [build.call(aten.to.dtype, given, origin=origin)]
    if node.fn == "where":
        # It takes tensors only.
        inputs = [
            context.constants.number(use.value, origin)
            if use is not None and isinstance(use.value.tensor.key, Number)
            else tensor
            for use, tensor in zip(node.operands, inputs, strict=True)
        ]
    return [build.instead(node, PARTS[node.fn], tuple(inputs), "attention")]


def _along(context: Context, node: Node, variant: Variant, inputs: Inputs) -> list[fx.Node]:
    axis = places.line(node, variant)
    if node.natives[0].names:
        return context.build.clone(node, inputs, {"dim": axis})
    return [context.build.instead(node, ALONG[node.fn], (inputs[0], axis), "attention")]


def _reduce(context: Context, node: Node, variant: Variant, inputs: Inputs) -> list[fx.Node]:
    axes, keep = places.reduced(node, variant), places.keeps_rank(variant)
    origin, given = node.natives[0].node, {"self": inputs[0], "keepdim": keep}
    call = context.build.call
    if node.fn in REDUCE:
        target, told = REDUCE[node.fn]
        return [call(target, given | {"dim": axes} | told, origin=origin)]
    if node.fn in _SPREAD:
        told = {"dim": axes, "correction": node.attrs[0]}
        return [call(_SPREAD[node.fn], given | told, origin=origin)]
    if node.fn in _ARG:
        return [call(_ARG[node.fn], given | {"dim": axes[0]}, origin=origin)]
    tensor = inputs[0]
    for axis in reversed(axes):
        told = {"self": tensor, "dim": axis, "keepdim": keep}
        tensor = call(aten.prod.dim_int, told, origin=origin)
    return [tensor]


def _norm(context: Context, node: Node, variant: Variant, inputs: Inputs) -> list[fx.Node]:
    write = _spelled if variant.tag == "spelled" else _fused
    return [write(context, node, variant, inputs)]


def _fused(context: Context, node: Node, variant: Variant, inputs: Inputs) -> fx.Node:
    """The fused operator at its new positions."""
    native: Native = node.natives[0]
    told = arguments(native.node)
    names = ("input", "weight", "bias", "running_mean", "running_var")
    given = dict(zip(names, inputs, strict=False)) | {"eps": told.get("eps", node.attrs[0])}
    if node.fn == "batch_norm":
        given |= {"training": False, "momentum": 0.1, "cudnn_enabled": True}
    elif node.fn == "group_norm":
        given["num_groups"] = places.norm_groups(node, variant)
    else:
        first = places.first_normalized(node, variant)
        value = places.operand(node, 0).value
        shape = [size.known for size in places.shape(value, variant.reads[0][first:])]
        given["normalized_shape"] = shape
        for name in ("weight", "bias"):
            # A parameter may come in a form with positions of size 1 in front.
            tensor: Any = given.get(name)
            if tensor is not None and list(fake(tensor).shape) != shape:
                given[name] = context.build.instead(node, aten.reshape.default, (tensor, shape))
    return context.build.call(_FUSED[node.fn], given, origin=native.node)


def _spelled(context: Context, node: Node, variant: Variant, inputs: Inputs) -> fx.Node:
    """``(x - mean) / sqrt(variance + epsilon) * scale + bias``; RMS has the mean square instead.

    As PyTorch has it, float16 and bfloat16 are normalised in float32.
    """
    x, axes = inputs[0], places.normalized(node, variant)
    native: Native = node.natives[0]

    def step(target: Any, *args: Any) -> fx.Node:
        return context.build.instead(node, target, args, "norm")

    dtype = fake(x).dtype
    wide = dtype in (torch.float16, torch.bfloat16)
    if wide:
        x = step(aten.to.dtype, x, torch.float32)
    eps = arguments(native.node).get("eps", node.attrs[0])
    eps = torch.finfo(dtype).eps if eps is None else eps
    if node.fn == "layer_norm":
        # Mean and variance side by side: a backend that has neither is left once, not twice.
        given = {"self": x, "dim": axes, "correction": 0, "keepdim": True}
        spread = context.build.call(aten.var.correction, given, origin=native.node, rule="norm")
        x = step(aten.sub.Tensor, x, step(aten.mean.dim, x, axes, True))
    else:
        spread = step(aten.mean.dim, step(aten.mul.Tensor, x, x), axes, True)
    shifted = step(aten.add.Tensor, spread, eps)
    out = step(aten.mul.Tensor, x, step(aten.rsqrt.default, shifted))
    if wide:
        out = step(aten.to.dtype, out, dtype)
    for target, parameter in zip((aten.mul.Tensor, aten.add.Tensor), inputs[1:], strict=False):
        if parameter is not None:
            out = step(target, out, parameter)
    return out


def _is_whole(node: Node) -> bool:
    """Whether the native node is this operation and nothing else: it names its operands."""
    return bool(node.natives[0].names)


def _can_contract(node: Node, alone: bool) -> bool:
    return alone or _is_convolution(node) or _is_product(node)


def _can_pointwise(node: Node, alone: bool) -> bool:
    return _is_whole(node) or node.fn in _PARTS


def _can_along(node: Node, alone: bool) -> bool:
    return node.fn in ALONG or (_is_whole(node) and node.fn == node.natives[0].op == "cumsum")


def _can_reduce(node: Node, alone: bool) -> bool:
    # An empty list of axes would mean all of them.
    return bool(node.summed) and node.fn in (*REDUCE, *_SPREAD, *_ARG, "prod")


def _can_norm(node: Node, alone: bool) -> bool:
    return node.fn in _FUSED


EXPRESSIONS: Expressions[Context, fx.Node] = Expressions(
    {
        Kind.ALONG: Row(_along, _can_along),
        Kind.AXIS: AXIS,
        Kind.CONTRACT: Row(_contract, _can_contract),
        Kind.NORM: Row(_norm, _can_norm),
        Kind.POINTWISE: Row(_pointwise, _can_pointwise),
        Kind.REDUCE: Row(_reduce, _can_reduce),
    }
)
