"""Element types: casts, wrapping, quantized and short numbers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tests.adversary.pairs import Pair, vary, weight

KIND = "types"
X = "float[3,4] x => float[3,4] y"
# Names and numbers of the element types in ONNX.
NUMBERS = {
    "float16": 10, "bfloat16": 16, "double": 11, "int32": 6, "int64": 7, "int8": 3, "uint8": 2,
    "int16": 5, "bool": 9, "float8e4m3fn": 17, "float8e5m2": 19, "float8e4m3fnuz": 18,
}  # fmt: skip


def pairs() -> Iterator[Pair]:
    """All pairs of the family."""
    yield from _through()
    yield from _between()
    yield from _precision()
    yield from _wrapping()
    yield from _quantized()
    yield from _quantized_products()
    yield from _integer_products()
    yield from _doubles()


def _through() -> Iterator[Pair]:
    """A cast to another type and back is no identity."""
    for name, number in NUMBERS.items():
        small = {"x": (-100.0, 100.0)} if name in ("int8", "int16") else {}
        small = {"x": (0.0, 200.0)} if name == "uint8" else small
        back = f"h = Cast<to={number}>(x); y = Cast<to=1>(h)"
        if name == "double":
            yield from vary(KIND, "through.double", X, "y = Identity(x)", equal={"back": back})
            continue
        yield from vary(
            KIND, f"through.{name}", X, "y = Identity(x)", differ={"back": back}, ranges=small
        )
        yield from vary(
            KIND, f"twice.{name}", X, back, ranges=small,
            differ={"gone": "y = Identity(x)"} if name in ("float16", "int8") else {},
            equal={"again": back.replace("(h)", "(k)").replace(
                "; y", f"; f = Cast<to=1>(h); k = Cast<to={number}>(f); y")}
            if name in ("float16", "bfloat16", "int8") else {},
        )  # fmt: skip


def _between() -> Iterator[Pair]:
    """Two short types, and what is beyond the largest number of one."""
    cast = "h = Cast<to={}>(x); y = Cast<to=1>(h)"
    short = ("float16", "bfloat16", "float8e4m3fn", "float8e5m2", "float8e4m3fnuz")
    for i, one in enumerate(short):
        differ = {other: cast.format(NUMBERS[other]) for other in short[i + 1 :]}
        if one.startswith("float8"):
            differ["unsaturated"] = cast.format(f"{NUMBERS[one]}, saturate=0")
        beyond = [{"x": np.full((3, 4), 1e5, np.float32)}]
        yield from vary(
            KIND, f"short.{one}", X, cast.format(NUMBERS[one]), differ=differ, feeds=beyond
        )
    yield from vary(
        KIND, "to_integer", X, "i = Cast<to=6>(x); y = Cast<to=1>(i)",
        differ={"round": "r = Round(x); i = Cast<to=6>(r); y = Cast<to=1>(i)",
                "floor": "y = Floor(x)",
                "byte": "i = Cast<to=6>(x); b = Cast<to=3>(i); y = Cast<to=1>(b)"},
        equal={"wide": "i = Cast<to=7>(x); y = Cast<to=1>(i)", "like": "i = CastLike(x, '0w'); "
               "y = Cast<to=1>(i)"},
    )  # fmt: skip
    yield from vary(
        KIND, "clip_half", "float16[3,4] x => float16[3,4] y", "y = Clip(x, '-50h', '50h')",
        differ={"none": "y = Identity(x)", "wider": "y = Clip(x, '-90h', '90h')"},
        equal={"float": "f = Cast<to=1>(x); c = Clip(f, '-50', '50'); y = Cast<to=10>(c)"},
    )  # fmt: skip
    whole = "int64[2,6] a => int64[2,6] y"
    for name, number in (
        ("int32", 6),
        ("int16", 5),
        ("int8", 3),
        ("uint8", 2),
        ("uint32", 12),
        ("float", 1),
    ):
        yield from vary(
            KIND, f"narrow.{name}", whole, "y = Identity(a)",
            differ={"back": f"b = Cast<to={number}>(a); y = Cast<to=7>(b)"},
        )  # fmt: skip


def _precision() -> Iterator[Pair]:
    """A lower precision in the middle of the graph, or of a weight only."""
    for name, number in (("float16", 10), ("bfloat16", 16)):
        text = "m = MatMul(x, '#8x8'); y = Tanh(m)"
        low = f"h = Cast<to={number}>(x); {{}}; y = Tanh(f)"
        weights = f"w = Cast<to={number}>('#8x8'); v = Cast<to=1>(w); m = MatMul(x, v); y = Tanh(m)"
        differ = {
            "weights": weights,
            "input": low.format("v = Cast<to=1>(h); f = MatMul(v, '#8x8')"),
        }
        yield from vary(
            KIND, f"lower.{name}", "float[4,8] x => float[4,8] y", text, differ=differ, wide=False
        )
    half = "float16[4,8] x => float16[4,8] y"
    yield from vary(
        KIND, "half", half, "y = Mul(x, '3h')", differ={"near": "y = Mul(x, '4h')"},
        equal={"float": "f = Cast<to=1>(x); m = Mul(f, '3'); y = Cast<to=10>(m)", "turned":
               "y = Mul('3h', x)"},
    )  # fmt: skip


def _wrapping() -> Iterator[Pair]:
    """Arithmetic beyond a type's range."""
    for kind, number in (("uint8", 2), ("int8", 3), ("int32", 6)):
        sign = f"{kind}[2,6] a, {kind}[2,6] b => int64[2,6] y"
        for op in ("Add", "Sub", "Mul"):
            wide = f"c = Cast<to=7>(a); d = Cast<to=7>(b); p = {op}(c, d); "
            yield from vary(
                KIND, f"{op}.{kind}", sign, f"p = {op}(a, b); y = Cast<to=7>(p)",
                differ={"wide": wide.replace("p =", "y =")},
                equal={"wide_back": wide + f"q = Cast<to={number}>(p); y = Cast<to=7>(q)"},
            )  # fmt: skip
    for kind, s in (("int8", "b"), ("int32", "w"), ("int64", "i")):
        low = int(np.iinfo(np.dtype(kind)).min)
        sign = f"{kind}[2,6] a => {kind}[2,6] y"
        yield from vary(
            KIND, f"abs.{kind}", sign, "y = Abs(a)",
            differ={"lowest": f"b = Max(a, '{low + 1}{s}'); y = Abs(b)",
                    "itself": "y = Identity(a)"},
            equal={"neg": "n = Neg(a); y = Max(a, n)"},
        )  # fmt: skip
    yield from vary(
        KIND, "sum32", "int32[2,6] a => int32[1] y", "y = ReduceSum<keepdims=0>(b, '[1]i')".replace(
            "(b", "(r").replace("y =", "r = Reshape(a, '[1, 12]i'); y ="),
        differ={"clipped": "c = Clip(a, '-1000w', '1000w'); r = Reshape(c, '[1, 12]i'); "
                "y = ReduceSum<keepdims=0>(r, '[1]i')"},
    )  # fmt: skip


