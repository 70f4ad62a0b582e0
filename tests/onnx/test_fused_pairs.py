"""What the runtime's fused operators stand for, spelled out: proved equal; a change is seen."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper

from onebyone.dialects.onnx.semantics.blocked import block_size
from onebyone.kernels.errors import UnsupportedError
from tests.onnx.agreement import exit_code, field_verdict, parsed

_X = "float[2,3,8] x, float[2,3,8] s, float[8] g, float[8] b, float[8] c"
_NORM = "LayerNormalization <epsilon: float = 0.1, axis: int = -1>"
_SKIP = "com.microsoft.SkipLayerNormalization"
_SKIP_RMS = "com.microsoft.SkipSimplifiedLayerNormalization"
_ATTENTION = "float[2,3,8] q, float[2,3,8] k, float[2,3,8] v"
_HEADS = """
    h = Constant <value_ints: ints = [0, 0, 2, 4]> ()
    a = Reshape (q, h)  d = Reshape (k, h)  e = Reshape (v, h)
    qh = Transpose <perm: ints = [0, 2, 1, 3]> (a)
    kh = Transpose <perm: ints = [0, 2, 3, 1]> (d)
    vh = Transpose <perm: ints = [0, 2, 1, 3]> (e)
    half = Constant <value_float: float = 0.5> ()
    t = MatMul (qh, kh)
    scores = Mul (t, half)
"""
_MERGED = """
    oh = MatMul (p, vh)
    o = Transpose <perm: ints = [0, 2, 1, 3]> (oh)
    m = Constant <value_ints: ints = [0, 0, 8]> ()
    y = Reshape (o, m)
