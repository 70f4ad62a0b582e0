"""Conversions between types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from onebyone.kernels.arithmetic import Arithmetic, Array, Tensor
from onebyone.kernels.element import REAL
from onebyone.kernels.elementwise import as_type, truth
from onebyone.kernels.operands import data


def cast(
    ar: Arithmetic,
    x: Tensor,
    *,
    dtype: np.dtype[Any],
    source: str,
    target: str,
    narrow: Callable[[Array], Array] | None,
) -> Tensor:
    """``x`` in another type.

    Args:
        ar: the arithmetic.
        x: data or exact values.
        dtype: numpy's type of exact results; any floating-point one for data.
        source: name of the type of ``x``; "" where it is not known.
        target: name of the type that is wanted.
        narrow: for floats of 8 bits and fewer what becomes of real numbers, which are clipped,
            overflow and lose most of their digits.
    """
    if narrow is not None:
        return ar.rounded(data(ar, ar.settled(x)), source, target, narrow)
    if dtype.kind == "f":
        if not ar.is_data(x):
            return as_type(ar.constant(x), REAL)
        if x.dtype.kind in "biu":
            return as_type(ar.settled(x), REAL)
        return ar.rounded(x, source or "float32", target)
    if not ar.is_data(x):
        return np.asarray(x).astype(dtype)
    return truth(ar, x) if dtype.kind == "b" else ar.whole(x, dtype)
