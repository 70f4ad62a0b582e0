"""Predicates in a prime field: comparisons and what is chosen by them.

A comparison is an uninterpreted predicate of the difference: a residue, neither 0 nor 1, whose
complement is one minus it. ``>``, ``>=`` and ``==`` are told apart, no branch is taken by luck, and
what is chosen by a predicate is ``u * a + (1 - u) * b``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from onebyone.certify.ring import Ring, both_finite, joint
from onebyone.kernels.arithmetic import Array, Tensor
from onebyone.kernels.element import REAL, Element
from onebyone.kernels.functions import CONNECTIVES, RELATIONS, Connective, Relation

BOOL = np.dtype(bool)
# So many distinct ratios of a choice and its predicate's operand are no accident.
_ENOUGH = 3


@dataclass(frozen=True)
class Positive:
    """How a boolean came to be: another element is positive, or is not negative."""

    of: Element


class Predicates(Ring):
    """A ring with signs and what follows from them."""

    def sign(self, x: Array, scale: int = 1) -> Array:
        """What stands for the sign of residues: odd, and 0 of 0."""
        unit = self._unit(x, scale)
        return np.sign(unit) * self.hashed("sign", np.abs(unit))

    def _apart(self, x: Array, scale: int) -> Array:
        """What stands for a residue not being zero: even, and 0 of 0."""
        unit = np.abs(self._unit(x, scale))
        return np.where(unit == 0, 0.0, self.hashed("apart", unit))

    def _unit(self, x: Array, scale: int) -> Array:
        if scale == 1:
            return x
        return self.reduce(x * float(pow(scale % self.prime, -1, self.prime)))

    def _above(self, x: Element) -> Array:
        half = float((self.prime + 1) // 2)
        both_ways = self._apart(x.residue, x.scale) + self.sign(x.residue, x.scale)
        return self.reduce(self.reduce(both_ways) * half)

    def compare(self, relation: Relation, a: Tensor, b: Tensor) -> Tensor:
        x, y = self.of(a), self.of(b)
        if x.real is not None and y.real is not None:
            return RELATIONS[relation](x.real, y.real)
        if x.dtype == BOOL and y.dtype == BOOL and relation in ("==", "!="):
            unequal = self.logical("xor", x, y)
            return unequal if relation == "!=" else self.logical("not", unequal)
        self.used.add("order")
        self.expose(x, y)
        whole = x.dtype.kind in "iu" and y.dtype.kind in "iu"
        apart = self.sub(*(replace(self.settled(e), dtype=REAL) for e in (x, y)))
        height = self.after_hash(apart.height)
        height = replace(height, degree=1, high=1.0)
        if whole:
            return Element(self._of_integers(relation, apart), None, height, BOOL, bounded=True)
        if relation in ("==", "!="):
            out, made = self._apart(apart.residue, apart.scale), None
        else:
            apart = self.neg(apart) if relation in ("<", ">=") else apart
            out = self._above(apart)
            towards = self.neg(apart) if relation in (">=", "<=") else apart
            made = Positive(towards)
        if relation in ("==", ">=", "<="):
            out = self.reduce(1.0 - out)
        return Element(out, None, height, BOOL, made=made, bounded=True)

    def _of_integers(self, relation: Relation, apart: Element) -> Array:
        """Integers are above zero where they are at least 1, and at it where both meet."""

        def at_least(sign: float, bound: float) -> Array:
            odd = self.reduce(2.0 * (sign * apart.residue - bound) + 1.0)
            half = float((self.prime + 1) // 2)
            return self.reduce(self.reduce(1.0 + self.sign(odd)) * half)

        match relation:
            case ">":
                return at_least(1.0, 1.0)
            case ">=":
                return at_least(1.0, 0.0)
            case "<":
                return at_least(-1.0, 1.0)
            case "<=":
                return at_least(-1.0, 0.0)
            case _:
                met = self.reduce(at_least(1.0, 0.0) - at_least(1.0, 1.0))
                return met if relation == "==" else self.reduce(1.0 - met)

    def logical(self, name: Connective, *xs: Tensor) -> Tensor:
        elements = [self.of(x) for x in xs]
        reals = [e.real for e in elements]
        if all(r is not None for r in reals):
            return CONNECTIVES[name](*(r != 0 for r in reals if r is not None))
        x = replace(elements[0], dtype=REAL, scale=1)
        if name == "not":
            return self._boolean(self.sub(self.constant(1.0), x))
        if name != "xor" and _same(*elements):
            return self._boolean(x)
        y = replace(elements[1], dtype=REAL, scale=1)
        product = self.mul(x, y)
        if name == "and":
            return self._boolean(product)
        out = self.sub(self.add(x, y), product)
        return self._boolean(out if name == "or" else self.sub(out, product))

    def _boolean(self, x: Element) -> Element:
        return replace(x, dtype=BOOL, made=None, real=None, bounded=True)

    def select(self, condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
        if not isinstance(condition, Element):
            return self.move(lambda x, y: np.where(condition, x, y), a, b)
        x, y, u = self.of(a), self.of(b), replace(condition, dtype=REAL)
        if x.dtype == BOOL and y.dtype == BOOL:
            # A boolean is its own square.
            if _same(condition, y):
                return self.logical("and", x, y)
            if _same(condition, x):
                return self.logical("or", x, y)
        dtype = joint(x, y)
        apart = self.sub(replace(x, dtype=REAL), replace(y, dtype=REAL))
        if isinstance(condition.made, Positive):
            u = self._without_border(u, condition.made.of, apart)
        out = self.add(replace(y, dtype=REAL), self.mul(u, apart))
        bounded = x.bounded and y.bounded
        finite = both_finite(x, y)
        return replace(
            out, dtype=dtype, real=None, scale=1, made=None, bounded=bounded, finite=finite
        )

    def _without_border(self, u: Element, of: Element, apart: Element) -> Element:
        """The predicate, where both choices are one at its border: then that may be either's."""
        if of.shape != apart.shape:
            return u
        ratio = self.reduce(apart.residue * self.inverted(of.residue))
        some = ratio[of.residue != 0]
        whole = bool(np.all(apart.residue[of.residue == 0] == 0)) and some.size > 0
        if not whole or not np.all(some == some[0]):
            return u
        if some.size < _ENOUGH and abs(some[0]) > 2:
            return u
        half = float((self.prime + 1) // 2)
        middle = self.reduce(self.reduce(1.0 + self.sign(of.residue, of.scale)) * half)
        return replace(u, residue=middle)


def _same(x: Element, y: Element) -> bool:
    return x is y or (x.shape == y.shape and np.array_equal(x.residue, y.residue))
