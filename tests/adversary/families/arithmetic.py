"""Arithmetic and reductions: what looks like an identity and is none, and what is one."""

from __future__ import annotations

from collections.abc import Iterator

from tests.adversary.pairs import Pair, vary

KIND = "arithmetic"
X = "float[3,4] x => float[3,4] y"
XZ = "float[3,4] x, float[3,4] z => float[3,4] y"


def pairs() -> Iterator[Pair]:
    """All pairs of the family."""
    yield from _rounding()
    yield from _unary()
    yield from _binary()
    yield from _clips()
    yield from _divisions()
    yield from _reductions()
    yield from _sums()


def _rounding() -> Iterator[Pair]:
    yield from vary(
        KIND, "round", X, "y = Round(x)",
        differ={"half_up": "a = Add(x, '0.5'); y = Floor(a)", "floor": "y = Floor(x)",
                "ceil": "y = Ceil(x)", "toward_zero": "i = Cast<to=7>(x); y = Cast<to=1>(i)"},
    )  # fmt: skip
    yield from vary(
        KIND, "floor", X, "y = Floor(x)",
        differ={"toward_zero": "i = Cast<to=7>(x); y = Cast<to=1>(i)",
                "less_one": "a = Ceil(x); y = Sub(a, '1')"},
    )  # fmt: skip
    yield from vary(
        KIND, "sign", X, "y = Sign(x)",
        differ={"at_zero": "c = GreaterOrEqual(x, '0'); y = Where(c, '1', '-1')",
                "positive": "c = Greater(x, '0'); y = Cast<to=1>(c)"},
    )  # fmt: skip


def _unary() -> Iterator[Pair]:
    for op, others in {
        "Exp": ("Softplus", "Tanh"), "Tanh": ("Sin", "Softsign", "Erf"), "Erf": ("Tanh",),
        "Sin": ("Cos",), "Sigmoid": ("HardSigmoid",), "Atan": ("Asinh",), "Cosh": ("Exp",),
        "Softsign": ("Atan",),
    }.items():  # fmt: skip
        changed = {o: f"y = {o}(x)" for o in others}
        yield from vary(KIND, op, X, f"y = {op}(x)", differ=changed, wide=False)
    yield from vary(
        KIND, "abs", X, "y = Abs(x)",
        differ={"relu": "y = Relu(x)", "square": "y = Mul(x, x)", "itself": "y = Identity(x)"},
        equal={"max": "n = Neg(x); y = Max(x, n)"},
    )  # fmt: skip
    yield from vary(
        KIND, "root_of_square", X, "q = Mul(x, x); y = Sqrt(q)",
        differ={"itself": "y = Identity(x)", "negative": "y = Neg(x)"},
        wide=False,
    )  # fmt: skip
    yield from vary(
        KIND, "neg", X, "y = Neg(x)",
        differ={"itself": "y = Identity(x)", "abs": "a = Abs(x); y = Neg(a)"},
        equal={"times": "y = Mul(x, '-1')", "from_zero": "y = Sub('0', x)",
               "thrice": "a = Neg(x); b = Neg(a); y = Neg(b)"},
    )  # fmt: skip
    yield from vary(
        KIND, "square", X, "y = Mul(x, x)",
        differ={"cube": "y = Pow(x, '3')", "abs": "y = Abs(x)", "power1": "y = Pow(x, '1')"},
        equal={"power2": "y = Pow(x, '2')", "power2i": "y = Pow(x, '2i')"},
    )  # fmt: skip
    yield from vary(
        KIND, "reciprocal", "float[3,4] x => float[3,4] y", "q = Mul(x, x); p = Add(q, '1'); "
        "y = Reciprocal(p)",
        differ={"rsqrt": "q = Mul(x, x); p = Add(q, '1'); s = Sqrt(p); y = Reciprocal(s)"},
        equal={"div": "q = Mul(x, x); p = Add(q, '1'); y = Div('1', p)",
               "power": "q = Mul(x, x); p = Add(q, '1'); y = Pow(p, '-1')"},
    )  # fmt: skip


