"""What a dialect says of a model: tensors with positional dimensions, operators with labels.

A label plays the role of a letter in einsum. A position of an operand carries a tuple of labels
whose sizes multiply to the position's size: a convolution with 4 x 4 patches reads its height as
``("oh", "kh")``. Positions of size 1 may carry any label: they broadcast.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from onebyone.axes.sizes import Size

# An axis within one operator, as a letter of einsum is.
Label = str
# The labels of one position of a tensor, outermost first; their sizes multiply to its size.
Position = tuple[Label, ...]


class Kind(Enum):
    """What an axis node does with the axes of its operands."""

    CONTRACT = "contract"  # sum of products: FC layers, convolutions, matrix products
    POINTWISE = "pointwise"  # element by element, with broadcasting
    REDUCE = "reduce"  # axes of the operand are missing in the result
    ALONG = "along"  # reads whole lines along a group of axes, keeps the shape: softmax
    AXIS = "axis"  # replaces one group of axes by another: slice, concat, pad, gather
    NORM = "norm"  # normalises along a group of axes
    SIZES = "sizes"  # the shape of its operand; reads no element
    WINDOW = "window"  # a convolution or pooling whose windows overlap: pinned
    OPAQUE = "opaque"  # not understood: pinned


@dataclass(frozen=True)
class Apply:
    """An operator, described by the labels of its operands and results.

    Attributes:
        kind: what it does with axes.
        fn: the function, by a name that every dialect shares (``add``, ``softmax``).
        operands: positions of each operand; None for an operand that is pinned as it came.
        results: positions of each result.
        attrs: what else the function depends on, hashable and free of positions.
        sizes: sizes of the labels that share a position with another.
        along: labels of the axes that ALONG and NORM read whole.
        axis_in: for AXIS, the positions of each operand that are replaced, one by one...
        axis_out: ... by these positions of each result.
        fixed: operands that have labels and yet are read as they came.
        stays: it is understood, and yet there is no way to write it in other forms: it keeps its
            layout.
    """

    kind: Kind
    fn: str
    operands: tuple[tuple[Position, ...] | None, ...]
    results: tuple[tuple[Position, ...], ...]
    attrs: tuple[Hashable, ...] = ()
    sizes: Mapping[Label, Size] = field(default_factory=dict[Label, Size])
    along: tuple[Label, ...] = ()
    axis_in: tuple[tuple[Position, ...], ...] = ()
    axis_out: tuple[tuple[Position, ...], ...] = ()
    fixed: frozenset[int] = frozenset()
    stays: bool = False


@dataclass(frozen=True)
class Regroup:
    """Reshape, flatten, squeeze, unsqueeze: the same elements in row-major order."""


@dataclass(frozen=True)
class Permute:
    """A transpose: position i of the result is position ``order[i]`` of the operand."""

    order: tuple[int, ...]


@dataclass(frozen=True)
class Unknown:
    """An operator that is not understood; ``reason`` says why."""

    reason: str


# What an operator is to the engine.
Meaning = Apply | Regroup | Permute | Unknown


@dataclass(eq=False)
class Tensor:
    """A positional tensor. ``shape`` is None where not even the rank is known.

    Attributes:
        key: the native value.
        shape: size of each position.
        dtype: name of the element type, ``float32`` and so on.
        constant: True where the elements are part of the model.
        name: native name.
        contents: the elements of a small integer tensor, as far as they are sizes.
    """

    key: Any
    shape: tuple[Size, ...] | None
    dtype: str
    constant: bool = False
    name: str = ""
    contents: tuple[Size, ...] | None = None


@dataclass(eq=False)
class Call:
    """A native node that is read through its body: as the operations that it stands for.

    Attributes:
        native: the node.
        inputs: what it reads; None for an optional input that is absent.
        outputs: what it yields.
    """

    native: Any
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]


@dataclass(eq=False)
class Operation:
    """A native node, or a part of one, with its meaning.

    ``calls`` are those in whose bodies the node stands, outermost first.
    """

    native: Any
    meaning: Meaning
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    calls: tuple[Call, ...] = ()


@dataclass
class Positional:
    """A model as a dialect reads it: operations in topological order.

    An operation with nested graphs lists the outer tensors that they read after its own inputs.
    """

    inputs: list[Tensor] = field(default_factory=list[Tensor])
    outputs: list[Tensor] = field(default_factory=list[Tensor])
    operations: list[Operation] = field(default_factory=list[Operation])
    calls: list[Call] = field(default_factory=list[Call])
