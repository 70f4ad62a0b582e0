"""What rounding explains: the spread of float64 runs whose operators err as a runtime's would.

See `Float64` for the size of the error that each operator is given. The largest deviation of a few
such runs, times a safety factor, bounds the error that an honest runtime may show.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from onebyone.certify.inputs import embedded
from onebyone.dialects.protocol import Model
from onebyone.kernels.arithmetic import Array, Float64, Tensor

# Deviations of simulated runs scatter; the true error stays below eight times their maximum.
SAFETY = 8.0
RUNS = 3
# Unit roundoff by element type.
UNITS = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}


def spread(
    model: Model,
    values: Mapping[str, Array],
    exact: Mapping[str, Array],
    *,
    unit: float | None = None,
    constants: Mapping[str, float] | None = None,
    scalars: float = 0.0,
    seed: int = 0,
) -> dict[str, float]:
    """The largest deviation from ``exact`` of each output under simulated rounding.

    Args:
        model: the model.
        values: its inputs by name.
        exact: its outputs in float64 by name.
        unit: unit roundoff of every operator; that of its own dtype by default.
        constants: relative errors that named constants carry, besides.
        scalars: relative error that every constant of one element carries.
        seed: of the simulated errors.

    Returns:
        For each output an absolute error, in the unit of the output.
    """
    worst = dict.fromkeys(exact, 0.0)
    for run in range(RUNS):
        rng = np.random.default_rng((seed, run))
        ar = Float64(rng, unit)

        def embed(name: str, array: Array, rng: np.random.Generator = rng) -> Tensor:
            real = array.astype(np.float64)
            error = max((constants or {}).get(name, 0.0), scalars if real.size == 1 else 0.0)
            return real * (1.0 + error * rng.uniform(-1.0, 1.0, real.shape)) if error else real

        outputs = model.run(ar, embedded(ar, values, 0), embed=embed)
        for name, value in outputs.items():
            worst[name] = max(worst[name], deviation(np.asarray(value), exact[name]))
    return worst


def deviation(a: Array, b: Array) -> float:
    """The largest absolute difference; infinite where only one is finite or shapes differ."""
    if a.shape != b.shape:
        return float("inf")
    if not a.size:
        return 0.0
    x, y = a.astype(np.float64), b.astype(np.float64)
    with np.errstate(invalid="ignore"):
        gap = np.abs(x - y)
    gap = np.where((x == y) | (np.isnan(x) & np.isnan(y)), 0.0, gap)
    return float(np.max(np.where(np.isnan(gap), np.inf, gap)))
