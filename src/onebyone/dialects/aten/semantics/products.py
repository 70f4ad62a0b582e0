"""Matrix products and einsum."""

from __future__ import annotations

from typing import Any

import numpy as np

from onebyone.dialects.aten.semantics.base import Call, Operator, Table
from onebyone.kernels import products
from onebyone.kernels.arithmetic import Tensor
from onebyone.kernels.operands import any_data, move


def _product(*names: str) -> Operator:
    return lambda call: products.matmul(call.ar, *map(call.tensor, names))


def _linear(call: Call) -> Tensor:
    x, weight, bias = call.tensor("input"), call.tensor("weight"), call.optional("bias")
    out = products.matmul(call.ar, x, move(call.ar, np.transpose, weight))
    return out if bias is None else call.ar.add(out, bias)


def _scaled(call: Call, x: Tensor, name: str) -> Tensor:
    factor = call.get(name, 1)
    if factor == 1:
        return x
    return call.ar.mul(call.constant(name, np.asarray(float(factor))), x)


def _added(first: str, second: str) -> Operator:
    def run(call: Call) -> Tensor:
        out = products.matmul(call.ar, call.data(first), call.data(second))
        addend = _scaled(call, call.data("self"), "beta")
        return call.ar.add(_scaled(call, out, "alpha"), addend)

    return run


def _einsum(call: Call) -> Tensor:
    equation, tensors = call.given["equation"], list[Any](call.given["tensors"])
    if not any_data(call.ar, *tensors):
        return np.asarray(np.einsum(equation, *tensors))
    return products.einsum(call.ar, equation, tensors)


TABLE: Table = {
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
