"""Data in a prime field: residues, with what is known of them beside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Never

import numpy as np
from numpy.typing import NDArray

from onebyone.kernels.errors import UnsupportedError

REAL = np.dtype(np.float64)


@dataclass(frozen=True)
class Height:
    """How large the polynomial behind an element may be, in the inputs, hashes and reciprocals.

    Its coefficients are integers, up to a power of two. Of two polynomials that differ, the
    difference vanishes at a random point of a random prime field only if the point is a root of
    it (``degree``) or the prime divides its coefficients (``high - low`` bits).

    Attributes:
        degree: bound on its degree.
        high: log2 of the largest coefficient, bounded from above.
        low: log2 of the power of two that divides every coefficient.
        reach: what the element depends on: one bit for each value before it, those that no more
            than n hashes are between in number n.
        depth: number of hashes, one after the other, before it.
    """

    degree: int = 0
    high: float = 0.0
    low: float = 0.0
    reach: tuple[int, ...] = ()
    depth: int = 0

    @property
    def bits(self) -> float:
        """Bits of the coefficients."""
        return max(self.high - self.low, 0.0) + 1.0

    def plus(self, other: Height, terms: int = 1) -> Height:
        """Of a sum of two, or of ``terms`` of this height."""
        high = max(self.high, other.high) + float(np.log2(max(terms, 2)))
        low, depth = min(self.low, other.low), max(self.depth, other.depth)
        return Height(max(self.degree, other.degree), high, low, self.reached(other), depth)

    def times(self, other: Height, terms: int = 1) -> Height:
        """Of a product, or of a sum of ``terms`` products."""
        high = self.high + other.high + float(np.log2(max(terms, 1)))
        low, depth = self.low + other.low, max(self.depth, other.depth)
        return Height(self.degree + other.degree, high, low, self.reached(other), depth)

    def beside(self, other: Height) -> Height:
        """Of elements of both heights, side by side."""
        high, low = max(self.high, other.high), min(self.low, other.low)
        depth = max(self.depth, other.depth)
        return Height(max(self.degree, other.degree), high, low, self.reached(other), depth)

    def reached(self, other: Height) -> tuple[int, ...]:
        """What two elements depend on together."""
        if len(self.reach) < len(other.reach):
            return other.reached(self)
        if not other.reach:
            return self.reach
        rest = other.reach + other.reach[-1:] * (len(self.reach) - len(other.reach))
        return tuple(a | b for a, b in zip(self.reach, rest, strict=True))

    def inverse(self) -> Height:
        """Of the reciprocal, a variable of its own: what it is multiplied out by is counted."""
        return Height(self.degree, self.bits, 0.0, self.reach, self.depth)


@dataclass(frozen=True, eq=False)
class Element:
    """An array of residues.

    Attributes:
        residue: the residues as float64 integers, balanced around zero.
        real: the numbers that they stand for, where these are known and few: a scale, a mask,
            anything that depends on no input.
        height: of the rational functions that were evaluated.
        dtype: float64 for real numbers; a type of integers or booleans for those. A boolean is a
            residue of any value, 0 and 1 stand for the known ones.
        scale: a residue that a positive number stands behind; predicates and extrema of such
            elements see what is left without it.
        made: how it came to be, for identities that ask for that.
        bounded: of an integer, whether no arithmetic can have made it wrap around.
        finite: where the element is certainly no infinity and no number that stands for one; None
            where that is everywhere.
    """

    residue: NDArray[Any]
    real: NDArray[Any] | None
    height: Height = Height()
    dtype: np.dtype[Any] = REAL
    scale: int = 1
    made: object = None
    bounded: bool = False
    finite: NDArray[np.bool_] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.residue.shape

    @property
    def ndim(self) -> int:
        return self.residue.ndim

    @property
    def size(self) -> int:
        return self.residue.size

    def __array__(self, *_: object, **__: object) -> Never:
        """Refuse to be taken for known numbers."""
        raise UnsupportedError("a choice, an index or a size depends on the data")

    __bool__ = __int__ = __index__ = __float__ = __len__ = __iter__ = __array__