def _quantized() -> Iterator[Pair]:
    q = "q = QuantizeLinear(x, '{}', '{}'); y = DequantizeLinear(q, '{}', '{}')"
    base = q.format("0.1", "3b", "0.1", "3b")
    yield from vary(
        KIND, "qdq", X, base,
        differ={"gone": "y = Identity(x)", "scale": q.format("0.11", "3b", "0.11", "3b"),
                "zero": q.format("0.1", "4b", "0.1", "4b"),
                "type": q.format("0.1", "3u", "0.1", "3u"),
                "one_scale": q.format("0.1", "3b", "0.2", "3b"),
                "one_zero": q.format("0.1", "3b", "0.1", "2b"),
                "round": "d = Div(x, '0.1'); f = Floor(d); z = Add(f, '3'); "
                         "c = Clip(z, '-128', '127'); "
                "s = Sub(c, '3'); y = Mul(s, '0.1')",
                "unclipped": "d = Div(x, '0.1'); f = Round(d); "
                "y = Mul(f, '0.1')"},
        equal={"spelled": "d = Div(x, '0.1'); f = Round(d); z = Add(f, '3'); "
                          "c = Clip(z, '-128', '127'); "
               "s = Sub(c, '3'); y = Mul(s, '0.1')"},
    )  # fmt: skip
    square = "float[4,4] x => float[4,4] y"
    each = (
        "q = QuantizeLinear<axis={}>(x, '[0.1, 0.2, 0.3, 0.4]', '[0, 0, 0, 0]b'); "
        "y = DequantizeLinear<axis={}>(q, '[0.1, 0.2, 0.3, 0.4]', '[0, 0, 0, 0]b')"
    )
    yield from vary(
        KIND, "qdq_axis", square, each.format(0, 0),
        differ={"axis": each.format(1, 1), "one_axis": each.format(0, 1),
                "order": each.format(0, 0).replace("[0.1, 0.2, 0.3, 0.4]", "[0.1, 0.3, 0.2, 0.4]")},
        equal={"negative": each.format(-2, -2)},
    )  # fmt: skip
    table = weight((8, 8), 3)
    steps = np.round(table / 0.02).clip(-128, 127).astype(np.int8)
    sign = "float[4,8] x => float[4,8] y"
    text = "w = DequantizeLinear(s, '0.02'); y = MatMul(x, w)"
    other = steps.copy()
    other[7, 7] += 1
    plain = (steps.astype(np.float32) * np.float32(0.02)).astype(np.float32)
    yield from vary(
        KIND, "weight_only", sign, text, made={"constants": {"s": steps}},
        differ={"step": (text, {"constants": {"s": other}}),
                "float": ("y = MatMul(x, w)", {"constants": {"w": table}}),
                "scale": text.replace("0.02", "0.021"),
                "zero": text.replace("'0.02'", "'0.02', '1b'")},
        equal={"folded": ("y = MatMul(x, w)", {"constants": {"w": plain}}),
               "cast": "c = Cast<to=1>(s); w = Mul(c, '0.02'); y = MatMul(x, w)",
               "after": "c = Cast<to=1>(s); m = MatMul(x, c); y = Mul(m, '0.02')"},
    )  # fmt: skip
    dynamic = "q, s, z = DynamicQuantizeLinear(x); y = DequantizeLinear(q, s, z)"
    yield from vary(
        KIND, "dynamic", X, dynamic,
        differ={"gone": "y = Identity(x)", "no_zero": dynamic.replace("(q, s, z)", "(q, s)"),
                "of_relu": dynamic.replace("(x)", "(r)").replace("q,", "r = Relu(x); q,", 1)},
    )  # fmt: skip


