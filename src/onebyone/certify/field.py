"""The layer ``field``: both graphs at random points of three prime fields.

Equal everywhere means, up to a stated probability, equal as expressions over the real weights: no
tolerance takes part. Unequal is no proof of a difference by itself, since hashes know only some of
the identities of real functions; so a difference is claimed only where both models use the same
nonlinear functions *and* their float64 outputs differ by more than float64 rounding explains.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from onebyone.certify import folded as computed
from onebyone.certify import locate
from onebyone.certify.certificate import Finding, Verdict, Witness
from onebyone.certify.float_gap import excess, real_gap
from onebyone.certify.inputs import Ports, Shapes, draw, draws, renamed, shapes
from onebyone.certify.modular import Field
from onebyone.certify.residues import PRIMES
from onebyone.certify.traces import Mismatch, Trace, as_numbers, find_mismatch, run_both, trace
from onebyone.dialects.protocol import Model
from onebyone.kernels.arithmetic import Array
from onebyone.kernels.errors import ExecutionError, OverBudgetError, UnsupportedError


def check(
    a: Model,
    b: Model,
    ports: Ports,
    given: Mapping[str, Array],
    *,
    seed: int = 0,
    seconds: float = 120.0,
    folded: Mapping[str, float] | None = None,
) -> Finding:
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
        layer = Finding("field", Verdict.UNDECIDED, f"not understood: {error}")
    except OverBudgetError as error:
        layer = Finding("field", Verdict.UNDECIDED, f"over the budget of {seconds:.0f} s: {error}")
    return Finding(
        "field", layer.verdict, layer.summary, layer.evidence, layer.witness,
        time.monotonic() - start,
    )  # fmt: skip


def _check(
    a: Model,
    b: Model,
    ports: Ports,
    given: Mapping[str, Array],
    seed: int,
    deadline: float,
    folded: Mapping[str, float],
) -> Finding:
    failure = "no size of the dynamic dimensions was found that both models run"
    for shape in shapes(ports, given):
        values = draw(a, b, ports, shape, given, seed)
        try:
            first = trace(a, values, PRIMES[0], seed, deadline)
        except ExecutionError as error:
            failure = f"the first model does not run: {error}"
            continue
        try:
            second = trace(b, renamed(values, ports), PRIMES[0], seed, deadline)
        except ExecutionError as error:
            failure = f"the second model does not run where the first does: {error}"
            continue
        reals = draws(a, b, ports, shape, given, seed)
        return _compare(
            a, b, ports, given, reals, shape, (first, second), seed, deadline, folded
        )  # fmt: skip
    return Finding("field", Verdict.UNDECIDED, failure)


def _compare(
    a: Model,
    b: Model,
    ports: Ports,
    given: Mapping[str, Array],
    reals: Sequence[Mapping[str, Array]],
    shape: Shapes,
    traces: tuple[Trace, Trace],
    seed: int,
    deadline: float,
    folded: Mapping[str, float],
    folds: computed.Folds | None = None,
) -> Finding:
    first, second = traces
    evidence: dict[str, Any] = {
        "sizes": {name: list(size) for name, size in shape.sizes.items()},
        "symbols": shape.symbols,
        "seed": seed,
        "primes": [first.ar.prime],
        "functions": [sorted(first.ar.used), sorted(second.ar.used)],
    }
    outputs = [np.size(as_numbers(v)) for v in first.outputs.values()]
    if not sum(outputs):
        return Finding("field", Verdict.UNDECIDED, "the outputs have no elements", evidence)
    values = reals[0]
    mismatch = find_mismatch(ports, first, second)
    if mismatch is not None and folds is None and a.positional != b.positional:
        folds = _folds(a, b, ports, values)
        if folds.values:
            traces = run_both(a, b, ports, values, PRIMES[0], seed, deadline, folds, follow=True)
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
        one, two = run_both(a, b, ports, values, prime, seed, deadline, folds)
        mismatch = find_mismatch(ports, one, two)
        if mismatch is not None:
            traces = run_both(a, b, ports, values, prime, seed, deadline, folds, follow=True)
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
        return Finding("field", Verdict.PROVED, text, evidence)
    if mismatch is None:
        reason = "comparisons or lookups inside the models see different data"
        if steering:
            reason = f"values of the inputs decide what is computed, at {', '.join(steering)}"
        return Finding("field", Verdict.UNDECIDED, f"the outputs agree, but {reason}", evidence)
    return _difference(a, b, ports, reals, traces, mismatch, evidence, folded)


def _folds(a: Model, b: Model, ports: Ports, values: Mapping[str, Array]) -> computed.Folds:
    if a.positional:
        return computed.find(a, b, values)
    return computed.find(b, a, renamed(values, ports))


def _assumed(first: Field, second: Field, folds: computed.Folds) -> list[str]:
    """What equal residues take for granted."""
    assumed: list[str] = []
    if len(first.hidden | second.hidden) > 1:
        assumed.append("no row of an attention mask is masked completely")
    if folds.values:
        names = ", ".join(folds.values)
        assumed.append(f"the constants {names} are values of the program, rounded")
    return assumed


def _difference(
    a: Model,
    b: Model,
    ports: Ports,
    reals: Sequence[Mapping[str, Array]],
    traces: tuple[Trace, Trace],
    mismatch: Mismatch,
    evidence: dict[str, Any],
    folded: Mapping[str, float],
) -> Finding:
    first, second = traces
    evidence["mismatch"] = str(mismatch)
    where = locate.first_difference(
        locate.Run(first.steps, first.prints, [p.name for p, _ in ports.outputs]),
        locate.Run(second.steps, second.prints, [q.name for _, q in ports.outputs]),
        [(p.name, q.name) for p, q in ports.inputs],
    )
    evidence["first_difference"] = {"first": where.first, "second": where.second}
    same = first.ar.used == second.ar.used
    gaps = [real_gap(a, b, ports, values, folded, same) for values in reals]
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
