"""Windows, sizes and axes once more: combinations that interpreters get wrong."""

from __future__ import annotations

from collections.abc import Iterator

from tests.adversary.pairs import Pair, vary

KIND = "geometry"
IMAGE = "float[1,2,7,7] x => float[1,c,h,w] y"
SMALL = "float[1,1,5,5] x => float[1,1,h,w] y"


def pairs() -> Iterator[Pair]:
    """All pairs of the family."""
    yield from _pools()
    yield from _convolutions()
    yield from _resizing()
    yield from _axes()
    yield from _einsum()
    yield from _volumes()


def _pools() -> Iterator[Pair]:
    pool = "y = {}<kernel_shape=[{k}], strides=[{s}], pads=[{p}]{more}>(x)"
    odd = {"k": "3, 2", "s": "2, 3", "p": "1, 0, 0, 1", "more": ""}
    changes = {
        "kernel": {"k": "2, 3"}, "strides": {"s": "3, 2"}, "pads": {"p": "0, 1, 1, 1"},
        "ceil": {"more": ", ceil_mode=1"}, "dilations": {"more": ", dilations=[2, 1]"},
    }  # fmt: skip
    for op in ("MaxPool", "AveragePool", "LpPool"):
        own = dict(changes)
        if op == "AveragePool":
            own["count"] = {"more": ", count_include_pad=1"}
            own["count_ceil"] = {"more": ", count_include_pad=1, ceil_mode=1"}
        if op == "LpPool":
            own["p"] = {"more": ", p=1"}
        yield from vary(
            KIND, op, IMAGE, pool.format(op, **odd), made={"opset": 22},
            differ={k: pool.format(op, **(odd | c)) for k, c in own.items()},
            equal={"given": pool.format(op, **(odd | {"more": ", ceil_mode=0, dilations=[1, 1]"}))},
        )  # fmt: skip
    ceil = pool.format("AveragePool", **(odd | {"more": ", ceil_mode=1"}))
    yield from vary(
        KIND, "ceil_average", IMAGE, ceil, made={"opset": 22},
        differ={"counted": ceil.replace("ceil_mode=1", "ceil_mode=1, count_include_pad=1")},
    )  # fmt: skip
    for auto in ("SAME_UPPER", "SAME_LOWER", "VALID"):
        others = [a for a in ("SAME_UPPER", "SAME_LOWER", "VALID") if a > auto]
        text = 'y = MaxPool<kernel_shape=[2, 2], strides=[1, 1], auto_pad="{}">(x)'
        yield from vary(
            KIND, f"auto.{auto}", IMAGE, text.format(auto),
            differ={o: text.format(o) for o in others} | {"strides": text.format(auto).replace(
                "[1, 1]", "[2, 2]")},
        )  # fmt: skip


def _convolutions() -> Iterator[Pair]:
    conv = "y = Conv<pads=[{p}], strides=[{s}], dilations=[{d}]>(x, '#4x2x3x2', '#4')"
    odd = {"p": "1, 0, 2, 1", "s": "2, 1", "d": "1, 2"}
    changes = {"pads": {"p": "2, 1, 1, 0"}, "strides": {"s": "1, 2"}, "dilations": {"d": "2, 1"},
               "sides": {"p": "1, 1, 2, 0"}}  # fmt: skip
    yield from vary(
        KIND, "conv", IMAGE, conv.format(**odd),
        differ={k: conv.format(**(odd | c)) for k, c in changes.items()},
        equal={"padded": "p = Pad(x, '[0, 0, 1, 0, 0, 0, 2, 1]i'); "
               "y = Conv<strides=[2, 1], dilations=[1, 2]>(p, '#4x2x3x2', '#4')"},
    )  # fmt: skip
    back = "y = ConvTranspose<strides=[2, 2]{}>(x, '#2x3x3x3')"
    yield from vary(
        KIND, "conv_transpose", IMAGE, back.format(", output_shape=[14, 14]"),
        differ={"upper": back.format(', output_shape=[14, 14], auto_pad="SAME_UPPER"'),
                "shape": back.format(", output_shape=[15, 14]"),
                "none": back.format("")},
        equal={"pads": back.format(", pads=[1, 1, 0, 0]")},
    )  # fmt: skip
    grouped = "y = ConvTranspose<group=2>(x, '#4x1x2x2')"
    yield from vary(
        KIND, "grouped_transpose", "float[1,4,3,3] x => float[1,2,4,4] y", grouped,
        differ={"order": "w = Gather<axis=0>('#4x1x2x2', '[2, 3, 0, 1]i'); "
                "y = ConvTranspose<group=2>(x, w)"},
        equal={"apart": "a, b = Split<axis=1, num_outputs=2>(x); "
               "v, w = Split<axis=0, num_outputs=2>('#4x1x2x2'); c = ConvTranspose(a, v); "
               "d = ConvTranspose(b, w); y = Concat<axis=1>(c, d)"},
    )  # fmt: skip


