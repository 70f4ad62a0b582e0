"""Specimens of ONNX operators with many attributes: recurrent ones, resizing, sampling, pooling."""

# ruff: noqa: E501  (tables: a line is a row)

from __future__ import annotations

from typing import Any

import numpy as np

from tests.tables.onnx_nodes import OnnxNode, s
from tests.tables.operands import Operand, f, k, w

_LENGTHS = k([3, 1], np.int32)
_GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


def _cell(
    op: str, *more: Operand | None, ways: int = 1, bias: bool = True, **given: Any
) -> OnnxNode:
    """A recurrent node of length 3, batch 2, width 4 and 2 hidden elements."""
    rows = 2 * _GATES[op]
    operands = [f(3, 2, 4), w(ways, rows, 4), w(ways, rows, 2), w(ways, 2 * rows) if bias else None]
    given = {"hidden_size": 2, "outputs": 3 if op == "LSTM" else 2, **given}
    return s(op, *operands, *more, **given)


_FIRST = f(1, 2, 2, seed=4)
_BOTH = f(2, 2, 2, seed=4)
_SMOOTH = ["HardSigmoid", "ScaledTanh", "Affine"]


def _common(op: str, *states: Operand) -> list[OnnxNode]:
    names = {"RNN": ["ScaledTanh"], "GRU": ["HardSigmoid", "ScaledTanh"], "LSTM": _SMOOTH}[op]
    both = tuple(Operand(np.concatenate([one.values] * 2)) for one in states)
    return [
        _cell(op),
        _cell(op, bias=False, direction="reverse", clip=0.5),
        _cell(op, None, *both, ways=2, direction="bidirectional"),
        _cell(op, _LENGTHS, *states),
        _cell(op, _LENGTHS, ways=2, direction="bidirectional"),
        _cell(op, _LENGTHS, *states, direction="reverse"),
        _cell(
            op,
            None,
            *states,
            activations=names,
            activation_alpha=[0.3, 0.7, 1.5][: len(names)],
            activation_beta=[0.4, 0.9, 0.1][: len(names)],
        ),
        _cell(
            op,
            activations=["LeakyRelu", "Elu", "ThresholdedRelu"][: len(names)],
            activation_alpha=[0.3, 0.7, 0.2][: len(names)],
        ),
        _cell(op, activations=["HardSigmoid", "LeakyRelu", "Elu"][: len(names)]),
        _cell(op, activations=["Softsign", "Softplus", "Relu"][: len(names)]),
    ]


RECURRENT: dict[str, list[OnnxNode]] = {
    "GRU": [
        *_common("GRU", _FIRST),
        _cell("GRU", None, _FIRST, linear_before_reset=1),
        _cell("GRU", _LENGTHS, _BOTH, ways=2, direction="bidirectional", linear_before_reset=1),
    ],
    "LSTM": [
        *_common("LSTM", _FIRST, f(1, 2, 2, seed=5)),
        _cell("LSTM", None, _FIRST, f(1, 2, 2, seed=5), w(1, 6)),
        _cell("LSTM", None, None, None, w(1, 6), input_forget=1),
        _cell("LSTM", input_forget=1),
    ],
    "RNN": _common("RNN", _FIRST),
}  # fmt: skip
IMAGE = f(1, 4, 5, 6)
PLANE = f(1, 1, 10, 12)
_ROI = k([0, 0, -0.2, 0.1, 1, 1, 0.7, 1.3], np.float32)


def _r(
    x: Operand, scales: Any = None, sizes: Any = None, roi: Operand | None = None, **given: Any
) -> OnnxNode:
    """A resize by scales or to sizes."""
    operands = [
        x,
        roi,
        None if scales is None else k(scales, np.float32),
        None if sizes is None else k(sizes),
    ]
    return s("Resize", *operands[: 4 if sizes is not None else 3], **given)


