"""Small networks as people's tools rewrite them, and the same with one thing spoiled."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from tests.adversary.pairs import Pair, model, seed

KIND = "optimized"
TOKENS = "float[2,4,8] x => float[2,4,8] y"
IMAGE = "float[1,3,6,6] x => float[1,4,6,6] y"
CONV = "c = Conv<pads=[1, 1, 1, 1]>(x, '#4x3x3x3', '#4'); "
NORM = "b = BatchNormalization(c, '#4:1', '#4:2', '#4:3', '[1, 2, 0.5, 0.1]'); "
LAYER = (
    "m = ReduceMean({0}, '[-1]i'); d = Sub({0}, m); q = Pow(d, '2'); "
    "v = ReduceMean(q, '[-1]i'); "
    "e = Add(v, '1e-05'); r = Sqrt(e); n = Div(d, r); g = Mul(n, '#8:3'); "
    "{1} = Add(g, '#8:4'); "
)
ERF = (
    "u = Div({0}, '1.4142135381698608'); f = Erf(u); p = Add(f, '1'); o = Mul({0}, p); "
    "{1} = Mul(o, '0.5'); "
)
HEADS = "{0}r = Reshape({0}, '[2, 4, 2, 4]i'); {0}h = Transpose<perm=[0, 2, 1, 3]>({0}r); "
ROTATE = (
    "{0}l, {0}m = Split<axis=3, num_outputs=2>({0}h); {0}n = Neg({0}m); "
    "{0}o = Concat<axis=3>({0}n, {0}l); {0}a = Mul({0}h, '#4x4:7'); {0}b = Mul({0}o, '#4x4:8'); "
    "{0}e = Add({0}a, {0}b); "
)

NETS: dict[str, tuple[str, str]] = {
    "conv_norm": (IMAGE, CONV + NORM.replace("b =", "y =")),
    "conv_norm_relu": (IMAGE, CONV + NORM + "y = Relu(b)"),
    "conv_norm_clip": (IMAGE, CONV + NORM + "r = Relu(b); y = Clip(r, '0', '6')"),
    "conv_no_bias": (IMAGE, CONV.replace(", '#4')", ")") + NORM + "y = LeakyRelu(b)"),
    "depthwise": (IMAGE.replace("[1,3", "[1,4"), CONV.replace("<", "<group=4, ").replace(
        "#4x3x3x3", "#4x1x3x3") + NORM.replace("b =", "y =")),
    "transposed": ("float[1,4,3,3] x => float[1,4,6,6] y", "c = ConvTranspose<strides=[2, 2]>(x, "
                   "'#4x4x2x2', '#4'); " + NORM.replace("b =", "y =")),
    "pad_conv": (IMAGE, "p = Pad(x, '[0, 0, 1, 1, 0, 0, 1, 1]i'); y = Conv(p, '#4x3x3x3')"),
    "conv_mul_add": (IMAGE, CONV + "s = Mul(c, '#4x1x1'); y = Add(s, '#4x1x1:7')"),
    "residual": (IMAGE.replace("[1,3", "[1,4"), CONV.replace("#4x3x3x3", "#4x4x3x3") + NORM
                 + "a = Add(b, x); y = Relu(a)"),
    "hard_swish": (IMAGE, CONV + "a = Add(c, '3'); k = Clip(a, '0', '6'); m = Mul(c, k); "
                                 "y = Div(m, '6')"),
    "squeeze_excite": (IMAGE, CONV + "g = GlobalAveragePool(c); k = Conv(g, '#2x4x1x1'); "
                                     "r = Relu(k); "
                       "l = Conv(r, '#4x2x1x1'); s = HardSigmoid(l); y = Mul(c, s)"),
    "dense": ("float[3,8] x => float[3,8] y",
              "m = MatMul(x, '#8x8'); a = Add(m, '#8'); y = Relu(a)"),
    "dense_norm": ("float[3,8] x => float[3,8] y", "m = Gemm<transB=1>(x, '#8x8', '#8'); "
                   "y = BatchNormalization(m, '#8:1', '#8:2', '#8:3', '[1, 2, 3, 4, 1, 2, 3, 4]')"),
    "gelu": (TOKENS, "m = MatMul(x, '#8x8'); a = Add(m, '#8'); " + ERF.format("a", "y")),
    "gelu_tanh": (TOKENS, "m = MatMul(x, '#8x8'); a = Add(m, '#8'); p = Pow(a, '3'); "
                          "b = Mul(p, '0.044715');"
                  " c = Add(a, b); d = Mul(c, '0.7978845834732056'); t = Tanh(d); e = Add(t, '1'); "
                  "f = Mul(a, e); y = Mul(f, '0.5')"),
    "quick_gelu": (TOKENS, "m = MatMul(x, '#8x8'); a = Mul(m, '1.702'); s = Sigmoid(a); "
                           "y = Mul(m, s)"),
    "layer_norm": (TOKENS, LAYER.format("x", "y")),
    "skip_norm": (TOKENS, "w = MatMul(x, '#8x8'); z = Add(w, '#8'); h = Add(z, x); "
                          "" + LAYER.format("h", "y")),
    "rms_norm": (TOKENS, "q = Pow(x, '2'); v = ReduceMean(q, '[-1]i'); e = Add(v, '1e-05'); "
                         "r = Sqrt(e); "
                 "n = Div(x, r); y = Mul(n, '#8')"),
    "block": (TOKENS, LAYER.format("x",
                                   "h") + "w = MatMul(h, '#8x8'); z = Add(w, '#8'); "
                                          "" + ERF.format("z", "k")
              + "l = MatMul(k, '#8x8:1'); s = Add(l, '#8:1'); y = Add(x, s)"),
    "attention": (TOKENS, "q0 = MatMul(x, '#8x8:1'); q = Add(q0, '#8:1'); "
                          "k0 = MatMul(x, '#8x8:2'); "
                  "k = Add(k0, '#8:2'); v0 = MatMul(x, '#8x8:3'); v = Add(v0, '#8:3'); "
                  "" + HEADS.format("q")
                  + HEADS.format("k") + HEADS.format("v") + "t = Transpose<perm=[0, 1, 3, 2]>(kh); "
                  "a = MatMul(qh, t); s = Div(a, '2'); p = Softmax<axis=-1>(s); o = MatMul(p, vh); "
                  "u = Transpose<perm=[0, 2, 1, 3]>(o); w = Reshape(u, '[2, 4, 8]i'); "
                  "y = MatMul(w, '#8x8:4')"),
    "scaled": (TOKENS, "t = Transpose<perm=[0, 2, 1]>(x); m = MatMul(x, t); s = Mul(m, '0.3'); "
                       "y = MatMul(s, x)"),
    "shapes": ("float[2,3,8] x => float[a,b,c,d] y",
               "s = Shape(x); i = Gather(s, '0i'); j = Unsqueeze(i, "
               "'[0]i'); k = Concat<axis=0>(j, '[3, 2, 4]i'); r = Reshape(x, k); "
               "y = Transpose<perm=[0, 2, 1, "
               "3]>(r)"),
    "moves": (TOKENS, "a = Transpose<perm=[0, 2, 1]>(x); b = Transpose<perm=[0, 2, 1]>(a); "
                      "c = Identity(b); "
              "d = Dropout(c); e = Reshape(d, '[8, 8]i'); f = Reshape(e, '[2, 4, 8]i'); "
              "y = Mul(f, '1')"),
    "folded": (TOKENS, "w = MatMul('#8x8', '#8x8:1'); t = Transpose(w); b = Mul('#8', '0.5'); "
               "m = MatMul(x, t); y = Add(m, b)"),
    "slices": (TOKENS, "a = Slice(x, '[0]i', '[4]i', '[2]i'); "
                       "b = Slice(x, '[4]i', '[8]i', '[2]i'); "
               "c = Neg(b); d = Concat<axis=2>(c, a); y = Mul(d, x)"),
    "pruned": (TOKENS, "z = Equal('#8x8', '0'); k = Greater('#8x8', '-0.9'); n = Cast<to=1>(k); "
               "w = Mul('#8x8', n); y = MatMul(x, w)"),
    "llama": (TOKENS, "q0 = Pow(x, '2'); v0 = ReduceMean(q0, '[-1]i'); e0 = Add(v0, '1e-05'); "
              "r0 = Sqrt(e0); i0 = Div('1', r0); n0 = Mul(x, i0); n = Mul(n0, '#8'); "
              "q = MatMul(n, '#8x8:1'); k = MatMul(n, '#8x8:2'); v = MatMul(n, '#8x8:3'); "
              + HEADS.format("q") + HEADS.format("k") + HEADS.format("v")
              + ROTATE.format("q") + ROTATE.format("k") + "t = Transpose<perm=[0, 1, 3, 2]>(ke); "
              "a = MatMul(qe, t); s = Mul(a, '0.5'); w = Add(s, '#4x4:9'); "
              "p = Softmax<axis=-1>(w); "
              "o = MatMul(p, vh); u = Transpose<perm=[0, 2, 1, 3]>(o); "
              "z = Reshape(u, '[2, 4, 8]i'); "
              "l = MatMul(z, '#8x8:4'); h = Add(x, l); g = MatMul(h, '#8x8:5'); f = Sigmoid(g); "
              "j = Mul(g, f); m = MatMul(h, '#8x8:6'); b = Mul(j, m); c = MatMul(b, '#8x8:7'); "
              "y = Add(h, c)"),
    "bert": (TOKENS, "w = MatMul(x, '#8x8'); z = Add(w, '#8'); h = Add(z, x); "
             + LAYER.format("h", "k") + "i = MatMul(k, '#8x8:5'); j = Add(i, '#8:5'); "
             "u = Div(j, '1.4142135381698608'); f = Erf(u); p = Add(f, '1'); o = Mul(j, p); "
             "a = Mul(o, '0.5'); b = MatMul(a, '#8x8:6'); c = Add(b, '#8:6'); y = Add(c, k)"),
    "upsampled": (IMAGE.replace("6,6] y", "12,12] y"), CONV + NORM + "r = Relu(b); "
                  'y = Resize<mode="linear", coordinate_transformation_mode="asymmetric">'
                  "(r, , '[1, 1, 2, 2]')"),
    "classifier": ("float[2,3,6,6] x => float[2,5] y", CONV + NORM + "r = Relu(b); "
                   "m = MaxPool<kernel_shape=[2, 2], strides=[2, 2]>(r); g = GlobalAveragePool(m); "
                   "f = Flatten(g); l = Gemm<transB=1>(f, '#5x4', '#5'); y = Softmax<axis=1>(l)"),
    "constants": (TOKENS, "s = Shape('#8x8'); i = Gather(s, '1i'); f = Cast<to=1>(i); r = Sqrt(f); "
                  "d = Div(x, r); c = ConstantOfShape<value=float[1] {2}>('[8]i'); y = Mul(d, c)"),
    "masked": (TOKENS, "t = Trilu<upper=1>('[[1,1,1,1],[1,1,1,1],[1,1,1,1],[1,1,1,1]]', '1i'); "
               "m = Mul(t, '-2'); k = Transpose<perm=[0, 2, 1]>(x); a = MatMul(x, k); "
               "b = Add(a, m); p = Softmax<axis=-1>(b); y = MatMul(p, x)"),
}  # fmt: skip


def _onnxsim(made: onnx.ModelProto) -> onnx.ModelProto:
    import onnxsim

    return onnxsim.simplify(made)[0]


def _onnxslim(made: onnx.ModelProto) -> onnx.ModelProto:
    import onnxslim

    result = onnxslim.slim(made)
    assert isinstance(result, onnx.ModelProto)
    return result


def _onnxscript(made: onnx.ModelProto) -> onnx.ModelProto:
    import onnx_ir as ir
    from onnxscript import optimizer

    held = ir.from_proto(made)
    optimizer.optimize(held)
    return ir.to_proto(held)


def _runtime(level: str) -> Callable[[onnx.ModelProto], onnx.ModelProto]:
    def optimize(made: onnx.ModelProto) -> onnx.ModelProto:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
        options.log_severity_level = 4
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "optimized.onnx"
            options.optimized_model_filepath = str(path)
            ort.InferenceSession(made.SerializeToString(), options, ["CPUExecutionProvider"])
            return onnx.load(path)

    return optimize


TOOLS: dict[str, Callable[[onnx.ModelProto], onnx.ModelProto]] = {
    "onnxsim": _onnxsim, "onnxslim": _onnxslim, "onnxscript": _onnxscript,
    "basic": _runtime("ORT_ENABLE_BASIC"), "extended": _runtime("ORT_ENABLE_EXTENDED"),
}  # fmt: skip


def pairs() -> Iterator[Pair]:
    """Each network by each tool, and one spoiled result of each."""
    for name, (signature, body) in NETS.items():
        first = model(signature, body)
        for tool, rewrite in TOOLS.items():
            second = rewrite(copy.deepcopy(first))
            yield Pair(f"{tool}.{name}", KIND, first, second, "equal", wide=False)
            kinds = (spoiled_weight, spoiled_attribute, spoiled_operator, nearly_the_weight)
            start = seed(name + tool) % len(kinds)
            for spoil in kinds[start:] + kinds[:start]:
                wrong = spoil(copy.deepcopy(second), np.random.default_rng(seed(name + tool)))
                if wrong is not None:
                    key = f"{tool}.{name}.{spoil.__name__}"
                    yield Pair(key, KIND, first, wrong, "differ", wide=False)
                    break


def _pick(rng: np.random.Generator, items: list[Any]) -> Any:
    return items[int(rng.integers(len(items)))] if items else None


def spoiled_weight(made: onnx.ModelProto, rng: np.random.Generator) -> onnx.ModelProto | None:
    """One element of one weight is a twentieth larger."""
    weights = [t for t in made.graph.initializer if t.data_type == 1 and np.prod(t.dims) > 3]
    # A bias of keys alone changes no attention.
    weights = [t for t in weights if len(t.dims) > 1] or weights
    held = _pick(rng, weights)
    if held is None:
        return None
    array = numpy_helper.to_array(held).copy()
    at = int(np.argmax(np.abs(array)))
    array.reshape(-1)[at] *= np.float32(1.05)
    held.CopyFrom(numpy_helper.from_array(array, held.name))
    return made


def nearly_the_weight(made: onnx.ModelProto, rng: np.random.Generator) -> onnx.ModelProto | None:
    """All of one weight is larger by some thousands of roundings."""
    weights = [t for t in made.graph.initializer if t.data_type == 1 and np.prod(t.dims) > 15]
    held = _pick(rng, weights)
    if held is None:
        return None
    array = numpy_helper.to_array(held) * np.float32(1.001)
    held.CopyFrom(numpy_helper.from_array(array, held.name))
    return made


def spoiled_attribute(made: onnx.ModelProto, rng: np.random.Generator) -> onnx.ModelProto | None:
    """One number of one node: epsilon, alpha, beta, or its activation."""
    found = [a for n in made.graph.node for a in n.attribute
             if a.name in ("epsilon", "alpha", "beta", "activation")]  # fmt: skip
    attribute = _pick(rng, found)
    if attribute is None:
        return None
    if attribute.name == "activation":
        attribute.s = b"Tanh"
    else:
        attribute.f = 0.3 if abs(attribute.f - 0.3) > 0.1 else 0.6
    return made


# Operators of the same signature.
_OTHERS = {"Relu": "Tanh", "Add": "Sub", "Mul": "Add", "Erf": "Tanh", "Sigmoid": "Tanh",
           "Div": "Mul",
           "BiasGelu": "FastGelu", "Softmax": "LogSoftmax", "HardSigmoid": "Sigmoid",
           "Sub": "Add", "Neg": "Abs", "Gelu": "QuickGelu"}  # fmt: skip


def spoiled_operator(made: onnx.ModelProto, rng: np.random.Generator) -> onnx.ModelProto | None:
    """One operator is another one."""
    found = [
        n for n in made.graph.node if n.op_type in _OTHERS and n.domain in ("", "com.microsoft")
    ]
    node = _pick(rng, found)
    if node is None:
        return None
    if node.domain == "" and node.op_type == "Gelu":
        return None
    node.op_type = _OTHERS[node.op_type]
    del node.attribute[:]
    return made
