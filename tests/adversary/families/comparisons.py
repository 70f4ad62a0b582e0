"""Comparisons, ties, borders, and the order of operands."""

from __future__ import annotations

from collections.abc import Iterator

from tests.adversary.pairs import Pair, vary

KIND = "comparisons"
X = "float[3,4] x => float[3,4] y"
XZ = "float[3,4] x, float[3,4] z => float[3,4] y"


def pairs() -> Iterator[Pair]:
    """All pairs of the family."""
    yield from _strict()
    yield from _tied()
    yield from _filled()
    yield from _chosen()
    yield from _logic()
    yield from _bits()


def _strict() -> Iterator[Pair]:
    """Strictness, by element type, between two inputs and against a constant."""
    types = {"float": "", "double": "d", "float16": "h", "int32": "w", "int64": "i", "uint8": "u"}
    for kind, letter in types.items():
        sign = f"{kind}[2,6] x, {kind}[2,6] z => bool[2,6] y"
        integral = kind[0] in "iu"
        for op, other, flipped in (
            ("Greater", "GreaterOrEqual", "Less"),
            ("LessOrEqual", "Less", "GreaterOrEqual"),
        ):
            opposite = {"Greater": "LessOrEqual", "LessOrEqual": "Greater"}[op]
            differ = {"strict": f"y = {other}(x, z)", "turned": f"y = {flipped}(x, z)"}
            equal = {
                "flipped": f"y = {flipped}(z, x)",
                "opposite": f"q = {opposite}(x, z); y = Not(q)",
            }
            if kind in ("double", "int32", "uint8"):
                differ.pop("turned")
                equal.pop("flipped")
            yield from vary(
                KIND, f"{op}.{kind}", sign, f"y = {op}(x, z)", differ=differ, equal=equal
            )
        if integral:
            one = f"{kind}[2,6] x => bool[2,6] y"
            yield from vary(
                KIND, f"over.{kind}", one, f"y = Greater(x, '3{letter}')",
                differ={"four": f"y = Greater(x, '4{letter}')"},
                equal={"at_least": f"y = GreaterOrEqual(x, '4{letter}')"},
            )  # fmt: skip
    yield from vary(
        KIND, "equal_is_both", "float[2,6] x, float[2,6] z => bool[2,6] y", "y = Equal(x, z)",
        differ={"one_side": "y = GreaterOrEqual(x, z)",
                "never": "a = Less(x, z); b = Greater(x, z); "
                "y = And(a, b)"},
        equal={"swapped": "y = Equal(z, x)"},
    )  # fmt: skip


# Operators after which a comparison meets its border with probability: (text, border).
_BORDERS = {
    "relu": ("r = Relu(x)", "0"), "clip": ("r = Clip(x, '-1', '1')", "1"),
    "low": ("r = Clip(x, '-1', '1')", "-1"), "floor": ("r = Floor(x)", "2"),
    "round": ("r = Round(x)", "-2"), "sign": ("r = Sign(x)", "1"), "ceil": ("r = Ceil(x)", "0"),
    "max": ("r = Max(x, '0.5')", "0.5"), "hard": ("r = HardSigmoid(x)", "1"),
    "far": ("q = Add(x, '50'); r = Relu(q)", "0"), "clip6": ("r = Clip(x, '0', '6')", "6"),
    "shrink": ("r = Shrink<lambd=0.5>(x)", "0"), "many": ("r = Floor(x)", "64"),
    "cast": ("q = Cast<to=6>(x); r = Cast<to=1>(q)", "3"),
}  # fmt: skip


def _tied() -> Iterator[Pair]:
    """Strictness where a tie is likely, or happens far away only."""
    for name, (text, border) in _BORDERS.items():
        strict = f"{text}; c = Greater(r, '{border}'); y = Where(c, x, '0.25')"
        loose = f"{text}; c = GreaterOrEqual(r, '{border}'); y = Where(c, x, '0.25')"
        below = f"{text}; c = LessOrEqual(r, '{border}'); y = Where(c, '0.25', x)"
        under = f"{text}; c = Less(r, '{border}'); y = Where(c, x, '7')"
        both = f"{text}; c = LessOrEqual(r, '{border}'); y = Where(c, x, '7')"
        yield from vary(
            KIND, f"border.{name}", X, strict, differ={"loose": loose}, equal={"turned": below}
        )
        yield from vary(KIND, f"under.{name}", X, under, differ={"loose": both})


