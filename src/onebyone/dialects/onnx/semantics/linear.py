"""Matrix products, convolutions, pooling, and the quantized forms whose arithmetic is exact."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onebyone.dialects.onnx.semantics.base import Call, Machine, Operator, floats, move
from onebyone.kernels import elementwise, products
from onebyone.kernels.arithmetic import Tensor
from onebyone.kernels.errors import UnsupportedError
from onebyone.kernels.products import Pads


def _matmul(m: Machine, call: Call, a: Any, b: Any) -> Tensor:
    return elementwise.matmul(m.ar, a, b)


def _fused_matmul(m: Machine, call: Call, a: Any, b: Any) -> Tensor:
    a = move(m, lambda x: x.swapaxes(-1, -2), a) if call.get("transA", 0) else a
    b = move(m, lambda x: x.swapaxes(-1, -2), b) if call.get("transB", 0) else b
    return _scaled(m, elementwise.matmul(m.ar, a, b), call.float("alpha", 1.0))


def _scaled(m: Machine, x: Tensor, factor: float) -> Tensor:
    return x if factor == 1.0 else m.ar.mul(m.ar.constant(factor), x)


def _gemm(m: Machine, call: Call, a: Any, b: Any, c: Any = None) -> Tensor:
    a = move(m, np.transpose, a) if call.get("transA", 0) else a
    b = move(m, np.transpose, b) if call.get("transB", 0) else b
    if not m.ar.is_data(a):
        exact = np.matmul(a, b) * int(call.float("alpha", 1.0))
        return exact if c is None else exact + c * int(call.float("beta", 1.0))
    out = _scaled(m, m.ar.matmul(a, b), call.float("alpha", 1.0))
    return out if c is None else m.ar.add(out, _scaled(m, c, call.float("beta", 1.0)))


def _einsum(m: Machine, call: Call, *xs: Any) -> Tensor:
    equation = call.text("equation", "")
    if not any(map(m.ar.is_data, xs)):
        return np.asarray(np.einsum(equation, *xs))
    return products.einsum(m.ar, equation, xs)


def _pads(
    call: Call,
    size: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> list[tuple[int, int]]:
    """(begin, end) of each spatial axis from ``pads`` or ``auto_pad``."""
    mode = call.text("auto_pad", "NOTSET")
    if mode in ("NOTSET", ""):
        flat = call.get("pads", [0] * (2 * len(kernel)))
        return list(zip(flat[: len(kernel)], flat[len(kernel) :], strict=True))
    if mode == "VALID":
        return [(0, 0)] * len(kernel)
    out: list[tuple[int, int]] = []
    for n, k, s, d in zip(size, kernel, strides, dilations, strict=True):
        total = max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
        small, large = total // 2, total - total // 2
        out.append((small, large) if mode == "SAME_UPPER" else (large, small))
    return out


def _conv(m: Machine, call: Call, x: Any, w: Any, bias: Any = None) -> Tensor:
    kernel = w.shape[2:]
    strides = call.get("strides", [1] * len(kernel))
    dilations = call.get("dilations", [1] * len(kernel))
    return products.conv(
        m.ar, x, w, bias,
        strides=strides, dilations=dilations, groups=call.get("group", 1),
        pads=_pads(call, x.shape[2:], kernel, strides, dilations),
    )  # fmt: skip


def _conv_transpose(m: Machine, call: Call, x: Any, w: Any, bias: Any = None) -> Tensor:
    kernel, size = w.shape[2:], x.shape[2:]
    strides = call.get("strides", [1] * len(kernel))
    dilations = call.get("dilations", [1] * len(kernel))
    extra = list(call.get("output_padding", [0] * len(kernel)))
    mode = call.text("auto_pad", "NOTSET")
    shape = call.get("output_shape")
    pads = _pads(call, size, kernel, strides, dilations) if mode in ("NOTSET", "", "VALID") else []
    if shape is None and not pads:
        shape = [n * s for n, s in zip(size, strides, strict=True)]
    if shape is not None:
        pads = []
        for i, want in enumerate(shape[-len(kernel) :]):
            reach = (kernel[i] - 1) * dilations[i] + 1
            total = strides[i] * (size[i] - 1) + extra[i] + reach - want
            small, large = total // 2, total - total // 2
            if total < 0:
                # The rest of the requested shape holds zeros.
                pads.append((0, total))
            else:
                pads.append((small, large) if mode == "SAME_UPPER" else (large, small))
    return products.conv_transpose(
        m.ar, x, w, bias,
        strides=strides, dilations=dilations, pads=pads, output_padding=extra,
        groups=call.get("group", 1),
    )  # fmt: skip


def _pool_geometry(
    call: Call, size: Sequence[int]
) -> tuple[list[int], list[int], list[int], list[tuple[int, int]], list[tuple[int, int]]]:
    """Kernel, strides, dilations, the declared pads, and the pads with ``ceil_mode``'s rest."""
    kernel = list(call.attributes["kernel_shape"])
    strides = list(call.get("strides", [1] * len(kernel)))
    dilations = list(call.get("dilations", [1] * len(kernel)))
    declared = _pads(call, size, kernel, strides, dilations)
    ceil = bool(call.get("ceil_mode", 0))
    padded = elementwise.pool_pads(size, kernel, strides, dilations, declared, ceil)
    return kernel, strides, dilations, declared, padded


