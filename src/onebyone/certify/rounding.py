"""The layer ``rounding``: each model in its real runtime, both against float64 truth.

The first model in float64 is the truth for both. The bound on the error is what rounding explains
(see `onebyone.certify.noise`): it follows from the dtype and from the length of every sum on the
way, not from a number that someone chose. The models differ only where the second model's error
exceeds the bound and the first model's does not. Where the first model's does, or no float64 truth
is known, the two runtimes' outputs are compared with each other.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from onebyone.certify.certificate import Finding, Verdict, Witness
from onebyone.certify.drawing import KINDS, SHOWN, USUAL, Kind, distinct
from onebyone.certify.inputs import Ports, Shapes, shapes
from onebyone.certify.judging import Answer, Judge
from onebyone.certify.runtimes import Runtimes, SecondRefusesError
from onebyone.dialects.protocol import Model, RuntimeRefusesError, RuntimeUnableError
from onebyone.kernels.arithmetic import Array, quiet
from onebyone.kernels.errors import OverBudgetError

# Sizes that are tried, and the kinds of draws at those after the first.
_SIZES = 3
_FEW = (USUAL, KINDS[2])
# Seconds of float64 truth for draws after the first; without it they are compared directly first.
_TRUTH = 2.0


def check(
    a: Model,
    b: Model,
    ports: Ports,
    given: Mapping[str, Array],
    *,
    seed: int = 0,
    deadline: float | None = None,
) -> Finding:
    """Measure the error of both models on the same inputs.

    Args:
        a: the first model.
        b: the second model.
        ports: their inputs and outputs, paired.
        given: inputs from the user; what is missing is drawn.
        seed: of the drawn inputs.
        deadline: ``time.monotonic()`` after which the answer is what is known then.
    """
    start = time.monotonic()
    try:
        with ExitStack() as stack, quiet():
            runtimes = Runtimes(a, b, ports, stack)
            layer = _Run(a, b, ports, given, seed, deadline, runtimes).finding()
    except RuntimeUnableError as error:
        layer = Finding("rounding", Verdict.UNDECIDED, f"not understood: {error}")
    except RuntimeRefusesError as error:
        text = f"{a.runtime} refuses the first model: {error}"
        layer = Finding("rounding", Verdict.UNDECIDED, text)
    except SecondRefusesError as error:
        layer = _failure(b, str(error), {})
    except OverBudgetError as error:
        layer = Finding("rounding", Verdict.UNDECIDED, f"over the budget: {error}")
    return Finding(
        "rounding", layer.verdict, layer.summary, layer.evidence, layer.witness,
        time.monotonic() - start,
    )  # fmt: skip


class _Run:
    """One check: the draws that were judged, and what they said."""

    def __init__(
        self,
        a: Model,
        b: Model,
        ports: Ports,
        given: Mapping[str, Array],
        seed: int,
        deadline: float | None,
        runtimes: Runtimes,
    ) -> None:
        self._a, self._b, self._ports, self._given, self._seed = a, b, ports, given, seed
        self._runtimes = runtimes
        self._judge = Judge(a, b, ports, runtimes, seed, deadline)
        self._truths = 0.0
        self._usual: list[Answer] = []
        self._contradiction: Answer | None = None
        self._evidence: dict[str, Any] = {"seed": seed, "draws": [], "outputs": {}}

    def finding(self) -> Finding:
        """The layer's answer."""
        reason = "no size of the dynamic dimensions was found that both models run"
        found = 0
        for shape in shapes(self._ports, self._given):
            kinds = KINDS if not found else _FEW
            try:
                said = self._at(shape, kinds)
            except OverBudgetError:
                if not found:
                    raise
                break
            if isinstance(said, Finding):
                return said
            if not said:
                reason = f"the first model does not run: {self._runtimes.refusal}"
                continue
            found += 1
            if found == _SIZES:
                break
        if not found:
            return Finding("rounding", Verdict.UNDECIDED, reason, self._evidence)
        return self._together()

    def _at(self, shape: Shapes, kinds: tuple[Kind, ...]) -> Finding | bool:
        """Whether the first model runs at a size, or where the second differs there."""
        sizes = {name: list(size) for name, size in shape.sizes.items()}
        self._evidence.setdefault("sizes", sizes)
        every = True
        for kind, attempts in distinct(
            self._a, self._b, self._ports, shape, self._given, self._seed, kinds
        ):
            got = self._runtimes.accepted(attempts, every)
            if got is None:
                if kind is USUAL:
                    return False
                continue
            values, mine = got
            if kind is USUAL:
                self._evidence["sizes"] = self._evidence["sizes"] if self._usual else sizes
            try:
                theirs = self._runtimes.second(values, every)
            except SecondRefusesError as error:
                if kind.lenient:
                    continue
                why = (
                    f"on inputs {_sizes(shape)} ({kind.name}) the first model runs and the "
                    f"second: {error}"
                )
                return _failure(self._b, why, self._evidence)
            except RuntimeUnableError:
                if kind is USUAL:
                    raise
                continue
            start = time.monotonic()
            answer = self._judge.judge(
                kind, values, mine, theirs, full=kind in (USUAL, SHOWN) or self._truths < _TRUTH
            )
            if kind is not USUAL:
                self._truths += time.monotonic() - start
            self._evidence["draws"].append([sizes, kind.name])
            if answer.verdict is Verdict.DIFFERS:
                return self._difference(answer, kind, values)
            if kind is USUAL:
                self._usual.append(answer)
            if answer.contradicts and self._contradiction is None:
                self._contradiction = answer
        return True

    def _difference(self, answer: Answer, kind: Kind, values: Mapping[str, Array]) -> Finding:
        self._evidence["outputs"] = answer.outputs
        self._evidence["draw"] = kind.name
        self._evidence["inputs"] = {n: f"{v.dtype}{list(v.shape)}" for n, v in values.items()}
        if self._contradiction is not None or answer.contradicts:
            self._evidence["contradicts"] = True
        witness = Witness("input", *answer.where, answer.text)
        return Finding("rounding", Verdict.DIFFERS, answer.text, self._evidence, witness)

    def _together(self) -> Finding:
        """The answer where no draw tells the models apart."""
        first = self._usual[0]
        self._evidence["outputs"] = first.outputs
        if self._contradiction is not None:
            self._evidence |= {"contradicts": True, "outputs": self._contradiction.outputs}
            return Finding(
                "rounding", Verdict.UNDECIDED, self._contradiction.contradicts, self._evidence
            )
        many = f"{len(self._evidence['draws'])} draws"
        if self._judge.unknown:
            text = f"{self._judge.unknown}; in {many} {first.text}"
            return Finding("rounding", Verdict.UNDECIDED, text, self._evidence)
        text = first.text if len(self._evidence["draws"]) == 1 else f"{first.text}; {many}"
        return Finding("rounding", first.verdict, text, self._evidence)


def _failure(b: Model, why: str, evidence: dict[str, Any]) -> Finding:
    witness = Witness("failure", "runs", b.label, why)
    return Finding("rounding", Verdict.DIFFERS, why, evidence, witness)


def _sizes(shape: Shapes) -> str:
    return ", ".join(f"{name} {list(size)}" for name, size in shape.sizes.items())
