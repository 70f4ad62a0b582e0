"""Normalisations. Each means its primitive form; see ``axes.primitives``."""

from __future__ import annotations

import torch
from torch import fx

from onebyone.axes.positional import Apply, Kind, Position, Unknown
from onebyone.axes.sizes import Size
from onebyone.dialects.aten.read.pointwise import epsilon
from onebyone.dialects.aten.read.reader import Arguments, Handler, Reader, Reading, axis_labels
from onebyone.dialects.aten.values import Name, fake, op_name, shape_of


def _norm(
    fn: str,
    operands: tuple[tuple[Position, ...] | None, ...],
    along: tuple[Position, ...],
    eps: float,
    dtype: torch.dtype,
    names: tuple[Name, ...],
    sizes: dict[str, Size] | None = None,
) -> Reading:
    assert operands[0] is not None
    meaning = Apply(
        Kind.NORM,
        fn,
        operands,
        (operands[0],),
        attrs=(epsilon(eps, dtype),),
        sizes=sizes or {},
        along=tuple(label for position in along for label in position),
    )
    return Reading(meaning, *names)


def layer_norm(reader: Reader, node: fx.Node, given: Arguments) -> Reading | Unknown:
    """layer_norm, native_layer_norm and rms_norm: along the last positions."""
    x = fake(given["input"])
    labels = axis_labels(x.ndim)
    along = labels[x.ndim - len(given["normalized_shape"]) :]
    names: list[Name] = ["input", "weight", "bias"]
    if "rms" in op_name(node):
        eps = given.get("eps")
        eps = torch.finfo(x.dtype).eps if eps is None else eps
        weight = None if given.get("weight") is None else along
        return _norm("rms_norm", (labels, weight), along, eps, x.dtype, ("input", "weight"))
    operands = (labels, *(None if given.get(str(name)) is None else along for name in names[1:]))
    return _norm("layer_norm", operands, along, given["eps"], x.dtype, tuple(names))


def batch_norm(reader: Reader, node: fx.Node, given: Arguments) -> Reading | Unknown:
    """Batch norm at inference: scale and shift of each channel."""
    names: tuple[Name, ...] = ("input", "weight", "bias", "running_mean", "running_var")
    if given.get("training") or any(given.get(str(name)) is None for name in names):
        return Unknown("a batch norm in training mode, or without scale and shift")
    labels, dtype = axis_labels(fake(given["input"]).ndim), fake(given["input"]).dtype
    return _norm("batch_norm", (labels, *(labels[1:2],) * 4), (), given["eps"], dtype, names)


def group_norm(reader: Reader, node: fx.Node, given: Arguments) -> Reading | Unknown:
    """Group norm: along the channels of a group and the spatial positions."""
    shape = shape_of(fake(given["input"]))
    groups: int = given["num_groups"] if "num_groups" in given else given["group"]
    channels = shape[1].divided_by(Size(groups)) if len(shape) > 2 else None
    if channels is None or given.get("weight") is None or given.get("bias") is None:
        return Unknown("a group norm without scale and shift, or without spatial positions")
    rest = tuple((f"s{i}",) for i in range(len(shape) - 2))
    own: Position = ("g", "c")
    operands = ((("n",), own, *rest), (own,), (own,))
    sizes, dtype = {"g": Size(groups), "c": channels}, fake(given["input"]).dtype
    names: tuple[Name, ...] = ("input", "weight", "bias")
    return _norm("group_norm", operands, (("c",), *rest), given["eps"], dtype, names, sizes)


TABLE: dict[str, Handler] = {
    **dict.fromkeys(("layer_norm", "native_layer_norm", "rms_norm", "_fused_rms_norm"), layer_norm),
    **dict.fromkeys(("group_norm", "native_group_norm"), group_norm),
    **dict.fromkeys(("batch_norm", "_native_batch_norm_legit_no_training"), batch_norm),
}
