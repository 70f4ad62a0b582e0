"""What each ATen operator computes: one table from operator to a row over `onebyone.kernels`.

A row takes a `Call` and returns a tensor, or a tuple of them. It adapts names and types. Operators
that are missing here are reported as not understood, and so is an argument that a row never asks
for. Nonlinear functions have the names that the ONNX dialect gives them.
"""

from __future__ import annotations

from onebyone.dialects.aten.semantics import (
    attention,
    elementwise,
    factories,
    norms,
    places,
    products,
    recurrent,
    reductions,
    sampling,
    thresholds,
    windows,
)
from onebyone.dialects.aten.semantics.base import Call, Given, Operator, apply

_TABLES = (
    attention.TABLE,
    elementwise.TABLE,
    factories.TABLE,
    norms.TABLE,
    places.TABLE,
    products.TABLE,
    recurrent.TABLE,
    reductions.TABLE,
    sampling.TABLE,
    thresholds.TABLE,
    windows.TABLE,
)

# (namespace, operator), as in the other dialect.
OPERATORS: dict[tuple[str, str], Operator] = {
    ("aten", name): operator for table in _TABLES for name, operator in table.items()
}

__all__ = ["OPERATORS", "Call", "Given", "Operator", "apply"]
