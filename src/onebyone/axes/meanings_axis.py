"""The vocabulary of `meanings` for what replaces some axes by others: slice, concat, pad, gather.

New axes are named apart from the old ones; an axis that nothing is done to keeps its label.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

from onebyone.axes.meanings import Positions, Shape, axis_labels
from onebyone.axes.positional import Apply, Kind
from onebyone.axes.sizes import ONE, Size


def replaced(labels: Positions, axes: Mapping[int, str]) -> Positions:
    """Labels with those at some positions replaced."""
    return tuple((axes[i],) if i in axes else position for i, position in enumerate(labels))


def _changed(fn: str, rank: int, after: Mapping[int, Size], attrs: tuple[Hashable, ...]) -> Apply:
    """One operand, some of whose axes become others of the sizes ``after``."""
    labels = axis_labels(rank)
    names = {axis: f"new{axis}" for axis in after}
    return Apply(
        Kind.AXIS,
        fn,
        (labels,),
        (replaced(labels, names),),
        attrs=attrs,
        sizes={names[axis]: size for axis, size in after.items()},
        axis_in=(tuple(labels[axis] for axis in after),),
        axis_out=(tuple((name,) for name in names.values()),),
    )


def slice_(
    rank: int,
    after: Mapping[int, Size],
    starts: Shape | None,
    ends: Shape | None,
    steps: tuple[int, ...],
) -> Apply:
    """Some elements of some axes, at equal distances.

    Args:
        rank: rank of the operand.
        after: size of each sliced axis in the result; bounds and steps are in this order.
        starts: first place along each axis; None where it is computed at run time.
        ends: the place behind the last; likewise.
        steps: distances.
    """
    return _changed("slice", rank, after, (starts, ends, steps))


def subsample(before: Shape, after: Mapping[int, Size], steps: Mapping[int, int]) -> Apply:
    """Every ``steps[axis]``-th element of some axes, from the first on."""
    starts, ends = (Size(0),) * len(after), tuple(before[axis] for axis in after)
    attrs = (starts, ends, tuple(steps[axis] for axis in after))
    return _changed("subsample", len(before), after, attrs)


def pad(
    rank: int,
    after: Mapping[int, Size],
    ends: Sequence[tuple[int, int]],
    mode: str,
    fill: float,
) -> Apply:
    """More elements at both ends of some axes; ``ends`` are in the order of ``after``."""
    return _changed("pad", rank, after, (mode, fill, *ends))


def turn(fn: str, shape: Shape, axes: Sequence[int], shifts: Mapping[int, int]) -> Apply:
    """Elements of some axes change places: ``roll`` by its shift of each axis, or ``flip``."""
    after = {axis: shape[axis] for axis in axes}
    attrs = tuple(shifts[axis] for axis in after) if shifts else ()
    return _changed(fn, len(shape), after, attrs)


def split(rank: int, axis: int, lengths: Sequence[Size], *, drop: bool = False) -> Apply:
    """Parts along one axis; ``drop``: parts of size 1, without the axis."""
    labels = axis_labels(rank)
    parts = [f"part{i}" for i in range(len(lengths))]
    results = [replaced(labels, {axis: part}) for part in parts]
    if drop:
        results = [(*labels[:axis], *labels[axis + 1 :])] * len(parts)
    return Apply(
        Kind.AXIS,
        "split",
        (labels,),
        tuple(results),
        attrs=tuple(length.known for length in lengths),
        sizes=dict(zip(parts, lengths, strict=True)),
        axis_in=((labels[axis],),),
        axis_out=tuple(((part,),) for part in parts),
    )


def concat(rank: int, axis: int, count: int, total: Size, *, stack: bool = False) -> Apply:
    """Operands side by side along one axis.

    Args:
        rank: rank of the result.
        axis: of the result.
        count: number of operands.
        total: size of the axis in the result.
        stack: the operands lack the axis.
    """
    labels = axis_labels(rank)
    parts = [f"part{i}" for i in range(count)]
    operands = [replaced(labels, {axis: part}) for part in parts]
    if stack:
        operands = [(*labels[:axis], *labels[axis + 1 :])] * count
    return Apply(
        Kind.AXIS,
        "concat",
        tuple(operands),
        (replaced(labels, {axis: "all"}),),
        sizes={"all": total, **(dict.fromkeys(parts, ONE) if stack else {})},
        axis_in=tuple(((part,),) for part in parts),
        axis_out=((("all",),),),
    )


def gather(rank: int, axis: int, picked_rank: int) -> Apply:
    """Elements of one axis by a tensor of places: the axis gives way to the axes of the places."""
    labels = axis_labels(rank)
    picked = tuple((f"i{k}",) for k in range(picked_rank))
    group = tuple(label for position in picked for label in position)
    return Apply(
        Kind.AXIS,
        "gather",
        (labels, picked),
        ((*labels[:axis], *picked, *labels[axis + 1 :]),),
        axis_in=((labels[axis],), ()),
        axis_out=((group,),),
        fixed=frozenset({1}),
    )


def expand(operand: Positions, result: Positions, new: Mapping[str, Size]) -> Apply:
    """Copies along the axes ``new``, which the operand lacks or has with size 1."""
    return Apply(
        Kind.AXIS,
        "expand",
        (operand,),
        (result,),
        attrs=(tuple(new.values()),),
        sizes=new,
        axis_in=(tuple(() for _ in new),),
        axis_out=(tuple((label,) for label in new),),
    )


def broadcast(before: Shape, after: Shape) -> Apply | None:
    """Broadcasting, written out; None where every axis has its size already."""
    labels = axis_labels(len(after))
    lead = len(after) - len(before)
    sizes = zip((ONE,) * lead + before, after, strict=True)
    new = {i: size for i, (old, size) in enumerate(sizes) if old.is_one and not size.is_one}
    if not new:
        return None
    result = replaced(labels, {i: f"e{i}" for i in new})
    return expand(labels[lead:], result, {f"e{i}": size for i, size in new.items()})


def causal(rows: Size, columns: Size, *, lower: bool = True) -> Apply:
    """Where the column is not behind the row, ``(rows, columns)``; not ``lower``: transposed."""
    places: Positions = (("row",), ("column",))
    return Apply(
        Kind.AXIS,
        "causal",
        (),
        (places if lower else places[::-1],),
        sizes={"row": rows, "column": columns},
        axis_out=(places,),
    )
