"""Quantized operators against what they stand for, and types that must not be confused."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper as h
from onnx import numpy_helper

from tests.onnx.agreement import exit_code, field_verdict, parsed

_SCALES = {"s": np.float32(0.5), "t": np.float32(0.25), "u": np.float32(64)}
_ZEROS = {"a": np.uint8(7), "b": np.int8(-3), "c": np.uint8(30), "o": np.uint8(0)}
_IN = "uint8[2,4] x, int8[4,3] w"
_DQ = "xf = DequantizeLinear (x, s, a)  wf = DequantizeLinear (w, t, b)"
_SCALED = "f = Cast <to: int = 1> (i)  st = Mul (s, t)  y = Mul (f, st)"
_PAIRS = {
    "a product": (
        _IN, "uint8[2,3] y", "y = QLinearMatMul (x, s, a, w, t, b, u, c)",
        f"{_DQ} yf = MatMul (xf, wf)  y = QuantizeLinear (yf, u, c)",
        f"{_DQ} yf = MatMul (xf, wf)  y = QuantizeLinear (yf, s, c)",
    ),
    "a product in integers": (
        _IN, "float[2,3] y",
        f"i = MatMulInteger (x, w, a, b)  {_SCALED}",
        f"{_DQ} y = MatMul (xf, wf)",
        f"i = MatMulInteger (x, w, a)  {_SCALED}",
    ),
    "a convolution": (
        "uint8[1,4,5,5] x, int8[2,4,3,3] w", "uint8[1,2,3,3] y",
        "y = QLinearConv (x, s, a, w, t, b, u, c)",
        f"{_DQ} yf = Conv (xf, wf)  y = QuantizeLinear (yf, u, c)",
        f"{_DQ} yf = Conv (xf, wf)  y = QuantizeLinear (yf, u, a)",
    ),
    "a Relu before a grid without negative numbers": (
        "float[2,4] x", "uint8[2,4] y", "r = Relu (x)  y = QuantizeLinear (r, s, o)",
        "y = QuantizeLinear (x, s, o)", "y = QuantizeLinear (x, s, a)",
    ),
    "there and back": (
        "float[2,4] x", "float[2,4] y",
        "q = QuantizeLinear (x, s, a)  y = DequantizeLinear (q, s, a)",
        """d = Div (x, s)  one = Constant <value_float: float = 1.0> ()
           q = QuantizeLinear (d, one, a)  y = DequantizeLinear (q, s, a)""",
        "q = QuantizeLinear (x, s, c)  y = DequantizeLinear (q, s, c)",
    ),
}  # fmt: skip


def _model(inputs: str, outputs: str, body: str, opset: int = 21) -> onnx.ModelProto:
    model = parsed(inputs, outputs, " ".join(body.split()), opset)
    read = {name for node in model.graph.node for name in node.input}
    for name, value in {**_SCALES, **_ZEROS}.items():
        if name in read:
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    return model


@pytest.mark.parametrize("name", _PAIRS)
def test_a_quantized_operator_is_what_it_stands_for(name: str) -> None:
    inputs, outputs, first, second, third = _PAIRS[name]
    a, b, other = (_model(inputs, outputs, body) for body in (first, second, third))
    assert field_verdict(a, b) == "proved"
    assert exit_code(a, other) != 0
    assert exit_code(b, other) != 0


def _to(kind: int) -> onnx.ModelProto:
    model = _model(
        "float[2,4] x", "float[2,4] y",
        "q = QuantizeLinear (x, s, z)  y = DequantizeLinear (q, s, z)",
    )  # fmt: skip
    zero = h.make_tensor("z", kind, [], [0])
    model.graph.initializer.append(zero)
    return model


def test_four_bits_are_not_eight() -> None:
    first, second = _to(onnx.TensorProto.INT8), _to(onnx.TensorProto.INT4)
    assert field_verdict(first, first) == field_verdict(second, second) == "proved"
    assert exit_code(first, second) != 0


def test_weights_of_few_bits_are_those_that_they_stand_for() -> None:
    rng = np.random.default_rng(0)
    packed = rng.integers(0, 256, (3, 2, 8)).astype(np.uint8)
    scales = rng.uniform(0.5, 2, (3, 2)).astype(np.float32)
    body = """y = com.microsoft.MatMulNBits
        <bits: int = 4, block_size: int = 16, K: int = 32, N: int = 3> (x, p, r)"""
    model = _model("float[2,32] x", "float[2,3] y", body)
    for name, value in (("p", packed), ("r", scales)):
        model.graph.initializer.append(numpy_helper.from_array(value, name))
    numbers = np.stack([packed & 15, packed >> 4], -1).reshape(3, 32).astype(np.float64) - 8
    weight = (numbers * np.repeat(scales, 16, 1)).astype(np.float32).T
    plain = _model("float[2,32] x", "float[2,3] y", "y = MatMul (x, v)")
    plain.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(weight), "v"))
    short = weight.astype(np.float16).astype(np.float32)
    other = _model("float[2,32] x", "float[2,3] y", "y = MatMul (x, v)")
    other.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(short), "v"))
    assert exit_code(model, other) != 0
    assert exit_code(model, plain) != 1
