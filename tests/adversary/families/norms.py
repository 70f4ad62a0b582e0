"""Normalizations, softmax and activations: each attribute, and each spelled out."""

from __future__ import annotations

from collections.abc import Iterator

from tests.adversary.pairs import Pair, vary

KIND = "norms"
X = "float[3,4] x => float[3,4] y"
IMAGE = "float[2,4,3,3] x => float[2,4,3,3] y"


def pairs() -> Iterator[Pair]:
    """All pairs of the family."""
    yield from _epsilons()
    yield from _layer_norms()
    yield from _batch_norms()
    yield from _softmax()
    yield from _activations()
    yield from _attributes()
    yield from _others()


def _epsilons() -> Iterator[Pair]:
    """Epsilon: its value, and inside or outside of the root."""
    spelled = (
        "m = ReduceMean(x, '[1]i'); c = Sub(x, m); q = Mul(c, c); "
        "v = ReduceMean(q, '[1]i'); "
        "{}; y = Div(c, s)"
    )
    inside, outside = "e = Add(v, '{}'); s = Sqrt(e)", "r = Sqrt(v); s = Add(r, '{}')"
    for eps in ("1e-05", "1e-12", "0.1"):
        other = "1e-3" if eps != "0.1" else "0.2"
        yield from vary(
            KIND, f"eps{eps}", X, spelled.format(inside.format(eps)),
            differ={"value": spelled.format(inside.format(other)),
                    "outside": spelled.format(outside.format(eps))},
            equal={"pow": spelled.format(inside.format(eps)).replace("Mul(c, c)", "Pow(c, '2')"),
                   "reciprocal": spelled.format(inside.format(eps)).replace(
                       "Div(c, s)",
                       "Mul(c, r)").replace("s = Sqrt(e)", "s = Sqrt(e); r = Reciprocal(s)"),
                   "fused": f"y = LayerNormalization<axis=1, epsilon={float(eps)}>(x, '[1, 1, 1, "
                            f"1]')"},
        )  # fmt: skip
    yield from vary(
        KIND, "mean_variance", IMAGE, "y = MeanVarianceNormalization(x)",
        differ={"axes": "y = MeanVarianceNormalization<axes=[2, 3]>(x)",
                "inside": "m = ReduceMean(x, '[0, 2, 3]i'); c = Sub(x, m); q = Mul(c, c); "
                "v = ReduceMean(q, '[0, 2, 3]i'); e = Add(v, '1e-4'); s = Sqrt(e); y = Div(c, s)"},
    )  # fmt: skip


def _layer_norms() -> Iterator[Pair]:
    base = "y = LayerNormalization<axis=-1, epsilon=1e-05>(x, '#4', '#4:1')"
    yield from vary(
        KIND, "layer_norm", "float[4,4] x => float[4,4] y", base,
        differ={"epsilon": base.replace("1e-05", "1e-02"), "axis": base.replace("axis=-1", "axis=0")
                .replace("'#4'", "'#4x4'").replace("'#4:1'", "'#4x4:1'"),
                "no_bias": "y = LayerNormalization<axis=-1, epsilon=1e-05>(x, '#4')",
                "swapped": base.replace("'#4', '#4:1'", "'#4:1', '#4'"),
                "transposed": "t = Transpose(x); n = LayerNormalization<axis=-1, epsilon=1e-05>(t, "
                "'#4', '#4:1'); y = Transpose(n)",
                "rms": "q = Mul(x, x); v = ReduceMean(q, '[1]i'); e = Add(v, '1e-05'); "
                       "s = Sqrt(e); "
                "d = Div(x, s); g = Mul(d, '#4'); y = Add(g, '#4:1')"},
        equal={"spelled": "m = ReduceMean(x, '[1]i'); c = Sub(x, m); q = Mul(c, c); "
               "v = ReduceMean(q, '[1]i'); e = Add(v, '1e-05'); s = Sqrt(e); d = Div(c, s); "
               "g = Mul(d, '#4'); y = Add(g, '#4:1')", "axis1": base.replace("axis=-1", "axis=1"),
               "bias_after": "n = LayerNormalization<epsilon=1e-05>(x, '#4'); y = Add(n, '#4:1')"},
    )  # fmt: skip
    rms = "y = RMSNormalization<axis=-1, epsilon=1e-05>(x, '#4')"
    spelled = (
        "q = Mul(x, x); v = ReduceMean(q, '[1]i'); e = Add(v, '1e-05'); s = Sqrt(e); "
        "d = Div(x, s); y = Mul(d, '#4')"
    )
    yield from vary(
        KIND, "rms_norm", X, spelled, made={"opset": 23},
        differ={"epsilon": rms.replace("1e-05", "1e-02"), "weight": rms.replace("#4", "#4:1"),
                "simplified": spelled.replace("d = Div", "m = ReduceMean(x, '[1]i'); "
                    "c = Sub(x, m); d = Div").replace("Div(x", "Div(c")},
        equal={"fused": rms,
               "reciprocal": spelled.replace("d = Div(x, s)", "r = Reciprocal(s); d = Mul(x, r)")},
    )  # fmt: skip


