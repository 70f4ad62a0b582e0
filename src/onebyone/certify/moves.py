"""How the elements of one array became another's: reshapes and permutations of axes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, permutations

import numpy as np

from onebyone.kernels.arithmetic import Array

# Axes beyond this many are not permuted: 6! = 720 cheap tries.
_MAX_AXES = 6
_PROBES = 64
# An axis is cut into factors only in tensors of at most this many axes, and this many ways.
_MAX_HIDDEN = 3
_MAX_SPLITS = 1000
# Two arrays that agree in this part of their non-zero elements, in place, are one, changed.
_NEAR = 0.9
# Slices of a larger array that are tried for a changed copy.
_MAX_SLICES = 64


@dataclass(frozen=True)
class Move:
    """``target = source.reshape(split).transpose(order).reshape(target.shape)``.

    Attributes:
        split: the shape whose axes are permuted, as many elements as the source has.
        order: for each axis of the result the axis of ``split`` that it is.
        reshaped: whether source and target have different shapes.
    """

    split: tuple[int, ...]
    order: tuple[int, ...]
    reshaped: bool

    @property
    def kind(self) -> str:
        """``same``, ``reshape`` or ``permute``."""
        if self.order == tuple(range(len(self.order))):
            return "reshape" if self.reshaped else "same"
        return "permute"

    def apply(self, source: Array) -> Array:
        """The elements in the order of the target; its shape is ``split``, permuted."""
        return source.reshape(self.split).transpose(self.order)

    def text(self, name: str) -> str:
        """The move in words, for a source called ``name``."""
        if self.kind == "permute":
            return f"{name} as {list(self.split)}, axes permuted to {list(self.order)}"
        return f"{name} reshaped" if self.kind == "reshape" else name


@dataclass(frozen=True)
class Near:
    """A changed copy of a source, or of a part of it.

    Attributes:
        count: number of elements that differ.
        total: number of all elements.
        index: flat position of the first that differs, in the target.
        move: from the part of the source to the target.
        slices: the part: one slice for each axis of the source.
    """

    count: int
    total: int
    index: int
    move: Move
    slices: tuple[slice, ...]

    def equals(self, source: Array, target: Array) -> bool:
        """Whether only bits differ and no number does: zeros of either sign, kinds of NaN."""
        mine, other = self.move.apply(source[self.slices]).reshape(-1), target.reshape(-1)
        return bool(np.all((mine == other) | ((mine != mine) & (other != other))))

    def value(self, source: Array) -> object:
        """The element of ``source`` that should stand at ``index``."""
        return self.move.apply(source[self.slices]).reshape(-1)[self.index]


def find(source: Array, target: Array, *, deep: bool = True) -> Move | None:
    """The move that takes ``source`` to ``target``, bit for bit, if there is one.

    Args:
        source: bits of the elements as unsigned integers, of any shape.
        target: the same, of any shape.
        deep: whether axes are cut in ways that no shape shows, too.
    """
    if source.dtype.kind in "OUSc":
        same = source.shape == target.shape and bool(np.all(source == target))
        return Move(source.shape, tuple(range(source.ndim)), False) if same else None
    flat = target.reshape(-1)
    hidden = _tries(source, target, deep=True) if deep else ()
    for move, moved, places in chain(_tries(source, target), hidden):
        if np.array_equal(moved[places], flat[places]) and np.array_equal(
            moved.array, flat.reshape(moved.array.shape)
        ):
            return move
    return None


def nearest(source: Array, target: Array) -> Near | None:
    """The move of ``source``, or of a slice of it, that leaves few elements unequal."""
    if not target.size or source.dtype.kind in "OUSc":
        return None
    for slices in _slices(source, target.size):
        part = source[slices]
        flat = target.reshape(-1)
        for move, moved, places in _tries(part, target):
            mine, wanted = moved[places], flat[places]
            if _agreement(mine, wanted) < _NEAR:
                continue
            every = moved.array.reshape(-1)
            if _agreement(every, flat) < _NEAR:
                continue
            unequal = np.flatnonzero(every != flat)
            if len(unequal):
                return Near(len(unequal), flat.size, int(unequal[0]), move, slices)
    return None


def _agreement(a: Array, b: Array) -> float:
    """The part of equal elements among those that are not zero in both."""
    counted = (a != 0) | (b != 0)
    total = int(counted.sum())
    return float(((a == b) & counted).sum()) / total if total else 0.0


def _slices(source: Array, size: int) -> Iterator[tuple[slice, ...]]:
    every = [slice(None)] * source.ndim
    if source.size == size:
        yield tuple(every)
        return
    if source.size < size or not size:
        return
    for axis, count in enumerate(source.shape):
        length, rest = divmod(size * count, source.size)
        if rest or not length or count // length > _MAX_SLICES:
            continue
        for begin in range(0, count - length + 1, length):
            index = list(every)
            index[axis] = slice(begin, begin + length)
            yield tuple(index)


class _Moved:
    """A moved view that is only copied when the whole of it is asked for."""

    def __init__(self, array: Array) -> None:
        self.array = np.atleast_1d(array)

    def __getitem__(self, places: Array) -> Array:
        return self.array[np.unravel_index(places, self.array.shape)]


def _places(size: int) -> Array:
    """Flat positions to look at first."""
    if size <= _PROBES:
        return np.arange(size)
    return np.random.default_rng(0).integers(0, size, _PROBES)


def _tries(
    source: Array, target: Array, deep: bool = False
) -> Iterator[tuple[Move, _Moved, Array]]:
    if source.size != target.size or not source.size:
        return
    places = _places(source.size)
    seen: set[tuple[tuple[int, ...], tuple[int, ...]]] = set()
    candidates = _hidden if deep else _candidates
    for split, order in candidates(source.shape, target.shape):
        if (split, order) in seen:
            continue
        seen.add((split, order))
        move = Move(split, order, source.shape != target.shape)
        yield move, _Moved(move.apply(source)), places


def _candidates(
    source: Sequence[int], target: Sequence[int]
) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """(split of the source, order of its parts): from either shape's axes, or both refined."""
    a = tuple(n for n in source if n != 1)
    b = tuple(n for n in target if n != 1)
    yield a, tuple(range(len(a)))
    if len(a) <= _MAX_AXES:
        for order in permutations(range(len(a))):
            yield a, order
    if len(b) <= _MAX_AXES:
        # The target's axes in another order refine the source's.
        for order in permutations(range(len(b))):
            split = tuple(b[i] for i in order)
            if _refines(split, a):
                yield split, tuple(order.index(i) for i in range(len(b)))
    for split in _common(a, b):
        if len(split) <= _MAX_AXES:
            for order in permutations(range(len(split))):
                if _refines(tuple(split[i] for i in order), b):
                    yield split, order