def _filled() -> Iterator[Pair]:
    """What is put where an exact value is met."""
    for value in ("0", "1", "-3", "0.5"):
        base = f"c = Equal(x, '{value}'); y = Where(c, '-10000', x)"
        yield from vary(
            KIND, f"fill{value}", X, base,
            differ={"fill": base.replace("-10000", "-5"), "gone": "y = Identity(x)",
                    "value": base.replace(f"'{value}'", "'0.75'")},
            equal={"not": f"c = Equal(x, '{value}'); n = Not(c); y = Where(n, x, '-10000')"},
        )  # fmt: skip
    yield from vary(
        KIND, "nonzero_as_bool", X, "c = Cast<to=9>(x); y = Where(c, x, '3')",
        differ={"half": "h = Round(x); c = Cast<to=9>(h); y = Where(c, x, '3')",
                "positive": "c = Greater(x, '0'); y = Where(c, x, '3')",
                "fill": "c = Cast<to=9>(x); y = Where(c, x, '4')"},
        equal={"equal": "c = Equal(x, '0'); y = Where(c, '3', x)"},
    )  # fmt: skip
    yield from vary(
        KIND, "isinf", X, "e = Exp(x); c = IsInf(e); y = Where(c, '7', x)",
        differ={"negative": "e = Exp(x); c = IsInf<detect_positive=0>(e); y = Where(c, '7', x)",
                "nan": "e = Exp(x); c = IsNaN(e); y = Where(c, '7', x)",
                "fill": "e = Exp(x); c = IsInf(e); y = Where(c, '8', x)"},
    )  # fmt: skip
    yield from vary(
        KIND, "nan_made", X, "q = Sqrt(x); c = IsNaN(q); y = Where(c, '7', q)",
        differ={"left": "y = Sqrt(x)", "fill": "q = Sqrt(x); c = IsNaN(q); y = Where(c, '6', q)",
                "abs": "a = Abs(x); q = Sqrt(a); c = IsNaN(q); y = Where(c, '7', q)"},
    )  # fmt: skip
    yield from vary(
        KIND, "nan_where_finite", X, "y = Identity(x)",
        differ={"root": "q = Sqrt(x); y = Mul(q, q)", "log": "q = Log(x); y = Exp(q)",
                "quotient": "q = Div(x, x); y = Mul(q, x)"},
    )  # fmt: skip


def _chosen() -> Iterator[Pair]:
    """Which of several equal elements is chosen."""
    out = "float[3,6] x => int64[3,1] y"
    for name, before in {
        "plain": "r = Identity(x)", "clip": "r = Clip(x, '0', '6')", "relu": "r = Relu(x)",
        "floor": "r = Floor(x)", "sign": "r = Sign(x)",
    }.items():  # fmt: skip
        for op, other in (("ArgMax", "ArgMin"), ("ArgMin", "ArgMax")):
            base = f"{before}; y = {op}<axis=1>(r)"
            differ = {"last": f"{before}; y = {op}<axis=1, select_last_index=1>(r)"}
            equal: dict[str, str] = {}
            if name == "plain":
                differ["other"] = f"y = {other}<axis=1>(x)"
                differ["absolute"] = f"a = Abs(x); y = {op}<axis=1>(a)"
                equal["axis"] = f"y = {op}<axis=-1, keepdims=1, select_last_index=0>(x)"
            yield from vary(KIND, f"{op}.{name}", out, base, differ=differ, equal=equal)
    top = "float[3,6] x => float[3,2] v, int64[3,2] y"
    yield from vary(
        KIND, "topk", top, "v, y = TopK<axis=1>(x, '[2]i')",
        differ={"smallest": "v, y = TopK<axis=1, largest=0>(x, '[2]i')",
                "of_negated": "n = Neg(x); m, y = TopK<axis=1>(n, '[2]i'); v = Neg(m)"},
    )  # fmt: skip
    yield from vary(
        KIND, "topk_relu", "float[3,6] x => int64[3,1] y",
        "r = Relu(x); v, y = TopK<axis=1>(r, '[1]i')",
        differ={"last": "r = Relu(x); y = ArgMax<axis=1, select_last_index=1>(r)"},
        equal={"argmax": "r = Relu(x); y = ArgMax<axis=1>(r)"},
    )  # fmt: skip
    yield from vary(
        KIND, "hardmax", X, "y = Hardmax<axis=1>(x)",
        differ={"axis": "y = Hardmax<axis=0>(x)",
                "all_ties": "m = ReduceMax<keepdims=1>(x, '[1]i'); c = Equal(x, m); "
                "y = Cast<to=1>(c)"},
    )  # fmt: skip
    yield from vary(
        KIND, "maximum", XZ, "y = Max(x, z)",
        differ={"min": "y = Min(x, z)", "absolute": "a = Abs(z); y = Max(x, a)",
                "first": "y = Identity(x)"},
        equal={"negated": "a = Neg(x); b = Neg(z); m = Min(a, b); y = Neg(m)"},
    )  # fmt: skip


