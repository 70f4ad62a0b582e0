"""Moves, and shapes that are computed in the graph."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tests.adversary.pairs import Pair, vary

KIND = "shapes"
SQUARE = "float[4,4] x => float[4,4] y"
FREE = "float[6,4] x => float[a,b] y"


def pairs() -> Iterator[Pair]:
    """All pairs of the family."""
    yield from _moves()
    yield from _blocks()
    yield from _slices()
    yield from _joined()
    yield from _data()


def _moves() -> Iterator[Pair]:
    cube = "float[3,3,3] x => float[3,3,3] y"
    perms = {"021": "[0, 2, 1]", "102": "[1, 0, 2]", "120": "[1, 2, 0]", "201": "[2, 0, 1]"}
    for name, perm in perms.items():
        others = {k: f"y = Transpose<perm={p}>(x)" for k, p in perms.items() if k > name}
        yield from vary(
            KIND, f"perm{name}", cube, f"y = Transpose<perm={perm}>(x)",
            differ=others | {"none": "y = Identity(x)"},
        )  # fmt: skip
    yield from vary(
        KIND, "perm_twice", cube, "y = Transpose<perm=[1, 2, 0]>(x)",
        differ={"thrice": "a = Transpose<perm=[1, 2, 0]>(x); b = Transpose<perm=[1, 2, 0]>(a); "
                "y = Transpose<perm=[1, 2, 0]>(b)"},
        equal={"other": "a = Transpose<perm=[2, 0, 1]>(x); y = Transpose<perm=[2, 0, 1]>(a)",
               "around_relu": "a = Neg(x); b = Transpose<perm=[1, 2, 0]>(a); y = Neg(b)"},
    )  # fmt: skip
    yield from vary(
        KIND, "transpose_square", SQUARE, "y = Transpose(x)",
        differ={"reshape": "y = Reshape(x, '[4, 4]i')", "half": "a = Reshape(x, '[2, 2, 4]i'); "
                "b = Transpose<perm=[1, 0, 2]>(a); y = Reshape(b, '[4, 4]i')"},
        equal={"perm": "y = Transpose<perm=[1, 0]>(x)", "thrice": "a = Transpose(x); "
               "b = Transpose(a); y = Transpose(b)"},
    )  # fmt: skip
    yield from vary(
        KIND, "tokens", "float[2,4,2,2] x => float[2,4,4] y",
        "a = Reshape(x, '[2, 4, 4]i'); y = Transpose<perm=[0, 2, 1]>(a)",
        differ={"reshape_only": "y = Reshape(x, '[2, 4, 4]i')",
                "swapped": "t = Transpose<perm=[0, 3, 2, 1]>(x); y = Reshape(t, '[2, 4, 4]i')"},
        equal={"moved": "t = Transpose<perm=[0, 2, 3, 1]>(x); y = Reshape(t, '[2, 4, 4]i')",
               "flatten": "a = Reshape(x, '[0, 0, -1]i'); y = Transpose<perm=[0, 2, 1]>(a)"},
    )  # fmt: skip
    for heads, wrong in ((2, 4), (4, 2)):
        base = (
            "a = Reshape(x, '[2, 4, {h}, {d}]i'); b = Transpose<perm=[0, 2, 1, 3]>(a); "
            "c = Softmax(b); d = Transpose<perm=[0, 2, 1, 3]>(c); y = Reshape(d, '[2, 4, 8]i')"
        )
        right = base.format(h=heads, d=8 // heads)
        yield from vary(
            KIND, f"heads{heads}", "float[2,4,8] x => float[2,4,8] y", right,
            differ={"other": base.format(h=wrong, d=8 // wrong),
                    "axis": right.replace("Softmax(b)", "Softmax<axis=2>(b)")},
            equal={"unmoved": f"a = Reshape(x, '[2, 4, {heads}, {8 // heads}]i'); b = Softmax(a); "
                   "y = Reshape(b, '[2, 4, 8]i')"},
        )  # fmt: skip


def _blocks() -> Iterator[Pair]:
    for mode, other in (("DCR", "CRD"), ("CRD", "DCR")):
        yield from vary(
            KIND, f"depth_to_space.{mode}", "float[1,8,2,2] x => float[1,2,4,4] y",
            f'y = DepthToSpace<blocksize=2, mode="{mode}">(x)',
            differ={"mode": f'y = DepthToSpace<blocksize=2, mode="{other}">(x)'},
            equal={"spelled": "a = Reshape(x, '[1, 2, 2, 2, 2, 2]i'); b = Transpose<perm="
                   + ("[0, 3, 4, 1, 5, 2]" if mode == "DCR" else "[0, 1, 4, 2, 5, 3]")
                   + ">(a); y = Reshape(b, '[1, 2, 4, 4]i')"},
        )  # fmt: skip
    yield from vary(
        KIND, "space_to_depth", "float[1,2,4,4] x => float[1,8,2,2] y",
        "y = SpaceToDepth<blocksize=2>(x)",
        differ={"channels_first": "a = Reshape(x, '[1, 2, 2, 2, 2, 2]i'); "
                "b = Transpose<perm=[0, 1, 3, 5, 2, 4]>(a); y = Reshape(b, '[1, 8, 2, 2]i')"},
        equal={"spelled": "a = Reshape(x, '[1, 2, 2, 2, 2, 2]i'); "
               "b = Transpose<perm=[0, 3, 5, 1, 2, 4]>(a); y = Reshape(b, '[1, 8, 2, 2]i')"},
    )  # fmt: skip
    yield from vary(
        KIND, "channel_shuffle", "float[1,6,2,2] x => float[1,6,2,2] y",
        "a = Reshape(x, '[1, 2, 3, 2, 2]i'); b = Transpose<perm=[0, 2, 1, 3, 4]>(a); "
        "y = Reshape(b, '[1, 6, 2, 2]i')",
        differ={"groups": "a = Reshape(x, '[1, 3, 2, 2, 2]i'); "
                          "b = Transpose<perm=[0, 2, 1, 3, 4]>(a); "
                "y = Reshape(b, '[1, 6, 2, 2]i')",
                "order": "y = Gather<axis=1>(x, '[0, 3, 1, 4, 5, 2]i')"},
        equal={"gather": "y = Gather<axis=1>(x, '[0, 3, 1, 4, 2, 5]i')"},
    )  # fmt: skip
    for axis, wanted in ((0, "[1, 16]"), (2, "[4, 4]"), (-1, "[8, 2]")):
        yield from vary(
            KIND, f"flatten{axis}", "float[2,2,2,2] x => float[a,b] y",
            f"y = Flatten<axis={axis}>(x)",
            differ={"default": "y = Flatten(x)"},
            equal={"reshape": f"y = Reshape(x, '{wanted}i')"},
        )  # fmt: skip


def _slices() -> Iterator[Pair]:
    base = "y = Slice(x, '[1]i', '[5]i', '[0]i', '[2]i')"
    yield from vary(
        KIND, "slice", FREE, base,
        differ={"start": base.replace("[1]", "[0]", 1), "end": base.replace("[5]", "[3]"),
                "step": base.replace("[2]", "[1]"), "axis": base.replace("'[0]i'", "'[1]i'")},
        equal={"negative": "y = Slice(x, '[-5]i', '[-1]i', '[0]i', '[2]i')",
               "gather": "y = Gather<axis=0>(x, '[1, 3]i')", "beyond": "y = Slice(x, '[1, 0]i', "
               "'[4, 99]i', '[0, 1]i', '[2, 1]i')"},
    )  # fmt: skip
    back = "y = Slice(x, '[-1]i', '[-9]i', '[0]i', '[-1]i')"
    yield from vary(
        KIND, "reversed", FREE, back,
        differ={"stops": back.replace("-9", "-7").replace("[-7]", "[0]"), "axis": back.replace(
            "'[0]i'", "'[1]i'"), "forward": "y = Identity(x)",
            "step": back.replace("'[-1]i')", "'[-2]i')")},
        equal={"gather": "y = Gather<axis=0>(x, '[5, 4, 3, 2, 1, 0]i')",
               "lowest": f"y = Slice(x, '[5]i', '[{-2**63}]i', '[0]i', '[-1]i')"},
    )  # fmt: skip
    for shift, other in ((1, 3), (2, 1), (3, 1)):
        roll = "a = Slice(x, '[{k}]i', '[9]i', '[1]i'); b = Slice(x, '[0]i', '[{k}]i', '[1]i'); "
        yield from vary(
            KIND, f"roll{shift}", SQUARE, roll.format(k=shift) + "y = Concat<axis=1>(a, b)",
            differ={"other": roll.format(k=other) + "y = Concat<axis=1>(a, b)",
                    "turned": roll.format(k=shift) + ("y = Concat<axis=1>(b, a)")},
            equal={"gather": f"y = Gather<axis=1>(x, '{[(i + shift) % 4 for i in range(4)]}i')"},
        )  # fmt: skip


def _joined() -> Iterator[Pair]:
    two = "float[2,3] x, float[2,3] z => float[a,b] y"
    yield from vary(
        KIND, "concat", two, "y = Concat<axis=0>(x, z)",
        differ={"order": "y = Concat<axis=0>(z, x)", "axis": "y = Concat<axis=1>(x, z)",
                "twice": "y = Concat<axis=0>(x, x)"},
        equal={"negative": "y = Concat<axis=-2>(x, z)",
               "turned": "a = Transpose(x); b = Transpose(z); "
               "c = Concat<axis=1>(a, b); y = Transpose(c)"},
    )  # fmt: skip
    yield from vary(
        KIND, "split", "float[4,4] x => float[4,4] y",
        "a, b = Split<axis=1, num_outputs=2>(x); y = Concat<axis=1>(b, a)",
        differ={"none": "y = Identity(x)", "sizes": "a, b = Split<axis=1>(x, '[1, 3]i'); "
                "y = Concat<axis=1>(b, a)", "axis": "a, b = Split<axis=0, num_outputs=2>(x); "
                "y = Concat<axis=0>(b, a)"},
        equal={"sizes2": "a, b = Split<axis=-1>(x, '[2, 2]i'); y = Concat<axis=1>(b, a)"},
    )  # fmt: skip
    yield from vary(
        KIND, "uneven_split", "float[2,5] x => float[2,p] y",
        "a, b = Split<axis=1, num_outputs=2>(x); "
        "y = Identity(a)",
        differ={"floor": "a, b = Split<axis=1>(x, '[2, 3]i'); y = Identity(a)",
                "last": "a, b = Split<axis=1, num_outputs=2>(x); y = Identity(b)"},
        equal={"ceil": "a, b = Split<axis=1>(x, '[3, 2]i'); y = Identity(a)"},
    )  # fmt: skip
    yield from vary(
        KIND, "run_time_split", "float[6,4] x, int64[2] s => float[p,q] y",
        "a, b = Split<axis=0>(x, s); y = Slice(a, '[0]i', '[3]i')",
        differ={"whole": "a, b = Split<axis=0>(x, s); y = Identity(a)",
                "halves": "a, b = Split<axis=0, num_outputs=2>(x); y = Identity(a)",
                "second": "a, b = Split<axis=0>(x, s); y = Slice(b, '[0]i', '[3]i')"},
        feeds=[{"x": np.arange(24, dtype=np.float32).reshape(6, 4), "s": np.array([k, 6 - k])}
               for k in range(7)], ranges={"s": (0, 6)},
    )  # fmt: skip
    yield from vary(
        KIND, "tile", "float[2,3] x => float[a,b] y", "y = Tile(x, '[2, 2]i')",
        differ={"other": "y = Tile(x, '[1, 4]i')",
                "repeat": "y = Gather<axis=0>(z, '[0, 0, 1, 1]i'); "
                "".replace("z", "x") or "", "interleaved": "a = Tile(x, '[1, 2]i'); "
                "y = Gather<axis=0>(a, '[0, 0, 1, 1]i')"},
        equal={"concat": "a = Concat<axis=0>(x, x); y = Concat<axis=1>(a, a)"},
    )  # fmt: skip


def _data() -> Iterator[Pair]:
    """Shapes of any rank, truncating division, ranges of ``Shape``."""
    ranks = "float[6,4] x => float[a,b,c,d] y"
    yield from vary(
        KIND, "rank2_shape", ranks, "p = Unsqueeze('[2, 3]i', '[1]i'); q = Unsqueeze('[4, 1]i', "
        "'[1]i'); c = Concat<axis=1>(p, q); s = Reshape(c, '[-1]i'); y = Reshape(x, s)",
        differ={"flat": "y = Reshape(x, '[2, 3, 4, 1]i')",
                "turned": "y = Reshape(x, '[3, 2, 1, 4]i')"},
        equal={"rows": "y = Reshape(x, '[2, 4, 3, 1]i')"},
    )  # fmt: skip
    yield from vary(
        KIND, "transposed_shape", ranks, "p = Reshape('[2, 3, 4, 1]i', '[2, 2]i'); "
        "t = Transpose(p); s = Reshape(t, '[-1]i'); y = Reshape(x, s)",
        differ={"not": "y = Reshape(x, '[2, 3, 4, 1]i')"},
        equal={"turned": "y = Reshape(x, '[2, 4, 3, 1]i')"},
    )  # fmt: skip
    divided = "n = Shape<start=0, end=1>(x); g = Neg(n); d = {}; y = Slice(x, d, '[100]i')"
    for size in (5, 7):
        yield from vary(
            KIND, f"negative_half{size}", f"float[{size},4] x => float[a,b] y",
            divided.format("Div(g, '[2]i')"),
            differ={"floor": f"y = Slice(x, '[{-size // 2}]i', '[100]i')",
                    "positive": "n = Shape<start=0, end=1>(x); d = Div(n, '[2]i'); "
                    "y = Slice(x, d, '[100]i')"},
            equal={"trunc": f"y = Slice(x, '[{-(size // 2)}]i', '[100]i')"},
        )  # fmt: skip
    shapes = {"0:1": "start=0, end=1", "1:2": "start=1, end=2", "-1:": "start=-1", "0:": "start=0",
              "-2:-1": "start=-2, end=-1", "0:9": "start=0, end=9"}  # fmt: skip
    for name, flags in shapes.items():
        rest = {k: v for k, v in shapes.items() if k > name}
        same = {frozenset(("1:2", "-2:-1")), frozenset(("0:", "0:9"))}
        sums = "s = Shape<{}>(x); f = Cast<to=1>(s); y = ReduceSum<keepdims=0>(f)"
        differ = {k: sums.format(v) for k, v in rest.items() if frozenset((name, k)) not in same}
        equal = {k: sums.format(v) for k, v in rest.items() if frozenset((name, k)) in same}
        yield from vary(
            KIND, f"shape{name}", "float[A,B,C] x => float y", sums.format(flags),
            differ=differ, equal=equal,
        )  # fmt: skip
    yield from vary(
        KIND, "size", "float[A,B] x => int64 y", "y = Size(x)",
        differ={"first": "s = Shape(x); y = Gather(s, '0i')", "square": "s = Shape(x); "
                "a = Gather(s, '1i'); y = Mul(a, a)"},
        equal={"prod": "s = Shape(x); y = ReduceProd<keepdims=0>(s)"},
    )  # fmt: skip
    count = (
        "a = Compress<axis=0>(x, c); b = Compress<axis=1>(a, d); "
        "n = Shape<start={}, end={}>(b); y = Cast<to=1>(n)"
    )
    yield from vary(
        KIND, "shape_of_compressed", "float[6,4] x, bool[6] c, bool[4] d => float[1] y",
        count.format(0, 1), differ={"columns": count.format(1, 2)},
        equal={"negative": count.format(-2, -1)},
    )  # fmt: skip
    yield from vary(
        KIND, "filled", "float[A,B] x => float[A,B] y", "s = Shape(x); "
        "y = ConstantOfShape<value=float[1] {2}>(s)",
        differ={"value": "s = Shape(x); y = ConstantOfShape<value=float[1] {3}>(s)",
                "zero": "s = Shape(x); y = ConstantOfShape(s)"},
        equal={"expand": "s = Shape(x); y = Expand('2', s)",
               "times": "z = Mul(x, '0'); y = Add(z, '2')"},
    )  # fmt: skip
