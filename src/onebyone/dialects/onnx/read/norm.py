"""Normalisations. Each means its primitive form; see ``axes.primitives``."""

from __future__ import annotations

import onnx_ir as ir

from onebyone.axes import meanings
from onebyone.axes.positional import Meaning, Unknown
from onebyone.axes.sizes import Size
from onebyone.dialects.onnx.bodies import Key
from onebyone.dialects.onnx.read.attributes import Attributes
from onebyone.dialects.onnx.read.reader import Handler, Reader

_UNKNOWN = Unknown("a shape is not known")


def _statistics_are_used(node: ir.Node) -> bool:
    return any(v.uses() or v.is_graph_output() for v in node.outputs[1:])


def layer_norm(reader: Reader, node: ir.Node, given: Attributes) -> Meaning:
    """LayerNormalization and RMSNormalization: along the positions from ``axis`` on."""
    shapes = [reader.shape(v) for v in node.inputs]
    shape = shapes[0]
    if not shape or any(
        v is not None and s is None for v, s in zip(node.inputs, shapes, strict=True)
    ):
        return _UNKNOWN
    if _statistics_are_used(node):
        return Unknown("a normalisation whose statistics are used")
    fn = "layer_norm" if node.op_type == "LayerNormalization" else "rms_norm"
    start = given.integer("axis", -1) % len(shape)
    parameters = [None if s is None else len(s) for s in shapes[1:]]
    return meanings.line_norm(fn, len(shape), start, parameters, given.number("epsilon", 1e-5))


def batch_norm(reader: Reader, node: ir.Node, given: Attributes) -> Meaning:
    """BatchNormalization at inference: scale and shift of each channel."""
    shape = reader.shape(node.inputs[0])
    if shape is None or len(shape) < 2:
        return _UNKNOWN
    if given.integer("training_mode", 0) or given.integer("spatial", 1) != 1:
        return Unknown("BatchNormalization in training mode")
    if _statistics_are_used(node) or reader.opset < 7:
        return Unknown("BatchNormalization whose statistics are used")
    parameters = len(node.inputs) - 1
    epsilon = given.number("epsilon", 1e-5)
    return meanings.channel_norm("batch_norm", len(shape), parameters, epsilon)


def instance_norm(reader: Reader, node: ir.Node, given: Attributes) -> Meaning:
    """InstanceNormalization: along the spatial positions."""
    shape = reader.shape(node.inputs[0])
    if shape is None or len(shape) < 3:
        return _UNKNOWN
    return meanings.channel_norm("instance_norm", len(shape), 2, given.number("epsilon", 1e-5))


def group_norm(reader: Reader, node: ir.Node, given: Attributes) -> Meaning:
    """GroupNormalization: along the channels of a group and the spatial positions."""
    shape, scale = reader.shape(node.inputs[0]), reader.shape(node.inputs[1])
    if shape is None or scale is None or len(shape) < 2:
        return _UNKNOWN
    groups = given.integer("num_groups", 1)
    per_group = scale[0] == Size(groups) and scale[0] != shape[1]
    epsilon = given.number("epsilon", 1e-5)
    return meanings.group_norm(shape, groups, epsilon, per_group=per_group) or _UNKNOWN


TABLE: dict[Key, Handler] = {
    ("", "BatchNormalization"): batch_norm,
    ("", "GroupNormalization"): group_norm,
    ("", "InstanceNormalization"): instance_norm,
    ("", "LayerNormalization"): layer_norm,
    ("", "RMSNormalization"): layer_norm,
    ("", "SimplifiedLayerNormalization"): layer_norm,
}
