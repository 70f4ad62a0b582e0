"""Two models in their runtimes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack

import numpy as np

from onebyone.certify.ports import Ports, renamed
from onebyone.dialects.protocol import (
    Limits,
    Model,
    RuntimeMemoryError,
    RuntimeRefusesError,
    RuntimeUnableError,
    Session,
)
from onebyone.kernels.arithmetic import Array

# Models with more bytes of weights are loaded in one mode, the one that they are used in.
HEAVY = 10**8
# The outputs of one run, by name.
Outputs = dict[str, Array]


class SecondRefusesError(Exception):
    """The runtime loads or runs the first model and refuses the second."""


class Runtimes:
    """Both models loaded in their runtimes.

    Args:
        a: the first model.
        b: the second model.
        ports: their inputs and outputs, paired.
        stack: frees the sessions.
        limits: what the runtimes may take.

    Attributes:
        modes: names of the ways in which both are run; the last one stands for more.
        refusal: why the first model did not run, where it did not.
        too_large: whether that was for want of memory.
        taken: bytes that its last run took beside the model; 0 where that is not known.

    Raises:
        RuntimeUnableError: a runtime does not implement something in a model, or crashed.
        RuntimeRefusesError: the first model is invalid for its runtime.
        SecondRefusesError: the second is.
    """

    def __init__(self, a: Model, b: Model, ports: Ports, stack: ExitStack, limits: Limits) -> None:
        self._ports = ports
        heavy = max(a.weight_bytes, b.weight_bytes) > HEAVY
        places = _modes(a, b)[-1 if heavy else 0 :]
        self.modes = [name for name, _, _ in places]
        self.refusal = "it was given no inputs"
        self.taken = 0
        self.too_large = False
        self._first = _load(a, [i for _, i, _ in places], stack, limits)
        try:
            self._second = _load(b, [j for _, _, j in places], stack, limits)
        except RuntimeRefusesError as error:
            raise SecondRefusesError(
                f"{a.runtime} loads the first model and {b.runtime} refuses the second: {error}"
            ) from None

    def first(self, values: Mapping[str, Array], every: bool = True) -> list[Outputs]:
        """The first model's outputs in each of the modes, or in the last one."""
        return _run(self._first if every else self._first[-1:], values)

    def second(self, values: Mapping[str, Array], every: bool = True) -> list[Outputs]:
        """The second model's outputs on inputs of the first.

        Raises:
            SecondRefusesError: the model does not run.
        """
        try:
            return _run(self._second if every else self._second[-1:], renamed(values, self._ports))
        except RuntimeRefusesError as error:
            raise SecondRefusesError(str(error)) from None

    def accepted(
        self, attempts: Iterable[Mapping[str, Array]], every: bool = True
    ) -> tuple[Mapping[str, Array], list[Outputs]] | None:
        """The first of several draws that the first model runs on, with its outputs."""
        for values in attempts:
            try:
                outputs = self.first(values, every)
                self.taken = max(session.taken for session in self._first)
                return values, outputs
            # Numbers beyond reason may ask for more memory than there is, or crash the runtime.
            except (RuntimeRefusesError, RuntimeUnableError) as error:
                self.refusal = str(error)
                self.too_large = isinstance(error, RuntimeMemoryError)
        return None


def _run(sessions: Sequence[Session], values: Mapping[str, Array]) -> list[Outputs]:
    done: dict[int, Outputs] = {}
    for session in sessions:
        if id(session) not in done:
            outputs = session.run(values)
            done[id(session)] = {name: np.asarray(value) for name, value in outputs.items()}
    return [done[id(session)] for session in sessions]


def _load(model: Model, modes: Sequence[int], stack: ExitStack, limits: Limits) -> list[Session]:
    """A session for each of these modes; the same one where a mode comes again."""
    sessions: dict[int, Session] = {}
    for mode in modes:
        if mode not in sessions:
            sessions[mode] = model.session(model.modes[mode], limits)
            stack.callback(sessions[mode].close)
    return [sessions[mode] for mode in modes]


def _modes(a: Model, b: Model) -> list[tuple[str, int, int]]:
    """Runs that are compared: a name, and the mode of each model."""
    modes: list[tuple[str, int, int]] = []
    for n in range(max(len(a.modes), len(b.modes))):
        i, j = (min(n, len(model.modes) - 1) for model in (a, b))
        names = dict.fromkeys((a.modes[i], b.modes[j]))
        modes.append((" and ".join(names), i, j))
    return modes
