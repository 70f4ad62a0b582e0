"""The reference dialect: positional operators over float64 or any other arithmetic."""

from onebyone.dialects.reference.arithmetic import Arithmetic, Element, Float64, Tensor

__all__ = ["Arithmetic", "Element", "Float64", "Tensor"]
