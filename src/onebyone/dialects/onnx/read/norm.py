"""Normalisations. Each means its primitive form; see ``axes.norms``."""

from __future__ import annotations

import onnx_ir as ir

from onebyone.axes.positional import Apply, Kind, Meaning, Position, Unknown
from onebyone.axes.sizes import Size
from onebyone.dialects.onnx.read import attributes as at
from onebyone.dialects.onnx.read.pointwise import axis_labels
from onebyone.dialects.onnx.read.reader import Handler, Reader

_UNKNOWN = Unknown("a shape is not known")


def _norm(
    fn: str,
    operands: tuple[tuple[Position, ...] | None, ...],
    along: tuple[Position, ...],
    attrs: tuple[float, ...],
    sizes: dict[str, Size] | None = None,
) -> Meaning:
    assert operands[0] is not None
    return Apply(
        Kind.NORM,
        fn,
        operands,
        (operands[0],),
        attrs=attrs,
        sizes=sizes or {},
        along=tuple(label for position in along for label in position),
    )


def layer_norm(reader: Reader, node: ir.Node) -> Meaning:
    """LayerNormalization and RMSNormalization: along the positions from ``axis`` on."""
    shapes = [reader.shape(v) for v in node.inputs]
    shape = shapes[0]
    if not shape or any(
        v is not None and s is None for v, s in zip(node.inputs, shapes, strict=True)
    ):
        return _UNKNOWN
    if any(v.uses() or v.is_graph_output() for v in node.outputs[1:]):
        return Unknown("a normalisation whose statistics are used")
    rank = len(shape)
    labels = axis_labels(rank)
    along = labels[at.integer(node, "axis", -1) % rank :]
    parameters = tuple(None if s is None else labels[rank - len(s) :] for s in shapes[1:])
    fn = "layer_norm" if node.op_type == "LayerNormalization" else "rms_norm"
    return _norm(fn, (labels, *parameters), along, (at.number(node, "epsilon", 1e-5),))


def batch_norm(reader: Reader, node: ir.Node) -> Meaning:
    """BatchNormalization at inference: scale and shift of each channel."""
    shape = reader.shape(node.inputs[0])
    if shape is None or len(shape) < 2:
        return _UNKNOWN
    if at.integer(node, "training_mode", 0) or at.integer(node, "spatial", 1) != 1:
        return Unknown("BatchNormalization in training mode")
    if any(v.uses() or v.is_graph_output() for v in node.outputs[1:]) or reader.opset < 7:
        return Unknown("BatchNormalization whose statistics are used")
    labels = axis_labels(len(shape))
    parameters = (labels[1:2],) * (len(node.inputs) - 1)
    return _norm("batch_norm", (labels, *parameters), (), (at.number(node, "epsilon", 1e-5),))


def instance_norm(reader: Reader, node: ir.Node) -> Meaning:
    """InstanceNormalization: along the spatial positions."""
    shape = reader.shape(node.inputs[0])
    if shape is None or len(shape) < 3:
        return _UNKNOWN
    labels = axis_labels(len(shape))
    operands = (labels, labels[1:2], labels[1:2])
    return _norm("instance_norm", operands, labels[2:], (at.number(node, "epsilon", 1e-5),))


def group_norm(reader: Reader, node: ir.Node) -> Meaning:
    """GroupNormalization: along the channels of a group and the spatial positions."""
    shape = reader.shape(node.inputs[0])
    scale = reader.shape(node.inputs[1])
    if shape is None or len(shape) < 3 or scale is None:
        return _UNKNOWN
    groups = at.integer(node, "num_groups", 1)
    channels = shape[1].divided_by(Size(groups))
    if channels is None:
        return _UNKNOWN
    per_group = scale[0] == Size(groups) and scale[0] != shape[1]
    rest = tuple((f"s{i}",) for i in range(len(shape) - 2))
    own: Position = ("g",) if per_group else ("g", "c")
    return _norm(
        "group_norm",
        ((("n",), ("g", "c"), *rest), (own,), (own,)),
        (("c",), *rest),
        (at.number(node, "epsilon", 1e-5),),
        {"g": Size(groups), "c": channels},
    )


TABLE: dict[str, Handler] = {
    "BatchNormalization": batch_norm,
    "GroupNormalization": group_norm,
    "InstanceNormalization": instance_norm,
    "LayerNormalization": layer_norm,
    "RMSNormalization": layer_norm,
}
