"""Padding, resizing and sampling: each attribute changed."""

from __future__ import annotations

from collections.abc import Iterator

from tests.adversary.pairs import Change, Pair, vary

KIND = "resizing"


def pairs() -> Iterator[Pair]:
    """All pairs of the family."""
    yield from _pads()
    yield from _resizing()
    yield from _sampling()


def _pads() -> Iterator[Pair]:
    pad = "y = Pad<mode=\"{}\">(x, '[1, 2, 0, 1]i'{})"
    sign = "float[3,4] x => float[a,b] y"
    modes = ("constant", "edge", "reflect", "wrap")
    for mode in modes:
        differ = {m: pad.format(m, "") for m in modes if m > mode}
        differ["turned"] = pad.format(mode, "").replace("[1, 2, 0, 1]", "[0, 1, 1, 2]")
        yield from vary(KIND, f"pad.{mode}", sign, pad.format(mode, ""), differ=differ)
    value = pad.format("constant", ", '{}'")
    yield from vary(
        KIND, "pad_value", sign, value.format(1),
        differ={"zero": pad.format("constant", ""), "other": value.format(1.5)},
        equal={"axes": "y = Pad(x, '[2, 1, 1, 0]i', '1', '[1, 0]i')", "shifted": "a = Sub(x, '1'); "
               "b = Pad(a, '[1, 2, 0, 1]i'); y = Add(b, '1')"},
    )  # fmt: skip
    yield from vary(
        KIND, "crop", "float[5,6] x => float[a,b] y", "y = Pad(x, '[-1, 0, 0, -2]i')",
        differ={"turned": "y = Pad(x, '[0, -2, -1, 0]i')"},
        equal={"slice": "y = Slice(x, '[1, 0]i', '[5, 4]i', '[0, 1]i')"},
    )  # fmt: skip


def _resizing() -> Iterator[Pair]:
    sign = "float[1,1,5,5] x => float[1,1,h,w] y"
    coordinates = ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners")
    for down, scale in ((True, 0.6), (False, 1.6)):
        resize = "y = Resize<{}>(x, , '[1, 1, " + f"{scale}, {scale}" + "]')"
        tag = "down" if down else "up"
        for mode in ("nearest", "linear", "cubic"):
            flags = 'mode="{}", coordinate_transformation_mode="{}"'
            base = resize.format(flags.format(mode, "half_pixel"))
            differ: dict[str, Change] = {
                c: resize.format(flags.format(mode, c)) for c in coordinates
                if "half" not in c and not (down and mode == "nearest" and c == "align_corners")
            }  # fmt: skip
            if mode == "nearest":
                differ["ceil"] = base.replace('nearest",', 'nearest", nearest_mode="ceil",')
                differ["floor"] = base.replace('nearest",', 'nearest", nearest_mode="floor",')
            else:
                differ["nearest"] = base.replace(f'mode="{mode}"', 'mode="nearest"')
            if mode == "cubic":
                differ["coefficient"] = base.replace('cubic",', 'cubic", cubic_coeff_a=-0.5,')
                differ["linear"] = base.replace("cubic", "linear")
            if down and mode == "linear":
                differ["antialias"] = base.replace('linear",', 'linear", antialias=1,')
            yield from vary(KIND, f"resize.{tag}.{mode}", sign, base, differ=differ,
                            equal={"given": base.replace("Resize<", "Resize<exclude_outside=0, "
                                "")})  # fmt: skip
    double = (
        'y = Resize<mode="nearest", coordinate_transformation_mode="asymmetric", '
        'nearest_mode="floor">'
    )
    small = "float[1,2,3,3] x => float[1,2,h,w] y"
    yield from vary(
        KIND, "resize_twice", small, double + "(x, , '[1, 1, 2, 2]')",
        differ={"tile": "y = Tile(x, '[1, 1, 2, 2]i')"},
        equal={"sizes": double + "(x, , , '[1, 2, 6, 6]i')",
               "expand": "a = Reshape(x, '[1, 2, 3, 1, 3, 1]i'); "
                         "b = Expand(a, '[1, 2, 3, 2, 3, 2]i'); "
               "y = Reshape(b, '[1, 2, 6, 6]i')",
               "upsample": ("y = Upsample(x, '[1, 1, 2, 2]')", {"opset": 9})},
    )  # fmt: skip
    old = "y = Resize<mode=\"{}\">(x, '[1, 1, {}, {}]')"
    new = (
        'y = Resize<mode="{}", coordinate_transformation_mode="{}", nearest_mode="{}">(x, '
        ", '[1, 1, {}, {}]')"
    )
    for scale, wrong, rounding in (
        (0.6, "asymmetric", "floor"), (1.6, "half_pixel", "round_prefer_floor"),
    ):  # fmt: skip
        yield from vary(
            KIND, f"resize_opset10.{scale}", sign, old.format("nearest", scale, scale),
            made={"opset": 10},
            differ={wrong: (new.format("nearest", wrong, rounding, scale, scale), {"opset": 13}),
                    "linear": old.format("linear", scale, scale)},
        )  # fmt: skip


def _sampling() -> Iterator[Pair]:
    sign = "float[1,2,4,4] x, float[1,3,3,2] g => float[1,2,3,3] y"
    sample = "y = GridSample<{}>(x, g)"
    base = sample.format('mode="linear", padding_mode="zeros", align_corners=0')
    yield from vary(
        KIND, "grid_sample", sign, base, ranges={"g": (-1.5, 1.5)},
        differ={"nearest": base.replace("linear", "nearest"),
                "cubic": base.replace("linear", "cubic"),
                "border": base.replace("zeros", "border"),
                "reflection": base.replace("zeros", "reflection"),
                "corners": base.replace("align_corners=0", "align_corners=1"),
                "xy": "f = Gather<axis=3>(g, '[1, 0]i'); y = GridSample(x, f)"},
        equal={"defaults": "y = GridSample(x, g)",
               "old": ('y = GridSample<mode="bilinear">(x, g)', {"opset": 16})},
    )  # fmt: skip
    yield from vary(
        KIND, "col2im", "float[1,8,4] x => float[1,2,h,w] y",
        "y = Col2Im(x, '[4, 4]i', '[2, 2]i')".replace("2Im(", "2Im<strides=[2, 2]>("),
        differ={"order": "t = Transpose<perm=[0, 2, 1]>(x); r = Reshape(t, '[1, 8, 4]i'); "
                "y = Col2Im<strides=[2, 2]>(r, '[4, 4]i', '[2, 2]i')",
                "moved": "a = Reshape(x, '[1, 2, 2, 2, 2, 2]i'); "
                         "b = Transpose<perm=[0, 1, 2, 4, 3, 5]>(a); "
                "y = Reshape(b, '[1, 2, 4, 4]i')"},
        equal={"fold": "a = Reshape(x, '[1, 2, 2, 2, 2, 2]i'); "
                       "b = Transpose<perm=[0, 1, 4, 2, 5, 3]>(a); "
               "y = Reshape(b, '[1, 2, 4, 4]i')"},
    )  # fmt: skip
