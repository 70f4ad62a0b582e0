"""Reductions, softmax, sorting and running sums."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from onebyone.dialects.aten.semantics.base import Call, Operator, Result, axes_of
from onebyone.kernels.arithmetic import Array, Tensor
from onebyone.kernels.errors import UnsupportedError


def _axes(call: Call, x: Tensor) -> tuple[int, ...]:
    return axes_of(call.given.get("dim"), x.ndim)


def _kept(call: Call, out: Tensor, axes: tuple[int, ...]) -> Tensor:
    if call.given.get("keepdim"):
        return out
    return call.move(lambda a: a.squeeze(axes) if axes else a, out)


def _sum(call: Call) -> Tensor:
    x = call.tensor("self")
    axes = _axes(call, x)
    if call.dtype.is_floating_point or call.ar.is_data(x):
        out = call.ar.total(call.real(x), axes)
    else:
        out = np.sum(x, axis=axes, keepdims=True, dtype=np.int64)
    return _kept(call, out, axes)


def _mean(call: Call) -> Tensor:
    x = call.data("self")
    axes = _axes(call, x)
    return _kept(call, call.ar.mean(x, axes), axes)


def _largest(call: Call, x: Any, axes: tuple[int, ...], sign: int) -> Tensor:
    if not call.ar.is_data(x):
        return (np.max if sign > 0 else np.min)(x, axis=axes, keepdims=True)
    if sign > 0:
        return call.ar.largest(x, axes)
    return call.ar.neg(call.ar.largest(call.ar.neg(x), axes))


def _extremum(sign: int) -> Operator:
    def run(call: Call) -> Result:
        x = call.tensor("self")
        if "other" in call.given:
            raise UnsupportedError("an extremum of two tensors")
        axes = _axes(call, x)
        out = _kept(call, _largest(call, x, axes, sign), axes)
        if call.results == 1:
            return out
        return out, _places(call, x, axes[0], sign)

    return run


def _order(call: Call, x: Any, descending: bool) -> Array:
    """Ranks of the values of ``x``, ascending or descending."""
    key = call.ar.keys(x)[0] if call.ar.is_data(x) else np.asarray(x)
    ranks = np.unique(key, return_inverse=True)[1].reshape(key.shape)
    return -ranks if descending else ranks


def _places(call: Call, x: Any, axis: int, sign: int) -> Array:
    out = np.argmin(_order(call, x, descending=sign > 0), axis)
    return np.expand_dims(out, axis) if call.given.get("keepdim") else out


def _arg(sign: int) -> Operator:
    def run(call: Call) -> Tensor:
        x, axis = call.tensor("self"), call.given.get("dim")
        if axis is None:
            return np.argmin(_order(call, x, descending=sign > 0).reshape(-1))
        return _places(call, x, axis % x.ndim if x.ndim else 0, sign)

    return run


def _sort(call: Call) -> Result:
    x = call.tensor("self")
    axis = call.get("dim", -1) % x.ndim
    key = _order(call, x, descending=bool(call.get("descending", False)))
    index = np.argsort(key, axis=axis, kind="stable")
    if call.op == "topk":
        key = _order(call, x, descending=bool(call.get("largest", True)))
        index = np.argsort(key, axis=axis, kind="stable")
        index = np.take(index, range(call.given["k"]), axis)
    return call.move(lambda a: np.take_along_axis(a, index, axis), x), index


def _prod(call: Call) -> Tensor:
    x = call.tensor("self")
    axes = _axes(call, x)
    if not call.ar.is_data(x):
        return _kept(call, np.prod(x, axis=axes, keepdims=True, dtype=np.int64), axes)
    for axis in axes:
        parts = [
            call.ar.move(lambda a, i=i, axis=axis: np.take(a, [i], axis), x)
            for i in range(x.shape[axis])
        ]
        x = reduce(call.ar.mul, parts)
    return _kept(call, x, axes)


def _variance(call: Call) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    x, ar = call.data("self"), call.ar
    axes = _axes(call, x)
    count = int(np.prod([x.shape[a] for a in axes], dtype=np.int64))
    less = call.get("correction", 1 if call.get("unbiased", True) else 0)
    mean = ar.mean(x, axes)
    centred = ar.sub(x, mean)
    total = ar.total(ar.mul(centred, centred), axes)
    return ar.mul(total, ar.reciprocal(ar.constant(count - less))), mean, axes


def _var(call: Call) -> Tensor:
    variance, _, axes = _variance(call)
    return _kept(call, variance, axes)


def _std(call: Call) -> Tensor:
    variance, _, axes = _variance(call)
    return _kept(call, call.ar.function("Sqrt", variance), axes)


def _var_mean(call: Call) -> Result:
    variance, mean, axes = _variance(call)
    return _kept(call, variance, axes), _kept(call, mean, axes)


def _logsumexp(call: Call) -> Tensor:
    x, ar = call.data("self"), call.ar
    axes = _axes(call, x)
    return _kept(call, ar.function("Log", ar.total(ar.function("Exp", x), axes)), axes)


def _vector_norm(call: Call) -> Tensor:
    x, ar = call.data("self"), call.ar
    if call.get("ord", call.get("p", 2)) != 2:
        raise UnsupportedError("a norm other than the Euclidean one")
    axes = _axes(call, x)
    return _kept(call, ar.function("Sqrt", ar.total(ar.mul(x, x), axes)), axes)


def _truth(name: str) -> Operator:
    def run(call: Call) -> Tensor:
        x = call.tensor("self")
        if call.ar.is_data(x):
            key, zero = call.ar.keys(x, call.ar.constant(0.0))
            x = key != zero
        axes = _axes(call, x)
        return _kept(call, getattr(np, name)(x, axis=axes, keepdims=True), axes)

    return run


def _softmax(call: Call) -> Tensor:
    x = call.data("self")
    if not x.ndim:
        raise UnsupportedError("a softmax of a number")
    out = call.ar.softmax(x, call.given["dim"] % x.ndim)
    return call.ar.function("Log", out) if "log" in call.op else out


def _cumsum(call: Call) -> Tensor:
    x = call.tensor("self")
    if not x.ndim:
        return x
    axis = call.given["dim"] % x.ndim
    if call.ar.is_data(x) or call.dtype.is_floating_point:
        return call.ar.running(call.real(x), axis)
    return np.cumsum(x, axis, dtype=np.int64)


TABLE: dict[str, Operator] = {
    **dict.fromkeys(("_softmax", "_log_softmax", "softmax", "log_softmax"), _softmax),
    "all": _truth("all"),
    "amax": _extremum(1),
    "amin": _extremum(-1),
    "any": _truth("any"),
    "argmax": _arg(1),
    "argmin": _arg(-1),
    "cumsum": _cumsum,
    "linalg_vector_norm": _vector_norm,
    "logsumexp": _logsumexp,
    "max": _extremum(1),
    "mean": _mean,
    "min": _extremum(-1),
    "prod": _prod,
    "sort": _sort,
    "std": _std,
    "sum": _sum,
    "topk": _sort,
    "var": _var,
    "var_mean": _var_mean,
}
