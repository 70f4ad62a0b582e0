"""Normalisations in their primitive form."""

from __future__ import annotations

from typing import Any

import torch

from onebyone.dialects.aten.semantics.base import Call, Operator, Result
from onebyone.kernels import products
from onebyone.kernels.arithmetic import Tensor
from onebyone.kernels.errors import UnsupportedError


def _affine(call: Call, x: Tensor, scale: Any, bias: Any) -> Tensor:
    x = x if scale is None else call.ar.mul(x, scale)
    return x if bias is None else call.ar.add(x, bias)


def _layer_norm(call: Call) -> Result:
    x = call.tensor("input")
    axes = tuple(range(x.ndim - len(call.given["normalized_shape"]), x.ndim))
    out = products.standardize(call.ar, x, axes, call.rounded(call.given["eps"]))
    return _only(call, _affine(call, out, call.optional("weight"), call.optional("bias")))


def _only(call: Call, out: Tensor) -> Result:
    """Native norms also yield statistics, which inference does not read."""
    return (out, *[None] * (call.results - 1)) if call.results > 1 else out


def _rms_norm(call: Call) -> Result:
    x, ar = call.tensor("input"), call.ar
    axes = tuple(range(x.ndim - len(call.given["normalized_shape"]), x.ndim))
    eps = call.get("eps")
    eps = torch.finfo(call.dtypes[0]).eps if eps is None else eps
    shifted = ar.add(ar.mean(ar.mul(x, x), axes), call.number(eps))
    out = ar.div(x, ar.function("Sqrt", shifted))
    return _only(call, _affine(call, out, call.optional("weight"), None))


def _per_channel(call: Call, name: str, rank: int) -> Any:
    value = call.optional(name)
    return None if value is None else products.per_channel(call.ar, value, rank)


def _batch_norm(call: Call) -> Result:
    if call.given.get("training"):
        raise UnsupportedError("a batch norm in training mode")
    x, ar = call.tensor("input"), call.ar
    scale, bias, mean, variance = (
        _per_channel(call, name, x.ndim)
        for name in ("weight", "bias", "running_mean", "running_var")
    )
    if mean is None or variance is None:
        raise UnsupportedError("a batch norm without statistics")
    root = ar.function("Sqrt", ar.add(variance, call.number(call.given["eps"])))
    return _only(call, _affine(call, ar.div(ar.sub(x, mean), root), scale, bias))


def _instance_norm(call: Call) -> Tensor:
    if not call.given["use_input_stats"]:
        raise UnsupportedError("an instance norm by statistics")
    x = call.tensor("input")
    eps = call.rounded(call.given["eps"])
    out = products.standardize(call.ar, x, tuple(range(2, x.ndim)), eps)
    scale, bias = (_per_channel(call, name, x.ndim) for name in ("weight", "bias"))
    return _affine(call, out, scale, bias)


def _group_norm(call: Call) -> Result:
    x = call.tensor("input")
    groups: int = call.given["num_groups"] if "num_groups" in call.given else call.given["group"]
    split = call.ar.move(lambda a: a.reshape(a.shape[0], groups, -1), x)
    out = products.standardize(call.ar, split, (2,), call.rounded(call.given["eps"]))
    out = call.ar.move(lambda a: a.reshape(x.shape), out)
    scale, bias = (_per_channel(call, name, x.ndim) for name in ("weight", "bias"))
    return _only(call, _affine(call, out, scale, bias))


TABLE: dict[str, Operator] = {
    **dict.fromkeys(("layer_norm", "native_layer_norm"), _layer_norm),
    **dict.fromkeys(("rms_norm", "_fused_rms_norm"), _rms_norm),
    **dict.fromkeys(("group_norm", "native_group_norm"), _group_norm),
    **dict.fromkeys(("batch_norm", "_native_batch_norm_legit_no_training"), _batch_norm),
    "instance_norm": _instance_norm,
}
