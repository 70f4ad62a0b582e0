"""Quantization: to grids of integers and back, and operators that compute on them exactly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import onnx_ir as ir

from onebyone.dialects.onnx.semantics import linear
from onebyone.dialects.onnx.semantics.base import Call, Result, Table
from onebyone.kernels import lines, products, quantization
from onebyone.kernels.arithmetic import Arithmetic, Array, Tensor
from onebyone.kernels.errors import UnsupportedError
from onebyone.kernels.operands import any_data, axis_of, data, floats, move
from onebyone.kernels.quantization import Grid

# Types of which an array in numpy's own types says which one it is.
_PLAIN = ("int16", "uint16", "int32")


def grid_of(call: Call, place: int, zero: Any) -> Grid:
    """The grid of a result: the type of its zero point, or the one that the call names.

    Raises:
        UnsupportedError: the type is not known.
    """
    named, saturate = int(call.get("output_dtype", 0)), bool(call.get("saturate", 1))
    if named:
        kind = ir.DataType(named).numpy().name
    elif zero is None:
        kind = "uint8"
    else:
        kind = call.kinds[place] if place < len(call.kinds) else ""
        if not kind and zero.dtype.name in _PLAIN:
            kind = zero.dtype.name
    if not kind:
        # Four bits are held in eight.
        raise UnsupportedError(f"{call.op} to a type that the file does not tell")
    if "float" not in kind:
        return Grid(kind)
    return Grid(kind if saturate else f"{kind} without saturation", _narrow(kind, saturate))


def _narrow(kind: str, saturate: bool) -> Callable[[Array], Array]:
    """What becomes of real numbers in a type of eight bits or fewer."""
    dtype = np.dtype(getattr(ml_dtypes, kind))
    limit = float(ml_dtypes.finfo(dtype).max)

    def run(values: Array) -> Array:
        bounded = np.clip(values, -limit, limit) if saturate else values
        return bounded.astype(np.float32).astype(dtype).astype(np.float64)

    return run


def _spread(parameter: Any, x: Any, axis: int, block: int) -> Callable[[Array], Array]:
    """How a scale or zero point comes to a shape that broadcasts against ``x``."""
    if parameter.size == 1:
        return lambda a: a.reshape(())
    where = axis_of(axis, x.ndim)
    if block or parameter.ndim == x.ndim > 1:
        step = block or -(-x.shape[where] // parameter.shape[where])
        return lambda a: np.repeat(a, step, where)[tuple(slice(0, n) for n in x.shape)]
    shape = [1] * x.ndim
    shape[where] = -1
    return lambda a: a.reshape(shape)


def _quantize(ar: Arithmetic, call: Call, x: Any, scale: Any, zero: Any = None) -> Tensor:
    axis, block = call.get("axis", 1), call.get("block_size", 0)
    if call.get("precision", 0):
        raise UnsupportedError("QuantizeLinear with a precision")
    grid = grid_of(call, 2, zero)
    by = move(ar, _spread(scale, x, axis, block), scale)
    offset = None if zero is None else move(ar, _spread(zero, x, axis, block), zero)
    return quantization.quantized(ar, x, by, offset, grid)


def _dynamic_quantize(ar: Arithmetic, call: Call, x: Any) -> Result:
    axes, nothing = tuple(range(x.ndim)), ar.constant(0.0)
    high = ar.maximum(_flat(ar, lines.largest(ar, x, axes=axes)), nothing)
    low = ar.minimum(_flat(ar, lines.smallest(ar, x, axes=axes)), nothing)
    scale = ar.div(ar.sub(high, low), ar.constant(255.0))
    grid = Grid("uint8")
    zero = quantization.quantized(ar, ar.neg(low), scale, None, grid)
    return quantization.quantized(ar, x, scale, zero, grid), scale, zero


def _flat(ar: Arithmetic, x: Any) -> Tensor:
    return ar.move(lambda a: a.reshape(()), x)


def column(ar: Arithmetic, parameter: Any) -> Tensor:
    """A scale or zero point of each row of a matrix, as a column."""
    if parameter is None or parameter.size == 1 or parameter.ndim != 1:
        return parameter
    return move(ar, lambda a: a[:, None], parameter)


def _matmul_integer(
    ar: Arithmetic, call: Call, a: Any, b: Any, zero_a: Any = None, zero_b: Any = None
) -> Tensor:
    left = quantization.shifted(ar, a, column(ar, zero_a))
    return quantization.whole_product(ar, left, quantization.shifted(ar, b, zero_b))


def _matmul_to_float(
    ar: Arithmetic,
    call: Call,
    a: Any,
    b: Any,
    scale_a: Any,
    scale_b: Any,
    zero_a: Any = None,
    zero_b: Any = None,
    bias: Any = None,
) -> Tensor:
    out = data(ar, _matmul_integer(ar, call, a, b, zero_a, zero_b))
    out = ar.mul(out, ar.mul(scale_a, scale_b))
    return out if bias is None else ar.add(out, bias)


def _dynamic_matmul(
    ar: Arithmetic,
    call: Call,
    a: Any,
    b: Any,
    scale_b: Any,
    zero_b: Any = None,
    bias: Any = None,
) -> Tensor:
    quantized, scale, zero = _dynamic_quantize(ar, call, a)
    return _matmul_to_float(ar, call, quantized, b, scale, scale_b, zero, zero_b, bias)


def _requantized(
    ar: Arithmetic, call: Call, out: Any, factor: Any, scale: Any, zero: Any, place: int
) -> Tensor:
    """Exact sums times the scales of their operands, by the scale of the result."""
    value = ar.mul(data(ar, out), factor)
    return quantization.quantized(ar, value, scale, zero, grid_of(call, place, zero))


def _qlinear_matmul(
    ar: Arithmetic,
    call: Call,
    a: Any,
    scale_a: Any,
    zero_a: Any,
    b: Any,
    scale_b: Any,
    zero_b: Any,
    scale: Any,
    zero: Any,
) -> Tensor:
    out = _matmul_integer(ar, call, a, b, zero_a, zero_b)
    factor = ar.mul(column(ar, scale_a), scale_b)
    return _requantized(ar, call, out, factor, scale, zero, 7)


def _whole_conv(ar: Arithmetic, call: Call, x: Any, w: Any, zero_x: Any, zero_w: Any) -> Tensor:
    """The exact convolution of whole numbers; padding stands for zero points."""
    if int(np.prod(w.shape[1:])) >= 1 << 15:
        raise UnsupportedError("a convolution of integers that may wrap around")
    offset = zero_w
    if zero_w is not None and zero_w.size > 1:
        offset = move(ar, lambda a: a.reshape(-1, *[1] * (w.ndim - 1)), zero_w)
    left, right = quantization.shifted(ar, x, zero_x), quantization.shifted(ar, w, offset)
    out = linear.conv(ar, call, data(ar, left), data(ar, right))
    known = None if any_data(ar, x, w) else ar.known(out)
    return out if known is None else np.asarray(known).astype(np.int64)


def _conv_integer(
    ar: Arithmetic, call: Call, x: Any, w: Any, zero_x: Any = None, zero_w: Any = None
) -> Tensor:
    return quantization.as_int32(ar, _whole_conv(ar, call, x, w, zero_x, zero_w))


def qlinear_conv(
    ar: Arithmetic,
    call: Call,
    x: Any,
    scale_x: Any,
    zero_x: Any,
    w: Any,
    scale_w: Any,
    zero_w: Any,
    scale: Any,
    zero: Any,
    bias: Any = None,
) -> Tensor:
    """``QLinearConv``."""
    out = data(ar, _whole_conv(ar, call, x, w, zero_x, zero_w))
    channels = (1, -1, *[1] * (x.ndim - 2))
    if bias is not None:
        out = ar.add(out, data(ar, move(ar, lambda a: a.reshape(channels), bias)))
    by = ar.move(lambda a: a.reshape(channels) if a.size > 1 else a.reshape(()), scale_w)
    return _requantized(ar, call, out, ar.mul(scale_x, by), scale, zero, 7)


def dequantized(ar: Arithmetic, x: Any, scale: Any, zero: Any) -> Tensor:
    """The numbers that a tensor stands for, by one scale and zero point."""
    if scale.size != 1 or (zero is not None and zero.size != 1):
        raise UnsupportedError("a quantized tensor with several scales")
    value = data(ar, x) if zero is None else ar.sub(data(ar, x), data(ar, zero))
    return ar.mul(value, scale)


def _matmul_nbits(
    ar: Arithmetic,
    call: Call,
    a: Any,
    packed: Any,
    scales: Any,
    zeros: Any = None,
    groups: Any = None,
    bias: Any = None,
) -> Tensor:
    bits, block = int(call.get("bits", 4)), int(call.given("block_size"))
    columns, depth = int(call.given("N")), int(call.given("K"))
    # How exact the runtime's kernel may be; 4 rounds its input to eight bits.
    if call.get("accuracy_level", 0) == 4 or call.get("weight_prepacked", 0):
        raise UnsupportedError("MatMulNBits that quantizes its input, or of a packed weight")
    if groups is not None:
        raise UnsupportedError("MatMulNBits with groups")
    count = -(-depth // block)
    stored = np.asarray(floats(ar, packed, "a packed weight"))
    if stored.dtype != np.uint8 or bits not in (2, 4, 8):
        raise UnsupportedError(f"MatMulNBits of {bits} bits")
    whole = _unpacked(stored.reshape(columns, count, -1), bits).astype(np.float64)
    offset: Tensor = ar.constant(float(1 << (bits - 1)))
    if zeros is not None and ar.is_data(zeros):
        offset = ar.move(lambda z: z.reshape(columns, count, 1), zeros)
    elif zeros is not None:
        packed_zeros = np.asarray(zeros).reshape(columns, -1)
        offset = ar.constant(_unpacked(packed_zeros, bits)[:, :count, None].astype(np.float64))
    by = ar.move(lambda s: s.reshape(columns, count, 1), scales)
    weight = ar.mul(ar.sub(ar.constant(whole), offset), by)
    flat = ar.move(lambda w: w.reshape(columns, -1)[:, :depth], weight)
    out = products.matmul(ar, a, products.swapped(ar, flat))
    return out if bias is None else ar.add(out, bias)


def _unpacked(values: Array, bits: int) -> Array:
    """Numbers of few bits out of their bytes, the lowest first."""
    parts = [(values >> shift) & ((1 << bits) - 1) for shift in range(0, 8, bits)]
    return np.stack(parts, -1).reshape(*values.shape[:-1], -1)


TABLE: Table = {
    ("", "ConvInteger"): _conv_integer,
    ("", "DynamicQuantizeLinear"): _dynamic_quantize,
    ("", "MatMulInteger"): _matmul_integer,
    ("", "QLinearConv"): qlinear_conv,
    ("", "QLinearMatMul"): _qlinear_matmul,
    ("", "QuantizeLinear"): _quantize,
    ("com.microsoft", "DynamicQuantizeMatMul"): _dynamic_matmul,
    ("com.microsoft", "MatMulIntegerToFloat"): _matmul_to_float,
    ("com.microsoft", "MatMulNBits"): _matmul_nbits,
    ("com.microsoft", "QuantizeLinear"): _quantize,
}
