"""Convolutions, pools and products: each attribute changed."""

from __future__ import annotations

from collections.abc import Iterator

from tests.adversary.pairs import Pair, vary

KIND = "windows"
IMAGE = "float[1,2,6,6] x => float[1,c,h,w] y"


def pairs() -> Iterator[Pair]:
    """All pairs of the family."""
    yield from _convolutions()
    yield from _transposed()
    yield from _pools()
    yield from _products()


def _convolutions() -> Iterator[Pair]:
    base = "y = Conv<kernel_shape=[3, 3], pads=[1, 1, 1, 1]{}>(x, '#2x2x3x3', '#2')"
    yield from vary(
        KIND, "conv", IMAGE, base.format(""),
        differ={"strides": base.format(", strides=[2, 2]"),
                "one_stride": base.format(", strides=[1, 2]"),
                "dilation": "y = Conv<pads=[2, 2, 2, 2], dilations=[2, 2]>(x, '#2x2x3x3', '#2')",
                "pads": base.format("").replace("[1, 1, 1, 1]", "[2, 2, 0, 0]"),
                "pad_order": base.format("").replace("[1, 1, 1, 1]", "[2, 1, 0, 1]"),
                "no_bias": "y = Conv<pads=[1, 1, 1, 1]>(x, '#2x2x3x3')",
                "kernel": "w = Transpose<perm=[0, 1, 3, 2]>('#2x2x3x3'); "
                          "y = Conv<pads=[1, 1, 1, 1]>(x, w, "
                "'#2')", "channels": "w = Transpose<perm=[1, 0, 2, 3]>('#2x2x3x3'); "
                "y = Conv<pads=[1, 1, 1, 1]>(x, w, '#2')",
                "mirrored": "w = Slice('#2x2x3x3', '[-1, -1]i', '[-9, -9]i', '[2, 3]i', '[-1, "
                            "-1]i'); "
                "y = Conv<pads=[1, 1, 1, 1]>(x, w, '#2')"},
        equal={"pad": "p = Pad(x, '[0, 0, 1, 1, 0, 0, 1, 1]i'); y = Conv(p, '#2x2x3x3', '#2')",
               "same": 'y = Conv<auto_pad="SAME_UPPER">(x, \'#2x2x3x3\', \'#2\')',
               "bias": "c = Conv<pads=[1, 1, 1, 1]>(x, '#2x2x3x3'); "
                       "b = Reshape('#2', '[2, 1, 1]i'); "
               "y = Add(c, b)",
               "defaults": base.format(", group=1, strides=[1, 1], dilations=[1, 1]")},
    )  # fmt: skip
    yield from vary(
        KIND, "auto_pad", IMAGE, 'y = Conv<auto_pad="SAME_UPPER", strides=[2, 2]>(x, \'#2x2x3x3\')',
        differ={"lower": 'y = Conv<auto_pad="SAME_LOWER", strides=[2, 2]>(x, \'#2x2x3x3\')',
                "valid": 'y = Conv<auto_pad="VALID", strides=[2, 2]>(x, \'#2x2x3x3\')',
                "even": "y = Conv<pads=[1, 1, 1, 1], strides=[2, 2]>(x, '#2x2x3x3')"},
        equal={"pads": "y = Conv<pads=[0, 0, 1, 1], strides=[2, 2]>(x, '#2x2x3x3')"},
    )  # fmt: skip
    groups = "float[1,4,5,5] x => float[1,4,5,5] y"
    yield from vary(
        KIND, "grouped", groups, "y = Conv<group=2>(x, '#4x2x1x1')",
        differ={"order": "g = Gather<axis=1>(x, '[0, 2, 1, 3]i'); y = Conv<group=2>(g, '#4x2x1x1')",
                "halves": "w = Gather<axis=0>('#4x2x1x1', '[2, 3, 0, 1]i'); "
                          "y = Conv<group=2>(x, w)"},
        equal={"split": "a, b = Split<axis=1, num_outputs=2>(x); "
                        "v, w = Split<axis=0, num_outputs=2>("
               "'#4x2x1x1'); c = Conv(a, v); d = Conv(b, w); y = Concat<axis=1>(c, d)"},
    )  # fmt: skip
    yield from vary(
        KIND, "depthwise", groups, "y = Conv<group=4>(x, '#4x1x1x1')",
        differ={"order": "w = Gather<axis=0>('#4x1x1x1', '[1, 0, 2, 3]i'); "
                         "y = Conv<group=4>(x, w)"},
        equal={"mul": "w = Reshape('#4x1x1x1', '[4, 1, 1]i'); y = Mul(x, w)"},
    )  # fmt: skip
    yield from vary(
        KIND, "pointwise", groups, "y = Conv(x, '#4x4x1x1', '#4')",
        differ={"transposed": "w = Transpose<perm=[1, 0, 2, 3]>('#4x4x1x1'); y = Conv(x, w, '#4')",
                "space": "t = Transpose<perm=[0, 1, 3, 2]>(x); y = Conv(t, '#4x4x1x1', '#4')"},
        equal={"matmul": "a = Transpose<perm=[0, 2, 3, 1]>(x); w = Reshape('#4x4x1x1', '[4, 4]i'); "
               "v = Transpose(w); b = MatMul(a, v); c = Add(b, '#4'); "
               "y = Transpose<perm=[0, 3, 1, 2]>(c)",
               "einsum": "w = Reshape('#4x4x1x1', '[4, 4]i'); "
                         "e = Einsum<equation=\"nchw,oc->nohw\">(x, w); "
               "b = Reshape('#4', '[4, 1, 1]i'); y = Add(e, b)"},
    )  # fmt: skip
    yield from vary(
        KIND, "patches", "float[1,2,4,4] x => float[1,3,2,2] y",
        "y = Conv<strides=[2, 2]>(x, '#3x2x2x2')",
        differ={"kernel": "w = Transpose<perm=[0, 1, 3, 2]>('#3x2x2x2'); "
                          "y = Conv<strides=[2, 2]>(x, w)"},
        equal={"matmul": "a = Reshape(x, '[1, 2, 2, 2, 2, 2]i'); "
                         "b = Transpose<perm=[0, 2, 4, 1, 3, 5]>(a); "
               "c = Reshape(b, '[4, 8]i'); w = Reshape('#3x2x2x2', '[3, 8]i'); v = Transpose(w); "
               "d = MatMul(c, v); e = Reshape(d, '[1, 2, 2, 3]i'); "
               "y = Transpose<perm=[0, 3, 1, 2]>(e)"},
    )  # fmt: skip
    yield from vary(
        KIND, "conv1d", "float[1,2,8] x => float[1,2,l] y", "y = Conv<pads=[2, 0]>(x, '#2x2x3')",
        differ={"right": "y = Conv<pads=[0, 2]>(x, '#2x2x3')",
                "both": "y = Conv<pads=[1, 1]>(x, '#2x2x3')",
                "dilated": "y = Conv<pads=[4, 0], dilations=[2]>(x, '#2x2x3')"},
        equal={"as2d": "u = Unsqueeze(x, '[2]i'); w = Unsqueeze('#2x2x3', '[2]i'); "
               "c = Conv<pads=[0, 2, 0, 0]>(u, w); y = Squeeze(c, '[2]i')"},
    )  # fmt: skip


