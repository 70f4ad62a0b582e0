"""Arithmetic modulo a prime in which every finite float is exact.

A float m * 2**e is the residue m * 2**e mod p, so real weights are tested as they are. Sums and
products are exact: residues are kept between -p/2 and p/2 as float64 integers, products stay
below 2**40, and a matrix product is split so that partial sums stay below 2**52. What is not
rational is a keyed hash: equal arguments give equal values, and unequal ones give unrelated
values. Functions are chosen so that exact identities of the reals hold where networks use them:

* ``x / y`` is ``x * y**-1`` and ``mean`` is ``sum * n**-1``;
* ``max`` is a hash of the symmetric sum of hashes, so Relu, Clip, Max and max pooling agree;
* ``softmax`` is ``h(x - mean) / sum(h(x - mean))``: it does not see a constant added to all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from onebyone.certify.residues import POWER_OFFSET, inverses, key_of, mix, powers_of_two
from onebyone.kernels.arithmetic import (
    FUNCTIONS,
    INTEGRAL,
    Arithmetic,
    Array,
    Element,
    Tensor,
)

# Sums of this many products of two residues stay below 2**52.
_EXACT_TERMS = 4096
# Real values are carried along up to this many elements: scales, masks, resize weights.
_KNOWN_LIMIT = 1 << 20
_BLOCK = 1 << 15
_WORD = (1 << 64) - 1
# Masks hide scores with minus infinity or with the most negative number of their type (float32,
# bfloat16): one number here.
_LARGEST = (3.4028234663852886e38, 3.3895313892515355e38)


class Field(Arithmetic):
    """Integers modulo ``prime``, with hashes keyed by ``seed``.

    Attributes:
        degree: the largest degree of a polynomial that was evaluated.
        depth: number of nonlinear functions applied to data.
        decided: fingerprint of everything whose order was asked for. Comparisons keep one bit of
            their operands, and lookups keep a few rows of their tables; two runs are equal only
            if these are, too.
        steering: operators that let the inputs' values decide what is computed.
        hidden: True if an infinity was met, False if the largest number of a type was, which
            counts as one.
    """

    def __init__(self, prime: int, root: int, seed: int = 0) -> None:
        super().__init__()
        self.prime = prime
        self.degree = 1
        self.depth = 0
        self.decided = 0
        self.steering: list[str] = []
        self.hidden: set[bool] = set()
        self._root = root
        self._seed = seed
        self._scale = 1.0 / prime

    # Residues.

    def _reduce(self, x: Array) -> Array:
        """Bring float64 integers below 2**52 between -p/2 and p/2."""
        return x - np.rint(x * self._scale) * self.prime

    def _canonical(self, x: Array) -> Array:
        """Residues as unsigned integers in [0, p)."""
        whole = x.astype(np.int64)
        whole += (whole < 0) * np.int64(self.prime)
        return whole.view(np.uint64)

    def _hash(self, name: str, x: Array) -> Array:
        return self._to_residue(mix(self._canonical(x), key_of(name, self.prime, self._seed)))

    def _to_residue(self, words: Array) -> Array:
        # The high 32 bits times p, divided by 2**32: a residue, uniform up to 2**-11.
        mixed = (words >> np.uint64(32)) * np.uint64(self.prime) >> np.uint64(32)
        return mixed.astype(np.float64) - self.prime // 2

    def _make(self, residue: Array, real: Array | None, degree: int) -> Element:
        self.degree = max(self.degree, degree)
        return Element(residue, real, degree)

    def _of(self, x: Tensor) -> Element:
        return x if isinstance(x, Element) else self.constant(x)

    def random(self, shape: tuple[int, ...], rng: np.random.Generator) -> Element:
        """Uniform residues: a random point of the field."""
        half = self.prime // 2
        return Element(rng.integers(-half, half + 1, shape).astype(np.float64), None, 1)

    def constant(self, values: Array | float | int) -> Element:
        array = np.asarray(values)
        residue = np.empty(array.shape)
        source, target = np.ravel(array), residue.reshape(-1)
        # In blocks that stay in the cache: large weights are embedded at memory speed.
        for start in range(0, source.size, _BLOCK):
            piece = slice(start, start + _BLOCK)
            target[piece] = self._embed(source[piece])
        known = array.size <= _KNOWN_LIMIT
        return Element(residue, array.astype(np.float64) if known else None, 0)

    def _embed(self, values: Array) -> Array:
        if values.dtype == np.uint64:
            values = values.astype(object)
        elif values.dtype.kind in "iub":
            values = values.astype(np.int64)
        if values.dtype.kind in "iO":
            return np.mod(values, self.prime).astype(np.float64)
        finite = np.isfinite(values)
        with np.errstate(over="ignore", invalid="ignore"):
            if np.max(np.abs(values), initial=0.0) >= _LARGEST[1]:
                finite &= ~np.isin(np.abs(values), _LARGEST)
        usual = bool(finite.all())
        fraction, exponent = np.frexp(values if usual else np.where(finite, values, 0.0))
        powers = powers_of_two(self.prime)
        # 53 bits in two pieces, so that each times a power of two stays exact.
        scaled = fraction.astype(np.float64) * 2.0**27
        high = np.trunc(scaled)
        out = self._reduce(self._reduce(high) * powers[exponent + (POWER_OFFSET - 27)])
        if values.dtype.itemsize > 4:
            low = self._reduce((scaled - high) * 2.0**26)
            out = self._reduce(out + self._reduce(low * powers[exponent + (POWER_OFFSET - 53)]))
        if not usual:
            infinite = self._hash("infinity", np.zeros(()))
            hidden = ~finite & ~np.isnan(values)
            self.hidden |= set(np.isinf(values[hidden]).tolist())
            out = np.where(hidden, np.sign(values) * infinite, out)
            out = np.where(np.isnan(values), self._hash("nan", np.zeros(())), out)
        return out

    def known(self, x: Tensor) -> Array | None:
        return x.real if isinstance(x, Element) else x

    def move(self, fn: Callable[..., Array], *xs: Tensor) -> Element:
        elements = [self._of(x) for x in xs]
        reals = [e.real for e in elements]
        real = None if any(r is None for r in reals) else fn(*reals)
        degree = max((e.degree for e in elements), default=0)
        return self._make(fn(*(e.residue for e in elements)), _few(real), degree)

    # Ring operations.

    def add(self, a: Tensor, b: Tensor) -> Element:
        x, y = self._of(a), self._of(b)
        return self._make(
            self._reduce(x.residue + y.residue), _both(np.add, x, y), max(x.degree, y.degree)
        )

    def mul(self, a: Tensor, b: Tensor) -> Element:
        x, y = self._of(a), self._of(b)
        return self._make(
            self._reduce(x.residue * y.residue), _both(np.multiply, x, y), x.degree + y.degree
        )

    def neg(self, a: Tensor) -> Element:
        x = self._of(a)
        return self._make(-x.residue, None if x.real is None else -x.real, x.degree)

    def reciprocal(self, a: Tensor) -> Element:
        x = self._of(a)
        with np.errstate(divide="ignore"):
            real = None if x.real is None else np.reciprocal(x.real)
        inverse = inverses(self.prime, self._root)[self._canonical(x.residue)]
        return self._make(inverse.astype(np.float64), real, x.degree)

    def div(self, a: Tensor, b: Tensor) -> Element:
        x, y = self._of(a), self._of(b)
        out = self.mul(x, self.reciprocal(y))
        # a / b is rounded once, a * (1 / b) twice: keep the known value of the former.
        with np.errstate(divide="ignore", invalid="ignore"):
            return Element(out.residue, _both(np.divide, x, y), out.degree)

    def matmul(self, a: Tensor, b: Tensor) -> Element:
        x, y = self._of(a), self._of(b)
        out: Any = 0.0
        for start in range(0, x.shape[-1], _EXACT_TERMS):
            piece = slice(start, start + _EXACT_TERMS)
            out = out + self._reduce(np.matmul(x.residue[..., piece], y.residue[..., piece, :]))
        if not x.shape[-1]:
            out = np.matmul(x.residue, y.residue)
        return self._make(self._reduce(out), _both(np.matmul, x, y), x.degree + y.degree)

    def total(self, x: Tensor, axes: tuple[int, ...]) -> Element:
        e = self._of(x)
        real = None if e.real is None else e.real.sum(axis=axes, keepdims=True)
        return self._make(self._reduce(e.residue.sum(axis=axes, keepdims=True)), real, e.degree)

    def running(self, x: Tensor, axis: int) -> Element:
        e = self._of(x)
        real = None if e.real is None else e.real.cumsum(axis=axis)
        return self._make(self._reduce(e.residue.cumsum(axis=axis)), real, e.degree)

    # What is not rational.

    def largest(self, x: Tensor, axes: tuple[int, ...], where: Array | None = None) -> Element:
        e = self._of(x)
        if e.real is not None:
            real = e.real if where is None else np.where(where, e.real, -np.inf)
            return self.constant(real.max(axis=axes, keepdims=True, initial=-np.inf))
        self.used.add("Max")
        self.depth += 1
        inner = self._hash("max of", e.residue)
        if where is not None:
            inner = inner * where
        out = self._reduce(inner.sum(axis=axes, keepdims=True))
        return self._make(self._hash("max", out), None, 1)

    def function(self, name: str, *xs: Tensor) -> Element:
        elements = [self._of(x) for x in xs]
        real = None
        args = [e.real for e in elements if e.real is not None]
        if len(args) == len(elements):
            with np.errstate(all="ignore"):
                real = np.power(*args) if name == "Pow" else FUNCTIONS[name](args[0])
            if name in INTEGRAL:
                return self.constant(real)
            if name == "Sqrt" and _exact_root(real, args[0]):
                return self.constant(real)
        else:
            self.used.add(name)
            self.depth += 1
        out = self._hash(name, elements[0].residue)
        for other in elements[1:]:
            out = self._hash(name, self._reduce(out + other.residue))
        return self._make(out, _few(real), 1)

    def opaque(
        self,
        name: str,
        fn: Callable[..., Array],
        *xs: Tensor,
        core: Sequence[int] = (),
        shape: tuple[int, ...] = (),
    ) -> Tensor:
        elements = [self._of(x) for x in xs]
        reals = [e.real for e in elements]
        if all(r is not None for r in reals):
            with np.errstate(all="ignore"):
                return self.constant(fn(*reals))
        self.used.add(name)
        self.depth += 1
        key = key_of(name, self.prime, self._seed)
        seen = np.zeros((), np.uint64)
        for place, element in enumerate(elements):
            whole = core[place] if core else 0
            seen = mix(seen + self._digest(element.residue, whole), key + place & _WORD)
        count = int(np.prod(shape, dtype=np.int64))
        results = mix(seen[..., None] + np.arange(count, dtype=np.uint64), key)
        return self._make(self._to_residue(results).reshape(*seen.shape, *shape), None, 1)

    def _digest(self, x: Array, whole: int) -> Array:
        """One word for all elements of the last ``whole`` axes, in their order."""
        lead = x.shape[: x.ndim - whole]
        flat = self._canonical(x).reshape(*lead, -1)
        key = key_of("digest", self.prime, self._seed)
        places = mix(np.arange(flat.shape[-1], dtype=np.uint64), key)
        return mix(flat + places, key).sum(axis=-1, dtype=np.uint64)

    def softmax(self, x: Tensor, axis: int) -> Element:
        self.used.add("Softmax")
        self.depth += 1
        e = self._of(x)
        centred = self.sub(Element(e.residue, None, e.degree), self.mean(e, (axis,)))
        grown = self._make(self._hash("Softmax", centred.residue), None, 1)
        return self.div(grown, self.total(grown, (axis,)))

    def keys(self, *xs: Tensor) -> list[Array]:
        elements = [self._of(x) for x in xs]
        if all(e.real is not None for e in elements):
            return [np.asarray(e.real) for e in elements]
        self.used.add("order")
        self.depth += 1
        for e in elements:
            self.decided = (self.decided + self.fingerprint(e)) & 0xFFFFFFFFFFFFFFFF
        key = key_of("order", self.prime, self._seed)
        return [mix(self._canonical(e.residue), key) for e in elements]

    def rounded(self, x: Tensor) -> Element:
        return self._of(x)

    def looked_up(self, table: Tensor, axis: int) -> None:
        canonical = self._canonical(self._of(table).residue)
        hashed = mix(canonical, key_of("fingerprint", self.prime, 0))
        others = tuple(a for a in range(hashed.ndim) if a != axis % hashed.ndim)
        rows = hashed.sum(axis=others, dtype=np.uint64)
        # Each row with its place: the index is the same in both models.
        places = mix(rows + np.arange(rows.size, dtype=np.uint64), key_of("row", self.prime, 0))
        self.decided = (self.decided + int(places.sum(dtype=np.uint64))) & 0xFFFFFFFFFFFFFFFF

    def steered(self, where: str) -> None:
        self.steering.append(where)

    def fingerprint(self, x: Tensor) -> int:
        """A number that depends on the elements of ``x`` and not on their order."""
        canonical = self._canonical(self._of(x).residue)
        return int(mix(canonical, key_of("fingerprint", self.prime, 0)).sum(dtype=np.uint64))


def _few(real: Array | None) -> Array | None:
    return real if real is not None and real.size <= _KNOWN_LIMIT else None


def _both(fn: Callable[..., Array], x: Element, y: Element) -> Array | None:
    if x.real is None or y.real is None:
        return None
    with np.errstate(all="ignore"):
        return _few(fn(x.real, y.real))


def _exact_root(root: Array, square: Array) -> bool:
    """Whether ``root`` is the exact square root: few bits, so that squaring does not round."""
    short = root.astype(np.float32).astype(np.float64)
    return bool(np.all(short == root) and np.all(root * root == square))
