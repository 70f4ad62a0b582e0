"""The largest of elements in a prime field, alone and between bounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from onebyone.certify import extrema
from onebyone.certify.predicates import Predicates
from onebyone.certify.ring import Movable, Ring, Signed, joint
from onebyone.kernels.arithmetic import Array, Tensor
from onebyone.kernels.element import REAL, Element

# A maximum of at most so many operands is looked into for bounds.
_OPEN = 8


@dataclass(frozen=True)
class Clipped(Movable, Signed):
    """How an element came to be: as another between known bounds."""

    of: Element
    low: Element
    high: Element

    def moved(self, ring: Ring, fn: Callable[..., Array]) -> Clipped | None:
        if self.low.size != 1 or self.high.size != 1:
            return None
        return Clipped(ring.move(fn, self.of), self.low, self.high)

    def negative(self) -> Clipped:
        of = self.of
        turned = Element(-of.residue, None, of.height, of.dtype, of.scale)
        return Clipped(turned, _minus(self.high), _minus(self.low))


def _minus(x: Element) -> Element:
    assert x.real is not None
    return replace(x, residue=-x.residue, real=-x.real, made=None)


class Order(Predicates):
    """A ring with signs and extrema."""

    def largest(self, x: Tensor, axes: tuple[int, ...], where: Array | None = None) -> Element:
        e = self.of(self.settled(x))
        if e.real is not None:
            real = e.real if where is None else np.where(where, e.real, -np.inf)
            return self.constant(real.max(axis=axes, keepdims=True, initial=-np.inf))
        self.used.add("Max")
        self.expose(e)
        places = int(np.prod([e.shape[a] for a in axes], dtype=np.int64))
        members = extrema.opened(e) if extrema.may_open(e, places) else [extrema.Member(e)]
        scale = e.scale

        def lines(array: Array) -> Array:
            rest = [a for a in range(array.ndim) if a not in axes]
            turned = np.transpose(array, (*axes, *rest))
            return turned.reshape(-1, *(array.shape[a] for a in rest))

        def grown(array: Any) -> Array:
            return lines(np.broadcast_to(array, e.shape))

        rows = np.concatenate([grown(m.element.residue) for m in members])
        there = None
        if where is not None or len(members) > 1:
            inside = True if where is None else where
            there = np.concatenate(
                [
                    grown(np.logical_and(inside, True if m.there is None else m.there))
                    for m in members
                ]
            )
        kept = tuple(1 if a in axes else n for a, n in enumerate(e.shape))
        out = extrema.of_rows(self, rows, there, scale, self.sign).reshape(kept)
        height = e.height.plus(e.height, len(rows))

        def parts() -> list[extrema.Member]:
            found: list[extrema.Member] = []
            for n in range(len(rows)):
                row = Element(rows[n].reshape(kept), None, e.height, e.dtype, scale)
                found.append(extrema.Member(row, None if there is None else there[n].reshape(kept)))
            return found

        made = extrema.Maximum(len(rows), parts)
        return Element(out, None, self.after_hash(height), e.dtype, scale, made)

    def maximum(self, a: Tensor, b: Tensor) -> Element:
        x, y = self.of(self.settled(a)), self.of(self.settled(b))
        if x.real is not None and y.real is not None:
            out = np.maximum(x.real, y.real)
            dtype = joint(x, y)
            return self.constant(out if dtype == REAL else out.astype(dtype))
        for one, other in ((x, y), (y, x)):
            if (clipped := self._clipped(one, other)) is not None:
                return clipped
        self.used.add("Max")
        self.expose(x, y)
        return self._extremum(*extrema.opened(x), *extrema.opened(y))

    def _extremum(self, *members: extrema.Member) -> Element:
        return extrema.extremum(self, members, self.sign)

    def _clipped(self, x: Element, low: Element) -> Element | None:
        """``max(min(y, high), low)`` where ``low <= high`` and both are known."""
        made = x.made
        if low.real is None:
            return None
        if isinstance(made, Clipped):
            if np.all(low.real <= made.low.real):
                return x
            if np.all((low.real >= made.low.real) & (low.real <= made.high.real)):
                return self._between(made.of, low, made.high)
            return None
        if not isinstance(made, extrema.Maximum) or not made.negated or made.count > _OPEN:
            return None
        members = made.members()
        known = [m.element for m in members if m.element.real is not None]
        inner = [m for m in members if m.element.real is None]
        if len(known) != 1 or not inner or any(m.there is not None for m in members):
            return None
        high = self.neg(known[0])
        if not np.all(high.real >= low.real):
            return None
        return self._between(self.neg(self._extremum(*inner)), low, high)

    def _between(self, y: Element, low: Element, high: Element) -> Element:
        """``y`` clipped, the same in whichever order, and minus that of minus ``y``."""
        raised = self._extremum(*extrema.opened(y), extrema.Member(low))
        first = self.neg(
            self._extremum(extrema.Member(self.neg(raised)), extrema.Member(self.neg(high)))
        )
        lowered = self._extremum(*extrema.opened(self.neg(y)), extrema.Member(self.neg(high)))
        second = self._extremum(extrema.Member(self.neg(lowered)), extrema.Member(low))
        half = float((self.prime + 1) // 2)
        out = self.reduce(self.reduce(first.residue + second.residue) * half)
        height = first.height.plus(second.height)
        return Element(out, None, height, y.dtype, y.scale, Clipped(y, low, high))
