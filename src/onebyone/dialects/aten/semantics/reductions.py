"""Reductions, softmax, sorting and running sums."""

from __future__ import annotations

import numpy as np

from onebyone.dialects.aten.semantics.base import Call, Operator, Result, Table
from onebyone.kernels import elementwise, lines, places
from onebyone.kernels.arithmetic import Tensor
from onebyone.kernels.elementwise import Kernel
from onebyone.kernels.errors import UnsupportedError


def _kept(call: Call, out: Tensor, axes: tuple[int, ...]) -> Tensor:
    return lines.kept(call.ar, out, axes=axes, keep=bool(call.get("keepdim")))


def _of_all(kernel: Kernel) -> Operator:
    """A reduction of data, or of exact values in 64 bits."""

    def run(call: Call) -> Tensor:
        x = call.data("self") if call.dtype.is_floating_point else call.tensor("self")
        axes = call.axes(x)
        return _kept(call, kernel(call.ar, x, axes=axes, dtype=np.int64), axes)

    return run


def _of_data(kernel: Kernel) -> Operator:
    def run(call: Call) -> Tensor:
        x = call.data("self")
        axes = call.axes(x)
        return _kept(call, kernel(call.ar, x, axes=axes), axes)

    return run


def _extremum(largest: bool) -> Operator:
    kernel = lines.largest if largest else lines.smallest

    def run(call: Call) -> Result:
        x = call.tensor("self")
        if "other" in call.given:
            raise UnsupportedError("an extremum of two tensors")
        axes = call.axes(x)
        out = _kept(call, kernel(call.ar, x, axes=axes), axes)
        if call.results == 1:
            return out
        return out, _kept(call, _place(call, x, axes[0], largest), axes)

    return run


def _place(call: Call, x: Tensor, axis: int, largest: bool) -> Tensor:
    return lines.extremum_place(call.ar, x, axis=axis, largest=largest, nan_wins=True)


def _arg(largest: bool) -> Operator:
    def run(call: Call) -> Tensor:
        x = call.tensor("self")
        if call.get("dim") is not None and x.ndim:
            axis = call.axis(x)
            return _kept(call, _place(call, x, axis, largest), (axis,))
        row = places.reshaped(call.ar, x, shape=(-1,))
        shape = (1,) * x.ndim if call.get("keepdim") else ()
        return places.reshaped(call.ar, _place(call, row, 0, largest), shape=shape)

    return run


def _sort(call: Call) -> Result:
    x, axis = call.tensor("self"), call.get("dim", -1)
    axis = axis % max(x.ndim, 1)
    descending = bool(call.get("largest" if call.op == "topk" else "descending", False))
    count = call.get("k")
    return lines.sorted_places(call.ar, x, axis=axis, descending=descending, count=count)


def _variance(call: Call) -> tuple[Tensor, Tensor]:
    x = call.data("self")
    axes = call.axes(x)
    less = call.get("correction", 1 if call.get("unbiased", True) else 0)
    mean, _, variance = lines.moments(call.ar, x, axes=axes, correction=less)
    return _kept(call, variance, axes), _kept(call, mean, axes)


def _var(call: Call) -> Tensor:
    return _variance(call)[0]


def _std(call: Call) -> Tensor:
    return call.ar.function("Sqrt", _variance(call)[0])


def _vector_norm(call: Call) -> Tensor:
    kernel = {1: lines.l1, 2: lines.l2}.get(call.get("ord", call.get("p", 2)))
    if kernel is None:
        raise UnsupportedError("a norm other than the first and the Euclidean one")
    return _of_data(kernel)(call)


def _truth(largest: bool) -> Operator:
    """Whether an element is true, or all are: booleans have a largest and a smallest, too."""
    kernel = lines.largest if largest else lines.smallest

    def run(call: Call) -> Tensor:
        x = elementwise.truth(call.ar, call.tensor("self"))
        dim = call.given.get("dim")
        # Unlike for other reductions, a list without axes names none.
        axes = () if isinstance(dim, (list, tuple)) and not dim else call.axes(x)
        if call.ar.is_data(x):
            x = elementwise.as_type(x, np.dtype(np.float64))
        return _kept(call, elementwise.truth(call.ar, kernel(call.ar, x, axes=axes)), axes)

    return run


def _softmax(call: Call) -> Tensor:
    x = call.data("self")
    if not x.ndim:
        raise UnsupportedError("a softmax of a number")
    kernel = lines.log_softmax if "log" in call.op else lines.softmax
    return kernel(call.ar, x, axis=call.axis(x))


def _safe_softmax(call: Call) -> Tensor:
    x = call.data("self")
    return lines.safe_softmax(call.ar, x, axis=call.axis(x))


def _cumsum(call: Call) -> Tensor:
    x = call.data("self") if call.dtype.is_floating_point else call.tensor("self")
    axis = call.axis(x)
    return lines.running_sum(call.ar, x, axis=axis, dtype=np.int64) if x.ndim else x


TABLE: Table = {
    **dict.fromkeys(("_softmax", "_log_softmax", "softmax", "log_softmax"), _softmax),
    "_safe_softmax": _safe_softmax,
    "all": _truth(largest=False),
    "amax": _extremum(largest=True),
    "amin": _extremum(largest=False),
    "any": _truth(largest=True),
    "argmax": _arg(largest=True),
    "argmin": _arg(largest=False),
    "cumsum": _cumsum,
    "linalg_vector_norm": _vector_norm,
    "logsumexp": _of_data(lines.log_sum_exp),
    "max": _extremum(largest=True),
    "mean": _of_data(lines.mean),
    "min": _extremum(largest=False),
    "prod": _of_all(lines.product),
    "sort": _sort,
    "std": _std,
    "sum": _of_all(lines.total),
    "topk": _sort,
    "var": _var,
    "var_mean": _variance,
}
