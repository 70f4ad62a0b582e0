"""What the engine asks about native nodes: facts, never their names.

A fact belongs here only if the plan or the report asks it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from onebyone.axes.graph import Node
from onebyone.report import Layer


class Natives(Protocol):
    """Answers of a dialect about the native nodes behind the nodes of one axis graph."""

    @property
    def flat_products(self) -> bool:
        """Whether a matrix product has one batch position, so that more cost reshapes."""
        ...

    def is_convolution(self, node: Node) -> bool:
        """Whether a Contract's native node is a convolution."""
        ...

    def is_linear(self, node: Node) -> bool:
        """Whether a Contract's native node is a matrix product with the weight on the right."""
        ...

    def is_product(self, node: Node) -> bool:
        """Whether a Contract's native node multiplies its factors in the forms that it reads."""
        ...

    def along_fits(self, node: Node, slots: Sequence[int]) -> bool:
        """Whether an ALONG node can be written with its axes at these places."""
        ...

    def name(self, node: Node) -> str:
        """What a user calls the layer."""
        ...

    def operator(self, node: Node) -> str:
        """The native operator."""
        ...

    def must_keep(self, node: Node, form: str) -> str | None:
        """Why an FC layer cannot take a target's form (``conv``, ``linear``, ``any``), or None."""
        ...

    def written_as(self, form: str, rank: int) -> str:
        """The operator of an FC layer in a form, whose weight has ``rank`` positions then."""
        ...

    def not_layers(self, node: Node) -> Iterable[Layer]:
        """What a user takes for an FC layer or convolution behind a node that is none: rows."""
        ...

    def has_effect(self, node: Node) -> bool:
        """Whether a node counts although nothing in the axis graph reads its results."""
        ...