def _batch_norms() -> Iterator[Pair]:
    base = "y = BatchNormalization<epsilon=1e-05>(x, '#4', '#4:1', '#4:2', '[1, 2, 0.5, 0.1]')"
    yield from vary(
        KIND, "batch_norm", IMAGE, base,
        differ={"epsilon": base.replace("1e-05", "1e-02"), "swapped": base.replace(
            "'#4', '#4:1'", "'#4:1', '#4'"), "mean": base.replace("#4:2", "#4:3"),
                "variance": base.replace("0.1]", "0.11]"),
                "order": base.replace("[1, 2,", "[2, 1,"),
                "deviation": base.replace("[1, 2, 0.5, 0.1]", "[1, 1.4142, 0.7071, 0.3162]")},
        equal={"affine": "s = Reshape('#4', '[4, 1, 1]i'); b = Reshape('#4:1', '[4, 1, 1]i'); "
               "m = Reshape('#4:2', '[4, 1, 1]i'); v = Reshape('[1, 2, 0.5, 0.1]', '[4, 1, 1]i'); "
               "c = Sub(x, m); e = Add(v, '1e-05'); r = Sqrt(e); d = Div(c, r); g = Mul(d, s); "
               "y = Add(g, b)"},
    )  # fmt: skip
    inst = "y = InstanceNormalization<epsilon=0.01>(x, '#4', '#4:1')"
    group = "y = GroupNormalization<num_groups={}, epsilon=0.01>(x, '#4', '#4:1')"
    yield from vary(
        KIND, "instance_norm", IMAGE, inst, made={"opset": 21},
        differ={"epsilon": inst.replace("0.01", "0.02"), "groups": group.format(2)},
        equal={"group": group.format(4)},
    )  # fmt: skip
    yield from vary(
        KIND, "group_norm", IMAGE, group.format(2), made={"opset": 21},
        differ={"one": group.format(1), "four": group.format(4), "weight": group.format(2).replace(
            "'#4'", "'#4:5'")},
        equal={"spelled": "r = Reshape(x, '[2, 2, -1]i'); "
                          "n = InstanceNormalization<epsilon=0.01>(r, "
               "'[1, 1]', '[0, 0]'); o = Reshape(n, '[2, 4, 3, 3]i'); "
               "s = Reshape('#4', '[4, 1, 1]i'); "
               "b = Reshape('#4:1', '[4, 1, 1]i'); g = Mul(o, s); y = Add(g, b)"},
    )  # fmt: skip
    lp = "y = LpNormalization<axis={}, p={}>(x)"
    yield from vary(
        KIND, "lp_norm", "float[4,4] x => float[4,4] y", lp.format(1, 2),
        differ={"p": lp.format(1, 1), "axis": lp.format(0, 2)},
        equal={"default": "y = LpNormalization(x)"},
    )  # fmt: skip
    lrn = "y = LRN<size={}, alpha={}, beta={}, bias={}>(x)"
    yield from vary(
        KIND, "lrn", IMAGE, lrn.format(3, 0.1, 0.75, 1.0),
        differ={"size": lrn.format(2, 0.1, 0.75, 1.0), "alpha": lrn.format(3, 0.2, 0.75, 1.0),
                "beta": lrn.format(3, 0.1, 0.5, 1.0), "bias": lrn.format(3, 0.1, 0.75, 2.0)},
    )  # fmt: skip


