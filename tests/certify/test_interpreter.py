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

from onebyone.certify.modular import Field
from onebyone.certify.residues import drawn_primes
from onebyone.dialects.onnx.run.interpreter import Interpreter
from onebyone.kernels.arithmetic import Arithmetic, Float64
from onebyone.kernels.errors import ExecutionError, UnsupportedError
from onebyone.kernels.precision import native

PRIME = next(drawn_primes(0))

# Their expected output says that nothing divided by nothing is nothing, that the last element of a
# result lies a fraction before its end, or what float32 makes of a number halfway between two;
# ONNX Runtime says otherwise.
OWN_WAY = {
    "test_dynamicquantizelinear",
    "test_dynamicquantizelinear_expanded",
    "test_l2normalization_axis_0",
    "test_resize_downsample_scales_cubic_align_corners",
    "test_resize_downsample_scales_linear_align_corners",
}


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
            if any(x is None or isinstance(x, (list, dict)) for x in inputs):
                continue
            if any(isinstance(x, onnx.TensorProto) for x in (*inputs, *outputs)):
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
    assert right > 1390


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_every_operator_case_runs_in_the_field_with_the_right_shapes() -> None:
    wrong: list[str] = []
    ran = 0
    for case, _, got, outputs in understood(lambda: Field(PRIME), wrong):
        if [tuple(g.shape) for g in got.values()] != [np.shape(w) for w in outputs]:
            wrong.append(case.name)
        ran += 1
    assert not wrong
    assert ran > 1400


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
    ar = Field(PRIME)
    rng = np.random.default_rng(0)
    with pytest.raises(UnsupportedError, match="depends on the data"):
        Interpreter(model, ar).run({"x": ar.random((1,), rng), "v": ar.random((4,), rng)})


def run(text: str, **values: Any) -> Any:
    ar = Float64()
    inputs = {n: ar.constant(x) if x.dtype.kind == "f" else x for n, x in values.items()}
    return Interpreter(build(f'<ir_version: 10, opset_import: ["" : 21]> {text}'), ar).run(inputs)[
        "y"
    ]


@pytest.mark.parametrize("op", ["ReduceSum", "ReduceProd", "ReduceSumSquare", "ReduceL1"])
def test_integers_wrap_around(op: str) -> None:
    x = np.full((4, 3), 2**30 + 1, np.int32)
    expected = {
        "ReduceSum": np.int64(4 * (2**30 + 1)),
        "ReduceL1": np.int64(4 * (2**30 + 1)),
        "ReduceProd": np.int64(pow(2**30 + 1, 4, 2**32)),
        "ReduceSumSquare": np.int64(4 * (2**30 + 1) ** 2 % 2**32),
    }[op].astype(np.int32)
    got = run(f"""agraph (int32[4,3] x) => (int32[3] y) {{
        a = Constant <value_ints = [0]> ()
        y = {op} <keepdims = 0> (x, a)
    }}""", x=x)  # fmt: skip
    assert got.dtype == np.int32
    assert np.array_equal(got, np.full(3, expected))


def test_an_attribute_that_no_row_asks_for_is_refused() -> None:
    x = np.ones((1, 1, 4, 4))
    # Rows and columns of what MaxPool returns are told by no order of storage.
    assert run("""agraph (double[1,1,4,4] x) => (double[1,1,3,3] y) {
        y = MaxPool <kernel_shape = [2, 2], storage_order = 1> (x)
    }""", x=x).shape == (1, 1, 3, 3)  # fmt: skip
    with pytest.raises(UnsupportedError, match="Relu with slope"):
        run("agraph (double[2] x) => (double[2] y) { y = Relu <slope = 0.5> (x) }", x=np.ones(2))
    with pytest.raises(UnsupportedError, match="Add with axis"):
        Interpreter(
            build("""
                <ir_version: 3, opset_import: ["" : 6]>
                agraph (float[2,3] x, float[2] b) => (float[2,3] y) {
                    y = Add <broadcast = 1, axis = 0> (x, b)
                }
            """),
            Float64(),
        ).run({"x": np.ones((2, 3)), "b": np.ones(3)})


