"""Matrix products, convolutions, pooling, and the quantized forms whose arithmetic is exact."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from onebyone.dialects.onnx.semantics.base import Call, Operator, Table, row
from onebyone.kernels import elementwise, lines, products, windows
from onebyone.kernels.arithmetic import Arithmetic, Array, Tensor
from onebyone.kernels.errors import UnsupportedError
from onebyone.kernels.operands import any_data, axis_of, data, floats, move
from onebyone.kernels.windows import Pads


def fused_matmul(ar: Arithmetic, call: Call, a: Any, b: Any) -> Tensor:
    """Vectors are not transposed, and the first axis goes to the rows before the last two swap."""
    sides: list[Tensor] = []
    for x, side in ((a, "A"), (b, "B")):
        if call.get(f"transBatch{side}", 0) and x.ndim > 1:
            x = move(ar, lambda values: np.moveaxis(values, 0, -2), x)
        swapped = call.get(f"trans{side}", 0) and x.ndim > 1
        sides.append(products.swapped(ar, x) if swapped else x)
    return elementwise.scaled(ar, products.matmul(ar, *sides), factor=call.float("alpha", 1.0))


def gemm(ar: Arithmetic, call: Call, a: Any, b: Any, c: Any = None) -> Tensor:
    """``Gemm``."""
    a = products.swapped(ar, a) if call.get("transA", 0) else a
    b = products.swapped(ar, b) if call.get("transB", 0) else b
    alpha, beta = call.float("alpha", 1.0), call.float("beta", 1.0)
    out = products.matmul(ar, a, b)
    if not ar.is_data(out):
        if not (alpha.is_integer() and beta.is_integer()):
            raise UnsupportedError("Gemm of integers with fractions")
        out = out * out.dtype.type(alpha)
        return out if c is None else out + c * c.dtype.type(beta)
    out = elementwise.scaled(ar, out, factor=alpha)
    return out if c is None else ar.add(out, elementwise.scaled(ar, c, factor=beta))


def _einsum(ar: Arithmetic, call: Call, *xs: Any) -> Tensor:
    equation = str(call.given("equation"))
    if not any_data(ar, *xs):
        return np.asarray(np.einsum(equation, *xs))
    return products.einsum(ar, equation, xs)


def _pads(
    call: Call,
    size: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> list[tuple[int, int]]:
    """(begin, end) of each spatial axis from ``pads`` or ``auto_pad``, which hides ``pads``."""
    flat = call.get("pads", [0] * (2 * len(kernel)))
    match call.text("auto_pad", "NOTSET"):
        case "NOTSET" | "":
            return list(zip(flat[: len(kernel)], flat[len(kernel) :], strict=True))
        case "VALID":
            return [(0, 0)] * len(kernel)
        case mode:
            behind = mode == "SAME_UPPER"
            return windows.same_pads(size, kernel, strides, dilations, rest_behind=behind)


def _strides(call: Call, rank: int) -> tuple[list[int], list[int]]:
    """Strides and dilations."""
    ones = [1] * rank
    return list(call.get("strides", ones)), list(call.get("dilations", ones))


def conv(ar: Arithmetic, call: Call, x: Any, w: Any, bias: Any = None) -> Tensor:
    """``Conv``."""
    kernel = _kernel(call, w)
    strides, dilations = _strides(call, len(kernel))
    return windows.conv(
        ar, x, w, bias,
        strides=strides, dilations=dilations, groups=call.get("group", 1),
        pads=_pads(call, x.shape[2:], kernel, strides, dilations),
    )  # fmt: skip


def _kernel(call: Call, weight: Any) -> tuple[int, ...]:
    """The size of a kernel, which an attribute may repeat."""
    kernel = tuple(weight.shape[2:])
    if tuple(call.get("kernel_shape", kernel)) != kernel:
        raise ValueError(f"a kernel_shape other than that of a weight {list(weight.shape)}")
    return kernel


def _conv_transpose(ar: Arithmetic, call: Call, x: Any, w: Any, bias: Any = None) -> Tensor:
    kernel, size = _kernel(call, w), x.shape[2:]
    strides, dilations = _strides(call, len(kernel))
    extra = list(call.get("output_padding", [0] * len(kernel)))
    mode, shape = call.text("auto_pad", "NOTSET"), call.get("output_shape")
    declared = _pads(call, size, kernel, strides, dilations)
    if shape is None and mode.startswith("SAME"):
        shape = [n * s for n, s in zip(size, strides, strict=True)]
    pads: list[tuple[int, int]] = []
    for i, wanted in enumerate(shape[-len(kernel) :] if shape is not None else ()):
        reach = (kernel[i] - 1) * dilations[i] + 1
        both = strides[i] * (size[i] - 1) + extra[i] + reach - wanted
        # The rest of a larger shape holds zeros.
        halves = windows.halves(both, rest_behind=mode == "SAME_UPPER")
        pads.append((0, both) if both < 0 else halves)
    return windows.conv_transpose(
        ar, x, w, bias,
        strides=strides, dilations=dilations, pads=pads or declared, output_padding=extra,
        groups=call.get("group", 1),
    )  # fmt: skip


def pool(call: Call, size: Sequence[int]) -> tuple[dict[str, Any], Pads]:
    """Kernel, strides, dilations and the pads with ``ceil_mode``'s rest; the declared pads."""
    kernel = list(call.given("kernel_shape"))
    strides, dilations = _strides(call, len(kernel))
    declared = _pads(call, size, kernel, strides, dilations)
    ceil = bool(call.get("ceil_mode", 0))
    pads = windows.pool_pads(size, kernel, strides, dilations, declared, ceil)
    geometry = {"kernel": kernel, "strides": strides, "dilations": dilations, "pads": pads}
    return geometry, declared