def _binary() -> Iterator[Pair]:
    yield from vary(
        KIND, "sub", XZ, "y = Sub(x, z)",
        differ={"turned": "y = Sub(z, x)", "add": "y = Add(x, z)",
                "distance": "a = Sub(x, z); y = Abs(a)"},
        equal={"neg": "n = Neg(z); y = Add(x, n)", "neg_turned": "a = Sub(z, x); y = Neg(a)"},
    )  # fmt: skip
    yield from vary(
        KIND, "div", XZ, "p = Abs(z); q = Add(p, '1'); y = Div(x, q)",
        differ={"turned": "p = Abs(z); q = Add(p, '1'); y = Div(q, x)",
                "mul": "p = Abs(z); q = Add(p, '1'); y = Mul(x, q)"},
        equal={"reciprocal": "p = Abs(z); q = Add(p, '1'); r = Reciprocal(q); y = Mul(x, r)"},
    )  # fmt: skip
    yield from vary(
        KIND, "distributed", XZ, "a = Add(x, z); y = Mul(a, '#4')",
        differ={"one_only": "a = Mul(x, '#4'); y = Add(a, z)",
                "other": "a = Mul(x, '#4'); b = Mul(z, '#4:1'); y = Add(a, b)"},
        equal={"both": "a = Mul(x, '#4'); b = Mul(z, '#4'); y = Add(a, b)",
               "swapped": "a = Add(z, x); y = Mul('#4', a)"},
    )  # fmt: skip
    yield from vary(
        KIND, "affine", X, "a = Mul(x, '2'); y = Add(a, '1')",
        differ={"first_add": "a = Add(x, '1'); y = Mul(a, '2')", "near": "a = Mul(x, '2'); "
                "y = Add(a, '1.001')"},
        equal={"half": "a = Add(x, '0.5'); y = Mul(a, '2')", "twice": "a = Add(x, x); "
               "y = Add('1', a)", "sub": "a = Mul(x, '2'); y = Sub(a, '-1')"},
    )  # fmt: skip
    yield from vary(
        KIND, "modulo", XZ, "p = Abs(z); q = Add(p, '1'); y = Mod<fmod=1>(x, q)",
        differ={"of_abs": "p = Abs(z); q = Add(p, '1'); a = Abs(x); y = Mod<fmod=1>(a, q)",
                "floored": "p = Abs(z); q = Add(p, '1'); d = Div(x, q); f = Floor(d); "
                "m = Mul(f, q); y = Sub(x, m)"},
    )  # fmt: skip
    yield from vary(
        KIND, "mean_of_three", "float[3,4] x, float[3,4] z, float[3,4] u => float[3,4] y",
        "y = Mean(x, z, u)",
        differ={"sum": "y = Sum(x, z, u)", "nested": "a = Mean(x, z); y = Mean(a, u)",
                "max": "y = Max(x, z, u)"},
        equal={"div": "a = Add(x, z); b = Add(a, u); y = Div(b, '3')",
               "turned": "y = Mean(u, x, z)"},
    )  # fmt: skip
    yield from vary(
        KIND, "max_of_three", "float[3,4] x, float[3,4] z, float[3,4] u => float[3,4] y",
        "y = Max(x, z, u)",
        differ={"two": "y = Max(x, z)", "min_inside": "a = Min(x, z); y = Max(a, u)"},
        equal={"nested": "a = Max(x, z); y = Max(a, u)", "other": "a = Max(z, u); y = Max(x, a)",
               "turned": "y = Max(u, z, x)"},
    )  # fmt: skip
    yield from vary(
        KIND, "broadcast", "float[4,4] x, float[4] z => float[4,4] y", "y = Add(x, z)",
        differ={"other_axis": "u = Unsqueeze(z, '[1]i'); y = Add(x, u)"},
        equal={"spelled": "u = Unsqueeze(z, '[0]i'); e = Expand(u, '[4, 4]i'); y = Add(e, x)"},
    )  # fmt: skip


