"""Whether what two models gave in their runtimes is the same, as far as rounding goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import ml_dtypes
import numpy as np

from onebyone.certify.certificate import Verdict
from onebyone.certify.drawing import Kind
from onebyone.certify.inputs import truth
from onebyone.certify.noise import RUNS, SAFETY, UNITS, Distance, distance, is_real, simulate
from onebyone.certify.peaks import Peak
from onebyone.certify.ports import Ports, renamed
from onebyone.certify.runtimes import Outputs, Runtimes
from onebyone.dialects.protocol import (
    Model,
    Port,
    RuntimeRefusesError,
    RuntimeUnableError,
)
from onebyone.kernels.arithmetic import Array
from onebyone.kernels.errors import ExecutionError, UnsupportedError

# What a runtime's kernels may lose on top of what a change of the inputs in the last place and its
# own optimizations do: where nothing else is known, far more is asked before models differ.
_FAR = 64.0
_CHANGES = 4
_CHANGE_ULPS = 16.0
# Sums of magnitudes exceed the largest value that is seen.
_HEADROOM = 64.0


@dataclass(frozen=True)
class Answer:
    """What one draw says.

    Attributes:
        verdict: ``proved``: both errors are what rounding explains.
        text: the fact, in one line.
        outputs: errors and bounds by output of the first model.
        where: the outputs that differ, where some do.
        contradicts: how the first model's runtime disagrees with its float64 truth; "" where it
            does not.
    """

    verdict: Verdict
    text: str
    outputs: dict[str, Any] = field(default_factory=dict[str, Any])
    where: tuple[str, str] = ("", "")
    contradicts: str = ""


@dataclass
class Judge:
    """Judges draws.

    Attributes:
        a: the first model.
        b: the second model.
        ports: their inputs and outputs, paired.
        runtimes: both, loaded.
        seed: of simulated errors.
        deadline: ``time.monotonic()`` after which nothing more is run.
        unknown: what the interpreter does not understand of the first model; "" where nothing.
        narrow: a type with fewer digits that the second model holds the first's weights in; what
            it loses so is none of the first model's rounding.
    """

    a: Model
    b: Model
    ports: Ports
    runtimes: Runtimes
    seed: int
    deadline: float | None = None
    unknown: str = ""
    narrow: str = ""
    # By output: the spread of a draw that was judged in full, and the output's scale in it.
    _known: dict[str, tuple[Distance, float]] = field(
        default_factory=dict[str, tuple[Distance, float]]
    )

    def judge(
        self,
        kind: Kind,
        values: Mapping[str, Array],
        mine: Sequence[Outputs],
        theirs: Sequence[Outputs],
        *,
        full: bool,
    ) -> Answer:
        """Compare one draw's outputs.

        Args:
            kind: of the draw.
            values: the inputs, by name in the first model.
            mine: the first model's outputs in each mode.
            theirs: the second's.
            full: whether the float64 truth is computed also where both models agree within what
                an earlier draw showed to be rounding.

        Raises:
            OverBudgetError: the deadline has passed.
        """
        answer = self._forms(mine, theirs)
        if answer is not None:
            return answer
        if not full and self._alike(mine, theirs):
            return Answer(Verdict.PROVED, "")
        if not self.unknown:
            try:
                answer = self._against_truth(kind, values, mine, theirs)
            except (UnsupportedError, ExecutionError) as error:
                self.unknown = f"not understood: {error}"
            else:
                if not answer.contradicts:
                    return answer
        direct = self._directly(kind, values, mine, theirs)
        if answer is None or direct.verdict is Verdict.DIFFERS:
            return direct
        return Answer(
            Verdict.UNDECIDED, f"{answer.contradicts}; {direct.text}", answer.outputs,
            contradicts=answer.contradicts,
        )  # fmt: skip

    def _forms(self, mine: Sequence[Outputs], theirs: Sequence[Outputs]) -> Answer | None:
        """A difference that no numbers are needed for."""
        for p, q in self.ports.outputs:
            for one, other in zip(mine, theirs, strict=True):
                x, y = one[p.name], other[q.name]
                if x.shape != y.shape and all(run[p.name].shape == x.shape for run in mine):
                    fact = f"has shape {list(x.shape)} in the first, {list(y.shape)}"
                elif is_real(x) != is_real(y):
                    fact = f"is {x.dtype} in the first, {y.dtype}"
                elif is_real(x) and x.shape == y.shape and np.any(np.isinf(x) & (x == -y)):
                    fact = "is infinite in the first, of the other sign"
                else:
                    continue
                text = f"{p.name} {fact} in the second"
                return Answer(Verdict.DIFFERS, text, where=(p.name, q.name))
        if not any(x.size for x in mine[0].values()):
            return Answer(Verdict.UNDECIDED, "the outputs have no elements")
        return None

    def _alike(self, mine: Sequence[Outputs], theirs: Sequence[Outputs]) -> bool:
        """Whether the outputs agree within an earlier draw's rounding, relative to their scale."""
        if not self._known:
            return False
        for p, q in self.ports.outputs:
            spread, scale = self._known[p.name]
            for one, other in zip(mine, theirs, strict=True):
                apart = distance(one[p.name], other[q.name])
                ratio = _scale(one[p.name]) / scale if scale else 0.0
                if apart.flips or apart.gap > SAFETY * spread.gap * ratio:
                    return False
        return True

    # With float64 truth.

    def _against_truth(
        self,
        kind: Kind,
        values: Mapping[str, Array],
        mine: Sequence[Outputs],
        theirs: Sequence[Outputs],
    ) -> Answer:
        exact = truth(self.a, values, deadline=self.deadline)
        errors = {
            p.name: [
                (distance(one[p.name], exact[p.name]), distance(other[q.name], exact[p.name]))
                for one, other in zip(mine, theirs, strict=True)
            ]
            for p, q in self.ports.outputs
        }
        spread = simulate(
            self.a, values, exact, runs=[(self.seed, 0)], deadline=self.deadline
        )  # fmt: skip
        both = spread
        if not all(
            spread[n].explains(d) for n, pairs in errors.items() for pair in pairs for d in pair
        ):
            spread = _widened(spread, self._more(self.a, values, exact))
            both = spread if self.narrow else _widened(spread, self._of_second(kind, values, exact))
        self._known = self._known or {n: (spread[n], _scale(exact[n])) for n in exact}
        modes = self.runtimes.modes[-len(mine) :]
        outputs: dict[str, Any] = {}
        unclear: list[str] = []
        contradiction, worst = "", (-1.0, "")
        for p, q in self.ports.outputs:
            bound = SAFETY * both[p.name].gap
            entry: dict[str, Any] = {"bound": bound}
            outputs[p.name] = entry
            if exact[p.name].size and not max(d.compared for pair in errors[p.name] for d in pair):
                unclear.append(f"{p.name} is not finite on these inputs")
            for mode, (first, second) in zip(modes, errors[p.name], strict=True):
                entry[mode] = _entry(first, second)
                text = _text(p.name, mode, entry)
                if not spread[p.name].explains(first):
                    what = _much(first)
                    contradiction = contradiction or (
                        f"{p.name}: the first model itself errs by {what}, more than rounding "
                        f"explains ({SAFETY * spread[p.name].gap:.1e})"
                    )
                elif not both[p.name].explains(second):
                    if second.flips and is_real(exact[p.name]) and self._overflows(values):
                        unclear.append(
                            f"{p.name} overflows in the second model and not in the first"
                        )
                    else:
                        return Answer(Verdict.DIFFERS, text, outputs, (p.name, q.name))
                elif first.compared and second.gap > worst[0]:
                    worst = (second.gap, text)
        if contradiction and self._overflows(values):
            return Answer(Verdict.UNDECIDED, f"these inputs overflow; {contradiction}", outputs)
        if contradiction or unclear:
            text = contradiction or unclear[0]
            return Answer(Verdict.UNDECIDED, text, outputs, contradicts=contradiction)
        return Answer(Verdict.PROVED, worst[1], outputs)

    def _more(
        self, model: Model, values: Mapping[str, Array], exact: Mapping[str, Array]
    ) -> dict[str, Distance]:
        """More runs, and for what flips those whose errors are as large as the bound."""
        unit = None
        if (
            model is self.b
            and self.a.positional != self.b.positional
            and any(p.dtype == "float64" for p, _ in (*self.ports.inputs, *self.ports.outputs))
        ):
            # A file's attributes have float32, also where its tensors have more.
            unit = 2.0**-24
        seeds = [(self.seed, n) for n in range(1, 1 + RUNS)]
        few = simulate(model, values, exact, runs=seeds, unit=unit, deadline=self.deadline)
        flipped = simulate(
            model, values, exact, runs=[(self.seed, n) for n in range(4, 12)], unit=unit,
            factor=SAFETY, deadline=self.deadline,
        )  # fmt: skip
        return {n: Distance(few[n].gap, max(few[n].flips, flipped[n].flips)) for n in few}

    def _of_second(
        self, kind: Kind, values: Mapping[str, Array], real: Mapping[str, Array]
    ) -> dict[str, Distance]:
        """The second model's spread, under the names of the first: it may err in its own way.

        A form that loses more than half of the digits where the first loses few is no rounding of
        it, unless the numbers are extreme.
        """
        other = renamed(values, self.ports)
        try:
            exact = truth(self.b, other, deadline=self.deadline)
            spreads = self._more(self.b, other, exact)
        except (UnsupportedError, ExecutionError):
            return {p.name: Distance() for p, _ in self.ports.outputs}
        found: dict[str, Distance] = {}
        for p, q in self.ports.outputs:
            most = self._half_the_digits(p) * _scale(real[p.name]) / SAFETY
            gap = spreads[q.name].gap
            found[p.name] = replace(spreads[q.name], gap=gap if kind.extreme else min(gap, most))
        return found

    def _overflows(self, values: Mapping[str, Array]) -> bool:
        """Whether a value of either model comes near the ends of its types' range."""
        types = {p.dtype for pair in (*self.ports.inputs, *self.ports.outputs) for p in pair}
        types |= {c.dtype for model in (self.a, self.b) for c in model.constants()}
        infos = [ml_dtypes.finfo(name) for name in types if name in UNITS]
        largest = min((float(info.max) for info in infos), default=np.inf)
        least = max((float(info.tiny) for info in infos), default=0.0)
        peak = Peak()
        try:
            truth(self.a, values, deadline=self.deadline, observe=peak)
            truth(self.b, renamed(values, self.ports), deadline=self.deadline, observe=peak)
        except (UnsupportedError, ExecutionError):
            return True
        return peak.value > largest / _HEADROOM or peak.least < least * _HEADROOM

    # Without it.

    def _directly(
        self,
        kind: Kind,
        values: Mapping[str, Array],
        mine: Sequence[Outputs],
        theirs: Sequence[Outputs],
    ) -> Answer:
        """Differ only what is much further apart than any rounding that can be provoked."""
        rng = np.random.default_rng((self.seed, 0xD1))
        changed: list[Outputs] = []
        for _ in range(_CHANGES):
            try:
                changed += self.runtimes.first(_changed(values, rng), every=False)
            except (RuntimeRefusesError, RuntimeUnableError):
                continue
        agreement = 0.0
        for p, q in self.ports.outputs:
            apart, noise = Distance(), Distance()
            for one, other in zip(mine, theirs, strict=True):
                apart = apart.widened(distance(one[p.name], other[q.name]))
                noise = noise.widened(distance(mine[0][p.name], one[p.name]))
                noise = noise.widened(distance(theirs[0][q.name], other[q.name]))
            for run in changed:
                noise = noise.widened(distance(mine[-1][p.name], run[p.name]))
            scale = _scale(mine[0][p.name])
            far = max(_FAR * noise.gap, self._half_the_digits(p) * scale)
            flips = 0 if kind.extreme and is_real(mine[0][p.name]) else apart.flips
            if apart.gap > far or flips > _FAR * noise.flips:
                text = (
                    f"{p.name}: the runtimes' outputs are {_much(apart)} apart; a change of the "
                    f"inputs in the last place makes {_much(noise)}"
                )
                entry = {p.name: {"apart": _json(apart), "noise": _json(noise)}}
                return Answer(Verdict.DIFFERS, text, entry, (p.name, q.name))
            agreement = max(agreement, apart.gap / scale if scale else 0.0, float(apart.flips > 0))
        how = "are equal" if not agreement else f"agree to {agreement:.0e} of their scale"
        return Answer(Verdict.UNDECIDED, f"the runtimes' outputs {how}")

    def _half_the_digits(self, port: Port) -> float:
        """The relative error that leaves half the digits of the coarsest type."""
        types = {port.dtype, *(c.dtype for c in self.a.constants())}
        coarse = {"int8": 2.0**-8, "uint8": 2.0**-8}
        return max(max(UNITS.get(t, coarse.get(t, 0.0)) for t in types), UNITS["float32"]) ** 0.5


