"""The layer ``rounding``: each model in its real runtime, both against float64 truth.

The first model in float64 is the truth for both. The bound on the error is what rounding explains
(see `onebyone.certify.noise`): it follows from the dtype and from the length of every sum on the
way, not from a number that someone chose. The models differ only where the second model's error
exceeds the bound and the first model's does not.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np

from onebyone.certify.certificate import Finding, Verdict, Witness
from onebyone.certify.inputs import Ports, Shapes, draws, renamed, shapes, truth
from onebyone.certify.noise import SAFETY, deviation, spread
from onebyone.dialects.protocol import Model, RuntimeRefusesError, RuntimeUnableError, Session
from onebyone.kernels.arithmetic import Array, quiet
from onebyone.kernels.errors import ExecutionError, UnsupportedError

# Of several inputs the worst answer counts.
_ORDER = (Verdict.DIFFERS, Verdict.UNDECIDED, Verdict.PROVED)


def check(
    a: Model, b: Model, ports: Ports, given: Mapping[str, Array], *, seed: int = 0
) -> Finding:
    """Measure the error of both models on the same inputs.

    Args:
        a: the first model.
        b: the second model.
        ports: their inputs and outputs, paired.
        given: inputs from the user; what is missing is drawn.
        seed: of the drawn inputs.
    """
    start = time.monotonic()
    try:
        layer = _check(a, b, ports, given, seed)
    except (RuntimeUnableError, UnsupportedError) as error:
        layer = Finding("rounding", Verdict.UNDECIDED, f"not understood: {error}")
    return Finding(
        "rounding", layer.verdict, layer.summary, layer.evidence, layer.witness,
        time.monotonic() - start,
    )  # fmt: skip


def _check(a: Model, b: Model, ports: Ports, given: Mapping[str, Array], seed: int) -> Finding:
    with ExitStack() as stack:
        try:
            first = _load(a, stack)
        except RuntimeRefusesError as error:
            text = f"{a.runtime} refuses the first model: {error}"
            return Finding("rounding", Verdict.UNDECIDED, text)
        try:
            second = _load(b, stack)
        except RuntimeRefusesError as error:
            return _failure(
                b, f"{a.runtime} loads the first model and {b.runtime} refuses the second: {error}"
            )
        return _measure(a, b, ports, given, seed, first, second)


def _load(model: Model, stack: ExitStack) -> list[Session]:
    sessions: list[Session] = []
    for mode in model.modes:
        sessions.append(model.session(mode))
        stack.callback(sessions[-1].close)
    return sessions


def _modes(a: Model, b: Model) -> list[tuple[str, int, int]]:
    """Runs that are compared: a name, and the mode of each model; the last one stands for more."""
    modes: list[tuple[str, int, int]] = []
    for n in range(max(len(a.modes), len(b.modes))):
        i, j = (min(n, len(model.modes) - 1) for model in (a, b))
        names = dict.fromkeys((a.modes[i], b.modes[j]))
        modes.append((" and ".join(names), i, j))
    return modes


def _measure(
    a: Model,
    b: Model,
    ports: Ports,
    given: Mapping[str, Array],
    seed: int,
    first: list[Session],
    second: list[Session],
) -> Finding:
    reason = "no size of the dynamic dimensions was found that both models run"
    failed: list[str] = []
    for shape in shapes(ports, given):
        layers: list[Finding] = []
        try:
            for values in draws(a, b, ports, shape, given, seed):
                mine = [session.run(values) for session in first]
                exact = truth(a, values)
                try:
                    theirs = [session.run(renamed(values, ports)) for session in second]
                except RuntimeRefusesError as error:
                    failed.append(
                        f"on inputs {_sizes(shape)} the first model runs and the second: {error}"
                    )
                    break
                layers.append(_compare(a, b, ports, values, shape, exact, mine, theirs, seed))
        except (RuntimeRefusesError, ExecutionError) as error:
            reason = f"the first model does not run: {error}"
            continue
        if layers:
            return min(layers, key=lambda layer: _ORDER.index(layer.verdict))
    if failed:
        return _failure(b, failed[0])
    return Finding("rounding", Verdict.UNDECIDED, reason)


def _failure(b: Model, why: str) -> Finding:
    return Finding("rounding", Verdict.DIFFERS, why, {}, Witness("failure", "runs", b.label, why))


def _sizes(shape: Shapes) -> str:
    return ", ".join(f"{name} {list(size)}" for name, size in shape.sizes.items())


def _compare(
    a: Model,
    b: Model,
    ports: Ports,
    values: Mapping[str, Array],
    shape: Shapes,
    exact: Mapping[str, Array],
    mine: list[dict[str, Array]],
    theirs: list[dict[str, Array]],
    seed: int,
) -> Finding:
    evidence: dict[str, Any] = {
        "sizes": {name: list(size) for name, size in shape.sizes.items()},
        "seed": seed,
        "outputs": {},
    }
    if not sum(v.size for v in exact.values()):
        return Finding("rounding", Verdict.UNDECIDED, "the outputs have no elements", evidence)
    expected = spread(a, values, exact)
    modes = _modes(a, b)
    names = [name for name, _, _ in modes]
    errors = {
        p.name: {
            mode: _errors(mine[i][p.name], theirs[j][q.name], exact[p.name]) for mode, i, j in modes
        }
        for p, q in ports.outputs
    }
    expected_in_b = dict.fromkeys(expected, 0.0)
    if any(
        errors[name][mode]["max"][1] > SAFETY * expected[name] for name in errors for mode in names
    ):
        # The second model may err in its own way: then it is judged by the larger of both bounds.
        double = any(p.dtype == "float64" for p, _ in (*ports.inputs, *ports.outputs))
        # A file's attributes have float32, also where its tensors have more; a program's do not.
        coarse = double and a.positional != b.positional
        expected_in_b = _spread_in_b(b, ports, values, 2.0**-24 if coarse else None)
    worst: tuple[float, str] | None = None
    unusable: list[str] = []
    for p, q in ports.outputs:
        real = exact[p.name]
        if real.dtype.kind == "f" and not np.isfinite(real).all():
            unusable.append(f"{p.name} is not finite on these inputs")
            continue
        bound = SAFETY * max(expected[p.name], expected_in_b[p.name])
        entry: dict[str, Any] = {"bound": bound, **errors[p.name]}
        evidence["outputs"][p.name] = entry
        for mode in names:
            error_a, error_b = entry[mode]["max"]
            if error_a > bound:
                unusable.append(
                    f"{p.name}: the first model itself errs by {error_a:.1e}, more than rounding "
                    f"explains ({bound:.1e})"
                )
            elif error_b > bound:
                return _difference(p.name, q.name, mode, entry, values, evidence)
            elif worst is None or error_b > worst[0]:
                worst = (error_b, _text(p.name, mode, entry))
    if unusable or worst is None:
        text = unusable[0] if unusable else "no output could be compared"
        return Finding("rounding", Verdict.UNDECIDED, text, evidence)
    return Finding("rounding", Verdict.PROVED, worst[1], evidence)


def _spread_in_b(
    b: Model, ports: Ports, values: Mapping[str, Array], unit: float | None
) -> dict[str, float]:
    """The second model's spread, under the names of the first."""
    other = renamed(values, ports)
    try:
        spreads = spread(b, other, truth(b, other), unit=unit)
    except (UnsupportedError, ExecutionError):
        return {p.name: 0.0 for p, _ in ports.outputs}
    return {p.name: spreads[q.name] for p, q in ports.outputs}