def _resizing() -> Iterator[Pair]:
    resize = "y = Resize<{}>(x, {}, {}, {})"
    for mode in ("nearest", "linear", "cubic"):
        for scale, size in ((0.6, 3), (1.6, 8), (2.0, 10)):
            flags = f'mode="{mode}"'
            scales, sizes = f"'[1, 1, {scale}, {scale}]'", f"'[1, 1, {size}, {size}]i'"
            axes = flags + ", axes=[2, 3]"
            base = (
                resize.format(flags, "", scales, "").replace(", )", ")").replace("x, , '", "x, , '")
            )
            yield from vary(
                KIND, f"resize.{mode}{scale}", SMALL, base,
                differ={"size": resize.format(flags, "", "", f"'[1, 1, {size}, {size - 1}]i'")},
                equal={"sizes": resize.format(flags, "", "", sizes), "axes": resize.format(
                    axes, "", f"'[{scale}, {scale}]'", "").replace(", )", ")")},
            )  # fmt: skip
    crop = (
        'y = Resize<mode="linear", coordinate_transformation_mode="tf_crop_and_resize", '
        "extrapolation_value={e}>(x, '[0, 0, {a}, 0.1, 1, 1, 0.9, {b}]', , '[1, 1, 4, 4]i')"
    )
    facts = {"e": 0.0, "a": 0.2, "b": 1.2}
    yield from vary(
        KIND, "crop_and_resize", SMALL, crop.format(**facts),
        differ={"box": crop.format(**(facts | {"a": 0.3})),
                "end": crop.format(**(facts | {"b": 0.9})),
                "value": crop.format(**(facts | {"e": 1.0}))},
    )  # fmt: skip


def _axes() -> Iterator[Pair]:
    cube = "float[3,3,3] x => float[3,3,3] y"
    for op, text in {
        "softmax": "Softmax<axis={}>(x)", "cumsum": "CumSum(x, '{}i')",
        "hardmax": "Hardmax<axis={}>(x)",
        "lp": "LpNormalization<axis={}>(x)", "log": "LogSoftmax<axis={}>(x)",
        "gather": "Gather<axis={}>(x, '[2, 0, 1]i')",
    }.items():  # fmt: skip
        yield from vary(
            KIND, f"axis.{op}", cube, f"y = {text.format(1)}",
            differ={"0": f"y = {text.format(0)}", "-1": f"y = {text.format(-1)}"},
            equal={"-2": f"y = {text.format(-2)}",
                   "turned": "t = Transpose<perm=[1, 0, 2]>(x); u = "
                   + text.format(0).replace("(x", "(t") + "; y = Transpose<perm=[1, 0, 2]>(u)"},
        )  # fmt: skip
    two = "float[4,4] x, float[4,4] z => float[4,4] y"
    for op in ("MatMul", "Sub", "Div", "Pow", "Mod<fmod=1>"):
        positive = "a = Abs(x); p = Add(a, '1'); b = Abs(z); q = Add(b, '1'); "
        yield from vary(
            KIND, f"order.{op[:3]}", two, positive + f"y = {op}(p, q)", wide=False,
            differ={"turned": positive + f"y = {op}(q, p)", "same": positive + f"y = {op}(p, p)"},
            equal={"named": positive.replace("p =", "r =") + f"y = {op}(r, q)"},
        )  # fmt: skip
    for op in ("Add", "Mul", "Max", "Min"):
        yield from vary(
            KIND, f"order.{op}", two, f"y = {op}(x, z)", differ={"same": f"y = {op}(x, x)"},
            equal={"turned": f"y = {op}(z, x)"},
        )  # fmt: skip
    three = "float[4,4] x, float[4,4] z, float[4,4] u => float[4,4] y"
    yield from vary(
        KIND, "order.products", three, "a = MatMul(x, z); y = MatMul(a, u)", wide=False,
        differ={"turned": "a = MatMul(z, x); y = MatMul(a, u)",
                "last": "a = MatMul(x, u); y = MatMul(a, z)"},
        equal={"grouped": "a = MatMul(z, u); y = MatMul(x, a)",
               "transposed": "s = Transpose(x); t = Transpose(z); a = MatMul(t, s); "
                             "b = Transpose(a); "
               "y = MatMul(b, u)"},
    )  # fmt: skip


