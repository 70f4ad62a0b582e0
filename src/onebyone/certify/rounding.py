"""The layer ``rounding``: each model in its real runtime, both against float64 truth.

The first model in float64 is the truth for both. The bound on the error is what rounding explains
(see `onebyone.certify.noise`): it follows from the dtype and from the length of every sum on the
way, not from a number that someone chose. The models differ only where the second model's error
exceeds the bound and the first model's does not. Where the first model's does, or no float64 truth
is known, the two runtimes' outputs are compared with each other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain, islice
from typing import Any

from onebyone.certify.certificate import Finding, Verdict, Witness
from onebyone.certify.drawing import KINDS, SHOWN, USUAL, WHOLE, Kind, Knowledge, distinct
from onebyone.certify.inputs import Ports, Shapes
from onebyone.certify.judging import Answer, Judge
from onebyone.certify.narrowed import narrowed
from onebyone.certify.runtimes import HEAVY, Outputs, Runtimes, SecondRefusesError
from onebyone.certify.sizes import USUAL_SIZES, runnable
from onebyone.dialects.protocol import (
    Limits,
    Model,
    RuntimeMemoryError,
    RuntimeRefusesError,
    RuntimeUnableError,
)
from onebyone.kernels.arithmetic import Array, quiet
from onebyone.kernels.errors import OverBudgetError

# The kinds of draws at usual sizes after the first, and at those beside constants.
_FEW = (USUAL, WHOLE)
_ONE = (USUAL,)
# Seconds of float64 truth for draws after the first; without it they are compared directly first.
_TRUTH = 2.0
# Draws for heavy models, whose comparisons see many elements at once.
_HEAVY_KINDS = ("usual", "nothing hidden", "whole range", "the models' constants")


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
    with Rounding(a, b, ports, given, seed=seed, deadline=deadline, memory=memory) as layer:
        return layer.prepare() or layer.finding()


class Rounding:
    """The layer in two steps: `prepare` runs the first model, `finding` judges the second.

    Attributes:
        taken: bytes that the first model's run took in its runtime beside the model, once prepared;
            0 where that is not known.
        too_large: whether the runtime had not the memory for it.
        shape: sizes at which the first model runs, once prepared.
    """

    def __init__(
        self,
        a: Model,
        b: Model,
        ports: Ports,
        given: Mapping[str, Array],
        *,
        seed: int = 0,
        deadline: float | None = None,
        memory: int | None = None,
    ) -> None:
        self._a, self._b, self._ports, self._given, self._seed = a, b, ports, given, seed
        self._limits = Limits(deadline, memory)
        self._stack = ExitStack()
        self._seconds = 0.0
        self._run: _Run | None = None
        self._sizes: Iterator[Shapes] = iter(())
        self._ready: list[Shapes] = []
        self.taken = 0
        self.too_large = False
        self.shape: Shapes | None = None

    def __enter__(self) -> Rounding:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def prepare(self) -> Finding | None:
        """Load both models and find a size at which the first runs; the answer where that fails."""
        return self._timed(self._prepare)

    def finding(self, unknown: str = "") -> Finding:
        """The layer's answer.

        Args:
            unknown: why the interpreter must not run the models; "" where it may.
        """
        found = self._timed(lambda: self._finding(unknown))
        assert found is not None
        return found

    def _prepare(self) -> Finding | None:
        runtimes = Runtimes(self._a, self._b, self._ports, self._stack, self._limits)
        self._run = _Run(
            self._a, self._b, self._ports, self._given, self._seed, self._limits.deadline, runtimes
        )
        self._sizes = self._run.sizes()
        self.shape = next(self._sizes, None)
        self._ready = [] if self.shape is None else [self.shape]
        self.taken = runtimes.taken
        if self.shape is not None:
            return None
        reason = (
            "no size of the dynamic dimensions was found that the first model runs at: "
            f"{runtimes.refusal}"
        )
        self.too_large = runtimes.too_large
        return Finding("rounding", Verdict.UNDECIDED, reason, {"seed": self._seed})

    def _finding(self, unknown: str) -> Finding:
        assert self._run is not None and self.shape is not None, "it is prepared"
        return self._run.finding(chain(self._ready, self._sizes), unknown)

    def usual(self) -> list[Shapes]:
        """Usual sizes at which the first model runs: several where it has symbols."""
        self._ready += islice(self._sizes, max(USUAL_SIZES - len(self._ready), 0))
        return self._ready[:USUAL_SIZES]

    def _timed(self, work: Callable[[], Finding | None]) -> Finding | None:
        start = time.monotonic()
        try:
            with quiet():
                layer = work()
        except RuntimeUnableError as error:
            self.too_large = isinstance(error, RuntimeMemoryError)
            layer = Finding("rounding", Verdict.UNDECIDED, f"not understood: {error}")
        except RuntimeRefusesError as error:
            text = f"{self._a.runtime} refuses the first model: {error}"
            layer = Finding("rounding", Verdict.UNDECIDED, text)
        except SecondRefusesError as error:
            layer = _failure(self._b, str(error), {})
        except OverBudgetError as error:
            layer = Finding("rounding", Verdict.UNDECIDED, f"over the budget: {error}")
        self._seconds += time.monotonic() - start
        return None if layer is None else replace(layer, seconds=self._seconds)


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
        self._judge = Judge(a, b, ports, runtimes, seed, deadline, narrow=narrowed(a, b))
        self._deadline = deadline
        heavy = max(a.weight_bytes, b.weight_bytes) > HEAVY
        self._kinds = tuple(
            k for k in KINDS if not heavy or (k.name in _HEAVY_KINDS and not k.turn)
        )
        self._known = Knowledge.of(a, b)
        # Sizes -> the usual draw there, with what the first model makes of it.
        self._first: dict[Any, tuple[Mapping[str, Array], list[Outputs]] | None] = {}
        self._truths = 0.0
        self._judged: list[Answer] = []
        self._contradiction: Answer | None = None
        self._evidence: dict[str, Any] = {"seed": seed, "draws": [], "outputs": {}}

    def sizes(self) -> Iterator[Shapes]:
        """Sizes at which the first model runs."""
        return runnable(self._ports, self._given, self._known.pool, self._runs)

    def finding(self, sizes: Iterable[Shapes], unknown: str) -> Finding:
        """The answer of all draws at some sizes."""
        self._judge.unknown = unknown
        found = 0
        try:
            for shape in sizes:
                few = _FEW if found < USUAL_SIZES else _ONE
                said = self._at(shape, few if found else self._kinds)
                if said is not None:
                    return said
                found += 1
        except OverBudgetError:
            if not found:
                raise
            self._evidence["stopped"] = "the time was over"
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
        text = answer.text
        if self._judge.narrow:
            self._evidence["lower_precision"] = self._judge.narrow
            text = f"lower precision: weights in {self._judge.narrow}; {text}"
        witness = Witness("input", *answer.where, text)
        return Finding("rounding", Verdict.DIFFERS, text, self._evidence, witness)

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
