"""Symbols, the batch, sizes and counts that steer, caches."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tests.adversary.pairs import Pair, vary

KIND = "symbols"
N, C, H, W = (f"Shape<start={i}, end={i + 1}>(x)" for i in range(4))


def pairs() -> Iterator[Pair]:
    """All pairs of the family."""
    yield from _symbols()
    yield from _batch()
    yield from _steered()
    yield from _caches()


def _symbols() -> Iterator[Pair]:
    """Reshapes that are the same at equal sizes, and at one batch, only."""
    four = "float[N,3,H,W] x => float[N,3,a,b] y"
    head = f"n = {N}; c = {C}; h = {H}; w = {W}; "
    swap = "t = Transpose<perm=[0, 1, 3, 2]>(x); "
    yield from vary(
        KIND, "hw", four, head + "s = Concat<axis=0>(n, c, h, w); " + swap + "y = Reshape(t, s)",
        differ={"moved": "y = Transpose<perm=[0, 1, 3, 2]>(x)",
                "wh": head + "s = Concat<axis=0>(n, c, w, h); " + swap + "y = Reshape(t, s)",
                "plain": "y = Identity(x)"},
        equal={"rest": head + "s = Concat<axis=0>(n, c, h, '[-1]i'); "
                              "" + swap + "y = Reshape(t, s)"},
    )  # fmt: skip
    flat = "float[N,H,W,3] x => float[N,p,3] y"
    yield from vary(
        KIND, "rows", flat, "y = Reshape(x, '[0, -1, 3]i')",
        differ={"columns": "t = Transpose<perm=[0, 2, 1, 3]>(x); y = Reshape(t, '[0, -1, 3]i')",
                "batch": "t = Transpose<perm=[1, 0, 2, 3]>(x); n = Shape<start=0, end=1>(x); "
                "s = Concat<axis=0>(n, '[-1, 3]i'); y = Reshape(t, s)"},
        equal={"computed": "n = Shape<start=0, end=1>(x); s = Concat<axis=0>(n, '[-1, 3]i'); "
               "y = Reshape(x, s)"},
    )  # fmt: skip
    yield from vary(
        KIND, "mean_by_size", "float[N,H,W] x => float[N] y",
        "y = ReduceMean<keepdims=0>(x, '[1, 2]i')",
        differ={"square": "s = ReduceSum<keepdims=0>(x, '[1, 2]i'); h = Shape<start=1, end=2>(x); "
                "f = Cast<to=1>(h); q = Mul(f, f); y = Div(s, q)"},
        equal={"computed": "s = ReduceSum<keepdims=0>(x, '[1, 2]i'); h = Shape<start=1, end=3>(x); "
               "p = ReduceProd(h); f = Cast<to=1>(p); y = Div(s, f)"},
    )  # fmt: skip
    square = "float[n,m] x => float[p,q] y"
    yield from vary(
        KIND, "two_symbols", square, "t = Transpose(x); y = MatMul(x, t)",
        differ={"other": "t = Transpose(x); y = MatMul(t, x)"},
        equal={"turned": "t = Transpose(x); a = MatMul(x, t); y = Transpose(a)"},
    )  # fmt: skip
    yield from vary(
        KIND, "arange", "float[n,m] x => float[n,m] y", "s = Shape<start=1, end=2>(x); "
        "k = Squeeze(s); r = Range('0i', k, '1i'); f = Cast<to=1>(r); y = Add(x, f)",
        differ={"modulo": "s = Shape<start=1, end=2>(x); k = Squeeze(s); r = Range('0i', k, '1i'); "
                "z = Mod(r, '6i'); f = Cast<to=1>(z); y = Add(x, f)"},
        equal={"cumsum": "s = Shape(x); o = Expand('1', s); f = CumSum<exclusive=1>(o, '1i'); "
               "y = Add(x, f)"}, sizes=[{"m": 9}],
    )  # fmt: skip


def _batch() -> Iterator[Pair]:
    """A fixed batch beside a symbol; a table of positions that is too short."""
    tokens = "float[n,7,8] x => float[n,7,5] y"
    for size in (1, 2, 4):
        yield from vary(
            KIND, f"hard_batch{size}", tokens, "y = MatMul(x, '#8x5')",
            differ={"reshape": f"r = Reshape(x, '[{size}, 7, 8]i'); y = MatMul(r, '#8x5')",
                    "flat": f"r = Reshape(x, '[{size * 7}, 8]i'); m = MatMul(r, '#8x5'); "
                    f"y = Reshape(m, '[{size}, 7, 5]i')",
                    "expand": f"r = Expand(x, '[{size}, 7, 8]i'); y = MatMul(r, '#8x5')"}
            if size > 1 else {"reshape": "r = Reshape(x, '[1, 7, 8]i'); y = MatMul(r, '#8x5')"},
        )  # fmt: skip
    yield from vary(
        KIND, "first_of_batch", tokens, "y = MatMul(x, '#8x5')",
        differ={"only_first": "f = Slice(x, '[0]i', '[1]i', '[0]i'); e = MatMul(f, '#8x5'); "
                "z = ReduceSum(x, '[2]i'); o = Mul(z, '0'); y = Add(e, o)",
                "at_most_two": "y0 = MatMul(x, '#8x5'); y = Slice(y0, '[0]i', '[2]i', '[0]i')",
                "at_most_six": "y0 = MatMul(x, '#8x5'); y = Slice(y0, '[0]i', '[6]i', '[0]i')"},
        equal={"flat": "r = Reshape(x, '[-1, 8]i'); m = MatMul(r, '#8x5'); "
                       "y = Reshape(m, '[-1, 7, 5]i')",
               "all": "y0 = MatMul(x, '#8x5'); y = Slice(y0, '[0]i', '[99999999]i', '[0]i')"},
        sizes=[{"n": 7}],
    )  # fmt: skip
    place = "s = Shape<start=1, end=2>(x); p = Slice('#{}x4', '[0]i', s, '[0]i'); y = Add(x, p)"
    yield from vary(
        KIND, "positions", "float[n,t,4] x => float[n,t,4] y", place.format(9),
        differ={"shifted": "s = Shape<start=1, end=2>(x); e = Add(s, '[1]i'); "
                "p = Slice('#9x4', '[1]i', e, '[0]i'); y = Add(x, p)",
                "batch": "s = Shape<start=0, end=1>(x); p = Slice('#9x4', '[0]i', s, '[0]i'); "
                "u = Unsqueeze(p, '[1]i'); y = Add(x, u)"},
    )  # fmt: skip


def _steered() -> Iterator[Pair]:
    """A size that is met by chance, only, and counts of values."""
    for size in (7, 11, 32):
        at = "s = Shape<start=0, end=1>(x); c = {}(s, '[{}]i'); e = Exp(x); y = Where(c, e, x)"
        base = at.format("Equal", size)
        yield from vary(
            KIND, f"at_size{size}", "float[n,4] x => float[n,4] y", base,
            differ={"never": "y = Identity(x)", "above": at.format("Greater", size),
                    "next": at.format("Equal", size + 1)},
            sizes=[{"n": size}, {"n": size + 1}, {"n": 2 * size}], wide=False,
        )  # fmt: skip
    count = (
        "n = NonZero(x); s = Shape<start=1, end=2>(n); c = Greater(s, '[5]i'); "
        "p = Cast<to=1>(c); t = Tanh(x); u = {}(x); d = Sub(t, u); m = Mul(p, d); "
        "y = Add(u, m)"
    )
    yield from vary(
        KIND, "count_steers", "float[3,4] x => float[3,4] y", count.format("Exp"),
        differ={"other": count.format("Sin")}, wide=False,
    )  # fmt: skip
    kept = "c = Greater(x, '{}'); f = Compress(x, c); s = Size(f); y = Cast<to=1>(s)"
    yield from vary(
        KIND, "count_of_positive", "float[12] x => float y", kept.format("0"),
        differ={"constant": "c = GreaterOrEqual(x, '0'); f = Compress(x, c); s = Size(f); "
                "y = Cast<to=1>(s)", "one": kept.format("1")},
    )  # fmt: skip


def _caches() -> Iterator[Pair]:
    """total = past + new."""
    sign = "float[1,2,P,4] past, float[1,2,T,4] new => float[1,2,S,4] y"
    yield from vary(
        KIND, "cache", sign, "y = Concat<axis=2>(past, new)",
        differ={"swapped": "y = Concat<axis=2>(new, past)",
                "new_only": "y = Concat<axis=2>(new, new)"},
        equal={"turned": "a = Transpose<perm=[0, 2, 1, 3]>(past); "
                         "b = Transpose<perm=[0, 2, 1, 3]>(new); "
               "c = Concat<axis=1>(a, b); y = Transpose<perm=[0, 2, 1, 3]>(c)"},
    )  # fmt: skip
    masked = "float[1,2,P,4] past, float[1,2,T,4] new, float[1,1,T,S] mask => float[1,2,T,4] y"
    base = (
        "k = Concat<axis=2>({}); t = Transpose<perm=[0, 1, 3, 2]>(k); q = MatMul(new, t); "
        "m = Add(q, mask); p = Softmax(m); y = MatMul(p, k)"
    )
    feeds = [
        {"past": np.random.default_rng(p).standard_normal((1, 2, p, 4)).astype(np.float32),
         "new": np.random.default_rng(9).standard_normal((1, 2, t, 4)).astype(np.float32),
         "mask": np.random.default_rng(5).standard_normal((1, 1, t, p + t)).astype(np.float32)}
        for p, t in ((3, 1), (4, 2), (1, 1), (5, 3))
    ]  # fmt: skip
    yield from vary(
        KIND, "masked_cache", masked, base.format("past, new"),
        differ={"swapped": base.format("new, past"),
                "unmasked": base.format("past, new").replace("Add(q, mask)", "Identity(q)")},
        equal={"einsum": base.format("past, new").replace(
            "t = Transpose<perm=[0, 1, 3, 2]>(k); q = MatMul(new, t)",
            'q = Einsum<equation="bhtd,bhsd->bhts">(new, k)')},
        feeds=feeds,
    )  # fmt: skip