def _clips() -> Iterator[Pair]:
    yield from vary(
        KIND, "clip", X, "y = Clip(x, '0', '6')",
        differ={"high": "y = Clip(x, '0', '6.5')", "low": "y = Clip(x, '-0.01', '6')",
                "open": "y = Clip(x, '0')", "far": "y = Clip(x, '0', '600')"},
        equal={"minmax": "a = Max(x, '0'); y = Min(a, '6')", "relu": "a = Relu(x); y = Min(a, '6')",
               "relu_clip": "a = Clip(x, , '6'); y = Relu(a)",
               "twice": "a = Clip(x, '0', '6'); y = Clip(a, '-1', '7')"},
    )  # fmt: skip
    yield from vary(
        KIND, "relu", X, "y = Relu(x)",
        differ={"leaky": "y = LeakyRelu<alpha=0.001>(x)", "elu": "y = Elu(x)",
                "threshold": "y = ThresholdedRelu<alpha=0.01>(x)",
                "clip_far": "y = Clip(x, '0', '900')",
                "celu": "y = Celu<alpha=0.01>(x)"},
        equal={"max": "y = Max('0', x)", "clip": "y = Clip(x, '0')", "prelu": "y = PRelu(x, '0')",
               "leaky0": "y = LeakyRelu<alpha=0.0>(x)"},
    )  # fmt: skip
    yield from vary(
        KIND, "relu_scaled", X, "r = Relu(x); y = Mul(r, '2')",
        differ={"negative": "a = Mul(x, '-2'); y = Relu(a)",
                "three": "r = Relu(x); y = Mul(r, '3')"},
        equal={"inside": "a = Mul(x, '2'); y = Relu(a)", "added": "r = Relu(x); y = Add(r, r)"},
    )  # fmt: skip
    yield from vary(
        KIND, "clip_crossed", X, "y = Clip(x, '2', '1')",
        differ={"as_low": "a = Min(x, '1'); y = Max(a, '2')", "swapped": "y = Clip(x, '1', '2')"},
        equal={"all_high": "a = Max(x, '2'); y = Min(a, '1')"},
    )  # fmt: skip


def _divisions() -> Iterator[Pair]:
    """Integer division truncates, Mod follows the divisor, fmod the dividend."""
    for kind, s in (("int64", "i"), ("int32", "w")):
        sign = f"{kind}[2,6] x => {kind}[2,6] y"
        small = {"x": (-1000.0, 1000.0)}
        yield from vary(
            KIND, f"mod.{kind}", sign, f"y = Mod(x, '3{s}')",
            differ={"fmod": f"y = Mod<fmod=1>(x, '3{s}')", "abs": f"a = Abs(x); y = Mod(a, '3{s}')",
                    "less": f"q = Div(x, '3{s}'); m = Mul(q, '3{s}'); y = Sub(x, m)"},
            equal={"twice": f"a = Mod(x, '3{s}'); y = Mod(a, '3{s}')",
                   "turned": f"a = Mod(x, '3{s}'); b = Add(a, '3{s}'); y = Mod(b, '3{s}')"},
            ranges=small,
        )  # fmt: skip
        yield from vary(
            KIND, f"div.{kind}", sign, f"y = Div(x, '2{s}')",
            differ={"floored": f"m = Mod(x, '2{s}'); a = Sub(x, m); y = Div(a, '2{s}')",
                    "other": f"y = Div(x, '3{s}')"},
            equal={"negated": f"a = Neg(x); b = Div(a, '2{s}'); y = Neg(b)",
                   "fmod": f"m = Mod<fmod=1>(x, '2{s}'); a = Sub(x, m); y = Div(a, '2{s}')"},
            ranges=small,
        )  # fmt: skip