def _hidden(
    source: Sequence[int], target: Sequence[int]
) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """One axis of the source cut into two or three that no shape shows: a permuted flatten."""
    a = tuple(n for n in source if n != 1)
    if len(a) > _MAX_HIDDEN:
        return
    splits = [
        (*a[:axis], *factors, *a[axis + 1 :])
        for axis, n in enumerate(a)
        for factors in _factorings(n)
    ]
    for split in splits[:_MAX_SPLITS]:
        for order in permutations(range(len(split))):
            yield split, order


def _factorings(n: int) -> list[tuple[int, ...]]:
    divisors = [d for d in range(2, int(n**0.5) + 1) if n % d == 0]
    divisors = sorted({*divisors, *(n // d for d in divisors)})
    two = [(d, n // d) for d in divisors]
    three = [(d, e, n // d // e) for d in divisors for e in divisors if n % (d * e) == 0]
    return two + [f for f in three if f[2] > 1]


def _refines(fine: Sequence[int], coarse: Sequence[int]) -> bool:
    """Whether runs of ``fine`` multiply to ``coarse``."""
    rest = list(coarse)
    product = 1
    for n in fine:
        product *= n
        if rest and product == rest[0]:
            rest.pop(0)
            product = 1
        elif not rest or product > rest[0]:
            return False
    return not rest and product == 1


def _common(a: Sequence[int], b: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """The source's axes cut by the target's: [heads * d, n] against [heads, d * n], say."""
    for divisor in dict.fromkeys((*b, *a)):
        for axis, n in enumerate(a):
            if divisor < n and n % divisor == 0:
                yield (*a[:axis], divisor, n // divisor, *a[axis + 1 :])
                yield (*a[:axis], n // divisor, divisor, *a[axis + 1 :])
