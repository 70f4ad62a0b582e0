"""The rows of the tables, and what is the matter with each of them."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tests.tables.engine import (
    Bench,
    Fault,
    Setting,
    certified,
    confused,
    family,
    misread,
    moved,
)

Known = Mapping[tuple[str, str, str], str]


_MOVED = frozenset({"refused", "broken", "wrong", "unproved", "denied", "unrun"})


def judged(row: str, faults: Iterable[Fault], test: str, *tables: Known) -> list[str]:
    """What the tables of known faults do not say, or say in vain.

    Args:
        row: the row that the faults are of.
        faults: what was seen.
        test: ``family`` or ``move``, of which the tables' lines are asked.
        tables: (row, kind, place or its beginning and a star) -> the cause.
    """
    entries = [key for table in tables for key in table if key[0] == row]
    if test:
        entries = [key for key in entries if (key[1] in _MOVED) == (test == "move")]
    used: set[tuple[str, str, str]] = set()
    said: list[str] = []
    for fault in faults:
        keys = [k for k in entries if k[1] == fault.kind and _is_at(fault.where, k[2])]
        used.update(keys)
        if not keys:
            said.append(f"{fault.kind}: {fault.where}: {fault.why}")
    return said + [f"mended, remove it: {key}" for key in entries if key not in used]


def _is_at(where: str, place: str) -> bool:
    return where.startswith(place[:-1]) if place.endswith("*") else where == place


Variants = Callable[[Any], Iterable[Any]]


def families(bench: Bench, nodes: Sequence[Any], variants: Variants) -> Iterator[Fault]:
    """What is wrong with the canonical forms and the interpreter, over all families of a row."""
    whole = [number for number, node in enumerate(nodes) if _reads_integers(node)]
    asked = (whole or [0])[0]
    for number, node in enumerate(nodes):
        members = family(bench, variants(node))
        if not members or members[0].label != "as it is":
            yield Fault("specimen", f"{number}", "the runtime refuses it")
            continue
        faults = list(confused(bench, members))
        for member in members:
            faults += misread(member)
        if number == asked:
            faults += certified(members, 1)
        yield from (replace(fault, where=f"{number} {fault.where}") for fault in faults)


def _reads_integers(node: Any) -> bool:
    """Integers are few, and what a certificate draws for them tells little apart."""
    return any(x.dtype.kind in "iu" for x in node.feeds()[0].values())


def moves(
    bench: Bench,
    nodes: Sequence[Any],
    settings: Callable[[Any], Iterable[Setting]],
    variants: Variants,
    retyped: Variants,
) -> tuple[list[Fault], list[int]]:
    """What goes wrong where layouts move, and the specimens whose layout never does."""
    faults: list[Fault] = []
    stay: list[int] = []
    for number, node in enumerate(nodes):
        around = list(settings(node))
        if number > 2:
            around = around[:1] + around[1:][-1:]
        for place, setting in enumerate(around):
            # A certificate costs more than the rest: what proves it once a node, all of it for a
            # third of the rows.
            proofs = "some" if not place or setting.symbolic else "none"
            if not number and not place and not zlib.crc32(node.op.encode()) % 3:
                proofs = "all"
            found = moved(bench, setting, proofs=proofs)
            faults += [replace(fault, where=f"{number} {fault.where}") for fault in found]
        if around and not any(setting.moved for setting in around):
            stay.append(number)
        elif around and number < 3:
            typed = () if number else retyped(node)
            for other in _one_of_each(itertools.chain(variants(node), typed)):
                setting = next(iter(settings(other)), None)
                if setting is not None:
                    found = moved(bench, setting, proofs="none")
                    where = f"{number} {other.label} "
                    faults += [replace(fault, where=where + fault.where) for fault in found]
    return faults, stay


def _one_of_each(nodes: Iterable[Any]) -> Iterator[Any]:
    """The first variant of each attribute: what the writer forgets shows there."""
    seen: set[str] = set()
    for node in nodes:
        name, equals, _ = node.label.partition("=")
        if equals and name not in seen and not node.label.endswith("=changed"):
            seen.add(name)
            yield node