def _transposed() -> Iterator[Pair]:
    base = "y = ConvTranspose<strides=[2, 2]{}>(x, '#2x2x3x3')"
    yield from vary(
        KIND, "conv_transpose", IMAGE, base.format(""),
        differ={"output_padding": base.format(", output_padding=[1, 1]"), "pads": base.format(
            ", pads=[1, 1, 0, 0]"), "pads_turned": base.format(", pads=[0, 0, 1, 1]"),
                "strides": base.format("").replace("[2, 2]", "[1, 1]"),
                "dilation": base.format(", dilations=[2, 2]"), "kernel":
                "w = Transpose<perm=[0, 1, 3, 2]>('#2x2x3x3'); "
                "y = ConvTranspose<strides=[2, 2]>(x, w)"},
        equal={"defaults": base.format(", pads=[0, 0, 0, 0], group=1, dilations=[1, 1]")},
    )  # fmt: skip
    yield from vary(
        KIND, "conv_transpose_pads", IMAGE, base.format(", pads=[1, 1, 0, 0]"),
        differ={"turned": base.format(", pads=[0, 0, 1, 1]"),
                "cropped": base.format("").replace("y =", "z =") + "; "
                    "y = Slice(z, '[0, 0]i', '[-1, -1]i', "
                "'[2, 3]i')"},
        equal={"cropped_first": base.format("").replace("y =", "z =") + "; "
            "y = Slice(z, '[1, 1]i', '[99, 99]i', "
               "'[2, 3]i')"},
    )  # fmt: skip


