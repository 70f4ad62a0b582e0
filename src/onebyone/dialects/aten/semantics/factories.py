"""Tensors made from sizes and numbers alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from onebyone.dialects.aten.semantics.base import Call, Operator, Table, numpy_type
from onebyone.kernels import places
from onebyone.kernels.arithmetic import Array, Tensor
from onebyone.kernels.operands import check_size


def _made(call: Call, values: Array) -> Tensor:
    """Numbers in the result's type."""
    if call.dtype.is_floating_point:
        return call.ar.constant(values)
    return np.asarray(values).astype(numpy_type(call.dtype))


def _filled(call: Call, size: Any, value: float) -> Tensor:
    fill: Tensor = np.asarray(value)
    if call.dtype.is_floating_point:
        stored = float(torch.tensor(value, dtype=call.dtype).double())
        fill = call.constant("fill_value", np.asarray(stored))
    else:
        fill = fill.astype(numpy_type(call.dtype))
    return places.filled(call.ar, fill, shape=size)


def _full(value: float | None) -> Operator:
    def run(call: Call) -> Tensor:
        like = call.get("self")
        size = call.get("size", () if like is None else like.shape)
        return _filled(call, size, call.given["fill_value"] if value is None else value)

    return run


def _scalar(call: Call) -> Tensor:
    return _filled(call, (), call.given["s"])


def _arange(call: Call) -> Tensor:
    start, end, step = call.get("start", 0), call.given["end"], call.get("step", 1)
    count = max(int(np.ceil((end - start) / step)), 0)
    check_size([count])
    return _made(call, start + step * np.arange(count))


def _linspace(call: Call) -> Tensor:
    return _made(call, np.linspace(call.given["start"], call.given["end"], call.given["steps"]))


def _eye(call: Call) -> Tensor:
    return _made(call, np.eye(call.given["n"], call.get("m")))


TABLE: Table = {
    **dict.fromkeys(("full", "full_like", "new_full"), _full(None)),
    **dict.fromkeys(("ones", "ones_like", "new_ones"), _full(1)),
    **dict.fromkeys(("zeros", "zeros_like", "new_zeros"), _full(0)),
    "arange": _arange,
    "eye": _eye,
    "linspace": _linspace,
    "scalar_tensor": _scalar,
}