def max_pool(ar: Arithmetic, call: Call, x: Any) -> Tensor:
    """``MaxPool``."""
    if call.outputs > 1:
        raise UnsupportedError("MaxPool with indices")
    geometry, _ = pool(call, x.shape[2:])
    out = windows.max_pool(ar, data(ar, x), **geometry)
    return out if ar.is_data(x) else floats(ar, out, "MaxPool").astype(x.dtype)


def average_pool(ar: Arithmetic, call: Call, x: Any) -> Tensor:
    """``AveragePool``."""
    geometry, declared = pool(call, x.shape[2:])
    counted = declared if call.get("count_include_pad", 0) else [(0, 0)] * len(declared)
    return windows.average_pool(ar, x, counted=counted, **geometry)


def global_pool(kernel: Callable[..., Tensor]) -> Operator:
    """A reduction over all spatial axes."""
    return lambda ar, call, x: kernel(ar, x, axes=tuple(range(2, x.ndim)))


def _blocked(parameter: Any, x: Any, axis: int, block: int) -> Callable[[Array], Array]:
    """How a scale or zero point comes to a shape that broadcasts against ``x``."""
    if parameter.size == 1:
        return lambda a: a.reshape(())
    if block:
        return lambda a: np.repeat(a, block, axis)[tuple(slice(0, n) for n in x.shape)]
    shape = [1] * x.ndim
    shape[axis] = -1
    return lambda a: a.reshape(shape)


def _dequantize(ar: Arithmetic, call: Call, x: Any, scale: Any, zero: Any = None) -> Tensor:
    axis, block = call.get("axis", 1), call.get("block_size", 0)
    # The type of the result is that of the scale, or this one; both differ by a rounding.
    call.get("output_dtype")
    if scale.size > 1:
        axis = axis_of(axis, x.ndim)
    value = data(ar, x)
    if zero is not None:
        value = ar.sub(value, data(ar, move(ar, _blocked(zero, x, axis, block), zero)))
    return ar.mul(value, move(ar, _blocked(scale, x, axis, block), scale))


def _matmul_integer(
    ar: Arithmetic, call: Call, a: Any, b: Any, zero_a: Any = None, zero_b: Any = None
) -> Tensor:
    wide = np.dtype(np.int32)

    def signed(x: Any, zero: Any, rows: bool) -> Tensor:
        whole = ar.whole(x, wide) if ar.is_data(x) else np.asarray(x, wide)
        if zero is None:
            return whole
        per_row = rows and zero.ndim == 1 and zero.size > 1
        shift = move(ar, lambda z: z[:, None], zero) if per_row else zero
        return elementwise.sub(
            ar, whole, ar.whole(shift, wide) if ar.is_data(shift) else np.asarray(shift, wide)
        )

    return products.matmul(ar, signed(a, zero_a, True), signed(b, zero_b, False))


TABLE: Table = {
    ("", "AveragePool"): average_pool,
    ("", "Conv"): conv,
    ("", "ConvTranspose"): _conv_transpose,
    ("", "DequantizeLinear"): _dequantize,
    ("", "Einsum"): _einsum,
    ("", "Gemm"): gemm,
    ("", "GlobalAveragePool"): global_pool(lines.mean),
    ("", "GlobalMaxPool"): global_pool(lines.largest),
    ("", "MatMul"): row(products.matmul),
    ("", "MatMulInteger"): _matmul_integer,
    ("com.microsoft", "FusedMatMul"): fused_matmul,
}
