"""Constants of a file that a program computes: exporters run what depends on constants alone.

What an exporter computed is rounded, so it is no value of the program bit for bit. A constant of
the file that is none of the program's is taken for a value of the program where rounding explains
their difference (see `onebyone.certify.noise`); the field then gives it that value's residues, and
proves the rest exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from onebyone.certify import weights
from onebyone.certify.inputs import embedded
from onebyone.certify.noise import RUNS, SAFETY, deviation
from onebyone.dialects.protocol import Embed, Model, Step
from onebyone.kernels.arithmetic import Arithmetic, Array, Float64, Tensor


@dataclass(frozen=True)
class Folds:
    """Which constant of the file is which value of the program.

    Attributes:
        values: constant's name -> the value's name.
    """

    values: Mapping[str, str]

    def embed(self, ar: Arithmetic, kept: Mapping[str, Tensor]) -> Embed:
        """How the file's constants enter an arithmetic, given the program's values in it."""

        def run(name: str, array: Array) -> Tensor:
            value = kept.get(self.values.get(name, ""))
            if value is None:
                return ar.constant(array)
            return ar.move(lambda a: a.reshape(array.shape), value)

        return run


def find(program: Model, file: Model, values: Mapping[str, Array]) -> Folds:
    """Match the file's constants that the program does not hold with values that it computes.

    Args:
        program: the model that computes.
        file: the model whose constants are matched.
        values: inputs of the program by name; no value that is matched depends on them.

    Returns:
        The matches: equal in size, and nearer than rounding explains, element by element.
    """
    missing = weights.check(program, file).folded
    wanted = {c.name: c.real() for c in file.constants() if c.name in missing and c.size > 1}
    if not wanted:
        return Folds({})
    sizes = {array.size for array in wanted.values()}
    exact = _computed(program, values, Float64(), sizes)
    spread = dict.fromkeys(exact, 0.0)
    for run in range(RUNS):
        noisy = _computed(program, values, Float64(np.random.default_rng((1, run))), sizes)
        for name, array in noisy.items():
            spread[name] = max(spread[name], deviation(array, exact[name]))
    matched: dict[str, str] = {}
    for name, array in wanted.items():
        flat = array.astype(np.float64).reshape(-1)
        for value, candidate in exact.items():
            if candidate.size != flat.size:
                continue
            if deviation(candidate.reshape(-1), flat) <= SAFETY * spread[value]:
                matched[name] = value
                break
    return Folds(matched)


def _computed(
    program: Model, values: Mapping[str, Array], ar: Float64, sizes: set[int]
) -> dict[str, Array]:
    """Real values of these sizes that no input's value takes part in."""
    computed: dict[str, Array] = {}

    def observe(step: Step, results: list[Tensor | None]) -> None:
        if not step.constant:
            return
        for name, result in zip(step.outputs, results, strict=False):
            if result is not None and ar.is_data(result) and result.size in sizes:
                computed[name] = np.asarray(result)

    program.run(ar, embedded(ar, values, 0), observe=observe)
    return computed
