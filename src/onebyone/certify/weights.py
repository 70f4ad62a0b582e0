"""The layer ``weights``: every constant of the second model is one of the first, moved.

A constant that is none of them is listed. It shows no difference by itself: pruning, folding and
compressing tools change constants and compute the same function.

Constants are compared as raw bits, never as numbers. A key that ignores order (see
`onebyone.certify.keys`) finds candidates in linear time, splits and joins along any axis without a
search. The axes' permutation is then tried on a few elements and verified on all.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onebyone.certify import moves
from onebyone.certify.certificate import Finding, Verdict
from onebyone.certify.keys import WORD, Keyed
from onebyone.certify.noise import UNITS
from onebyone.dialects.protocol import Model
from onebyone.kernels.arithmetic import Array

# Rounding of a constant that some tool computed anew: a few units in the last place.
_FOLDED_ULPS = 4.0


@dataclass(frozen=True)
class Origin:
    """Where a constant of the second model comes from.

    Attributes:
        name: the constant's name.
        how: ``same``, ``reshape``, ``permute``, ``split``, ``join``, ``invented``, ``unmatched``,
            ``reordered`` (the same elements in an order that no permutation of axes explains) or
            ``changed``.
        text: the map, or the fact, in words.
    """

    name: str
    how: str
    text: str


@dataclass(frozen=True)
class Weights:
    """The layer, and what the others need to know of constants that were not found.

    Attributes:
        layer: the layer's answer.
        folded: constants of the second model that are none of the first's, by name, with the
            relative error that rounding may have put into each element.
        unused: constants of the first model, by name, that are none of the second's.
    """

    layer: Finding
    folded: dict[str, float]
    unused: tuple[str, ...] = ()


def check(a: Model, b: Model) -> Weights:
    """Find each constant of ``b`` in ``a``."""
    start = time.monotonic()
    # An exporter computes with weights (a folded batch norm): most elements may stay as they are.
    across = a.positional != b.positional
    first = [Keyed(c) for c in a.constants()]
    second = [Keyed(c) for c in b.constants()]
    named = {item.name: item for item in first}
    kinds: dict[tuple[str, int], list[Keyed]] = defaultdict(list)
    for item in first:
        kinds[item.kind].append(item)
    origins: dict[str, Origin] = {}
    missing: list[Keyed] = []
    for item in second:
        origin = _namesake(item, named.get(item.name))
        if origin is None:
            alike = [other for other in kinds.get(item.kind, []) if other.key == item.key]
            origin = _whole(item, alike)
        if origin is None:
            missing.append(item)
        else:
            origins[item.name] = origin
    missing_keys = {id(item) for item in missing}
    for item in missing:
        origins[item.name] = (
            _invented(item)
            or _split(item, first)
            or _join(item, first)
            or _changed(item, first, named=across)
            or Origin(item.name, "unmatched", f"no constant of the first model holds {_what(item)}")
        )
    folded = {
        item.name: _FOLDED_ULPS * UNITS.get(item.constant.dtype, 2.0**-4)
        for item in second
        if id(item) in missing_keys
        and item.is_real
        and origins[item.name].how in ("invented", "unmatched", "changed", "reordered")
    }
    layer = _layer(list(origins.values()), first, time.monotonic() - start)
    return Weights(layer, folded, tuple(layer.evidence["not_in_second"]))


def _layer(origins: Sequence[Origin], first: Sequence[Keyed], seconds: float) -> Finding:
    groups: dict[str, list[Origin]] = defaultdict(list)
    for origin in origins:
        groups[origin.how].append(origin)
    unused = [i.name for i in first if not i.used and i.is_real]
    moved = ("same", "reshape", "permute", "split", "join")
    evidence: dict[str, Any] = {
        "map": {f.name: f.text for f in origins if f.how in moved},
        "invented": [f.name for f in groups["invented"]],
        "changed": {f.name: f.text for f in groups["changed"]},
        "unmatched": {f.name: f.text for f in groups["unmatched"] + groups["reordered"]},
        "not_in_second": unused,
    }
    counts = ", ".join(
        f"{len(groups[how])} {how if how != 'same' else 'unchanged'}"
        for how in moved
        if groups[how]
    )
    counts = counts or "no constant was found in the first"
    if groups["invented"]:
        counts += f"; {len(groups['invented'])} invented (scalars, shapes, fills)"
    changed, lost = groups["changed"], groups["unmatched"] + groups["reordered"]
    if changed:
        counts += f"; changed: {changed[0].text}"
        counts += f"; {len(changed) - 1} more are changed" if len(changed) > 1 else ""
    if lost:
        counts += f"; not found: {', '.join(f.name for f in lost[:5])}"
        counts += f" and {len(lost) - 5} more" if len(lost) > 5 else ""
    if changed or lost:
        return Finding("weights", Verdict.UNDECIDED, counts, evidence, None, seconds)
    return Finding("weights", Verdict.PROVED, counts, evidence, None, seconds)


def _what(item: Keyed) -> str:
    return f"{item.constant.dtype}{list(item.constant.shape)}"


def _namesake(item: Keyed, other: Keyed | None) -> Origin | None:
    """``item`` as the constant of the same name: most are, and this takes no key."""
    if other is None or not item.is_real or not item.constant.size:
        return None
    if item.kind != other.kind:
        return None
    move = moves.find(other.bits(), item.bits(), deep=False)
    if move is None:
        return None
    other.used = True
    return Origin(item.name, move.kind, move.text(other.name))


def _whole(item: Keyed, candidates: Sequence[Keyed]) -> Origin | None:
    if not item.is_real or not item.constant.size:
        # Integers are shapes and indices: either the same, or made up by a rewrite.
        for other in candidates:
            if np.array_equal(other.bits(), item.bits()):
                return Origin(item.name, "same", other.name)
        return None
    if not candidates:
        return None
    target = item.bits()
    for other in sorted(candidates, key=lambda o: o.name != item.name):
        move = moves.find(other.bits(), target)
        if move is not None:
            other.used = True
            return Origin(item.name, move.kind, move.text(other.name))
    candidates[0].used = True
    return Origin(
        item.name, "reordered",
        f"the elements of {candidates[0].name} in an order that no permutation of axes explains",
    )  # fmt: skip


def _split(item: Keyed, first: Sequence[Keyed]) -> Origin | None:
    """``item`` as a slice of a larger constant."""
    if item.constant.size < 2:
        return None
    for other in first:
        if other.constant.dtype != item.constant.dtype or other.constant.size <= item.constant.size:
            continue
        for axis, size in enumerate(other.constant.shape):
            length, rest = divmod(item.constant.size * size, other.constant.size)
            if rest or not 0 < length < size:
                continue
            sums = other.lines()[axis]
            starts = np.flatnonzero(sums[length:] - sums[:-length] == np.uint64(item.key))
            for begin in starts[:4]:
                index = [slice(None)] * len(other.constant.shape)
                index[axis] = slice(int(begin), int(begin) + length)
                move = moves.find(other.bits()[tuple(index)], item.bits())
                if move is not None:
                    other.used = True
                    part = f"{other.name}[{begin}:{begin + length} of axis {axis}]"
                    return Origin(item.name, "split", move.text(part))
    return None


def _join(item: Keyed, first: Sequence[Keyed]) -> Origin | None:
    """``item`` as several constants one after the other along an axis."""
    size = item.constant.size
    parts = [
        o for o in first
        if o.constant.dtype == item.constant.dtype and 0 < o.constant.size < size
    ]  # fmt: skip
    if not parts or size < 2:
        return None
    for axis, count in enumerate(item.constant.shape):
        sums, width = item.lines()[axis], size // count
        begin, joined = 0, list[tuple[Keyed, str]]()
        while begin < count:
            step = _next_part(item, axis, begin, sums, width, parts)
            if step is None:
                break
            joined.append((step[0], step[1]))
            begin += step[2]
        if begin == count and len(joined) > 1:
            for other, _ in joined:
                other.used = True
            text = ", ".join(text for _, text in joined)
            return Origin(item.name, "join", f"join of {text} along axis {axis}")
    return None


def _next_part(
    item: Keyed, axis: int, begin: int, sums: Array, width: int, parts: Sequence[Keyed]
) -> tuple[Keyed, str, int] | None:
    for other in parts:
        length, rest = divmod(other.constant.size, width)
        if rest or not length or begin + length >= len(sums):
            continue
        if (int(sums[begin + length]) - int(sums[begin])) & WORD != other.key:
            continue
        index = [slice(None)] * len(item.constant.shape)
        index[axis] = slice(begin, begin + length)
        move = moves.find(other.bits(), item.bits()[tuple(index)])
        if move is not None:
            return other, move.text(other.name), length
    return None


def _invented(item: Keyed) -> Origin | None:
    """Constants that a rewrite makes up without anyone's weights: shapes, scalars, fills."""
    if not item.is_real or item.constant.size <= 1:
        return Origin(item.name, "invented", _what(item))
    bits = item.bits().reshape(-1)
    if bool(np.all(bits == bits[0])):
        return Origin(item.name, "invented", f"{_what(item)} filled with one value")
    return None


def _changed(item: Keyed, first: Sequence[Keyed], *, named: bool) -> Origin | None:
    """A constant most of whose elements are those of a constant of the first, in place.

    With ``named``, only a constant of the same name counts.
    """
    for other in first:
        if named and other.name != item.name:
            continue
        if other.used or other.constant.dtype != item.constant.dtype:
            continue
        near = moves.nearest(other.bits(), item.bits())
        if near is None:
            continue
        mine = np.ravel(item.constant.real())[near.index]
        if near.equals(other.constant.real(), item.constant.real()):
            continue
        index = [int(i) for i in np.unravel_index(near.index, item.constant.shape)]
        why = (
            f"{item.name}{index} is {mine}, but in {other.name}, which agrees in all but "
            f"{near.count} of {near.total} elements, it is {near.value(other.constant.real())}"
        )
        return Origin(item.name, "changed", why)
    return None
