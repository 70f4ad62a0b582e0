"""Specimens of operators on quantized numbers, by domain and name."""

# ruff: noqa: E501  (tables: a line is a row)

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tests.tables.onnx_nodes import OnnxNode, s
from tests.tables.operands import Operand, b, f, idx, k, up, w

MS = "com.microsoft"
U8, I8, F = np.uint8, np.int8, np.float32


def _u8(*shape: int, seed: int = 0, free: bool = True) -> Operand:
    """Whole numbers from 0 to 255."""
    return Operand(idx(*shape, high=256, seed=seed).values.astype(U8), free=free)


def _i8(*shape: int, seed: int = 0, free: bool = False) -> Operand:
    """Whole numbers from -128 to 127."""
    return Operand((idx(*shape, high=256, seed=seed).values - 128).astype(I8), free=free)


def _scale(value: Any) -> Operand:
    return k(value, F)


# Scales that are powers of two: no number lies nearer to a half than float32 tells.
_X = (_u8(3, 4), _scale(0.5), k(7, U8))
_PAIR = (
    _u8(3, 4),
    _scale(0.5),
    k(7, U8),
    _u8(3, 4, seed=2),
    _scale(0.25),
    k(100, U8),
    _scale(1.9),
    k(3, U8),
)
_IMAGE = (_u8(1, 4, 5, 6), _scale(0.5), k(7, U8))
_OUT = (_scale(64.0), k(30, U8))