"""
_MHA = "com.microsoft.MultiHeadAttention <num_heads: int = 2>"
_SKIPPED = "sum = Add (x, s)  all = Add (sum, c)"

# Inputs, the fused form, the same spelled out, and another function of the same ports.
PAIRS = {
    "skip norm": (
        _X, f"y = {_SKIP} <epsilon: float = 0.1> (x, s, g, b, c)",
        f"{_SKIPPED} y = {_NORM} (all, g, b)",
        f"{_SKIPPED} y = LayerNormalization <epsilon: float = 0.2, axis: int = -1> (all, g, b)",
    ),
    "skip rms norm": (
        _X, f"y = {_SKIP_RMS} <epsilon: float = 0.1> (x, s, g, c)",
        f"""{_SKIPPED} e = Constant <value_float: float = 0.1> ()
            sq = Mul (all, all)  n = ReduceMean <keepdims: int = 1> (sq, last)
            last = Constant <value_ints: ints = [-1]> ()
            f = Add (n, e)  r = Sqrt (f)  d = Div (all, r)  y = Mul (d, g)""",
        f"y = {_SKIP_RMS} <epsilon: float = 0.2> (x, s, g, c)",
    ),
    "bias gelu": (
        _X, "y = com.microsoft.BiasGelu (x, b)", "z = Add (x, b)  y = Gelu (z)",
        'z = Add (x, b)  y = Gelu <approximate: string = "tanh"> (z)',
    ),
    "fused product": (
        "float[3,4] x, float[4,5] w, float[5] b",
        """y = com.microsoft.FusedGemm
            <activation: string = "LeakyRelu", activation_alpha: float = 0.25> (x, w, b)""",
        "z = Gemm (x, w, b)  y = LeakyRelu <alpha: float = 0.25> (z)",
        "z = Gemm (x, w, b)  y = LeakyRelu <alpha: float = 0.5> (z)",
    ),
    "fused convolution": (
        "float[1,3,6,6] x, float[4,3,3,3] w, float[4] b, float[1,4,4,4] z",
        'y = com.microsoft.FusedConv <activation: string = "Relu"> (x, w, b, z)',
        "c = Conv (x, w, b)  a = Add (z, c)  y = Relu (a)",
        "c = Conv (x, w, b)  r = Relu (c)  y = Add (z, r)",
    ),
    "attention of heads": (
        _ATTENTION, f"y = {_MHA} (q, k, v)", f"{_HEADS} p = Softmax (scores) {_MERGED}",
        f"{_HEADS} p = Softmax <axis: int = 2> (scores) {_MERGED}",
    ),
    "attention with a mask": (
        f"{_ATTENTION}, float[2,1,3,3] n", f"y = {_MHA} (q, k, v, , , n)",
        f"{_HEADS} n2 = Add (scores, n)  p = Softmax (n2) {_MERGED}",
        f"{_HEADS} n2 = Sub (scores, n)  p = Softmax (n2) {_MERGED}",
    ),
    "attention with weights": (
        "float[2,3,8] x, float[8,24] w, float[24] b",
        "y = com.microsoft.Attention <num_heads: int = 2> (x, w, b)",
        f"""xw = MatMul (x, w)  xb = Add (xw, b)
            q, k, v = Split <axis: int = 2, num_outputs: int = 3> (xb)
            {_HEADS} p = Softmax (scores) {_MERGED}""",
        "y = com.microsoft.Attention <num_heads: int = 4> (x, w, b)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PAIRS)
def test_a_fused_operator_is_what_it_stands_for(name: str) -> None:
    inputs, fused, spelled, other = PAIRS[name]
    out = "float y"
    first, second, third = (_model(inputs, out, body) for body in (fused, spelled, other))
    assert exit_code(first, second) == 0
    assert exit_code(second, third) == 1
    assert exit_code(first, third) == 1


def _model(inputs: str, output: str, body: str) -> onnx.ModelProto:
    model = parsed(inputs, output, " ".join(body.split()))
    model.graph.output[0].type.tensor_type.ClearField("shape")
    return model


def test_packed_queries_are_those_of_three_inputs() -> None:
    packed = _model("float[2,3,2,3,4] x", "float y", f"y = {_MHA} (x)")
    spelled = """
        a, d, e = Split <axis: int = 3, num_outputs: int = 3> (x)
        m = Constant <value_ints: ints = [0, 0, 8]> ()
        q = Reshape (a, m)  k = Reshape (d, m)  v = Reshape (e, m)
    """
    apart = _model("float[2,3,2,3,4] x", "float y", f"{spelled} y = {_MHA} (q, k, v)")
    turned = _model("float[2,3,2,3,4] x", "float y", f"{spelled} y = {_MHA} (k, q, v)")
    assert field_verdict(packed, apart) == "proved"
    assert field_verdict(apart, turned) == "differs"


def _convolutions() -> onnx.ModelProto:
    """Convolutions that the runtime puts into blocks: of few channels, depthwise, of many."""
    rng = np.random.default_rng(1)
    model = parsed(
        "float[1,3,8,8] x", "float y",
        """a = Conv <pads: ints = [1, 1, 1, 1]> (x, w1, b1)  r = Relu (a)
           d = Conv <group: int = 40> (r, w2)  e = Conv (d, w3, b3)  f = Add (e, d)
           g = MaxPool <kernel_shape: ints = [2, 2]> (f)  y = GlobalAveragePool (g)""",
    )  # fmt: skip
    model.graph.output[0].type.tensor_type.ClearField("shape")
    shapes = {
        "w1": (40, 3, 3, 3),
        "b1": (40,),
        "w2": (40, 1, 3, 3),
        "w3": (40, 40, 1, 1),
        "b3": (40,),
    }
    for name, shape in shapes.items():
        values = rng.standard_normal(shape).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(values, name))
    return model


def test_what_the_runtime_puts_into_blocks_is_proved_equal(tmp_path: object) -> None:
    try:
        block_size()
    except UnsupportedError:
        pytest.skip("the runtime has no blocks of channels on this processor")
    model = _convolutions()
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.optimized_model_filepath = f"{tmp_path}/blocked.onnx"
    ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    blocked = onnx.load(f"{tmp_path}/blocked.onnx")
    assert "com.microsoft.nchwc" in {node.domain for node in blocked.graph.node}
    assert exit_code(model, blocked) == 0
    for tensor in blocked.graph.initializer:
        if len(tensor.dims) == 4:
            values = numpy_helper.to_array(tensor).copy()
            values.flat[1] += 1
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
            break
    assert exit_code(model, blocked) == 1
