"""Operators that treat elements by where they lie: beside a threshold, beyond all numbers."""

from __future__ import annotations

import numpy as np
import torch

from onebyone.dialects.aten.semantics.base import Call, Operator
from onebyone.kernels import elementwise
from onebyone.kernels.arithmetic import Array, Tensor


def _chosen(call: Call, condition: Array, a: Tensor, b: Tensor) -> Tensor:
    return call.move(lambda x, y: np.where(condition, x, y), call.real(a), call.real(b))


def _hard_shrink(call: Call) -> Tensor:
    x, bound = call.data("self"), call.number(call.get("lambd", 0.5))
    beyond = elementwise.compare(call.ar, np.greater, elementwise.absolute(call.ar, x), bound)
    return _chosen(call, beyond, x, call.number(0.0))


def _soft_shrink(call: Call) -> Tensor:
    ar, x, bound = call.ar, call.data("self"), call.number(call.get("lambd", 0.5))
    above = elementwise.positive(ar, ar.sub(x, bound))
    return ar.sub(above, elementwise.positive(ar, ar.sub(ar.neg(x), bound)))


def _threshold(call: Call) -> Tensor:
    x = call.data("self")
    above = elementwise.compare(call.ar, np.greater, x, call.number(call.given["threshold"]))
    return _chosen(call, above, x, call.number(call.given["value"]))


def _log_sigmoid(call: Call) -> Tensor:
    return call.ar.neg(elementwise.softplus(call.ar, call.ar.neg(call.data("self"))))


def _lerp(call: Call) -> Tensor:
    ar, start, end = call.ar, call.data("self"), call.data("end")
    return ar.add(start, ar.mul(call.data("weight"), ar.sub(end, start)))


def _sign_bit(call: Call) -> Array:
    x = call.tensor("self")
    zero = call.number(0.0) if call.ar.is_data(x) else np.zeros((), x.dtype)
    return elementwise.compare(call.ar, np.less, x, zero)


def _is_finite(call: Call) -> Array:
    x = call.tensor("self")
    if not call.ar.is_data(x):
        return np.ones(x.shape, bool)
    return ~(elementwise.is_nan(call.ar, x) | elementwise.is_inf(call.ar, x))


def _nan_to_num(call: Call) -> Tensor:
    x = call.data("self")
    limits = torch.finfo(call.dtype)
    infinite = elementwise.is_inf(call.ar, x)
    positive = np.zeros(x.shape, bool)
    if infinite.any():
        positive = elementwise.floats(call.ar, x, call.op) > 0
    x = _chosen(call, elementwise.is_nan(call.ar, x), call.number(call.get("nan", 0.0)), x)
    x = _chosen(call, infinite & positive, call.number(call.get("posinf", limits.max)), x)
    return _chosen(call, infinite & ~positive, call.number(call.get("neginf", limits.min)), x)


TABLE: dict[str, Operator] = {
    "hardshrink": _hard_shrink,
    "isfinite": _is_finite,
    "lerp": _lerp,
    "log_sigmoid": _log_sigmoid,
    "nan_to_num": _nan_to_num,
    "signbit": _sign_bit,
    "softshrink": _soft_shrink,
    "threshold": _threshold,
}