def _reductions() -> Iterator[Pair]:
    """Each reduction: other axes, other operator, spelled out."""
    spelled = {
        "ReduceSum": ("ReduceMean", "m = ReduceMean<keepdims=0>(x, '[1]i'); y = Mul(m, '4')"),
        "ReduceMean": ("ReduceSum", "m = ReduceSum<keepdims=0>(x, '[1]i'); y = Mul(m, '0.25')"),
        "ReduceMax": ("ReduceMin", "n = Neg(x); m = ReduceMin<keepdims=0>(n, '[1]i'); y = Neg(m)"),
        "ReduceMin": ("ReduceMax", "n = Neg(x); m = ReduceMax<keepdims=0>(n, '[1]i'); y = Neg(m)"),
        "ReduceL1": ("ReduceSum", "n = Abs(x); y = ReduceSum<keepdims=0>(n, '[-3]i')"),
        "ReduceL2": ("ReduceL1", "n = Mul(x, x); m = ReduceSum<keepdims=0>(n, '[1]i'); "
                                 "y = Sqrt(m)"),
        "ReduceSumSquare": ("ReduceL2", "n = Mul(x, x); y = ReduceSum<keepdims=0>(n, '[1]i')"),
        "ReduceProd": ("ReduceSum", "a, b, c, d = Split<axis=1, num_outputs=4>(x); e = Mul(a, b); "
                       "f = Mul(c, d); g = Mul(e, f); y = Squeeze(g, '[1]i')"),
        "ReduceLogSum": ("ReduceLogSumExp", "m = ReduceSum<keepdims=0>(x, '[1]i'); y = Log(m)"),
        "ReduceLogSumExp": ("ReduceMax", "n = Exp(x); m = ReduceSum<keepdims=0>(n, '[1]i'); "
                            "y = Log(m)"),
    }  # fmt: skip
    for op, (other, text) in spelled.items():
        yield from vary(
            KIND, op, "float[2,4,4,4] x => float[2,4,4] y", f"y = {op}<keepdims=0>(x, '[1]i')",
            differ={"axis": f"y = {op}<keepdims=0>(x, '[2]i')",
                    "other": f"y = {other}<keepdims=0>(x, '[1]i')"},
            equal={"spelled": text.replace("[-3]", "[1]"),
                   "kept": f"k = {op}<keepdims=1>(x, '[-3]i'); y = Squeeze(k, '[1]i')"},
            wide=op not in ("ReduceProd", "ReduceLogSumExp"),
        )  # fmt: skip
    yield from vary(
        KIND, "no_axes", "float[3,4] x => float[a,b] y", "y = ReduceSum<keepdims=1>(x)",
        differ={"noop": "y = ReduceSum<keepdims=1, noop_with_empty_axes=1>(x)",
                "one": "y = ReduceSum<keepdims=1>(x, '[1]i')"},
        equal={"both": "y = ReduceSum<keepdims=1>(x, '[0, 1]i')",
               "stepwise": "a = ReduceSum<keepdims=1>(x, '[0]i'); "
                           "y = ReduceSum<keepdims=1>(a, '[1]i')"},
    )  # fmt: skip
    yield from vary(
        KIND, "variance", "float[3,8] x => float[3,1] y",
        "m = ReduceMean(x, '[1]i'); c = Sub(x, m); "
        "q = Mul(c, c); y = ReduceMean(q, '[1]i')",
        differ={"sample": "m = ReduceMean(x, '[1]i'); c = Sub(x, m); q = Mul(c, c); "
                "s = ReduceSum(q, '[1]i'); y = Div(s, '7')",
                "raw": "q = Mul(x, x); y = ReduceMean(q, '[1]i')"},
        equal={"sum": "m = ReduceMean(x, '[1]i'); c = Sub(x, m); s = ReduceSumSquare(c, '[1]i'); "
               "y = Div(s, '8')"},
    )  # fmt: skip


def _sums() -> Iterator[Pair]:
    for name, flags in {
        "exclusive": "exclusive=1", "reverse": "reverse=1", "both": "exclusive=1, reverse=1",
    }.items():  # fmt: skip
        yield from vary(
            KIND, f"cumsum.{name}", "float[3,5] x => float[3,5] y", "y = CumSum(x, '1i')",
            differ={"flag": f"y = CumSum<{flags}>(x, '1i')"},
        )  # fmt: skip
    yield from vary(
        KIND, "cumsum", "float[4,4] x => float[4,4] y", "y = CumSum(x, '1i')",
        differ={"axis": "y = CumSum(x, '0i')", "sum": "s = ReduceSum(x, '[1]i'); "
                "y = Expand(s, '[4, 4]i')"},
        equal={"negative_axis": "y = CumSum(x, '-1i')",
               "exclusive": "e = CumSum<exclusive=1>(x, '1i'); "
               "y = Add(e, x)", "triangle": "y = MatMul(x, "
                                            "'[[1,1,1,1],[0,1,1,1],[0,0,1,1],[0,0,0,1]]')"},
    )  # fmt: skip
