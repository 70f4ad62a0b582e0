"""What rounding explains: the spread of float64 runs whose operators err as a runtime's would.

See `Float64` for the size of the error that each operator is given. The largest deviation of a few
such runs, times a safety factor, bounds the error that an honest runtime may show.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from onebyone.certify.inputs import embedded
from onebyone.dialects.protocol import Model
from onebyone.kernels.arithmetic import Array, Float64, Tensor, sum_ulps

# Deviations of simulated runs scatter; the true error stays below eight times their maximum.
SAFETY = 8.0
RUNS = 3
# A vector of factors, such as those that an image is resized by, has at most this many elements.
_FEW = 8
# Unit roundoff by element type.
UNITS = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}


@dataclass(frozen=True)
class Distance:
    """How far two arrays are apart.

    Attributes:
        gap: the largest absolute difference where both are finite numbers.
        flips: number of elements that are no such numbers in both and are unlike: integers,
            booleans, words, infinities and NaN. All of them where the shapes differ.
        rms: root of the mean squared difference where both are finite.
        compared: number of elements that were compared as finite numbers or as exact ones.
    """

    gap: float = 0.0
    flips: int = 0
    rms: float = 0.0
    compared: int = 0

    def widened(self, other: Distance) -> Distance:
        """The larger of each."""
        return Distance(max(self.gap, other.gap), max(self.flips, other.flips))

    def explains(self, other: Distance) -> bool:
        """Whether a spread of this size explains a distance."""
        return other.gap <= SAFETY * self.gap and other.flips <= SAFETY * self.flips


def distance(a: Array, b: Array) -> Distance:
    """How far two arrays are apart."""
    if a.shape != b.shape:
        return Distance(float("inf"), max(a.size, b.size, 1))
    if not (is_real(a) and is_real(b)):
        return Distance(flips=int(np.sum(a != b)), compared=a.size)
    x, y = a.astype(np.float64), b.astype(np.float64)
    both = np.isfinite(x) & np.isfinite(y)
    unlike = ~both & (x != y) & ~(np.isnan(x) & np.isnan(y))
    gaps = np.abs(np.subtract(x, y, where=both, out=np.zeros(x.shape)))
    compared = int(both.sum())
    rms = float(np.sqrt(np.sum(gaps**2) / compared)) if compared else 0.0
    return Distance(float(np.max(gaps, initial=0.0)), int(unlike.sum()), rms, compared)


def is_real(x: Array) -> bool:
    """Whether an array holds real numbers, those of ``ml_dtypes`` included."""
    return x.dtype.name.startswith(("float", "bfloat"))


class Noisy(Float64):
    """`Float64` with noise, in which a product of matrices costs one product.

    The sum of the magnitudes of K products is at most the product of the lengths of row and column
    (Cauchy-Schwarz), which takes no second product.

    Args:
        noise: of the errors.
        unit: unit roundoff of every operator; that of its own dtype by default.
        factor: how many times larger than a runtime's the errors are.
    """

    def __init__(
        self, noise: np.random.Generator, unit: float | None = None, factor: float = 1.0
    ) -> None:
        super().__init__(noise, unit)
        self._draws, self._given, self._factor = noise, unit, factor

    def _err(self, out: Array, magnitude: Array, ulps: float = 1.0) -> Array:
        unit = self.unit if self._given is None else self._given
        if not unit:
            return out
        # Seven digits of a random number are enough.
        draw = self._draws.random(np.shape(out), np.float32)
        draw -= np.float32(0.5)
        erring = magnitude * draw
        erring *= 2.0 * unit * ulps * self._factor
        erring += out
        finite = np.isfinite(out)
        # An infinity is exact: a mask of them hides the same elements in every run.
        return erring if finite.all() else np.where(finite, erring, out)

    def matmul(self, a: Tensor, b: Tensor) -> Array:
        out = np.matmul(a, b)
        rows = np.sqrt(np.einsum("...ij,...ij->...i", a, a))[..., None]
        columns = np.sqrt(np.einsum("...ij,...ij->...j", b, b))[..., None, :]
        return self._err(out, rows * columns, sum_ulps(a.shape[-1]))


def simulate(
    model: Model,
    values: Mapping[str, Array],
    exact: Mapping[str, Array],
    *,
    runs: Iterable[Any] = range(RUNS),
    unit: float | None = None,
    constants: Mapping[str, float] | None = None,
    scalars: float = 0.0,
    whole: bool = True,
    factor: float = 1.0,
    deadline: float | None = None,
) -> dict[str, Distance]:
    """The largest distance from ``exact`` of each output under simulated rounding.

    Args:
        model: the model.
        values: its inputs by name.
        exact: its outputs in float64 by name.
        runs: a seed for each run.
        unit: unit roundoff of every operator; that of its own dtype by default.
        constants: relative errors that named constants carry, besides.
        scalars: relative error that every scalar constant carries.
        whole: whether whole numbers carry it, too; else small vectors that hold a fraction do.
        factor: how many times larger than a runtime's the errors are.
        deadline: ``time.monotonic()`` after which the runs stop.

    Raises:
        UnsupportedError: an operator is not understood.
        ExecutionError: the model does not run on these inputs.
        OverBudgetError: the deadline has passed.
    """
    worst = dict.fromkeys(exact, Distance())
    for seed in runs:
        rng = np.random.default_rng(seed)
        ar = Noisy(rng, unit, factor)

        def embed(name: str, array: Array, rng: np.random.Generator = rng) -> Tensor:
            real = array.astype(np.float64)
            few = real.size <= (1 if whole else _FEW) and (whole or bool(np.any(real % 1)))
            error = max((constants or {}).get(name, 0.0), scalars if few else 0.0)
            return real * (1.0 + error * rng.uniform(-1.0, 1.0, real.shape)) if error else real

        outputs = model.run(ar, embedded(ar, values), deadline=deadline, embed=embed)
        for name, value in outputs.items():
            worst[name] = worst[name].widened(distance(np.asarray(value), exact[name]))
    return worst


def deviation(a: Array, b: Array) -> float:
    """The largest absolute difference; infinite where only one is finite or shapes differ."""
    apart = distance(a, b)
    return float("inf") if apart.flips else apart.gap
