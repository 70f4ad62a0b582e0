"""Values that steer: indices, counts, repeats and shapes that are computed from inputs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tests.adversary.pairs import Pair, vary, weight

KIND = "steered"
X = "float[3,4] x => float[3,4] y"


def pairs() -> Iterator[Pair]:
    """All pairs of the family."""
    yield from _tables()
    yield from _chosen()
    yield from _counts()
    yield from _equal()
    yield from _far()
    yield from _lossy()
    yield from _outputs()


def _tables() -> Iterator[Pair]:
    """A table that is read at an index computed from real numbers."""
    table = weight((21,), 3)
    ways = {
        "floor": "f = Floor(x); c = Clip(f, '-10', '10'); i = Cast<to=7>(c); ",
        "round": "f = Round(x); c = Clip(f, '-10', '10'); i = Cast<to=7>(c); ",
        "scaled": "s = Mul(x, '4'); c = Clip(s, '-20', '20'); i = Cast<to=6>(c); ",
        "quantized": "q = QuantizeLinear(x, '0.5', '10u'); c = Clip(q, '0u', '20u'); "
                     "i = Cast<to=7>(c); ",
        "sign": "s = Sign(x); i = Cast<to=7>(s); ",
    }  # fmt: skip
    for name, text in ways.items():
        for at in (0, 1, 20):
            changed = table.copy()
            changed[at] += 1
            read = text + "y = Gather(t, i)"
            yield from vary(
                KIND, f"table.{name}{at}", X, read, made={"constants": {"t": table}},
                differ={"entry": (read, {"constants": {"t": changed}})},
            )  # fmt: skip
    base = ways["floor"] + "y = Gather(t, i)"
    yield from vary(
        KIND, "table.way", X, base, made={"constants": {"t": table}},
        differ={"ceil": base.replace("Floor", "Ceil"), "trunc": base.replace("Floor", "Identity"),
                "bound": base.replace("'10'", "'9'")},
    )  # fmt: skip


def _chosen() -> Iterator[Pair]:
    rows = "float[5,4] x => float[4] y"
    yield from vary(
        KIND, "best_row", rows, "s = ReduceSum<keepdims=0>(x, '[1]i'); "
                                "i = ArgMax<axis=0, keepdims=0>(s); "
        "y = Gather<axis=0>(x, i)",
        differ={"worst": "s = ReduceSum<keepdims=0>(x, '[1]i'); i = ArgMin<axis=0, keepdims=0>(s); "
                "y = Gather<axis=0>(x, i)", "by_max": "s = ReduceMax<keepdims=0>(x, '[1]i'); "
                "i = ArgMax<axis=0, keepdims=0>(s); y = Gather<axis=0>(x, i)",
                "last_best": "s = ReduceSum<keepdims=0>(x, '[1]i'); "
                "i = ArgMax<axis=0, keepdims=0, select_last_index=1>(s); y = Gather<axis=0>(x, i)",
                "column": "s = ReduceSum<keepdims=0>(x, '[1]i'); "
                          "i = ArgMax<axis=0, keepdims=0>(s); "
                "a = Gather<axis=0>(x, i); b = Gather<axis=0>(x, '0i'); c = Equal(i, '4i'); "
                "y = Where(c, b, a)"},
        equal={"mean": "s = ReduceSum<keepdims=0>(x, '[-1]i'); i = ArgMax<axis=0, keepdims=1>(s); "
               "g = Gather<axis=0>(x, i); y = Squeeze(g, '[0]i')"},
    )  # fmt: skip
    route = "float[4,4] x => float[4,4] y"
    gate = "g = MatMul(x, '#4x2'); i = ArgMax<axis=1>(g); o = OneHot<axis=-1>(j, '2i', '[0, 1]'); "
    gate = (
        gate.replace("OneHot", "OneHot")
        .replace("(j,", "(k,")
        .replace("o =", "k = Squeeze(i, '[1]i'); o =")
    )
    mix = (
        "p, q = Split<axis=1, num_outputs=2>(o); a = MatMul(x, '#4x4:1'); "
        "b = MatMul(x, '#4x4:2'); "
        "c = Mul(a, {}); d = Mul(b, {}); y = Add(c, d)"
    )
    yield from vary(
        KIND, "experts", route, gate + mix.format("p", "q"),
        differ={"swapped": gate + mix.format("q", "p"), "one": "y = MatMul(x, '#4x4:1')",
                "smallest": gate.replace("ArgMax", "ArgMin") + mix.format("p", "q")},
        equal={"turned": gate + mix.format("p", "q").replace("Add(c, d)", "Add(d, c)")},
    )  # fmt: skip


def _counts() -> Iterator[Pair]:
    """Repeats, ranges and slices whose sizes are values."""
    sign = "float[3,4] x, int64[1] n => float[a,b] y"
    limits = {"n": (0.0, 5.0)}
    yield from vary(
        KIND, "slice_end", sign, "y = Slice(x, '[0]i', n, '[1]i')", ranges=limits,
        differ={"start": "y = Slice(x, n, '[9]i', '[1]i')",
                "axis": "y = Slice(x, '[0]i', n, '[0]i')",
                "most": "m = Min(n, '[3]i'); y = Slice(x, '[0]i', m, '[1]i')",
                "whole": "y = Identity(x)"},
    )  # fmt: skip
    yield from vary(
        KIND, "tile", sign, "o = Concat<axis=0>('[1]i', n); y = Tile(x, o)",
        ranges={"n": (1.0, 4.0)},
        differ={"rows": "o = Concat<axis=0>(n, '[1]i'); y = Tile(x, o)",
                "two": "y = Tile(x, '[1, 2]i')"},
    )  # fmt: skip
    square = "float[2,6] x, int64[1] n => float[a,b] y"
    yield from vary(
        KIND, "reshape", square, "s = Concat<axis=0>(n, '[-1]i'); y = Reshape(x, s)",
        ranges={"n": (1.0, 4.0)},
        differ={"turned": "s = Concat<axis=0>('[-1]i', n); y = Reshape(x, s)", "fixed":
                "y = Reshape(x, '[3, 4]i')"},
        equal={"identity": "m = Add(n, '[0]i'); s = Concat<axis=0>(m, '[-1]i'); y = Reshape(x, s)"},
    )  # fmt: skip
    yield from vary(
        KIND, "k", "float[2,6] x, int64[1] n => float[2,k] y", "y, i = TopK<axis=1>(x, n)",
        ranges={"n": (1.0, 5.0)},
        differ={"fixed": "y, i = TopK<axis=1>(x, '[2]i')", "capped": "m = Min(n, '[4]i'); "
                "y, i = TopK<axis=1>(x, m)"},
    )  # fmt: skip
    size = "float[2,k] x => float[2,k] y"
    by = (
        "s = Shape<start=1, end=2>(x); q = Squeeze(s); c = {}(q, '{}i'); n = Neg(x); "
        "y = Where(c, n, x)"
    )
    yield from vary(
        KIND, "threshold_of_size", size, by.format("Less", 9),
        differ={"at_most": by.format("LessOrEqual", 9), "always": "y = Neg(x)"},
        sizes=[{"k": 9}, {"k": 10}],
    )  # fmt: skip
    odd = "s = Shape<start=1, end=2>(x); q = Squeeze(s); m = Mod(q, '{}i'); c = Equal(m, '0i'); " \
        "n = Neg(x); y = Where(c, n, x)"  # fmt: skip
    yield from vary(
        KIND, "divisible", size, odd.format(2),
        differ={"four": odd.format(4), "eight": odd.format(8)},
        sizes=[{"k": 6}, {"k": 4}, {"k": 8}],
    )  # fmt: skip
    yield from vary(
        KIND, "squeeze_batch", "float[n,1,4] x => float[a,4] y", "y = Squeeze(x, '[1]i')",
        differ={"all": "y = Squeeze(x)"}, equal={"reshape": "y = Reshape(x, '[-1, 4]i')"},
    )  # fmt: skip
    yield from vary(
        KIND, "two_batches", "float[n,4] x, float[m,4] z => float[a,4] y", "y = Add(x, z)",
        differ={"first_shape": "s = Shape(x); e = Expand(z, s); t = Shape(x); a = Add(x, e); "
                "y = Reshape(a, t)", "sub": "y = Sub(x, z)"},
        sizes=[{"n": 1, "m": 3}, {"n": 3, "m": 1}, {"n": 4, "m": 4}, {"n": 1, "m": 1}],
    )  # fmt: skip


def _equal() -> Iterator[Pair]:
    """Two inputs that are hardly ever equal, by type."""
    for kind, s in (("float", ""), ("int64", "i"), ("int32", "w"), ("float16", "h")):
        sign = f"{kind}[2,6] a, {kind}[2,6] b => {kind}[2,6] y"
        base = f"c = Equal(a, b); y = Where(c, '1{s}', a)"
        same = np.arange(12).reshape(2, 6).astype(kind if kind != "float" else "float32")
        yield from vary(
            KIND, f"equal_inputs.{kind}", sign, base,
            differ={"never": "y = Identity(a)", "other": base.replace(f"'1{s}'", f"'2{s}'")},
            equal={"turned": f"c = Equal(b, a); n = Not(c); y = Where(n, a, '1{s}')"},
            feeds=[{"a": same, "b": same}, {"a": same, "b": same[:, ::-1].copy()}],
        )  # fmt: skip
    yield from vary(
        KIND, "equal_sums", "float[2,6] x => float[2,1] y",
        "p, q = Split<axis=1, num_outputs=2>(x); "
        "a = ReduceSum(p, '[1]i'); b = ReduceSum(q, '[1]i'); c = Equal(a, b); y = Where(c, '9', a)",
        differ={"never": "p, q = Split<axis=1, num_outputs=2>(x); y = ReduceSum(p, '[1]i')"},
    )  # fmt: skip


def _far() -> Iterator[Pair]:
    """Borders where no input of an ordinary scale lies."""
    for border in ("90", "700", "5000", "-300", "1e20"):
        base = f"c = Greater(x, '{border}'); y = Where(c, '{{}}', x)"
        # A fill that is not lost beside the border.
        one, two = ("1", "2") if len(border) > 2 and "e" not in border else ("1e19", "-1e20")
        at = [
            {"x": np.full((3, 4), float(border) * k, np.float32)} for k in (0.99, 1.01, 1.0, -1.0)
        ]
        op = "c = Less" if border[0] == "-" else "c = Greater"
        base = base.replace("c = Greater", op)
        yield from vary(
            KIND, f"far{border}", X, base.format(one), feeds=at,
            differ={"fill": base.format(two), "gone": "y = Identity(x)"},
        )  # fmt: skip
    for value in ("777.25", "0.001953125", "-12345"):
        base = f"c = Equal(x, '{value}'); y = Where(c, '1', x)"
        at = [{"x": np.full((3, 4), float(value), np.float32)}]
        yield from vary(KIND, f"at{value}", X, base, feeds=at, differ={"gone": "y = Identity(x)"})


def _lossy() -> Iterator[Pair]:
    """The same over the real numbers, and far from it in the type."""
    yield from vary(
        KIND, "lossy", X, "y = Identity(x)",
        differ={"large": "a = Add(x, '100000000'); y = Sub(a, '100000000')",
                "overflow": "a = Mul(x, '1e38'); b = Mul(a, '10'); c = Mul(b, '1e-38'); "
                            "y = Mul(c, '0.1')",
                "exp_log": "e = Exp(x); y = Log(e)"},
        equal={"powers": "a = Mul(x, '1048576'); y = Mul(a, '9.5367431640625e-07')"},
    )  # fmt: skip
    zero, minus = np.array(0.0, np.float32), np.array(-0.0, np.float32)
    text = "r = Abs(x); a = Add(r, '1'); m = Mul(a, w); y = Div('1', m)"
    yield from vary(
        KIND, "negative_zero", X, text, made={"constants": {"w": zero}},
        differ={"sign": (text, {"constants": {"w": minus}})},
    )  # fmt: skip


def _outputs() -> Iterator[Pair]:
    """Several outputs."""
    two = "float[3,4] x => float[3,4] u, float[3,4] v"
    yield from vary(
        KIND, "two_outputs", two, "u = Relu(x); v = Neg(x)",
        differ={"exchanged": "v = Relu(x); u = Neg(x)", "same": "u = Relu(x); v = Identity(u)",
                "second": "u = Relu(x); n = Neg(x); v = Relu(n)"},
        equal={"order": "v = Neg(x); u = Relu(x)"},
    )  # fmt: skip
    three = "float[4,6] x => float[4,2] u, float[4,2] v, float[4,2] w"
    yield from vary(
        KIND, "three_outputs", three, "u, v, w = Split<axis=1, num_outputs=3>(x)",
        differ={"exchanged": "u, w, v = Split<axis=1, num_outputs=3>(x)",
                "one_twice": "u, a, w = Split<axis=1, num_outputs=3>(x); v = Identity(w)"},
        equal={"slices": "u = Slice(x, '[0]i', '[2]i', '[1]i'); "
                         "v = Slice(x, '[2]i', '[4]i', '[1]i'); "
               "w = Slice(x, '[4]i', '[6]i', '[1]i')"},
    )  # fmt: skip
    yield from vary(
        KIND, "several_inputs", "float[3,4] x, float[3,4] z, float[3,4] u => float[3,4] y",
        "a = Sub(x, z); y = Mul(a, u)",
        differ={"turned": "a = Sub(z, x); y = Mul(a, u)", "other": "a = Sub(x, u); y = Mul(a, z)",
                "unused": "y = Mul(x, u)"},
        equal={"spread": "a = Mul(x, u); b = Mul(z, u); y = Sub(a, b)"},
    )  # fmt: skip
