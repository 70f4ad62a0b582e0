"""The interpreter against the expected outputs of ONNX's own operator tests."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from onebyone.certify.modular import PRIMES, Field
from onebyone.dialects.onnx.run.interpreter import Interpreter
from onebyone.kernels.arithmetic import Arithmetic, Float64
from onebyone.kernels.errors import ExecutionError, UnsupportedError
from onebyone.kernels.precision import native

# Its expected output says that nothing divided by nothing is nothing.
OWN_WAY = {"test_l2normalization_axis_0"}


@functools.cache
def cases() -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        return collect_testcases(None)


def understood(
    make: Any, wrong: list[str]
) -> Iterator[tuple[Any, Arithmetic, dict[str, Any], list[Any]]]:
    """Each case that runs: the case, its arithmetic, the outputs, the expected outputs."""
    for case in cases():
        try:
            model = ir.from_proto(case.model)
        except (ValueError, TypeError, KeyError, ir.serde.SerdeError):
            continue
        for inputs, outputs in case.data_sets:
            if any(x is None or isinstance(x, (list, dict, onnx.TensorProto)) for x in inputs):
                continue
            ar = make()
            values: dict[str, Any] = {}
            for value, x in zip(model.graph.inputs, inputs, strict=False):
                array = native(np.asarray(x))
                values[value.name or ""] = ar.constant(array) if array.dtype.kind == "f" else array
            try:
                yield case, ar, Interpreter(model, ar).run(values), outputs
            except UnsupportedError:
                continue
            except ExecutionError as error:
                wrong.append(f"{case.name}: {error}")


def agrees(got: Any, want: Any, case: Any) -> bool:
    """Within the case's own tolerance: its expected output was rounded to its dtype."""
    expected = native(np.asarray(want))
    if got.shape != expected.shape:
        return False
    if expected.dtype.kind != "f":
        return bool(np.array_equal(got, expected))
    coarse = "bf16" in case.name or "bfloat16" in case.name
    # bfloat16 keeps 8 bits; the expected output of a chain loses a few roundings of them.
    relative = 2.0**-6 if coarse else max(case.rtol, 1e-3)
    absolute = relative if coarse else max(case.atol, 1e-5)
    return bool(np.allclose(got, expected, relative, absolute, equal_nan=True))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_every_operator_case_that_is_understood_gives_the_expected_output() -> None:
    wrong: list[str] = []
    right = 0
    for case, _, got, outputs in understood(Float64, wrong):
        same = all(agrees(g, w, case) for g, w in zip(got.values(), outputs, strict=True))
        if same or case.name in OWN_WAY:
            right += 1
        else:
            wrong.append(case.name)
    assert not wrong
    assert right > 1100


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_every_operator_case_runs_in_the_field_with_the_right_shapes() -> None:
    wrong: list[str] = []
    ran = 0
    for case, _, got, outputs in understood(lambda: Field(*PRIMES[0]), wrong):
        if [tuple(g.shape) for g in got.values()] != [np.shape(w) for w in outputs]:
            wrong.append(case.name)
        ran += 1
    assert not wrong
    assert ran > 1000


def build(text: str) -> ir.Model:
    return ir.from_proto(onnx.parser.parse_model(text))


def test_control_flow_and_functions() -> None:
    model = build("""
        <ir_version: 8, opset_import: ["" : 17, "own" : 1]>
        agraph (float[3] x, bool c) => (float[3] y) {
            n = Constant <value_int: int = 3> ()
            t = Constant <value = bool {1}> ()
            z = Loop (n, t, x) <body = body (int64 i, bool g, float[3] s) => (bool h, float[3] u) {
                h = Identity (g)
                u = own.twice (s)
            }>
            y = If (c) <
                then_branch = yes () => (float[3] a) { a = Neg (z) },
                else_branch = no () => (float[3] b) { b = Identity (z) }>
        }
        <domain: "own", opset_import: ["" : 17]>
        twice (v) => (w) { w = Add (v, v) }
    """)
    x = np.array([1.0, 2.0, 3.0])
    for c, sign in ((True, -1), (False, 1)):
        got = Interpreter(model, Float64()).run({"x": x, "c": np.array(c)})
        assert np.array_equal(got["y"], sign * 8 * x)


def test_an_unknown_operator_and_a_bad_shape_are_named() -> None:
    unknown = build("""
        <ir_version: 8, opset_import: ["" : 17, "acme" : 1]>
        agraph (float[3] x) => (float[3] y) { y = acme.Magic (x) }
    """)
    with pytest.raises(UnsupportedError, match=r"acme\.Magic"):
        Interpreter(unknown, Float64()).run({"x": np.zeros(3)})
    wrong = build("""
        <ir_version: 8, opset_import: ["" : 17]>
        agraph (float[3] x, float[2] z) => (float[3] y) { y = Add (x, z) }
    """)
    with pytest.raises(ExecutionError, match=r"Add 'y'"):
        Interpreter(wrong, Float64()).run({"x": np.zeros(3), "z": np.zeros(2)})


def test_data_dependent_shapes_are_refused_in_the_field_only() -> None:
    model = build("""
        <ir_version: 8, opset_import: ["" : 17]>
        agraph (float[1] x, float[4] v) => (float[n] y) {
            n = Cast <to = 7> (x)
            z = Constant <value_ints = [0]> ()
            y = Slice (v, z, n)
        }
    """)
    inputs = {"x": np.array([2.0]), "v": np.arange(4.0)}
    assert Interpreter(model, Float64()).run(inputs)["y"].shape == (2,)
    ar = Field(*PRIMES[0])
    rng = np.random.default_rng(0)
    with pytest.raises(UnsupportedError, match="depends on the data"):
        Interpreter(model, ar).run({"x": ar.random((1,), rng), "v": ar.random((4,), rng)})
