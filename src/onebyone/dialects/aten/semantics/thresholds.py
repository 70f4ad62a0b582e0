"""Operators that treat elements by where they lie: beside a threshold, beyond all numbers."""

from __future__ import annotations

import numpy as np
import torch

from onebyone.dialects.aten.semantics.base import Call, Table, row
from onebyone.kernels import elementwise
from onebyone.kernels.arithmetic import Tensor


def _hard_shrink(call: Call) -> Tensor:
    bound = call.rounded(call.get("lambd", 0.5))
    ar, x = call.ar, call.data("self")
    beyond = elementwise.compare(ar, elementwise.absolute(ar, x), ar.constant(bound), relation=">")
    return elementwise.where(ar, beyond, x, ar.constant(0.0))


def _soft_shrink(call: Call) -> Tensor:
    ar, x, bound = call.ar, call.data("self"), call.number(call.get("lambd", 0.5))
    above = elementwise.positive(ar, ar.sub(x, bound))
    return ar.sub(above, elementwise.positive(ar, ar.sub(ar.neg(x), bound)))


def _threshold(call: Call) -> Tensor:
    (x,) = call.operands("self")
    bound, value = (call.rounded(call.given[name]) for name in ("threshold", "value"))
    return elementwise.threshold(call.ar, x, bound=bound, value=value)


def _lerp(call: Call) -> Tensor:
    ar, start, end = call.ar, call.data("self"), call.data("end")
    return ar.add(start, ar.mul(call.data("weight"), ar.sub(end, start)))


def _sign_bit(call: Call) -> Tensor:
    x = call.tensor("self")
    zero = elementwise.number(call.ar, x, 0.0) if call.ar.is_data(x) else np.zeros((), x.dtype)
    return elementwise.compare(call.ar, x, zero, relation="<")


def _nan_to_num(call: Call) -> Tensor:
    ar, x, limits = call.ar, call.data("self"), torch.finfo(call.dtype)
    for condition, value in (
        (elementwise.is_nan(ar, x), call.get("nan", 0.0)),
        (elementwise.is_infinite(ar, x, negative=False), call.get("posinf", limits.max)),
        (elementwise.is_infinite(ar, x, positive=False), call.get("neginf", limits.min)),
    ):
        x = elementwise.where(ar, condition, call.number(value), x)
    return x


TABLE: Table = {
    "hardshrink": _hard_shrink,
    "isfinite": lambda call: elementwise.is_finite(call.ar, call.tensor("self")),
    "lerp": _lerp,
    "log_sigmoid": row(elementwise.log_sigmoid),
    "nan_to_num": _nan_to_num,
    "signbit": _sign_bit,
    "softshrink": _soft_shrink,
    "threshold": _threshold,
}
