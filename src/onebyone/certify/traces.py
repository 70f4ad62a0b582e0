"""Runs of both models modulo a prime, and the first output element at which they differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from onebyone.certify.embedding import Leeway
from onebyone.certify.folded import Folds
from onebyone.certify.inputs import Ports, renamed
from onebyone.certify.modular import Field
from onebyone.dialects.protocol import Embed, Model, Step
from onebyone.kernels.arithmetic import Array, Tensor
from onebyone.kernels.element import Element


@dataclass(frozen=True)
class Point:
    """Where both models are evaluated.

    Attributes:
        values: inputs of the first model by name, for their shapes and types, and for the values
            of those that are not generic.
        prime: the prime.
        seed: of the residues and of the hashes.
        leeway: what the models may differ in.
        among: number of primes that this one was drawn from; 0: all.
        fixed: whether integers and booleans are taken as they are. They are generic otherwise:
            residues of any value.
    """

    values: Mapping[str, Array]
    prime: int
    seed: int
    leeway: Leeway
    fixed: bool = False
    among: int = 0


@dataclass
class Trace:
    """One run modulo a prime.

    Attributes:
        outputs: by name; residues of data, exact integers and booleans.
        ar: the field, with what it counted on the way.
        steps: the nodes that were run, in order.
        prints: a fingerprint of each value by name, which does not depend on order or shape.
    """

    outputs: dict[str, Tensor]
    ar: Field
    steps: list[Step] = field(default_factory=list[Step])
    prints: dict[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True)
class Mismatch:
    """An output that differs: element ``index`` is ``first`` and ``second`` modulo ``prime``.

    Attributes:
        output: its name in the first model.
        other: its name in the second.
        index: position of the first element that differs, one number for each axis.
        first: that element's residue in the first model, in [0, p).
        second: the same in the second.
        prime: the prime p.
    """

    output: str
    other: str
    index: tuple[int, ...]
    first: int
    second: int
    prime: int

    def __str__(self) -> str:
        place = f"{self.output}{list(self.index)}" if self.index else self.output
        return f"{place} is {self.first} and {self.second} modulo {self.prime}"


def trace(
    model: Model,
    point: Point,
    values: Mapping[str, Array],
    deadline: float,
    follow: bool = False,
    embed: Callable[[Field], Embed] | None = None,
) -> Trace:
    """One run modulo a prime.

    Args:
        model: what is run.
        point: where.
        values: the point's inputs under this model's names.
        deadline: ``time.monotonic()`` after which the run stops.
        follow: whether every value leaves its fingerprint.
        embed: how constants enter the field; exactly by default.

    Raises:
        UnsupportedError: an operator is not understood.
        ExecutionError: a node does not fit its operands.
        OverBudgetError: the deadline has passed.
    """
    ar = Field(point.prime, point.seed, point.leeway, point.among)
    run = Trace({}, ar)

    def observe(step: Step, results: list[Tensor | None]) -> None:
        run.steps.append(step)
        for name, result in zip(step.outputs, results, strict=False):
            if isinstance(result, Element) or (
                isinstance(result, np.ndarray) and (result.dtype.kind == "b" or result.ndim > 1)
            ):
                run.prints[name] = ar.fingerprint(result)

    run.outputs = model.run(
        ar,
        _generic(ar, values, point),
        deadline=deadline,
        observe=observe if follow else None,
        embed=None if embed is None else embed(ar),
    )
    return run


def _generic(ar: Field, values: Mapping[str, Array], point: Point) -> dict[str, Tensor]:
    """The same residues for the inputs of both models, which come in the same order."""
    rng = np.random.default_rng((point.seed, point.prime))
    out: dict[str, Tensor] = {}
    for name, value in values.items():
        kind = value.dtype.kind
        if kind in "OUS" or (point.fixed and kind in "biu"):
            out[name] = value
        else:
            dtype = value.dtype if kind in "biu" else np.dtype(np.float64)
            out[name] = ar.random(value.shape, rng, dtype)
    return out


def run_both(
    a: Model,
    b: Model,
    ports: Ports,
    point: Point,
    deadline: float,
    folds: Folds,
    follow: bool = False,
) -> tuple[Trace, Trace]:
    """A run of each; constants of one that follow from the other's get their values.

    Args:
        a: the first model.
        b: the second model.
        ports: their inputs and outputs, paired.
        point: where.
        deadline: ``time.monotonic()`` after which a run stops.
        folds: which constants follow from what.
        follow: whether every value leaves its fingerprint.
    """
    embed = folds.embed if folds.values else None
    mine, theirs = (embed, None) if folds.first else (None, embed)
    one = trace(a, point, point.values, deadline, follow, embed=mine)
    return one, trace(b, point, renamed(point.values, ports), deadline, follow, embed=theirs)


def find_mismatch(ports: Ports, first: Trace, second: Trace) -> Mismatch | None:
    """The first element of an output that differs, None where all agree."""
    for p, q in ports.outputs:
        x, y = first.outputs[p.name], second.outputs[q.name]
        u, v = as_numbers(x), as_numbers(y)
        if u.shape != v.shape:
            return Mismatch(
                f"{p.name} has shape {list(u.shape)} against {list(v.shape)}: its rank or size",
                q.name, (), u.size, v.size, first.ar.prime,
            )  # fmt: skip
        prime = first.ar.prime
        if isinstance(x, Element) or isinstance(y, Element):
            unequal = np.argwhere((u - v) % prime != 0)
        else:
            unequal = np.argwhere(u != v)
        if len(unequal):
            index = tuple(int(i) for i in unequal[0])
            return Mismatch(
                p.name, q.name, index, int(u[index]) % prime, int(v[index]) % prime, prime
            )
    return None


def as_numbers(x: Tensor) -> Array:
    """A tensor as a numpy array: residues of data, exact values as they are."""
    return x.residue if isinstance(x, Element) else np.asarray(x)