def _nbits(
    depth: int,
    columns: int,
    block: int,
    bits: int = 4,
    zeros: bool = False,
    bias: bool = False,
    **given: Any,
) -> OnnxNode:
    count = -(-depth // block)
    operands: list[Operand | None] = [
        f(2, depth),
        _u8(columns, count, block * bits // 8, free=False),
        up(columns, count) if given.pop("square", True) else up(columns * count),
        _u8(columns, -(-count * bits // 8), seed=5, free=False) if zeros else None,
    ]
    if bias:
        operands += [None, w(columns)]
    while operands[-1] is None:
        operands.pop()
    return s(
        "MatMulNBits",
        *operands,
        domain=MS,
        N=columns,
        K=depth,
        block_size=block,
        bits=bits,
        **given,
    )


def _ms(op: str, *operands: Operand | None, result: int = 2, **given: Any) -> OnnxNode:
    """A node whose attributes may be called as the options of a specimen are."""
    node = s(op, *operands, domain=MS, kinds=(result,))
    return replace(node, attributes=given)


QUANTIZED: dict[tuple[str, str], list[OnnxNode]] = {
    ("", "ConvInteger"): [
        s("ConvInteger", _u8(1, 4, 5, 6), _i8(2, 4, 3, 3), k(7, U8), k(-3, I8), pads=[1, 0, 1, 1]),
        s("ConvInteger", _u8(1, 4, 5, 6), _i8(2, 4, 1, 1), strides=[2, 1]),
        s("ConvInteger", _u8(1, 4, 5, 6), _i8(4, 1, 3, 3), k(7, U8), k(-3, I8), group=4),
    ],
    ("", "DynamicQuantizeLinear"): [s("DynamicQuantizeLinear", Operand(np.linspace(-1.31, 2.77, 12, dtype=F).reshape(3, 4)), outputs=3)],
    ("", "MatMulInteger"): [
        s("MatMulInteger", _u8(3, 4), _i8(4, 5), k(7, U8), k(-3, I8)),
        s("MatMulInteger", _u8(3, 4), _i8(4, 5)),
        s("MatMulInteger", _u8(3, 4), _i8(4, 5), k(7, U8), k([1, -3, 5, 0, 9], I8)),
    ],
    ("", "QLinearConv"): [
        s("QLinearConv", *_IMAGE, _i8(2, 4, 3, 3), _scale(0.25), k(0, I8), *_OUT, pads=[1, 0, 1, 1]),
        s("QLinearConv", *_IMAGE, _i8(2, 4, 1, 1), _scale([0.25, 0.5]), k([0, 0], I8), *_OUT, k([100, -200], np.int32), strides=[2, 1]),
        s("QLinearConv", *_IMAGE, _i8(4, 1, 3, 3), _scale(0.25), k(0, I8), *_OUT, group=4, dilations=[1, 2]),
    ],
    ("", "QLinearMatMul"): [
        s("QLinearMatMul", *_X, _i8(4, 5), _scale(0.25), k(-3, I8), *_OUT),
        s("QLinearMatMul", *_X, _u8(4, 5, free=False), _scale(0.25), k(120, U8), *_OUT),
        s("QLinearMatMul", *_X, _i8(4, 5), _scale([0.25, 0.5, 1, 2, 0.125]), k([0, 0, 0, 0, 0], I8), *_OUT),
    ],
    ("", "QuantizeLinear"): [
        s("QuantizeLinear", f(3, 4), _scale(0.5), k(7, U8)),
        s("QuantizeLinear", f(3, 4), _scale(0.5), k(-7, I8)),
        s("QuantizeLinear", f(3, 4), _scale(0.25)),
        s("QuantizeLinear", f(2, 3, 4), _scale([0.5, 1, 0.25]), k([1, 2, 3], U8), axis=1),
        s("QuantizeLinear", f(2, 3, 4), _scale([0.5, 1, 0.25, 2]), k([1, -2, 300, 4], np.int16), axis=-1),
        s("QuantizeLinear", f(3, 4), Operand(up(3, 2).values.round() + F(1), free=False), k([[1, 2]] * 3, U8), axis=1, block_size=2),
    ],
    (MS, "DynamicQuantizeMatMul"): [s("DynamicQuantizeMatMul", Operand(np.linspace(-1.31, 2.77, 12, dtype=F).reshape(3, 4)), _i8(4, 5), _scale(0.5), k(0, I8), w(5), domain=MS)],
    (MS, "MatMulIntegerToFloat"): [s("MatMulIntegerToFloat", _u8(3, 4), _i8(4, 5), _scale(0.5), _scale([0.25, 1, 2, 3, 4]), k(7, U8), k([0] * 5, I8), w(5), domain=MS)],
    (MS, "MatMulNBits"): [
        _nbits(32, 3, 16),
        _nbits(40, 3, 16, zeros=True),
        _nbits(32, 3, 16, bits=8, zeros=True),
        _nbits(32, 3, 32, zeros=True, bias=True),
    ],
    (MS, "NhwcMaxPool"): [_ms("NhwcMaxPool", _u8(1, 5, 6, 4), kernel_shape=[2, 3], strides=[2, 1], pads=[1, 0, 0, 1])],
    (MS, "QGemm"): [
        _ms("QGemm", *_X, _i8(4, 5), _scale(0.25), k(-3, I8), k([100, -200, 3, 4, 5], np.int32), *_OUT, transA=0, transB=0, alpha=0.5),
        _ms("QGemm", *_X, _i8(5, 4), _scale([0.25, 0.5, 1, 2, 4]), k([0] * 5, I8), k([100, -200, 3, 4, 5], np.int32), *_OUT, transB=1),
        _ms("QGemm", *_X, _i8(4, 5), _scale(0.25), k(-3, I8), result=1),
    ],
    (MS, "QLinearAveragePool"): [
        _ms("QLinearAveragePool", *_IMAGE, _scale(0.7303), k(3, U8), kernel_shape=[2, 3], pads=[1, 0, 0, 1], channels_last=0),
        _ms("QLinearAveragePool", _u8(1, 5, 6, 4), *_IMAGE[1:], _scale(0.7303), k(3, U8), kernel_shape=[2, 3], channels_last=1),
    ],
    (MS, "QLinearConcat"): [_ms("QLinearConcat", _scale(0.7), k(3, U8), *_PAIR[:6], axis=1)],
    (MS, "QLinearConv"): [
        _ms("QLinearConv", *_IMAGE, _i8(2, 4, 3, 3), _scale(0.25), k(0, I8), *_OUT, pads=[1, 0, 1, 1], channels_last=0),
        _ms("QLinearConv", _u8(1, 5, 6, 4), *_IMAGE[1:], _i8(2, 4, 3, 3), _scale([0.25, 0.5]), k([0, 0], I8), *_OUT, k([100, -200], np.int32), channels_last=1),
    ],
    (MS, "QLinearGlobalAveragePool"): [
        _ms("QLinearGlobalAveragePool", *_IMAGE, _scale(0.7), k(3, U8), channels_last=0),
        _ms("QLinearGlobalAveragePool", _u8(1, 5, 6, 4), *_IMAGE[1:], _scale(0.7), k(3, U8), channels_last=1),
    ],
    (MS, "QLinearSoftmax"): [
        _ms("QLinearSoftmax", _u8(3, 4), _scale(0.03), k(7, U8), _scale(1 / 256), k(0, U8), axis=-1, opset=13),
        _ms("QLinearSoftmax", _u8(2, 3, 4), _scale(0.03), k(7, U8), _scale(1 / 256), k(0, U8), axis=1, opset=12),
    ],
    (MS, "QLinearWhere"): [_ms("QLinearWhere", b(3, 4), *_PAIR)],
    (MS, "QLinearAdd"): [s("QLinearAdd", *_PAIR, domain=MS, kinds=(2,))],
    (MS, "QLinearLeakyRelu"): [s("QLinearLeakyRelu", *_X, _scale(0.5), k(30, U8), domain=MS, kinds=(2,), alpha=0.25)],
    (MS, "QLinearMul"): [s("QLinearMul", *_PAIR, domain=MS, kinds=(2,))],
    (MS, "QLinearSigmoid"): [s("QLinearSigmoid", *_X, _scale(1 / 256), k(0, U8), domain=MS, kinds=(2,))],
    (MS, "QuantizeLinear"): [s("QuantizeLinear", f(3, 4), _scale(0.5), k(7, U8), domain=MS, kinds=(2,))],
}  # fmt: skip
