"""Operators that work element by element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from onebyone.dialects.aten.semantics.base import Call, Operator, numpy_type
from onebyone.kernels import elementwise
from onebyone.kernels.arithmetic import INTEGRAL, Arithmetic, Array, Tensor
from onebyone.kernels.errors import UnsupportedError

_NAMES = (
    "Acos Acosh Asin Asinh Atan Atanh Ceil Cos Cosh Erf Exp Floor Log Round Sigmoid Sign Sin Sinh "
    "Sqrt Tan Tanh Trunc"
).split()


def _function(name: str) -> Operator:
    def run(call: Call) -> Tensor:
        x = call.tensor("self")
        if call.get("decimals", 0):
            raise UnsupportedError("rounding to decimals")
        if name in INTEGRAL and not call.ar.is_data(x):
            return np.sign(x) if name == "Sign" else x
        return call.ar.function(name, call.real(x))

    return run


def _of_data(fn: Callable[[Arithmetic, Tensor], Tensor]) -> Operator:
    return lambda call: fn(call.ar, call.data("self"))


def _either(
    data: Callable[[Arithmetic, Tensor], Tensor], exact: Callable[[Array], Array]
) -> Operator:
    def run(call: Call) -> Tensor:
        x = call.tensor("self")
        return data(call.ar, x) if call.ar.is_data(x) else exact(x)

    return run


def _pair(call: Call, first: str = "self", second: str = "other") -> tuple[Any, Any]:
    """Two operands, both data if one is or the result is."""
    a, b = call.tensor(first), call.tensor(second)
    if call.ar.is_data(a) or call.ar.is_data(b) or call.dtype.is_floating_point:
        return call.real(a), call.real(b)
    return a, b


def _arithmetic(name: str, exact: Callable[[Array, Array], Array]) -> Operator:
    def run(call: Call) -> Tensor:
        a, b = _pair(call)
        return getattr(call.ar, name)(a, b) if call.ar.is_data(a) else exact(a, b)

    return run


def _sum(sign: int, swapped: bool = False) -> Operator:
    def run(call: Call) -> Tensor:
        a, b = _pair(call)
        a, b = (b, a) if swapped else (a, b)
        alpha = call.get("alpha", 1)
        if not call.ar.is_data(a):
            return a + sign * np.asarray(alpha, a.dtype) * b
        if alpha != 1:
            b = call.ar.mul(call.constant("alpha", np.asarray(float(alpha))), b)
        return call.ar.add(a, b) if sign > 0 else call.ar.sub(a, b)

    return run


def _div(call: Call) -> Tensor:
    mode = call.given.get("rounding_mode")
    a, b = _pair(call)
    if not call.ar.is_data(a):
        if mode == "floor":
            return np.floor_divide(a, b)
        return (np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b))).astype(a.dtype)
    out = call.ar.div(a, b)
    return (
        out if mode is None else call.ar.function({"floor": "Floor", "trunc": "Trunc"}[mode], out)
    )


def _floor_divide(call: Call) -> Tensor:
    a, b = _pair(call)
    if not call.ar.is_data(a):
        return np.floor_divide(a, b)
    return call.ar.function("Floor", call.ar.div(a, b))


def _remainder(fn: Callable[[Array, Array], Array]) -> Operator:
    def run(call: Call) -> Tensor:
        a, b = _pair(call)
        if not call.ar.is_data(a):
            return fn(a, b)
        known = (elementwise.floats(call.ar, x, call.op) for x in (a, b))
        return call.ar.constant(fn(*known))

    return run


def _pow(call: Call) -> Tensor:
    if isinstance(call.given["exponent"], (int, float)) and call.dtype.is_floating_point:
        exponent = call.ar.constant(float(call.given["exponent"]))
        return elementwise.power(call.ar, call.data("self"), exponent)
    a, b = _pair(call, "self", "exponent")
    return elementwise.power(call.ar, a, b) if call.ar.is_data(a) else np.power(a, b)


def _extremum(largest: bool, second: str = "other") -> Operator:
    def run(call: Call) -> Tensor:
        a, b = _pair(call, "self", second)
        if not call.ar.is_data(a):
            return np.maximum(a, b) if largest else np.minimum(a, b)
        return call.ar.maximum(a, b) if largest else call.ar.minimum(a, b)

    return run


def _clamp(call: Call) -> Tensor:
    x = call.tensor("self")
    for name, largest in (("min", True), ("max", False)):
        if call.given.get(name) is not None:
            bound = call.tensor(name)
            if call.ar.is_data(x) or call.dtype.is_floating_point:
                x, bound = call.real(x), call.real(bound)
                x = call.ar.maximum(x, bound) if largest else call.ar.minimum(x, bound)
            else:
                x = np.maximum(x, bound) if largest else np.minimum(x, bound)
    return x


def _hardtanh(call: Call) -> Tensor:
    low, high = call.number(call.given["min_val"]), call.number(call.given["max_val"])
    return call.ar.minimum(call.ar.maximum(call.data("self"), low), high)


def _relu6(call: Call) -> Tensor:
    return call.ar.minimum(elementwise.positive(call.ar, call.data("self")), call.number(6.0))


def _hard_sigmoid(call: Call) -> Tensor:
    return elementwise.hard_sigmoid(call.ar, call.data("self"), call.rounded(1 / 6), 0.5)


def _hard_swish(call: Call) -> Tensor:
    return call.ar.mul(call.data("self"), _hard_sigmoid(call))


def _elu(call: Call) -> Tensor:
    if call.get("input_scale", 1) != 1:
        raise UnsupportedError("elu with an input scale")
    alpha, scale = call.rounded(call.get("alpha", 1.0)), call.rounded(call.get("scale", 1.0))
    return elementwise.elu(call.ar, call.data("self"), alpha, scale)


def _selu(call: Call) -> Tensor:
    alpha, scale = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
    return elementwise.elu(call.ar, call.data("self"), call.rounded(alpha), call.rounded(scale))


def _celu(call: Call) -> Tensor:
    return elementwise.celu(call.ar, call.data("self"), call.rounded(call.get("alpha", 1.0)))


def _leaky_relu(call: Call) -> Tensor:
    slope = call.number(call.get("negative_slope", 0.01))
    return elementwise.sloped(call.ar, call.data("self"), slope)


def _prelu(call: Call) -> Tensor:
    x, slope = call.tensor("self"), call.tensor("weight")
    if slope.size > 1 and x.ndim > 1:
        slope = call.move(lambda a: a.reshape(-1, *[1] * (x.ndim - 2)), slope)
    return elementwise.sloped(call.ar, x, slope)


def _softplus(call: Call) -> Tensor:
    x, beta = call.data("self"), call.get("beta", 1)
    if beta == 1:
        return elementwise.softplus(call.ar, x)
    factor = call.number(float(beta))
    return call.ar.div(elementwise.softplus(call.ar, call.ar.mul(factor, x)), factor)


def _silu(call: Call) -> Tensor:
    x = call.data("self")
    return call.ar.mul(x, call.ar.function("Sigmoid", x))


def _gelu(call: Call) -> Tensor:
    return elementwise.gelu(call.ar, call.data("self"), call.get("approximate", "none") == "tanh")


def _rsqrt(ar: Arithmetic, x: Tensor) -> Tensor:
    return ar.reciprocal(ar.function("Sqrt", x))


def _log_to(base: float) -> Operator:
    def run(call: Call) -> Tensor:
        scale = call.ar.function("Log", call.ar.constant(base))
        return call.ar.div(call.ar.function("Log", call.data("self")), scale)

    return run


def _compare(fn: Callable[[Array, Array], Array]) -> Operator:
    def run(call: Call) -> Tensor:
        return elementwise.compare(call.ar, fn, call.tensor("self"), call.tensor("other"))

    return run


def _truth(call: Call, x: Any) -> Array:
    """A tensor as booleans."""
    if not call.ar.is_data(x):
        return np.asarray(x).astype(bool)
    return elementwise.compare(call.ar, np.not_equal, x, call.ar.constant(0.0))


def _logical(fn: Callable[..., Array], *names: str) -> Operator:
    return lambda call: fn(*(_truth(call, call.tensor(name)) for name in names))


def _bits(fn: Callable[..., Array], *names: str) -> Operator:
    return lambda call: fn(*(call.tensor(name) for name in names))


def _where(call: Call) -> Tensor:
    if "self" not in call.given or "other" not in call.given:
        raise UnsupportedError("where without values")
    condition, (a, b) = call.tensor("condition"), _pair(call)
    return call.move(lambda x, y: np.where(condition, x, y), a, b)


def _masked_fill(call: Call) -> Tensor:
    mask, (x, value) = call.tensor("mask"), _pair(call, "self", "value")
    return call.move(lambda a, v: np.where(mask, v, a), x, value)


def cast(call: Call, x: Any, dtype: torch.dtype) -> Tensor:
    """``x`` in another type; between floating-point types a rounding."""
    ar = call.ar
    if dtype.is_complex:
        raise UnsupportedError("complex numbers")
    if dtype.is_floating_point:
        return ar.rounded(x) if ar.is_data(x) else ar.constant(x)
    if not ar.is_data(x):
        return np.asarray(x).astype(numpy_type(dtype))
    if dtype == torch.bool:
        return _truth(call, x)
    with np.errstate(invalid="ignore"):
        return np.trunc(elementwise.floats(ar, x, f"a cast to {dtype}")).astype(numpy_type(dtype))


def _cast(call: Call) -> Tensor:
    same = call.dtypes[0] == call.dtype
    return call.tensor("self") if same else cast(call, call.tensor("self"), call.dtype)


def _added_product(divided: bool) -> Operator:
    def run(call: Call) -> Tensor:
        ar = call.ar
        a, b = call.data("tensor1"), call.data("tensor2")
        term = ar.div(a, b) if divided else ar.mul(a, b)
        if call.get("value", 1) != 1:
            term = ar.mul(call.constant("value", np.asarray(float(call.given["value"]))), term)
        return ar.add(call.data("self"), term)

    return run


TABLE: dict[str, Operator] = {
    **{name.lower(): _function(name) for name in _NAMES},
    "__and__": _bits(np.bitwise_and, "self", "other"),
    "__or__": _bits(np.bitwise_or, "self", "other"),
    "_to_copy": _cast,
    "abs": _either(elementwise.absolute, np.abs),
    "add": _sum(1),
    "addcdiv": _added_product(divided=True),
    "addcmul": _added_product(divided=False),
    "bitwise_and": _bits(np.bitwise_and, "self", "other"),
    "bitwise_not": _bits(np.bitwise_not, "self"),
    "bitwise_or": _bits(np.bitwise_or, "self", "other"),
    "bitwise_xor": _bits(np.bitwise_xor, "self", "other"),
    "celu": _celu,
    "clamp": _clamp,
    "clamp_max": _extremum(largest=False, second="max"),
    "clamp_min": _extremum(largest=True, second="min"),
    "div": _div,
    "elu": _elu,
    "eq": _compare(np.equal),
    "erfc": _of_data(lambda ar, x: ar.sub(ar.constant(1.0), ar.function("Erf", x))),
    "expm1": _of_data(elementwise.exp_minus_one),
    "floor_divide": _floor_divide,
    "fmod": _remainder(np.fmod),
    "ge": _compare(np.greater_equal),
    "gelu": _gelu,
    "gt": _compare(np.greater),
    "hardsigmoid": _hard_sigmoid,
    "hardswish": _hard_swish,
    "hardtanh": _hardtanh,
    "isinf": _either(elementwise.is_inf, lambda a: np.zeros(a.shape, bool)),
    "isnan": _either(elementwise.is_nan, lambda a: np.zeros(a.shape, bool)),
    "le": _compare(np.less_equal),
    "leaky_relu": _leaky_relu,
    "log10": _log_to(10.0),
    "log1p": _of_data(lambda ar, x: ar.function("Log", ar.add(x, ar.constant(1.0)))),
    "log2": _log_to(2.0),
    "logical_and": _logical(np.logical_and, "self", "other"),
    "logical_not": _logical(np.logical_not, "self"),
    "logical_or": _logical(np.logical_or, "self", "other"),
    "logical_xor": _logical(np.logical_xor, "self", "other"),
    "lt": _compare(np.less),
    "masked_fill": _masked_fill,
    "maximum": _extremum(largest=True),
    "minimum": _extremum(largest=False),
    "mish": _of_data(elementwise.mish),
    "mul": _arithmetic("mul", np.multiply),
    "ne": _compare(np.not_equal),
    "neg": _either(lambda ar, x: ar.neg(x), np.negative),
    "pow": _pow,
    "_prelu_kernel": _prelu,
    "prelu": _prelu,
    "reciprocal": _of_data(lambda ar, x: ar.reciprocal(x)),
    "relu": _either(elementwise.positive, lambda a: np.maximum(a, 0)),
    "relu6": _relu6,
    "remainder": _remainder(np.mod),
    "rsqrt": _of_data(_rsqrt),
    "rsub": _sum(-1, swapped=True),
    "selu": _selu,
    "silu": _silu,
    "softplus": _softplus,
    "square": _either(lambda ar, x: ar.mul(x, x), np.square),
    "sub": _sum(-1),
    "to": _cast,
    "type_as": _cast,
    "where": _where,
}
