"""Other domains, quantized by blocks, strings, names of domains and of symbols."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx

from tests.adversary.pairs import Pair, model, vary

KIND = "foreign"
X = "float[3,4] x => float[3,4] y"


def pairs() -> Iterator[Pair]:
    """All pairs of the family."""
    yield from _learned()
    yield from _contributed()
    yield from _strings()
    yield from _domains()
    yield from _expressions()


def _learned() -> Iterator[Pair]:
    """The domain of classical models."""
    scaler = "y = ai.onnx.ml.Scaler<offset=[0.5, 1.0, 0.0, 2.0], scale=[1.0, 2.0, 0.5, 3.0]>(x)"
    yield from vary(
        KIND, "scaler", X, scaler, differ={"offset": scaler.replace("0.5, 1.0", "0.5, 1.5"),
                                           "scale":
                                           scaler.replace("3.0", "3.5")},
        equal={"spelled": "a = Sub(x, '[0.5, 1, 0, 2]'); y = Mul(a, '[1, 2, 0.5, 3]')"},
    )  # fmt: skip
    binary = "y = ai.onnx.ml.Binarizer<threshold={}>(x)"
    yield from vary(
        KIND, "binarizer", X, binary.format(1.0), differ={"threshold": binary.format(2.0), "loose":
            "c = GreaterOrEqual(x, '1'); y = Cast<to=1>(c)"},
        equal={"greater": "c = Greater(x, '1'); y = Cast<to=1>(c)"},
    )  # fmt: skip
    norm = 'y = ai.onnx.ml.Normalizer<norm="{}">(x)'
    yield from vary(KIND, "normalizer", X, norm.format("L2"),
                    differ={"l1": norm.format("L1"), "max": norm.format("MAX")})  # fmt: skip
    tree = (
        "y = ai.onnx.ml.TreeEnsembleRegressor<n_targets=1, nodes_treeids=[0, 0, 0], "
        "nodes_nodeids=[0, 1, 2], "
        'nodes_featureids=[{f}, 0, 0], nodes_values=[{v}, 0.0, 0.0], nodes_modes=["{m}", '
        '"LEAF", '
        '"LEAF"], nodes_truenodeids=[1, 0, 0], nodes_falsenodeids=[2, 0, 0], target_ids=[0, '
        "0], "
        "target_nodeids=[1, 2], target_treeids=[0, 0], target_weights=[{a}, {b}]>(x)"
    )
    facts = {"f": 1, "v": 0.5, "m": "BRANCH_LEQ", "a": 1.0, "b": -2.0}
    changes = {"feature": {"f": 2}, "value": {"v": 1.5}, "strict": {"m": "BRANCH_LT"},
               "leaf": {"b": -2.5},
               "greater": {"m": "BRANCH_GT"}}  # fmt: skip
    yield from vary(
        KIND, "tree", "float[3,4] x => float[3,1] y", tree.format(**facts),
        differ={k: tree.format(**(facts | c)) for k, c in changes.items()},
        equal={"turned": tree.format(**(facts | {"m": "BRANCH_GT", "a": -2.0, "b": 1.0}))},
    )  # fmt: skip
    encoder = "y = ai.onnx.ml.LabelEncoder<keys_int64s=[1, 2, 7], values_floats=[0.5, 1.5, {}], " \
        "default_float={}>(a)"  # fmt: skip
    yield from vary(
        KIND, "label_encoder", "int64[2,6] a => float[2,6] y", encoder.format(2.5, -1.0),
        differ={"value": encoder.format(3.5, -1.0), "default": encoder.format(2.5, -2.0)},
        near=(1, 2, 7),
    )  # fmt: skip


def _contributed() -> Iterator[Pair]:
    ms = "com.microsoft"
    yield from vary(
        KIND, "inverse", "float[2,3,3] x => float[2,3,3] y",
        f"m = Identity('#3x3'); e = EyeLike(m); t = Mul(e, '9'); s = Add(x, t); "
        f"y = {ms}.Inverse(s)",
        differ={"transposed": f"m = Identity('#3x3'); e = EyeLike(m); t = Mul(e, '9'); "
                              f"s = Add(x, t); "
                f"i = {ms}.Inverse(s); y = Transpose<perm=[0, 2, 1]>(i)"}, ranges={"x": (-2, 2)},
    )  # fmt: skip
    yield from vary(
        KIND, "bias_gelu_order", X, f"y = {ms}.BiasGelu(x, '#4')", wide=False,
        differ={"twice": f"a = Add(x, '#4'); y = {ms}.BiasGelu(a, '#4')",
                "other": f"y = {ms}.BiasGelu(x, '#4:1')"},
    )  # fmt: skip
    packed = np.random.default_rng(5).integers(0, 256, (4, 1, 8), dtype=np.uint8)
    scales = np.full((4, 1), 0.1, np.float32)
    other = packed.copy()
    other[3, 0, 7] ^= 0x10
    call = f"y = {ms}.MatMulNBits<K=16, N=4, bits=4, block_size=16>(x, b, s)"
    yield from vary(
        KIND, "four_bits", "float[3,16] x => float[3,4] y", call,
        made={"constants": {"b": packed, "s": scales}},
        differ={"nibble": (call, {"constants": {"b": other, "s": scales}}),
                "scale": (call, {"constants": {"b": packed, "s": scales * np.float32(1.1)}})},
    )  # fmt: skip


def _strings() -> Iterator[Pair]:
    words = {
        "constants": {
            "s": np.array(["a", "b", "c"], object),
            "w": np.array(["a", "x", "c"], object),
        }
    }
    other = {
        "constants": {
            "s": np.array(["a", "x", "c"], object),
            "w": np.array(["a", "x", "c"], object),
        }
    }
    sign = "float[3] x => float[3] y"
    body = "e = Equal(s, w); f = Cast<to=1>(e); y = Mul(x, f)"
    yield from vary(KIND, "words", sign, body, made=words, differ={"word": (body, other)})


def _domains() -> Iterator[Pair]:
    """The default domain has two names."""
    texts = {
        "elu": ("a = Elu<alpha=0.5>(x); y = Neg(a)", "a = Elu<alpha=0.6>(x); y = Neg(a)"),
        "softmax": ("y = Softmax<axis=0>(x)", "y = Softmax<axis=1>(x)"),
        "weights": ("a = MatMul(x, '#4x4'); y = Relu(a)", "a = MatMul(x, '#4x4:1'); y = Relu(a)"),
    }  # fmt: skip
    for name, (text, other) in texts.items():
        yield Pair(f"domain.{name}", KIND, model(X, text), spelled(model(X, text)), "equal")
        yield Pair(f"domain.{name}.back", KIND, spelled(model(X, text)), model(X, text), "equal")
        yield Pair(f"domain.{name}.other", KIND, model(X, text), spelled(model(X, other)), "differ")


def spelled(made: onnx.ModelProto) -> onnx.ModelProto:
    """The default domain is called by its long name."""
    for item in (*made.opset_import, *made.graph.node):
        if item.domain == "":
            item.domain = "ai.onnx"
    return made


def _expressions() -> Iterator[Pair]:
    """A symbol whose name looks like an expression or a number is a symbol all the same."""
    sign = "float[A,4] x, float[B,4] z => float[a,4] y"
    slices = "s = Shape<start=0, end=1>(z); t = {}; y = Slice(x, '[0]i', t, '[0]i')"
    for name, text in {
        "2*B": "Mul(s, '[2]i')", "B+1": "Add(s, '[1]i')", "B": "Identity(s)",
        "4": "Identity('[4]i')",
        "max(B,3)": "Max(s, '[3]i')",
    }.items():  # fmt: skip
        first, second = model(sign, "y = Identity(x)"), model(sign, slices.format(text))
        other = "C" if name == "B" else "B"
        for made in (first, second):
            for value, symbol in zip(made.graph.input, (name, other), strict=True):
                value.type.tensor_type.shape.dim[0].dim_param = symbol
        yield Pair(f"symbol.{name}", KIND, first, second, "differ", sizes=[{name: 7, other: 2}])
