"""Layer and RMS norms as their primitives, for layouts that the fused operator cannot read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import onnx_ir as ir

from onebyone.axes.graph import Form, Node, Value
from onebyone.layout.solve import Variant

if TYPE_CHECKING:
    from onebyone.dialects.onnx.write.writer import Emitter


def spell_norm(
    emitter: Emitter, node: Node, variant: Variant, inputs: Sequence[ir.Value | None]
) -> list[ir.Value]:
    """``(x - mean) / sqrt(mean((x - mean)^2) + epsilon) * scale + bias``; RMS leaves the mean.

    As the operator's specification has it, float16 and bfloat16 are normalised in float32.
    """
    use = node.operands[0]
    x = inputs[0]
    assert use is not None and x is not None
    form: Form = variant.reads[0]
    native: ir.Node = node.natives[0]
    value, own = use.value, native.outputs[0].dtype
    along = set(node.along)
    axes = [n for n, group in enumerate(form) if group and use.indices[group[0]] in along]
    step = _Steps(emitter, value, form, native.name or native.op_type)
    wide = own in (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
    compute = ir.DataType.FLOAT if wide or own is None else own
    if wide:
        x = step("Cast", [x], {"to": int(ir.DataType.FLOAT)})
    if node.fn == "layer_norm":
        x = step("Sub", [x, step.mean(x, axes)])
    square = step("Mul", [x, x])
    epsilon = node.attrs[0]
    assert isinstance(epsilon, float)
    shifted = step("Add", [step.mean(square, axes), emitter.constants.scalar(epsilon, compute)])
    out = step("Div", [x, step("Sqrt", [shifted])])
    if wide and own is not None:
        out = step("Cast", [out], {"to": int(own)})
    for op_type, parameter in zip(("Mul", "Add"), inputs[1:], strict=False):
        if parameter is not None:
            out = step(op_type, [out, parameter])
    return [out]


class _Steps:
    """Appends nodes named after the norm."""

    def __init__(self, emitter: Emitter, value: Value, form: Form, name: str) -> None:
        self.emitter, self.value, self.form, self.name = emitter, value, form, name

    def __call__(
        self, op_type: str, inputs: list[ir.Value], attributes: dict[str, object] | None = None
    ) -> ir.Value:
        name = f"{self.name}/{op_type}"
        return self.emitter.op(op_type, inputs, attributes or {}, rule="norm", name=name)

    def mean(self, x: ir.Value, axes: list[int]) -> ir.Value:
        """The mean over positions, which stay with size 1."""
        if self.emitter.opset >= 18:
            return self("ReduceMean", [x, self.emitter.constants.vector(tuple(axes))])
        return self("ReduceMean", [x], {"axes": axes})
