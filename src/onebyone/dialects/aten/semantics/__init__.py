"""What each ATen operator computes: one table from operator to a function over any arithmetic.

A function takes a `Call` and returns a tensor, or a tuple of them. Operators that are missing here
are reported as not understood. Nonlinear functions have the names that the ONNX dialect gives them.
"""

from __future__ import annotations

from onebyone.dialects.aten.semantics import (
    attention,
    elementwise,
    factories,
    norms,
    places,
    products,
    reductions,
    thresholds,
    windows,
)
from onebyone.dialects.aten.semantics.base import Call, Operator

OPERATORS: dict[str, Operator] = {
    **attention.TABLE,
    **elementwise.TABLE,
    **factories.TABLE,
    **norms.TABLE,
    **places.TABLE,
    **products.TABLE,
    **reductions.TABLE,
    **thresholds.TABLE,
    **windows.TABLE,
}

__all__ = ["OPERATORS", "Call", "Operator"]
