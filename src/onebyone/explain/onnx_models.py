"""Small ONNX models in both forms, for the page that explains them: convolution and FC layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray
from onnx_ir.tape import Tape

Array = NDArray[np.float32]
# For annotations elsewhere: only files named ``onnx_*`` import onnx_ir.
IrModel = ir.Model
_OPSET = 20


def run(model: ir.Model, x: Array) -> Array:
    """Run a model of one input and one output in onnxruntime, on one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(
        ir.to_proto(model).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, {session.get_inputs()[0].name: x})[0])


def _model(x: ir.Value, y: ir.Value, tape: Tape, name: str) -> ir.Model:
    y.name, y.type = "y", ir.TensorType(ir.DataType.FLOAT)
    graph = ir.Graph(
        [x],
        [y],
        nodes=tape.nodes,
        initializers=tape.initializers,
        opset_imports={"": _OPSET},
        name=name,
    )
    return ir.Model(graph, ir_version=10)


def _input(shape: Sequence[int]) -> ir.Value:
    return ir.Value(name="x", shape=ir.Shape(shape), type=ir.TensorType(ir.DataType.FLOAT))


def _constant(tape: Tape, name: str, array: NDArray[Any]) -> ir.Value:
    return tape.initializer(ir.tensor(np.ascontiguousarray(array), name=name))


def single_layer(weight: Array, tokens: int, form: str) -> ir.Model:
    """One FC layer ``(N, K)`` over tokens, as ``MatMul`` or as a 1x1 ``Conv``.

    Args:
        weight: ``(N, K)``, float32.
        tokens: S.
        form: ``"linear"`` reads ``(S, K)``; ``"conv"`` reads ``(1, K, 1, S)``.

    Returns:
        The model.
    """
    tape = Tape()
    if form == "linear":
        x = _input((tokens, weight.shape[1]))
        y = tape.op("MatMul", [x, _constant(tape, "w", weight.T)])
    else:
        x = _input((1, weight.shape[1], 1, tokens))
        y = tape.op("Conv", [x, _constant(tape, "w", weight[:, :, None, None])])
    return _model(x, y, tape, form)


@dataclass(frozen=True)
class SmallNet:
    """A classifier on a ``(1, C, H, W)`` map: pointwise layer, ReLU, layer over all, softmax.

    Attributes:
        mix: ``(C, C)`` weight of the pointwise layer.
        mix_bias: ``(C,)``.
        head: ``(N, C, H, W)`` weight of the layer that reads the whole map.
        head_bias: ``(N,)``.
        flatten: the order in which the map is flattened for the head.
        bias_first: add ``mix_bias`` before the ReLU, as it should be.
        softmax_axis: of the ``(1, N)`` result.
    """

    mix: Array
    mix_bias: Array
    head: Array
    head_bias: Array
    flatten: str = field(default="CHW", kw_only=True)
    bias_first: bool = field(default=True, kw_only=True)
    softmax_axis: int = field(default=1, kw_only=True)

    def changed(self, **changes: Any) -> SmallNet:
        """A copy with some fields replaced."""
        return replace(self, **changes)

    def as_convolutions(self) -> ir.Model:
        """The net as a 1x1 and an HxW convolution: ``(1, C, H, W)`` to ``(1, N)``."""
        tape = Tape()
        x = _input((1, *self.head.shape[1:]))
        mixed = tape.op(
            "Conv",
            [
                x,
                _constant(tape, "mix", self.mix[:, :, None, None]),
                _constant(tape, "mix_bias", self.mix_bias),
            ],
        )
        hidden = tape.op("Relu", [mixed])
        scores = tape.op(
            "Conv",
            [
                hidden,
                _constant(tape, "head", self.head),
                _constant(tape, "head_bias", self.head_bias),
            ],
        )
        flat = tape.op("Flatten", [scores])
        y = tape.op("Softmax", [flat], attributes={"axis": self.softmax_axis})
        return _model(x, y, tape, "convolutions")

    def as_fc_layers(self) -> ir.Model:
        """The net as two FC layers, rows of pixels in between: ``(1, C, H, W)`` to ``(1, N)``."""
        tape = Tape()
        classes, channels, height, width = self.head.shape
        x = _input((1, channels, height, width))
        rows = tape.op("Transpose", [x], attributes={"perm": [0, 2, 3, 1]})
        mixed = tape.op("MatMul", [rows, _constant(tape, "mix", self.mix.T)])
        bias = _constant(tape, "mix_bias", self.mix_bias)
        if self.bias_first:
            hidden = tape.op("Relu", [tape.op("Add", [mixed, bias])])
        else:
            hidden = tape.op("Add", [tape.op("Relu", [mixed]), bias])
        if self.flatten == "CHW":
            hidden = tape.op("Transpose", [hidden], attributes={"perm": [0, 3, 1, 2]})
        flat = tape.op("Flatten", [hidden])
        head = _constant(tape, "head", self.head.reshape(classes, -1).T)
        scores = tape.op("MatMul", [flat, head])
        scores = tape.op("Add", [scores, _constant(tape, "head_bias", self.head_bias)])
        y = tape.op("Softmax", [scores], attributes={"axis": self.softmax_axis})
        return _model(x, y, tape, "fc_layers")
