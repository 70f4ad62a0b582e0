"""What operators compute, over float64 or any other arithmetic: the interpreters' vocabulary.

A kernel is called as ``kernel(arithmetic, *operands, **facts)``: the facts are plain axes, sizes
and numbers. Nothing here knows axes, layouts or plans, nor a dialect: what is computed is a
witness independent of them.
"""

from onebyone.kernels.arithmetic import Arithmetic, Element, Float64, Tensor

__all__ = ["Arithmetic", "Element", "Float64", "Tensor"]
