"""Targets: which form layers take, and what moves, detours and layers cost. Data alone.

Costs are in bytes: a transpose of a tensor costs the bytes of the tensor, everything else is
weighed against that.
"""

from __future__ import annotations

from dataclasses import dataclass, field

# What a target may ask of a layer: a convolution, a matrix product, or whichever costs less.
FORMS = ("conv", "linear", "any")
# What a target may refuse layers by; `onebyone.fc_layers` sorts them, docs/targets.md tells which.
CLASSES = ("attention", "head", "grouped", "patch", "whole")


@dataclass(frozen=True)
class Price:
    """What a layer costs in one form.

    Attributes:
        mac: for each multiply-add.
        data: for each byte of its input and output.
        weight: for each byte of its weight.
        layer: whatever its size.
    """

    mac: float = 0.0
    data: float = 0.0
    weight: float = 0.0
    layer: float = 0.0

    def of(self, macs: int, data: int, weight: int) -> float:
        """The cost of a layer of ``macs`` multiply-adds that moves so many bytes."""
        return self.mac * macs + self.data * data + self.weight * weight + self.layer


@dataclass(frozen=True)
class Target:
    """What a deployment target prefers. ``docs/targets.md`` describes each entry.

    Attributes:
        name: its name.
        form: ``conv`` or ``linear``: the form that FC layers take; ``any``: whatever costs least.
        move: cost of a transpose for each byte that it moves.
        move_overhead: cost of a transpose whatever its size.
        reshape: cost of a reshape, in the choice of positions, where a changed node costs 0.01.
        spelled_norm: cost for each byte of a layer or RMS norm that is written as its primitives;
            None forbids it.
        token_as_batch: cost for each byte of the input of a convolution that counts tokens as
            batch, ``[tokens, C, 1, 1]``; with S positions beside them, an S-th of it.
        softmax_inside: cost for each byte of a softmax along an axis that is not the last.
        strided: the runtime reads the factors of a matrix product through strides, so that a
            transposed factor is no move.
        changed: cost for each byte of the result of an operator that is no layer and leaves its
            native order.
        margin: share that a layer's price rises by where it does not stay as it is.
        conv: price of a layer as a convolution.
        linear: price of a layer as a matrix product.
        refuse: name patterns of layers that stay as they are.
        refuse_classes: classes of layers that stay as they are.
    """

    name: str
    form: str
    move: float = 1.0
    move_overhead: float = 256.0
    reshape: float = 1.0
    spelled_norm: float | None = 0.3
    token_as_batch: float = 4.0
    softmax_inside: float = 0.0
    changed: float = 0.0
    margin: float = 0.0
    conv: Price = field(default_factory=Price)
    linear: Price = field(default_factory=Price)
    strided: bool = False
    refuse: tuple[str, ...] = ()
    refuse_classes: tuple[str, ...] = ()

    @property
    def forms(self) -> tuple[str, ...]:
        """The forms that a layer may be given."""
        return ("conv", "linear") if self.form == "any" else (self.form,)
