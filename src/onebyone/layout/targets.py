"""Targets: which forms are allowed, and what moves and detours cost.

Costs are in bytes: a transpose of a tensor costs the bytes of the tensor, everything else is
weighed against that.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from onebyone.errors import InputError


@dataclass(frozen=True)
class Target:
    """What a deployment target prefers.

    Attributes:
        name: its name.
        form: ``conv`` or ``linear``: the form that FC layers take.
        move: cost of a transpose for each byte that it moves.
        move_overhead: cost of a transpose whatever its size, in bytes.
        spelled_norm: cost for each byte of a normalisation that is written as its primitives; None
            forbids it.
        token_as_batch: cost for each byte of the input of a convolution that counts tokens as
            batch, ``[tokens, C, 1, 1]``.
        reshape: cost of a reshape against that of a node that had to change.
        refuse: name patterns of layers that stay as they are.
    """

    name: str
    form: str
    move: float = 1.0
    move_overhead: float = 256.0
    spelled_norm: float | None = 0.3
    token_as_batch: float = 4.0
    reshape: float = 1.0
    refuse: tuple[str, ...] = ()


TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target("conv", "conv"),
        Target("conv-native-norm", "conv", spelled_norm=None),
        Target("linear", "linear"),
    )
}


def find_target(target: str | os.PathLike[str] | Target) -> Target:
    """A target by its name.

    Raises:
        InputError: there is no such target.
    """
    if isinstance(target, Target):
        return target
    found = TARGETS.get(str(target))
    if found is None:
        raise InputError(f"there is no target {str(target)!r}; choose from {', '.join(TARGETS)}")
    return found
