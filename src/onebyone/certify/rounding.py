"""The layer ``rounding``: each model in its real runtime, both against float64 truth.

The first model in float64 is the truth for both. The bound on the error is what rounding explains
(see `onebyone.certify.noise`): it follows from the dtype and from the length of every sum on the
way, not from a number that someone chose. The models differ only where the second model's error
exceeds the bound and the first model's does not. Where the first model's does, or no float64 truth
is known, the two runtimes' outputs are compared with each other.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

from onebyone.certify.certificate import Finding, Verdict, Witness
from onebyone.certify.drawing import KINDS, SHOWN, USUAL, WHOLE, Kind, Knowledge, distinct
from onebyone.certify.inputs import Ports, Shapes
from onebyone.certify.judging import Answer, Judge
from onebyone.certify.runtimes import Outputs, Runtimes, SecondRefusesError
from onebyone.certify.sizes import USUAL_SIZES, runnable
from onebyone.dialects.protocol import Limits, Model, RuntimeRefusesError, RuntimeUnableError
from onebyone.kernels.arithmetic import Array, quiet
from onebyone.kernels.errors import OverBudgetError

# The kinds of draws at usual sizes after the first, and at those beside constants.
_FEW = (USUAL, WHOLE)
_ONE = (USUAL,)
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
    memory: int | None = None,
) -> Finding:
    """Measure the error of both models on the same inputs.

    Args:
        a: the first model.
        b: the second model.
        ports: their inputs and outputs, paired.
        given: inputs from the user; what is missing is drawn.
        seed: of the drawn inputs.
        deadline: ``time.monotonic()`` after which the answer is what is known then.
        memory: bytes that the runtimes may take; None: half of what the machine has.
    """
    start = time.monotonic()
    try:
        with ExitStack() as stack, quiet():
            runtimes = Runtimes(a, b, ports, stack, Limits(deadline, memory))
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
        self._deadline = deadline
        self._known = Knowledge.of(a, b)
        # Sizes -> the usual draw there, with what the first model makes of it.
        self._first: dict[Any, tuple[Mapping[str, Array], list[Outputs]] | None] = {}
        self._truths = 0.0
        self._judged: list[Answer] = []
        self._contradiction: Answer | None = None
        self._evidence: dict[str, Any] = {"seed": seed, "draws": [], "outputs": {}}

    def finding(self) -> Finding:
        """The layer's answer."""
        found = 0
        numbers = self._known.pool
        try:
            for shape in runnable(self._ports, self._given, numbers, self._runs):
                few = _FEW if found < USUAL_SIZES else _ONE
                said = self._at(shape, few if found else KINDS)
                if said is not None:
                    return said
                found += 1
        except OverBudgetError:
            if not found:
                raise
            self._evidence["stopped"] = "the time was over"
        if not found:
            reason = (
                "no size of the dynamic dimensions was found that the first model runs at: "
                f"{self._runtimes.refusal}"
            )
            return Finding("rounding", Verdict.UNDECIDED, reason, self._evidence)
        return self._together()

    def _runs(self, shape: Shapes) -> bool:
        """Whether the first model runs at these sizes."""
        check_time(self._deadline, "looking for sizes")
        sizes = tuple(shape.sizes.items())
        if sizes not in self._first:
            _, attempts = next(self._draws(shape, _ONE))
            self._first[sizes] = self._runtimes.accepted(attempts, not self._judged)
        return self._first[sizes] is not None

    def _draws(
        self, shape: Shapes, kinds: tuple[Kind, ...]
    ) -> Iterator[tuple[Kind, Iterator[dict[str, Array]]]]:
        return distinct(
            self._a, self._b, self._ports, shape, self._given, self._seed, kinds, self._known
        )

    def _at(self, shape: Shapes, kinds: tuple[Kind, ...]) -> Finding | None:
        """Where the second model differs at sizes at which the first runs."""
        sizes = {name: list(size) for name, size in shape.sizes.items()}
        if not self._judged:
            self._evidence |= {"sizes": sizes, "relations": list(shape.relations)}
        usual = self._first[tuple(shape.sizes.items())]
        for kind, attempts in self._draws(shape, kinds):
            check_time(self._deadline, f"draw {kind.name}")
            got = usual if kind is USUAL else self._runtimes.accepted(attempts)
            if got is None:
                continue
            values, mine = got
            every = len(mine) == len(self._runtimes.modes)
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
                if kind is USUAL and not self._judged:
                    raise
                continue
            if kind is USUAL:
                self._declared(mine[-1], theirs[-1])
            start = time.monotonic()
            full = self._first_time(kind) or (kinds is not _ONE and self._truths < _TRUTH)
            answer = self._judge.judge(kind, values, mine, theirs, full=full)
            if self._judged:
                self._truths += time.monotonic() - start
            self._judged.append(answer)
            self._evidence["draws"].append([sizes, kind.name])
            if answer.verdict is Verdict.DIFFERS:
                return self._difference(answer, kind, values)
            if answer.contradicts and self._contradiction is None:
                self._contradiction = answer
        return None

    def _first_time(self, kind: Kind) -> bool:
        return not self._judged or (kind is SHOWN and len(self._judged) == 1)

    def _declared(self, mine: Outputs, theirs: Outputs) -> None:
        """Note outputs that have another shape than their file declares."""
        for side, outputs in (("first", mine), ("second", theirs)):
            for pair in self._ports.outputs:
                port = pair[side == "second"]
                shape = outputs[port.name].shape
                if port.shape is not None and (
                    len(port.shape) != len(shape)
                    or any(isinstance(d, int) and d not in (-1, n)
                           for d, n in zip(port.shape, shape, strict=True))
                ):  # fmt: skip
                    fact = f"{port.name} is declared {list(port.shape)} and has {list(shape)}"
                    noted = self._evidence.setdefault("declared", {}).setdefault(side, [])
                    if fact not in noted:
                        noted.append(fact)

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
        first = self._judged[0]
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


def check_time(deadline: float | None, doing: str) -> None:
    """Raise where the deadline has passed."""
    if deadline is not None and time.monotonic() > deadline:
        raise OverBudgetError(f"the time was over at {doing}")


def _failure(b: Model, why: str, evidence: dict[str, Any]) -> Finding:
    witness = Witness("failure", "runs", b.label, why)
    return Finding("rounding", Verdict.DIFFERS, why, evidence, witness)


def _sizes(shape: Shapes) -> str:
    return ", ".join(f"{name} {list(size)}" for name, size in shape.sizes.items())
