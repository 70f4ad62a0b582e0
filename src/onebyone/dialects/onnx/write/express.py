"""Express a node of the axis graph in the forms that the plan chose: one table.

A node is written by the function that it means, or as the very operator that it came from, never
by what an operator's name looks like. Each row says which nodes it can write so, before a plan is
made; anything else keeps its layout.
"""

from __future__ import annotations

import onnx_ir as ir

from onebyone.axes.graph import Node
from onebyone.axes.positional import Kind
from onebyone.dialects.onnx.write.build import Inputs, annotated, dtype_of, is_operator
from onebyone.dialects.onnx.write.context import Context
from onebyone.dialects.onnx.write.express_axis import AXIS
from onebyone.errors import InexpressibleError
from onebyone.layout.contraction import roles_of
from onebyone.layout.solve import Variant
from onebyone.lower import places
from onebyone.lower.expressions import Expressions, Row

# What a Contract may be as it came, beside a matrix product: its operators read no more than the
# factors and a bias.
_CONTRACTS = ("Conv", "ConvTranspose", "Einsum", "Gemm", "MatMul")

# Operators for the parts of a native node that stands for several operations, and their rules.
_PARTS = {"add": ("Add", "bias")}

ALONG = {
    "cumsum": "CumSum",
    "hardmax": "Hardmax",
    "logsoftmax": "LogSoftmax",
    "softmax": "Softmax",
}

REDUCE = {
    "l1": "ReduceL1",
    "l2": "ReduceL2",
    "logsum": "ReduceLogSum",
    "logsumexp": "ReduceLogSumExp",
    "max": "ReduceMax",
    "mean": "ReduceMean",
    "min": "ReduceMin",
    "prod": "ReduceProd",
    "sum": "ReduceSum",
    "sumsquare": "ReduceSumSquare",
}
_ARG = {"argmax": "ArgMax", "argmin": "ArgMin"}
# Reductions whose axes moved from an attribute to an input, and the opset that moved them.
_AXES_INPUT = {"ReduceSum": 13}
_AXES_INPUT_DEFAULT = 18

_SPELLED = ("layer_norm", "rms_norm")
_FUSED = {
    "batch_norm": "BatchNormalization",
    "group_norm": "GroupNormalization",
    "instance_norm": "InstanceNormalization",
    "layer_norm": "LayerNormalization",
    "rms_norm": "RMSNormalization",
}


def _name(node: Node) -> str:
    native: ir.Node = node.natives[0]
    return native.name or native.op_type


def _contract(context: Context, node: Node, variant: Variant, inputs: Inputs) -> list[ir.Value]:
    if variant.tag == "conv":
        return _conv(context, node, variant, inputs)
    if variant.tag == "linear":
        return _linear(context, node, variant, inputs)
    if variant.tag == "product" or not is_operator(node.natives[0], *_CONTRACTS):
        return _product(context, node, variant, inputs)
    return _as_it_came(context, node, variant, inputs)


def _as_it_came(context: Context, node: Node, variant: Variant, inputs: Inputs) -> list[ir.Value]:
    """The sum of products of a native node that had to be taken to its parts."""
    native: ir.Node = node.natives[0]
    attributes: dict[str, object] = {}
    drop: tuple[str, ...] = ()
    if native.op_type == "Conv":
        weight = places.operand(node, 1)
        kernel = places.fixed_shape(weight.value, weight.form[2:])
        strides = native.attributes.get("strides")
        if strides is not None:
            pairs = zip(strides.as_ints(), kernel, strict=True)
            attributes["strides"] = [1 if k == 1 else stride for stride, k in pairs]
    elif native.op_type == "Gemm":
        drop = ("alpha", "beta")
    bias = inputs[2] if len(inputs) > 2 else None
    if bias is None or len(variant.reads[2]) == 1:
        return context.build.clone(node, inputs, attributes, drop=drop)
    total = context.build.clone(node, inputs[:2], attributes, drop=drop)
    return [_biased(context, node, variant, total[0], bias)]


