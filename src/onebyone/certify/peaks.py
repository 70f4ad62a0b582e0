"""The largest and smallest numbers of a run: whether it comes near the ends of a type's range."""

from __future__ import annotations

import numpy as np

from onebyone.dialects.protocol import Step
from onebyone.kernels.arithmetic import Tensor

# Operators that make infinities of finite numbers without any overflow.
_INFINITE = frozenset(
    "cast constant constantofshape div full log masked_fill reciprocal scalar_tensor where "
    "_to_copy".split()
)


class Peak:
    """Watches a float64 run for the largest value, infinities that were computed included."""

    def __init__(self) -> None:
        self.value, self.least = 0.0, np.inf
        self._infinite: set[str] = set()

    def __call__(self, step: Step, results: list[Tensor | None]) -> None:
        for name, result in zip(step.outputs, results, strict=False):
            if not isinstance(result, np.ndarray) or result.dtype.kind != "f":
                continue
            finite = np.isfinite(result)
            size = np.abs(result)
            self.value = max(self.value, float(np.max(size, initial=0.0, where=finite)))
            self.least = min(self.least, float(np.min(size, initial=np.inf, where=size > 0)))
            if np.isinf(result).any():
                made = step.op.lower() in _INFINITE or not self._infinite.isdisjoint(step.inputs)
                self._infinite.add(name)
                self.value = self.value if made else float("inf")
