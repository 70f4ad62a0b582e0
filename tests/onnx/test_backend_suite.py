"""onnx's own backend suite: what onnxruntime computes right, it computes right after conversion."""

from __future__ import annotations

import functools
import logging
import warnings
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnx.backend.test
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import numpy_helper

import onebyone
from onebyone.dialects.onnx.run.interpreter import Interpreter
from onebyone.dialects.onnx.semantics import OPERATORS
from onebyone.kernels.arithmetic import Float64
from onebyone.kernels.precision import native
from tests.rounding import assert_close, relative_bound

BATCHES = 24
DATA = Path(onnx.backend.test.__file__).parent / "data"
FOLDERS = sorted(p.parent for p in DATA.glob("*/*/model.onnx"))
LIGHT = sorted((DATA / "light").glob("*.onnx"))


@functools.cache
def node_cases() -> list[Any]:
    # They warn about overflows and the like that they test on purpose.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        return collect_testcases(None)


@functools.cache
def options() -> ort.SessionOptions:
    result = ort.SessionOptions()
    result.intra_op_num_threads = 1
    result.log_severity_level = 4
    return result


def run(model: onnx.ModelProto, inputs: list[Any]) -> list[Any]:
    session = ort.InferenceSession(model.SerializeToString(), options())
    names = [value.name for value in session.get_inputs()]
    return session.run(None, dict(zip(names, inputs, strict=False)))


def agrees(actual: Any, expected: Any, rtol: float, atol: float) -> bool:
    if isinstance(expected, list):
        return len(actual) == len(expected) and all(
            agrees(a, b, rtol, atol) for a, b in zip(actual, expected, strict=True)
        )
    if expected is None or actual is None:
        return actual is expected
    a, b = np.asarray(actual), np.asarray(expected)
    if a.shape != b.shape:
        return False
    if b.dtype.kind in "OSU":
        return bool((a.astype(str) == b.astype(str)).all())
    return bool(
        np.allclose(a.astype(np.float64), b.astype(np.float64), rtol, atol, equal_nan=True)
        if b.dtype.kind not in "c"
        else np.allclose(a, b, rtol, atol, equal_nan=True)
    )


def works(model: onnx.ModelProto, sets: list[Any], rtol: float, atol: float) -> bool:
    """Whether onnxruntime runs the model and gives the expected outputs."""
    try:
        return all(agrees(run(model, list(i)), list(o), rtol, atol) for i, o in sets)
    except Exception:
        return False


def changed(before: onnx.ModelProto, after: onnx.ModelProto) -> bool:
    same = ir.to_proto(ir.from_proto(before))
    return same.graph != after.graph or same.functions != after.functions


def check(
    name: str, model: onnx.ModelProto, sets: list[Any], rtol: float, atol: float
) -> tuple[int, int]:
    """Convert both ways; returns how many results differ from the original, and were run."""
    differing = ran = 0
    for to in ("conv", "linear"):
        before = model.SerializeToString()
        result = ir.to_proto(onebyone.convert(model, to).model)
        assert model.SerializeToString() == before, f"{name}: --to {to} altered the caller's model"
        if not changed(model, result):
            continue
        differing += 1
        if works(model, sets, rtol, atol):
            ran += 1
            assert works(result, sets, rtol, atol), f"{name}: wrong after --to {to}"
    return differing, ran


@pytest.mark.parametrize("batch", range(BATCHES))
def test_node_cases(batch: int) -> None:
    logging.disable(logging.WARNING)
    try:
        for case in node_cases()[batch::BATCHES]:
            check(case.name, case.model, case.data_sets, case.rtol, case.atol)
    finally:
        logging.disable(logging.NOTSET)


def test_the_suite_is_whole_and_meets_the_engine() -> None:
    """Guards against a suite that compares nothing: known cases must be rewritten and run."""
    assert len(node_cases()) > 1500
    by_name = {case.name: case for case in node_cases()}
    for name in ("test_gemm_all_attributes", "test_matmul_2d"):
        case = by_name[name]
        assert works(case.model, case.data_sets, case.rtol, case.atol)
    # Weights are inputs there: made constants, they are FC layers.
    case = by_name["test_gemm_all_attributes"]
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    (values, expected) = case.data_sets[0]
    for value, array in list(zip(model.graph.input, values, strict=True))[1:]:
        model.graph.initializer.append(numpy_helper.from_array(array, value.name))
    del model.graph.input[1:]
    assert check(case.name, model, [(values[:1], expected)], case.rtol, case.atol) == (2, 2)


def with_constants(model: onnx.ModelProto, values: list[Any]) -> onnx.ModelProto | None:
    """All inputs but the first as initializers: operands become weights."""
    if len(model.graph.input) < 2 or len(values) != len(model.graph.input):
        return None
    if not all(isinstance(v, np.ndarray) and v.dtype.kind in "fiub" for v in values):
        return None
    result = onnx.ModelProto()
    result.CopyFrom(model)
    for value, array in list(zip(model.graph.input, values, strict=True))[1:]:
        result.graph.initializer.append(numpy_helper.from_array(array, value.name))
    del result.graph.input[1:]
    return result


