"""What each ONNX operator computes: one table from operator to a function of the reference dialect.

A function takes ``(machine, call, *inputs)``; an absent optional input is None. It returns a
tensor or a tuple of tensors. Operators that are missing here are reported as not understood.
"""

from __future__ import annotations

from onebyone.dialects.onnx.semantics import elementwise, linear, norms, places, shapes
from onebyone.dialects.onnx.semantics.base import Call, Machine, Operator

OPERATORS: dict[tuple[str, str], Operator] = {
    **elementwise.TABLE,
    **linear.TABLE,
    **norms.TABLE,
    **places.TABLE,
    **shapes.TABLE,
}

__all__ = ["OPERATORS", "Call", "Machine", "Operator"]
