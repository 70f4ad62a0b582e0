"""Operators that work element by element, along lines, or reduce."""

from __future__ import annotations

import onnx_ir as ir

from onebyone.axes.positional import Apply, Kind, Meaning, Position, Regroup, Unknown
from onebyone.dialects.onnx.read import attributes as at
from onebyone.dialects.onnx.read.reader import Handler, Reader, Reading

# Names that differ from the operator's name in lower case are those that every dialect shares.
POINTWISE = {
    name: name.lower()
    for name in (
        "Abs Acos Acosh Add And Asin Asinh Atan Atanh BitShift BitwiseAnd BitwiseNot "
        "BitwiseOr BitwiseXor Cast Ceil Celu Clip Cos Cosh Div Elu Equal Erf Exp Floor "
        "Gelu Greater HardSigmoid HardSwish IsInf IsNaN LeakyRelu Less Log Max Mean Min Mish Mod "
        "Mul Neg Not Or PRelu Pow Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus "
        "Softsign Sqrt Sub Sum Swish Tan Tanh ThresholdedRelu Where Xor"
    ).split()
} | {"GreaterOrEqual": "ge", "LessOrEqual": "le"}

REDUCE = {
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

# Reductions that leave a single element as it is.
_IDENTITIES = ("ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum")


def axis_labels(rank: int) -> tuple[Position, ...]:
    """One label a position."""
    return tuple((f"d{i}",) for i in range(rank))


def aligned(reader: Reader, values: list[ir.Value | None]) -> list[tuple[Position, ...] | None]:
    """Labels of broadcast operands: positions are aligned from the right."""
    ranks = [len(reader.shape(v) or ()) for v in values]
    top = max(ranks)
    return [
        None if v is None else tuple((f"d{top - rank + i}",) for i in range(rank))
        for v, rank in zip(values, ranks, strict=True)
    ]


def unknown_shapes(reader: Reader, node: ir.Node) -> bool:
    """True where the rank of an operand is not known."""
    return any(v is not None and reader.shape(v) is None for v in node.inputs)


def pointwise(reader: Reader, node: ir.Node) -> Meaning:
    """Element by element, with multidirectional broadcasting."""
    if unknown_shapes(reader, node) or not node.inputs:
        return Unknown("a shape is not known")
    if any(name in node.attributes for name in ("axis", "broadcast")):
        return Unknown(f"{node.op_type} with the broadcasting of opset 6")
    operands = aligned(reader, list(node.inputs))
    rank = max(len(positions) for positions in operands if positions is not None)
    skip = frozenset({"consumed_inputs"})
    attrs: list[object] = list(at.hashable(node, skip))
    if node.op_type == "Cast":
        skip = frozenset({"to"})
        to = ir.DataType(node.attributes["to"].as_int())
        attrs = [to.name.lower(), *at.hashable(node, skip)]
    return Apply(
        Kind.POINTWISE,
        POINTWISE[node.op_type],
        tuple(operands),
        (axis_labels(rank),),
        attrs=tuple(attrs),  # pyright: ignore[reportArgumentType]
    )


def dropout(reader: Reader, node: ir.Node) -> Meaning:
    """At inference Dropout is the identity."""
    training = node.inputs[2] if len(node.inputs) > 2 else None
    if training is not None:
        tensor = ir.convenience.get_const_tensor(training)
        if tensor is None or bool(tensor.numpy()):
            return Unknown("Dropout in training mode")
    if reader.shape(node.inputs[0]) is None or any(v.uses() for v in node.outputs[1:]):
        return Unknown("Dropout whose mask is used")
    labels = axis_labels(len(reader.shape(node.inputs[0]) or ()))
    rest = (None,) * (len(node.inputs) - 1)
    results = (labels,) * len(node.outputs)
    return Apply(Kind.POINTWISE, "identity", (labels, *rest), results)


def softmax(reader: Reader, node: ir.Node) -> Meaning:
    """Softmax, LogSoftmax, Hardmax; before opset 13 over all axes from ``axis`` on."""
    shape = reader.shape(node.inputs[0])
    if shape is None:
        return Unknown("a shape is not known")
    labels = axis_labels(len(shape))
    old = reader.opset < 13
    axis = at.integer(node, "axis", 1 if old else -1) % max(len(shape), 1)
    along = labels[axis:] if old else labels[axis : axis + 1]
    if old and node.op_type == "Hardmax" and len(along) > 1:
        return Unknown("Hardmax over several axes")
    return Apply(
        Kind.ALONG,
        node.op_type.lower(),
        (labels,),
        (labels,),
        along=tuple(label for position in along for label in position),
    )


def cumsum(reader: Reader, node: ir.Node) -> Meaning:
    """A running sum along one axis."""
    shape, axis = reader.shape(node.inputs[0]), reader.contents.integer(node.inputs[1])
    if shape is None or axis is None or not shape:
        return Unknown("CumSum along an axis that is computed at run time")
    labels = axis_labels(len(shape))
    return Apply(
        Kind.ALONG,
        "cumsum",
        (labels, None),
        (labels,),
        attrs=at.hashable(node),
        along=labels[axis % len(shape)],
    )


def reduced_axes(reader: Reader, node: ir.Node, rank: int) -> list[int] | None:
    """The axes that a reduction removes; None where they are computed at run time."""
    axes = at.integers(node, "axes")
    if axes is None and len(node.inputs) > 1 and node.inputs[1] is not None:
        axes = reader.contents.integers(node.inputs[1])
        if axes is None:
            return None
    if not axes:
        keep = bool(at.integer(node, "noop_with_empty_axes", 0))
        return [] if keep else list(range(rank))
    return [axis % rank for axis in axes] if rank else []


def reduce(reader: Reader, node: ir.Node) -> Meaning | Reading:
    """Sums, means, extrema over some axes."""
    shape = reader.shape(node.inputs[0])
    if shape is None:
        return Unknown("a shape is not known")
    axes = reduced_axes(reader, node, len(shape))
    if axes is None:
        return Unknown("a reduction over axes that are computed at run time")
    if all(shape[axis].is_one for axis in axes):
        # An empty list of axes would mean all of them: there is no way to write it elsewhere.
        if node.op_type not in _IDENTITIES:
            return Unknown("a reduction over axes of size 1 alone")
        keep = at.integer(node, "keepdims", 1)
        rest = (size for axis, size in enumerate(shape) if keep or axis not in axes)
        return Reading(Regroup(), tuple(rest))
    return _reduction(node, len(shape), REDUCE[node.op_type], axes, ())


def arg(reader: Reader, node: ir.Node) -> Meaning:
    """ArgMax and ArgMin."""
    shape = reader.shape(node.inputs[0])
    if not shape:
        return Unknown("a shape is not known")
    axis = at.integer(node, "axis", 0) % len(shape)
    if shape[axis].is_one:
        return Unknown(f"{node.op_type} over an axis of size 1")
    last = at.integer(node, "select_last_index", 0)
    return _reduction(node, len(shape), node.op_type.lower(), [axis], (last,))


def _reduction(
    node: ir.Node, rank: int, fn: str, axes: list[int], attrs: tuple[int, ...]
) -> Meaning:
    labels = axis_labels(rank)
    keep = at.integer(node, "keepdims", 1)
    result = tuple(
        (f"gone{i}",) if i in axes else label
        for i, label in enumerate(labels)
        if keep or i not in axes
    )
    operands = (labels, *(None,) * (len(node.inputs) - 1))
    return Apply(Kind.REDUCE, fn, operands, (result,), attrs=attrs)


def global_pool(reader: Reader, node: ir.Node) -> Meaning:
    """GlobalAveragePool and GlobalMaxPool: a reduction over the spatial axes."""
    shape = reader.shape(node.inputs[0])
    if shape is None or len(shape) < 3:
        return Unknown("a shape is not known")
    fn = "mean" if node.op_type == "GlobalAveragePool" else "max"
    labels = axis_labels(len(shape))
    gone = tuple((f"gone{i}",) for i in range(2, len(shape)))
    return Apply(Kind.REDUCE, fn, (labels,), ((*labels[:2], *gone),))


TABLE: dict[str, Handler] = {
    **dict.fromkeys(POINTWISE, pointwise),
    **dict.fromkeys(REDUCE, reduce),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), softmax),
    **dict.fromkeys(("ArgMax", "ArgMin"), arg),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool"), global_pool),
    "CumSum": cumsum,
    "Dropout": dropout,
}
