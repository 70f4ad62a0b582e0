"""Where a node's axes lie in the forms that a plan chose: positions and sizes, as integers.

A form cuts an order of axes into positions; native operators are told positions. Nothing here
knows a native operator, so each dialect writes what it reads here under its own names.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import cast

from onebyone.axes.graph import Form, Node, Use, Value
from onebyone.axes.positional import Kind
from onebyone.axes.sizes import Size, product
from onebyone.layout.contraction import roles_of
from onebyone.layout.solve import Variant


def operand(node: Node, number: int) -> Use:
    """An operand that is present."""
    use = node.operands[number]
    assert use is not None, f"operand {number} of {node.fn} is absent"
    return use


def shape(value: Value, form: Form) -> tuple[Size, ...]:
    """The size of each position of ``value`` in ``form``."""
    return tuple(product([value.sizes[axis] for axis in group]) for group in form)


def fixed_shape(value: Value, form: Form) -> tuple[int, ...]:
    """As `shape`, of a constant: its sizes are integers."""
    sizes = [size.known for size in shape(value, form)]
    known = [size for size in sizes if size is not None]
    assert len(known) == len(sizes), "the sizes of a constant are integers"
    return tuple(known)


def atoms(value: Value) -> Form:
    """The form in which each axis of ``value`` is a position, in the order of their numbers."""
    return tuple((axis,) for axis in range(len(value.sizes)))


def permutation(source: Form, target: Form) -> list[int]:
    """For each position of ``target`` the position of ``source`` with the same axes."""
    left = list(range(len(source)))
    order: list[int] = []
    for group in target:
        place = next(p for p in left if source[p] == group)
        left.remove(place)
        order.append(place)
    return order


def positions(use: Use, form: Form, indices: Collection[int]) -> list[int]:
    """The positions of ``form`` that hold any of ``indices``; such positions hold no other."""
    wanted = set(indices)
    return [n for n, group in enumerate(form) if group and use.indices[group[0]] in wanted]


def position(use: Use, form: Form, indices: Sequence[int]) -> int:
    """The position that holds exactly ``indices``; the last of size 1 where there are none."""
    for place in reversed(range(len(form))):
        if _indices(use, form[place]) == tuple(indices):
            return place
    raise AssertionError(f"no position for {indices} in {form}")


def line(node: Node, variant: Variant) -> int:
    """The position along which an ALONG node runs."""
    return position(operand(node, 0), variant.reads[0], node.along)


def reduced(node: Node, variant: Variant) -> list[int]:
    """The positions that a REDUCE node removes."""
    return positions(operand(node, 0), variant.reads[0], node.summed)


def keeps_rank(variant: Variant) -> bool:
    """Whether a REDUCE node leaves positions of size 1 where it reduced."""
    return len(variant.writes[0]) == len(variant.reads[0])


def normalized(node: Node, variant: Variant) -> list[int]:
    """The positions along which a NORM node takes its statistics."""
    return positions(operand(node, 0), variant.reads[0], node.along)


def first_normalized(node: Node, variant: Variant) -> int:
    """The position from which on a NORM node normalises; the last where all are of size 1."""
    return next(iter(normalized(node, variant)), len(variant.reads[0]) - 1)


def norm_groups(node: Node, variant: Variant) -> int:
    """How many groups the channels of a group norm have, which are at position 1."""
    use = operand(node, 0)
    channels = variant.reads[0][1]
    groups = tuple(axis for axis in channels if use.indices[axis] not in node.along)
    return fixed_shape(use.value, (groups,))[0]


def replaced(node: Node, variant: Variant) -> list[int]:
    """The position of each replaced group of the first operand of an AXIS node.

    A group of size 1 has no axes: it is the position where the result has what replaces it.
    """
    use, form = operand(node, 0), variant.reads[0]
    places: list[int] = []
    for group, new in zip(node.axis_in[0], node.axis_out[0], strict=True):
        if group:
            places.append(position(use, form, group))
        elif new:
            places.append(position(node.results[0], variant.writes[0], new))
        else:
            places.append(next(n for n, g in enumerate(form) if not g and n not in places))
    return places


def joined(node: Node, variant: Variant) -> int:
    """The position along which operands are put side by side, or an operand is cut in parts."""
    return replaced(node, variant)[0]


def gathered(node: Node, variant: Variant) -> int:
    """The position of a table whose replacement by the positions of the indices is the result."""
    table, picked = operand(node, 0), operand(node, 1)
    result = node.results[0]
    new = [_indices(picked, group) for group in picked.form]
    reads = [_indices(table, group) for group in variant.reads[0]]
    writes = [_indices(result, group) for group in variant.writes[0]]
    gone = node.axis_in[0][0]
    for place, group in enumerate(reads):
        if group == gone and [*reads[:place], *new, *reads[place + 1 :]] == writes:
            return place
    raise AssertionError(f"no position for {gone} in {variant.reads[0]}")


def pads(node: Node, variant: Variant) -> list[tuple[int, int]]:
    """How much a pad puts in front of each position and behind it."""
    ends = [(0, 0)] * len(variant.reads[0])
    for place, added in zip(replaced(node, variant), node.attrs[2:], strict=True):
        before, after = cast(tuple[int, int], added)
        ends[place] = (before, after)
    return ends


def aligned(node: Node, variant: Variant) -> Form:
    """The form of an expanded operand with a position of size 1 for each new axis."""
    axis = {index: n for n, index in enumerate(operand(node, 0).indices)}
    written = [_indices(node.results[0], group) for group in variant.writes[0]]
    return tuple(tuple(axis[i] for i in group if i in axis) for group in written)


@dataclass(frozen=True)
class Convolution:
    """A sum of products as a convolution without padding.

    Attributes:
        data: number of the operand that is the data, ``[batch, channels, *spatial]``.
        weight: number of the operand that is the weight, ``[out, in / groups, *kernel]``.
        kernel: size of each kernel position.
        strides: for each the distance between two windows: they touch, or there is only one.
        groups: how many groups the channels have.
    """

    data: int
    weight: int
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    groups: int


def convolution(node: Node, variant: Variant) -> Convolution:
    """The convolution that a Contract is in forms of one; a kernel strides by its own size."""
    part = roles_of(node)
    x, w = operand(node, part.data), operand(node, part.weight)
    kernel = fixed_shape(w.value, variant.reads[part.weight][2:])
    moves = [any(i not in w.indices for i in _indices(x, g)) for g in variant.reads[part.data][2:]]
    shared = tuple(axis for axis, index in enumerate(w.indices) if index in part.batch)
    return Convolution(
        data=part.data,
        weight=part.weight,
        kernel=kernel,
        strides=tuple(k if many else 1 for k, many in zip(kernel, moves, strict=True)),
        groups=fixed_shape(w.value, (shared,))[0],
    )


@dataclass(frozen=True)
class Factor:
    """A factor of a matrix product: an operand, and whether its last two positions are swapped."""

    number: int
    swapped: bool


def factors(node: Node, variant: Variant) -> tuple[Factor, Factor] | None:
    """The left and the right factor of the matrix product that a Contract is in its forms.

    The left one ends in ``rows, summed``, the right one in ``summed, columns``; the positions in
    front broadcast.

    Returns:
        None where the forms are those of no matrix product.
    """
    numbers = (1, 0) if variant.tag == "product" and variant.detail else (0, 1)
    summed = set(node.summed)
    left, right = ([_indices(operand(node, n), g) for g in variant.reads[n]] for n in numbers)
    first, second = _ends(left, summed), _ends(right, summed, summed_last=False)
    lead = _broadcast(left[:-2], right[:-2])
    if first is None or second is None or lead is None:
        return None
    product_writes = [*lead, *first[1], *second[1]]
    if product_writes != [_indices(node.results[0], group) for group in variant.writes[0]]:
        return None
    return Factor(numbers[0], first[0]), Factor(numbers[1], second[0])


_Group = tuple[int, ...]


def _ends(
    groups: list[_Group], summed: set[int], *, summed_last: bool = True
) -> tuple[bool, list[_Group]] | None:
    """Whether the last two positions must change places, and the one that is not summed."""
    if len(groups) < 2:
        return (False, []) if groups and set(groups[0]) <= summed else None
    for swapped in (False, True):
        alone, gone = groups[-2:] if summed_last is not swapped else groups[:-3:-1]
        if set(gone) <= summed and not summed.intersection(alone):
            return swapped, [alone]
    return None


def _broadcast(left: list[_Group], right: list[_Group]) -> list[_Group] | None:
    """The leading positions of a product: aligned from the right, equal or of size 1."""
    rank = max(len(left), len(right))
    pairs = zip(*([()] * (rank - len(lead)) + lead for lead in (left, right)), strict=True)
    lead = [a or b for a, b in pairs if not (a and b and a != b)]
    return lead if len(lead) == rank else None


def rows_first(node: Node, variant: Variant) -> tuple[Form | None, ...]:
    """The reads of a variant, for operators that keep a layer's weight as ``[out, in]``.

    The plan has the weight of a matrix product as ``[in, out]``.
    """
    if node.kind is not Kind.CONTRACT or variant.tag != "linear":
        return variant.reads
    weight = roles_of(node).weight
    form = variant.reads[weight]
    if len(form) != 2:
        return variant.reads
    reads = list(variant.reads)
    reads[weight] = (form[1], form[0])
    if len(reads) > 2 and reads[2] is not None:
        reads[2] = (tuple(axis for group in reads[2] for axis in group),)
    return tuple(reads)


def _indices(use: Use, group: Sequence[int]) -> tuple[int, ...]:
    return tuple(use.indices[axis] for axis in group)
