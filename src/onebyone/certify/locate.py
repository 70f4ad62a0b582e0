"""Where two runs part: the first node whose operands agree and whose result does not.

Values are matched by fingerprints that ignore order and shape. A value that was split, joined or
scaled differently matches nothing, but what is computed from it does match again; so the search
walks back from the unequal outputs, through unmatched values only.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from onebyone.dialects.protocol import Step


@dataclass(frozen=True)
class Run:
    """A run of one model.

    Attributes:
        steps: its nodes in order.
        prints: a fingerprint of each value by name, which ignores order and shape.
        outputs: names of the outputs.
    """

    steps: Sequence[Step]
    prints: Mapping[str, int] | Mapping[str, str]
    outputs: Sequence[str]


@dataclass(frozen=True)
class Parting:
    """The first differing node in both models (or "none"), and the fact."""

    first: str
    second: str
    why: str


def first_difference(a: Run, b: Run, inputs: Sequence[tuple[str, str]]) -> Parting:
    """The first node of ``b`` that no longer computes what ``a`` computes, and its counterpart."""
    mine = _root(a, set(b.prints.values()))
    other = _root(b, set(a.prints.values()))
    if other is None:
        # Every value of the second exists in the first: it ends too early or is wired wrongly.
        producer = _producers(b).get(b.outputs[0]) if b.outputs else None
        second = "the input" if producer is None else producer.label
        first = "none" if mine is None else mine.label
        return Parting(first, second, "its result is a value of the first model, not the output")
    partner = _counterpart(a, b, other, inputs)
    if mine is None or (partner is not None and partner.op == other.op):
        mine = partner or mine
    why = "its operands occur in the first model, its result does not"
    if mine is not None and mine.op == other.op and mine.attributes != other.attributes:
        why = (
            f"{other.op}({other.attributes}) where the first model has {mine.op}({mine.attributes})"
        )
    return Parting("none" if mine is None else mine.label, other.label, why)


def _producers(run: Run) -> dict[str, Step]:
    return {name: step for step in run.steps for name in step.outputs if name}


def _root(run: Run, known: Collection[int | str]) -> Step | None:
    """The earliest unmatched node that feeds an output through unmatched values only."""
    producers = _producers(run)
    position = {id(step): i for i, step in enumerate(run.steps)}

    def unmatched(name: str) -> bool:
        return name in producers and name in run.prints and run.prints[name] not in known

    pending = [name for name in run.outputs if unmatched(name)]
    seen: set[str] = set(pending)
    roots: list[Step] = []
    while pending:
        step = producers[pending.pop()]
        before = [name for name in step.inputs if unmatched(name)]
        if not before:
            roots.append(step)
        for name in before:
            if name not in seen:
                seen.add(name)
                pending.append(name)
    return min(roots, key=lambda step: position[id(step)], default=None)


def _counterpart(a: Run, b: Run, step: Step, inputs: Sequence[tuple[str, str]]) -> Step | None:
    """The node of ``a`` that reads the values that ``step`` reads in ``b``."""
    same = {q: p for p, q in inputs}
    holders: dict[int | str, list[str]] = {}
    for name, value in a.prints.items():
        holders.setdefault(value, []).append(name)
    wanted: list[set[str]] = []
    for name in step.inputs:
        if name in b.prints:
            wanted.append(set(holders.get(b.prints[name], [])))
        elif name in same:
            wanted.append({same[name]})
    if not wanted:
        return None
    for candidate in a.steps:
        reads = set(candidate.inputs)
        fresh = any(a.prints.get(n) not in b.prints.values() for n in candidate.outputs)
        if candidate.op == step.op and fresh and all(reads & names for names in wanted):
            return candidate
    return None
