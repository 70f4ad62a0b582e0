"""Numbers as residues: every finite float is one, exactly.

A float m * 2**e is the residue m * 2**e mod p. Residues are float64 integers between -p/2 and p/2.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from onebyone.certify.residues import (
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

# Real values are carried along up to this many elements: scales, masks, resize weights.
KNOWN_LIMIT = 1 << 20
_BLOCK = 1 << 15
# Exact integers beyond this are no float64.
_WHOLE = 1 << 53
_LEAST_HIDDEN = 65504.0
# Exponents of float32 from which on a number may be one that hides scores: that of 65504.
_HIDDEN_EXPONENT = 142
# Masks hide scores with minus infinity or with the most negative number of their type (float32,
# bfloat16, float16).
_LARGEST = (np.inf, 3.4028234663852886e38, 3.3895313892515355e38, 65504.0)


@dataclass(frozen=True)
class Leeway:
    """What two expressions may differ in and still count as equal; each is told to the user.

    Attributes:
        scales: a positive factor may stand before or behind a predicate or an extremum. (A true
            identity of the reals; it hides another one, a factor folded into weights.)
        hidden: infinity and the largest number of a type are one, and a softmax is a number.
        native: type of all real outputs, where it has fewer digits than float32: rounding to it is
            what the models' own operators do.
        rounded: a constant next to 1/n, a root of n and the like stands for that number.
    """

    scales: bool = False
    hidden: bool = False
    rounded: bool = False
    native: str = ""


class Embedding(Arithmetic):
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

    def value(self, height: Height) -> Height:
        """The height of a value that a mistake may be in, from here on."""
        bit = 1 << self._values
        self._values += 1
        return replace(height, reach=tuple(m | bit for m in height.reach) or (bit,))

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


def _finite(values: Array) -> Array | None:
    """Where numbers are none that hide scores; None where all are."""
    if values.dtype.kind != "f" or not np.max(np.abs(values), initial=0.0) >= _LEAST_HIDDEN:
        return None
    finite = ~np.isin(np.abs(values), _LARGEST)
    return None if finite.all() else finite
