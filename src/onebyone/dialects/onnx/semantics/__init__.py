"""What each ONNX operator computes: one table from operator to a row over `onebyone.kernels`.

A row takes ``(arithmetic, call, *inputs)``; an absent optional input is None. It adapts names,
defaults and versions, and returns a tensor or a tuple of tensors. Operators that are missing here
are reported as not understood, and so is an attribute that a row never asks for.
"""

from __future__ import annotations

from onebyone.dialects.onnx.semantics import (
    attention,
    blocked,
    elementwise,
    fused,
    grouped,
    linear,
    norms,
    places,
    pools,
    qlinear,
    quantized,
    recurrent,
    sampling,
    shapes,
    spectral,
)
from onebyone.dialects.onnx.semantics.base import Call, Operator, Table, apply

OPERATORS: Table = {
    **attention.TABLE,
    **blocked.TABLE,
    **elementwise.TABLE,
    **fused.TABLE,
    **grouped.TABLE,
    **linear.TABLE,
    **norms.TABLE,
    **places.TABLE,
    **pools.TABLE,
    **qlinear.TABLE,
    **quantized.TABLE,
    **recurrent.TABLE,
    **sampling.TABLE,
    **shapes.TABLE,
    **spectral.TABLE,
}

__all__ = ["OPERATORS", "Call", "Operator", "apply"]
