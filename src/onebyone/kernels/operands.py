"""What kernels ask of their operands: known values, axes in range, sizes within reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from onebyone.kernels.arithmetic import Arithmetic, Array, Tensor
from onebyone.kernels.errors import UnsupportedError

# A single tensor of more elements than this (8 GB of float64) is refused, not attempted.
_SIZE_LIMIT = 1 << 30


def floats(ar: Arithmetic, x: Tensor, what: str) -> Array:
    """The real values of an operand that must not depend on random data.

    Raises:
        UnsupportedError: it does.
    """
    values = ar.known(x)
    if values is None:
        raise UnsupportedError(f"{what} depends on the data")
    return values


def ints(ar: Arithmetic, x: Tensor, what: str = "an operand") -> list[int]:
    """The same as a list of integers."""
    return [int(v) for v in np.ravel(floats(ar, x, what))]


def data(ar: Arithmetic, x: Tensor) -> Tensor:
    """A tensor as real data, exact integers and booleans embedded."""
    return x if ar.is_data(x) else ar.constant(x)


def any_data(ar: Arithmetic, *xs: Tensor) -> bool:
    """Whether an operand is real data, so that the arithmetic computes the result."""
    return any(ar.is_data(x) for x in xs)


def move(ar: Arithmetic, fn: Callable[..., Array], *xs: Tensor) -> Tensor:
    """Move elements: of exact arrays as they are, of data through the arithmetic."""
    return ar.move(fn, *xs) if any_data(ar, *xs) else fn(*xs)


def axis_of(axis: int, rank: int) -> int:
    """An axis as a non-negative number; a number without axes counts as having one.

    Raises:
        ValueError: it is out of range.
    """
    if not -max(rank, 1) <= axis < max(rank, 1):
        raise ValueError(f"axis {axis} is out of range for rank {rank}")
    return axis % max(rank, 1)


def axes_of(axes: Sequence[int], rank: int) -> tuple[int, ...]:
    """Axes as non-negative numbers, in order.

    Raises:
        ValueError: one is out of range.
    """
    if any(not -rank <= a < rank for a in axes):
        raise ValueError(f"axes {list(axes)} are out of range for rank {rank}")
    return tuple(sorted({a % rank for a in axes}))


def check_size(shape: Sequence[int]) -> None:
    """Refuse a tensor that no machine at hand would hold.

    Raises:
        UnsupportedError: it has too many elements.
    """
    if np.prod([int(n) for n in shape], dtype=np.float64) > _SIZE_LIMIT:
        raise UnsupportedError(f"a tensor of shape {list(shape)}")
