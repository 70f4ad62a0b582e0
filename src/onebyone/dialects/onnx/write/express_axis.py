"""Slices, pads, gathers and the like at the positions that a form gives their axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from onebyone.axes.graph import Form, Node, Use
from onebyone.axes.sizes import product
from onebyone.layout.solve import Variant

if TYPE_CHECKING:
    from onebyone.dialects.onnx.write.writer import Emitter

Inputs = Sequence[ir.Value | None]

_END = np.iinfo(np.int64).max


def _clone(*args: object, **kwargs: object) -> list[ir.Value]:
    from onebyone.dialects.onnx.write.express import clone

    return clone(*args, **kwargs)  # pyright: ignore[reportArgumentType]


def positions(node: Node, variant: Variant, number: int = 0) -> list[int]:
    """The position of each replaced group of an operand.

    A group of size 1 has no axes: it is the position where the result has what replaces it.
    """
    use = node.operands[number]
    assert use is not None
    found: list[int] = []
    for k, group in enumerate(node.axis_in[number]):
        place = _place(use, variant.reads[number], group)
        if place is None:
            result = node.results[0]
            place = _place(result, variant.writes[0], node.axis_out[0][k])
        if place is None:
            place = _spare(variant.reads[number], found)
        found.append(place)
    return found


def _place(use: Use, form: Form, group: tuple[int, ...]) -> int | None:
    if not group:
        return None
    for place, axes in enumerate(form):
        if tuple(use.indices[axis] for axis in axes) == group:
            return place
    raise AssertionError(f"no position for {group} in {form}")


def _spare(form: Form, taken: list[int]) -> int:
    """A position of size 1 for an axis of size 1 that stays of size 1."""
    return next(n for n, group in enumerate(form) if not group and n not in taken)


def _slice(emitter: Emitter, node: Node, variant: Variant, inputs: Inputs) -> list[ir.Value]:
    axes = positions(node, variant)
    if emitter.opset < 10:
        return _clone(emitter, node, inputs, {"axes": axes})
    steps = inputs[4] if len(inputs) > 4 else None
    values = [*inputs[:3], emitter.constants.vector(tuple(axes)), *([steps] if steps else [])]
    return _clone(emitter, node, values)


def _subsample(emitter: Emitter, node: Node, variant: Variant, inputs: Inputs) -> list[ir.Value]:
    axes = positions(node, variant)
    vector = emitter.constants.vector
    steps = node.attrs[2]
    assert isinstance(steps, tuple)
    count = len(axes)
    values = [
        inputs[0],
        vector((0,) * count),
        vector((_END,) * count),
        vector(tuple(axes)),
        vector(steps),
    ]
    like = node.results[0].value
    return [emitter.op("Slice", values, {}, like=like, rule="stride of a pointwise convolution")]


def _at_axis(emitter: Emitter, node: Node, variant: Variant, inputs: Inputs) -> list[ir.Value]:
    number = next((n for n, groups in enumerate(node.axis_in) if groups and groups[0]), 0)
    return _clone(emitter, node, inputs, {"axis": positions(node, variant, number)[0]})


def _gather(emitter: Emitter, node: Node, variant: Variant, inputs: Inputs) -> list[ir.Value]:
    """The axis is the position whose replacement by the indices' positions gives the result."""
    data, indices, result = node.operands[0], node.operands[1], node.results[0]
    assert data is not None and indices is not None
    picked = [tuple(indices.indices[axis] for axis in group) for group in indices.form]
    reads = [tuple(data.indices[axis] for axis in group) for group in variant.reads[0]]
    writes = [tuple(result.indices[axis] for axis in group) for group in variant.writes[0]]
    gone = node.axis_in[0][0]
    for place, group in enumerate(reads):
        if group == gone and [*reads[:place], *picked, *reads[place + 1 :]] == writes:
            return _clone(emitter, node, inputs, {"axis": place})
    raise AssertionError(f"no position for {gone} in {variant.reads[0]}")


def _pad(emitter: Emitter, node: Node, variant: Variant, inputs: Inputs) -> list[ir.Value]:
    rank = len(variant.reads[0])
    pads = [0] * 2 * rank
    for place, ends in zip(positions(node, variant), node.attrs[2:], strict=True):
        assert isinstance(ends, tuple)
        pads[place], pads[place + rank] = ends
    if emitter.opset < 11:
        return _clone(emitter, node, inputs, {"pads": pads})
    fill = inputs[2] if len(inputs) > 2 else None
    values = [inputs[0], emitter.constants.vector(tuple(pads)), *([fill] if fill else [])]
    return _clone(emitter, node, values)


def _expand(emitter: Emitter, node: Node, variant: Variant, inputs: Inputs) -> list[ir.Value]:
    result = node.results[0]
    shape = tuple(
        product([result.value.sizes[axis] for axis in group]) for group in variant.writes[0]
    )
    return _clone(emitter, node, [inputs[0], emitter.sizes.vector(shape)])


AXIS: dict[str, Callable[[Emitter, Node, Variant, Inputs], list[ir.Value]]] = {
    "concat": _at_axis,
    "expand": _expand,
    "gather": _gather,
    "pad": _pad,
    "slice": _slice,
    "split": _at_axis,
    "subsample": _subsample,
}
