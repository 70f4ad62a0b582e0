"""Read an order of axes as the input of a convolution: [batch][groups, channels][spatial]...

A spatial position holds output axes, then kernel axes: ``(oh, kh)`` is a height cut into patches.
With kernel axes alone it is read whole; with output axes alone the kernel is 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from onebyone.layout.contraction import Roles


@dataclass(frozen=True)
class Spatial:
    """One spatial position of the input."""

    outer: tuple[int, ...]
    kernel: tuple[int, ...]


@dataclass(frozen=True)
class ConvOrder:
    """An order of indices, read as a convolution's input."""

    batch: tuple[int, ...]
    channels: tuple[int, ...]
    spatial: tuple[Spatial, ...]

    @property
    def pointwise(self) -> bool:
        """True where every kernel is 1."""
        return not any(position.kernel for position in self.spatial)

    @property
    def rest(self) -> tuple[int, ...]:
        """The output positions, outermost first."""
        return tuple(index for position in self.spatial for index in position.outer)


def parse(order: Sequence[int], own: Roles, most: int = 2) -> ConvOrder | None:
    """Read ``order`` (indices of a Contract) as a convolution over at most ``most`` positions.

    Returns:
        None where the order is no convolution's input: channels apart from their groups, or more
        kernel axes than positions.
    """
    summed, groups = set(own.summed), set(own.batch)
    start = next((n for n, i in enumerate(order) if i in summed or i in groups), len(order))
    lead = groups or (start < len(order) and order[start] in summed)
    if not lead:
        return None
    end = start
    while end < len(order) and order[end] in groups:
        end += 1
    if set(order[start:end]) != groups:
        return None
    while end < len(order) and order[end] in summed:
        end += 1
    if groups and tuple(i for i in order if i in groups) != own.batch:
        return None
    found = _tail(order[end:], summed)
    if len(found) <= most:
        return ConvOrder(tuple(order[:start]), tuple(order[start:end]), found)
    return None


def parse_without_channels(
    order: Sequence[int], own: Roles, lead: int, most: int = 2
) -> ConvOrder | None:
    """As `parse`, for a single input channel, which has no axis: ``lead`` axes are batch."""
    if own.batch or any(i in own.summed for i in order[:lead]):
        return None
    found = _tail(order[lead:], set(own.summed))
    if len(found) > most or not any(position.kernel for position in found):
        return None
    return ConvOrder(tuple(order[:lead]), (), found)


def _tail(order: Sequence[int], summed: set[int]) -> tuple[Spatial, ...]:
    positions: list[Spatial] = []
    outer: list[int] = []
    kernel: list[int] = []
    for index in order:
        if index in summed:
            kernel.append(index)
        elif kernel:
            positions.append(Spatial(tuple(outer), tuple(kernel)))
            outer, kernel = [index], []
        else:
            outer.append(index)
    if outer or kernel:
        positions.append(Spatial(tuple(outer), tuple(kernel)))
    return tuple(positions)
