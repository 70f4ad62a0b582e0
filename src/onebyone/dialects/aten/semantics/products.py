"""Matrix products, einsum and convolutions."""

from __future__ import annotations

from typing import Any

import numpy as np

from onebyone.dialects.aten.semantics.base import Call, Operator
from onebyone.kernels import elementwise, products
from onebyone.kernels.arithmetic import Array, Tensor


def _product(first: str, second: str) -> Operator:
    def run(call: Call) -> Tensor:
        return elementwise.matmul(call.ar, call.tensor(first), call.tensor(second))

    return run


def _linear(call: Call) -> Tensor:
    x, weight, bias = call.tensor("input"), call.tensor("weight"), call.optional("bias")
    out = elementwise.matmul(call.ar, x, call.move(np.transpose, weight))
    return out if bias is None else call.ar.add(out, bias)


def _scaled(call: Call, x: Tensor, name: str) -> Tensor:
    factor = call.get(name, 1)
    if factor == 1:
        return x
    return call.ar.mul(call.constant(name, np.asarray(float(factor))), x)


def _added(first: str, second: str) -> Operator:
    def run(call: Call) -> Tensor:
        out = elementwise.matmul(call.ar, call.data(first), call.data(second))
        addend = _scaled(call, call.data("self"), "beta")
        return call.ar.add(_scaled(call, out, "alpha"), addend)

    return run


def _einsum(call: Call) -> Tensor:
    tensors: list[Any] = list(call.given["tensors"])
    if not any(map(call.ar.is_data, tensors)):
        return np.asarray(np.einsum(call.given["equation"], *tensors))
    return products.einsum(call.ar, call.given["equation"], tensors)


def _each(values: int | list[int], count: int) -> list[int]:
    own = [values] if isinstance(values, int) else list(values)
    return own * count if len(own) == 1 else own


def _conv(call: Call) -> Tensor:
    x, weight, bias = call.tensor("input"), call.tensor("weight"), call.optional("bias")
    count = weight.ndim - 2
    single = x.ndim == count + 1
    if single:
        x = call.move(lambda a: a[None], x)
    strides = _each(call.given["stride"], count)
    dilations = _each(call.given["dilation"], count)
    padding = call.given["padding"]
    pads: list[tuple[int, int]]
    if padding == "valid":
        pads = [(0, 0)] * count
    elif padding == "same":
        reach = [d * (k - 1) for d, k in zip(dilations, weight.shape[2:], strict=True)]
        pads = [(r // 2, r - r // 2) for r in reach]
    else:
        pads = [(p, p) for p in _each(padding, count)]
    shared: dict[str, Any] = {
        "strides": strides, "dilations": dilations, "pads": pads, "groups": call.given["groups"],
    }  # fmt: skip
    if call.given.get("transposed", "transpose" in call.op):
        extra = _each(call.given["output_padding"], count)
        out = products.conv_transpose(call.ar, x, weight, bias, output_padding=extra, **shared)
    else:
        out = products.conv(call.ar, x, weight, bias, **shared)
    return call.move(_first, out) if single else out


def _first(a: Array) -> Array:
    return a[0]


TABLE: dict[str, Operator] = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d", "convolution"), _conv),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), _conv),
    "addmm": _added("mat1", "mat2"),
    "baddbmm": _added("batch1", "batch2"),
    "bmm": _product("self", "mat2"),
    "dot": _product("self", "tensor"),
    "einsum": _einsum,
    "linear": _linear,
    "matmul": _product("self", "other"),
    "mm": _product("self", "mat2"),
    "mv": _product("self", "vec"),
}
