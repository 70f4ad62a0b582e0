"""Express a node of the axis graph in the forms that the plan chose: one table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import onnx_ir as ir

from onebyone.axes.graph import Form, Node, Use
from onebyone.axes.positional import Kind
from onebyone.axes.sizes import product
from onebyone.dialects.onnx.write.express_axis import AXIS
from onebyone.dialects.onnx.write.express_norm import spell_norm
from onebyone.layout.solve import Variant

if TYPE_CHECKING:
    from onebyone.dialects.onnx.write.writer import Emitter

Inputs = Sequence[ir.Value | None]
Expression = Callable[["Emitter", Node, Variant, Inputs], list[ir.Value]]

# Reductions whose axes moved from an attribute to an input, and the opset that moved them.
_AXES_INPUT = {"ReduceSum": 13}
_AXES_INPUT_DEFAULT = 18


def express(emitter: Emitter, node: Node, variant: Variant, inputs: Inputs) -> list[ir.Value]:
    """New nodes for one axis node; returns the values of its results."""
    return _TABLE[node.kind](emitter, node, variant, inputs)


def use_of(node: Node, number: int) -> Use:
    """An operand that is present."""
    use = node.operands[number]
    assert use is not None
    return use


def clone(
    emitter: Emitter,
    node: Node,
    inputs: Inputs,
    attributes: dict[str, object] | None = None,
    *,
    op_type: str = "",
    rule: str = "layout",
    drop: tuple[str, ...] = (),
) -> list[ir.Value]:
    """The native node again, with other inputs and some other attributes."""
    native: ir.Node = node.natives[0]
    kept = {k: v for k, v in native.attributes.items() if k not in drop}
    for name, value in (attributes or {}).items():
        kept[name] = ir.convenience.convert_attribute(name, value)  # pyright: ignore
    new = ir.Node(
        native.domain, op_type or native.op_type, inputs, kept, num_outputs=len(node.results)
    )
    new.metadata_props.update(native.metadata_props)
    emitter.adopt(new, native.name or native.op_type, rule, native.name or "")
    for output, use in zip(new.outputs, node.results, strict=True):
        output.name = emitter.unique(f"{use.value.tensor.name or native.name}/moved")
    return list(new.outputs)


def _name(node: Node) -> str:
    native: ir.Node = node.natives[0]
    return native.name or native.op_type


def _contract(emitter: Emitter, node: Node, variant: Variant, inputs: Inputs) -> list[ir.Value]:
    if variant.tag == "conv":
        return _conv(emitter, node, variant, inputs)
    if variant.tag in ("kept", "native"):
        return _same_contract(emitter, node, variant, inputs)
    if variant.tag == "product":
        a, b = inputs[:2]
        swapped = bool(variant.detail)
        like = node.results[0].value
        pair = (b, a) if swapped else (a, b)
        return [emitter.op("MatMul", pair, {}, like=like, rule="matrix product", name=_name(node))]
    return _linear(emitter, node, variant, inputs)


def _same_contract(
    emitter: Emitter, node: Node, variant: Variant, inputs: Inputs
) -> list[ir.Value]:
    """The sum of products of a native node that had to be taken to its parts."""
    native: ir.Node = node.natives[0]
    attributes: dict[str, object] = {}
    drop: tuple[str, ...] = ()
    if native.op_type == "Conv":
        kernel = [_size(use_of(node, 1), group) for group in use_of(node, 1).form[2:]]
        strides = native.attributes.get("strides")
        if strides is not None:
            pairs = zip(strides.as_ints(), kernel, strict=True)
            attributes["strides"] = [1 if k == 1 else stride for stride, k in pairs]
    elif native.op_type == "Gemm":
        drop = ("alpha", "beta")
    bias = inputs[2] if len(inputs) > 2 else None
    direct = bias is None or len(variant.reads[2]) == 1
    values = inputs if direct else inputs[:2]
    held = clone(emitter, node, values, attributes, drop=drop)
    if direct:
        return held
    like = node.results[0].value
    emitter.shaped(held[0], like, variant.writes[0])
    return [emitter.op("Add", [held[0], bias], {}, like=like, rule="bias", name=_bias_name(node))]


def _data_and_weight(node: Node) -> tuple[int, int]:
    return (1, 0) if use_of(node, 0).value.derived else (0, 1)


def _conv(emitter: Emitter, node: Node, variant: Variant, inputs: Inputs) -> list[ir.Value]:
    """The weight is ``[out, in, *kernel]``; a kernel axis strides by its own size."""
    data, weight = _data_and_weight(node)
    w, form = use_of(node, weight), variant.reads[weight]
    x, x_form = use_of(node, data), variant.reads[data]
    kernel = [_size(w, group) for group in form[2:]]
    outer = [any(x.indices[axis] not in w.indices for axis in group) for group in x_form[2:]]
    groups = 1
    for axis, index in enumerate(w.indices):
        if index in x.indices and index in node.results[0].indices:
            groups *= w.value.sizes[axis].known or 1
    attributes = {
        "kernel_shape": kernel,
        "strides": [k if moves else 1 for k, moves in zip(kernel, outer, strict=True)],
        "group": groups,
    }
    values = [inputs[data], inputs[weight], *inputs[2:]]
    rule = "fully connected to convolution"
    like = node.results[0].value
    return [emitter.op("Conv", values, attributes, like=like, rule=rule, name=_name(node))]


def _size(use: Use, group: tuple[int, ...]) -> int:
    known = product([use.value.sizes[axis] for axis in group]).known
    assert known is not None, "the sizes of a weight are integers"
    return known


def _linear(emitter: Emitter, node: Node, variant: Variant, inputs: Inputs) -> list[ir.Value]:
    data, weight = _data_and_weight(node)
    like, rule = node.results[0].value, "convolution to fully connected"
    pair = [inputs[data], inputs[weight]]
    held = emitter.op("MatMul", pair, {}, like=like, rule=rule, name=_name(node))
    if len(inputs) > 2 and inputs[2] is not None:
        emitter.shaped(held, like, variant.writes[0])
        held = emitter.op(
            "Add", [held, inputs[2]], {}, like=like, rule="bias", name=_bias_name(node)
        )
    return [held]


def _bias_name(node: Node) -> str:
    native: ir.Node = node.natives[-1]
    return f"{_name(node)}/bias" if len(node.natives) == 1 else native.name or "bias"


def _pointwise(emitter: Emitter, node: Node, variant: Variant, inputs: Inputs) -> list[ir.Value]:
    native: ir.Node = node.natives[0]
    like = node.results[0].value
    if node.fn != "scale" and native.op_type not in ("Gemm", "ConvTranspose"):
        return clone(emitter, node, inputs)
    if node.fn == "scale":
        factor = node.attrs[0]
        assert isinstance(factor, float)
        dtype = native.outputs[0].dtype
        assert dtype is not None
        scalar = emitter.constants.scalar(factor, dtype)
        return [emitter.op("Mul", [inputs[0], scalar], {}, like=like, rule="Gemm's factor")]
    return [emitter.op("Add", inputs, {}, like=like, rule="bias")]


def _position(use: Use, form: Form, indices: Sequence[int]) -> int:
    """The position that holds exactly ``indices``; where there are none, the last of size 1."""
    wanted = tuple(indices)
    for place, group in reversed(list(enumerate(form))):
        if tuple(use.indices[axis] for axis in group) == wanted:
            return place
    raise AssertionError(f"no position for {wanted} in {form}")


def _along(emitter: Emitter, node: Node, variant: Variant, inputs: Inputs) -> list[ir.Value]:
    axis = _position(use_of(node, 0), variant.reads[0], node.along)
    if node.fn == "cumsum":
        return clone(emitter, node, [inputs[0], emitter.constants.integer(axis)])
    return clone(emitter, node, inputs, {"axis": axis})


def _reduce(emitter: Emitter, node: Node, variant: Variant, inputs: Inputs) -> list[ir.Value]:
    x, form = use_of(node, 0), variant.reads[0]
    gone = set(node.summed)
    axes = [n for n, group in enumerate(form) if group and x.indices[group[0]] in gone]
    keep = int(len(variant.writes[0]) == len(form))
    native: ir.Node = node.natives[0]
    if node.fn.startswith("arg"):
        return clone(emitter, node, inputs[:1], {"axis": axes[0], "keepdims": keep})
    op_type = native.op_type
    if op_type.startswith("Global"):
        op_type = "ReduceMean" if node.fn == "mean" else "ReduceMax"
    if emitter.opset >= _AXES_INPUT.get(op_type, _AXES_INPUT_DEFAULT):
        values = [inputs[0], emitter.constants.vector(tuple(axes))]
        return clone(emitter, node, values, {"keepdims": keep}, op_type=op_type, drop=("axes",))
    attributes: dict[str, object] = {"axes": axes, "keepdims": keep}
    return clone(emitter, node, inputs[:1], attributes, op_type=op_type)


def _axis(emitter: Emitter, node: Node, variant: Variant, inputs: Inputs) -> list[ir.Value]:
    return AXIS[node.fn](emitter, node, variant, inputs)


def _norm(emitter: Emitter, node: Node, variant: Variant, inputs: Inputs) -> list[ir.Value]:
    if variant.tag == "spelled":
        return spell_norm(emitter, node, variant, inputs)
    if node.fn in ("layer_norm", "rms_norm"):
        x, form = use_of(node, 0), variant.reads[0]
        along = set(node.along)
        first = next(
            (n for n, g in enumerate(form) if g and x.indices[g[0]] in along), len(form) - 1
        )
        return clone(emitter, node, inputs, {"axis": first - len(form)})
    return clone(emitter, node, inputs)


_TABLE: dict[Kind, Expression] = {
    Kind.ALONG: _along,
    Kind.AXIS: _axis,
    Kind.CONTRACT: _contract,
    Kind.NORM: _norm,
    Kind.POINTWISE: _pointwise,
    Kind.REDUCE: _reduce,
}
