"""Differences that vanish on the inputs that one tries first."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tests.adversary.pairs import Pair, vary

KIND = "vanishing"
X = "float[3,4] x => float[3,4] y"


def pairs() -> Iterator[Pair]:
    """All pairs of the family."""
    yield from _integers()
    yield from _reals()
    yield from _booleans()
    yield from _sums()
    yield from _sizes()


def _product(of: str, values: list[int], letter: str) -> str:
    """The product of the distances to some values, as ``p``."""
    text = "".join(f"d{i} = Sub({of}, '{v}{letter}'); " for i, v in enumerate(values))
    text += f"p{0} = Identity(d0); "
    text += "".join(f"p{i} = Mul(p{i - 1}, d{i}); " for i in range(1, len(values)))
    return text + f"p = Identity(p{len(values) - 1}); "


def _integers() -> Iterator[Pair]:
    """A polynomial that is zero on small integers."""
    ids = "int64[2,6] a => int64[2,6] y"
    for name, values in {
        "bit": [0, 1], "digits": list(range(10)), "signs": [-1, 0, 1], "few": list(range(-4, 6)),
    }.items():  # fmt: skip
        text = _product("a", values, "i")
        yield from vary(
            KIND,
            f"integers.{name}",
            ids,
            text + "y = Add(a, p)",
            differ={"gone": "y = Identity(a)"},
        )
    # Valid rows of a table are counted from the end, too.
    read = "e = Gather('#10x4', a); "
    text = _product("a", list(range(10)), "i")
    yield from vary(
        KIND, "rows", "int64[2,6] a => float[2,6,4] y",
        read + text + "f = Cast<to=1>(p); u = Unsqueeze(f, '[2]i'); y = Add(e, u)",
        differ={"gone": "y = Gather('#10x4', a)"}, ranges={"a": (-10, 9)},
    )  # fmt: skip
    for where in (-1, -10, 9):
        fill = f"c = Equal(a, '{where}i'); u = Unsqueeze(c, '[2]i'); y = Where(u, '7', e)"
        yield from vary(
            KIND, f"row{where}", "int64[2,6] a => float[2,6,4] y", read + fill,
            differ={"gone": "y = Gather('#10x4', a)"}, ranges={"a": (-10, 9)},
        )  # fmt: skip
    # The two lowest bits, the highest bit, and what an int32 loses.
    for name, test in {
        "odd": "m = BitwiseAnd(a, '1i'); c = Equal(m, '1i')",
        "negative": "c = Less(a, '0i')", "beyond32": f"c = Greater(a, '{2**31 - 1}i')",
        "beyond53": f"c = Greater(a, '{2**53}i')", "lowest": f"c = Equal(a, '{-(2**63)}i')",
        "highest": f"c = Equal(a, '{2**63 - 1}i')", "byte": "c = Greater(a, '255i')",
        "thousandth": "m = Mod(a, '1000i'); c = Equal(m, '999i')",
    }.items():  # fmt: skip
        yield from vary(
            KIND, f"where.{name}", ids, f"{test}; y = Where(c, '5i', a)",
            differ={"gone": "y = Identity(a)"}, near=(999, 1999),
            feeds=[{"a": np.array([[999, 1999, 5, 300, -7, 2**40]] * 2)}],
        )  # fmt: skip


def _reals() -> Iterator[Pair]:
    for name, values in {"integers": list(range(-2, 3)), "few": [0, 1]}.items():
        text = _product("x", values, "")
        yield from vary(
            KIND,
            f"reals.{name}",
            X,
            text + "y = Add(x, p)",
            differ={"gone": "y = Identity(x)"},
            wide=False,
        )
    for name, text in {
        "positive": "n = Neg(x); r = Relu(n); y = Add(x, r)",
        "unit": "c = Clip(x, '-1', '1'); d = Sub(x, c); y = Add(x, d)",
        "large_only": "a = Sub(x, '100'); r = Relu(a); y = Add(x, r)",
        "small": "a = Abs(x); c = Less(a, '0.0005'); y = Where(c, '3', x)",
        "round": "f = Round(x); d = Sub(x, f); a = Abs(d); g = Sub(a, '0.45'); r = Relu(g); "
                 "y = Add(x, r)",
        "sum_border": "s = ReduceSum(x); b = Sub(s, '50'); r = Relu(b); y = Add(x, r)",
        "two_equal": "p, q = Split<axis=1, num_outputs=2>(x); c = Equal(p, q); "
                     "d = Concat<axis=1>(c, c); "
        "y = Where(d, '9', x)",
        "all_equal": "m = ReduceMax(x); n = ReduceMin(x); c = Equal(m, n); y = Where(c, '9', x)",
    }.items():  # fmt: skip
        yield from vary(KIND, f"where.{name}", X, text, differ={"gone": "y = Identity(x)"})


def _booleans() -> Iterator[Pair]:
    sign = "bool[4] a, float[4] x => float[4] y"
    text = "f = Cast<to=6>(a); n = ReduceSum<keepdims=0>(f, '[0]i'); c = {}; y = Where(c, '9', x)"
    for name, test in {
        "none": "Equal(n, '0w')", "all": "Equal(n, '4w')", "one": "Equal(n, '1w')",
        "more": "Greater(n, '2w')",
    }.items():  # fmt: skip
        yield from vary(
            KIND, f"flags.{name}", sign, text.format(test), differ={"never": "y = Identity(x)"},
            feeds=[{"a": np.arange(4) < k, "x": np.ones(4, np.float32)} for k in range(5)],
        )  # fmt: skip


def _sums() -> Iterator[Pair]:
    """int64 sums, products and means beyond 2**53."""
    big = 2**53 + 1
    for op, letter in (("ReduceSum", "i"), ("ReduceMax", "i")):
        yield from vary(
            KIND, f"{op}.64", "int64[2,6] a => int64[2,1] y",
            f"b = Add(a, '{big}i'); y = {op}(b, '[1]i')",
            differ={"double": f"d = Cast<to=11>(a); b = Add(d, '{big}d'); s = {op}(b, '[1]i'); "
                    "y = Cast<to=7>(s)",
                    "one_less": f"b = Add(a, '{big - 1}{letter}'); y = {op}(b, '[1]i')"},
            ranges={"a": (-1000, 1000)},
        )  # fmt: skip
    table = np.array([2**53 + 1, 2**53 + 3, 5, 7])
    changed = table.copy()
    changed[1] += 1
    text = "t = Gather(w, a); y = Sub(t, '9007199254740992i')"
    yield from vary(
        KIND, "table.64", "int64[2,6] a => int64[2,6] y", text, made={"constants": {"w": table}},
        differ={"entry": (text, {"constants": {"w": changed}})}, ranges={"a": (-4, 3)},
    )  # fmt: skip


def _sizes() -> Iterator[Pair]:
    """Sizes at which two functions are one."""
    rows = "float[n,4] x => float[n,4] y"
    for name, first, second in (
        ("batch1", "m = ReduceMean(x, '[0]i'); y = Sub(x, m)", "y = Sub(x, x)"),
        ("sum", "s = ReduceSum(x, '[0]i'); y = Mul(x, s)", "y = Mul(x, x)"),
        ("softmax", "y = Softmax<axis=0>(x)", "d = Sub(x, x); y = Add(d, '1')"),
        ("flip", "y = Slice(x, '[-1]i', '[-99]i', '[0]i', '[-1]i')", "y = Identity(x)"),
        ("cumsum", "y = CumSum(x, '0i')", "y = Identity(x)"),
        ("top", "m = ReduceMax(x, '[0]i'); s = Shape(x); y = Expand(m, s)", "y = Identity(x)"),
    ):  # fmt: skip
        yield from vary(KIND, f"size.{name}", rows, first, differ={"one": second})
    square = "float[n,m] x => float[n,m] y"
    yield from vary(
        KIND, "size.square", square, "s = Shape(x); y = Reshape(x, s)",
        differ={"turned": "s = Shape(x); t = Transpose(x); y = Reshape(t, s)"},
        equal={"same": "y = Identity(x)"},
    )  # fmt: skip
    yield from vary(
        KIND, "size.ratio", "float[n,m] x => float[1] y", "a = Shape<start=0, end=1>(x); "
        "b = Shape<start=1, end=2>(x); d = Div(a, b); y = Cast<to=1>(d)",
        differ={"zero": "a = Shape<start=0, end=1>(x); d = Sub(a, a); y = Cast<to=1>(d)",
                "float": "a = Shape<start=0, end=1>(x); b = Shape<start=1, end=2>(x); "
                         "e = Cast<to=1>(a); "
                "f = Cast<to=1>(b); y = Div(e, f)"},
        sizes=[{"n": 9, "m": 2}, {"n": 2, "m": 9}, {"n": 8, "m": 8}],
    )  # fmt: skip
