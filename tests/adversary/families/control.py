"""Branches, loops, scans and functions; inputs with a default; scalars that steer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tests.adversary.pairs import Pair, vary

KIND = "control"
X = "float[3,4] x => float[3,4] y"
IF = (
    "y = If(c) <then_branch = t () => (float[3,4] u) {{ u = {} }}, "
    "else_branch = e () => (float[3,4] v) {{ v = {} }}>"
)

# A sum of -5, five values that are not zero, a sum of squares below one.
_BORDERS = [
    {"x": np.array(v, np.float32).reshape(3, 4)}
    for v in ([-5] + [0] * 11, [1, -2, 3, -4, 5] + [0] * 7, [0.25] * 12)
]


def pairs() -> Iterator[Pair]:
    """All pairs of the family."""
    yield from _branches()
    yield from _scalars()
    yield from _loops()
    yield from _scans()
    yield from _functions()
    yield from _defaults()


def _branches() -> Iterator[Pair]:
    sign = "float[3,4] x, bool c => float[3,4] y"
    base = IF.format("Tanh(x)", "Sin(x)")
    yield from vary(
        KIND, "if_input", sign, base,
        differ={"then": IF.format("Erf(x)", "Sin(x)"), "else": IF.format("Tanh(x)", "Cos(x)"),
                "swapped": IF.format("Sin(x)", "Tanh(x)"), "always": "y = Tanh(x)",
                "never": "y = Sin(x)"},
        equal={"not": "n = Not(c); " + IF.format("Sin(x)", "Tanh(x)").replace("If(c)", "If(n)")},
    )  # fmt: skip
    conditions = {
        "sum": "s = ReduceSum<keepdims=0>(x); c = Greater(s, '-5')",
        "max": "s = ReduceMax<keepdims=0>(x); c = Greater(s, '3')",
        "mean": "s = ReduceMean<keepdims=0>(x); c = Less(s, '0')",
        "count": "n = NonZero(x); s = Shape<start=1, end=2>(n); q = Squeeze(s); "
                 "c = Greater(q, '5i')",
        "any": "p = Greater(x, '2'); f = Cast<to=6>(p); s = ReduceMax<keepdims=0>(f); "
        "c = Cast<to=9>(s)",
        "equal": "s = ReduceSum<keepdims=0>(x); c = Equal(s, '0')",
        "index": "f = Reshape(x, '[-1]i'); a = ArgMax<axis=0, keepdims=0>(f); c = Equal(a, '3i')",
    }  # fmt: skip
    for name, text in conditions.items():
        strict = text.replace("Greater(", "GreaterOrEqual(").replace("Less(", "LessOrEqual(")
        differ = {"then": f"{text}; " + IF.format("Erf(x)", "Sin(x)"),
                  "else": f"{text}; " + IF.format("Tanh(x)", "Cos(x)"),
                  "condition": strict + "; " + base}  # fmt: skip
        if strict == text or name == "mean":
            del differ["condition"]
        yield from vary(KIND, f"if_{name}", X, f"{text}; {base}", differ=differ, feeds=_BORDERS)
    always = "p = Mul(x, x); s = ReduceSum<keepdims=0>(p); c = GreaterOrEqual(s, '{}'); "
    yield from vary(
        KIND, "always_true", X, always.format("0") + base,
        differ={"bound": always.format("1") + base}, feeds=_BORDERS,
    )  # fmt: skip
    known = "s = Shape<start=0, end=1>(x); q = Squeeze(s); c = Equal(q, '3i'); "
    yield from vary(
        KIND, "known_condition", X, known + base,
        differ={"else": "y = Sin(x)"}, equal={"then": "y = Tanh(x)"},
    )  # fmt: skip
    outer = "float[3,4] x, bool c, bool d => float[3,4] y"
    nested = (
        "y = If(c) <then_branch = t () => (float[3,4] u) {{ u = If(d) <then_branch = p () => "
        "(float[3,4] a) {{ a = Tanh(x) }}, "
        "else_branch = q () => (float[3,4] b) {{ b = {}(x) }}> }}, "
        "else_branch = e () => (float[3,4] v) {{ v = Sin(x) }}>"
    )
    yield from vary(
        KIND, "nested", outer, nested.format("Cos"),
        differ={"inner_else": nested.format("Erf"),
                "order": nested.format("Cos").replace("If(c)", "If(z)")
                .replace("If(d)", "If(c)").replace("If(z)", "If(d)")},
    )  # fmt: skip


def _scalars() -> Iterator[Pair]:
    for op in ("Greater", "Less", "Equal"):
        for bound in ("-501", "40", "0"):
            text = f"s = ReduceSum<keepdims=0>(x); c = {op}(s, '{bound}'); e = {{}}(x); "
            yield from vary(
                KIND, f"scalar.{op}{bound}", X, text.format("Sin") + "y = Where(c, x, e)",
                differ={"else": text.format("Tanh") + "y = Where(c, x, e)"},
                feeds=[{"x": np.full((3, 4), k / 12, np.float32)} for k in (-502.0, 480.0, 0.0)],
            )  # fmt: skip


def _loops() -> Iterator[Pair]:
    def loop(trips: str, body: str, more: str = "k2 = Identity(k)", start: str = "'1z'") -> str:
        return (f"y = Loop({trips}, {start}, x) <body = b (int64 i, bool k, float[3,4] h) => "
                f"(bool k2, float[3,4] h2) {{ {more}; {body} }}>")  # fmt: skip

    tanh = "h2 = Tanh(h)"
    yield from vary(
        KIND, "loop", X, loop("'3i'", tanh),
        differ={"trips": loop("'4i'", tanh), "body": loop("'3i'", "h2 = Sin(h)"),
                "once": "y = Tanh(x)",
                "stops": loop("'3i'", tanh, "k2 = Less(i, '1i')"),
                "never": loop("'3i'", tanh, start="'0z'")},
        equal={"unrolled": "a = Tanh(x); b = Tanh(a); y = Tanh(b)",
               "stops_at_three": loop("'9i'", tanh, "k2 = Less(i, '2i')")},
    )  # fmt: skip
    counted = "f = Cast<to=1>(i); h2 = Add(h, f)"
    yield from vary(
        KIND, "counter", X, loop("'4i'", counted),
        differ={"one_less": loop("'3i'", counted),
                "square": loop("'4i'", "j = Mul(i, i); f = Cast<to=1>(j); h2 = Add(h, f)")},
        equal={"sum": "y = Add(x, '6')"},
    )  # fmt: skip
    sign = "float[3,4] x, int64 n => float[3,4] y"
    yield from vary(
        KIND, "trips_input", sign, loop("n", tanh),
        differ={"plus": "m = Add(n, '1i'); " + loop("m", tanh), "at_most": "m = Min(n, '5i'); "
                + loop("m", tanh), "once": "y = Tanh(x)", "fixed": loop("'3i'", tanh)},
        equal={"itself": "m = Identity(n); " + loop("m", tanh)}, ranges={"n": (0, 12)},
    )  # fmt: skip
    steered = "s = ReduceSum<keepdims=0>(h); k2 = Less(s, '{}')"
    grow = "a = Abs(h); h2 = Add(a, '0.5')"
    yield from vary(
        KIND, "until", X, loop("'20i'", grow, steered.format("40")),
        differ={"bound": loop("'20i'", grow, steered.format("44")),
                "most": loop("'4i'", grow, steered.format("40")),
                "body": loop("'20i'", "a = Abs(h); h2 = Add(a, '0.25')", steered.format("40"))},
    )  # fmt: skip
    scanned = (
        "z, y = Loop('3i', '1z', x) <body = b (int64 i, bool k, float[4] h) => (bool k2, "
        "float[4] "
        "h2, float[4] o) {{ k2 = Identity(k); h2 = Tanh(h); o = {} }}>"
    )
    yield from vary(
        KIND, "stacked", "float[4] x => float[3,4] y", scanned.format("Identity(h2)"),
        differ={"before": scanned.format("Identity(h)"), "neg": scanned.format("Neg(h2)")},
        equal={"unrolled": "a = Tanh(x); b = Tanh(a); c = Tanh(b); d = Concat<axis=0>(a, b, c); "
               "y = Reshape(d, '[3, 4]i')"},
    )  # fmt: skip


def _scans() -> Iterator[Pair]:
    def scan(body: str, flags: str = "") -> str:
        return (f"f, y = Scan<num_scan_inputs=1{flags}, body = b (float[4] s, float[4] e) => "
                f"(float[4] s2, float[4] o) {{ {body} }}>('[0, 0, 0, 0]', x)")  # fmt: skip

    total = "s2 = Add(s, e); o = Identity(s2)"
    square = "float[4,4] x => float[4,4] y"
    yield from vary(
        KIND, "scan", square, scan(total),
        differ={"direction": scan(total, ", scan_input_directions=[1]"),
                "out_direction": scan(total, ", scan_output_directions=[1]"),
                "in_axis": scan(total, ", scan_input_axes=[1]"),
                "out_axis": scan(total, ", scan_output_axes=[1]"),
                "before": scan("s2 = Add(s, e); o = Identity(s)"),
                "tanh": scan("s2 = Add(s, e); o = Tanh(s2)")},
        equal={"both_axes": "t = Transpose(x); " + scan(
            total, ", scan_input_axes=[1], scan_output_axes=[0]").replace(", x)", ", t)")},
    )  # fmt: skip


def _functions() -> Iterator[Pair]:
    leaky = "F <alpha: float = {}> (x) => (y) {{ y = LeakyRelu<alpha: float = @alpha>(x) }}"
    yield from vary(
        KIND, "function", X, "y = loc.F(x)", made={"functions": leaky.format("0.3")},
        differ={"default": ("y = loc.F(x)", {"functions": leaky.format("0.4")}),
                "given": "y = loc.F<alpha=0.5>(x)"},
        equal={"inlined": ("y = LeakyRelu<alpha=0.3>(x)", {"functions": ""}),
               "given_same": "y = loc.F<alpha=0.3>(x)",
               "renamed": ("y = loc.G(x)",
                           {"functions": leaky.format("0.3").replace("F ", "G ", 1)})},
    )  # fmt: skip
    inner = (
        "F <alpha>(c, "
        "x) => (y) { y = If(c) <then_branch = t () => (a) { a = LeakyRelu<alpha: float "
        "= @alpha>(x) }, else_branch = e () => (b) { b = LeakyRelu<alpha: float = @alpha>(x) }> }"
    )
    yield from vary(
        KIND, "attribute_in_branch", X, "y = loc.F<alpha=0.3>('1z', x)", made={"functions": inner},
        differ={"alpha": "y = loc.F<alpha=0.7>('1z', x)"},
        equal={"inlined": ("y = LeakyRelu<alpha=0.3>(x)", {"functions": ""})},
    )  # fmt: skip
    two = "F (a, b) => (y) { y = Sub(a, b) }"
    sign = "float[3,4] x, float[3,4] z => float[3,4] y"
    yield from vary(
        KIND, "operands", sign, "y = loc.F(x, z)", made={"functions": two},
        differ={"turned": "y = loc.F(z, x)",
                "formal": ("y = loc.F(x, z)",
                           {"functions": two.replace("(a, b) =>", "(b, a) =>")})},
        equal={"inlined": ("y = Sub(x, z)", {"functions": ""}),
               "renamed": ("y = loc.F(x, z)", {"functions": "F (z, x) => (q) { q = Sub(z, x) }"})},
    )  # fmt: skip
    nest = (
        "F <axis: int = 1>(x) => (y) {{ y = loc.G<axis: int = @axis>(x) }} @@ "
        "G <axis: int = {}>(x) => (y) {{ y = Softmax<axis: int = @axis>(x) }}"
    )
    yield from vary(
        KIND, "nested_functions", X, "y = loc.F(x)", made={"functions": nest.format(0)},
        differ={"axis": "y = loc.F<axis=0>(x)"},
        equal={"inner_default": ("y = loc.F(x)", {"functions": nest.format(1)}),
               "inlined": ("y = Softmax<axis=1>(x)", {"functions": ""})},
    )  # fmt: skip
    ops = "F (x) => (y) {{ a = {}(x); y = Neg(a) }}"
    yield from vary(
        KIND, "function_body", X, "y = loc.F(x)", made={"functions": ops.format("Tanh")},
        differ={"op": ("y = loc.F(x)", {"functions": ops.format("Sin")}),
                "shadow": ("y = Tanh(x)", {"functions": ""})},
    )  # fmt: skip
    # A function may bear the name of an operator, in another domain.
    yield from vary(
        KIND, "function_called_relu", X, "y = loc.Relu(x)",
        made={"functions": "Relu (x) => (y) { y = Abs(x) }"},
        differ={"real": ("y = Relu(x)", {"functions": ""})},
        equal={"inlined": ("y = Abs(x)", {"functions": ""})},
    )  # fmt: skip


def _defaults() -> Iterator[Pair]:
    """Inputs that have a default are inputs all the same."""
    for default in ("0", "1"):
        sign = f"float[3,4] x, float s = {{{default}}} => float[3,4] y"
        op, other = ("Add", "Sub") if default == "0" else ("Mul", "Div")
        yield from vary(
            KIND, f"default{default}", sign, f"y = {op}(x, s)",
            differ={"ignored": "y = Identity(x)", "other": f"y = {other}(x, s)",
                    "constant": f"t = Identity('{default}'); y = {op}(x, t)"},
            equal={"turned": f"y = {op}(s, x)"},
        )  # fmt: skip
    weight = "float[3,2] x, float[2,2] w = {1, 0, 0, 1} => float[3,2] y"
    yield from vary(
        KIND, "default_weight", weight, "y = MatMul(x, w)",
        differ={"gone": "y = Identity(x)", "transposed": "t = Transpose(w); y = MatMul(x, t)"},
        equal={"gemm": "y = Gemm(x, w)"},
    )  # fmt: skip
    flag = "float[3,4] x, bool train = {0} => float[3,4] y"
    yield from vary(
        KIND, "default_flag", flag, "e = Exp(x); y = Where(train, e, x)",
        differ={"never": "y = Identity(x)"}, wide=False,
    )  # fmt: skip
