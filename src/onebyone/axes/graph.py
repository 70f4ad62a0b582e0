"""The axis graph: a model without its layout.

A value owns axes, and they have no positions. A native tensor is a *view* of a value: an order
and a grouping of its axes. So reshapes and transposes do not exist here, only views.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

from onebyone.axes.positional import Call, Kind, Tensor
from onebyone.axes.sizes import Size, product

# An order of a value's axes, by their numbers.
Order = tuple[int, ...]
# An order cut into the positions of a tensor: the axes of each position, outermost first.
Form = tuple[tuple[int, ...], ...]


def order_of(form: Form) -> Order:
    """The order of axes under a form."""
    return tuple(axis for group in form for axis in group)


@dataclass(eq=False)
class Value:
    """A tensor without layout.

    Attributes:
        number: its place in ``AxisGraph.values``.
        sizes: size of each axis; axes of size 1 do not exist.
        dtype: name of the element type.
        producer: the node that yields it, None for inputs and constants.
        constant: True for weights and other constants.
        native: form in which it was first met.
        tensor: the native tensor of that form.
    """

    number: int
    sizes: tuple[Size, ...]
    dtype: str
    native: Form
    tensor: Tensor
    producer: Node | None = None
    constant: bool = False
    derived: bool = False  # depends on constants alone

    @property
    def elements(self) -> Size:
        """The number of elements."""
        return product(self.sizes)


@dataclass(frozen=True)
class Use:
    """A value bound to a node: ``indices[k]`` is the node's index for the value's axis k."""

    value: Value
    indices: tuple[int, ...]
    form: Form  # the form in which the native node reads or writes it


@dataclass(eq=False)
class Node:
    """An operator on named indices, as einsum writes it.

    Attributes:
        kind, fn, attrs: see ``positional.Apply``.
        operands: None for an optional operand that is absent.
        pinned: numbers of the operands that are read as they came.
        results: what it yields.
        sizes: size of each index.
        along: the indices of ALONG and NORM.
        axis_in: for AXIS, the replaced groups of indices of each operand.
        axis_out: for AXIS, the replacing groups of indices of each result.
        natives: the native nodes that it stands for, in order.
        inner: results of its natives but the last, which nothing else reads.
        spread: True where a change of form stands between its natives.
        stays: True where no dialect can write it in other forms than those that it came with.
        reason: for OPAQUE, why it was not understood.
        calls: the calls in whose bodies its natives stand, outermost first.
        demanding: True where it fails unless two sizes are equal that have different symbols.
    """

    number: int
    kind: Kind
    fn: str
    operands: tuple[Use | None, ...]
    results: tuple[Use, ...]
    sizes: tuple[Size, ...] = ()
    attrs: tuple[Hashable, ...] = ()
    pinned: frozenset[int] = frozenset()
    along: tuple[int, ...] = ()
    axis_in: tuple[Form, ...] = ()
    axis_out: tuple[Form, ...] = ()
    natives: tuple[Any, ...] = ()
    inner: tuple[Use, ...] = ()
    spread: bool = False
    stays: bool = False
    reason: str = ""
    calls: tuple[Call, ...] = ()
    demanding: bool = False

    @property
    def summed(self) -> tuple[int, ...]:
        """The indices that no result has, in ascending order."""
        kept = {index for use in self.results for index in use.indices}
        read = {index for use in self.operands if use for index in use.indices}
        return tuple(sorted(read - kept))


@dataclass(frozen=True)
class View:
    """A native tensor: a value in a form."""

    value: Value
    form: Form


@dataclass(frozen=True)
class Relayout:
    """A native node that only changes the form of a value: a reshape or a transpose.

    ``native`` is None for a change of form within a native node.
    """

    native: Any
    source: Tensor
    target: Tensor
    calls: tuple[Call, ...] = ()


@dataclass
class AxisGraph:
    """Values and nodes in topological order, and where the native tensors went."""

    values: list[Value] = field(default_factory=list[Value])
    nodes: list[Node] = field(default_factory=list[Node])
    views: dict[Tensor, View] = field(default_factory=dict[Tensor, View])
    relayouts: list[Relayout] = field(default_factory=list[Relayout])
    inputs: list[Tensor] = field(default_factory=list[Tensor])
    outputs: list[Tensor] = field(default_factory=list[Tensor])
    calls: list[Call] = field(default_factory=list[Call])

    def consumers(self) -> dict[Value, list[tuple[Node, int]]]:
        """For each value the (node, operand number) pairs that read it, in graph order."""
        consumers: dict[Value, list[tuple[Node, int]]] = {value: [] for value in self.values}
        for node in self.nodes:
            for number, use in enumerate(node.operands):
                if use is not None:
                    consumers[use.value].append((node, number))
        return consumers


def sharing_natives(graph: AxisGraph) -> dict[Node, list[Node]]:
    """Axis nodes that share native nodes: they are kept together or not at all."""
    by_native: dict[int, list[Node]] = {}
    groups: dict[Node, list[Node]] = {}
    for node in graph.nodes:
        group = [node]
        for native in node.natives:
            group = [*by_native.get(id(native), ()), *group]
        group = list(dict.fromkeys(group))
        for member in group:
            groups[member] = group
        for native in node.natives:
            by_native[id(native)] = group
    return groups
