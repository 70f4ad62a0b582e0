"""Sums, products and moves modulo a prime in which every finite float is exact.

A float m * 2**e is the residue m * 2**e mod p, so real weights are tested as they are. Sums and
products are exact: residues are kept between -p/2 and p/2 as float64 integers, products stay
below 2**40, and a matrix product is split so that partial sums stay below 2**52.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np

from onebyone.certify.residues import (
    BITS_PER_PRIME,
    POWER_OFFSET,
    inverses,
    key_of,
    mix,
    pool,
    powers_of_two,
    signed_powers,
)
from onebyone.kernels.arithmetic import Arithmetic, Array, Tensor
from onebyone.kernels.element import REAL, Element, Height

# Sums of this many products of two residues stay below 2**52.
_EXACT_TERMS = 4096
# Real values are carried along up to this many elements: scales, masks, resize weights.
KNOWN_LIMIT = 1 << 20
_BLOCK = 1 << 15
# Exact integers beyond this are no float64.
_WHOLE = 1 << 53
_BOOL = np.dtype(bool)


@dataclass(frozen=True)
class Quotient:
    """How an element came to be: as the reciprocal of another."""

    of: Element


@dataclass(frozen=True)
class Leeway:
    """What two expressions may differ in and still count as equal; each is told to the user.

    Attributes:
        scales: a positive factor may stand before or behind a predicate or an extremum. (A true
            identity of the reals; it hides another one, a factor folded into weights.)
        hidden: infinity and the largest number of a type are one, and a softmax is a number.
        rounded: a constant next to 1/n, a root of n and the like stands for that number.
    """

    scales: bool = False
    hidden: bool = False
    rounded: bool = False


class Ring(Arithmetic):
    """Integers modulo ``prime``.

    Attributes:
        leeway: what may differ.
        among: number of primes that this one was drawn from.
        hidden: the infinities and largest numbers that were taken for one.
        exposed: whether such a number did something else than hide a score from a softmax.
        worst: the largest chance that two expressions met so far are equal and not the same.
    """

    def __init__(
        self, prime: int, seed: int = 0, leeway: Leeway | None = None, among: int = 0
    ) -> None:
        super().__init__()
        self.prime = prime
        self.among = among or len(pool())
        self.leeway = leeway or Leeway()
        self.hidden: set[str] = set()
        self.exposed = False
        self.worst = 0.0
        self._values = 0
        self._seed = seed
        self._scale = 1.0 / prime

    # Residues.

    def reduce(self, x: Array) -> Array:
        """Bring float64 integers below 2**52 between -p/2 and p/2."""
        # numpy makes of an array without axes a number.
        out = np.asarray(x * self._scale)
        np.rint(out, out=out)
        out *= -float(self.prime)
        out += x
        return out

    def canonical(self, x: Array) -> Array:
        """Residues as unsigned integers in [0, p)."""
        whole = x.astype(np.int64)
        whole += (whole < 0) * np.int64(self.prime)
        return whole.view(np.uint64)

    def key(self, name: str) -> int:
        """The key of a hash called ``name``."""
        return key_of(name, self.prime, self._seed)

    def to_residue(self, words: Array) -> Array:
        """Hashed words as residues."""
        # The high 32 bits times p, divided by 2**32: uniform up to 2**-11.
        mixed = (words >> np.uint64(32)) * np.uint64(self.prime) >> np.uint64(32)
        return mixed.astype(np.float64) - self.prime // 2

    def hashed(self, name: str, x: Array) -> Array:
        """A random function of residues."""
        return self.to_residue(mix(self.canonical(x), self.key(name)))

    def inverted(self, x: Array) -> Array:
        """The inverse of every residue."""
        return inverses(self.prime)[self.canonical(x)].astype(np.float64)

    def test(self, height: Height) -> float:
        """Chance that two expressions of this height are equal here and not the same."""
        dividing = height.bits // BITS_PER_PRIME
        return min((2 * height.degree + 1) / self.prime + dividing / self.among, 1.0)

    def value(self, height: Height) -> Height:
        """The height of a value that a mistake may be in, from here on."""
        bit = 1 << self._values
        self._values += 1
        return replace(height, reach=tuple(m | bit for m in height.reach) or (bit,))

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

    # Constants.

    def of(self, x: Tensor) -> Element:
        """A tensor as an element."""
        return x if isinstance(x, Element) else self.constant(x)

    def random(
        self, shape: tuple[int, ...], rng: np.random.Generator, dtype: Any = REAL
    ) -> Element:
        """Uniform residues: a random point of the field."""
        half = self.prime // 2
        residue = rng.integers(-half, half + 1, shape).astype(np.float64)
        return Element(residue, None, self.value(Height(1)), np.dtype(dtype), bounded=True)

    def constant(self, values: Array | float | int) -> Element:
        array = np.asarray(values)
        residue = np.empty(array.shape)
        source, target = np.ravel(array), residue.reshape(-1)
        heights = (-np.inf, np.inf)
        # In blocks that stay in the cache: large weights are embedded at memory speed.
        for start in range(0, source.size, _BLOCK):
            piece = slice(start, start + _BLOCK)
            target[piece], low, high = self._embed(source[piece])
            heights = max(heights[0], high), min(heights[1], low)
        high, low = (h if np.isfinite(h) else 0.0 for h in heights)
        dtype = array.dtype if array.dtype.kind in "biu" else REAL
        known = array.size <= KNOWN_LIMIT
        if known and dtype.kind in "iu" and array.size:
            known = int(array.min()) >= -_WHOLE and int(array.max()) <= _WHOLE
        real = array.astype(np.float64) if known else None
        height = self.value(Height(0, high, low))
        return Element(residue, real, height, dtype, bounded=True, finite=_finite(array))

    def _embed(self, values: Array) -> tuple[Array, float, float]:
        """Residues, and the exponents of the lowest and of the highest bit."""
        if values.dtype.kind == "b":
            return values.astype(np.float64), 0.0, 1.0
        if values.dtype.kind in "iu":
            top = max(abs(int(values.max())), abs(int(values.min())), 1)
            rest = np.mod(
                values.astype(object) if values.dtype == np.uint64 else values.astype(np.int64),
                self.prime,
            )
            return self.reduce(rest.astype(np.float64)), 0.0, float(top.bit_length())
        if values.dtype == np.float32 and (usual := self._embed_float32(values)) is not None:
            return usual
        finite = np.isfinite(values)
        if self.leeway.hidden:
            finite &= ~np.isin(np.abs(values), _LARGEST)
        usual = bool(finite.all())
        fraction, exponent = np.frexp(values if usual else np.where(finite, values, 0.0))
        powers = powers_of_two(self.prime)
        short = values.dtype.itemsize <= 4
        # 53 bits in two pieces, so that each times a power of two stays exact.
        scaled = fraction.astype(np.float64) * (2.0**24 if short else 2.0**27)
        high = scaled if short else np.trunc(scaled)
        out = self.reduce(
            self.reduce(high) * powers[exponent + (POWER_OFFSET - (24 if short else 27))]
        )
        if not short:
            low = self.reduce((scaled - high) * 2.0**26)
            out = self.reduce(out + self.reduce(low * powers[exponent + (POWER_OFFSET - 53)]))
        some = exponent[fraction != 0]
        bounds = (float(some.min()), float(some.max())) if some.size else (0.0, 0.0)
        if not usual:
            out = self._unusual(values, finite, out)
        return out, bounds[0] - (24 if short else 53), bounds[1]

    def _embed_float32(self, values: Array) -> tuple[Array, float, float] | None:
        """The same from the bits; None where some are infinite, no number or without leading bit.

        With hidden numbers the largest of a type are left to the other way, too.
        """
        bits = values.view(np.uint32)
        place = bits >> np.uint32(23)
        exponent = place & np.uint32(0xFF)
        least, most = int(exponent.min(initial=255)), int(exponent.max(initial=0))
        fraction = bits & np.uint32(0x7FFFFF)
        if most >= (_HIDDEN_EXPONENT if self.leeway.hidden else 255):
            return None
        if least == 0:
            zero = exponent == 0
            if fraction[zero].any():
                return None
            some = exponent[~zero]
            least, most = int(some.min(initial=151)), int(some.max(initial=0))
        out = (fraction | np.uint32(0x800000)).astype(np.float64)
        out *= signed_powers(self.prime)[place]
        low = float(least - 150)
        return self.reduce(out), low, max(float(most - 126), low)

    def _unusual(self, values: Array, finite: Array, out: Array) -> Array:
        numbers = ~np.isnan(values)
        infinite = self.hashed("infinity", np.zeros(()))
        hidden = ~finite & numbers
        if self.leeway.hidden:
            self.hidden |= {str(v) for v in np.unique(np.abs(values[hidden]))}
        out = np.where(hidden, np.sign(values) * infinite, out)
        return np.where(numbers, out, self.hashed("nan", np.zeros(())))

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
# Exponents of float32 from which on a number may be one that hides scores: that of 65504.
_HIDDEN_EXPONENT = 142
# Masks hide scores with minus infinity or with the most negative number of their type (float32,
# bfloat16, float16).
_LARGEST = (np.inf, 3.4028234663852886e38, 3.3895313892515355e38, 65504.0)


def few(real: Array | None) -> Array | None:
    """Known numbers, where they are few enough to carry along."""
    return real if real is not None and real.size <= KNOWN_LIMIT else None


def _finite(values: Array) -> Array | None:
    """Where numbers are none that hide scores; None where all are."""
    if values.dtype.kind != "f" or not np.max(np.abs(values), initial=0.0) >= _LEAST_HIDDEN:
        return None
    finite = ~np.isin(np.abs(values), _LARGEST)
    return None if finite.all() else finite


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
