"""Integer inputs, tables that they index, and masks made of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tests.adversary.pairs import DTYPES, Pair, vary, weight

KIND = "integers"
IDS = "int64[2,6] ids => float[2,6,4] y"


def pairs() -> Iterator[Pair]:
    """All pairs of the family."""
    yield from _ids()
    yield from _masks()
    yield from _tables()
    yield from _wrapping()
    yield from _indexing()
    yield from _scattering()
    yield from _counting()


def _ids() -> Iterator[Pair]:
    for kind, s in (("int64", "i"), ("int32", "w")):
        sign = f"{kind}[2,6] ids => float[2,6,4] y"
        rest = "; y = Gather('#10x4', i)"
        differ = {
            "clip01": f"i = Clip(ids, '0{s}', '1{s}')", "clip8": f"i = Clip(ids, '-10{s}', '8{s}')",
            "square": "i = Mul(ids, ids)", "abs": "i = Abs(ids)", "sign": "i = Sign(ids)",
            "mod9": f"i = Mod(ids, '9{s}')", "mod2": f"i = Mod(ids, '2{s}')",
            "relu": f"i = Max(ids, '0{s}')", "zero": "i = Sub(ids, ids)",
            "one_seven": f"c = Equal(ids, '7{s}'); i = Where(c, '6{s}', ids)",
        }  # fmt: skip
        if kind == "int32":
            differ = {k: v for k, v in differ.items() if k in ("clip01", "mod9", "abs", "clip8")}
        yield from vary(
            KIND, f"ids.{kind}", sign, "y = Gather('#10x4', ids)",
            differ={k: v + rest for k, v in differ.items()},
            equal={"twice": f"d = Add(ids, ids); i = Sub(d, ids){rest}",
                   "reshaped": "f = Reshape(ids, '[12]i'); g = Gather('#10x4', f); "
                   "y = Reshape(g, '[2, 6, 4]i')"},
        )  # fmt: skip
    for width in (300, 3000):
        yield from vary(
            KIND, f"ids_table{width}", IDS, f"y = Gather('#{width}x4', ids)",
            differ={"clipped": f"i = Clip(ids, '-{width}i', '{width - 2}i'); "
                    f"y = Gather('#{width}x4', i)",
                    "byte": "b = Cast<to=2>(ids); i = Cast<to=7>(b); "
                    f"y = Gather('#{width}x4', i)",
                    "other_row": ("y = Gather(t, ids)", {"constants": {"t": _row(width)}})},
        )  # fmt: skip
    yield from vary(
        KIND, "negative_ids", IDS, "y = Gather('#10x4', ids)",
        differ={"wrapped": "c = Less(ids, '0i'); p = Add(ids, '9i'); i = Where(c, p, ids); "
                "y = Gather('#10x4', i)"},
        equal={"spelled": "c = Less(ids, '0i'); p = Add(ids, '10i'); i = Where(c, p, ids); "
               "y = Gather('#10x4', i)"},
        ranges={"ids": (-10, 9)},
    )  # fmt: skip


def _row(width: int) -> np.ndarray:
    changed = weight((width, 4))
    changed[width - 1] *= 1.5
    return changed


def _masks() -> Iterator[Pair]:
    mask = (
        "c = {op}(ids, '{at}i'); m = Where(c, '-10000', '0'); e = Gather('#10x4', ids); "
        "u = Unsqueeze(m, '[2]i'); y = Add(e, u)"
    )
    for op, others in {
        "Equal": ("Greater", "LessOrEqual"), "Less": ("LessOrEqual",),
        "Greater": ("GreaterOrEqual",),
    }.items():  # fmt: skip
        base = mask.format(op=op, at=3)
        yield from vary(
            KIND, f"pad.{op}", IDS, base,
            differ={"id5": mask.format(op=op, at=5), "id4": mask.format(op=op, at=4),
                    "fill": base.replace("-10000", "-100")}
            | {o: mask.format(op=o, at=3) for o in others},
            equal={"where": base.replace("'-10000', '0'", "a, b").replace(
                "m = Where", "n = Not(c); a = Identity('0'); b = Identity('-10000'); m = Where"
            ).replace("Where(c", "Where(n")},
        )  # fmt: skip
    # An id that no table bounds: far away, negative, beyond 32 bits.
    for at in (1000, -7, 2**31, 2**40 + 1, 50257):
        base = f"c = Equal(ids, '{at}i'); y = Where(c, '1', '0')"
        yield from vary(
            KIND, f"token{at}", "int64[2,6] ids => float[2,6] y", base,
            differ={"never": "c = Less(ids, ids); y = Where(c, '1', '0')",
                    "next": base.replace(f"{at}i", f"{at + 1}i")},
        )  # fmt: skip
    attend = "int64[2,5] mask, float[2,5] x => float[2,5] y"
    base = "f = Cast<to=1>(mask); o = Sub('1', f); p = Mul(o, '-10000'); y = Add(x, p)"
    yield from vary(
        KIND, "attention_mask", attend, base,
        differ={"bool": "b = Cast<to=9>(mask); f = Cast<to=1>(b); o = Sub('1', f); "
                "p = Mul(o, '-10000'); y = Add(x, p)", "fill": base.replace("-10000", "-9000"),
                "square": "s = Mul(mask, mask); f = Cast<to=1>(s); o = Sub('1', f); "
                "p = Mul(o, '-10000'); y = Add(x, p)",
                "turned": "f = Cast<to=1>(mask); p = Mul(f, '-10000'); y = Add(x, p)"},
        equal={"spread": "o = Sub('1i', mask); f = Cast<to=1>(o); p = Mul(f, '-10000'); "
                         "y = Add(p, x)"},
        ranges={"mask": (-9, 9)},
    )  # fmt: skip
    flag = "bool[2,5] keep, float[2,5] x => float[2,5] y"
    yield from vary(
        KIND, "flag", flag, "y = Where(keep, x, '0')",
        differ={"always": "y = Identity(x)", "turned": "y = Where(keep, '0', x)",
                "never": "y = Mul(x, '0')",
                "fill": "y = Where(keep, x, '1')"},
        equal={"times": "f = Cast<to=1>(keep); y = Mul(x, f)", "not": "n = Not(keep); "
               "y = Where(n, '0', x)"},
    )  # fmt: skip


def _tables() -> Iterator[Pair]:
    """One entry of a table of every type is changed: first, middle, last."""
    numbers = {"d": 11, "f": 1, "h": 10, "e": 16, "i": 7, "w": 6, "s": 5, "b": 3, "u": 2, "z": 9}
    for letter in numbers:
        table = (np.arange(90) * 7 % (2 if letter == "z" else 100)).astype(DTYPES[letter])
        for where in (0, 45, 89) if letter in "fibz" else (89,):
            changed = table.copy()
            changed[where] = 1 - float(changed[where]) if letter == "z" else changed[where] + 1
            text = "a = Gather(t, ids); y = Cast<to=1>(a)"
            sign = "int64[2,9] ids => float[2,9] y"
            yield from vary(
                KIND, f"table.{letter}{where}", sign, text, made={"constants": {"t": table}},
                differ={"entry": (text, {"constants": {"t": changed}})},
                feeds=[{"ids": np.arange(18).reshape(2, 9) * 5 + k} for k in range(5)],
            )  # fmt: skip
    table = np.arange(40) * 3 % 10
    changed = table.copy()
    changed[33] = 4
    text = "m = Gather(t, ids); y = Gather('#10x4', m)"
    yield from vary(
        KIND, "table_of_ids", IDS, text, made={"constants": {"t": table}},
        differ={"entry": (text, {"constants": {"t": changed}}),
                "around": ("i = Gather(t, ids); m = Mod(i, '9i'); y = Gather('#10x4', m)", {})},
        equal={"narrow": ("i = Gather(t, ids); m = Cast<to=6>(i); y = Gather('#10x4', m)", {})},
    )  # fmt: skip


def _wrapping() -> Iterator[Pair]:
    """Results beyond an integer type, and sums beyond 2**53."""
    yield from vary(
        KIND, "product32", "int32[2,6] a, int32[2,6] b => int64[2,6] y",
        "p = Mul(a, b); y = Cast<to=7>(p)",
        differ={"wide": "c = Cast<to=7>(a); d = Cast<to=7>(b); y = Mul(c, d)",
                "float": "c = Cast<to=11>(a); d = Cast<to=11>(b); p = Mul(c, d); "
                         "m = Mod<fmod=1>(p, "
                "'2147483648d'); y = Cast<to=7>(m)"},
        equal={"turned": "p = Mul(b, a); y = Cast<to=7>(p)"},
    )  # fmt: skip
    for kind, s, number in (("uint8", "u", 2), ("int8", "b", 3)):
        yield from vary(
            KIND, f"sum.{kind}", f"{kind}[2,6] a => int32[2,6] y",
            f"p = Add(a, '100{s}'); y = Cast<to=6>(p)",
            differ={"wide": "c = Cast<to=6>(a); y = Add(c, '100w')"},
            equal={"twice": f"p = Add(a, '50{s}'); q = Add(p, '50{s}'); y = Cast<to=6>(q)",
                   "wide_back": f"c = Cast<to=6>(a); q = Add(c, '100w'); n = Cast<to={number}>(q); "
                   "y = Cast<to=6>(n)"},
        )  # fmt: skip
    big = 2**53
    yield from vary(
        KIND, "beyond53", "int64[2,6] a => int64[2,6] y", f"y = Add(a, '{big}i')",
        differ={"one_more": f"y = Add(a, '{big + 1}i')",
                "double": f"d = Cast<to=11>(a); s = Add(d, '{big}d'); y = Cast<to=7>(s)"},
        equal={"stepwise": f"b = Add(a, '{big - 1}i'); y = Add(b, '1i')"},
        ranges={"a": (-1000, 1000)},
    )  # fmt: skip
    yield from vary(
        KIND, "whole64", "int64[2,6] a => int64[2,6] y", "y = Identity(a)",
        differ={"through_float": "f = Cast<to=1>(a); y = Cast<to=7>(f)",
                "through_double": "f = Cast<to=11>(a); y = Cast<to=7>(f)",
                "through_int32": "f = Cast<to=6>(a); y = Cast<to=7>(f)",
                "through_uint8": "f = Cast<to=2>(a); y = Cast<to=7>(f)",
                "through_bool": "f = Cast<to=9>(a); y = Cast<to=7>(f)",
                "clipped": "y = Clip(a, '-1000000i', '1000000i')",
                "big_only": f"c = Greater(a, '{2**60}i'); y = Where(c, '0i', a)",
                "one_value": "c = Equal(a, '123456789i'); y = Where(c, '0i', a)"},
        equal={"and_back": "b = Add(a, '5i'); y = Sub(b, '5i')", "not_not": "b = BitwiseNot(a); "
               "y = BitwiseNot(b)"},
    )  # fmt: skip


def _indexing() -> Iterator[Pair]:
    X = "float[4,4] x, int64[4,4] i => float[4,4] y"  # noqa: N806
    yield from vary(
        KIND, "gather_elements", X, "y = GatherElements<axis=1>(x, i)",
        differ={"axis": "y = GatherElements<axis=0>(x, i)"},
        equal={"turned": "a = Transpose(x); b = Transpose(i); c = GatherElements<axis=0>(a, b); "
               "y = Transpose(c)"},
        ranges={"i": (-4, 3)},
    )  # fmt: skip
    yield from vary(
        KIND, "gather", "float[4,4] x, int64[3] i => float[a,b] y", "y = Gather<axis=0>(x, i)",
        differ={"axis": "y = Gather<axis=1>(x, i)", "modulo": "c = Clip(i, '-4i', '2i'); "
                "y = Gather<axis=0>(x, c)"},
        ranges={"i": (-4, 3)},
    )  # fmt: skip
    yield from vary(
        KIND, "gather_nd", "float[3,3,3] x, int64[3,2] i => float[c,d] y", "y = GatherND(x, i)",
        differ={"batch": ("j = Slice(i, '[0]i', '[1]i', '[1]i'); "
                          "y = GatherND<batch_dims=1>(x, j)", {}),
                "swapped": "a = Gather<axis=1>(i, '[1, 0]i'); y = GatherND(x, a)"},
        ranges={"i": (0, 2)},
    )  # fmt: skip
    yield from vary(
        KIND, "one_hot", "int64[6] i => float[6,5] y", "y = OneHot(i, '5i', '[0, 1]')",
        differ={"values": "y = OneHot(i, '5i', '[1, "
                          "0]')", "no_negative": "r = Reshape('[0,1,2,3,4]i', "
                "'[1, 5]i'); u = Unsqueeze(i, '[1]i'); c = Equal(u, r); y = Cast<to=1>(c)",
                "on": "y = OneHot(i, '5i', '[0, 2]')"},
    )  # fmt: skip


def _scattering() -> Iterator[Pair]:
    sign = "float[4,5] x, int64[4,5] i, float[4,5] u => float[4,5] y"
    base = 'y = ScatterElements<axis=1, reduction="add">(x, i, u)'
    yield from vary(
        KIND, "scatter_elements", sign, base,
        differ={k: base.replace("add", k) for k in ("mul", "max", "min")}
        | {"axis": base.replace("axis=1", "axis=0")},
        equal={"turned": "a = Transpose(x); b = Transpose(i); c = Transpose(u); "
               'd = ScatterElements<axis=0, reduction="add">(a, b, c); y = Transpose(d)'},
        ranges={"i": (-4, 3)},
    )  # fmt: skip
    rows = "float[5,3] x, int64[3,1] i, float[3,3] u => float[5,3] y"
    base = 'y = ScatterND<reduction="add">(x, i, u)'
    yield from vary(
        KIND, "scatter_nd", rows, base,
        differ={"mul": base.replace("add", "mul"), "max": base.replace("add", "max"),
                "none": "y = ScatterND(x, i, u)"},
        ranges={"i": (-5, 4)},
    )  # fmt: skip


def _counting() -> Iterator[Pair]:
    square = "float[4,4] x => float[4,4] y"
    yield from vary(
        KIND, "trilu", square, "y = Trilu<upper=1>(x)",
        differ={"lower": "y = Trilu<upper=0>(x)", "k1": "y = Trilu<upper=1>(x, '1i')",
                "k-1": "y = Trilu<upper=1>(x, '-1i')"},
        equal={"k0": "y = Trilu(x, '0i')", "turned": "t = Transpose(x); l = Trilu<upper=0>(t); "
               "y = Transpose(l)", "rest": "l = Trilu<upper=0>(x, '-1i'); y = Sub(x, l)"},
    )  # fmt: skip
    yield from vary(
        KIND, "eye", square, "e = EyeLike(x); y = Mul(x, e)",
        differ={"k": "e = EyeLike<k=1>(x); y = Mul(x, e)"},
        equal={"constant": "y = Mul(x, '[[1,0,0,0],[0,1,0,0],[0,0,1,0],[0,0,0,1]]')"},
    )  # fmt: skip
    yield from vary(
        KIND, "range", "int64[2] s => float[r] y",
        "a = Gather(s, '0i'); r = Range('0i', a, '2i'); y = Cast<to=1>(r)",
        differ={"step": "a = Gather(s, '0i'); r = Range('0i', a, '1i'); y = Cast<to=1>(r)",
                "which": "a = Gather(s, '1i'); r = Range('0i', a, '2i'); y = Cast<to=1>(r)",
                "start": "a = Gather(s, '0i'); r = Range('1i', a, '2i'); y = Cast<to=1>(r)"},
        ranges={"s": (1, 20)},
    )  # fmt: skip
    yield from vary(
        KIND, "unique", "int64[7] s => int64[u] y", "y = Unique<sorted=1>(s)",
        differ={"unsorted": "y = Unique<sorted=0>(s)"}, ranges={"s": (-20, 20)},
    )  # fmt: skip
    yield from vary(
        KIND, "nonzero", "float[3,4] x => int64[2,n] y", "y = NonZero(x)",
        differ={"positive": "r = Relu(x); y = NonZero(r)", "turned": "t = NonZero(x); "
                "y = Gather<axis=0>(t, '[1, 0]i')"},
        equal={"bool": "b = Cast<to=9>(x); y = NonZero(b)"},
    )  # fmt: skip
    yield from vary(
        KIND, "compress", "float[5,4] x, bool[5] c => float[n,4] y", "y = Compress<axis=0>(x, c)",
        differ={"turned": "n = Not(c); y = Compress<axis=0>(x, n)", "all": "o = Or(c, '1z'); "
                "y = Compress<axis=0>(x, o)"},
    )  # fmt: skip
