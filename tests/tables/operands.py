"""Operands of generated nodes: arrays full of the points where operators change."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

# Zeros, ties, halves that rounding tells apart, both sides of every usual threshold.
_POINTS = (0.0, 0.5, -0.5, 1.0, -1.0, 1.5, 2.5, -2.5, 3.0, -3.0, 6.25, 7.0, -7.0, 20.5)
_WHOLE = (0, 1, -1, 2, -2, 3, 5, -5, 7, -8)


@dataclass(frozen=True)
class Operand:
    """A tensor that a node reads.

    Attributes:
        values: its elements; of a free operand those of the first draw.
        free: whether it is an input of the model, not a constant.
    """

    values: Array
    free: bool = True

    def draw(self, number: int) -> Array:
        """The elements of draw ``number``: those of the first in another order."""
        if not number:
            return self.values
        order = np.random.default_rng(number).permutation(self.values.size)
        return self.values.ravel()[order].reshape(self.values.shape)

    def as_type(self, dtype: Any) -> Operand:
        """The same operand in another element type, cut off where that has no fractions."""
        return replace(self, values=self.values.astype(dtype))


def _floats(shape: Sequence[int], seed: int) -> Array:
    rng = np.random.default_rng(seed + 7 * math.prod(shape))
    smooth = 2 * rng.standard_normal(shape)
    return np.where(rng.random(shape) < 0.4, rng.choice(_POINTS, shape), smooth).astype(np.float32)


def f(*shape: int, seed: int = 0) -> Operand:
    """Free real numbers of both signs."""
    return Operand(_floats(shape, seed))


def near(*shape: int, seed: int = 0) -> Operand:
    """Free real numbers strictly between -1 and 1."""
    return Operand(np.tanh(_floats(shape, seed) / 4).astype(np.float32))


def pos(*shape: int, seed: int = 0) -> Operand:
    """Free real numbers of at least 1/4."""
    return Operand(np.abs(_floats(shape, seed)) + np.float32(0.25))


def n(*shape: int, seed: int = 0) -> Operand:
    """Free integers of both signs."""
    rng = np.random.default_rng(seed + math.prod(shape))
    return Operand(rng.choice(np.array(_WHOLE, np.int64), shape))


def idx(*shape: int, high: int, seed: int = 0) -> Operand:
    """Free integers from 0 to ``high`` - 1."""
    return Operand(np.random.default_rng(seed).integers(0, high, shape).astype(np.int64))


def b(*shape: int, seed: int = 0) -> Operand:
    """Free booleans."""
    return Operand(np.random.default_rng(seed).random(shape) < 0.5)


def w(*shape: int, seed: int = 1) -> Operand:
    """Constant real numbers, small and none of them zero."""
    rng = np.random.default_rng(seed + math.prod(shape))
    values = rng.uniform(0.25, 1.25, shape) * rng.choice((-1, 1), shape)
    return Operand(values.astype(np.float32), free=False)


def up(*shape: int, seed: int = 1) -> Operand:
    """Constant real numbers above zero."""
    return replace(w(*shape, seed=seed), values=np.abs(w(*shape, seed=seed).values))


def k(values: Any, dtype: Any = np.int64) -> Operand:
    """A constant."""
    return Operand(np.asarray(values, dtype), free=False)


def like(order: Sequence[int], rank: int) -> list[int]:
    """An order of ``rank`` axes like ``order``."""
    if rank == len(order):
        return list(order)
    return [1, 0] if rank == 2 else [0, *range(2, rank), 1]


def turned(values: Array, order: Sequence[int]) -> Array:
    """An array with its axes in ``order``, where it has as many."""
    return np.ascontiguousarray(values.transpose(order)) if values.ndim == len(order) else values


def orders(rank: int) -> list[tuple[int, ...]]:
    """Some orders of axes other than the usual one: swaps, a rotation, the last axis first."""
    return {
        2: [(1, 0)],
        3: [(2, 0, 1), (0, 2, 1)],
        4: [(0, 2, 3, 1), (1, 0, 3, 2)],
        5: [(0, 2, 3, 4, 1)],
    }.get(rank, [])
