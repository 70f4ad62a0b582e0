"""A prime field as an `Arithmetic`: what is not rational is a keyed hash of its operands.

Equal operands give equal values, and unequal ones give unrelated values. Functions are chosen so
that exact identities of the reals hold where networks use them:

* ``x / y`` is ``x * y**-1`` and ``mean`` is ``sum * n**-1``;
* the maximum is a function of the set of its operands (`onebyone.certify.extrema`);
* ``softmax`` is ``h(x - mean) / sum(h(x - mean))``: it does not see a constant added to all, and
  a quotient of exponentials and their sum is one;
* odd functions are odd, ``exp(-x)`` is ``1 / exp(x)``, and the logistic function follows from it.

A comparison is an uninterpreted predicate of the difference: a residue, neither 0 nor 1, whose
complement is one minus it. ``>``, ``>=`` and ``==`` are told apart, no branch is taken by luck, and
what is chosen by a predicate is ``u * a + (1 - u) * b``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from onebyone.certify import extrema
from onebyone.certify.closed import closed_form
from onebyone.certify.residues import key_of, mix
from onebyone.certify.ring import Leeway, Movable, Ring, Signed, few, joint
from onebyone.kernels.arithmetic import (
    CONNECTIVES,
    FUNCTIONS,
    INTEGRAL,
    RELATIONS,
    Array,
    Connective,
    Relation,
    Tensor,
)
from onebyone.kernels.element import REAL, Element, Height
from onebyone.kernels.errors import UnsupportedError
from onebyone.kernels.precision import rounded_to

_BOOL = np.dtype(bool)
_WORD = (1 << 64) - 1
_ODD = frozenset(
    {"Asin", "Asinh", "Atan", "Atanh", "Erf", "Round", "Sin", "Sinh", "Tan", "Tanh", "Trunc"}
)
# Their values are integers, which they leave as they are.
_WHOLE = frozenset({"Ceil", "Floor", "Round", "Trunc"})
_EVEN = frozenset({"Cos", "Cosh"})
# Beyond this many indicators of a place a lookup by data is refused.
_INDICATORS = 1 << 26
# A maximum of at most so many operands is looked into for bounds.
_OPEN = 8
# So many distinct ratios of a choice and its predicate's operand are no accident.
_ENOUGH = 3


@dataclass(frozen=True)
class Exponential:
    """How an element came to be: as ``exp`` of another."""

    of: Element


@dataclass(frozen=True)
class Exponentials:
    """How an element came to be: as a sum of ``exp`` of another along axes."""

    of: Element
    axes: tuple[int, ...]


@dataclass(frozen=True)
class Softmax:
    """How an element came to be: as the softmax of another along an axis."""

    of: Element
    axis: int


@dataclass(frozen=True)
class Positive:
    """How a boolean came to be: another element is positive, or is not negative."""

    of: Element


@dataclass(frozen=True)
class Rounded(Movable, Signed):
    """How an element came to be: by rounding to a type."""

    name: str

    def moved(self, ring: Ring, fn: Callable[..., Array]) -> Rounded:
        return self

    def negative(self) -> Rounded:
        return Rounded("integers") if "int" in self.name else self


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


class Field(Ring):
    """Integers modulo ``prime``, with hashes keyed by ``seed``.

    Attributes:
        stands_for: what constants were read as, where leeway allows it: number -> closed form.
        assumed: what was taken for granted besides.
    """

    def __init__(self, prime: int, seed: int = 0, leeway: Leeway | None = None) -> None:
        super().__init__(prime, seed, leeway)
        self.stands_for: dict[float, str] = {}
        self.assumed: set[str] = set()

    def constant(self, values: Array | float | int) -> Element:
        plain = super().constant(values)
        if not self.leeway.rounded or plain.size != 1 or plain.dtype != REAL:
            return plain
        form = closed_form(float(np.asarray(values).reshape(())))
        if form is None:
            return plain
        self.stands_for[float(np.asarray(values).reshape(()))] = form.text
        exact = form.build(self, super().constant)
        return replace(exact, residue=exact.residue.reshape(plain.shape), real=plain.real)

    # Signs and predicates.

    def _sign(self, x: Array, scale: int = 1) -> Array:
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
        both_ways = self._apart(x.residue, x.scale) + self._sign(x.residue, x.scale)
        return self.reduce(self.reduce(both_ways) * half)

    def compare(self, relation: Relation, a: Tensor, b: Tensor) -> Tensor:
        x, y = self.of(a), self.of(b)
        if x.real is not None and y.real is not None:
            return RELATIONS[relation](x.real, y.real)
        if x.dtype == _BOOL and y.dtype == _BOOL and relation in ("==", "!="):
            unequal = self.logical("xor", x, y)
            return unequal if relation == "!=" else self.logical("not", unequal)
        self.used.add("order")
        whole = x.dtype.kind in "iu" and y.dtype.kind in "iu"
        apart = self.sub(*(replace(self.settled(e), dtype=REAL) for e in (x, y)))
        height = self.after_hash(apart.height)
        height = replace(height, degree=1, high=1.0)
        if whole:
            return Element(self._of_integers(relation, apart), None, height, _BOOL, bounded=True)
        if relation in ("==", "!="):
            out, made = self._apart(apart.residue, apart.scale), None
        else:
            apart = self.neg(apart) if relation in ("<", ">=") else apart
            out = self._above(apart)
            towards = self.neg(apart) if relation in (">=", "<=") else apart
            made = Positive(towards)
        if relation in ("==", ">=", "<="):
            out = self.reduce(1.0 - out)
        return Element(out, None, height, _BOOL, made=made, bounded=True)

    def _of_integers(self, relation: Relation, apart: Element) -> Array:
        """Integers are above zero where they are at least 1, and at it where both meet."""

        def at_least(sign: float, bound: float) -> Array:
            odd = self.reduce(2.0 * (sign * apart.residue - bound) + 1.0)
            half = float((self.prime + 1) // 2)
            return self.reduce(self.reduce(1.0 + self._sign(odd)) * half)

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
        y = replace(elements[1], dtype=REAL, scale=1)
        product = self.mul(x, y)
        if name == "and":
            return self._boolean(product)
        out = self.sub(self.add(x, y), product)
        return self._boolean(out if name == "or" else self.sub(out, product))

    def _boolean(self, x: Element) -> Element:
        return replace(x, dtype=_BOOL, made=None, real=None, bounded=True)

    def select(self, condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
        if not isinstance(condition, Element):
            return self.move(lambda x, y: np.where(condition, x, y), a, b)
        x, y, u = self.of(a), self.of(b), replace(condition, dtype=REAL)
        dtype = joint(x, y)
        apart = self.sub(replace(x, dtype=REAL), replace(y, dtype=REAL))
        if isinstance(condition.made, Positive):
            u = self._without_border(u, condition.made.of, apart)
        out = self.add(replace(y, dtype=REAL), self.mul(u, apart))
        bounded = x.bounded and y.bounded
        return replace(out, dtype=dtype, real=None, scale=1, made=None, bounded=bounded)

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
        middle = self.reduce(self.reduce(1.0 + self._sign(of.residue, of.scale)) * half)
        return replace(u, residue=middle)

    # Extrema.

    def largest(self, x: Tensor, axes: tuple[int, ...], where: Array | None = None) -> Element:
        e = self.of(self.settled(x))
        if e.real is not None:
            real = e.real if where is None else np.where(where, e.real, -np.inf)
            return self.constant(real.max(axis=axes, keepdims=True, initial=-np.inf))
        self.used.add("Max")
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
        out = extrema.of_rows(self, rows, there, scale, self._sign).reshape(kept)
        height = e.height.plus(e.height, len(rows))

        def parts() -> list[extrema.Member]:
            found: list[extrema.Member] = []
            for n in range(len(rows)):
                row = Element(rows[n].reshape(kept), None, e.height, e.dtype, scale)
                found.append(extrema.Member(row, None if there is None else there[n].reshape(kept)))
            return found

        made = extrema.Maximum(len(rows), parts)
        return Element(out, None, height.plus(self.after_hash(height)), e.dtype, scale, made)

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
        return self._extremum(*extrema.opened(x), *extrema.opened(y))

    def _extremum(self, *members: extrema.Member) -> Element:
        return extrema.extremum(self, members, self._sign)

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

    # Functions.

    def _make(
        self, residue: Array, *heights: Height, dtype: Any = REAL, made: object = None
    ) -> Element:
        return Element(residue, None, self.after_hash(*heights), np.dtype(dtype), made=made)

    def function(self, name: str, *xs: Tensor) -> Element:
        elements = [self.of(x) for x in xs]
        args = [e.real for e in elements if e.real is not None]
        real = None
        if len(args) == len(elements):
            with np.errstate(all="ignore"):
                real = np.power(*args) if name == "Pow" else FUNCTIONS[name](args[0])
            if name in INTEGRAL or (name == "Sqrt" and _exact_root(real, args[0])):
                return self.constant(real)
        elif (
            name in _WHOLE
            and isinstance(elements[0].made, Rounded)
            and "int" in elements[0].made.name
        ):
            return elements[0]
        else:
            self.used.add("Exp" if name == "Sigmoid" else name)
        out = replace(self._function(name, elements), real=few(real))
        return replace(out, made=Rounded("integers")) if name in _WHOLE else out

    def _function(self, name: str, elements: list[Element]) -> Element:
        x = elements[0]
        height = self.after_hash(*(e.height for e in elements))
        if len(elements) > 1:
            out = self.hashed(name, x.residue)
            for other in elements[1:]:
                out = self.hashed(name, self.reduce(out + other.residue))
            return Element(out, None, height)
        if name == "Sign":
            return Element(self._sign_of(x), None, height)
        if name == "Sigmoid":
            grown = self._function("Exp", [x])
            return self.div(grown, self.add(grown, self.constant(1.0)))
        if name == "Exp":
            grown = self.hashed(name, np.abs(x.residue))
            out = np.where(x.residue < 0, self.inverted(grown), grown)
            out = np.where(x.residue == 0, 1.0, out)
            return Element(out, None, height, made=Exponential(x))
        if name == "Log" and isinstance(x.made, Softmax):
            return self.log_softmax(x.made.of, x.made.axis)
        if name == "Log" and isinstance(x.made, Exponentials):
            return self.log_sum_exp(x.made.of, x.made.axes)
        if name == "Ceil":
            return self.neg(self._function("Floor", [self.neg(x)]))
        if name in _ODD:
            return Element(np.sign(x.residue) * self.hashed(name, np.abs(x.residue)), None, height)
        inside = np.abs(x.residue) if name in _EVEN else x.residue
        return Element(self.hashed(name, inside), None, height)

    def _sign_of(self, x: Element) -> Array:
        """``[x > 0] - [x < 0]``."""
        return self._sign(x.residue, x.scale)

    def opaque(
        self,
        name: str,
        fn: Callable[..., Array],
        *xs: Tensor,
        core: Sequence[int] = (),
        shape: tuple[int, ...] = (),
        dtype: np.dtype[Any] = REAL,
    ) -> Tensor:
        elements = [self.of(x) for x in xs]
        reals = [e.real for e in elements]
        if all(r is not None for r in reals):
            with np.errstate(all="ignore"):
                out = np.asarray(fn(*reals))
            return self.constant(out) if dtype == REAL else out.astype(dtype)
        self.used.add(name)
        elements = [self.of(self.settled(e)) for e in elements]
        key = self.key(name)
        seen = np.zeros((), np.uint64)
        for place, element in enumerate(elements):
            inside = self._digest(element.residue, core[place] if core else 0)
            seen = mix(seen + inside, key + place & _WORD)
        count = int(np.prod(shape, dtype=np.int64))
        results = mix(seen[..., None] + np.arange(count, dtype=np.uint64), key)
        out = self.to_residue(results).reshape((*seen.shape, *shape))
        return replace(self._make(out, *(e.height for e in elements), dtype=dtype), bounded=True)

    def _digest(self, x: Array, whole: int) -> Array:
        """One word for all elements of the last ``whole`` axes, in their order."""
        lead = x.shape[: x.ndim - whole]
        flat = self.canonical(x).reshape(*lead, -1)
        key = self.key("digest")
        places = mix(np.arange(flat.shape[-1], dtype=np.uint64), key)
        return mix(flat + places, key).sum(axis=-1, dtype=np.uint64)

    def total(self, x: Tensor, axes: tuple[int, ...]) -> Element:
        out = super().total(x, axes)
        made = self.of(x).made
        return (
            replace(out, made=Exponentials(made.of, axes)) if isinstance(made, Exponential) else out
        )

    def divided(self, x: Element, y: Element) -> Element | None:
        """Exponentials by their own sum along an axis are a softmax."""
        over, under = x.made, y.made
        if not isinstance(over, Exponential) or not isinstance(under, Exponentials):
            return None
        if over.of is not under.of or len(under.axes) != 1 or x.ndim != y.ndim:
            return None
        return self.softmax(over.of, under.axes[0])

    def _centred(self, e: Element, axes: tuple[int, ...]) -> tuple[Element, Element]:
        plain = Element(e.residue, None, e.height)
        middle = self.mean(plain, axes)
        return self.sub(plain, middle), middle

    def softmax(self, x: Tensor, axis: int) -> Element:
        self.used.add("Softmax")
        e, axis = self.of(x), axis % max(self.of(x).ndim, 1)
        centred, _ = self._centred(e, (axis,))
        grown = self._make(self.hashed("Softmax", centred.residue), centred.height)
        return replace(self.div(grown, super().total(grown, (axis,))), made=Softmax(e, axis))

    def log_softmax(self, x: Tensor, axis: int) -> Element:
        return self.sub(
            Element(self.of(x).residue, None, self.of(x).height), self.log_sum_exp(x, (axis,))
        )

    def log_sum_exp(self, x: Tensor, axes: tuple[int, ...]) -> Element:
        self.used.update(("Exp", "Log"))
        centred, middle = self._centred(self.of(x), axes)
        grown = self._make(self.hashed("Softmax", centred.residue), centred.height)
        summed = super().total(grown, axes)
        logarithm = self._make(self.hashed("Log", summed.residue), summed.height)
        return self.add(middle, logarithm)

    def fingerprint(self, x: Tensor) -> int:
        """A number that depends on the elements of ``x`` and not on their order."""
        words = mix(self.canonical(self.of(x).residue), key_of("fingerprint", self.prime, 0))
        return int(words.sum(dtype=np.uint64))

    # Types and places.

    def rounded(
        self, x: Tensor, source: str, target: str, narrow: Callable[[Array], Array] | None = None
    ) -> Tensor:
        e = self.of(x)
        if e.real is not None:
            return self.constant(rounded_to(e.real, target) if narrow is None else narrow(e.real))
        if isinstance(e.made, Rounded) and e.made.name == target:
            return e
        if narrow is None and not rounds(source, target):
            return replace(e, made=Rounded(source))
        self.used.add(f"rounding to {target}")
        out = self.hashed(f"rounding to {target}", np.abs(e.residue)) * np.sign(e.residue)
        return self._make(out, e.height, made=Rounded(target))

    def settled(self, x: Tensor) -> Tensor:
        if not isinstance(x, Element) or x.dtype.kind not in "iu" or x.bounded:
            return x
        # What 64 bits do not hold is beyond what is proved.
        if x.real is not None or x.dtype.itemsize == 8:
            return x
        self.used.add(f"wrapping to {x.dtype}")
        out = self.hashed(f"wrapping to {x.dtype}", x.residue)
        return replace(self._make(out, x.height, dtype=x.dtype), bounded=True)

    def whole(self, x: Tensor, dtype: np.dtype[Any]) -> Tensor:
        e = self.of(x)
        if e.real is not None:
            return np.trunc(e.real).astype(dtype)
        if e.dtype == dtype:
            return e
        if e.dtype == _BOOL:
            return replace(e, dtype=dtype, bounded=True, made=None)
        if e.dtype.kind in "iu":
            # Narrowing keeps sums and products: they wrap around anyway.
            if not np.can_cast(e.dtype, dtype):
                return replace(e, dtype=dtype, bounded=False)
            return replace(self.of(self.settled(e)), dtype=dtype, bounded=True)
        e = self.function("Trunc", e)
        made = e.made if isinstance(e.made, Rounded) else Rounded("integers")
        if dtype == np.int64 or made.name == dtype.name:
            return replace(e, dtype=dtype, bounded=True, made=made)
        out = self.of(self.opaque(f"truncated to {dtype}", lambda a: a, e, dtype=dtype))
        return replace(out, made=Rounded(dtype.name))

    def special(self, name: str, fn: Callable[[Array], Array], x: Tensor) -> Tensor:
        e = self.of(x)
        if e.real is not None:
            return fn(e.real)
        if isinstance(e.made, Softmax) and self.leeway.hidden:
            self.assumed.add("no row of an attention mask is masked completely")
            return np.zeros(e.shape, bool)
        return self.opaque(name, fn, e, dtype=_BOOL)

    def picked(self, x: Tensor, index: Tensor, axis: int) -> Tensor:
        # An index that would wrap around is out of range before that.
        table, where = self.of(x), replace(self.of(index), bounded=True)
        rows = table.shape[axis]
        if where.size * rows > _INDICATORS:
            raise UnsupportedError(f"a lookup of {where.size} of {rows} rows by the data")
        self.used.add("lookup")
        places = np.arange(rows, dtype=np.int64)
        flat = self.move(lambda a: a.reshape(-1, 1), replace(where, dtype=REAL, made=None))
        here = self.compare("==", flat, self.constant(places.astype(np.float64)[None, :]))
        if where.dtype.kind == "i":
            behind = self.compare(
                "==", flat, self.constant((places - rows).astype(np.float64)[None, :])
            )
            here = self.add(*(replace(self.of(h), dtype=REAL) for h in (here, behind)))
        first = self.move(
            lambda a: np.moveaxis(a, axis, 0).reshape(rows, -1), replace(table, dtype=REAL)
        )
        found = self.matmul(replace(self.of(here), dtype=REAL), first)
        rest = [n for a, n in enumerate(table.shape) if a != axis]
        shape = (*where.shape, *rest)
        order = list(range(where.ndim, where.ndim + axis)) + list(range(where.ndim))
        order += list(range(where.ndim + axis, len(shape)))
        out = self.move(lambda a: a.reshape(shape).transpose(order), found)
        return replace(out, real=None, dtype=table.dtype, bounded=table.bounded)


def rounds(source: str, target: str) -> bool:
    """Whether a conversion between floating-point types loses anything."""
    finer = {"float64": 3, "float32": 2, "float16": 1, "bfloat16": 1}
    return source != target and finer.get(source, 0) >= finer.get(target, 0)


def _exact_root(root: Array, square: Array) -> bool:
    """Whether ``root`` is the exact square root: few bits, so that squaring does not round."""
    short = root.astype(np.float32).astype(np.float64)
    return bool(np.all(short == root) and np.all(root * root == square))