def _pools() -> Iterator[Pair]:
    pool = "y = {}<kernel_shape=[3, 3]{}>(x)"
    pads = ", pads=[1, 1, 1, 1]"
    yield from vary(
        KIND, "average_pool", IMAGE, pool.format("AveragePool", pads),
        differ={"count": pool.format("AveragePool", pads + ", count_include_pad=1"),
                "ceil": pool.format("AveragePool", ", ceil_mode=1, strides=[2, 2]"),
                "max": pool.format("MaxPool", pads), "strides": pool.format(
                    "AveragePool", pads + ", strides=[2, 2]"),
                "lp": pool.format("LpPool", pads), "dilations": pool.format(
                    "AveragePool", ", pads=[2, 2, 2, 2], dilations=[2, 2]")},
        equal={"defaults": pool.format("AveragePool",
                                       pads + ", strides=[1, 1], count_include_pad=0")},
    )  # fmt: skip
    yield from vary(
        KIND, "counted_pool", IMAGE, pool.format("AveragePool", pads + ", count_include_pad=1"),
        differ={"not": pool.format("AveragePool", pads)},
        equal={"padded": "p = Pad(x, '[0, 0, 1, 1, 0, 0, 1, 1]i'); "
                         "y = AveragePool<kernel_shape=[3, 3]>(p)",
               "conv": "w = Expand('0.1111111119389534', '[2, 1, 3, 3]i'); "
                       "y = Conv<group=2, pads=[1, 1, 1, 1]>(x, w)"},
    )  # fmt: skip
    ceil = ", strides=[2, 2], ceil_mode=1"
    for op in ("MaxPool", "AveragePool", "LpPool"):
        floor = pool.format(op, ", strides=[2, 2]")
        yield from vary(
            KIND,
            f"ceil.{op}",
            IMAGE,
            pool.format(op, ceil),
            differ={"floor": floor},
            made={"opset": 22},
        )
    yield from vary(
        KIND, "max_pool", IMAGE, pool.format("MaxPool", pads),
        differ={"zeros": "p = Pad(x, '[0, 0, 1, 1, 0, 0, 1, 1]i'); "
                         "y = MaxPool<kernel_shape=[3, 3]>(p)",
                "dilations": pool.format("MaxPool", ", pads=[2, 2, 2, 2], dilations=[2, 2]"),
                "pads": pool.format("MaxPool", ", pads=[2, 2, 0, 0]")},
        equal={"same": pool.format("MaxPool", ', auto_pad="SAME_UPPER"')},
    )  # fmt: skip
    five = "y = MaxPool<kernel_shape=[5, 5], pads=[2, 2, 2, 2]>(x)"
    chain = f"a = MaxPool<kernel_shape=[3, 3]{pads}>(x); y = MaxPool<kernel_shape=[3, 3]{pads}>(a)"
    yield from vary(
        KIND, "chained_pools", IMAGE, five, differ={"one": pool.format("MaxPool", pads)},
        equal={"chain": chain},
    )  # fmt: skip
    yield from vary(
        KIND, "pool_indices", "float[1,1,6,4] x => float[1,1,3,2] z, int64[1,1,3,2] y",
        "z, y = MaxPool<kernel_shape=[2, 2], strides=[2, 2]>(x)",
        differ={"columns": "z, y = MaxPool<kernel_shape=[2, 2], strides=[2, 2], "
                           "storage_order=1>(x)"},
    )  # fmt: skip
    whole = "float[2,3,4,5] x => float[2,3,1,1] y"
    for op, other, reduce in (
        ("GlobalAveragePool", "GlobalMaxPool", "ReduceMean"),
        ("GlobalMaxPool", "GlobalAveragePool", "ReduceMax"),
        ("GlobalLpPool", "GlobalAveragePool", "ReduceL2"),
    ):
        yield from vary(
            KIND, op, whole, f"y = {op}(x)", differ={"other": f"y = {other}(x)", "corner":
                "y = Slice(x, '[0, 0]i', '[1, 1]i', '[2, 3]i')"},
            equal={"reduce": f"y = {reduce}(x, '[2, 3]i')"},
        )  # fmt: skip
    lp = "y = LpPool<kernel_shape=[2, 2], p={}>(x)"
    yield from vary(KIND, "lp_pool", IMAGE, lp.format(2),
                    differ={"p1": lp.format(1), "p3": lp.format(3)},
                    equal={"default": "y = LpPool<kernel_shape=[2, 2]>(x)"})  # fmt: skip