def _widened(one: Mapping[str, Distance], other: Mapping[str, Distance]) -> dict[str, Distance]:
    return {name: spread.widened(other[name]) for name, spread in one.items()}


def _changed(values: Mapping[str, Array], rng: np.random.Generator) -> dict[str, Array]:
    """The inputs, real numbers changed by some units in the last place."""
    out: dict[str, Array] = {}
    for name, value in values.items():
        if is_real(value):
            size = _CHANGE_ULPS * UNITS.get(value.dtype.name, 0.0)
            factor = 1.0 + size * rng.uniform(-1.0, 1.0, value.shape)
            out[name] = (value.astype(np.float64) * factor).astype(value.dtype)
        else:
            out[name] = value
    return out


def _scale(x: Array) -> float:
    if not is_real(x):
        return 0.0
    real = x.astype(np.float64)
    return float(np.max(np.abs(real), initial=0.0, where=np.isfinite(real)))


def _much(apart: Distance) -> str:
    if apart.flips:
        return f"{apart.flips} elements that are other integers or not finite"
    return f"{apart.gap:.1e}"


def _json(apart: Distance) -> list[float]:
    return [apart.gap, apart.flips]


def _entry(first: Distance, second: Distance) -> dict[str, Any]:
    """[first, second] largest and RMS errors, elements that flipped, and the RMS errors' ratio."""
    return {
        "max": [first.gap, second.gap],
        "rms": [first.rms, second.rms],
        "flips": [first.flips, second.flips],
        "ratio": second.rms / first.rms if first.rms else None,
    }


def _text(name: str, mode: str, entry: Mapping[str, Any]) -> str:
    one = entry[mode]
    ratio = "" if one["ratio"] is None else f", RMS ratio {one['ratio']:.2f}"
    text = f"{name} ({mode}): max error {one['max'][0]:.1e} and {one['max'][1]:.1e}{ratio}; "
    if any(one["flips"]):
        text += f"{one['flips'][0]} and {one['flips'][1]} elements are other values; "
    return text + f"rounding explains {entry['bound']:.1e}"