@pytest.mark.parametrize("batch", range(4))
def test_cases_with_constant_operands(batch: int) -> None:
    """The cases of contractions, norms and layouts again, their second operands as weights."""
    prefixes = ("matmul", "gemm", "conv", "einsum", "add", "mul", "layer_norm", "reshape", "where")
    tags = tuple(f"test_{prefix}" for prefix in prefixes)
    cases = [c for c in node_cases() if c.name.startswith(tags)]
    ran = 0
    for case in cases[batch::4]:
        values, expected = case.data_sets[0]
        model = with_constants(case.model, list(values))
        if model is not None:
            sets = [(list(values)[:1], expected)]
            ran += check(case.name, model, sets, case.rtol, case.atol)[1]
    assert ran > 3


# Operators that have no row in the interpreter, with the number of their cases.
THROUGH_BODIES = {
    "affine_grid": 4,
    "attention": 93,
    "blackmanwindow": 2,
    "causal_conv": 13,
    "center_crop_pad": 6,
    "hammingwindow": 2,
    "hannwindow": 2,
    "linear_attention": 14,
    "nllloss": 18,
    "rotary_embedding": 8,
    "sce": 34,
    "swiglu": 3,
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("operator", THROUGH_BODIES)
def test_official_bodies_give_the_official_outputs(operator: str) -> None:
    """The interpreter in float64, against outputs that were computed another way."""
    right = 0
    for case in node_cases():
        model = case.model
        types = {node.op_type for node in model.graph.node}
        if not case.name.startswith(f"test_{operator}") or len(types) != 1:
            continue  # another operator, or the body written out
        if any(("", name) in OPERATORS for name in types):
            continue
        for inputs, outputs in case.data_sets:
            arrays = [native(np.asarray(x)) for x in inputs]
            names = [value.name for value in model.graph.input]
            given = dict(zip(names, arrays, strict=False))
            got = Interpreter(ir.from_proto(model), Float64()).run(given)
            for actual, expected in zip(got.values(), outputs, strict=True):
                # Computed in the case's own type, with a handful of roundings.
                array = np.asarray(expected)
                exact = array.dtype.kind in "biu"
                bound = 0.0 if exact else 8 * float(ml_dtypes.finfo(array.dtype).eps)
                assert agrees(actual, array, max(bound, case.rtol), bound), case.name
            right += 1
    assert right == THROUGH_BODIES[operator]


@pytest.mark.parametrize("part", range(4))
def test_stored_models(part: int) -> None:
    ran = 0
    for folder in FOLDERS[part::4]:
        model = onnx.load(folder / "model.onnx")
        sets = []
        for data in sorted(folder.glob("test_data_set_*")):
            sides = []
            for side in ("input", "output"):
                files = sorted(data.glob(f"{side}_*.pb"), key=lambda p: int(p.stem.split("_")[1]))
                sides.append([read(path) for path in files])
            sets.append(tuple(sides))
        # 1e-3 is the tolerance of onnx's own runner for these files.
        ran += check(folder.name, model, sets, 1e-3, 1e-7)[1]
    assert ran > 5


def read(path: Path) -> Any:
    data = path.read_bytes()
    try:
        return numpy_helper.to_array(onnx.TensorProto.FromString(data))
    except Exception:
        return None  # a sequence or an optional: the case is not compared


@pytest.mark.parametrize("path", LIGHT, ids=[p.stem for p in LIGHT])
def test_light_networks(path: Path) -> None:
    """Whole networks of the first years of ONNX. Their weights are computed, and stay."""
    model = onnx.load(path)
    image = np.random.default_rng(0).standard_normal((1, 3, 224, 224)).astype(np.float32)
    for to in ("conv", "linear"):
        conversion = onebyone.convert(path, to)
        assert not any(layer.status == "converted" for layer in conversion.report.layers)
        result = ir.to_proto(conversion.model)
        if changed(model, result):
            assert_close(run(result, [image]), run(model, [image]), relative_bound(model))


@pytest.mark.parametrize("name", ["squeezenet", "shufflenet", "inception_v1"])
def test_light_networks_with_weights(name: str) -> None:
    """The same networks with random weights in place of the computed ones."""
    model = onnx.load(DATA / "light" / f"light_{name}.onnx")
    bake(model)
    image = np.random.default_rng(1).standard_normal((1, 3, 224, 224)).astype(np.float32)
    expected = run(model, [image])
    conversion = onebyone.convert(model, "linear")
    assert sum(layer.status == "converted" for layer in conversion.report.layers) > 9
    result = ir.to_proto(conversion.model)
    assert_close(run(result, [image]), expected, relative_bound(model))


def bake(model: onnx.ModelProto) -> None:
    """Replace each ConstantOfShape by random numbers that keep activations of order 1."""
    rng = np.random.default_rng(0)
    shapes = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    for node in [n for n in model.graph.node if n.op_type == "ConstantOfShape"]:
        shape = shapes[node.input[0]].tolist()
        fan_in = max(1, int(np.prod(shape[1:])))
        weight = (
            rng.standard_normal(shape) * np.sqrt(2 / fan_in)
            if len(shape) > 1
            else (0.5 + rng.random(shape))
        )
        model.graph.initializer.append(
            numpy_helper.from_array(weight.astype(np.float32), node.output[0])
        )
        model.graph.node.remove(node)