def _products() -> Iterator[Pair]:
    gemm = "y = Gemm<{}>(x, '#4x4', '#4')"
    square = "float[4,4] x => float[4,4] y"
    yield from vary(
        KIND, "gemm", square, gemm.format("transB=1"),
        differ={"transB": "y = Gemm(x, '#4x4', '#4')", "transA": gemm.format("transA=1, transB=1"),
                "alpha": gemm.format("transB=1, alpha=1.5"),
                "beta": gemm.format("transB=1, beta=0.5"),
                "no_bias": "y = Gemm<transB=1>(x, '#4x4')",
                "column_bias": "b = Reshape('#4', '[4, 1]i'); y = Gemm<transB=1>(x, '#4x4', b)"},
        equal={"matmul": "w = Transpose('#4x4'); m = MatMul(x, w); y = Add(m, '#4')",
               "linear": "m = MatMul(x, v); y = Add(m, '#4')".replace("v)", "w)").replace(
                   "m =", "w = Transpose('#4x4'); m =", 1),
               "defaults": gemm.format("alpha=1.0, beta=1.0, transA=0, transB=1")},
    )  # fmt: skip
    two = "float[4,4] x, float[4,4] z => float[4,4] y"
    for name, equation, wrong in (
        ("ij,jk->ik", "t = MatMul(x, z); y = Identity(t)", "ij,jk->ki"),
        ("ij,kj->ik", "t = Transpose(z); y = MatMul(x, t)", "ij,jk->ik"),
        ("ij,ij->ij", "y = Mul(x, z)", "ij,ji->ij"),
        ("ij,ij->i", "m = Mul(x, z); s = ReduceSum<keepdims=0>(m, '[1]i'); y = s", "ij,ij->j"),
        (
            "ij,kl->il",
            "a = ReduceSum(x, '[1]i'); b = ReduceSum(z, '[0]i'); y = Mul(a, b)",
            "ij,kl->li",
        ),
    ):
        out = two if name.split(">")[1] != "i" else two.replace("=> float[4,4] y", "=> float[4] y")
        text = equation.replace("s = Red", "y = Red").replace("; y = s", "")
        yield from vary(
            KIND, f"einsum.{name}", out, f'y = Einsum<equation="{name}">(x, z)',
            differ={wrong: f'y = Einsum<equation="{wrong}">(x, z)'}, equal={"spelled": text},
        )  # fmt: skip
    yield from vary(
        KIND, "diagonal", "float[4,4] x => float y", 'y = Einsum<equation="ii->">(x)',
        differ={"all": 'y = Einsum<equation="ij->">(x)'},
        equal={"eye": "e = EyeLike(x); m = Mul(x, e); y = ReduceSum<keepdims=0>(m)"},
    )  # fmt: skip
