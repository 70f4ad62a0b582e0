"""Sums, products and moves of residues, all exact.

Products of two residues stay below 2**40, and a matrix product is split so that partial sums stay
below 2**52.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np

from onebyone.certify.embedding import KNOWN_LIMIT, Embedding
from onebyone.certify.residues import BITS_PER_PRIME
from onebyone.kernels.arithmetic import Array, Tensor
from onebyone.kernels.element import REAL, Element, Height

# Sums of this many products of two residues stay below 2**52.
_EXACT_TERMS = 4096
_BOOL = np.dtype(bool)


@dataclass(frozen=True)
class Quotient:
    """How an element came to be: as the reciprocal of another."""

    of: Element


class Ring(Embedding):
    """Integers modulo ``prime``, added and multiplied."""

    # Heights.

    def test(self, height: Height) -> float:
        """Chance that two expressions of this height are equal here and not the same."""
        dividing = height.bits // BITS_PER_PRIME
        return min((2 * height.degree + 1) / self.prime + dividing / self.among, 1.0)

    def after_hash(self, *heights: Height) -> Height:
        """The height of a hash of operands: a fresh variable."""
        self.worst = max(self.worst, *map(self.test, heights))
        before = reduce(Height.beside, heights)
        reach = (0, *before.reach)
        if len(reach) > _CROSSINGS:
            reach = (*reach[: _CROSSINGS - 1], reach[-1])
        return self.value(Height(1, reach=reach, depth=before.depth + 1))

    def chance(self, height: Height) -> float:
        """Chance that an output of this height agrees although it differs.

        A mistake in some value shows there if it survives the hashes on one way; each may hide it.
        """
        self.worst = max(self.worst, self.test(height.plus(height)))
        whole = height.reach[-1] if height.reach else 0
        hashes = next(n for n, m in enumerate((*height.reach, whole)) if m == whole)
        if hashes == _CROSSINGS - 1:
            hashes = height.depth
        return min((hashes + 1) * self.worst, 1.0)

    def made_of_hash(
        self, residue: Array, *heights: Height, dtype: Any = REAL, made: object = None
    ) -> Element:
        """A hash of operands of these heights."""
        return Element(residue, None, self.after_hash(*heights), np.dtype(dtype), made=made)

    def known(self, x: Tensor) -> Array | None:
        return x.real if isinstance(x, Element) else x

    # Moves.

    def move(self, fn: Callable[..., Array], *xs: Tensor) -> Element:
        elements = [self.of(x) for x in xs]
        reals = [e.real for e in elements]
        real = None if any(r is None for r in reals) else fn(*reals)
        first, *others = elements
        height = self.value(reduce(Height.beside, (e.height for e in elements)))
        moved = Element(
            fn(*(e.residue for e in elements)),
            few(real),
            height,
            joint(*elements),
            bounded=all(e.bounded for e in elements),
            finite=_moved(fn, elements),
        )
        if others:
            return moved
        made = first.made.moved(self, fn) if isinstance(first.made, Movable) else None
        return replace(moved, scale=first.scale, made=made)

    def expose(self, *elements: Element) -> None:
        """Told of operands of what is not a sum, a choice or a softmax."""
        if any(e.finite is not None for e in elements):
            self.exposed = True

    # Ring operations.

    def add(self, a: Tensor, b: Tensor) -> Element:
        x, y = self.of(a), self.of(b)
        if x is y and x.dtype == REAL:
            return self.mul(x, self.constant(2.0))
        scale = y.scale if x.real is not None else x.scale
        if x.real is None and y.real is None and x.scale != y.scale:
            scale = 1
        return Element(
            self.reduce(x.residue + y.residue), both(np.add, x, y),
            self.value(x.height.plus(y.height)), joint(x, y), scale, finite=both_finite(x, y),
        )  # fmt: skip

    def mul(self, a: Tensor, b: Tensor) -> Element:
        x, y = self.of(a), self.of(b)
        for one, other in ((x, y), (y, x)):
            if not isinstance(other.made, Quotient):
                continue
            if (out := self.divided(one, other.made.of)) is not None:
                return out
        return Element(
            self.reduce(x.residue * y.residue), both(np.multiply, x, y),
            self.value(x.height.times(y.height)), joint(x, y), self._scaled(x, y),
            finite=both_finite(x, y),
        )  # fmt: skip

    def _scaled(self, x: Element, y: Element) -> int:
        """The scale of a product with a known number."""
        if not self.leeway.scales:
            return 1
        for one, other in ((x, y), (y, x)):
            if other.real is not None and other.size == 1 and one.real is None:
                factor = int(other.residue.flat[0]) * (-1 if other.real.flat[0] < 0 else 1)
                return one.scale * factor % self.prime or 1
        return 1

    def divided(self, x: Element, y: Element) -> Element | None:
        """A quotient that an identity knows better."""
        return None

    def neg(self, a: Tensor) -> Element:
        x = self.of(a)
        made = x.made.negative() if isinstance(x.made, Signed) else None
        dtype = np.dtype(np.int64) if x.dtype == _BOOL else x.dtype
        real = None if x.real is None else -x.real
        return Element(-x.residue, real, x.height, dtype, x.scale, made, finite=x.finite)

    def reciprocal(self, a: Tensor) -> Element:
        x = self.of(a)
        with np.errstate(divide="ignore"):
            real = None if x.real is None else np.reciprocal(x.real)
        self.expose(x)
        height = self.value(x.height.inverse())
        return Element(self.inverted(x.residue), real, height, made=Quotient(x))

    def div(self, a: Tensor, b: Tensor) -> Element:
        x, y = self.of(a), self.of(b)
        out = self.mul(x, self.reciprocal(y))
        # a / b is rounded once, a * (1 / b) twice: keep the known value of the former.
        with np.errstate(divide="ignore", invalid="ignore"):
            return replace(out, real=both(np.divide, x, y), dtype=REAL)

    def matmul(self, a: Tensor, b: Tensor) -> Element:
        x, y = self.of(a), self.of(b)
        terms = x.shape[-1]
        out: Any = 0.0
        for start in range(0, terms, _EXACT_TERMS):
            piece = slice(start, start + _EXACT_TERMS)
            part = np.matmul(x.residue[..., piece], y.residue[..., piece, :])
            out = self.reduce(part) if terms <= _EXACT_TERMS else out + self.reduce(part)
        if not terms:
            out = np.matmul(x.residue, y.residue)
        out = out if terms <= _EXACT_TERMS else self.reduce(out)
        self.expose(x, y)
        height = self.value(x.height.times(y.height, terms))
        return Element(out, both(np.matmul, x, y), height, joint(x, y))

    def total(self, x: Tensor, axes: tuple[int, ...]) -> Element:
        e = self.of(x)
        real = None if e.real is None else e.real.sum(axis=axes, keepdims=True)
        out = self.reduce(e.residue.sum(axis=axes, keepdims=True))
        self.expose(e)
        height = self.value(e.height.plus(e.height, e.size // max(out.size, 1)))
        return Element(out, real, height, _counted(e.dtype), e.scale)

    def running(self, x: Tensor, axis: int) -> Element:
        e = self.of(x)
        real = None if e.real is None else e.real.cumsum(axis=axis)
        self.expose(e)
        height = self.value(e.height.plus(e.height, e.shape[axis]))
        out = self.reduce(e.residue.cumsum(axis=axis))
        return Element(out, real, height, _counted(e.dtype), e.scale)


class Movable:
    """How an element came to be, where that can follow its elements to other places."""

    def moved(self, ring: Ring, fn: Callable[..., Array]) -> object:
        """The same after ``fn`` has moved the elements."""
        raise NotImplementedError


class Signed:
    """How an element came to be, where its negative is something, too."""

    def negative(self) -> object:
        """How the negative came to be."""
        raise NotImplementedError


# Hashes that are counted on the way of a mistake; beyond, all that are on the longest one are.
_CROSSINGS = 10
_LEAST_HIDDEN = 65504.0


def few(real: Array | None) -> Array | None:
    """Known numbers, where they are few enough to carry along."""
    return real if real is not None and real.size <= KNOWN_LIMIT else None


def both_finite(x: Element, y: Element) -> Array | None:
    """Where both are certainly finite; None where that is everywhere."""
    if x.finite is None or y.finite is None:
        one = x.finite if y.finite is None else y.finite
        return None if one is None else np.broadcast_to(one, np.broadcast_shapes(x.shape, y.shape))
    return x.finite & y.finite


def _moved(fn: Callable[..., Array], elements: Sequence[Element]) -> Array | None:
    if all(e.finite is None for e in elements):
        return None
    masks = [np.ones(e.shape, bool) if e.finite is None else e.finite for e in elements]
    finite = fn(*masks).astype(bool)
    return None if finite.all() else finite


def both(fn: Callable[..., Array], x: Element, y: Element) -> Array | None:
    """What two known operands give."""
    if x.real is None or y.real is None:
        return None
    with np.errstate(all="ignore"):
        return few(fn(x.real, y.real))


def joint(*elements: Element) -> np.dtype[Any]:
    """The type of what several elements give together."""
    kinds = [e.dtype for e in elements]
    return kinds[0] if len(kinds) == 1 else REAL if REAL in kinds else np.result_type(*kinds)


def _counted(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type of a sum."""
    return np.dtype(np.int64) if dtype == _BOOL else dtype
