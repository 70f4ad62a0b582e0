"""How far apart two models are in float64, and how far rounding explains."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from onebyone.certify.folded import Folds
from onebyone.certify.inputs import Ports, renamed, truth
from onebyone.certify.noise import SAFETY, UNITS, Distance, deviation, distance, simulate
from onebyone.dialects.protocol import Constant, Model, Step
from onebyone.kernels.arithmetic import Array, Tensor
from onebyone.kernels.errors import ExecutionError

# A scalar constant that was rounded to float32, and perhaps computed from such a one.
_ROUNDED = 4 * UNITS["float32"]

# A form that loses more than half of float64's digits where the other loses few is no rounding
# of it: it would have no digit left in float32.
_HALF = 2.0**-26

# A constant that some tool computed from others, in whatever way, keeps this many of its digits.
_COMPUTED = 2.0**-8


def real_gap(
    a: Model,
    b: Model,
    ports: Ports,
    values: Mapping[str, Array],
    folded: Mapping[str, float],
    same: bool,
    folds: Folds | None = None,
    deadline: float | None = None,
) -> tuple[float, float]:
    """The float64 difference that exceeds its bound most, and that bound.

    Forms that use other functions may hold rounded numbers where the other has none (the root of
    two in a spelled-out Gelu): then every scalar constant counts as rounded. So it does between a
    program and a file, which holds a program's numbers in the type of its tensors, and where one
    model lacks a scalar of the other: an attribute may hold it, or the product of two, in float32.

    Where the second model holds what the first computes from its constants, it holds that rounded:
    then the first counts as rounded, too, as its own types say.

    Args:
        a: the first model.
        b: the second model.
        ports: their inputs and outputs, paired.
        values: inputs of the first model by name.
        folded: constants of ``b`` by name, with the relative error that each may carry.
        same: whether both apply the same nonlinear functions.
        folds: constants of ``b`` that follow from those of ``a``; they get their exact values.
        deadline: ``time.monotonic()`` after which the runs stop.

    Returns:
        Both absolute, in the unit of the output; zeros where no output can be compared.
    """
    theirs = renamed(values, ports)
    exact = None
    if folds is not None and folds.values and not folds.first:
        exact = folds.embed
        folded = {name: error for name, error in folded.items() if name not in folds.values}
    fractions = _fractions(a)
    folded = {n: e for n, e in folded.items() if n not in _spelled(b, fractions)}
    computed = _Computed(b, folded)
    x = truth(a, values, deadline=deadline, observe=computed.observe if computed.wanted else None)
    y = truth(b, theirs, deadline=deadline, embed=exact)
    same = same and fractions == _fractions(b)
    unit, scalars = UNITS["float64"], 0.0 if same else _ROUNDED
    if a.positional != b.positional:
        types = {p.dtype for p, _ in (*ports.inputs, *ports.outputs)}
        scalars = 4 * max(UNITS["float32"], *(UNITS.get(name, 0.0) for name in types))
        # Attributes of a file have float32, also where its tensors have more.
        unit = UNITS["float32"] if "float64" in types else unit

    # What a tool computed from constants, in whatever order, may have lost digits to cancellation.
    lost = computed.found or any(c.name in folded and c.size > 1 for c in b.constants())

    def spread(whole: bool) -> tuple[dict[str, Distance], dict[str, Distance]]:
        own = None if lost else unit
        return (
            simulate(a, values, x, unit=own, scalars=scalars, whole=whole, deadline=deadline),
            simulate(
                b, theirs, y, unit=own, scalars=scalars, whole=whole, constants=folded,
                deadline=deadline,
            ),
        )  # fmt: skip

    spread_a, spread_b = spread(True)
    if scalars:
        # A power of nearly two has no value at a negative number: then only fractions are rounded.
        try:
            fractions = spread(False)
        except ExecutionError:
            # A factor that was changed gives another size.
            return 0.0, 0.0
        spread_a, spread_b = (
            {n: _larger(one[n], other[n]) for n in one}
            for one, other in zip((spread_a, spread_b), fractions, strict=True)
        )
    gaps: list[tuple[float, float]] = []
    for p, q in ports.outputs:
        real = x[p.name]
        if real.dtype.kind == "f" and not np.isfinite(real).all():
            continue
        apart, noise_a, noise_b = distance(real, y[q.name]), spread_a[p.name], spread_b[q.name]
        if apart.flips:
            # Another integer, or a number where the other has none: the noise must flip it, too.
            explained = noise_a.widened(noise_b).explains(apart)
            gaps.append((float(apart.flips), float("inf") if explained else 0.0))
            continue
        if noise_a.flips or noise_b.flips:
            # Numbers appear or vanish with the noise: how large they get says nothing.
            gaps.append((apart.gap, float("inf")))
            continue
        spread_in_b = min(noise_b.gap, _HALF * float(np.max(np.abs(real), initial=0.0)))
        gaps.append((apart.gap, SAFETY * (noise_a.gap + spread_in_b)))
    return max(gaps, key=excess, default=(0.0, 0.0))


def excess(measured: tuple[float, float]) -> float:
    """The ratio of a difference to its bound: above 1 where rounding does not explain it."""
    gap, bound = measured
    return gap / bound if bound else gap and float("inf")


def _larger(one: Distance, other: Distance) -> Distance:
    """The larger of two spreads; one with numbers that vanished counts if the other has none."""
    if one.flips != other.flips:
        return min(one, other, key=lambda spread: spread.flips)
    return one.widened(other)


def _fractions(model: Model) -> set[float]:
    """The numbers of a model that are not whole."""
    return {n for n in model.numbers() if n % 1}


def _spelled(model: Model, numbers: set[float]) -> set[str]:
    """Scalar constants that are numbers of another model, perhaps of its attributes."""
    return {
        c.name
        for c in model.constants()
        if c.size == 1
        and c.dtype.startswith(("float", "bfloat"))
        and float(np.ravel(c.real())[0]) in numbers
    }


class _Computed:
    """Looks among what a model computes from its constants for constants of another one."""

    def __init__(self, other: Model, names: Mapping[str, float]) -> None:
        self.found = False
        self.wanted: dict[int, list[Constant]] = {}
        for constant in other.constants():
            if constant.name in names and constant.size > 1:
                self.wanted.setdefault(constant.size, []).append(constant)

    def observe(self, step: Step, results: list[Tensor | None]) -> None:
        if not step.constant or self.found:
            return
        for result in results:
            value = np.asarray(result)
            if value.dtype.kind != "f":
                continue
            flat = value.reshape(-1)
            scale = float(np.max(np.abs(flat), initial=0.0))
            for constant in self.wanted.get(value.size, ()):
                real = constant.real()
                with np.errstate(over="ignore"):
                    rounded = flat.astype(real.dtype).astype(np.float64)
                # What a move alone makes has the type's digits, and whoever stores it loses none.
                if not np.array_equal(rounded, flat, equal_nan=True):
                    apart = deviation(flat, real.astype(np.float64).reshape(-1))
                    self.found = self.found or apart <= _COMPUTED * scale
