"""What holds for every row of every table, in any dialect; the specimens are data elsewhere.

A *family* is one generated node and its variants: each attribute with other values, each operand
changed, swapped or absent. Whatever tells two members of a family apart when they run must tell
apart their canonical forms, and no certificate may call them equal.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

import onebyone
from onebyone.certify import field, structure
from onebyone.certify.inputs import SignatureError, pair
from onebyone.dialects.registry import opened
from onebyone.errors import InputError
from onebyone.kernels.arithmetic import Float64
from onebyone.kernels.errors import ExecutionError, UnsupportedError
from tests.tables.operands import Array

DRAWS = 2
Outputs = list[list[Array]]


@dataclass(frozen=True)
class Fault:
    """Something that should not be: its kind, where, and what is seen."""

    kind: str
    where: str
    why: str


@dataclass
class Setting:
    """A model in which the layout around a node is likely to move.

    Attributes:
        label: what stands around the node.
        model: the model.
        feeds: its inputs, one mapping for each draw.
        to: the form that its FC layers shall take.
        symbolic: whether its sizes are symbols.
        moved: set to whether fewer transposes were left.
    """

    label: str
    model: Any
    feeds: Sequence[Mapping[str, Array]]
    to: str = "conv"
    symbolic: bool = False
    moved: bool = False


class Bench(Protocol):
    """What the engine asks of a dialect."""

    def model(self, node: Any) -> Any:
        """A model of the node alone; None where there is none."""
        ...

    def run(self, node: Any, model: Any) -> Outputs | None:
        """The outputs of each draw in the real runtime; None where it refuses the model."""
        ...

    def forms(self, node: Any, model: Any) -> list[tuple[Hashable, ...]]:
        """Canonical forms: by name where the dialect has them, by position, with symbols."""
        ...

    def execute(self, model: Any, feeds: Sequence[Mapping[str, Array]]) -> Outputs | None:
        """The outputs of any model in the real runtime; None where it refuses."""
        ...

    def transposes(self, model: Any) -> int:
        """How many transposes a model has."""
        ...


@dataclass(frozen=True)
class Member:
    """One node of a family with what it gives in the runtime."""

    label: str
    node: Any
    model: Any
    outputs: Outputs
    plain: bool


def family(bench: Bench, nodes: Iterable[Any]) -> list[Member]:
    """The nodes that the runtime accepts."""
    found: list[Member] = []
    for node in nodes:
        model = bench.model(node)
        outputs = None if model is None else bench.run(node, model)
        if outputs is not None:
            found.append(Member(node.label, node, model, outputs, not found))
    return found


def tolerance(dtype: Any, length: int) -> float:
    """Relative to the largest element: sums of ``length`` terms in another order."""
    unit = float(np.finfo(dtype).eps) if np.dtype(dtype).kind == "f" else 0.0
    return 16 * unit * max(length, 1) ** 0.5


def differ(first: Outputs, second: Outputs, *, length: int = 64) -> bool:
    """Whether two functions of the reals gave these; infinities and NaN say nothing of that."""
    for a, b in zip(itertools.chain(*first), itertools.chain(*second), strict=False):
        if a.shape != b.shape or a.dtype != b.dtype:
            return True
        if a.dtype.kind in "biuOUS":
            if not np.array_equal(a, b):
                return True
            continue
        both = np.isfinite(a) & np.isfinite(b)
        x, y = a[both].astype(np.float64), b[both].astype(np.float64)
        if x.size and np.abs(x - y).max() > tolerance(a.dtype, length) * np.abs(x).max():
            return True
    return sum(map(len, first)) != sum(map(len, second))


def confused(bench: Bench, members: Sequence[Member]) -> Iterator[Fault]:
    """Pairs that differ when they run and have equal canonical forms; and what has no form."""
    formed: list[tuple[Member, list[tuple[Hashable, ...]]]] = []
    for member in members:
        try:
            formed.append((member, bench.forms(member.node, member.model)))
        except Exception as error:
            yield Fault("no form", member.label, f"{type(error).__name__}: {error}")
    for (a, ours), (b, theirs) in itertools.combinations(formed, 2):
        same = any(x == y for x, y in zip(ours, theirs, strict=False))
        if same and differ(a.outputs, b.outputs):
            yield Fault("confused", f"{a.label} / {b.label}", "equal canonical forms")


def certified(members: Sequence[Member], count: int) -> Iterator[Fault]:
    """Whether a certificate calls equal what differs: the specimen and some variants of it."""
    first = members[0]
    different = (m for m in members[1:] if differ(first.outputs, m.outputs))
    for other in itertools.islice(different, count):
        if onebyone.verify(first.model, other.model).exit_code == 0:
            yield Fault("certified", other.label, "the certificate calls it equal")


def misread(member: Member) -> Iterator[Fault]:
    """In what the interpreter contradicts the runtime; nothing where it does not understand."""
    try:
        program = opened(member.model)
    except InputError:
        return
    for feed, want in zip(member.node.feeds(), member.outputs, strict=True):
        ar = Float64()
        values = {
            name: ar.constant(x.astype(np.float64)) if x.dtype.kind == "f" else x
            for name, x in feed.items()
        }
        try:
            found = [np.asarray(x) for x in program.run(ar, values).values()]
        except UnsupportedError:
            return
        except ExecutionError as error:
            if member.plain:
                yield Fault("misread", member.label, str(error))
            return
        why = _unlike(found, want)
        if why:
            yield Fault("misread", member.label, why)
            return


def _unlike(found: Sequence[Array], want: Sequence[Array]) -> str:
    if len(found) != len(want):
        return f"{len(found)} outputs, not {len(want)}"
    for x, y in zip(found, want, strict=True):
        if x.shape != y.shape:
            return f"shape {x.shape}, not {y.shape}"
        if y.dtype.kind in "biu" and x.dtype != y.dtype:
            return f"type {x.dtype}, not {y.dtype}"
        if differ([[x.astype(y.dtype)]], [[y]]):
            return "other values"
    return ""


def moved(bench: Bench, setting: Setting, *, proofs: str) -> Iterator[Fault]:
    """What goes wrong where the layout around a node is moved.

    Args:
        bench: the dialect.
        setting: the node among others that make the planner move its layout.
        proofs: ``all`` layers of the certificate, ``some`` that prove, or ``none``.
    """
    before = bench.execute(setting.model, setting.feeds)
    if before is None:
        if proofs != "none":
            yield Fault("unrun", setting.label, "the runtime refuses the original")
        return
    try:
        new = onebyone.convert(setting.model, setting.to).model
    except Exception as error:
        yield Fault("refused", setting.label, f"{type(error).__name__}: {error}")
        return
    after = bench.execute(new, setting.feeds)
    if after is None:
        yield Fault("broken", setting.label, "the converted model does not run")
        return
    if differ(before, after):
        yield Fault("wrong", setting.label, "the converted model computes something else")
    setting.moved = bench.transposes(new) < bench.transposes(setting.model)
    try:
        layers = _layers(setting, new, proofs)
    except SignatureError as error:
        layers = {"signature": ("differs", str(error))}
    for name, (verdict, why) in layers.items():
        needless = name == "rounding" and verdict == "undecided"
        if verdict != "proved" and not needless:
            yield Fault(
                "unproved" if verdict == "undecided" else "denied", f"{setting.label} {name}", why
            )


def _layers(setting: Setting, new: Any, proofs: str) -> dict[str, tuple[str, str]]:
    if proofs == "none":
        return {}
    if proofs == "all":
        found: Sequence[Any] = onebyone.verify(setting.model, new).layers
    else:
        a, b = opened(setting.model), opened(new)
        found = [structure.check(a, b)]
        if not setting.symbolic:
            found = [*found, field.check(a, b, pair(a, b), {}, seed=0, seconds=60.0)]
    return {layer.name: (layer.verdict.value, layer.summary) for layer in found}