def _max_pool(m: Machine, call: Call, x: Any) -> Tensor:
    if call.outputs > 1:
        raise UnsupportedError("MaxPool with indices")
    kernel, strides, dilations, _, padded = _pool_geometry(call, x.shape[2:])
    exact = not m.ar.is_data(x)
    out = products.max_pool(
        m.ar, m.ar.constant(x) if exact else x,
        kernel=kernel, strides=strides, dilations=dilations, pads=padded,
    )  # fmt: skip
    return floats(m, out, "MaxPool").astype(x.dtype) if exact else out


def _average_pool(m: Machine, call: Call, x: Any) -> Tensor:
    kernel, strides, dilations, declared, padded = _pool_geometry(call, x.shape[2:])
    counted: Pads = declared if call.get("count_include_pad", 0) else [(0, 0)] * len(kernel)
    return products.average_pool(
        m.ar, x, kernel=kernel, strides=strides, dilations=dilations, pads=padded, counted=counted
    )


def _lp_pool(m: Machine, call: Call, x: Any) -> Tensor:
    if call.get("p", 2) != 2:
        raise UnsupportedError("LpPool with p other than 2")
    kernel, strides, dilations, _, padded = _pool_geometry(call, x.shape[2:])
    square = m.ar.mul(x, x)
    view = m.ar.move(
        lambda a: products.windows(products.pad(a, padded), kernel, strides, dilations), square
    )
    total = m.ar.total(view, tuple(range(x.ndim, view.ndim)))
    return m.ar.function("Sqrt", m.ar.move(lambda a: a.reshape(a.shape[: x.ndim]), total))


def _global_average(m: Machine, call: Call, x: Any) -> Tensor:
    return m.ar.mean(x, tuple(range(2, x.ndim)))


def _global_max(m: Machine, call: Call, x: Any) -> Tensor:
    return m.ar.largest(x, tuple(range(2, x.ndim)))


def _blocked(parameter: Any, x: Any, axis: int, block: int) -> Any:
    """A scale or zero point in a shape that broadcasts against ``x``, as a function of arrays."""
    if parameter.ndim == 0 or parameter.size == 1:
        return lambda a: a.reshape(())
    if block:
        return lambda a: np.repeat(a, block, axis)[tuple(slice(0, n) for n in x.shape)]
    shape = [1] * x.ndim
    shape[axis] = -1
    return lambda a: a.reshape(shape)


def _dequantize(m: Machine, call: Call, x: Any, scale: Any, zero: Any = None) -> Tensor:
    axis, block = call.get("axis", 1), call.get("block_size", 0)
    value = x if m.ar.is_data(x) else m.ar.constant(x)
    if zero is not None:
        shifted = move(m, _blocked(zero, x, axis, block), zero)
        value = m.ar.sub(value, shifted if m.ar.is_data(shifted) else m.ar.constant(shifted))
    return m.ar.mul(value, move(m, _blocked(scale, x, axis, block), scale))


def _matmul_integer(
    m: Machine, call: Call, a: Any, b: Any, zero_a: Any = None, zero_b: Any = None
) -> Tensor:
    left, right = np.asarray(a, np.int64), np.asarray(b, np.int64)
    if zero_a is not None:
        left = left - (zero_a[:, None] if zero_a.ndim == 1 and zero_a.size > 1 else zero_a)
    if zero_b is not None:
        right = right - zero_b
    return np.matmul(left, right).astype(np.int32)


TABLE: dict[tuple[str, str], Operator] = {
    ("", "AveragePool"): _average_pool,
    ("", "Conv"): _conv,
    ("", "ConvTranspose"): _conv_transpose,
    ("", "DequantizeLinear"): _dequantize,
    ("", "Einsum"): _einsum,
    ("", "Gemm"): _gemm,
    ("", "GlobalAveragePool"): _global_average,
    ("", "GlobalMaxPool"): _global_max,
    ("", "LpPool"): _lp_pool,
    ("", "MatMul"): _matmul,
    ("", "MatMulInteger"): _matmul_integer,
    ("", "MaxPool"): _max_pool,
    ("com.microsoft", "FusedMatMul"): _fused_matmul,
}
