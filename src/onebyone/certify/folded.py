"""Constants of one model that follow from the other's: tools compute with weights, and round.

What a tool computed is rounded, so it is no value of the other model bit for bit. A constant is
taken for a value that follows exactly from the other model's constants where a derived number of
roundings explains their difference, element by element; the field gives it that value's residues
then, and proves the rest exactly. So the guess need not be trusted: a wrong one proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from onebyone.certify.chains import Chain, chains, constant_values
from onebyone.certify.noise import SAFETY, UNITS
from onebyone.dialects.protocol import Embed, Model
from onebyone.kernels.arithmetic import Arithmetic, Array, Float64, Tensor, quiet
from onebyone.kernels.errors import ExecutionError, UnsupportedError

# A batch norm is a sum, a root, a quotient and two products; a type may be rounded to once more.
_ROUNDINGS = 6
# Roundoff of simulated runs: errors grow in proportion to it.
_UNIT = 2.0**-24
# Of two numbers that are no further apart than this in float64 one is the other.
_EXACT = 2.0**-44
# Simulated runs: that all of them err by less than the safety factor leaves is out of the question.
_RUNS = 12

# Channels that ONNX Runtime's kernels take at a time.
_BLOCKS = (8, 16)

Build = Callable[[Arithmetic], Tensor]


@dataclass(frozen=True)
class Value:
    """A value that follows from a model's constants.

    Attributes:
        text: what it is, in words.
        build: computes it in an arithmetic.
        real: the value in float64.
        slack: for each element what rounding explains.
    """

    text: str
    build: Build
    real: Array
    slack: Array


@dataclass(frozen=True)
class Folds:
    """Which constants of one model follow from the other's.

    Attributes:
        values: constant's name -> what it is.
        first: whether the constants are those of the first model.
        deviation: the largest relative deviation of a constant from its value.
    """

    values: Mapping[str, Value] = field(default_factory=dict[str, Value])
    first: bool = False
    deviation: float = 0.0

    def embed(self, ar: Arithmetic) -> Embed:
        """How the constants enter an arithmetic."""

        def run(name: str, array: Array) -> Tensor:
            value = self.values.get(name)
            if value is None:
                return ar.constant(array)
            return ar.move(lambda a: a.reshape(array.shape), value.build(ar))

        return run


def find(
    model: Model,
    other: Model,
    missing: Collection[str],
    unused: Collection[str],
    values: Mapping[str, Array],
    *,
    first: bool = False,
) -> Folds:
    """Match constants of ``other`` with what follows from those of ``model``.

    Args:
        model: the model whose constants are computed with.
        other: the model whose constants are matched.
        missing: names of constants of ``other`` that ``model`` does not hold.
        unused: names of constants of ``model`` that ``other`` does not hold.
        values: inputs of ``model`` by name, for the shapes of its values.
        first: whether ``other`` is the first of the two that are compared.
    """
    wanted = {
        c.name: c for c in other.constants()
        if c.name in missing and c.size > 1 and c.dtype in UNITS
    }  # fmt: skip
    if not wanted:
        return Folds()
    sizes = {c.size for c in wanted.values()}
    found: dict[str, Value] = {}
    worst = 0.0
    held = [c.real() for c in model.constants() if c.dtype in UNITS and 1 < c.size <= max(sizes)]
    for value in _candidates(model, unused, values, sizes):
        for name, constant in wanted.items():
            if name in found or constant.size != value.real.size:
                continue
            given = constant.real().astype(np.float64).reshape(-1)
            real = value.real.reshape(-1)
            unit = UNITS[constant.dtype]
            slack = np.where(_held(real, held), 0.0, value.slack.reshape(-1) * unit)
            # A double is known to its last bit only where it is the same.
            exact = _EXACT * np.abs(real) if unit > _EXACT else 0.0
            with quiet():
                near = np.abs(given - real) <= slack + exact
            if bool(np.all(near)):
                found[name] = value
                apart = np.abs(given - real)[real != 0] / np.abs(real[real != 0])
                worst = max(worst, float(apart.max(initial=0.0)))
        if len(found) == len(wanted):
            break
    return Folds(found, first, worst)


def _held(real: Array, constants: Sequence[Array]) -> Array:
    """Where a value is a constant of the model already, up to sign and powers of two.

    Nothing was computed there, so nothing was rounded.
    """
    same = np.zeros(real.shape, bool)
    digits = np.abs(np.frexp(real)[0])
    for constant in constants:
        if constant.size == real.size:
            own = np.abs(np.frexp(constant.astype(np.float64).reshape(-1))[0])
            same |= np.abs(digits - own) <= _EXACT
    return same


def _candidates(
    model: Model, unused: Collection[str], values: Mapping[str, Array], sizes: set[int]
) -> Iterator[Value]:
    yield from _computed(model, sizes)
    for chain in chains(model, unused, values):
        try:
            yield from _of_chain(model, chain, sizes)
        except (UnsupportedError, ExecutionError):
            continue


def _computed(model: Model, sizes: set[int]) -> Iterator[Value]:
    """Values that the model itself computes from its constants."""
    for name in constant_values(model):
        try:
            real = np.asarray(model.part(Float64(), {}, [name])[name])
            if real.dtype.kind != "f" or real.size not in sizes:
                continue
            spread = np.zeros(real.shape)
            for run in range(_RUNS):
                ar = Float64(np.random.default_rng((1, run)), _UNIT)
                spread = np.maximum(spread, np.abs(model.part(ar, {}, [name])[name] - real))
        except (UnsupportedError, ExecutionError):
            continue
        build = _part(model, name)
        # What is only moved is not rounded; what is computed may be once more in the end.
        slack = np.where(spread > 0, SAFETY * spread / _UNIT + np.abs(real), 0.0)
        yield Value(name, build, real, slack)


def _part(model: Model, name: str) -> Build:
    return lambda ar: model.part(ar, {}, [name])[name]


class _Magnitude(Float64):
    """Sums of magnitudes: what the rounding errors of a sum are relative to."""

    def constant(self, values: Array | float | int) -> Array:
        return np.abs(super().constant(values))

    def neg(self, a: Tensor) -> Array:
        return np.asarray(a)


def _of_chain(model: Model, chain: Chain, sizes: set[int]) -> Iterator[Value]:
    """What is left of a product, or of nothing, behind steps that scale and shift its channels."""
    count = chain.channels
    slack = _ROUNDINGS * (len(chain.steps) + 1)

    def at(start: Array) -> Build:
        """The chain on a vector of channels."""

        def run(ar: Arithmetic) -> Tensor:
            shape = chain.shape
            given = {chain.start: ar.constant(start.reshape(shape))}
            end = model.part(ar, given, [chain.end])[chain.end]
            return ar.move(lambda a: a.reshape(-1), end)

        return run

    zero, one = np.zeros(count), np.ones(count)

    def gain(ar: Arithmetic) -> Tensor:
        return ar.sub(at(one)(ar), at(zero)(ar))

    def value(text: str, build: Build, size: Array, exact: Array) -> Value:
        real = np.asarray(build(Float64()))
        return Value(text, build, real, np.where(exact, 0.0, slack * size))

    behind = f"behind {', '.join(step.label for step in chain.steps)}"
    factor = np.asarray(gain(Float64()))
    if factor.size != count:
        return
    # A power of two rounds nothing.
    exact = np.abs(np.frexp(factor)[0]) == 0.5
    scale = value(f"the scale {behind}", gain, np.abs(factor), exact)
    blocked = {count + -count % block for block in _BLOCKS}
    if not sizes.isdisjoint({count, *blocked}):
        starts = [("nothing", zero)] + [(c.name, c.real().reshape(-1)) for c in chain.vectors]
        for name, start in starts:
            size = np.asarray(at(np.abs(start).astype(np.float64))(_Magnitude()))
            real = start.astype(np.float64)
            same = exact & (np.asarray(at(real)(Float64())) == factor * real)
            shift = value(f"{name} {behind}", at(real), size, same)
            yield shift
            yield from _blocked(shift)
        yield scale
    for weight in chain.weights:
        if weight.size > max(sizes):
            continue
        real = weight.real()
        for axis in (a for a, n in enumerate(real.shape) if n == count):
            build = _scaled(real, gain, axis)
            size = np.abs(np.asarray(build(Float64())))
            along = exact.reshape([-1 if a == axis else 1 for a in range(real.ndim)])
            same = np.broadcast_to(along, real.shape)
            scaled = value(f"{weight.name} {behind}", build, size, same)
            yield scaled
            yield from _turned(scaled)
            yield from _blocked(scaled)


def _turned(value: Value) -> Iterator[Value]:
    """A matrix the other way round, as ``Gemm`` may have it."""
    if value.real.ndim == 2:
        build = value.build
        yield Value(
            f"{value.text}, transposed", lambda ar: ar.move(np.transpose, build(ar)),
            value.real.T, value.slack.T,
        )  # fmt: skip


def _blocked(value: Value) -> Iterator[Value]:
    """A convolution's weight or bias as ONNX Runtime stores it: OIHWio or OIHWo, zeros added."""
    rank = value.real.ndim
    for block in _BLOCKS:
        out, *rest = value.real.shape
        fill = [(0, -out % block), *[(0, 0)] * (rank - 1)]
        outer = (-(-out // block), block)
        moves = [((*outer, *rest), (0, *range(2, rank + 1), 1))]
        if rank == 4 and rest[0] % block == 0:
            moves.append(((*outer, rest[0] // block, block, *rest[1:]), (0, 2, 4, 5, 3, 1)))
        for shape, order in moves if rank == 4 else [((-1,), (0,))]:

            def turned(
                a: Array, fill: Any = fill, shape: tuple[int, ...] = shape, order: Any = order
            ) -> Array:
                return np.pad(a, fill).reshape(shape).transpose(order)

            yield Value(
                f"{value.text}, in blocks of {block}",
                lambda ar, turned=turned: ar.move(turned, value.build(ar)),
                turned(value.real), turned(value.slack),
            )  # fmt: skip


def _scaled(weight: Array, gain: Build, axis: int) -> Build:
    def run(ar: Arithmetic) -> Tensor:
        shape = [-1 if a == axis else 1 for a in range(weight.ndim)]
        return ar.mul(ar.constant(weight), ar.move(lambda a: a.reshape(shape), gain(ar)))

    return run