def _errors(mine: Array, theirs: Array, exact: Array) -> dict[str, Any]:
    """[first, second] maximal and RMS errors, and the ratio of the latter two's."""
    worst = [deviation(np.asarray(x), exact) for x in (mine, theirs)]
    with quiet():
        mean = [
            float(np.sqrt(np.mean((np.asarray(x, np.float64) - exact.astype(np.float64)) ** 2)))
            if x.shape == exact.shape
            else float("inf")
            for x in (mine, theirs)
        ]
    ratio = mean[1] / mean[0] if mean[0] else None
    return {"max": worst, "rms": mean, "ratio": ratio}


def _text(name: str, mode: str, entry: Mapping[str, Any]) -> str:
    one = entry[mode]
    ratio = "" if one["ratio"] is None else f", RMS ratio {one['ratio']:.2f}"
    return (
        f"{name} ({mode}): max error {one['max'][0]:.1e} and {one['max'][1]:.1e}{ratio}; "
        f"rounding explains {entry['bound']:.1e}"
    )


def _difference(
    name: str,
    other: str,
    mode: str,
    entry: Mapping[str, Any],
    values: Mapping[str, Array],
    evidence: dict[str, Any],
) -> Finding:
    text = _text(name, mode, entry)
    drawn = {n: f"{v.dtype}{list(v.shape)}" for n, v in values.items()}
    evidence["inputs"] = drawn
    return Finding("rounding", Verdict.DIFFERS, text, evidence, Witness("input", name, other, text))