def _is_product(node: Node) -> bool:
    reads = tuple(None if use is None else use.form for use in node.operands)
    native = Variant("native", reads, tuple(use.form for use in node.results))
    return node.operands[2:] in ((), (None,)) and places.factors(node, native) is not None


def _product(context: Context, node: Node, variant: Variant, inputs: Inputs) -> list[ir.Value]:
    """A matrix product; a factor that is part of a fused node may need its ends transposed."""
    pair = places.factors(node, variant)
    if pair is None or any(bias is not None for bias in inputs[2:]):
        raise InexpressibleError(f"{_name(node)} is no matrix product in its forms")
    like = node.results[0].value
    values: list[ir.Value | None] = []
    for factor in pair:
        tensor = inputs[factor.number]
        if factor.swapped:
            rank = len(variant.reads[factor.number])
            perm = [*range(rank - 2), rank - 1, rank - 2]
            of = places.operand(node, factor.number).value
            tensor = context.build.op(
                "Transpose", [tensor], {"perm": perm}, like=of, rule="transposed factor"
            )
        values.append(tensor)
    rule = "matrix product"
    return [context.build.op("MatMul", values, like=like, rule=rule, name=_name(node))]


def _conv(context: Context, node: Node, variant: Variant, inputs: Inputs) -> list[ir.Value]:
    conv = places.convolution(node, variant)
    attributes = {
        "kernel_shape": conv.kernel,
        "strides": conv.strides,
        "group": conv.groups,
    }
    values = [inputs[conv.data], inputs[conv.weight], *inputs[2:]]
    rule = "fully connected to convolution"
    like = node.results[0].value
    return [context.build.op("Conv", values, attributes, like=like, rule=rule, name=_name(node))]


def _linear(context: Context, node: Node, variant: Variant, inputs: Inputs) -> list[ir.Value]:
    part = roles_of(node)
    pair = [inputs[part.data], inputs[part.weight]]
    like, rule = node.results[0].value, "convolution to fully connected"
    total = context.build.op("MatMul", pair, like=like, rule=rule, name=_name(node))
    bias = inputs[2] if len(inputs) > 2 else None
    return [total if bias is None else _biased(context, node, variant, total, bias)]


def _biased(
    context: Context, node: Node, variant: Variant, total: ir.Value, bias: ir.Value
) -> ir.Value:
    """``total + bias``, named after the Add where there was one."""
    like = node.results[0].value
    annotated(total, like, variant.writes[0])
    native: ir.Node = node.natives[-1]
    name = f"{_name(node)}/bias" if len(node.natives) == 1 else native.name or "bias"
    return context.build.op("Add", [total, bias], like=like, rule="bias", name=name)


def _pointwise(context: Context, node: Node, variant: Variant, inputs: Inputs) -> list[ir.Value]:
    like = node.results[0].value
    if node.fn == "scale":
        factor, dtype = node.attrs[0], dtype_of(like)
        assert isinstance(factor, float) and dtype is not None
        values = [inputs[0], context.constants.scalar(factor, dtype)]
        return [context.build.op("Mul", values, like=like, rule="Gemm's factor")]
    if len(context.holdings.sharing(node)) == 1:
        return context.build.clone(node, inputs)
    op_type, rule = _PARTS[node.fn]
    return [context.build.op(op_type, inputs, like=like, rule=rule)]


def _along(context: Context, node: Node, variant: Variant, inputs: Inputs) -> list[ir.Value]:
    axis, op_type = places.line(node, variant), ALONG[node.fn]
    if node.fn == "cumsum":
        return context.build.anew(node, op_type, [inputs[0], context.constants.integer(axis)], {})
    return context.build.anew(node, op_type, inputs[:1], {"axis": axis})


