"""Operators that work element by element, along lines, or reduce."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import replace

import onnx_ir as ir

from onebyone.axes import meanings
from onebyone.axes.positional import Meaning, Regroup, Unknown
from onebyone.dialects.onnx.bodies import Key, key_of
from onebyone.dialects.onnx.read.attributes import Attributes
from onebyone.dialects.onnx.read.reader import Handler, Reader, Reading

_UNKNOWN = Unknown("a shape is not known")
_MICROSOFT = "com.microsoft"

# (domain, operator) -> the function, by the name that every dialect shares.
POINTWISE: dict[Key, str] = {
    ("", name): name.lower()
    for name in (
        "Abs Acos Acosh Add And Asin Asinh Atan Atanh BitShift BitwiseAnd BitwiseNot "
        "BitwiseOr BitwiseXor Cast Ceil Celu Clip Cos Cosh Div Elu Equal Erf Exp Floor "
        "Gelu Greater HardSigmoid HardSwish IsInf IsNaN LeakyRelu Less Log Max Mean Min Mish Mod "
        "Mul Neg Not Or PRelu Pow Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus "
        "Softsign Sqrt Sub Sum Swish Tan Tanh ThresholdedRelu Where Xor"
    ).split()
} | {
    ("", "GreaterOrEqual"): "ge",
    ("", "LessOrEqual"): "le",
    (_MICROSOFT, "FastGelu"): "gelu",
    (_MICROSOFT, "Gelu"): "gelu",
    (_MICROSOFT, "QuickGelu"): "swish",
}

# Attributes that an operator has without writing them, beyond the defaults of ONNX's own schemas.
_IMPLIED: dict[Key, Mapping[str, Hashable]] = {
    (_MICROSOFT, "FastGelu"): {"approximate": "tanh"},
    (_MICROSOFT, "Gelu"): {"approximate": "none"},
    (_MICROSOFT, "QuickGelu"): {"alpha": 1.7020000219345093},  # 1.702 as float32
}

# Attributes with which an operator is the function of its name as other dialects know it.
_PLAIN: dict[str, Mapping[str, Hashable]] = {
    "Cast": {"round_mode": "up", "saturate": 1},
    "IsInf": {"detect_negative": 1, "detect_positive": 1},
    "Mod": {"fmod": 0},
    "Swish": {"alpha": 1.0},
}

REDUCE: dict[str, str] = {
    "ReduceL1": "l1",
    "ReduceL2": "l2",
    "ReduceLogSum": "logsum",
    "ReduceLogSumExp": "logsumexp",
    "ReduceMax": "max",
    "ReduceMean": "mean",
    "ReduceMin": "min",
    "ReduceProd": "prod",
    "ReduceSum": "sum",
    "ReduceSumSquare": "sumsquare",
}
GLOBAL_POOL: dict[str, str] = {"GlobalAveragePool": "mean", "GlobalMaxPool": "max"}

# Reductions that leave a single element as it is.
_IDENTITIES = ("ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum")


def pointwise(reader: Reader, node: ir.Node, given: Attributes) -> Meaning:
    """Element by element, with multidirectional broadcasting."""
    shapes = [reader.shape(v) for v in node.inputs]
    if not shapes or any(
        v is not None and shape is None for v, shape in zip(node.inputs, shapes, strict=True)
    ):
        return _UNKNOWN
    if "axis" in given or "broadcast" in given:
        return Unknown(f"{node.op_type} with the broadcasting of opset 6")
    if node.op_type == "PRelu" and reader.opset < 7:
        return Unknown("PRelu of opset 6, with a slope for each channel")
    key = key_of(node)
    if key == (_MICROSOFT, "FastGelu") and len([v for v in node.inputs if v is not None]) > 1:
        return Unknown("FastGelu with a bias")
    implied = {**_IMPLIED.get(key, {}), **dict(given.every(_PLAIN.get(node.op_type)))}
    attrs = tuple(sorted(implied.items(), key=lambda item: item[0]))
    ranks = [None if shape is None else len(shape) for shape in shapes]
    if node.op_type == "Cast":
        to = ir.DataType(given.integer("to", 0)).name.lower()
        rest = (item for item in attrs if item[0] != "to")
        return meanings.pointwise("cast", ranks, (to, *rest))
    return meanings.pointwise(POINTWISE[key], ranks, attrs)


def dropout(reader: Reader, node: ir.Node, given: Attributes) -> Meaning:
    """At inference Dropout is the identity."""
    training = node.inputs[2] if len(node.inputs) > 2 else None
    if training is not None:
        trains = reader.elements(training)
        if trains is None or bool(trains):
            return Unknown("Dropout in training mode")
    shape = reader.shape(node.inputs[0])
    if shape is None or any(v.uses() for v in node.outputs[1:]):
        return Unknown("Dropout whose mask is used")
    given.integer("is_test", 0)  # before opset 7; runtimes infer whatever it says
    once = meanings.pinned(meanings.pointwise("identity", [len(shape)]), len(node.inputs))
    return replace(once, results=once.results * len(node.outputs))


def softmax(reader: Reader, node: ir.Node, given: Attributes) -> Meaning:
    """Softmax, LogSoftmax, Hardmax; before opset 13 over all axes from ``axis`` on."""
    shape = reader.shape(node.inputs[0])
    if shape is None:
        return _UNKNOWN
    old = reader.opset < 13
    axis = given.integer("axis", 1 if old else -1) % max(len(shape), 1)
    axes = range(len(shape))[axis:] if old else range(len(shape))[axis : axis + 1]
    if old and node.op_type == "Hardmax" and len(axes) > 1:
        return Unknown("Hardmax over several axes")
    return meanings.along(node.op_type.lower(), len(shape), axes)


def cumsum(reader: Reader, node: ir.Node, given: Attributes) -> Meaning:
    """A running sum along one axis."""
    shape, axis = reader.shape(node.inputs[0]), reader.contents.integer(node.inputs[1])
    if shape is None or axis is None or not shape:
        return Unknown("CumSum along an axis that is computed at run time")
    attrs = given.every({"exclusive": 0, "reverse": 0})
    return meanings.pinned(meanings.along("cumsum", len(shape), [axis], attrs), len(node.inputs))


def reduced_axes(reader: Reader, node: ir.Node, given: Attributes, rank: int) -> list[int] | None:
    """The axes that a reduction removes; None where they are computed at run time."""
    axes = given.integers("axes")
    if axes is None and len(node.inputs) > 1 and node.inputs[1] is not None:
        axes = reader.contents.integers(node.inputs[1])
        if axes is None:
            return None
    keep = bool(given.integer("noop_with_empty_axes", 0))
    if not axes:
        return [] if keep else list(range(rank))
    return [axis % rank for axis in axes] if rank else []


def reduce(reader: Reader, node: ir.Node, given: Attributes) -> Meaning | Reading:
    """Sums, means, extrema over some axes."""
    shape = reader.shape(node.inputs[0])
    if shape is None:
        return _UNKNOWN
    axes = reduced_axes(reader, node, given, len(shape))
    keep = bool(given.integer("keepdims", 1))
    if axes is None:
        return Unknown("a reduction over axes that are computed at run time")
    if all(shape[axis].is_one for axis in axes):
        # An empty list of axes would mean all of them: there is no way to write it elsewhere.
        if node.op_type not in _IDENTITIES:
            return Unknown("a reduction over axes of size 1 alone")
        rest = (size for axis, size in enumerate(shape) if keep or axis not in axes)
        return Reading(Regroup(), tuple(rest))
    meaning = meanings.reduce(REDUCE[node.op_type], len(shape), axes, keep=keep)
    return meanings.pinned(meaning, len(node.inputs))


def arg(reader: Reader, node: ir.Node, given: Attributes) -> Meaning:
    """ArgMax and ArgMin."""
    shape = reader.shape(node.inputs[0])
    if not shape:
        return _UNKNOWN
    axis = given.integer("axis", 0) % len(shape)
    if shape[axis].is_one:
        return Unknown(f"{node.op_type} over an axis of size 1")
    last, keep = given.integer("select_last_index", 0), bool(given.integer("keepdims", 1))
    return meanings.reduce(node.op_type.lower(), len(shape), [axis], (last,), keep=keep)


def global_pool(reader: Reader, node: ir.Node, given: Attributes) -> Meaning | Reading:
    """GlobalAveragePool and GlobalMaxPool: a reduction over the spatial axes."""
    shape = reader.shape(node.inputs[0])
    if shape is None or len(shape) < 3:
        return _UNKNOWN
    rank = len(shape)
    if all(size.is_one for size in shape[2:]):
        return Reading(Regroup(), shape)
    return meanings.reduce(GLOBAL_POOL[node.op_type], rank, range(2, rank), keep=True)


def global_norm(reader: Reader, node: ir.Node, given: Attributes) -> Meaning | Reading:
    """GlobalLpPool: the p-norm over the spatial axes."""
    shape, order = reader.shape(node.inputs[0]), given.integer("p", 2)
    if shape is None or len(shape) < 3:
        return _UNKNOWN
    if order not in (1, 2) or all(size.is_one for size in shape[2:]):
        return Unknown(f"a {order}-norm that no reduction is")
    return meanings.reduce(f"l{order}", len(shape), range(2, len(shape)), keep=True)


TABLE: dict[Key, Handler] = {
    **dict.fromkeys(POINTWISE, pointwise),
    **{("", name): reduce for name in REDUCE},
    **{("", name): softmax for name in ("Softmax", "LogSoftmax", "Hardmax")},
    **{("", name): arg for name in ("ArgMax", "ArgMin")},
    **{("", name): global_pool for name in GLOBAL_POOL},
    ("", "CumSum"): cumsum,
    ("", "Dropout"): dropout,
    ("", "GlobalLpPool"): global_norm,
}
