"""Kernels where they could be taken for another: one element, no element, exact values."""

from __future__ import annotations

import numpy as np
import pytest

from onebyone.certify.modular import Field
from onebyone.certify.residues import drawn_primes
from onebyone.kernels import elementwise, lines, precision
from onebyone.kernels.arithmetic import Float64

PRIME = next(drawn_primes(0))


@pytest.mark.parametrize("kernel", [lines.largest, lines.smallest])
def test_an_extremum_of_one_element_is_that_element(kernel: elementwise.Kernel) -> None:
    ar = Field(PRIME)
    x = ar.random((2, 1, 3), np.random.default_rng(0))
    out = kernel(ar, x, axes=(1,))
    assert np.array_equal(out.residue, x.residue)
    assert not ar.used


def test_an_extremum_of_nothing_is_an_infinity() -> None:
    ar, x = Float64(), np.empty((2, 0))
    assert np.array_equal(lines.largest(ar, x, axes=(1,)), [[-np.inf]] * 2)
    assert np.array_equal(lines.smallest(ar, x, axes=(1,)), [[np.inf]] * 2)


def test_a_field_knows_a_logarithm_of_exponentials_by_its_parts() -> None:
    ar = Field(PRIME)
    x = ar.random((2, 3), np.random.default_rng(0))
    fused = lines.log_sum_exp(ar, x, axes=(1,))
    spelled = ar.function("Log", ar.total(ar.function("Exp", x), (1,)))
    assert np.array_equal(fused.residue, spelled.residue)
    fused = lines.log_softmax(ar, x, axis=1)
    assert np.array_equal(fused.residue, ar.function("Log", ar.softmax(x, 1)).residue)


@pytest.mark.parametrize("kernel", [lines.log_softmax, lines.log_sum_exp])
def test_noise_explains_what_single_precision_gives(kernel: elementwise.Kernel) -> None:
    x = np.random.default_rng(1).standard_normal((4, 64))
    where = {"axis": 1} if kernel is lines.log_softmax else {"axes": (1,)}
    exact = kernel(Float64(), x, **where)
    noisy = kernel(Float64(np.random.default_rng(2), 2.0**-24), x, **where)
    narrow = x.astype(np.float32)
    out = np.log(np.exp(narrow).sum(1, keepdims=True))
    out = narrow - out if kernel is lines.log_softmax else out
    assert 0 < np.abs(out - exact).max() < np.abs(noisy - exact).max() < 1e-4


def test_a_threshold_beside_integers_is_one() -> None:
    x = np.arange(-3, 4)
    out = elementwise.threshold(Float64(), x, bound=1.7, value=-2.9)
    assert out.dtype == x.dtype
    assert np.array_equal(out, [-2, -2, -2, -2, -2, 2, 3])


@pytest.mark.parametrize("name", sorted(precision.WIDE))
def test_a_roundoff_tells_its_type(name: str) -> None:
    assert precision.type_of_roundoff(precision.unit_roundoff(name)) == name


def test_the_largest_number_of_a_type() -> None:
    assert precision.largest_number(2.0**-24) == np.finfo(np.float32).max
    assert precision.largest_number(2.0**-8) == 3.3895313892515355e38
    assert precision.largest_number(0.0) == np.inf