def _einsum() -> Iterator[Pair]:
    sign = "float[2,3,3] x, float[2,3,3] z => float[2,3,3] y"
    cases = {
        "bij,bjk->bik": ("y = MatMul(x, z)", "bij,bkj->bik"),
        "bij,bkj->bik": ("t = Transpose<perm=[0, 2, 1]>(z); y = MatMul(x, t)", "bij,bjk->bik"),
        "...ij,...jk->...ik": ("y = MatMul(x, z)", "...ji,...jk->...ik"),
        "bij,bij->bij": ("y = Mul(x, z)", "bij,bji->bij"),
        "bij,cij->bij": ("s = ReduceSum(z, '[0]i'); y = Mul(x, s)", "bij,cij->cij"),
    }
    for equation, (spelled, wrong) in cases.items():
        text = 'y = Einsum<equation="{}">(x, z)'
        yield from vary(
            KIND, f"einsum.{equation}", sign, text.format(equation), wide=False,
            differ={wrong: text.format(wrong)}, equal={"spelled": spelled},
        )  # fmt: skip


def _volumes() -> Iterator[Pair]:
    """One and three spatial axes."""
    volume = "float[1,2,3,4,4] x => float[1,c,d,h,w] y"
    conv = "y = Conv<pads=[{}]>(x, '#2x2x2x2x2')"
    yield from vary(
        KIND, "conv3d", volume, conv.format("1, 0, 0, 0, 1, 0"),
        differ={"pads": conv.format("0, 1, 0, 0, 0, 1"), "kernel":
                "w = Transpose<perm=[0, 1, 3, 2, 4]>('#2x2x2x2x2'); "
                "y = Conv<pads=[1, 0, 0, 0, 1, 0]>(x, w)"},
        equal={"padded": "p = Pad(x, '[0, 0, 1, 0, 0, 0, 0, 0, 1, 0]i'); "
                         "y = Conv(p, '#2x2x2x2x2')"},
    )  # fmt: skip
    for op in ("MaxPool", "AveragePool"):
        pool = f"y = {op}<kernel_shape=[2, 2, 1]{{}}>(x)"
        yield from vary(
            KIND, f"{op}3d", volume, pool.format(""),
            differ={"kernel": pool.format("").replace("2, 2, 1", "1, 2, 2"),
                    "strides": pool.format(", strides=[1, 2, 1]")},
        )  # fmt: skip
    line = "float[1,2,9] x => float[1,2,l] y"
    pool = "y = MaxPool<kernel_shape=[3]{}>(x)"
    yield from vary(
        KIND, "pool1d", line, pool.format(", pads=[2, 0]"),
        differ={"right": pool.format(", pads=[0, 2]"), "both": pool.format(", pads=[1, 1]")},
        equal={"as2d": "u = Unsqueeze(x, '[2]i'); "
                       "p = MaxPool<kernel_shape=[1, 3], pads=[0, 2, 0, 0]>(u); "
               "y = Squeeze(p, '[2]i')"},
    )  # fmt: skip