def _reduce(context: Context, node: Node, variant: Variant, inputs: Inputs) -> list[ir.Value]:
    axes, keep = places.reduced(node, variant), int(places.keeps_rank(variant))
    if node.fn in _ARG:
        attributes = {"axis": axes[0], "keepdims": keep}
        if node.attrs != (0,):
            attributes["select_last_index"] = 1
        return context.build.anew(node, _ARG[node.fn], inputs[:1], attributes)
    op_type = REDUCE[node.fn]
    values = list(inputs[:1])
    attributes: dict[str, object] = {"keepdims": keep}
    if context.opset >= _AXES_INPUT.get(op_type, _AXES_INPUT_DEFAULT):
        values.append(context.constants.vector(tuple(axes)))
    else:
        attributes = {"axes": axes, **attributes}
    return context.build.anew(node, op_type, values, attributes)


def _norm(context: Context, node: Node, variant: Variant, inputs: Inputs) -> list[ir.Value]:
    if variant.tag == "spelled" or not is_operator(node.natives[0], _FUSED[node.fn]):
        return [_spelled(context, node, variant, inputs)]
    if node.fn in _SPELLED:
        axis = places.first_normalized(node, variant) - len(variant.reads[0])
        return context.build.clone(node, inputs, {"axis": axis})
    return context.build.clone(node, inputs)


def _spelled(context: Context, node: Node, variant: Variant, inputs: Inputs) -> ir.Value:
    """``(x - mean) / sqrt(mean((x - mean)^2) + epsilon) * scale + bias``; RMS leaves the mean.

    As the operator's specification has it, float16 and bfloat16 are normalised in float32.
    """
    axes = places.normalized(node, variant)

    def step(op_type: str, *values: ir.Value, **attributes: object) -> ir.Value:
        name = f"{_name(node)}/{op_type}"
        return context.build.op(op_type, values, attributes, rule="norm", name=name)

    def mean(x: ir.Value) -> ir.Value:
        if context.opset >= _AXES_INPUT_DEFAULT:
            return step("ReduceMean", x, context.constants.vector(tuple(axes)))
        return step("ReduceMean", x, axes=axes)

    x, dtype = inputs[0], dtype_of(node.results[0].value)
    assert x is not None
    wide = dtype in (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
    compute = ir.DataType.FLOAT if wide or dtype is None else dtype
    if wide:
        x = step("Cast", x, to=int(ir.DataType.FLOAT))
    if node.fn == "layer_norm":
        x = step("Sub", x, mean(x))
    square = step("Mul", x, x)
    epsilon = node.attrs[0]
    assert isinstance(epsilon, float)
    shifted = step("Add", mean(square), context.constants.scalar(epsilon, compute))
    out = step("Div", x, step("Sqrt", shifted))
    if wide and dtype is not None:
        out = step("Cast", out, to=int(dtype))
    for op_type, parameter in zip(("Mul", "Add"), inputs[1:], strict=False):
        if parameter is not None:
            out = step(op_type, out, parameter)
    return out


def _can_contract(node: Node, alone: bool) -> bool:
    return alone or is_operator(node.natives[0], *_CONTRACTS) or _is_product(node)


def _can_pointwise(node: Node, alone: bool) -> bool:
    return alone or node.fn in _PARTS or node.fn == "scale"


def _can_along(node: Node, alone: bool) -> bool:
    op_type = ALONG.get(node.fn)
    return op_type is not None and (not node.attrs or is_operator(node.natives[0], op_type))


def _can_reduce(node: Node, alone: bool) -> bool:
    if not node.summed:
        # An empty list of axes would mean all of them.
        return False
    op_type = REDUCE.get(node.fn)
    if op_type is None:
        return node.fn in _ARG
    return not node.attrs or is_operator(node.natives[0], op_type)


def _can_norm(node: Node, alone: bool) -> bool:
    return node.fn in _SPELLED or is_operator(node.natives[0], _FUSED.get(node.fn, ""))


EXPRESSIONS: Expressions[Context, ir.Value] = Expressions(
    {
        Kind.ALONG: Row(_along, _can_along),
        Kind.AXIS: AXIS,
        Kind.CONTRACT: Row(_contract, _can_contract),
        Kind.NORM: Row(_norm, _can_norm),
        Kind.POINTWISE: Row(_pointwise, _can_pointwise),
        Kind.REDUCE: Row(_reduce, _can_reduce),
    }
)
