"""The field's arithmetic against Python's integers."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onebyone.certify.embedding import Leeway
from onebyone.certify.modular import Field
from onebyone.certify.residues import drawn_primes, pool, primitive_root
from onebyone.kernels.element import Element

FLOATS = st.floats(allow_nan=False, allow_infinity=False)


PRIMES = list(islice(drawn_primes(0), 3))


def field(which: int = 0) -> Field:
    return Field(PRIMES[which])


def residues(x: Element, prime: int) -> list[int]:
    return [int(v) % prime for v in x.residue.reshape(-1)]


def exact(value: float, prime: int) -> int:
    fraction = Fraction(value)
    return fraction.numerator * pow(fraction.denominator, -1, prime) % prime


def test_primes_are_drawn_from_all_of_20_and_21_bits() -> None:
    assert len(pool()) == 112_221
    assert (pool()[0], pool()[-1]) == (524_309, 2_097_143)
    for prime in PRIMES:
        assert all(prime % d for d in range(2, math.isqrt(prime) + 1))
        root = primitive_root(prime)
        factors = [d for d in range(2, prime) if (prime - 1) % d == 0]
        assert all(pow(root, (prime - 1) // d, prime) != 1 for d in factors)
    assert list(islice(drawn_primes(0), 3)) == PRIMES
    assert len(set(islice(drawn_primes(0), 100))) == 100
    assert next(drawn_primes(1)) not in PRIMES


# The largest numbers of float32 and bfloat16, with which exporters write masks.
LARGEST = [float(np.finfo(np.float32).max), 2.0**128 - 2.0**120]


def test_the_largest_numbers_are_infinities_only_where_that_is_allowed() -> None:
    ar, strict = Field(PRIMES[0], leeway=Leeway(hidden=True)), Field(PRIMES[0])
    for sign in (-1.0, 1.0):
        infinite = ar.constant(np.array([sign * np.inf])).residue
        for value in LARGEST:
            assert np.array_equal(ar.constant(np.array([sign * value])).residue, infinite)
            assert residues(strict.constant(np.array([sign * value])), PRIMES[0]) == [
                exact(sign * value, PRIMES[0])
            ]
    assert len(ar.hidden) == 3, "the certificate says that it took one for the other"
    assert not strict.hidden


@given(st.lists(FLOATS, min_size=1, max_size=8))
def test_a_float64_is_embedded_exactly(values: list[float]) -> None:
    for prime in PRIMES:
        got = residues(Field(prime).constant(np.array(values)), prime)
        assert got == [exact(v, prime) for v in values]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=16), min_size=1))
def test_half_precision_is_embedded_exactly(values: list[float]) -> None:
    prime = PRIMES[0]
    for dtype in (np.float16, np.float32):
        got = residues(field().constant(np.array(values, dtype)), prime)
        assert got == [exact(v, prime) for v in values]


def test_blocks_of_the_embedding_join_seamlessly() -> None:
    values = np.random.default_rng(0).standard_normal(70_000).astype(np.float32)
    got = residues(field().constant(values), PRIMES[0])
    for i in (0, 32_767, 32_768, 65_535, 65_536, 69_999):
        assert got[i] == exact(float(values[i]), PRIMES[0])


@pytest.mark.parametrize("terms", [1, 3, 4096, 9000])
def test_matrix_products_are_exact(terms: int) -> None:
    """The worst residues, so that a lost bit would show: all of magnitude p/2."""
    for prime in PRIMES:
        ar = Field(prime)
        rng = np.random.default_rng(terms)
        half = prime // 2
        a, b = ar.random((2, terms), rng), ar.random((terms, 3), rng)
        a.residue[0], b.residue[:, 0] = half, half
        a.residue[1], b.residue[:, 1] = half, -half
        want = a.residue.astype(np.int64).astype(object) @ b.residue.astype(np.int64).astype(object)
        got = residues(ar.matmul(a, b), prime)
        assert got == [int(v) % prime for v in want.reshape(-1)]


def test_every_residue_but_zero_has_its_inverse() -> None:
    for prime in PRIMES:
        ar = Field(prime)
        every = Element(np.arange(-(prime // 2), prime // 2 + 1, dtype=np.float64), None)
        product = ar.mul(every, ar.reciprocal(every)).residue
        assert np.count_nonzero(product == 1) == prime - 1
        assert product[prime // 2] == 0


@given(st.lists(FLOATS, min_size=2, max_size=6), st.integers(0, 2))
def test_ring_laws(values: list[float], which: int) -> None:
    ar = field(which)
    prime = ar.prime
    a, b = ar.constant(np.array(values)), ar.constant(np.array(values[::-1]))
    left = ar.mul(a, ar.add(a, b))
    right = ar.add(ar.mul(a, a), ar.mul(b, a))
    assert residues(left, prime) == residues(right, prime)
    assert residues(ar.sub(left, right), prime) == [0] * len(values)


def test_softmax_ignores_a_constant_added_to_all_and_nothing_else() -> None:
    ar = field()
    x = ar.random((3, 5), np.random.default_rng(0))
    shifted = ar.add(x, ar.random((3, 1), np.random.default_rng(1)))
    other = ar.add(x, ar.random((1, 5), np.random.default_rng(1)))
    plain = residues(ar.softmax(x, 1), ar.prime)
    assert plain == residues(ar.softmax(shifted, 1), ar.prime)
    assert plain != residues(ar.softmax(other, 1), ar.prime)
    assert residues(ar.total(ar.softmax(x, 1), (1,)), ar.prime) == [1, 1, 1]


def test_maximum_is_symmetric_agrees_with_pooling_and_sees_its_operands() -> None:
    ar = field()
    a, b = (ar.random((64,), np.random.default_rng(s)) for s in (0, 1))
    both = Element(np.stack([a.residue, b.residue]), None)
    assert np.array_equal(ar.maximum(a, b).residue, ar.maximum(b, a).residue)
    assert np.array_equal(ar.maximum(a, b).residue, ar.largest(both, (0,)).residue[0])
    assert not np.any(ar.maximum(a, b).residue == ar.maximum(a, ar.constant(0.0)).residue)


def test_known_numbers_stay_known_and_exact_roots_are_taken() -> None:
    ar = field()
    assert ar.function("Sqrt", ar.constant(64.0)).residue == 8
    root = ar.function("Sqrt", ar.constant(2.0))
    assert root.real == pytest.approx(math.sqrt(2))
    assert root.residue != ar.constant(math.sqrt(2)).residue
    assert ar.function("Floor", ar.constant(2.5)).residue == 2
    assert ar.known(ar.mul(root, ar.random((), np.random.default_rng(0)))) is None


def test_names_and_seeds_change_hashes() -> None:
    x = field().random((1000,), np.random.default_rng(0))
    values = [
        field().function("Tanh", x).residue,
        field().function("Erf", x).residue,
        Field(PRIMES[0], seed=1).function("Tanh", x).residue,
    ]
    for i, one in enumerate(values):
        for other in values[:i]:
            # Chance agreement: 1000 elements at one in two million each.
            assert np.count_nonzero(one == other) < 4


def test_infinities_are_elements_of_their_own() -> None:
    ar = field()
    values = residues(ar.constant(np.array([np.inf, -np.inf, np.nan, 0.0])), ar.prime)
    assert len(set(values)) == 4
    assert (values[0] + values[1]) % ar.prime == 0
