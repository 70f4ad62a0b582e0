"""Fused operators of onnxruntime and of opset 23 against what they are spelled out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from tests.adversary.pairs import Pair, vary

KIND = "fused"
MS = "com.microsoft"
TOKENS = "float[2,3,8] x => float[2,3,8] y"


def pairs() -> Iterator[Pair]:
    """All pairs of the family."""
    yield from _layer_norms()
    yield from _products()
    yield from _activations()
    yield from _attention()
    yield from _standard_attention()
    yield from _rotary()


def _against(
    name: str, sign: str, spelled: str, fused: str, changes: Mapping[str, tuple[str, str]],
    equal: Mapping[str, str] | None = None, opset: int = 20, wide: bool = True,
) -> Iterator[Pair]:  # fmt: skip
    """The fused form is equal; each replacement in it makes another function."""
    differ = {}
    for key, (old, new) in changes.items():
        assert old in fused, f"{name}: {old} is not in {fused}"
        differ[key] = fused.replace(old, new)
    yield from vary(
        KIND, name, sign, spelled, differ=differ, equal={"fused": fused} | dict(equal or {}),
        made={"opset": opset}, wide=wide,
    )  # fmt: skip


def _layer_norms() -> Iterator[Pair]:
    two = "float[2,3,8] x, float[2,3,8] s => float[2,3,8] y"
    norm = "LayerNormalization<axis=-1, epsilon=1e-05>(a, '#8', '#8:1')"
    skip = f"y = {MS}.SkipLayerNormalization<epsilon=1e-05>(x, s, '#8', '#8:1')"
    weights = {"epsilon": ("1e-05", "0.01"), "gamma": ("'#8'", "'#8:5'"),
               "beta": ("'#8:1'", "'#8:6'"),
               "one_twice": ("(x, s", "(x, x")}  # fmt: skip
    yield from _against("skip_norm", two, f"a = Add(x, s); y = {norm}", skip, weights,
                        {"turned": skip.replace("(x, s", "(s, x")})  # fmt: skip
    biased = skip.replace(":1')", ":1', '#8:2')")
    yield from _against(
        "skip_norm_bias", two, f"b = Add(x, '#8:2'); a = Add(b, s); y = {norm}", biased,
        weights | {"bias": ("'#8:2'", "'#8:7'"), "no_bias": (", '#8:2')", ")")},
    )  # fmt: skip
    sums = "float[2,3,8] x, float[2,3,8] s => float[2,3,8] y, float[2,3,8] a"
    yield from _against(
        "skip_norm_sum",
        sums,
        f"a = Add(x, s); y = {norm}",
        skip.replace("y =", "y, , , a ="),
        weights,
    )
    rms = (
        "a = Add(x, s); q = Mul(a, a); v = ReduceMean(q, '[-1]i'); e = Add(v, '1e-05'); "
        "r = Sqrt(e); "
        "d = Div(a, r); y = Mul(d, '#8')"
    )
    fused = f"y = {MS}.SkipSimplifiedLayerNormalization<epsilon=1e-05>(x, s, '#8')"
    yield from _against("skip_rms", two, rms, fused, {
        k: v for k, v in weights.items() if k != "beta"
    } | {"centered": (fused[4:], skip[4:])})  # fmt: skip


def _products() -> Iterator[Pair]:
    square = "float[4,4] x => float[4,4] y"
    fused = f"y = {MS}.FusedMatMul<transA=1, transB=0, alpha=0.5>(x, '#4x4')"
    yield from _against(
        "matmul", square, "t = Transpose(x); m = MatMul(t, '#4x4'); y = Mul(m, '0.5')", fused,
        {"transA": ("transA=1", "transA=0"), "transB": ("transB=0", "transB=1"),
         "alpha": ("0.5", "0.51")},
    )  # fmt: skip
    cube = "float[3,3,3] x => float[3,3,3] y"
    batch = f"y = {MS}.FusedMatMul<transBatchA=1>(x, '#3x3x3')"
    yield from _against(
        "matmul_batch", cube, "t = Transpose<perm=[1, 0, 2]>(x); y = MatMul(t, '#3x3x3')", batch,
        {"not": ("transBatchA=1", "transBatchA=0"), "other": ("transBatchA", "transBatchB"),
         "both": ("transBatchA=1", "transBatchA=1, transBatchB=1"),
         "transA": ("transBatchA=1", "transA=1")},
    )  # fmt: skip
    gemm = f"y = {MS}.FusedGemm<transB=1, activation=\"Relu\">(x, '#4x4', '#4')"
    yield from _against(
        "gemm", square, "g = Gemm<transB=1>(x, '#4x4', '#4'); y = Relu(g)", gemm,
        {"activation": ("Relu", "Tanh"), "transB": ("transB=1", "transB=0"),
         "leaky": ('"Relu"', '"LeakyRelu", activation_alpha=0.1'), "bias": ("'#4')", "'#4:9')")},
    )  # fmt: skip
    image = "float[1,2,5,5] x => float[1,2,5,5] y"
    conv = f"y = {MS}.FusedConv<pads=[1, 1, 1, 1], activation=\"Relu\">(x, '#2x2x3x3', '#2')"
    plain = "c = Conv<pads=[1, 1, 1, 1]>(x, '#2x2x3x3', '#2'); "
    yield from _against(
        "conv", image, plain + "y = Relu(c)", conv,
        {"activation": ("Relu", "Sigmoid"), "bias": ("'#2')", "'#2:9')"),
         "pads": ("[1, 1, 1, 1]", "[2, 2, 0, 0]")},
    )  # fmt: skip
    clip = conv.replace('"Relu"', '"Clip", activation_params=[0.0, 6.0]')
    yield from _against("conv_clip", image, plain + "y = Clip(c, '0', '6')", clip,
                        {"top": ("6.0", "5.0"), "low": ("[0.0", "[-1.0")})  # fmt: skip
    leaky = conv.replace('"Relu"', '"LeakyRelu", activation_params=[0.1]')
    yield from _against("conv_leaky", image, plain + "y = LeakyRelu<alpha=0.1>(c)", leaky,
                        {"alpha": ("[0.1]", "[0.2]"),
                         "kind": ('"LeakyRelu", activation_params=[0.1]', '"Relu"')})  # fmt: skip
    residual = "float[1,2,5,5] x, float[1,2,5,5] z => float[1,2,5,5] y"
    added = conv.replace("'#2')", "'#2', z)")
    yield from _against("conv_sum", residual, plain + "a = Add(c, z); y = Relu(a)", added,
                        {"none": (", z)", ")"), "itself": (", z)", ", x)")})  # fmt: skip


def _activations() -> Iterator[Pair]:
    gelu = (
        "d = Div(a, '1.4142135381698608'); e = Erf(d); p = Add(e, '1'); m = Mul(a, p); "
        "y = Mul(m, '0.5')"
    )
    yield from _against(
        "bias_gelu", TOKENS, f"a = Add(x, '#8'); {gelu}", f"y = {MS}.BiasGelu(x, '#8')",
        {"bias": ("#8", "#8:4"), "fast": ("BiasGelu", "FastGelu")}, wide=False,
    )  # fmt: skip
    yield from _against(
        "fast_gelu", TOKENS, "a = Add(x, '#8'); y = Gelu<approximate=\"tanh\">(a)",
        f"y = {MS}.FastGelu(x, '#8')", {"bias": ("#8", "#8:4"), "exact": ("FastGelu", "BiasGelu")},
        wide=False,
    )  # fmt: skip
    yield from _against(
        "quick_gelu", TOKENS, "a = Mul(x, '1.702'); s = Sigmoid(a); y = Mul(x, s)",
        f"y = {MS}.QuickGelu<alpha=1.702>(x)", {"alpha": ("1.702", "1.6")},
    )  # fmt: skip
    gate = "float[2,8] x => float[2,4] y"
    yield from vary(
        KIND, "split_gelu", gate, "a, b = Split<axis=-1, num_outputs=2>(x); g = Gelu(b); "
                                  "y = Mul(a, g)",
        differ={"halves": "b, a = Split<axis=-1, num_outputs=2>(x); g = Gelu(b); y = Mul(a, g)"},
        wide=False,
    )  # fmt: skip


def _spelled(scale: str, heads: int, mask: str = "", width: int = 8, kv: int = 0) -> str:
    """Attention over q, k, v of [2, T, width]."""
    size = width // heads
    text = ""
    for name, n in (("q", heads), ("k", kv or heads), ("v", kv or heads)):
        text += (f"{name}r = Reshape({name}, '[2, -1, {n}, {size}]i'); "
                 f"{name}h = Transpose<perm=[0, 2, 1, 3]>({name}r); ")  # fmt: skip
    add = f"a = Add(s, {mask})" if mask else "a = Identity(s)"
    return text + (
        f"kt = Transpose<perm=[0, 1, 3, 2]>(kh); m = MatMul(qh, kt); s = Mul(m, '{scale}'); {add}; "
        f"p = Softmax<axis=-1>(a); o = MatMul(p, vh); t = Transpose<perm=[0, 2, 1, 3]>(o); "
        f"y = Reshape(t, '[2, -1, {width}]i')"
    )


def _attention() -> Iterator[Pair]:
    sign = "float[2,3,8] q, float[2,5,8] k, float[2,5,8] v => float[2,3,8] y"
    scale = repr(float(np.float32(0.5)))
    fused = f"y = {MS}.MultiHeadAttention<num_heads=2>(q, k, v)"
    heads = {"heads": ("num_heads=2", "num_heads=4"),
             "scale": ("num_heads=2", "num_heads=2, scale=0.4"),
             "kv": ("(q, k, v)", "(q, v, k)")}  # fmt: skip
    yield from _against("mha", sign, _spelled(scale, 2), fused, heads)
    biased = "".join(f"{n}0 = Add({n}, '#8:{i}'); " for i, n in enumerate("qkv"))
    text = biased + _spelled(scale, 2).replace("Reshape(q,", "Reshape(q0,").replace(
        "Reshape(k,", "Reshape(k0,").replace("Reshape(v,", "Reshape(v0,")  # fmt: skip
    bias = "b = Concat<axis=0>('#8:0', '#8:1', '#8:2'); "
    yield from _against(
        "mha_bias", sign, text, bias + fused.replace("v)", "v, b)"),
        {"order": ("'#8:0', '#8:1'", "'#8:1', '#8:0'"), "value": ("'#8:2'", "'#8:3'"),
         "none": ("v, b)", "v)")},
    )  # fmt: skip
    masked = sign.replace(" =>", ", float[2,2,3,5] mask =>")
    yield from _against(
        "mha_mask", masked, _spelled(scale, 2, "mask"), fused.replace("v)", "v, , , mask)"),
        {"none": (", , , mask)", ")"), "heads": ("num_heads=2", "num_heads=2, scale=0.3")},
    )  # fmt: skip
    own = "float[2,3,8] x => float[2,3,8] y"
    packed = ("g = MatMul(x, '#8x24'); h = Add(g, '#24'); "
              "q, k, v = Split<axis=2, num_outputs=3>(h); "
              + _spelled(scale, 2))  # fmt: skip
    call = f"y = {MS}.Attention<num_heads=2>(x, '#8x24', '#24')"
    yield from _against(
        "attention", own, packed, call,
        {"heads": ("num_heads=2", "num_heads=1"),
         "causal": ("num_heads=2", "num_heads=2, unidirectional=1"),
         "weight": ("#8x24", "#8x24:1"), "bias": ("'#24'", "'#24:1'"),
         "scale": ("num_heads=2", "num_heads=2, scale=0.3")},
    )  # fmt: skip
    causal = (
        "c = Trilu<upper=1>('[[{0}, {0}, {0}], [{0}, {0}, {0}], [{0}, {0}, {0}]]', '1i'); "
    ).format("-1e30")
    yield from _against(
        "attention_causal", own, causal + packed.replace("a = Identity(s)", "a = Add(s, c)"),
        call.replace("num_heads=2", "num_heads=2, unidirectional=1"),
        {"not": ("unidirectional=1", "unidirectional=0")},
    )  # fmt: skip


def _standard_attention() -> Iterator[Pair]:
    sign = "float[2,3,8] q, float[2,5,8] k, float[2,5,8] v => float[2,3,8] y"
    flags = "q_num_heads=2, kv_num_heads=2"
    fused = f"y = Attention<{flags}>(q, k, v)"
    yield from _against(
        "attention23", sign, _spelled("0.5", 2), fused,
        {"scale": (flags, flags + ", scale=0.4"), "causal": (flags, flags + ", is_causal=1"),
         "heads": (flags, "q_num_heads=4, kv_num_heads=4"), "kv": ("(q, k, v)", "(q, v, k)"),
         "softcap": (flags, flags + ", softcap=0.5")}, opset=23,
    )  # fmt: skip
    few = "float[2,3,8] q, float[2,5,4] k, float[2,5,4] v => float[2,3,8] y"
    grouped = _spelled("0.70710678", 4, kv=2)
    repeat = "".join(
        f"{n}u = Unsqueeze({n}h, '[2]i'); {n}e = Expand({n}u, '[2, 2, 2, 5, 2]i'); "
        f"{n}f = Reshape({n}e, '[2, 4, 5, 2]i'); " for n in "kv"
    )  # fmt: skip
    text = grouped.replace("kt = Transpose<perm=[0, 1, 3, 2]>(kh)",
                           repeat + "kt = Transpose<perm=[0, 1, "
                           "3, 2]>(kf)").replace("MatMul(p, vh)", "MatMul(p, vf)")  # fmt: skip
    interleaved = text.replace("'[2]i')", "'[1]i')").replace("[2, 2, 2, 5, 2]", "[2, 2, 2, 5, 2]")
    yield from vary(
        KIND, "grouped_query", few, text, made={"opset": 23}, differ={"interleaved": interleaved},
        equal={"fused": "y = Attention<q_num_heads=4, kv_num_heads=2>(q, k, v)"},
    )  # fmt: skip


def _rotary() -> Iterator[Pair]:
    sign = "float[2,2,3,4] x => float[2,2,3,4] y"
    angle = np.arange(6).reshape(3, 2) * 0.7
    held = {"c": np.cos(angle).astype(np.float32), "s": np.sin(angle).astype(np.float32)}
    held |= {"cc": np.concatenate([held["c"]] * 2, 1), "ss": np.concatenate([held["s"]] * 2, 1)}
    half = (
        "l = Slice(x, '[0]i', '[2]i', '[3]i'); h = Slice(x, '[2]i', '[4]i', '[3]i'); n = Neg({}); "
    )
    half += "r = Concat<axis=3>({}); a = Mul(x, cc); b = Mul(r, ss); y = Add(a, b)"
    text = half.format("h", "n, l")
    fused = (
        "c3 = Unsqueeze(c, '[0]i'); ce = Expand(c3, '[2, 3, 2]i'); s3 = Unsqueeze(s, '[0]i'); "
        "se = Expand(s3, '[2, 3, 2]i'); y = RotaryEmbedding<interleaved={}>(x, {}, {})"
    )
    yield from vary(
        KIND, "rotary", sign, text, made={"opset": 23, "constants": held},
        differ={"sign": half.format("l", "h, n"), "interleaved": fused.format(1, "ce", "se"),
                "swapped": fused.format(0, "se", "ce"), "cos_only": "y = Mul(x, cc)"},
        equal={"fused": fused.format(0, "ce", "se"),
               "turned": text.replace("Mul(x, cc)", "Mul(cc, x)")},
    )  # fmt: skip