def _softmax() -> Iterator[Pair]:
    cube = "float[3,3,3] x => float[3,3,3] y"
    spelled = (
        "m = ReduceMax({0}, '[{1}]i'); c = Sub(x, m); e = Exp(c); "
        "s = ReduceSum(e, '[{1}]i'); "
        "y = Div(e, s)"
    )
    for axis in (0, 1, 2):
        wrong = (axis + 1) % 3
        yield from vary(
            KIND, f"softmax{axis}", cube, f"y = Softmax<axis={axis}>(x)",
            differ={"axis": f"y = Softmax<axis={wrong}>(x)",
                    "log": f"y = LogSoftmax<axis={axis}>(x)",
                    "sigmoid": "y = Sigmoid(x)", "hard": f"y = Hardmax<axis={axis}>(x)"},
            equal={"spelled": spelled.format("x", axis),
                   "negative": f"y = Softmax<axis={axis - 3}>(x)",
                   "shifted": f"a = Add(x, '0.5'); y = Softmax<axis={axis}>(a)"}
            if axis else {"spelled": spelled.format("x", axis)},
        )  # fmt: skip
    # Before opset 13 all axes from `axis` on were one, and 1 was the default.
    for old in (7, 11, 12):
        for op in ("Softmax", "LogSoftmax", "Hardmax"):
            equal = (
                {
                    "flat": f"f = Flatten<axis=1>(x); s = {op}<axis=1>(f); "
                    f"y = Reshape(s, c0)".replace("c0", "'[3, 3, 3]i'")
                }
                if op == "Softmax"
                else {}
            )
            yield from vary(
                KIND, f"{op}.opset{old}", cube, f"y = {op}(x)", made={"opset": old},
                differ={"13": (f"y = {op}(x)", {"opset": 13}),
                        "13axis1": (f"y = {op}<axis=1>(x)", {"opset": 13})},
                equal=equal,
            )  # fmt: skip


def _activations() -> Iterator[Pair]:
    gelu = (
        "a = Div(x, '1.4142135381698608'); e = Erf(a); b = Add(e, '1'); c = Mul(x, b); "
        "y = Mul(c, '0.5')"
    )
    tanh = (
        "p = Pow(x, '3'); a = Mul(p, '0.044715'); b = Add(x, a); "
        "c = Mul(b, '0.7978845608028654'); "
        "t = Tanh(c); d = Add(t, '1'); e = Mul(x, d); y = Mul(e, '0.5')"
    )
    yield from vary(
        KIND, "gelu", X, gelu, wide=False,
        differ={"tanh": tanh, "quick": "a = Mul(x, '1.702'); s = Sigmoid(a); y = Mul(x, s)",
                "fused_tanh": 'y = Gelu<approximate="tanh">(x)',
                "scale": gelu.replace("1.41421", "1.41")},
        equal={"fused": "y = Gelu(x)", "microsoft": "y = com.microsoft.Gelu(x)",
               "order": "h = Mul(x, '0.5'); a = Mul(x, '0.7071067690849304'); e = Erf(a); "
               "b = Add(e, '1'); y = Mul(h, b)"},
    )  # fmt: skip
    yield from vary(
        KIND, "gelu_tanh", X, tanh, wide=False,
        differ={"exact": "y = Gelu(x)", "constant": tanh.replace("0.044715", "0.0447").replace(
            "0.0447'", "0.0457'"), "fast": "y = com.microsoft.FastGelu(x, '[0, 0, 0, 1]')"},
        equal={"fused": 'y = Gelu<approximate="tanh">(x)',
               "microsoft": "y = com.microsoft.FastGelu(x)"},
    )  # fmt: skip
    quick = "y = com.microsoft.QuickGelu<alpha={}>(x)"
    silu = "s = Sigmoid(x); y = Mul(x, s)"
    yield from vary(
        KIND, "silu", X, silu,
        differ={"quick": quick.format(1.702), "hard": "y = HardSwish(x)",
                "sigmoid": "y = Sigmoid(x)",
                "inside": "a = Mul(x, '1.01'); s = Sigmoid(a); y = Mul(x, s)"},
        equal={"quick1": quick.format(1.0), "turned": "s = Sigmoid(x); y = Mul(s, x)"},
    )  # fmt: skip
    swish = "a = Add(x, '3'); r = Clip(a, '0', '6'); d = Div(r, '6'); y = Mul(x, d)"
    yield from vary(
        KIND, "hard_swish", X, swish,
        differ={"shift": swish.replace("'3'", "'2.5'"),
                "top": swish.replace("'0', '6'", "'0', '5'"),
                "silu": silu, "gate": swish.replace("y = Mul(x, d)", "y = Identity(d)")},
        equal={"fused": "y = HardSwish(x)",
               "hard_sigmoid": "h = HardSigmoid<alpha=0.16666666666666666, beta=0.5>(x);"
               " y = Mul(x, h)",
               "times": swish.replace("Div(r, '6')", "Mul(r, '0.1666666716337204')"),
               "late": "a = Add(x, '3'); r = Clip(a, '0', '6'); m = Mul(x, r); y = Div(m, '6')"},
    )  # fmt: skip
    mish = "p = Softplus(x); t = Tanh(p); y = Mul(x, t)"
    yield from vary(
        KIND, "mish", X, mish, wide=False,
        differ={"silu": silu, "inside": "t = Tanh(x); p = Softplus(t); y = Mul(x, p)"},
        equal={"fused": "y = Mish(x)"},
    )  # fmt: skip
    yield from vary(
        KIND, "sigmoid", X, "y = Sigmoid(x)", wide=False,
        differ={"tanh": "t = Tanh(x); a = Add(t, '1'); y = Mul(a, '0.5')",
                "hard": "y = HardSigmoid(x)"},
        equal={"spelled": "n = Neg(x); e = Exp(n); a = Add(e, '1'); y = Reciprocal(a)",
               "spelled_div": "n = Neg(x); e = Exp(n); a = Add('1', e); y = Div('1', a)"},
    )  # fmt: skip


