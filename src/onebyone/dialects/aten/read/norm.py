"""Normalisations. Each means its primitive form; see ``axes.primitives``."""

from __future__ import annotations

import numpy as np
import torch
from torch import fx

from onebyone.axes import meanings
from onebyone.axes.positional import Unknown
from onebyone.dialects.aten.read.arguments import Arguments
from onebyone.dialects.aten.read.reader import Handler, Key, Reader, Reading
from onebyone.dialects.aten.values import Name, fake, op_name, shape_of


def _epsilon(value: float | None, dtype: torch.dtype) -> float:
    """An epsilon as float32, in which all types but float64 add it; float64 adds it as it is.

    Without a value it is the unit of the type in which the norm is computed: float32 for halves.
    """
    if value is None:
        value = torch.finfo(torch.float64 if dtype == torch.float64 else torch.float32).eps
    return value if dtype == torch.float64 else float(np.float32(value))


def layer_norm(reader: Reader, node: fx.Node, given: Arguments) -> Reading | Unknown:
    """layer_norm, native_layer_norm and rms_norm: along the last positions."""
    x = fake(given["input"])
    count = len(given["normalized_shape"])
    rms = "rms" in op_name(node)
    names: tuple[Name, ...] = ("input", "weight") if rms else ("input", "weight", "bias")
    parameters = [None if given.get(str(name)) is None else count for name in names[1:]]
    epsilon = _epsilon(given["eps"], x.dtype)
    fn = "rms_norm" if rms else "layer_norm"
    return Reading(meanings.line_norm(fn, x.ndim, x.ndim - count, parameters, epsilon), *names)


def batch_norm(reader: Reader, node: fx.Node, given: Arguments) -> Reading | Unknown:
    """Batch norm at inference: scale and shift of each channel."""
    names: tuple[Name, ...] = ("input", "weight", "bias", "running_mean", "running_var")
    if given.get("training") or any(given.get(str(name)) is None for name in names):
        return Unknown("a batch norm in training mode, or without scale and shift")
    x = fake(given["input"])
    epsilon = _epsilon(given["eps"], x.dtype)
    return Reading(meanings.channel_norm("batch_norm", x.ndim, 4, epsilon), *names)


def group_norm(reader: Reader, node: fx.Node, given: Arguments) -> Reading | Unknown:
    """Group norm: along the channels of a group and the spatial positions."""
    x = fake(given["input"])
    groups: int = given["num_groups"] if "num_groups" in given else given["group"]
    given.told("N", "C", "HxW")
    meaning = meanings.group_norm(shape_of(x), groups, _epsilon(given["eps"], x.dtype))
    if meaning is None or given.get("weight") is None or given.get("bias") is None:
        return Unknown("a group norm without scale and shift, or without spatial positions")
    return Reading(meaning, "input", "weight", "bias")


_LINES = ("layer_norm", "native_layer_norm", "rms_norm", "_fused_rms_norm")
_CHANNELS = ("batch_norm", "_native_batch_norm_legit_no_training")

TABLE: dict[Key, Handler] = {
    **{("aten", name): layer_norm for name in _LINES},
    **{("aten", name): group_norm for name in ("group_norm", "native_group_norm")},
    **{("aten", name): batch_norm for name in _CHANNELS},
}