def test_a_product_of_integers_has_no_fractions() -> None:
    a = np.eye(2, dtype=np.int32)
    text = "agraph (int32[2,2] a) => (int32[2,2] y) {{ y = Gemm <alpha = {}> (a, a) }}"
    assert np.array_equal(run(text.format("3.0"), a=a), 3 * a)
    with pytest.raises(UnsupportedError, match="fractions"):
        run(text.format("0.5"), a=a)


def test_a_cast_to_eight_bits_is_a_function_of_its_own() -> None:
    # Beyond 448 the numbers of FLOAT8E4M3FN end; between 16 and 32 they are 2 apart.
    text = """agraph (double[3] x) => (float[3] y) {{
        z = Cast <to = 17, saturate = {}> (x)
        y = Cast <to = 1> (z)
    }}"""
    x = np.array([17.5, -1e6, np.inf])
    assert np.array_equal(run(text.format(1), x=x), [18.0, -448.0, 448.0])
    assert np.array_equal(run(text.format(0), x=x), [18.0, np.nan, np.nan], equal_nan=True)
    ar = Field(PRIME)
    x = ar.random((3,), np.random.default_rng(0))
    outs = [
        Interpreter(build(f'<ir_version: 10, opset_import: ["" : 21]> {text.format(n)}'), ar)
        .run({"x": x})["y"]
        .residue
        for n in (0, 1)
    ]
    assert not np.any(outs[0] == x.residue)
    assert not np.any(outs[0] == outs[1])


def test_a_bound_of_doubles_may_lie_beyond_float32() -> None:
    text = """agraph ({0}[1] x) => ({0}[1] y) {{
        low = Constant <value = {0}[1] {{0.0}}> ()
        high = Constant <value = {0}[1] {{3.4028234e38}}> ()
        y = Clip (x, low, high)
    }}"""
    x = np.array([1e39])
    assert run(text.format("double"), x=x)[0] == 3.4028234e38
    assert run(text.format("float"), x=x)[0] == 1e39


def test_what_the_runtime_writes_out_is_understood() -> None:
    text = """
        <ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>
        agraph (double[2,2,3] x) => (double[2,2,2] y) {{
            y = com.microsoft.FusedMatMul <
                alpha = 0.5, transA = 0, transB = 1, transBatchA = 0, transBatchB = {}> (x, x)
        }}"""
    x = np.arange(12.0).reshape(2, 2, 3)
    got = Interpreter(build(text.format(0)), Float64()).run({"x": x})["y"]
    assert np.allclose(got, 0.5 * x @ x.swapaxes(1, 2))
    # The first axis is the last but one before the last two are exchanged.
    got = Interpreter(build(text.format(1)), Float64()).run({"x": x})["y"]
    assert np.allclose(got, 0.5 * x @ x.transpose(1, 2, 0))


def test_what_a_row_does_not_understand_runs_through_the_official_body() -> None:
    got = run("""agraph (int32[5] x) => (int32[5] y) {
        y = Shrink <lambd = 1.0, bias = 1.0> (x)
    }""", x=np.array([-3, -1, 0, 1, 3], np.int32))  # fmt: skip
    assert np.array_equal(got, [-2, 0, 0, 0, 2])


def test_a_logarithm_of_exponentials_reaches_far_down_without_a_warning() -> None:
    x = np.array([[-1e3, 0.0, 1e3], [-np.inf, -np.inf, -np.inf]])
    text = "agraph (double[2,3] x) => (double[2,n] y) {{ y = {} (x) }}"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        below = run(text.format("LogSoftmax <axis = 1>"), x=x)
        total = run(text.format("ReduceLogSumExp <keepdims = 1, axes = [1]>"), x=x)
    assert np.array_equal(below[0], [-2000.0, -1000.0, 0.0]) and np.isnan(below[1]).all()
    assert np.array_equal(total, [[1000.0], [-np.inf]])
