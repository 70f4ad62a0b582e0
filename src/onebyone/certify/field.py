"""The layer ``field``: both graphs at random points of prime fields that are drawn for each run.

Equal everywhere means, up to a stated probability, equal as expressions over the real weights: no
tolerance takes part. Unequal is no proof of a difference by itself, since hashes know only some of
the identities of real functions; so a difference is claimed only where both models use the same
nonlinear functions *and* their float64 outputs differ by more than float64 rounding explains.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import numpy as np

from onebyone.certify import folded, locate, weights
from onebyone.certify.certificate import Finding, Verdict, Witness
from onebyone.certify.embedding import Leeway
from onebyone.certify.float_gap import excess, real_gap
from onebyone.certify.inputs import Ports, Shapes, draw, draws, shapes
from onebyone.certify.residues import drawn_primes, has_roots, pool
from onebyone.certify.traces import Mismatch, Point, Trace, as_numbers, find_mismatch, run_both
from onebyone.dialects.protocol import Model
from onebyone.kernels.arithmetic import Array
from onebyone.kernels.element import Element
from onebyone.kernels.errors import ExecutionError, OverBudgetError, UnsupportedError

# Sets of sizes that models with symbols are compared at.
SETS = 3
# A set of sizes is compared modulo primes until a chance agreement is less likely than this, or as
# many as may be have been tried. Where there is one set, at least three.
_CHANCE = 1e-6
_LEAST, _MOST = 2, 6
_HALF = {"float16", "bfloat16"}
# Numbers whose roots a prime may be asked to have.
_ROOTS = 6
# What a proof may assume, from nothing to most. Where a set suffices, it is told.
_LEEWAYS = (
    Leeway(),
    Leeway(rounded=True),
    Leeway(rounded=True, scales=True),
    Leeway(rounded=True, hidden=True),
    Leeway(rounded=True, scales=True, hidden=True),
)


@dataclass
class _Comparison:
    """Two models, and what all runs of them share."""

    a: Model
    b: Model
    ports: Ports
    given: Mapping[str, Array]
    seed: int
    deadline: float
    missing: Mapping[str, float]
    unused: Collection[str]
    leeway: Leeway = field(init=False)
    folds: folded.Folds = field(default_factory=folded.Folds)
    guessed: folded.Folds = field(default_factory=folded.Folds)
    fixed: bool = False
    roots: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        self._primes = drawn_primes(self.seed)
        types = {q.dtype for pair in self.ports.outputs for q in pair if "float" in q.dtype}
        native = types.pop() if len(types) == 1 and types <= _HALF else ""
        self.leeways = tuple(replace(leeway, native=native) for leeway in _LEEWAYS)
        self.leeway = self.leeways[0]

    def primes(self) -> Iterator[int]:
        """Primes that were not used before, in which the roots that were asked for are roots."""
        return (p for p in self._primes if has_roots(p, self.roots))

    def moved(self, point: Point, prime: int) -> Point:
        """The point modulo another prime."""
        # Half of all primes have roots at all, of these half those of each number.
        among = len(pool()) >> (len(self.roots) + 1) if self.roots else 0
        return replace(point, prime=prime, among=among)

    def point(self, shape: Shapes, prime: int) -> Point:
        """A point at these sizes."""
        seed = self.seed + prime
        values = draw(self.a, self.b, self.ports, shape, self.given, seed)
        for p, _ in self.ports.inputs:
            if p.default is not None:
                values.setdefault(p.name, p.default())
        return self.moved(Point(values, prime, seed, self.leeway, self.fixed), prime)

    def run(self, point: Point, follow: bool = False) -> tuple[Trace, Trace]:
        """Both models there; integers are taken as they are where they steer sizes."""
        point = replace(point, leeway=self.leeway, fixed=self.fixed)
        try:
            return run_both(self.a, self.b, self.ports, point, self.deadline, self.folds, follow)
        except UnsupportedError:
            exact = [v for v in point.values.values() if v.dtype.kind in "biu"]
            if self.fixed or not exact:
                raise
            fixed = replace(point, fixed=True)
            both = run_both(self.a, self.b, self.ports, fixed, self.deadline, self.folds, follow)
            self.fixed = True
            return both


def check(
    a: Model,
    b: Model,
    ports: Ports,
    given: Mapping[str, Array],
    *,
    seed: int = 0,
    seconds: float = 120.0,
    missing: Mapping[str, float] | None = None,
    unused: Collection[str] = (),
    sizes: Sequence[Shapes] = (),
) -> Finding:
    """Compare two models modulo primes.

    Args:
        a: the first model.
        b: the second model.
        ports: their inputs and outputs, paired.
        given: inputs from the user; shapes are taken from them.
        seed: of the primes, the random points and the hashes.
        seconds: time after which the answer is undecided.
        missing: constants of ``b`` that are none of ``a``'s, with the relative error that
            rounding may have put into them.
        unused: constants of ``a`` that are none of ``b``'s.
        sizes: sizes at which the first model is known to run; where there are none, usual ones.
    """
    start = time.monotonic()
    comparison = _Comparison(a, b, ports, given, seed, start + seconds, missing or {}, unused)
    try:
        layer = _check(comparison, sizes or shapes(ports, given))
    except UnsupportedError as error:
        layer = Finding("field", Verdict.UNDECIDED, f"not understood: {error}")
    except OverBudgetError as error:
        layer = Finding("field", Verdict.UNDECIDED, f"over the budget of {seconds:.0f} s: {error}")
    return replace(layer, seconds=time.monotonic() - start)


def _check(c: _Comparison, sizes: Iterable[Shapes]) -> Finding:
    failure = "no size of the dynamic dimensions was found that both models run"
    done: list[_Set] = []
    for shape in sizes:
        try:
            compared = _at(c, shape)
        except ExecutionError as error:
            failure = f"a model does not run at {shape.sizes}: {error}"
            continue
        if isinstance(compared, Finding):
            return compared
        done.append(compared)
        if len(done) == SETS:
            break
    if not done:
        return Finding("field", Verdict.UNDECIDED, failure)
    return _equal(c, done)


@dataclass
class _Set:
    """A set of sizes at which the models agree.

    Attributes:
        shape: the sizes.
        primes: modulo what.
        chance: that they agree although they differ there.
        traces: the last run of each.
        elements: number of output elements.
    """

    shape: Shapes
    primes: list[int]
    chance: float
    traces: tuple[Trace, Trace]
    elements: int


def _at(c: _Comparison, shape: Shapes) -> _Set | Finding:
    """Compare at one set of sizes."""
    primes: list[int] = []
    chance, traces, elements = 1.0, None, 0
    least = _LEAST if _is_dynamic(c) else _LEAST + 1
    for prime in islice(c.primes(), _MOST):
        point = c.point(shape, prime)
        traces, mismatch = _agreeing(c, point)
        if mismatch is not None:
            return _difference(c, shape, point, mismatch)
        primes.append(prime)
        elements = sum(np.size(as_numbers(v)) for v in traces[0].outputs.values())
        chance *= max(map(_chance, traces))
        if chance <= _CHANCE and len(primes) >= least:
            break
    assert traces is not None, "there are primes"
    return _Set(shape, primes, chance, traces, elements)


def _is_dynamic(c: _Comparison) -> bool:
    """Whether some size is left open, by the files and by the user."""
    return any(
        p.name not in c.given and not all(isinstance(n, int) for n in shape)
        for p, q in c.ports.inputs
        if (shape := p.shape or q.shape) is not None
    )


def _agreeing(c: _Comparison, point: Point) -> tuple[tuple[Trace, Trace], Mismatch | None]:
    """Both runs; where they part, with more leeway, and with constants that one model computes."""
    traces = c.run(point)
    mismatch = _parting(c, traces)
    if mismatch is None:
        return traces, None
    before, first = (c.leeway, c.folds, c.roots), (traces, mismatch)
    if not c.folds.values and (folds := _folds(c, point)).values:
        c.folds = c.guessed = folds
        traces = c.run(point)
        mismatch = _parting(c, traces)
    for leeway in c.leeways[c.leeways.index(c.leeway) + 1 :]:
        if mismatch is None:
            break
        c.leeway, c.roots = leeway, before[2]
        traces = c.run(point)
        mismatch = _parting(c, traces)
        roots = frozenset[int]().union(*(t.ar.roots for t in traces))
        if mismatch is not None and leeway.rounded and 0 < len(roots) <= _ROOTS:
            # A root of one may be the square of a root of the other.
            c.roots = roots
            traces = c.run(c.moved(point, next(c.primes())))
            mismatch = _parting(c, traces)
    if mismatch is None:
        return traces, None
    c.leeway, c.folds, c.roots = before
    return first


def _chance(run: Trace) -> float:
    """That an output agrees although it differs."""
    elements = [v for v in run.outputs.values() if isinstance(v, Element)]
    return max((run.ar.chance(e.height) for e in elements), default=0.0)


def _parting(c: _Comparison, traces: tuple[Trace, Trace]) -> Mismatch | None:
    """Where two runs part; a number that stands for infinity must have hidden scores alone."""
    mismatch = find_mismatch(c.ports, *traces)
    if mismatch is not None or not c.leeway.hidden:
        return mismatch
    for run in traces:
        run.ar.expose(*(v for v in run.outputs.values() if isinstance(v, Element)))
    if not any(run.ar.exposed for run in traces):
        return None
    name = c.ports.outputs[0][0].name
    return Mismatch(f"{name} sees infinities", name, (), 0, 0, traces[0].ar.prime)


def _folds(c: _Comparison, point: Point) -> folded.Folds:
    """Constants that one model computed from the other's."""
    found = folded.find(c.a, c.b, c.missing, c.unused, point.values)
    if found.values or not c.b.positional or c.a.positional:
        return found
    turned = weights.check(c.b, c.a)
    theirs = {q.name: point.values[p.name] for p, q in c.ports.inputs}
    return folded.find(c.b, c.a, turned.folded, turned.unused, theirs, first=True)


