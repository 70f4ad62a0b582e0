"""Versions of lower precision are other functions, and are called what they are."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

import onebyone
from onebyone.certify.narrowed import narrowed
from onebyone.dialects.onnx.run.model import OnnxModel
from tests.certify.models import Array, model, weight

SIGNATURE = "(float[4, 32] x) => (float[4, 16] y)"
W, V = weight(32, 64), weight(64, 16, seed=1)


def original() -> onnx.ModelProto:
    return model(SIGNATURE, "m = MatMul (x, w) r = Relu (m) y = MatMul (r, v)", w=W, v=V)


def half(w: Array, v: Array) -> onnx.ModelProto:
    body = """
        h = Cast <to = 10> (x) m = MatMul (h, w) r = Relu (m) n = MatMul (r, v)
        y = Cast <to = 1> (n)
    """
    return model(SIGNATURE, body, w=w.astype("f2"), v=v.astype("f2"))


def codes(w: Array) -> tuple[Array, Array]:
    step = np.abs(w).max(axis=0, keepdims=True) / 127
    return np.rint(w / step).astype("i1"), np.asarray(step, "f4").reshape(-1)


def quantized() -> onnx.ModelProto:
    """A scale for each column."""
    (q, s), (p, t) = codes(W), codes(V)
    body = """
        a = DequantizeLinear <axis = 1> (q, s) m = MatMul (x, a) r = Relu (m)
        b = DequantizeLinear <axis = 1> (p, t) y = MatMul (r, b)
    """
    return model(SIGNATURE, body, q=q, s=s, p=p, t=t)


def half_throughout() -> onnx.ModelProto:
    signature = "(float16[4, 32] x) => (float16[4, 16] y)"
    return model(signature, "m = MatMul (x, w) r = Relu (m) y = MatMul (r, v)",
                 w=W.astype("f2"), v=V.astype("f2"))  # fmt: skip


@pytest.mark.parametrize(
    ("second", "dtype"),
    [(half(W, V), "float16"), (half_throughout(), "float16"), (quantized(), "int8")],
    ids=["half", "half throughout", "codes"],
)
def test_a_version_of_lower_precision_is_named(second: onnx.ModelProto, dtype: str) -> None:
    certificate = onebyone.verify(original(), second)
    assert certificate.exit_code == 1
    assert certificate["rounding"].evidence["lower_precision"] == dtype
    assert f"lower precision: weights in {dtype}" in certificate["rounding"].summary
    assert "max error" in certificate["rounding"].summary


def test_other_weights_in_a_narrow_type_are_no_version() -> None:
    other = half(weight(32, 64, seed=7), V * 2)
    assert narrowed(OnnxModel(original()), OnnxModel(other)) == ""
    assert narrowed(OnnxModel(original()), OnnxModel(original())) == ""
    certificate = onebyone.verify(original(), other)
    assert certificate.exit_code == 1
    assert "lower precision" not in certificate["rounding"].summary