def _logic() -> Iterator[Pair]:
    sign = "bool[2,6] a, bool[2,6] b => bool[2,6] y"
    for op, dual in (("And", "Or"), ("Or", "And")):
        yield from vary(
            KIND, op, sign, f"y = {op}(a, b)",
            differ={"dual": f"y = {dual}(a, b)", "xor": "y = Xor(a, b)",
                    "first": "y = Identity(a)", "equal": "y = Equal(a, b)"},
            equal={"de_morgan": f"p = Not(a); q = Not(b); r = {dual}(p, q); y = Not(r)",
                   "where": "t = Identity(a); "
                            "y = Where(t, " + ("b, a)" if op == "And" else "a, b)")},
        )  # fmt: skip
    yield from vary(
        KIND, "xor", sign, "y = Xor(a, b)",
        differ={"or": "y = Or(a, b)", "equal": "y = Equal(a, b)"},
        equal={"not_equal": "e = Equal(a, b); y = Not(e)"},
    )  # fmt: skip
    for width in (16, 1):
        any_of = f"bool[{width},5] a => float[5] y"
        yield from vary(
            KIND, f"any{width}", any_of,
            "f = Cast<to=1>(a); s = ReduceSum<keepdims=0>(f, '[0]i'); c = Greater(s, '0'); "
            "y = Cast<to=1>(c)",
            differ={"two": "f = Cast<to=1>(a); s = ReduceSum<keepdims=0>(f, '[0]i'); "
                    "c = Greater(s, '1'); y = Cast<to=1>(c)",
                    "never": "s = Gather<axis=0>(a, '0i'); n = Not(s); c = And(s, n); "
                    "y = Cast<to=1>(c)"},
            equal={"max": "f = Cast<to=1>(a); y = ReduceMax<keepdims=0>(f, '[0]i')"},
        )  # fmt: skip


def _bits() -> Iterator[Pair]:
    for kind in ("int32", "uint8"):
        sign = f"{kind}[2,6] a, {kind}[2,6] b => {kind}[2,6] y"
        yield from vary(
            KIND, f"bits.{kind}", sign, "y = BitwiseAnd(a, b)",
            differ={"or": "y = BitwiseOr(a, b)", "xor": "y = BitwiseXor(a, b)",
                    "min": "y = Min(a, b)"},
            equal={"dual": "p = BitwiseNot(a); q = BitwiseNot(b); r = BitwiseOr(p, q); "
                   "y = BitwiseNot(r)"},
        )  # fmt: skip
    yield from vary(
        KIND, "shift", "uint8[2,6] a => uint8[2,6] y", 'y = BitShift<direction="LEFT">(a, \'2u\')',
        differ={"right": 'y = BitShift<direction="RIGHT">(a, \'2u\')',
                "one": 'y = BitShift<direction="LEFT">(a, \'1u\')'},
        equal={"twice": 'b = BitShift<direction="LEFT">(a, \'1u\'); '
               'y = BitShift<direction="LEFT">(b, \'1u\')', "times": "y = Mul(a, '4u')"},
    )  # fmt: skip
