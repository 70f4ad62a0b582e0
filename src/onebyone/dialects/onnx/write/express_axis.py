"""Slices, pads, gathers and the like at the positions that a form gives their axes."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onebyone.axes.graph import Node
from onebyone.dialects.onnx.write.build import Inputs, is_operator
from onebyone.dialects.onnx.write.context import Context
from onebyone.layout.solve import Variant
from onebyone.lower import places
from onebyone.lower.expressions import CanWrite, Row

_END = np.iinfo(np.int64).max


def _from(op_type: str) -> CanWrite:
    """Only the operator itself says all that it does."""
    return lambda node, alone: is_operator(node.natives[0], op_type)


def _slice(context: Context, node: Node, variant: Variant, inputs: Inputs) -> list[ir.Value]:
    axes = places.replaced(node, variant)
    if context.opset < 10:
        return context.build.clone(node, inputs, {"axes": axes})
    steps = inputs[4] if len(inputs) > 4 else None
    vector = context.constants.vector(tuple(axes))
    return context.build.clone(node, [*inputs[:3], vector, *([steps] if steps else [])])


def _subsample(context: Context, node: Node, variant: Variant, inputs: Inputs) -> list[ir.Value]:
    axes = places.replaced(node, variant)
    vector = context.constants.vector
    steps = node.attrs[2]
    assert isinstance(steps, tuple)
    count = len(axes)
    values = [
        inputs[0],
        vector((0,) * count),
        vector((_END,) * count),
        vector(tuple(axes)),
        vector(steps),
    ]
    rule = "stride of a pointwise convolution"
    return [context.build.op("Slice", values, like=node.results[0].value, rule=rule)]


def _concat(context: Context, node: Node, variant: Variant, inputs: Inputs) -> list[ir.Value]:
    return context.build.anew(node, "Concat", inputs, {"axis": places.joined(node, variant)})


def _split(context: Context, node: Node, variant: Variant, inputs: Inputs) -> list[ir.Value]:
    return context.build.clone(node, inputs, {"axis": places.joined(node, variant)})


def _gather(context: Context, node: Node, variant: Variant, inputs: Inputs) -> list[ir.Value]:
    return context.build.anew(node, "Gather", inputs, {"axis": places.gathered(node, variant)})


def _pad(context: Context, node: Node, variant: Variant, inputs: Inputs) -> list[ir.Value]:
    ends = places.pads(node, variant)
    pads = (*(before for before, _ in ends), *(after for _, after in ends))
    if context.opset < 11:
        return context.build.clone(node, inputs, {"pads": pads})
    fill = inputs[2] if len(inputs) > 2 else None
    vector = context.constants.vector(pads)
    return context.build.clone(node, [inputs[0], vector, *([fill] if fill else [])])


def _expand(context: Context, node: Node, variant: Variant, inputs: Inputs) -> list[ir.Value]:
    shape = places.shape(node.results[0].value, variant.writes[0])
    return context.build.anew(node, "Expand", [inputs[0], context.sizes.vector(shape)], {})


AXIS: dict[str, Row[Context, ir.Value]] = {
    "concat": Row(_concat),
    "expand": Row(_expand),
    "gather": Row(_gather),
    "pad": Row(_pad, _from("Pad")),
    "slice": Row(_slice, _from("Slice")),
    "split": Row(_split, _from("Split")),
    "subsample": Row(_subsample),
}
