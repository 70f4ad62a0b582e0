"""Numbers on grids of integers: rounding to them, and exact products of them.

What becomes of a number is known of no formula but this: it is a function of the number divided by
the scale, and of the zero point. So quantizing in one operator and in several is the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from onebyone.kernels import products
from onebyone.kernels.arithmetic import Arithmetic, Array, Tensor
from onebyone.kernels.errors import UnsupportedError
from onebyone.kernels.operands import any_data, data

# Sums of this many products of two 8-bit numbers may leave int32.
_LONG = (1 << 31) // (255 * 255)


@dataclass(frozen=True)
class Grid:
    """The numbers of a type that is quantized to.

    Attributes:
        name: of the type, with all that tells it from others.
        narrow: what becomes of real numbers in a type of floats; None for one of integers.
    """

    name: str
    narrow: Callable[[Array], Array] | None = None

    @property
    def whole(self) -> bool:
        """Whether it is a type of integers."""
        return self.narrow is None

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type that holds its numbers."""
        if not self.whole:
            return np.dtype(np.float64)
        bits = max(self._bits, 8)
        return np.dtype(f"{'u' if self.name.startswith('u') else ''}int{bits}")

    @property
    def _bits(self) -> int:
        return int(self.name.partition("int")[2])

    @property
    def bounds(self) -> tuple[int, int]:
        """The least and the largest integer."""
        low = 0 if self.name.startswith("u") else -(1 << (self._bits - 1))
        return low, low + (1 << self._bits) - 1

    def rounded(self, values: Array, zero: Array) -> Array:
        """Numbers to the grid; halves go to even numbers."""
        if self.narrow is not None:
            return self.narrow(values)
        return np.clip(np.rint(values) + zero, *self.bounds).astype(self.dtype)


def quantized(ar: Arithmetic, x: Tensor, scale: Tensor, zero: Tensor | None, grid: Grid) -> Tensor:
    """``x`` on a grid; ``scale`` and ``zero`` broadcast against it."""
    offset = ar.constant(0.0) if zero is None else data(ar, zero)
    x = data(ar, x)
    if grid.whole and ar.known(scale) is not None and ar.known(offset) is not None:
        # What lies beyond the ends of the grid makes no difference: a Relu before it may be gone.
        low, high = (ar.mul(ar.sub(ar.constant(float(end)), offset), scale) for end in grid.bounds)
        x = ar.minimum(ar.maximum(x, low), high)
    return ar.opaque(
        f"Quantize {grid.name}", grid.rounded, ar.div(x, scale), offset, dtype=grid.dtype
    )


def shifted(ar: Arithmetic, x: Tensor, zero: Tensor | None) -> Tensor:
    """Whole numbers without their zero point, wide enough for any difference."""
    if not any_data(ar, x, zero):
        wide = np.asarray(x).astype(np.int64)
        return wide if zero is None else wide - np.asarray(zero).astype(np.int64)
    # In a field sums and products of whole numbers are those of real ones, and do not wrap around.
    out = ar.mul(data(ar, x), ar.constant(1.0))
    return out if zero is None else ar.sub(out, ar.mul(data(ar, zero), ar.constant(1.0)))


def whole_product(ar: Arithmetic, a: Tensor, b: Tensor) -> Tensor:
    """The exact matrix product of whole numbers of 8 bits, as int32.

    Raises:
        UnsupportedError: it may leave int32.
    """
    if a.shape[-1] >= _LONG:
        raise UnsupportedError("a product of integers that may wrap around")
    return as_int32(ar, products.matmul(ar, a, b))


def as_int32(ar: Arithmetic, x: Tensor) -> Tensor:
    """Whole numbers in that type, where they are known; else they stay what they are."""
    return x if ar.is_data(x) else np.asarray(x).astype(np.int32)
