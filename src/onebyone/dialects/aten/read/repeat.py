"""Operators that write elements several times: each copy is an axis of its own."""

from __future__ import annotations

from torch import fx

from onebyone.axes import meanings_axis as mean
from onebyone.axes.parts import synthetic
from onebyone.axes.positional import Operation, Position, Regroup, Unknown
from onebyone.axes.sizes import Size
from onebyone.dialects.aten.read.arguments import Arguments
from onebyone.dialects.aten.read.layout import size_argument
from onebyone.dialects.aten.read.reader import Handler, Key, Reader, Reading
from onebyone.dialects.aten.values import fake, op_name, shape_of


def expand(reader: Reader, node: fx.Node, given: Arguments) -> Reading:
    """Broadcasting, written out."""
    given.told("size", "other")
    before, after = shape_of(fake(node.all_input_nodes[0])), shape_of(fake(node))
    return Reading(mean.broadcast(before, after) or Regroup(), "self")


def repeat(reader: Reader, node: fx.Node, given: Arguments) -> Reading | list[Operation] | Unknown:
    """Copies side by side, or of each element: a new axis in front of the old one, or behind."""
    x = reader.operand(node, "self", given)
    assert x is not None and x.shape is not None
    name, rank = op_name(node), len(x.shape)
    each = name == "repeat_interleave"
    counts = [Size(1)] * rank
    if each:
        if given.get("dim") is None or isinstance(given["repeats"], fx.Node):
            return Unknown("a repetition of all elements, or by numbers of the data")
        counts[given["dim"]] = Size(given["repeats"])
    else:
        wanted = [size_argument(n) for n in given["dims" if name == "tile" else "repeats"]]
        counts = [Size(1)] * (rank - len(wanted)) + wanted
    extra = len(counts) - rank
    own = [*[Size(1)] * extra, *x.shape]
    labels: list[Position] = []
    shape: list[Size] = []
    for place, (count, size) in enumerate(zip(counts, own, strict=True)):
        pair: list[tuple[Position, Size]] = [((f"r{place}",), count), ((f"d{place}",), size)]
        for label, length in pair[::-1] if each else pair:
            labels.append(label)
            shape.append(length)
    new = {f"r{n}": count for n, count in enumerate(counts) if not count.is_one}
    if not new:
        return Reading(Regroup(), "self")
    given.told("output_size")
    operand = tuple((f"d{n}",) for n in range(extra, len(counts)))
    meaning = mean.expand(operand, tuple(labels), new)
    apart = synthetic(x, tuple(shape), f"{node.name}.apart")
    return [
        Operation(reader.natives[node], meaning, (x,), (apart,)),
        Operation(None, Regroup(), (apart,), (reader.tensor(node),)),
    ]


TABLE: dict[Key, Handler] = {
    **{("aten", name): expand for name in ("expand", "expand_as")},
    **{("aten", name): repeat for name in ("repeat", "repeat_interleave", "tile")},
}
