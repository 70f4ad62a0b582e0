"""The certificate as data: four layers, each with a verdict and its evidence."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from onebyone.errors import OutputError

# What no layer speaks about; stated in every certificate.
NOT_PROVED = (
    "the runtime's kernels: rounding is measured on the inputs tried, not bounded for all inputs",
    "overflow, underflow, infinities and NaN: the layers speak of real numbers",
    "sizes of dynamic dimensions other than those that the field and rounding layers tried",
    "side effects, random operators and training mode",
)


class Verdict(StrEnum):
    """What a layer says."""

    PROVED = "proved"
    DIFFERS = "differs"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Witness:
    """What shows a difference.

    Attributes:
        kind: ``constant``, ``input``, ``field point``, ``signature`` or ``failure``.
        first: where it is in the first model: the name of a node, value or constant.
        second: where it is in the second model.
        why: the fact, in one line.
    """

    kind: str
    first: str
    second: str
    why: str


@dataclass(frozen=True)
class Finding:
    """One layer's answer.

    Attributes:
        name: ``weights``, ``structure``, ``field`` or ``rounding``.
        verdict: proved, differs or undecided.
        summary: the reason, in one line.
        evidence: numbers and maps behind it, ready for JSON.
        witness: what shows the difference; always there when ``verdict`` is ``differs``.
        seconds: how long it took, by the wall clock.
    """

    name: str
    verdict: Verdict
    summary: str
    evidence: dict[str, Any] = field(default_factory=dict)
    witness: Witness | None = None
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if (self.verdict is Verdict.DIFFERS) != (self.witness is not None):
            raise ValueError("a layer has a witness exactly when it says that the models differ")


@dataclass(frozen=True)
class Certificate:
    """What is known about two models being the same function.

    Attributes:
        first: label of the first model.
        second: label of the second model.
        layers: the four answers, in the order weights, structure, field, rounding.
        seed: of everything that was drawn: the same seed gives the same certificate.
        not_proved: what no layer speaks about.
    """

    first: str
    second: str
    layers: tuple[Finding, ...]
    seed: int = 0
    not_proved: tuple[str, ...] = NOT_PROVED

    def __getitem__(self, name: str) -> Finding:
        """The layer called ``name``."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(name)

    @property
    def verdict(self) -> Verdict:
        """``differs`` if any layer does; ``proved`` if structure or field is; else undecided."""
        if any(layer.verdict is Verdict.DIFFERS for layer in self.layers):
            return Verdict.DIFFERS
        for layer in self.layers:
            if layer.name in ("structure", "field") and layer.verdict is Verdict.PROVED:
                return Verdict.PROVED
        return Verdict.UNDECIDED

    @property
    def exit_code(self) -> int:
        """0 proved, 1 differs, 2 undecided; 3 (bad input) is the command line's."""
        return {Verdict.PROVED: 0, Verdict.DIFFERS: 1, Verdict.UNDECIDED: 2}[self.verdict]

    @property
    def witness(self) -> Witness | None:
        """The witness that names a node, if a layer has one; else the first one."""
        witnesses = [layer.witness for layer in self.layers if layer.witness is not None]
        named = [w for w in witnesses if w.kind == "field point"]
        return (named or witnesses or [None])[0]

    def to_json(self, indent: int | None = 2) -> str:
        """The whole certificate as JSON."""
        return json.dumps(self.to_dict(), indent=indent)

    def to_dict(self) -> dict[str, Any]:
        """The whole certificate as plain data."""
        return asdict(self) | {"verdict": str(self.verdict), "exit_code": self.exit_code}


class DiffersError(OutputError):
    """A result that differs from the original was not written; ``certificate`` has the witness."""

    def __init__(self, certificate: Certificate) -> None:
        super().__init__(
            "the result differs from the original, so nothing was written; please report this"
        )
        self.certificate = certificate


class UndecidedError(OutputError):
    """A result that is not proved was not written; ``certificate`` says what is not known."""

    def __init__(self, certificate: Certificate) -> None:
        super().__init__(
            "the result is not proved to be the original, so nothing was written; without "
            "--strict it is written all the same"
        )
        self.certificate = certificate