def _evidence(c: _Comparison, sets: Sequence[_Set]) -> dict[str, Any]:
    first = sets[0]
    return {
        "sizes": {name: list(size) for name, size in first.shape.sizes.items()},
        "symbols": first.shape.symbols,
        "other_sizes": [
            {name: list(size) for name, size in s.shape.sizes.items()} for s in sets[1:]
        ],
        "seed": c.seed,
        "primes": [p for s in sets for p in s.primes],
        "functions": [sorted(t.ar.used) for t in first.traces],
    }


def _equal(c: _Comparison, sets: Sequence[_Set]) -> Finding:
    evidence = _evidence(c, sets)
    elements = sum(s.elements for s in sets)
    if not elements:
        return Finding("field", Verdict.UNDECIDED, "the outputs have no elements", evidence)
    chance = max(s.chance for s in sets)
    conditions = sorted(set[str]().union(*(t.ar.conditions for s in sets for t in s.traces)))
    assumed = [*conditions, *_assumed(c, sets)]
    evidence |= {"elements": elements, "collision_bound": chance, "assumed": assumed,
                 "computed_constants": {n: v.text for n, v in c.folds.values.items()}}  # fmt: skip
    # Exporters write masks in their own way; of two files of one kind each may be meant as it is.
    if conditions and c.a.positional == c.b.positional:
        text = f"equal modulo {len(evidence['primes'])} primes, if {' and '.join(conditions)}"
        evidence["conditions"] = conditions
        return Finding("field", Verdict.UNDECIDED, text, evidence)
    if c.fixed:
        text = "equal for the integers tried, and their values decide sizes or what is computed"
        return Finding("field", Verdict.UNDECIDED, text, evidence)
    if chance > _CHANCE:
        text = (
            f"equal modulo {len(evidence['primes'])} primes, but the numbers in it are so large "
            f"that {chance:.1g} of all draws of primes would not tell them from others"
        )
        return Finding("field", Verdict.UNDECIDED, text, evidence)
    where = f" at each of {len(sets)} sets of sizes" if len(sets) > 1 else ""
    text = (
        f"{elements} output elements equal modulo {len(evidence['primes'])} primes (seed {c.seed})"
        f"{where}; a chance agreement has probability below {chance:.0e}"
    )
    text += f"; assumed: {', '.join(assumed)}" if assumed else ""
    return Finding("field", Verdict.PROVED, text, evidence)


