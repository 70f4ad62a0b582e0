"""One operator in two opsets: the same function in another form, or another function."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.adversary.pairs import Change, Pair, vary

KIND = "opsets"
X = "float[3,4] x => float[3,4] y"
FREE = "float[3,4] x => float[a,b] y"
IMAGE = "float[1,2,5,5] x => float[1,c,h,w] y"


def pairs() -> Iterator[Pair]:
    """All pairs of the family."""
    yield from _axes()
    yield from _slices()
    yield from _clips()
    yield from _splits()
    yield from _resizing()
    yield from _norms()
    yield from _others()
    yield from _same()


def _old(
    name: str, sign: str, old: tuple[int, str], equal: Mapping[str, tuple[int, str]],
    differ: Mapping[str, tuple[int, str]], wide: bool = True,
) -> Iterator[Pair]:  # fmt: skip
    """A body in an old opset against bodies in other ones."""

    def changes(of: Mapping[str, tuple[int, str]]) -> dict[str, Change]:
        return {k: (text, {"opset": opset}) for k, (opset, text) in of.items()}

    yield from vary(
        KIND, name, sign, old[1], made={"opset": old[0]}, equal=changes(equal),
        differ=changes(differ),
        wide=wide,
    )  # fmt: skip


def _axes() -> Iterator[Pair]:
    rows = "float[3,4] x => float[a] y"
    for op in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceL2", "ReduceProd"):
        yield from _old(
            op, rows, (11, f"y = {op}<axes=[1], keepdims=0>(x)"),
            {"new": (20, f"y = {op}<keepdims=0>(x, '[1]i')"), "13": (
                13, f"y = {op}<keepdims=0>(x, '[1]i')" if op == "ReduceSum" else
                f"y = {op}<axes=[-1], keepdims=0>(x)")},
            {"axis": (20, f"y = {op}<keepdims=0>(x, '[0]i')"), "all": (
                20, f"r = {op}<keepdims=1>(x); s = Reshape(r, '[1]i'); y = Expand(s, '[3]i')")},
            wide=op != "ReduceProd",
        )  # fmt: skip
    cube = "float[1,3,1] x => float[a,b] y"
    yield from _old(
        "squeeze", cube, (11, "y = Squeeze<axes=[0]>(x)"), {"new": (20, "y = Squeeze(x, '[0]i')")},
        {"last": (20, "y = Squeeze(x, '[2]i')")},
    )  # fmt: skip
    yield from _old(
        "unsqueeze", "float[3,4] x => float[a,b,c] y", (11, "y = Unsqueeze<axes=[1]>(x)"),
        {"new": (20, "y = Unsqueeze(x, '[1]i')"), "negative": (20, "y = Unsqueeze(x, '[-2]i')")},
        {"last": (20, "y = Unsqueeze(x, '[2]i')"), "first": (20, "y = Unsqueeze(x, '[0]i')")},
    )  # fmt: skip


def _slices() -> Iterator[Pair]:
    yield from _old(
        "slice", FREE, (9, "y = Slice<axes=[1], starts=[1], ends=[-1]>(x)"),
        {"10": (10, "y = Slice(x, '[1]i', '[-1]i', '[1]i')"), "20": (
            20, "y = Slice(x, '[1]i', '[3]i', '[1]i', '[1]i')")},
        {"axes": (20, "y = Slice(x, '[1]i', '[-1]i')"),
         "end": (20, "y = Slice(x, '[1]i', '[4]i', '[1]i')"),
         "9": (9, "y = Slice<axes=[1], starts=[0], ends=[-2]>(x)")},
    )  # fmt: skip
    yield from _old(
        "pad", FREE, (10, "y = Pad<pads=[0, 1, 0, 2], value=1.0>(x)"),
        {"new": (20, "y = Pad(x, '[0, 1, 0, 2]i', '1')"),
         "axes": (20, "y = Pad(x, '[1, 2]i', '1', '[1]i')")},
        {"value": (20, "y = Pad(x, '[0, 1, 0, 2]i')"),
         "turned": (20, "y = Pad(x, '[0, 2, 0, 1]i', '1')")},
    )  # fmt: skip
    for old in (9, 10):
        text = (
            "v, i = TopK<k=2>(x); y = Identity(v)"
            if old == 9
            else "v, i = TopK(x, '[2]i'); y = Identity(v)"
        )
        yield from _old(
            f"topk{old}", FREE, (old, text), {"new": (20, "y, i = TopK(x, '[2]i')")},
            {"smallest": (20, "y, i = TopK<largest=0>(x, '[2]i')")},
        )  # fmt: skip
    yield from _old(
        "flatten", "float[2,2,3] x => float[a,b] y", (8, "y = Flatten(x)"),
        {"new": (20, "y = Flatten<axis=-2>(x)")},
        {"axis": (20, "y = Flatten<axis=-1>(x)")},
    )  # fmt: skip


def _clips() -> Iterator[Pair]:
    yield from _old(
        "clip", X, (10, "y = Clip<min=0.0, max=6.0>(x)"),
        {"new": (20, "y = Clip(x, '0', '6')"), "12": (12, "y = Clip(x, '0', '6')")},
        {"max": (20, "y = Clip(x, '0', '6.5')"), "no_max": (10, "y = Clip<min=0.0>(x)")},
    )  # fmt: skip
    yield from _old(
        "clip_one", X, (10, "y = Clip<max=1.0>(x)"), {"new": (20, "y = Clip(x, , '1')"), "min": (
            20, "y = Min(x, '1')")}, {"as_min": (20, "y = Clip(x, '1')")},
    )  # fmt: skip
    yield from _old(
        "dropout", X, (7, "y = Dropout<ratio=0.9>(x)"),
        {"new": (20, "y = Dropout(x, '0.9')"), "gone": (
            20, "y = Identity(x)")}, {"scaled": (20, "y = Mul(x, '0.1')")},
    )  # fmt: skip


def _splits() -> Iterator[Pair]:
    yield from _old(
        "split", "float[4,6] x => float[a,b] y",
        (11, "p, q = Split<axis=1, split=[2, 4]>(x); y = Identity(q)"),
        {"13": (13, "p, q = Split<axis=1>(x, '[2, 4]i'); y = Identity(q)"), "20": (
            20, "p, q = Split<axis=-1>(x, '[2, 4]i'); y = Identity(q)")},
        {"sizes": (20, "q, p = Split<axis=1>(x, '[4, 2]i'); y = Identity(q)"), "equal": (
            20, "p, q = Split<axis=1, num_outputs=2>(x); y = Identity(q)")},
    )  # fmt: skip
    yield from _old(
        "split_equal", "float[4,6] x => float[a,b] y", (11, "p, q = Split(x); y = Identity(q)"),
        {"18": (18, "p, q = Split<num_outputs=2>(x); y = Identity(q)")},
        {"axis": (18, "p, q = Split<axis=1, num_outputs=2>(x); y = Identity(q)")},
    )  # fmt: skip


def _resizing() -> Iterator[Pair]:
    flags = 'mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"'
    yield from _old(
        "upsample", IMAGE, (9, "y = Upsample(x, '[1, 1, 2, 2]')"),
        {"resize": (13, f"y = Resize<{flags}>(x, , '[1, 1, 2, 2]')"), "sizes": (
            18, f"y = Resize<{flags}>(x, , , '[1, 2, 10, 10]i')"), "attribute": (
                7, "y = Upsample<scales=[1.0, 1.0, 2.0, 2.0]>(x)")},
        {"linear": (9, 'y = Upsample<mode="linear">(x, \'[1, 1, 2, 2]\')'), "corners": (
            13, f"y = Resize<{flags.replace('asymmetric', 'align_corners')}>(x, , '[1, 1, 2, "
                f"2]')")},
    )  # fmt: skip
    linear = 'mode="linear", coordinate_transformation_mode="{}"'
    yield from _old(
        "upsample_linear", IMAGE, (9, 'y = Upsample<mode="linear">(x, \'[1, 1, 2, 2]\')'),
        {"resize": (13, f"y = Resize<{linear.format('asymmetric')}>(x, , '[1, 1, 2, 2]')")},
        {"half_pixel": (13, f"y = Resize<{linear.format('half_pixel')}>(x, , '[1, 1, 2, 2]')")},
    )  # fmt: skip
    size = "y = Resize<mode=\"linear\">({}'[1, 2, 7, 3]i')"
    yield from _old(
        "resize", IMAGE, (11, size.format("x, '[]', '[]', ").replace("'[]'", "n").replace(
            "y =", "z = Shape('0'); n = Cast<to=1>(z); y =")),
        {"13": (13, size.format("x, , , ")), "18": (18, size.format("x, , , ")), "19": (
            19, size.format("x, , , "))},
        {"aspect": (18, size.format("x, , , "
                                    "").replace("<", '<keep_aspect_ratio_policy="not_larger", ')),
         "antialias": (18, size.format("x, , , ").replace("<", "<antialias=1, "))},
    )  # fmt: skip
    boxes = "float[1,1,8,8] x => float[2,1,2,2] y"
    align = (
        "y = RoiAlign<output_height=2, output_width=2, sampling_ratio=2{}>(x, '[[1, 1, 5, "
        "6], [0, 2, 7, "
        "7]]', '[0, 0]i')"
    )
    yield from _old(
        "roi_align", boxes, (10, align.format("")),
        {"16": (16, align.format(', coordinate_transformation_mode="output_half_pixel"'))},
        {"16_default": (16, align.format("")), "max": (10, align.format(', mode="max"')),
         "scale": (10, align.format(", spatial_scale=0.5"))},
    )  # fmt: skip


def _norms() -> Iterator[Pair]:
    # Opset 18 has one scale for a group, opset 21 one for a channel.
    group = "y = GroupNormalization<num_groups=2, epsilon=0.01>(x, '{}', '{}')"
    four = "float[2,4,3] x => float[2,4,3] y"
    yield from _old(
        "group_norm", four, (18, group.format("[2, 3]", "[0.5, 1]")),
        {"21": (21, group.format("[2, 2, 3, 3]", "[0.5, 0.5, 1, 1]"))},
        {"interleaved": (21, group.format("[2, 3, 2, 3]", "[0.5, 1, 0.5, 1]"))},
    )  # fmt: skip
    batch = "y = BatchNormalization<epsilon=0.01{}>(x, '#2', '#2:1', '#2:2', '[1, 2]')"
    yield from _old(
        "batch_norm", IMAGE, (9, batch.format("")), {"15": (15, batch.format("")), "14": (
            14, batch.format(", training_mode=0")),
            "momentum": (15, batch.format(", momentum=0.5"))},
        {"epsilon": (15, batch.format("").replace("0.01", "0.02"))},
    )  # fmt: skip


def _others() -> Iterator[Pair]:
    yield from _old(
        "sum_of_matmul", X, (7, "y = Gemm(x, '#4x4', '#4')"),
        {"11": (11, "y = Gemm(x, '#4x4', '#4')"), "20": (
            20, "m = MatMul(x, '#4x4'); y = Add(m, '#4')")}, {"transposed": (
                20, "y = Gemm<transB=1>(x, '#4x4', '#4')")},
    )  # fmt: skip
    yield from _old(
        "argmax", "float[3,4] x => int64[3,1] y", (11, "r = Relu(x); y = ArgMax<axis=1>(r)"),
        {"13": (13, "r = Relu(x); y = ArgMax<axis=1, select_last_index=0>(r)")},
        {"last": (13, "r = Relu(x); y = ArgMax<axis=1, select_last_index=1>(r)")},
    )  # fmt: skip
    yield from _old(
        "cast", X, (9, "h = Cast<to=10>(x); y = Cast<to=1>(h)"),
        {"13": (13, "h = Cast<to=10>(x); y = Cast<to=1>(h)")},
        {"bfloat16": (13, "h = Cast<to=16>(x); y = Cast<to=1>(h)")},
    )  # fmt: skip
    quantized = "q = QuantizeLinear(x, '0.1', '3{}'); y = DequantizeLinear(q, '0.1', '3{}')"
    yield from _old(
        "qdq", X, (10, quantized.format("u", "u")), {"13": (13, quantized.format("u", "u")), "21": (
            21, quantized.format("u", "u"))}, {"signed": (13, quantized.format("b", "b"))},
    )  # fmt: skip
    yield from _old(
        "gelu", X, (13, "a = Div(x, '1.4142135381698608'); e = Erf(a); b = Add(e, '1'); "
                        "c = Mul(x, b); "
                    "y = Mul(c, '0.5')"), {"20": (20, "y = Gelu(x)")},
        {"tanh": (20, 'y = Gelu<approximate="tanh">(x)')}, wide=False,
    )  # fmt: skip


def _same() -> Iterator[Pair]:
    """Bodies that mean the same in many opsets, and one change of each."""
    bodies = {
        "relu": ("y = Relu(x)", "y = Abs(x)"),
        "softmax2d": ("y = Softmax<axis=1>(x)", "y = Softmax<axis=0>(x)"),
        "transpose": ("t = Transpose(x); u = Relu(t); y = Transpose(u)", "y = Identity(x)"),
        "where": ("c = Greater(x, '0'); y = Where(c, x, '1')",
                  "c = Greater(x, '0'); y = Where(c, '1', x)"),
        "pow": ("y = Pow(x, '2')", "y = Pow(x, '3')"),
        "leaky": ("y = LeakyRelu<alpha=0.1>(x)", "y = LeakyRelu<alpha=0.2>(x)"),
        "mod": ("y = Mod<fmod=1>(x, '3')", "a = Abs(x); y = Mod<fmod=1>(a, '3')"),
        "concat": ("a = Concat<axis=1>(x, x); y = Slice(a, '[2]i', '[6]i', '[1]i')",
                   "a = Concat<axis=1>(x, x); y = Slice(a, '[1]i', '[5]i', '[1]i')"),
        "cumsum": ("y = CumSum(x, '1i')", "y = CumSum(x, '0i')"),
        "gather": ("y = Gather<axis=1>(x, '[3, 2, 1, 0]i')",
                   "y = Gather<axis=1>(x, '[3, 2, 0, 1]i')"),
    }  # fmt: skip
    for name, (text, other) in bodies.items():
        yield from _old(
            f"same.{name}", X, (11, text), {"13": (13, text), "17": (17, text), "22": (22, text)},
            {"changed": (21, other)},
        )  # fmt: skip
