"""How far apart two models are in float64, and how far rounding explains."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from onebyone.certify.inputs import Ports, renamed, truth
from onebyone.certify.noise import SAFETY, UNITS, deviation, spread
from onebyone.dialects.protocol import Model
from onebyone.kernels.arithmetic import Array

# A scalar constant that was rounded to float32, and perhaps computed from such a one.
_ROUNDED = 4 * UNITS["float32"]

# A form that loses more than half of float64's digits where the other loses few is no rounding
# of it: it would have no digit left in float32.
_HALF = 2.0**-26


def real_gap(
    a: Model,
    b: Model,
    ports: Ports,
    values: Mapping[str, Array],
    folded: Mapping[str, float],
    same: bool,
) -> tuple[float, float]:
    """The float64 difference that exceeds its bound most, and that bound.

    Forms that use other functions may hold rounded numbers where the other has none (the root of
    two in a spelled-out Gelu): then every scalar constant counts as rounded. So it does between a
    program and a file, which holds a program's numbers in the type of its tensors.

    Args:
        a: the first model.
        b: the second model.
        ports: their inputs and outputs, paired.
        values: inputs of the first model by name.
        folded: constants of ``b`` by name, with the relative error that each may carry.
        same: whether both apply the same nonlinear functions.

    Returns:
        Both absolute, in the unit of the output; zeros where no output can be compared.
    """
    theirs = renamed(values, ports)
    x, y = truth(a, values), truth(b, theirs)
    unit, scalars = UNITS["float64"], 0.0 if same else _ROUNDED
    if a.positional != b.positional:
        types = {p.dtype for p, _ in (*ports.inputs, *ports.outputs)}
        scalars = 4 * max(UNITS["float32"], *(UNITS.get(name, 0.0) for name in types))
        # Attributes of a file have float32, also where its tensors have more.
        unit = UNITS["float32"] if "float64" in types else unit
    spread_a = spread(a, values, x, unit=unit, scalars=scalars)
    spread_b = spread(b, theirs, y, unit=unit, scalars=scalars, constants=folded)
    gaps: list[tuple[float, float]] = []
    for p, q in ports.outputs:
        real = x[p.name]
        if real.dtype.kind == "f" and not np.isfinite(real).all():
            continue
        spread_in_b = min(spread_b[q.name], _HALF * float(np.max(np.abs(real), initial=0.0)))
        bound = SAFETY * (spread_a[p.name] + spread_in_b)
        gaps.append((deviation(real, y[q.name]), bound))
    return max(gaps, key=excess, default=(0.0, 0.0))


def excess(measured: tuple[float, float]) -> float:
    """The ratio of a difference to its bound: above 1 where rounding does not explain it."""
    gap, bound = measured
    return gap / bound if bound else gap and float("inf")
