"""Primes with their tables of residues, and a keyed hash of 64-bit words.

A residue modulo p is *balanced* where it lies between -p/2 and p/2.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from onebyone.kernels.arithmetic import Array

# (safe prime below 2**21, one of its primitive roots); tests/certify checks both facts.
PRIMES: tuple[tuple[int, int], ...] = ((2097143, 5), (2096867, 2), (2096687, 5))

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


def key_of(name: str, prime: int, seed: int) -> int:
    """The key of a function's hash, of 64 bits."""
    key = seed * 0x9E3779B97F4A7C15 + prime
    for byte in name.encode():
        key = (key ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return key


@cache
def powers_of_two(prime: int) -> Array:
    """2**e mod p, balanced, as float64, at index ``e + POWER_OFFSET``: ``(2 * POWER_OFFSET,)``."""
    values = [pow(2, e, prime) for e in range(-POWER_OFFSET, POWER_OFFSET)]
    balanced = [v - prime if v > prime // 2 else v for v in values]
    return np.array(balanced, np.float64)


@cache
def inverses(prime: int, root: int) -> Array:
    """The inverse of every residue in [0, p), balanced, ``(p,)`` of int32; that of zero is zero.

    Args:
        prime: the prime p.
        root: a primitive root of it.
    """
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
