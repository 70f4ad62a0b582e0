"""The layer ``field``: both graphs at random points of three prime fields.

Equal everywhere means, up to a stated probability, equal as expressions over the real weights: no
tolerance takes part. Unequal is no proof of a difference by itself, since hashes know only some of
the identities of real functions; so a difference is claimed only where both models use the same
nonlinear functions *and* their float64 outputs differ by more than float64 rounding explains.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from onebyone.certify import folded as computed
from onebyone.certify import locate
from onebyone.certify.certificate import Layer, Verdict, Witness
from onebyone.certify.modular import PRIMES, Field
from onebyone.certify.noise import SAFETY, deviation, spread
from onebyone.certify.points import Ports, Shapes, draw, draws, embedded, renamed, shapes, truth
from onebyone.dialects.base import (
    Embed,
    ExecutionError,
    OverBudgetError,
    Program,
    Step,
    UnsupportedError,
)
from onebyone.dialects.reference.arithmetic import Array, Element, Tensor

# A scalar constant that was rounded to float32, and perhaps computed from such a one.
_ROUNDED = 4 * 2.0**-24

_HALVES = {"float16": 2.0**-11, "bfloat16": 2.0**-8}

# A form that loses more than half of float64's digits where the other loses few is no rounding
# of it: it would have no digit left in float32.
_HALF = 2.0**-26


@dataclass
class Trace:
    """One run: its outputs, a fingerprint of each value on the way, and values to be kept."""

    outputs: dict[str, Tensor]
    ar: Field
    steps: list[Step] = field(default_factory=list[Step])
    prints: dict[str, int] = field(default_factory=dict[str, int])
    kept: dict[str, Tensor] = field(default_factory=dict[str, Tensor])


@dataclass(frozen=True)
class Mismatch:
    """An output that differs: element ``index`` is ``first`` and ``second`` modulo ``prime``."""

    output: str
    other: str
    index: tuple[int, ...]
    first: int
    second: int
    prime: int

    def __str__(self) -> str:
        place = f"{self.output}{list(self.index)}" if self.index else self.output
        return f"{place} is {self.first} and {self.second} modulo {self.prime}"


def check(
    a: Program,
    b: Program,
    ports: Ports,
    given: Mapping[str, Array],
    *,
    seed: int = 0,
    seconds: float = 120.0,
    folded: Mapping[str, float] | None = None,
) -> Layer:
    """Compare two models modulo `PRIMES`.

    Args:
        a: the first model.
        b: the second model.
        ports: their inputs and outputs, paired.
        given: inputs from the user; shapes, integers and masks are taken from them.
        seed: of the random point and of the hashes.
        seconds: time after which the answer is undecided.
        folded: constants of ``b`` that are none of ``a``'s, with the relative error that
            rounding may have put into them.
    """
    start = time.monotonic()
    deadline = start + seconds
    try:
        layer = _check(a, b, ports, given, seed, deadline, folded or {})
    except UnsupportedError as error:
        layer = Layer("field", Verdict.UNDECIDED, f"not understood: {error}")
    except OverBudgetError as error:
        layer = Layer("field", Verdict.UNDECIDED, f"over the budget of {seconds:.0f} s: {error}")
    return Layer(
        "field", layer.verdict, layer.summary, layer.evidence, layer.witness,
        time.monotonic() - start,
    )  # fmt: skip


def _check(
    a: Program,
    b: Program,
    ports: Ports,
    given: Mapping[str, Array],
    seed: int,
    deadline: float,
    folded: Mapping[str, float],
) -> Layer:
    failure = "no size of the dynamic dimensions was found that both models run"
    for shape in shapes(ports, given):
        values = draw(a, b, ports, shape, given, seed)
        try:
            first = _trace(a, values, PRIMES[0], seed, deadline)
        except ExecutionError as error:
            failure = f"the first model does not run: {error}"
            continue
        try:
            second = _trace(b, renamed(values, ports), PRIMES[0], seed, deadline)
        except ExecutionError as error:
            failure = f"the second model does not run where the first does: {error}"
            continue
        reals = draws(a, b, ports, shape, given, seed)
        return _compare(
            a, b, ports, given, reals, shape, (first, second), seed, deadline, folded
        )  # fmt: skip
    return Layer("field", Verdict.UNDECIDED, failure)


def _trace(
    program: Program,
    values: Mapping[str, Array],
    prime: tuple[int, int],
    seed: int,
    deadline: float,
    follow: bool = True,
    keep: Collection[str] = (),
    embed: Callable[[Field], Embed] | None = None,
) -> Trace:
    ar = Field(*prime, seed)
    trace = Trace({}, ar)

    def observe(step: Step, results: list[Tensor | None]) -> None:
        for name, result in zip(step.outputs, results, strict=False):
            if name in keep:
                trace.kept[name] = result
        if not follow:
            return
        trace.steps.append(step)
        for name, result in zip(step.outputs, results, strict=False):
            if isinstance(result, Element) or (
                isinstance(result, np.ndarray) and (result.dtype.kind == "b" or result.ndim > 1)
            ):
                trace.prints[name] = ar.fingerprint(result)

    trace.outputs = program.run(
        ar,
        embedded(ar, values, seed),
        deadline=deadline,
        observe=observe if follow or keep else None,
        embed=None if embed is None else embed(ar),
    )
    return trace


def _both(
    a: Program,
    b: Program,
    ports: Ports,
    values: Mapping[str, Array],
    prime: tuple[int, int],
    seed: int,
    deadline: float,
    folds: computed.Folds,
    follow: bool = False,
) -> tuple[Trace, Trace]:
    """A run of each; constants of a file that are values of a program get these values."""
    models = [(a, values), (b, renamed(values, ports))]
    order = (0, 1) if a.positional else (1, 0)
    (first, own), (second, other) = (models[i] for i in order)
    keep = set(folds.values.values())
    one = _trace(first, own, prime, seed, deadline, follow, keep)
    embed = (lambda ar: folds.embed(ar, one.kept)) if keep else None
    two = _trace(second, other, prime, seed, deadline, follow, embed=embed)
    return (one, two) if a.positional else (two, one)


def _compare(
    a: Program,
    b: Program,
    ports: Ports,
    given: Mapping[str, Array],
    reals: Sequence[Mapping[str, Array]],
    shape: Shapes,
    traces: tuple[Trace, Trace],
    seed: int,
    deadline: float,
    folded: Mapping[str, float],
    folds: computed.Folds | None = None,
) -> Layer:
    first, second = traces
    evidence: dict[str, Any] = {
        "sizes": {name: list(size) for name, size in shape.sizes.items()},
        "symbols": shape.symbols,
        "seed": seed,
        "primes": [first.ar.prime],
        "functions": [sorted(first.ar.used), sorted(second.ar.used)],
    }
    outputs = [np.size(_array(v)) for v in first.outputs.values()]
    if not sum(outputs):
        return Layer("field", Verdict.UNDECIDED, "the outputs have no elements", evidence)
    values = reals[0]
    mismatch = _mismatch(ports, first, second)
    if mismatch is not None and folds is None and a.positional != b.positional:
        folds = _folds(a, b, ports, values)
        if folds.values:
            traces = _both(a, b, ports, values, PRIMES[0], seed, deadline, folds, follow=True)
            return _compare(
                a, b, ports, given, reals, shape, traces, seed, deadline, folded, folds
            )  # fmt: skip
    folds = folds or computed.Folds({})
    decided = first.ar.decided == second.ar.decided
    for turn, prime in enumerate(PRIMES[1:], start=1):
        if mismatch is not None:
            break
        # Other integers and masks each time: a table has rows that one draw does not touch.
        values = draw(a, b, ports, shape, given, seed + turn)
        one, two = _both(a, b, ports, values, prime, seed, deadline, folds)
        mismatch = _mismatch(ports, one, two)
        if mismatch is not None:
            traces = _both(a, b, ports, values, prime, seed, deadline, folds, follow=True)
            reals = [values, *reals]
        decided = decided and one.ar.decided == two.ar.decided
        evidence["primes"].append(one.ar.prime)
    steering = sorted({*first.ar.steering, *second.ar.steering})
    if mismatch is None and decided and not steering:
        ar = first.ar
        chance = np.prod([(ar.depth + 1) * ar.degree / p for p in evidence["primes"]])
        evidence |= {"elements": int(sum(outputs)), "degree": ar.degree, "depth": ar.depth,
                     "collision_bound": float(chance)}  # fmt: skip
        assumed = _assumed(first.ar, second.ar, folds)
        evidence |= {"assumed": assumed, "computed_constants": dict(folds.values)}
        primes = len(evidence["primes"])
        text = (
            f"{sum(outputs)} output elements equal modulo {primes} primes; "
            f"a chance agreement has probability below {chance:.0e}"
        )
        text += f"; assumed: {', '.join(assumed)}" if assumed else ""
        return Layer("field", Verdict.PROVED, text, evidence)
    if mismatch is None:
        reason = "comparisons or lookups inside the models see different data"
        if steering:
            reason = f"values of the inputs decide what is computed, at {', '.join(steering)}"
        return Layer("field", Verdict.UNDECIDED, f"the outputs agree, but {reason}", evidence)
    return _difference(a, b, ports, reals, traces, mismatch, evidence, folded)


def _folds(a: Program, b: Program, ports: Ports, values: Mapping[str, Array]) -> computed.Folds:
    if a.positional:
        return computed.find(a, b, values)
    return computed.find(b, a, renamed(values, ports))


def _assumed(first: Field, second: Field, folds: computed.Folds) -> list[str]:
    """What equal residues take for granted."""
    found: list[str] = []
    if len(first.hidden | second.hidden) > 1:
        found.append("no row of an attention mask is masked completely")
    if folds.values:
        names = ", ".join(folds.values)
        found.append(f"the constants {names} are values of the program, rounded")
    return found


def _difference(
    a: Program,
    b: Program,
    ports: Ports,
    reals: Sequence[Mapping[str, Array]],
    traces: tuple[Trace, Trace],
    mismatch: Mismatch,
    evidence: dict[str, Any],
    folded: Mapping[str, float],
) -> Layer:
    first, second = traces
    evidence["mismatch"] = str(mismatch)
    where = locate.first_difference(
        locate.Run(first.steps, first.prints, [p.name for p, _ in ports.outputs]),
        locate.Run(second.steps, second.prints, [q.name for _, q in ports.outputs]),
        [(p.name, q.name) for p, q in ports.inputs],
    )
    evidence["first_difference"] = {"first": where.first, "second": where.second}
    same = first.ar.used == second.ar.used
    gaps = [_real_gap(a, b, ports, values, folded, same) for values in reals]
    gap, bound = max(gaps, key=_excess)
    evidence |= {"float64_difference": gap, "float64_bound": bound}
    if gap > bound:
        fact = (
            f"{mismatch}; in float64 the outputs differ by {gap:.1e}, rounding explains {bound:.0e}"
        )
        witness = Witness(
            "field point" if same else "input", where.first, where.second, f"{where.why}; {fact}"
        )
        return Layer(
            "field", Verdict.DIFFERS,
            f"first difference at {where.second} (in the first: {where.first}): {where.why}",
            evidence, witness,
        )  # fmt: skip
    reason = "an identity that the field does not know, or folded constants"
    if not same:
        only = [sorted(x.ar.used - y.ar.used) for x, y in ((first, second), (second, first))]
        reason = f"only the first uses {_names(only[0])}, only the second {_names(only[1])}"
    return Layer(
        "field", Verdict.UNDECIDED,
        f"unequal from {where.second} on, but {gap:.1e} apart in float64, where rounding explains "
        f"{bound:.1e}: {reason}",
        evidence,
    )  # fmt: skip


def _names(names: list[str]) -> str:
    return ", ".join(names) or "none"


def _real_gap(
    a: Program,
    b: Program,
    ports: Ports,
    values: Mapping[str, Array],
    folded: Mapping[str, float],
    same: bool,
) -> tuple[float, float]:
    """The float64 difference that exceeds its bound most, and that bound.

    Forms that use other functions may hold rounded numbers where the other has none (the root of
    two in a spelled-out Gelu): then every scalar constant counts as rounded. So it does between a
    program and a file, which holds a program's numbers in the type of its tensors.
    """
    theirs = renamed(values, ports)
    x, y = truth(a, values), truth(b, theirs)
    unit, scalars = 2.0**-53, 0.0 if same else _ROUNDED
    if a.positional != b.positional:
        types = {p.dtype for p, _ in (*ports.inputs, *ports.outputs)}
        half = max((_HALVES.get(name, 0.0) for name in types), default=0.0)
        scalars = max(scalars, _ROUNDED, 4 * half)
        # Attributes of a file have float32, also where its tensors have more.
        unit = 2.0**-24 if "float64" in types else unit
    spread_a = spread(a, values, x, unit=unit, scalars=scalars)
    spread_b = spread(b, theirs, y, unit=unit, scalars=scalars, constants=folded)
    found: list[tuple[float, float]] = []
    for p, q in ports.outputs:
        real = x[p.name]
        if real.dtype.kind == "f" and not np.isfinite(real).all():
            continue
        own = min(spread_b[q.name], _HALF * float(np.max(np.abs(real), initial=0.0)))
        bound = SAFETY * (spread_a[p.name] + own)
        found.append((deviation(real, y[q.name]), bound))
    return max(found, key=_excess, default=(0.0, 0.0))


def _excess(found: tuple[float, float]) -> float:
    """By how much a difference exceeds its bound."""
    gap, bound = found
    return gap / bound if bound else gap and float("inf")


def _mismatch(ports: Ports, first: Trace, second: Trace) -> Mismatch | None:
    for p, q in ports.outputs:
        x, y = first.outputs[p.name], second.outputs[q.name]
        u, v = _array(x), _array(y)
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


def _array(x: Tensor) -> Array:
    return x.residue if isinstance(x, Element) else np.asarray(x)