SAMPLED: dict[str, list[OnnxNode]] = {
    "Resize": [
        _r(IMAGE, [1, 1, 2, 2]),
        _r(IMAGE, [1, 1, 1.5, 2], mode="linear"),
        _r(IMAGE, sizes=[1, 4, 7, 9], mode="cubic", cubic_coeff_a=-0.5),
        _r(IMAGE, [0.5, 0.7], axes=[2, 3], antialias=1, mode="linear"),
        _r(IMAGE, sizes=[1, 4, 7, 7], vary={"keep_aspect_ratio_policy": ["not_larger", "not_smaller"]}),
        s("Resize", IMAGE, k([1, 1, 2.5, 1.3], np.float32), opset=10),
        s("Resize", PLANE, k([1, 1, 0.72, 0.45], np.float32), opset=10),
        s("Resize", PLANE, k([1, 1, 0.72, 1.45], np.float32), mode="linear", opset=10),
        _r(PLANE, [1, 1, 0.72, 0.3]),
        _r(PLANE, [1, 1, 0.72, 0.3], mode="linear"),
        _r(PLANE, [1, 1, 0.35, 1.3], mode="cubic", antialias=1, exclude_outside=1),
        _r(PLANE, sizes=[1, 1, 4, 5], mode="cubic", antialias=1),
        _r(PLANE, [1, 1, 0.9, 1.2], roi=_ROI, mode="linear", coordinate_transformation_mode="tf_crop_and_resize", extrapolation_value=7.0),
        _r(PLANE, sizes=[1, 1, 4, 5], roi=_ROI, coordinate_transformation_mode="tf_crop_and_resize", extrapolation_value=7.0),
        _r(PLANE.as_type(np.int32), [1, 1, 2, 0.5]),
    ],
    "Upsample": [
        s("Upsample", IMAGE, k([1, 1, 2, 2], np.float32), opset=9),
        s("Upsample", IMAGE, k([1, 1, 2, 1.5], np.float32), mode="linear", opset=9),
        s("Upsample", IMAGE, scales=[1.0, 1.0, 2.0, 3.0], mode="nearest", opset=7, vary={"scales": [[1.0, 1.0, 3.0, 2.0]]}),
    ],
}  # fmt: skip
_WINDOWS = (k([5, 6]), k([2, 3]))
_HALF = Operand(np.linspace(-1.4137, 1.3931, 2 * 4 * 3 * 2, dtype=np.float32).reshape(2, 4, 3, 2))
_GRID = Operand(_HALF.values[::-1, ::-1].copy(), free=False)
_SPACE = Operand(np.linspace(-1.3, 1.3, 2 * 2 * 2 * 2 * 3, dtype=np.float32).reshape(2, 2, 2, 2, 3))


def _g(x: Operand, grid: Operand, **given: Any) -> OnnxNode:
    return s("GridSample", x, grid, align_corners=0, **given)


PLACED: dict[str, list[OnnxNode]] = {
    "Col2Im": [
        s("Col2Im", f(1, 12, 16), *_WINDOWS),
        s("Col2Im", f(2, 12, 24), k([5, 6]), k([2, 2]), dilations=[1, 2], pads=[0, 1, 0, 1], strides=[1, 1]),
        s("Col2Im", f(1, 6, 12), k([5, 6]), k([2, 3]), strides=[1, 1], pads=[0, 0, 0, 0], dilations=[2, 1]),
    ],
    "CumProd": [s("CumProd", f(2, 3, 4), k(1), opset=26), s("CumProd", f(2, 3, 4), k(-1), reverse=1, exclusive=1, opset=26)],
    "Det": [s("Det", f(2, 3, 3))],
    "GlobalLpPool": [s("GlobalLpPool", IMAGE, opset=21, p=p) for p in (2, 1, 3)],
    "GridSample": [
        _g(f(2, 3, 4, 5), _HALF),
        _g(f(2, 3, 4, 5), _GRID, mode="linear", padding_mode="zeros", vary={"mode": ["nearest", "cubic"], "padding_mode": ["border", "reflection"]}),
        _g(f(2, 3, 4, 5), _GRID, mode="cubic", vary={"padding_mode": ["border", "reflection"]}),
        _g(f(2, 3, 4, 5), _GRID, mode="nearest", vary={"padding_mode": ["border", "reflection"]}),
        _g(f(2, 3, 3, 4, 2), _SPACE, mode="linear", vary={"padding_mode": ["border", "reflection"]}),
        s("GridSample", f(2, 3, 4, 5), _GRID, mode="bilinear", padding_mode="reflection", align_corners=1, opset=16),
    ],
    "LpPool": [
        *(s("LpPool", IMAGE, kernel_shape=[2, 3], strides=[1, 2], pads=[1, 0, 0, 1], p=p) for p in (1, 2, 3, 4)),
        s("LpPool", IMAGE, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
        s("LpPool", f(2, 3, 7), kernel_shape=[2], dilations=[2]),
    ],
    "MaxUnpool": [
        s("MaxUnpool", f(1, 1, 2, 2), k([[[[5, 7], [13, 15]]]]), kernel_shape=[2, 2], strides=[2, 2]),
    ],
    "ScatterElements": [
        s("ScatterElements", f(2, 3, 4), k([[[0, 1, 0, 1]]]), f(1, 1, 4), axis=1),
        *(s("ScatterElements", f(2, 3, 4), k([[[0, 1, 1, 0], [0, -2, 1, 0]]]), f(1, 2, 4), axis=1, reduction=how) for how in ("add", "mul", "max", "min")),
    ],
    "ScatterND": [
        s("ScatterND", f(2, 3, 4), k([[0, 1], [1, 2]]), f(2, 4)),
        *(s("ScatterND", f(2, 3, 4), k([[0, 1], [1, -1], [0, 1]]), f(3, 4), reduction=how) for how in ("add", "mul", "max", "min")),
    ],
}  # fmt: skip
MORE = {**RECURRENT, **SAMPLED, **PLACED}
