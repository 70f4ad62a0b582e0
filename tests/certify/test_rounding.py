"""The runtime's errors against float64 truth, and a bound that is neither broken nor blind."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from onebyone.certify import rounding
from onebyone.certify.certificate import Finding, Verdict
from onebyone.certify.inputs import pair
from onebyone.dialects.onnx.run.model import OnnxModel
from onebyone.kernels.arithmetic import Float64, sum_ulps
from tests.certify.models import Array, program, weight

SIGNATURE = "(float[4, n] x) => (float[4, k] y)"


def check(a: OnnxModel, b: OnnxModel, **given: Array) -> Finding:
    return rounding.check(a, b, pair(a, b), given)


def product(w: Array) -> OnnxModel:
    return program(SIGNATURE, "y = MatMul (x, w)", w=w)


@pytest.mark.parametrize("length", [1, 16, 1024, 16384])
def test_the_bound_covers_float32_sums_of_any_length(length: int) -> None:
    answer = check(product(weight(length, 4)), product(weight(length, 4)),
                   x=weight(4, length, seed=5))  # fmt: skip
    assert answer.verdict is Verdict.PROVED, answer.summary
    errors = answer.evidence["outputs"]["y"]
    # It is no blank cheque either: below what a float32 sum of this length can lose at all, its
    # sum of magnitudes taken for the product of the two vectors' lengths.
    rows = np.linalg.norm(weight(4, length, seed=5).astype(float), axis=1, keepdims=True)
    scale = float(np.max(rows * np.linalg.norm(weight(length, 4).astype(float), axis=0)))
    assert errors["bound"] <= 8 * sum_ulps(length) * 2.0**-24 * scale


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_bound_follows_the_dtype(dtype: str) -> None:
    number = {"float16": "float16", "float32": "float", "float64": "double"}[dtype]
    signature = f"({number}[4, 64] x) => ({number}[4, 8] y)"
    one = program(signature, "m = MatMul (x, w) y = Tanh (m)", w=weight(64, 8, dtype=dtype))
    answer = check(one, one)
    assert answer.verdict is Verdict.PROVED, answer.summary
    bound = answer.evidence["outputs"]["y"]["bound"]
    unit = {"float16": 2.0**-11, "float32": 2.0**-24, "float64": 2.0**-53}[dtype]
    assert 8 * unit < bound < 8 * 100 * 64 * unit


def test_an_error_beyond_the_bound_is_a_difference_with_an_input() -> None:
    w = weight(64, 8)
    other = w.copy()
    other[3, 2] += 0.01
    answer = check(product(w), product(other), x=weight(4, 64, seed=2))
    assert answer.verdict is Verdict.DIFFERS
    assert answer.witness is not None
    assert answer.witness.kind == "input"
    assert "rounding explains" in answer.witness.why


def test_rounding_weights_to_float32_is_no_difference() -> None:
    """One unit in the last place of every weight is what the bound must swallow."""
    w = weight(64, 8)
    answer = check(product(w), product(np.nextafter(w, np.float32(9))), x=weight(4, 64, seed=2))
    assert answer.verdict is Verdict.PROVED


def test_a_model_that_no_longer_runs_is_a_difference() -> None:
    one = program("(float[4, 6] x) => (float[a, b] y)", "y = Reshape (x, s)", s=np.array([6, 4]))
    other = program("(float[4, 6] x) => (float[a, b] y)", "y = Reshape (x, s)", s=np.array([5, 4]))
    answer = check(one, other)
    assert answer.verdict is Verdict.DIFFERS
    assert answer.witness is not None
    assert answer.witness.kind == "failure"
    assert check(other, one).verdict is Verdict.UNDECIDED


def test_nothing_is_said_of_outputs_that_are_not_finite_or_empty() -> None:
    logs = program("(float[4] x) => (float[4] y)", "y = Log (x)")
    assert check(logs, logs, x=-np.ones(4, "f4")).verdict is Verdict.UNDECIDED
    empty = program("(float[0, 2] x) => (float[0, 2] y)", "y = Relu (x)")
    answer = check(empty, empty)
    assert answer.verdict is Verdict.UNDECIDED
    assert "no elements" in answer.summary


def test_a_runtime_without_the_operator_leaves_it_undecided() -> None:
    one = program("(bfloat16[4] x) => (bfloat16[4] y)", "y = Erf (x)")
    assert check(one, one).verdict is Verdict.UNDECIDED


def test_a_crash_of_the_runtime_is_an_answer() -> None:
    proto = onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["" : 18]>
        agraph (float[2, 12, 32] x, float[2, 12, 32] z, float[32] w) => (float[2, 12, 32] y) {
            s = Add (x, z)
            y = LayerNormalization <axis = -1> (s, w, )
        }
    """)
    # An empty third input, which this runtime's fusion of Add and norm reads all the same.
    del proto.graph.node[1].input[2:]
    proto.graph.node[1].input.append("")
    one = OnnxModel(proto)
    assert check(one, one).verdict in (Verdict.PROVED, Verdict.UNDECIDED)
    # Whatever happened, the next question is answered.
    assert check(product(weight(6, 4)), product(weight(6, 4))).verdict is Verdict.PROVED


def test_noise_has_the_size_of_the_unit_and_no_bias() -> None:
    ar = Float64(np.random.default_rng(0), unit=2.0**-10)
    a, b = weight(300, 40).astype(float), weight(40, 300).astype(float)
    error = ar.matmul(a, b) - a @ b
    size = sum_ulps(40) * 2.0**-10 * (np.abs(a) @ np.abs(b))
    assert np.all(np.abs(error) <= size)
    assert np.max(np.abs(error) / size) > 0.99
    # The mean of 90,000 uniform draws: five standard deviations of 1/sqrt(3 * 90,000).
    assert abs(float(np.mean(error / size))) < 5 / np.sqrt(3 * 90_000)
