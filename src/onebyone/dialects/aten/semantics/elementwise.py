"""Operators that work element by element."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from onebyone.dialects.aten.semantics.base import (
    Call,
    Operator,
    Table,
    exact_row,
    numpy_type,
    row,
    type_name,
)
from onebyone.kernels import conversions, elementwise, operands
from onebyone.kernels.arithmetic import Array, Tensor
from onebyone.kernels.elementwise import Kernel
from onebyone.kernels.errors import UnsupportedError
from onebyone.kernels.functions import FUNCTIONS, Connective, Relation
from onebyone.kernels.precision import WIDE


def _function(name: str) -> Operator:
    def run(call: Call) -> Tensor:
        if call.get("decimals", 0):
            raise UnsupportedError("rounding to decimals")
        return elementwise.function(call.ar, call.tensor("self"), name=name)

    return run


def _sum(kernel: Kernel, swapped: bool = False) -> Operator:
    def run(call: Call) -> Tensor:
        a, b = call.operands("other", "self") if swapped else call.operands("self", "other")
        return kernel(call.ar, a, _times(call, b, "alpha"))

    return run


def _times(call: Call, x: Any, name: str) -> Tensor:
    """``x`` times a number that is an argument, in the type that is computed in."""
    factor = call.get(name, 1)
    if factor == 1:
        return x
    if call.ar.is_data(x):
        rounded = np.asarray(call.rounded(float(factor)))
        return elementwise.mul(call.ar, call.constant(name, rounded), x)
    return elementwise.mul(call.ar, x, call.beside(x, factor))


def _div(call: Call) -> Tensor:
    rounding = call.get("rounding_mode")
    return elementwise.divide(call.ar, *call.operands("self", "other"), rounding=rounding)


def _pow(call: Call) -> Tensor:
    exponent = call.given["exponent"]
    if isinstance(exponent, (int, float)) and call.dtype.is_floating_point:
        return elementwise.power(call.ar, call.data("self"), call.ar.constant(float(exponent)))
    return elementwise.power(call.ar, *call.operands("self", "exponent"))


def _clamp(call: Call) -> Tensor:
    (x,) = call.operands("self")
    for name, kernel in (("min", elementwise.maximum), ("max", elementwise.minimum)):
        if call.get(name) is not None:
            x = kernel(call.ar, x, *call.operands(name))
    return x


def _hardtanh(call: Call) -> Tensor:
    (x,) = call.operands("self")
    low, high = (call.beside(x, call.given[name]) for name in ("min_val", "max_val"))
    return elementwise.minimum(call.ar, elementwise.maximum(call.ar, x, low), high)


def _relu6(call: Call) -> Tensor:
    (x,) = call.operands("self")
    return elementwise.minimum(call.ar, elementwise.positive(call.ar, x), call.beside(x, 6.0))


def _hard_sigmoid(call: Call) -> Tensor:
    sixth = call.rounded(1 / 6)
    return elementwise.hard_sigmoid(call.ar, call.data("self"), alpha=sixth, beta=0.5)


def _hard_swish(call: Call) -> Tensor:
    return elementwise.hard_swish(call.ar, call.data("self"), alpha=call.rounded(1 / 6))


def _elu(call: Call) -> Tensor:
    if call.get("input_scale", 1) != 1:
        raise UnsupportedError("elu with an input scale")
    alpha, scale = call.rounded(call.get("alpha", 1.0)), call.rounded(call.get("scale", 1.0))
    return elementwise.elu(call.ar, call.data("self"), alpha=alpha, gamma=scale)


def _selu(call: Call) -> Tensor:
    alpha = call.rounded(1.6732632423543772848170429916717)
    scale = call.rounded(1.0507009873554804934193349852946)
    return elementwise.elu(call.ar, call.data("self"), alpha=alpha, gamma=scale)


def _leaky_relu(call: Call) -> Tensor:
    slope = call.rounded(call.get("negative_slope", 0.01))
    return elementwise.leaky(call.ar, call.data("self"), alpha=slope)


def _prelu_kernel(call: Call) -> Tensor:
    """Slopes that broadcast as they are; those of ``prelu`` follow axis 1."""
    return elementwise.sloped(call.ar, call.data("self"), call.data("weight"))


def _prelu(call: Call) -> Tensor:
    x, slope = call.tensor("self"), call.tensor("weight")
    if slope.size > 1 and x.ndim > 1:
        slope = operands.move(call.ar, lambda a: a.reshape(-1, *[1] * (x.ndim - 2)), slope)
    return elementwise.sloped(call.ar, x, slope)


def _softplus(call: Call) -> Tensor:
    """Beyond the threshold the argument itself, which a rounding explains where that is high."""
    ar, x, beta = call.ar, call.data("self"), call.get("beta", 1)
    factor, bound = call.number(float(beta)), call.get("threshold", 20)
    argument = x if beta == 1 else ar.mul(factor, x)
    out = elementwise.softplus(ar, argument)
    out = out if beta == 1 else ar.div(out, factor)
    if bound >= 20:
        return out
    beyond = elementwise.compare(ar, argument, call.number(float(bound)), relation=">")
    return elementwise.where(ar, beyond, x, out)


def _gelu(call: Call) -> Tensor:
    tanh = call.get("approximate", "none") == "tanh"
    return elementwise.gelu(call.ar, call.data("self"), tanh=tanh)


def _log_to(base: float) -> Operator:
    return lambda call: elementwise.log_to(call.ar, call.data("self"), base=base)


def _compare(relation: Relation) -> Operator:
    def run(call: Call) -> Tensor:
        a, b = call.tensor("self"), call.tensor("other")
        return elementwise.compare(call.ar, a, b, relation=relation)

    return run


def _logical(name: Connective, *names: str) -> Operator:
    return lambda call: elementwise.logical(call.ar, *map(call.tensor, names), name=name)


def _bits(name: Connective, *names: str) -> Operator:
    return lambda call: elementwise.bits(call.ar, *call.operands(*names), name=name)


def _where(call: Call) -> Tensor:
    if "self" not in call.given or "other" not in call.given:
        raise UnsupportedError("where without values")
    return elementwise.where(call.ar, call.tensor("condition"), *call.operands("self", "other"))


def _masked_fill(call: Call) -> Tensor:
    return elementwise.where(call.ar, call.tensor("mask"), *call.operands("value", "self"))


def cast(call: Call, x: Any, dtype: torch.dtype) -> Tensor:
    """``x`` in another type.

    Raises:
        UnsupportedError: complex numbers.
    """
    if dtype.is_complex:
        raise UnsupportedError("complex numbers")
    source, target = type_name(call.dtypes[0]), type_name(dtype)
    if not dtype.is_floating_point:
        whole = numpy_type(dtype)
        return conversions.cast(
            call.ar, x, dtype=whole, source=source, target=whole.name, narrow=None
        )

    def narrow(values: Array) -> Array:
        return torch.tensor(values, dtype=torch.float32).to(dtype).double().numpy()

    real = np.dtype(np.float64)
    slim = None if target in WIDE else narrow
    return conversions.cast(call.ar, x, dtype=real, source=source, target=target, narrow=slim)


def _cast(call: Call) -> Tensor:
    # A tensor that has the type says no more than the result that the program declares.
    call.get("other")
    same = call.dtypes[0] == call.dtype
    return call.tensor("self") if same else cast(call, call.tensor("self"), call.dtype)


def _added_product(kernel: Kernel) -> Operator:
    def run(call: Call) -> Tensor:
        x, first, second = call.operands("self", "tensor1", "tensor2")
        term = kernel(call.ar, first, second)
        return elementwise.add(call.ar, x, _times(call, term, "value"))

    return run


_PAIR = ("self", "other")

TABLE: Table = {
    **{name.lower(): _function(name) for name in FUNCTIONS},
    **dict.fromkeys(("__and__", "bitwise_and"), _bits("and", *_PAIR)),
    **dict.fromkeys(("__or__", "bitwise_or"), _bits("or", *_PAIR)),
    **dict.fromkeys(("_to_copy", "to", "type_as"), _cast),
    "_prelu_kernel": _prelu_kernel,
    "abs": exact_row(elementwise.absolute),
    "add": _sum(elementwise.add),
    "addcdiv": _added_product(elementwise.divide),
    "addcmul": _added_product(elementwise.mul),
    "bitwise_not": _bits("not", "self"),
    "bitwise_xor": _bits("xor", *_PAIR),
    "celu": row(elementwise.celu, alpha=1.0),
    "clamp": _clamp,
    "clamp_max": exact_row(elementwise.minimum, "self", "max"),
    "clamp_min": exact_row(elementwise.maximum, "self", "min"),
    "div": _div,
    "elu": _elu,
    "eq": _compare("=="),
    "erfc": row(lambda ar, x: ar.sub(ar.constant(1.0), ar.function("Erf", x))),
    "expm1": row(elementwise.exp_minus_one),
    "fix": _function("Trunc"),
    "floor_divide": exact_row(elementwise.divide, *_PAIR, rounding="floor"),
    "fmod": exact_row(elementwise.remainder, *_PAIR, truncated=True),
    "ge": _compare(">="),
    "gelu": _gelu,
    "gt": _compare(">"),
    "hardsigmoid": _hard_sigmoid,
    "hardswish": _hard_swish,
    "hardtanh": _hardtanh,
    "isinf": lambda call: elementwise.is_infinite(call.ar, call.tensor("self")),
    "isnan": lambda call: elementwise.is_nan(call.ar, call.tensor("self")),
    "le": _compare("<="),
    "leaky_relu": _leaky_relu,
    "log10": _log_to(10.0),
    "log1p": row(elementwise.log_one_plus),
    "log2": _log_to(2.0),
    "logical_and": _logical("and", *_PAIR),
    "logical_not": _logical("not", "self"),
    "logical_or": _logical("or", *_PAIR),
    "logical_xor": _logical("xor", *_PAIR),
    "lt": _compare("<"),
    "masked_fill": _masked_fill,
    "maximum": exact_row(elementwise.maximum, *_PAIR),
    "minimum": exact_row(elementwise.minimum, *_PAIR),
    "mish": row(elementwise.mish),
    "mul": exact_row(elementwise.mul, *_PAIR),
    "ne": _compare("!="),
    "neg": exact_row(elementwise.neg),
    "pow": _pow,
    "prelu": _prelu,
    "reciprocal": row(lambda ar, x: ar.reciprocal(x)),
    "relu": exact_row(elementwise.positive),
    "relu6": _relu6,
    "remainder": exact_row(elementwise.remainder, *_PAIR, truncated=False),
    "rsqrt": row(elementwise.reciprocal_root),
    "rsub": _sum(elementwise.sub, swapped=True),
    "selu": _selu,
    "silu": row(elementwise.swish),
    "softplus": _softplus,
    "square": exact_row(elementwise.square),
    "sub": _sum(elementwise.sub),
    "where": _where,
}