def _assumed(c: _Comparison, sets: Sequence[_Set]) -> list[str]:
    """What equal residues take for granted."""
    assumed: list[str] = []
    hidden = set[str]().union(*(t.ar.hidden for s in sets for t in s.traces))
    if len(hidden) > 1:
        numbers = " and ".join(sorted(hidden))
        assumed.append(f"{numbers} hide scores alike")
    read: list[dict[float, str]] = [{}, {}]
    for s in sets:
        for seen, run in zip(read, s.traces, strict=True):
            seen.update(run.ar.stands_for)
    only = {**read[0], **read[1]}
    for number in read[0].keys() & read[1].keys():
        only.pop(number)
    if only:
        names = ", ".join(f"{number:.9g} is {text}" for number, text in sorted(only.items()))
        assumed.append(f"up to the rounding of {len(only)} constants: {names}")
    if c.folds.values:
        names = list(c.folds.values)
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        assumed.append(
            f"up to the rounding of {len(names)} constants that follow from the "
            f"{'second' if c.folds.first else 'first'} model's ({', '.join(names[:5])}{more}; "
            f"largest relative deviation {c.folds.deviation:.1e})"
        )
    return assumed


def _difference(c: _Comparison, shape: Shapes, point: Point, mismatch: Mismatch) -> Finding:
    first, second = c.run(point, follow=True)
    sets = [_Set(shape, [point.prime], 1.0, (first, second), 0)]
    evidence = _evidence(c, sets) | {"mismatch": str(mismatch)}
    where = locate.first_difference(
        locate.Run(first.steps, first.prints, [p.name for p, _ in c.ports.outputs]),
        locate.Run(second.steps, second.prints, [q.name for _, q in c.ports.outputs]),
        [(p.name, q.name) for p, q in c.ports.inputs],
    )
    evidence["first_difference"] = {"first": where.first, "second": where.second}
    same = first.ar.used == second.ar.used
    tried = [point.values, *draws(c.a, c.b, c.ports, shape, c.given, c.seed)]
    gaps = [real_gap(c.a, c.b, c.ports, values, c.missing, same, c.guessed) for values in tried]
    gap, bound = max(gaps, key=excess)
    evidence |= {"float64_difference": gap, "float64_bound": bound}
    if gap > bound:
        fact = (
            f"{mismatch}; in float64 the outputs differ by {gap:.1e}, rounding explains {bound:.0e}"
        )
        witness = Witness(
            "field point" if same else "input", where.first, where.second, f"{where.why}; {fact}"
        )
        return Finding(
            "field", Verdict.DIFFERS,
            f"first difference at {where.second} (in the first: {where.first}): {where.why}",
            evidence, witness,
        )  # fmt: skip
    reason = "an identity that the field does not know, or folded constants"
    if not same:
        only = [sorted(x.ar.used - y.ar.used) for x, y in ((first, second), (second, first))]
        reason = f"only the first uses {_names(only[0])}, only the second {_names(only[1])}"
    return Finding(
        "field", Verdict.UNDECIDED,
        f"unequal from {where.second} on, but {gap:.1e} apart in float64, where rounding explains "
        f"{bound:.1e}: {reason}",
        evidence,
    )  # fmt: skip


def _names(names: list[str]) -> str:
    return ", ".join(names) or "none"
