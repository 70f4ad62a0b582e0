"""The maximum in a prime field: a function of the set of its operands, and of nothing else.

Whatever order the operands come in, alone or within another maximum, once or twice, the set is the
same. It is centred, so a number that is added to all comes out again; of two it is
``(a + b + |a - b|) / 2``, so ReLU, absolute values and predicates agree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from onebyone.certify.residues import mix
from onebyone.certify.ring import Movable, Ring, Signed, joint
from onebyone.kernels.arithmetic import Array
from onebyone.kernels.element import Element

# Sets are opened again up to this many members, and elements in all.
_MEMBERS = 256
_ELEMENTS = 1 << 23


@dataclass(frozen=True)
class Member:
    """One operand of a maximum; where ``there`` is False it takes no part."""

    element: Element
    there: Array | None = None


@dataclass(frozen=True)
class Maximum(Movable, Signed):
    """How an element came to be: as the maximum of operands, or minus that.

    Attributes:
        count: how many operands there are.
        members: gives them, in the shape of the element.
        negated: whether the element is minus the maximum.
    """

    count: int
    members: Callable[[], Sequence[Member]]
    negated: bool = False

    def moved(self, ring: Ring, fn: Callable[..., Array]) -> Maximum:
        def members() -> list[Member]:
            return [
                Member(ring.move(fn, m.element), None if m.there is None else fn(m.there))
                for m in self.members()
            ]

        return Maximum(self.count, members, self.negated)

    def negative(self) -> Maximum:
        return Maximum(self.count, self.members, not self.negated)


def opened(x: Element) -> list[Member]:
    """The operands whose maximum ``x`` is; ``x`` alone where it is none."""
    made = x.made
    if isinstance(made, Maximum) and not made.negated:
        return list(made.members())
    return [Member(x)]


def extremum(ring: Ring, members: Sequence[Member], sign: Callable[..., Array]) -> Element:
    """The maximum of members that broadcast against each other.

    Args:
        ring: the field.
        members: the operands.
        sign: the hash that stands for the sign of residues, by their scale.
    """
    members = _merged(ring, members)
    if len(members) == 1 and members[0].there is None:
        return members[0].element
    unknown = {m.element.scale for m in members if m.element.real is None}
    scale = unknown.pop() if len(unknown) == 1 else 1
    shape = np.broadcast_shapes(*(m.element.shape for m in members))
    if len(members) == 2 and all(m.there is None for m in members):
        x, y = (m.element for m in members)
        half = (ring.prime + 1) // 2
        middle = ring.reduce(ring.reduce(x.residue + y.residue) * half)
        apart = ring.reduce(ring.reduce(x.residue - y.residue) * half)
        twice = ring.reduce(2 * apart)
        out = ring.reduce(middle + ring.reduce(apart * sign(twice, scale)))
    else:
        rows = np.stack([np.broadcast_to(m.element.residue, shape) for m in members])
        there = np.stack(
            [np.broadcast_to(True if m.there is None else m.there, shape) for m in members]
        )
        out = of_rows(ring, rows, there, scale, sign)
    height = members[0].element.height
    for member in members[1:]:
        height = height.plus(member.element.height)
    # The centre and a hash of what lies around it are as random as the hash alone: a new variable.
    hashed = ring.after_hash(height)

    def spread() -> list[Member]:
        return [
            Member(ring.move(lambda a: np.broadcast_to(a, shape), m.element), m.there)
            for m in members
        ]

    made = Maximum(len(members), spread)
    dtype = joint(*(m.element for m in members))
    return Element(out, None, hashed, dtype, scale, made)


def of_rows(
    ring: Ring, rows: Array, there: Array | None, scale: int, sign: Callable[..., Array]
) -> Array:
    """The maximum along the first axis of the residues that are there."""
    if there is not None:
        there = _distinct(ring, rows, there)
    count = (
        np.full(rows.shape[1:], float(len(rows)))
        if there is None
        else there.sum(axis=0, dtype=float)
    )
    sums = rows.sum(axis=0) if there is None else (rows * there).sum(axis=0)
    centre = ring.reduce(ring.reduce(sums) * ring.inverted(count))
    apart = ring.reduce(rows - centre)
    apart = apart if there is None else apart * there
    unit = apart if scale == 1 else ring.reduce(apart * float(_inverse(scale, ring.prime)))
    words = mix(ring.canonical(unit), ring.key("Max"))
    words = np.where(apart == 0, np.uint64(0), words).sum(axis=0, dtype=np.uint64)
    spread = np.where(words == 0, 0.0, ring.to_residue(mix(words, ring.key("Max of"))))
    if scale != 1:
        spread = ring.reduce(spread * float(ring.reduce(np.asarray(float(scale)))))
    pair = count == 2
    if pair.any():
        half = float((ring.prime + 1) // 2)
        each = apart[:, pair]
        signed = ring.reduce(each * sign(ring.reduce(2 * each), scale))
        spread[pair] = ring.reduce(ring.reduce(signed.sum(axis=0)) * half)
    return ring.reduce(centre + spread)


def _inverse(scale: int, prime: int) -> int:
    inverse = pow(scale % prime, -1, prime)
    return inverse - prime if inverse > prime // 2 else inverse


def _distinct(ring: Ring, rows: Array, there: Array) -> Array:
    """Where the first of equal residues stands, of those that are there."""
    values = np.where(there, ring.canonical(rows), np.uint64(ring.prime))
    order = np.argsort(values, axis=0, kind="stable")
    ordered = np.take_along_axis(values, order, 0)
    first = np.ones(ordered.shape, bool)
    first[1:] = ordered[1:] != ordered[:-1]
    first &= ordered != ring.prime
    out = np.zeros(there.shape, bool)
    np.put_along_axis(out, order, first, 0)
    return out


def _merged(ring: Ring, members: Sequence[Member]) -> list[Member]:
    """Of known numbers only the largest takes part, and the same operand once."""
    known = [m.element for m in members if m.element.real is not None and m.there is None]
    numbers = [e.real for e in known if e.real is not None]
    rest: list[Member] = []
    for member in members:
        alike = [m for m in rest if m.element is member.element and m.there is member.there]
        if (member.element.real is None or member.there is not None) and not alike:
            rest.append(member)
    if not known:
        return rest
    reals = reduce(np.maximum, numbers)
    dtype = known[0].dtype
    return [*rest, Member(ring.constant(reals if dtype.kind == "f" else reals.astype(dtype)))]


def may_open(x: Element, places: int) -> bool:
    """Whether the operands of ``x`` are few enough to look at each of ``places`` for one of it."""
    made = x.made
    if not isinstance(made, Maximum) or made.negated:
        return False
    return made.count * places <= _MEMBERS and made.count * x.size <= _ELEMENTS
