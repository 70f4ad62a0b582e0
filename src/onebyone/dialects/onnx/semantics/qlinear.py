"""Operators of ONNX Runtime for quantized tensors: to numbers, an operator, back to a grid."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from onebyone.dialects.onnx.semantics import linear, quantized
from onebyone.dialects.onnx.semantics.base import Call, Table
from onebyone.dialects.onnx.semantics.quantized import dequantized, grid_of
from onebyone.kernels import elementwise, lines, places, quantization
from onebyone.kernels.arithmetic import Arithmetic, Tensor
from onebyone.kernels.errors import UnsupportedError
from onebyone.kernels.operands import axis_of, data, floats, move

# ``operator(arithmetic, call, x)``
Inner = Callable[[Arithmetic, Call, Any], Tensor]


def _to_grid(ar: Arithmetic, call: Call, out: Any, scale: Any, zero: Any, place: int) -> Tensor:
    if scale.size != 1 or (zero is not None and zero.size != 1):
        raise UnsupportedError(f"{call.op} with several scales")
    grid = grid_of(call, place, zero)
    return quantization.quantized(ar, out, scale, zero, grid)


def _pair(kernel: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """An operator of two tensors, each with its scale and zero point."""

    def run(ar: Arithmetic, call: Call, *xs: Any) -> Tensor:
        out = kernel(ar, dequantized(ar, *xs[:3]), dequantized(ar, *xs[3:6]))
        return _to_grid(ar, call, out, xs[6], (*xs, None)[7], 7)

    return run


def _one(operator: Inner) -> Callable[..., Tensor]:
    """An operator of one tensor with its scale and zero point."""

    def run(ar: Arithmetic, call: Call, *xs: Any) -> Tensor:
        x = dequantized(ar, *xs[:3])
        return _to_grid(ar, call, operator(ar, call, x), xs[3], (*xs, None)[4], 4)

    return run


def _channels_first(operator: Inner) -> Inner:
    """An operator of images, of which an attribute may say that their channels come last."""

    def run(ar: Arithmetic, call: Call, x: Any) -> Tensor:
        if not call.get("channels_last", 0):
            return operator(ar, call, x)
        out = operator(ar, call, move(ar, lambda a: np.moveaxis(a, -1, 1), x))
        return move(ar, lambda a: np.moveaxis(a, 1, -1), out)

    return run


def _leaky(ar: Arithmetic, call: Call, x: Any) -> Tensor:
    return elementwise.leaky(ar, x, alpha=call.float("alpha", 0.01))


def _sigmoid(ar: Arithmetic, call: Call, x: Any) -> Tensor:
    return ar.function("Sigmoid", x)


def _softmax(
    ar: Arithmetic, call: Call, x: Any, scale_x: Any, zero_x: Any, scale: Any, zero: Any = None
) -> Tensor:
    # The runtime rounds the reciprocal of the result's scale down.
    steps = np.floor(1 / np.float32(floats(ar, scale, "a scale")))
    value = dequantized(ar, x, scale_x, zero_x)
    axis = axis_of(call.get("axis", -1), x.ndim)
    if call.get("opset", 13) >= 13:
        out = lines.softmax(ar, value, axis=axis)
    else:
        out = lines.behind(ar, value, axis=axis, kernel=lines.softmax)
    return _to_grid(ar, call, ar.mul(out, ar.constant(steps)), ar.constant(1.0), zero, 4)


def _concat(ar: Arithmetic, call: Call, scale: Any, zero: Any, *xs: Any) -> Tensor:
    parts = [dequantized(ar, *xs[i : i + 3]) for i in range(0, len(xs), 3)]
    out = places.concatenated(ar, *parts, axis=int(call.given("axis")))
    return _to_grid(ar, call, out, scale, zero, 1)


def _where(
    ar: Arithmetic,
    call: Call,
    condition: Any,
    x: Any,
    scale_x: Any,
    zero_x: Any,
    y: Any,
    scale_y: Any,
    zero_y: Any,
    scale: Any,
    zero: Any,
) -> Tensor:
    a, b = dequantized(ar, x, scale_x, zero_x), dequantized(ar, y, scale_y, zero_y)
    return _to_grid(ar, call, elementwise.where(ar, condition, a, b), scale, zero, 8)


def _gemm(
    ar: Arithmetic,
    call: Call,
    a: Any,
    scale_a: Any,
    zero_a: Any,
    b: Any,
    scale_b: Any,
    zero_b: Any,
    bias: Any = None,
    scale: Any = None,
    zero: Any = None,
) -> Tensor:
    if scale is None and zero is not None:
        raise UnsupportedError("QGemm with a zero point and no scale")
    sides = [quantization.shifted(ar, a, zero_a)]
    if call.get("transA", 0):
        sides[0] = move(ar, np.transpose, sides[0])
    # Zero points of columns lie along the last axis only before the matrix is turned.
    if call.get("transB", 0):
        offset = quantized.column(ar, zero_b)
        sides.append(move(ar, np.transpose, quantization.shifted(ar, b, offset)))
    else:
        sides.append(quantization.shifted(ar, b, zero_b))
    out = data(ar, quantization.whole_product(ar, *sides))
    out = out if bias is None else ar.add(out, data(ar, bias))
    factor = ar.mul(ar.mul(scale_a, scale_b), ar.constant(call.float("alpha", 1.0)))
    out = ar.mul(out, factor)
    return out if scale is None else _to_grid(ar, call, out, scale, zero, 8)


def _conv(ar: Arithmetic, call: Call, x: Any, *rest: Any) -> Tensor:
    return _channels_first(lambda ar, call, x: quantized.qlinear_conv(ar, call, x, *rest))(
        ar, call, x
    )


def _nhwc_max_pool(ar: Arithmetic, call: Call, x: Any) -> Tensor:
    first = move(ar, lambda a: np.moveaxis(a, -1, 1), x)
    return move(ar, lambda a: np.moveaxis(a, 1, -1), linear.max_pool(ar, call, first))


TABLE: Table = {
    ("com.microsoft", name): operator
    for name, operator in {
        "NhwcMaxPool": _nhwc_max_pool,
        "QGemm": _gemm,
        "QLinearAdd": _pair(elementwise.add),
        "QLinearAveragePool": _one(_channels_first(linear.average_pool)),
        "QLinearConcat": _concat,
        "QLinearConv": _conv,
        "QLinearGlobalAveragePool": _one(_channels_first(linear.global_pool(lines.mean))),
        "QLinearLeakyRelu": _one(_leaky),
        "QLinearMul": _pair(elementwise.mul),
        "QLinearSigmoid": _one(_sigmoid),
        "QLinearSoftmax": _softmax,
        "QLinearWhere": _where,
    }.items()
}
