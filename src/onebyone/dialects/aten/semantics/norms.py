"""Normalisations in their primitive form."""

from __future__ import annotations

import torch

from onebyone.dialects.aten.semantics.base import Call, Result, Table
from onebyone.kernels import lines
from onebyone.kernels.arithmetic import Tensor
from onebyone.kernels.errors import UnsupportedError


def _only(call: Call, out: Tensor) -> Result:
    """Native norms also yield statistics, which inference does not read."""
    return (out, *[None] * (call.results - 1)) if call.results > 1 else out


def _normalized(call: Call, x: Tensor) -> tuple[int, ...]:
    return tuple(range(x.ndim - len(call.given["normalized_shape"]), x.ndim))


def _parameters(call: Call) -> tuple[Tensor | None, Tensor | None]:
    return call.optional("weight"), call.optional("bias")


def _layer_norm(call: Call) -> Result:
    x, epsilon = call.tensor("input"), call.rounded(call.given["eps"])
    axes = _normalized(call, x)
    return _only(call, lines.layer_norm(call.ar, x, *_parameters(call), axes=axes, epsilon=epsilon))


def _rms_norm(call: Call) -> Result:
    x, axes = call.tensor("input"), _normalized(call, call.tensor("input"))
    # Halves are normalised in float32, whose epsilon they take (measured in torch 2.13).
    wide = torch.float64 if call.dtypes[0] == torch.float64 else torch.float32
    epsilon = call.rounded(call.get("eps", torch.finfo(wide).eps))
    scale = call.optional("weight")
    return _only(call, lines.rms_norm(call.ar, x, scale, axes=axes, epsilon=epsilon))


def _batch_norm(call: Call) -> Result:
    if call.get("training"):
        raise UnsupportedError("a batch norm in training mode")
    mean, variance = call.optional("running_mean"), call.optional("running_var")
    if mean is None or variance is None:
        raise UnsupportedError("a batch norm without statistics")
    x, epsilon = call.tensor("input"), call.rounded(call.given["eps"])
    parameters = (*_parameters(call), mean, variance)
    return _only(call, lines.batch_norm(call.ar, x, *parameters, epsilon=epsilon))


def _instance_norm(call: Call) -> Tensor:
    if not call.given["use_input_stats"]:
        raise UnsupportedError("an instance norm by statistics")
    x, epsilon = call.tensor("input"), call.rounded(call.given["eps"])
    return lines.instance_norm(call.ar, x, *_parameters(call), epsilon=epsilon)


def _group_norm(call: Call) -> Result:
    x, epsilon = call.tensor("input"), call.rounded(call.given["eps"])
    groups: int = call.given["num_groups" if "num_groups" in call.given else "group"]
    out = lines.group_norm(call.ar, x, *_parameters(call), groups=groups, epsilon=epsilon)
    return _only(call, out)


TABLE: Table = {
    **dict.fromkeys(("layer_norm", "native_layer_norm"), _layer_norm),
    **dict.fromkeys(("rms_norm", "_fused_rms_norm"), _rms_norm),
    **dict.fromkeys(("group_norm", "native_group_norm"), _group_norm),
    **dict.fromkeys(("batch_norm", "_native_batch_norm_legit_no_training"), _batch_norm),
    "instance_norm": _instance_norm,
}
