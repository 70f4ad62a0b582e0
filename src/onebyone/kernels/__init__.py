"""What operators compute, over float64 or any other arithmetic: the interpreters' vocabulary.

Nothing here knows axes, layouts or plans: what is computed is a witness independent of them.
"""

from onebyone.kernels.arithmetic import Arithmetic, Element, Float64, Tensor

__all__ = ["Arithmetic", "Element", "Float64", "Tensor"]
