"""Operators that few interpreters know, each attribute changed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tests.adversary.pairs import Pair, vary

KIND = "rare"
X = "float[3,4] x => float[3,4] y"


def pairs() -> Iterator[Pair]:
    """All pairs of the family."""
    yield from _sequences()
    yield from _signals()
    yield from _boxes()
    yield from _losses()
    yield from _linear_algebra()


def _sequences() -> Iterator[Pair]:
    yield from vary(
        KIND, "sequence_at", X, "s = SplitToSequence<axis=1>(x, '2i'); a = SequenceAt(s, '0i'); "
        "b = SequenceAt(s, '1i'); y = Concat<axis=1>(b, a)",
        differ={"order": "s = SplitToSequence<axis=1>(x, '2i'); a = SequenceAt(s, '0i'); "
                "b = SequenceAt(s, '1i'); y = Concat<axis=1>(a, b)",
                "same": "s = SplitToSequence<axis=1>(x, '2i'); b = SequenceAt(s, '1i'); "
                "y = Concat<axis=1>(b, b)",
                "axis": "s = SplitToSequence<axis=0>(x, '[1, 2]i'); a = SequenceAt("
                "s, '0i'); b = SequenceAt(s, '1i'); y = Concat<axis=0>(b, a)"},
        equal={"joined": "a, b = Split<axis=1, num_outputs=2>(x); s = SequenceConstruct(b, a); "
               "y = ConcatFromSequence<axis=1>(s)",
               "negative": "s = SplitToSequence<axis=1>(x, '2i'); "
               "a = SequenceAt(s, '-2i'); b = SequenceAt(s, '-1i'); y = Concat<axis=1>(b, a)"},
    )  # fmt: skip
    new = "s = SequenceConstruct(x, z); y = ConcatFromSequence<axis={}, new_axis={}>(s)"
    yield from vary(
        KIND, "sequence_joined", "float[2,2] x, float[2,2] z => float[a,b,c] y", new.format(0, 1),
        differ={"axis": new.format(1, 1), "order": new.format(0, 1).replace("x, z", "z, x")},
    )  # fmt: skip
    base = (
        "s = SequenceConstruct(x, z); t = SequenceInsert(s, u, '{}i'); "
        "y = ConcatFromSequence<axis=0>(t)"
    )
    yield from vary(
        KIND, "sequence_insert", "float[2,2] x, float[2,2] z, float[2,2] u => float[6,2] y",
        base.format(1),
        differ={"first": base.format(0), "last": base.format(2)},
        equal={"negative": base.format(-1), "concat": "y = Concat<axis=0>(x, u, z)"},
    )  # fmt: skip
    rows = "float[3,3,2] x => float[3,3,2] y"
    reverse = "y = ReverseSequence<batch_axis={}, time_axis={}>(x, '{}i')"
    yield from vary(
        KIND, "reverse_sequence", rows, reverse.format(1, 0, "[3, 2, 1]"),
        differ={"axes": reverse.format(0, 1, "[3, 2, 1]"),
                "lengths": reverse.format(1, 0, "[3, 3, 1]")},
    )  # fmt: skip


def _signals() -> Iterator[Pair]:
    wave = "float[1,8,1] x => float[1,a,2] y"
    yield from vary(
        KIND, "dft", wave, "y = DFT(x, , '1i')",
        differ={"onesided": "y = DFT<onesided=1>(x, , '1i')", "length": "y = DFT(x, '6i', '1i')",
                "scaled": "z = DFT(x, , '1i'); y = Mul(z, '0.125')"},
    )  # fmt: skip
    yield from vary(
        KIND, "inverse_dft", "float[1,8,2] x => float[1,8,2] y", "y = DFT<inverse=1>(x, , '1i')",
        differ={"forward": "y = DFT(x, , '1i')"},
    )  # fmt: skip
    for op in ("HannWindow", "HammingWindow", "BlackmanWindow"):
        text = f"w = {op}<periodic={{}}>('8i'); y = Mul(x, w)"
        other = {"HannWindow": "Hamming", "HammingWindow": "Blackman", "BlackmanWindow": "Hann"}[op]
        yield from vary(
            KIND, op, "float[3,8] x => float[3,8] y", text.format(1),
            differ={"symmetric": text.format(0),
                    "other": text.format(1).replace(op, f"{other}Window")},
        )  # fmt: skip
    mel = "w = MelWeightMatrix({}); y = MatMul(x, w)"
    numbers = ["'4i'", "'16i'", "'8000i'", "'100.0'", "'3000.0'"]
    yield from vary(
        KIND, "mel", "float[2,9] x => float[2,4] y", mel.format(", ".join(numbers)),
        differ={f"at{i}": mel.format(", ".join([*numbers[:i], new, *numbers[i + 1 :]]))
                for i, new in ((2, "'16000i'"), (3, "'500.0'"), (4, "'2000.0'"))},
    )  # fmt: skip


def _boxes() -> Iterator[Pair]:
    rng = np.random.default_rng(4)
    corner = rng.random((1, 6, 2)).astype(np.float32)
    boxes = np.concatenate([corner, corner + 0.5], 2)
    suppress = (
        "n = NonMaxSuppression<center_point_box={}>(b, x, '{}i', '{}', '{}'); y = Identity(n)"
    )
    base = suppress.format(0, 3, 0.3, 0.1)
    yield from vary(
        KIND, "suppression", "float[1,2,6] x => int64[a,3] y", base,
        made={"constants": {"b": boxes}},
        differ={"center": suppress.format(1, 3, 0.3, 0.1), "most": suppress.format(0, 1, 0.3, 0.1),
                "overlap": suppress.format(0, 3, 0.05, 0.1),
                "score": suppress.format(0, 3, 0.3, 0.5)},
    )  # fmt: skip
    align = (
        "y = RoiAlign<output_height=2, output_width=2, sampling_ratio=2{}>(x, '[[1, 1, 5, "
        "6], [0, 2, 7, "
        "7]]', '[0, 0]i')"
    )
    yield from vary(
        KIND, "roi_align", "float[1,1,8,8] x => float[2,1,2,2] y", align.format(""),
        differ={"half": align.format(', coordinate_transformation_mode="output_half_pixel"'),
                "max": align.format(', mode="max"'), "ratio": align.format("").replace(
                    "sampling_ratio=2", "sampling_ratio=1"),
                    "scale": align.format(", spatial_scale=0.5"),
                "box": align.format("").replace("[0, 2, 7", "[0, 3, 7")},
    )  # fmt: skip
    pad = "y = CenterCropPad<axes=[0, 1]>(x, '{}i')"
    yield from vary(
        KIND, "center_crop", "float[5,6] x => float[a,b] y", pad.format("[3, 9]"),
        differ={"other": pad.format("[4, 9]"), "start": "s = Slice(x, '[0]i', '[3]i', '[0]i'); "
                "y = Pad(s, '[0, 1, 0, 2]i')"},
        equal={"spelled": "s = Slice(x, '[1]i', '[4]i', '[0]i'); y = Pad(s, '[0, 1, 0, 2]i')"},
    )  # fmt: skip
    grid = "g = AffineGrid<align_corners={}>(t, '[1, 1, 3, 4]i'); y = Identity(g)"
    yield from vary(
        KIND, "affine_grid", "float[1,2,3] t => float[1,3,4,2] y", grid.format(0),
        differ={"corners": grid.format(1)},
    )  # fmt: skip
    unpool = ("p, i = MaxPool<kernel_shape=[2, 2], strides=[2, 2]>(x); "
              "y = MaxUnpool<kernel_shape=[2, 2]" \
              "{}>(p, i)")  # fmt: skip
    yield from vary(
        KIND, "unpool", "float[1,1,4,4] x => float[1,1,a,b] y", unpool.format(", strides=[2, 2]"),
        differ={"twice": unpool.format(", strides=[2, 2]").replace("(p, i)", "(q, i)").replace(
            "; y", "; q = Mul(p, '2'); y")},
    )  # fmt: skip


def _losses() -> Iterator[Pair]:
    loss = "float[3,4] x => float y"
    text = "y = SoftmaxCrossEntropyLoss<reduction=\"{}\"{}>(x, '[1, 3, 0]i'{})"
    yield from vary(
        KIND, "cross_entropy", loss, text.format("mean", "", ""),
        differ={"sum": text.format("sum", "", ""),
                "ignored": text.format("mean", ", ignore_index=3", ""),
                "weights": text.format("mean", "", ", '[1, 2, 3, 4]'"), "labels": text.format(
                    "mean", "", "").replace("[1, 3, 0]", "[1, 2, 0]")},
        equal={"spelled": "l = LogSoftmax<axis=1>(x); "
                          "g = GatherElements<axis=1>(l, '[[1], [3], [0]]i'); "
               "m = ReduceMean<keepdims=0>(g); y = Neg(m)"},
    )  # fmt: skip
    nll = "y = NegativeLogLikelihoodLoss<reduction=\"{}\"{}>(x, '[1, 3, 0]i')"
    yield from vary(
        KIND, "likelihood", loss, nll.format("mean", ""),
        differ={"sum": nll.format("sum", ""), "ignored": nll.format("mean", ", ignore_index=0")},
    )  # fmt: skip


def _linear_algebra() -> Iterator[Pair]:
    yield from vary(
        KIND, "det", "float[2,3,3] x => float[2] y", "y = Det(x)",
        differ={"transposed_sign": "d = Det(x); y = Neg(d)",
                "trace": 'y = Einsum<equation="bii->b">(x)'},
        equal={"transposed": "t = Transpose<perm=[0, 2, 1]>(x); y = Det(t)"},
    )  # fmt: skip
    for name, text, differ, equal in (
        ("batched", "y = MatMul(x, '#3x4x4')",
         {"order": "w = Gather<axis=0>('#3x4x4', '[1, 0, 2]i'); "
         "y = MatMul(x, w)"}, {"einsum": 'y = Einsum<equation="bij,bjk->bik">(x, \'#3x4x4\')'}),
        ("shared", "y = MatMul(x, '#4x4')",
         {"batch": "u = Expand('#4x4', '[3, 4, 4]i'); v = Transpose<perm="
         "[0, 2, 1]>(u); y = MatMul(x, v)"}, {"expanded": "u = Expand('#4x4', '[3, 4, 4]i'); "
         "y = MatMul(x, u)", "flat": "r = Reshape(x, '[12, 4]i'); m = MatMul(r, '#4x4'); "
         "y = Reshape(m, '[3, 4, 4]i')"}),
    ):  # fmt: skip
        yield from vary(KIND, f"matmul_{name}", "float[3,4,4] x => float[3,4,4] y", text,
                        differ=differ,
                        equal=equal)  # fmt: skip
    vector = "float[4] x => float[4] y"
    yield from vary(
        KIND, "matmul_vector", vector, "y = MatMul(x, '#4x4')",
        differ={"other_side": "y = MatMul('#4x4', x)"},
        equal={"row": "u = Unsqueeze(x, '[0]i'); m = MatMul(u, '#4x4'); y = Squeeze(m, '[0]i')"},
    )  # fmt: skip