def _quantized_products() -> Iterator[Pair]:
    a = weight((8, 4), 5)
    steps = np.round(a / 0.02).clip(-128, 127).astype(np.int8)
    held = {"constants": {"w": steps}}
    text = "q = QuantizeLinear(x, '0.05', '{}b'); m = {}; y = DequantizeLinear(m, '0.04', '{}b')"
    fused = text.format(2, "QLinearMatMul(q, '0.05', '2b', w, '0.02', '0b', '0.04', '1b')", 1)
    apart = text.format(
        2, "QuantizeLinear(p, '0.04', '1b')", 1,
    ).replace("m =", "d = DequantizeLinear(q, '0.05', '2b'); v = DequantizeLinear(w, '0.02'); "
              "p = MatMul(d, v); m =")  # fmt: skip
    changed = steps.copy()
    changed[0, 0] += 40
    yield from vary(
        KIND, "qlinear_matmul", "float[3,8] x => float[3,4] y", apart, made=held,
        differ={"scale": fused.replace("w, '0.02'", "w, '0.03'"),
                "zero": fused.replace("w, '0.02', '0b'", "w, '0.02', '9b'"),
                "out_scale": fused.replace("'0.04', '1b')", "'0.05', '1b')", 1),
                "weight": (apart, {"constants": {"w": changed}}),
                "float": "v = DequantizeLinear(w, "
                "'0.02'); y = MatMul(x, v)"},
    )  # fmt: skip


def _integer_products() -> Iterator[Pair]:
    sign = "uint8[3,8] a => int32[3,4] y"
    held = {"constants": {"w": (np.arange(32) * 37 % 251).astype(np.uint8).reshape(8, 4)}}
    base = "y = MatMulInteger(a, w, '128u', '7u')"
    yield from vary(
        KIND, "matmul_integer", sign, base, made=held,
        differ={"a_zero": base.replace("128u", "127u"), "b_zero": base.replace("7u", "0u"),
                "none": "y = MatMulInteger(a, w)",
                "swapped": base.replace("'128u', '7u'", "'7u', '128u'")},
        equal={"spelled": "b = Cast<to=6>(a); c = Sub(b, '128w'); d = Cast<to=6>(w); "
                          "e = Sub(d, '7w'); "
               "y = MatMul(c, e)"},
    )  # fmt: skip
    sign = "uint8[1,2,5,5] a => int32[1,2,3,3] y"
    held = {"constants": {"w": (np.arange(36) * 37 % 251).astype(np.uint8).reshape(2, 2, 3, 3)}}
    base = "y = ConvInteger{}(a, w, '128u', '7u')"
    yield from vary(
        KIND, "conv_integer", sign, base.format(""), made=held,
        differ={"a_zero": base.format("").replace("128u", "12u"), "b_zero": base.format("").replace(
            "7u", "8u"), "none": "y = ConvInteger(a, w)"},
        equal={"default": base.format("<strides=[1, 1], group=1>")},
    )  # fmt: skip


def _doubles() -> Iterator[Pair]:
    sign = "double[3,4] x => double[3,4] y"
    tenth = float(np.float32(0.1))
    yield from vary(
        KIND, "double", sign, "y = Mul(x, '0.1d')",
        differ={"float_constant": f"y = Mul(x, '{tenth!r}d')", "through_float":
                "f = Cast<to=1>(x); m = Mul(f, '0.1'); y = Cast<to=11>(m)",
                "late_float": "m = Mul(x, '0.1d'); f = Cast<to=1>(m); y = Cast<to=11>(f)"},
        equal={"turned": "y = Mul('0.1d', x)"},
    )  # fmt: skip
    yield from vary(
        KIND, "double_sum", "double[3,4] x => double[3] y", "y = ReduceSum<keepdims=0>(x, '[1]i')",
        differ={"float": "f = Cast<to=1>(x); s = ReduceSum<keepdims=0>(f, '[1]i'); "
                         "y = Cast<to=11>(s)"},
        equal={"mean": "m = ReduceMean<keepdims=0>(x, '[1]i'); y = Mul(m, '4d')"},
    )  # fmt: skip
    yield from vary(
        KIND, "range", "int64[1] n => double[r] y", "s = Squeeze(n); f = Cast<to=11>(s); "
        "y = Range('0d', f, '0.1d')",
        differ={"step": "s = Squeeze(n); f = Cast<to=11>(s); y = Range('0d', f, '0.125d')",
                "float": "s = Squeeze(n); f = Cast<to=1>(s); r = Range('0', f, '0.1'); "
                         "y = Cast<to=11>(r)"},
        ranges={"n": (1, 9)},
    )  # fmt: skip
