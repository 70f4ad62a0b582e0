"""Primes with their tables of residues, and a keyed hash of 64-bit words.

A residue modulo p is *balanced* where it lies between -p/2 and p/2.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import cache, lru_cache

import numpy as np

from onebyone.kernels.arithmetic import Array

# Primes are drawn from all of 20 and 21 bits: products of two balanced residues stay below 2**40.
_SMALLEST, _BEYOND = 1 << 19, 1 << 21
# Bits that each of these primes has at least: so many bits of a number per prime that divides it.
BITS_PER_PRIME = 19

_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
# Index of 2**0 in `powers_of_two`.
POWER_OFFSET = 1200


def mix(x: Array, key: int) -> Array:
    """A keyed bijection of 64-bit words (the finaliser of SplitMix64, Steele et al. 2014).

    Args:
        x: unsigned integers of 64 bits, of any shape.
        key: of 64 bits.
    """
    # Arrays wrap around silently, numpy scalars warn of it.
    out = np.asarray(x + np.uint64(key))
    out ^= out >> np.uint64(30)
    out *= _MIX[0]
    out ^= out >> np.uint64(27)
    out *= _MIX[1]
    out ^= out >> np.uint64(31)
    return out


@cache
def pool() -> Array:
    """All primes that may be drawn, in order."""
    sieve = np.ones(_BEYOND, bool)
    sieve[:2] = False
    for n in range(2, int(_BEYOND**0.5) + 1):
        if sieve[n]:
            sieve[n * n :: n] = False
    return np.flatnonzero(sieve[_SMALLEST:]) + _SMALLEST


def drawn_primes(seed: int) -> Iterator[int]:
    """Different primes, drawn from the whole pool; the same ones for the same seed."""
    rng = np.random.default_rng((seed, 0x7072696D))
    for place in rng.permutation(len(pool())):
        yield int(pool()[place])


def square_root(residue: int, prime: int) -> int | None:
    """The root of a residue that is a square itself; None where there is none, or more than one."""
    if prime % 4 == 1 or pow(residue, (prime - 1) // 2, prime) != 1:
        return None
    return pow(residue, (prime + 1) // 4, prime)


def has_roots(prime: int, numbers: Collection[int]) -> bool:
    """Whether all of some whole numbers have a `square_root`."""
    return all(square_root(number % prime, prime) is not None for number in numbers)


def primitive_root(prime: int) -> int:
    """The smallest number whose powers are all residues but zero."""
    rest, factors = prime - 1, set[int]()
    for n in range(2, int(prime**0.5) + 1):
        while rest % n == 0:
            factors.add(n)
            rest //= n
    factors |= {rest} - {1}
    return next(
        g for g in range(2, prime) if all(pow(g, (prime - 1) // f, prime) != 1 for f in factors)
    )


def key_of(name: str, prime: int, seed: int) -> int:
    """The key of a function's hash, of 64 bits."""
    key = seed * 0x9E3779B97F4A7C15 + prime
    for byte in name.encode():
        key = (key ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return key


@lru_cache(maxsize=8)
def powers_of_two(prime: int) -> Array:
    """2**e mod p, balanced, as float64, at index ``e + POWER_OFFSET``: ``(2 * POWER_OFFSET,)``."""
    values = [pow(2, e, prime) for e in range(-POWER_OFFSET, POWER_OFFSET)]
    balanced = [v - prime if v > prime // 2 else v for v in values]
    return np.array(balanced, np.float64)


@lru_cache(maxsize=8)
def signed_powers(prime: int) -> Array:
    """By the sign and exponent bits of a float32 what its 24 bits are multiplied by: ``(512,)``.

    The exponent 0 stands for zero alone.
    """
    powers = powers_of_two(prime)[POWER_OFFSET - 150 : POWER_OFFSET + 106].copy()
    powers[0] = 0.0
    return np.concatenate([powers, -powers])


@lru_cache(maxsize=4)
def inverses(prime: int) -> Array:
    """The inverse of every residue in [0, p), balanced, ``(p,)`` of int32; that of zero is zero."""
    root = primitive_root(prime)
    powers = np.ones(1, np.int64)
    step = root
    while powers.size < prime - 1:
        powers = np.concatenate([powers, powers * step % prime])
        step = step * step % prime
    powers = powers[: prime - 1]
    table = np.zeros(prime, np.int32)
    inverse = powers[(prime - 1 - np.arange(prime - 1)) % (prime - 1)]
    table[powers] = np.where(inverse > prime // 2, inverse - prime, inverse)
    return table
