"""Nodes that work in any order of axes: an order of the node gives the order of every operand.

A slot is one of the node's axes: an index that operands and results share, or a replaced group
of indices together with what replaces it. Slots are non-negative for indices, negative for groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from onebyone.axes.graph import Form, Node, Order, Use
from onebyone.axes.positional import Kind

Slots = tuple[int, ...]


class Slotted:
    """The slots of one node."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.free = [
            number
            for number, use in enumerate(node.operands)
            if use is not None and number not in node.pinned
        ]
        self._operand_axes = [_axes(use) for use in node.operands]
        self._result_axes = [_axes(use) for use in node.results]
        if node.kind is Kind.AXIS:
            self._in, self._out = node.axis_in, node.axis_out
        elif node.kind is Kind.ALONG:
            self._in = self._out = ((node.along,),) * max(len(node.operands), 1)
        elif node.kind is Kind.REDUCE and node.fn.startswith("arg"):
            self._in, self._out = ((node.summed,),), (((),),)
        else:
            self._in, self._out = (), ()

    def _groups(self, number: int, result: bool) -> Form:
        groups = self._out if result else self._in
        return groups[number] if number < len(groups) else ()

    def of(self, number: int, order: Order, *, result: bool = False) -> Slots | None:
        """The slots of an operand or result in ``order``; None where a group is torn apart."""
        use = self.node.results[number] if result else self.node.operands[number]
        assert use is not None
        groups = self._groups(number, result)
        return _slots(use, order, groups)

    def of_axes(self, number: int, axes: Order, *, result: bool = False) -> Slots | None:
        """The slots of some axes of an operand; None where they hold part of a group."""
        slots = self.of(number, axes, result=result)
        if slots is None:
            return None
        whole = self.order(number, slots, result=result)
        return slots if whole == tuple(axes) else None

    def order(self, number: int, slots: Sequence[int], *, result: bool = False) -> Order:
        """The order of an operand or result under an order of slots."""
        return tuple(a for group in self.form(number, [(s,) for s in slots], result) for a in group)

    def form(self, number: int, groups: Sequence[Slots], result: bool) -> Form:
        """The form of an operand or result under grouped slots; () where it lacks them all."""
        axis_of = (self._result_axes if result else self._operand_axes)[number]
        replaced = self._groups(number, result)
        form: list[tuple[int, ...]] = []
        for group in groups:
            axes: list[int] = []
            for slot in group:
                members = replaced[-slot - 1] if slot < 0 and -slot <= len(replaced) else (slot,)
                axes += [axis_of[i] for i in members if i in axis_of]
            form.append(tuple(axes))
        return tuple(form)

    @cached_property
    def native(self) -> Slots:
        """All slots, in an order that follows the native operands."""
        sides = [(n, False) for n in self.free] + [(n, True) for n in range(len(self.node.results))]
        sides_in_slots: list[tuple[int, ...]] = []
        for number, result in sides:
            use = self.node.results[number] if result else self.node.operands[number]
            assert use is not None
            order = tuple(axis for group in use.form for axis in group)
            slots = self.of(number, order, result=result)
            if slots is not None:
                sides_in_slots.append(slots)
        sides_in_slots.sort(key=len, reverse=True)
        merged: list[int] = []
        for slots in sides_in_slots:
            merged = list(_merge(tuple(merged), slots))
        every = {s for slots in sides_in_slots for s in slots}
        every |= {-k - 1 for groups in (*self._in, *self._out) for k in range(len(groups))}
        return (*merged, *(s for s in sorted(every) if s not in merged))

    def width(self, number: int, *, result: bool = False) -> int:
        """How many slots an operand or result has."""
        use = self.node.results[number] if result else self.node.operands[number]
        assert use is not None
        groups = self._groups(number, result)
        inside = {index for group in groups for index in group}
        return sum(bool(group) for group in groups) + sum(i not in inside for i in use.indices)

    def complete(self, slots: Slots) -> Slots:
        """All slots, those that ``slots`` lacks put beside their native neighbours."""
        return _merge(slots, self.native)

    @cached_property
    def groups(self) -> frozenset[int]:
        """The slots that stand for groups: each is a position of its own."""
        return frozenset(s for s in self.native if s < 0)


def _axes(use: Use | None) -> dict[int, int]:
    """index -> axis."""
    return {} if use is None else {index: axis for axis, index in enumerate(use.indices)}


def _merge(slots: Slots, native: Slots) -> Slots:
    merged = list(slots)
    for place, slot in enumerate(native):
        if slot in merged:
            continue
        before = [s for s in native[:place] if s in merged]
        merged.insert(merged.index(before[-1]) + 1 if before else 0, slot)
    return tuple(merged)


def _slots(use: Use, order: Order, groups: Form) -> Slots | None:
    slot_of: dict[int, int] = {}
    for k, group in enumerate(groups):
        for index in group:
            slot_of[index] = -k - 1
    slots: list[int] = []
    inside: dict[int, list[int]] = {}
    for axis in order:
        index = use.indices[axis]
        slot = slot_of.get(index, index)
        if slot < 0:
            if slot in inside and slots[-1] != slot:
                return None
            inside.setdefault(slot, []).append(index)
            if slots and slots[-1] == slot:
                continue
        slots.append(slot)
    for slot, members in inside.items():
        if tuple(members) != groups[-slot - 1]:
            return None
    return tuple(slots)
