"""One table a dialect: how each kind of node is written in the forms that a plan chose.

A row says how, and of which nodes; the rest keep their layout. So a dialect never has to guess:
what has no expression is said before the plan is made, and a plan that asks for it is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from onebyone.axes.graph import AxisGraph, Node, sharing_natives
from onebyone.axes.positional import Kind
from onebyone.errors import InexpressibleError
from onebyone.layout.solve import Variant

C = TypeVar("C")
T = TypeVar("T")

# Whether a node can be written anew; the flag says that no other node shares its native node.
CanWrite = Callable[[Node, bool], bool]


def always(node: Node, alone: bool) -> bool:
    """The meaning says all that there is to write."""
    return True


@dataclass(frozen=True)
class Row(Generic[C, T]):
    """How nodes are written, in a context ``C`` with native tensors ``T``.

    Attributes:
        write: appends native nodes for an axis node, given its variant and the tensors of its
            operands; returns those of its results.
        can: of which nodes, as far as the kind and the function do not say it.
    """

    write: Callable[[C, Node, Variant, Sequence[T | None]], list[T]]
    can: CanWrite = always


class Expressions(Generic[C, T]):
    """The rows of a dialect by kind, or by kind and function."""

    def __init__(self, rows: Mapping[Kind, Row[C, T] | Mapping[str, Row[C, T]]]) -> None:
        self._rows = rows

    def can_write(self, node: Node, alone: bool) -> bool:
        """Whether a node can be written in other forms than its native ones.

        Args:
            node: of the axis graph.
            alone: no other node shares its native node.
        """
        row = self._row(node)
        return row is not None and row.can(node, alone)

    def mark_stays(self, graph: AxisGraph) -> None:
        """Sets ``stays`` of every node, in place, that has no expression.

        Nodes that share native nodes stay together: one that is written anew would leave no
        native node for the others to stay in.
        """
        for group in sharing_natives(graph).values():
            alone = len(group) == 1
            if any(node.stays or not self.can_write(node, alone) for node in group):
                for node in group:
                    node.stays = True

    def write(
        self, context: C, node: Node, variant: Variant, inputs: Sequence[T | None]
    ) -> list[T]:
        """New native nodes for one axis node; returns the tensors of its results.

        Raises:
            InexpressibleError: the node has no expression; `mark_stays` was not asked.
        """
        row = self._row(node)
        if row is None or node.stays:
            name = node.results[0].value.tensor.name if node.results else ""
            raise InexpressibleError(
                f"{node.kind.value} {node.fn}, which yields {name!r}, can be written in its "
                "native layout alone"
            )
        return row.write(context, node, variant, inputs)

    def _row(self, node: Node) -> Row[C, T] | None:
        row = self._rows.get(node.kind)
        return row if row is None or isinstance(row, Row) else row.get(node.fn)