def _attributes() -> Iterator[Pair]:
    """Every attribute of every activation, changed and left at its default."""
    defaults = {
        "Elu": {"alpha": 1.0}, "Celu": {"alpha": 1.0}, "LeakyRelu": {"alpha": 0.01},
        "Selu": {"alpha": 1.67326319, "gamma": 1.05070102}, "ThresholdedRelu": {"alpha": 1.0},
        "HardSigmoid": {"alpha": 0.2, "beta": 0.5}, "Shrink": {"bias": 0.0, "lambd": 0.5},
    }  # fmt: skip
    for op, own in defaults.items():
        full = ", ".join(f"{k}={v}" for k, v in own.items())
        differ = {k: f"y = {op}<{k}={v * 1.25 + 0.05:.4f}>(x)" for k, v in own.items()}
        yield from vary(
            KIND, f"default.{op}", X, f"y = {op}(x)", differ=differ,
            equal={"given": f"y = {op}<{full}>(x)"}
        )  # fmt: skip
    yield from vary(
        KIND, "prelu", "float[2,4,4] x => float[2,4,4] y", "y = PRelu(x, '[0.1, 0.2, 0.3, 0.4]')",
        differ={"axis": "y = PRelu(x, '[[0.1], [0.2], [0.3], [0.4]]')",
                "order": "y = PRelu(x, '[0.2, 0.1, 0.3, 0.4]')",
                "one": "y = LeakyRelu<alpha=0.1>(x)"},
        equal={"spelled": "r = Relu(x); n = Neg(x); m = Relu(n); "
                          "s = Mul(m, '[-0.1, -0.2, -0.3, -0.4]'); "
               "y = Add(r, s)"},
    )  # fmt: skip


def _others() -> Iterator[Pair]:
    drop = "float[3,4] x => float[3,4] y"
    yield from vary(
        KIND, "dropout", drop, "y = Dropout(x)",
        differ={"scaled": "y = Mul(x, '2')"},
        equal={"ratio": "y = Dropout(x, '0.9')", "off": "y = Dropout(x, '0.5', '0z')",
               "gone": "y = Identity(x)"},
    )  # fmt: skip
    yield from vary(
        KIND, "swiglu_gate", "float[3,8] x => float[3,4] y",
        "a, b = Split<axis=1, num_outputs=2>(x); "
        "s = Sigmoid(a); g = Mul(a, s); y = Mul(g, b)",
        differ={"halves": "b, a = Split<axis=1, num_outputs=2>(x); s = Sigmoid(a); g = Mul(a, s); "
                "y = Mul(g, b)", "other": "a, b = Split<axis=1, num_outputs=2>(x); s = Sigmoid(b); "
                "g = Mul(a, s); y = Mul(g, b)"},
        equal={"slices": "a = Slice(x, '[0]i', '[4]i', '[1]i'); "
                         "b = Slice(x, '[4]i', '[8]i', '[1]i'); "
               "s = Sigmoid(a); g = Mul(a, s); y = Mul(b, g)"},
    )  # fmt: skip
