"""Attention, as the exporter to ONNX spells it out."""

from __future__ import annotations

import math

import numpy as np
import torch

from onebyone.dialects.aten.semantics.base import Call, Operator
from onebyone.kernels import elementwise
from onebyone.kernels.arithmetic import Array, Tensor
from onebyone.kernels.errors import UnsupportedError


def _attention(call: Call) -> Tensor:
    """``softmax(q' @ k'^T + mask) @ v``; rows that are masked completely give 0.

    Queries and keys are each scaled by the root of the scale: in exact arithmetic that is the
    scale, but the root that an exported file holds is rounded to float32.
    """
    if call.get("dropout_p", 0.0):
        raise UnsupportedError("attention with dropout")
    ar = call.ar
    q, k, v = (call.tensor(name) for name in ("query", "key", "value"))
    if call.get("enable_gqa"):
        k, v = (_repeated(call, x, q.shape[-3] // x.shape[-3]) for x in (k, v))
    root = call.constant("scale", np.asarray(_root(call, q.shape[-1])))
    if float(_root(call, q.shape[-1])) != 1.0:
        q, k = ar.mul(q, root), ar.mul(k, root)
    scores = ar.matmul(q, ar.move(lambda a: a.swapaxes(-1, -2), k))
    mask = call.optional("attn_mask")
    if call.get("is_causal"):
        mask = np.tri(q.shape[-2], k.shape[-2], dtype=bool)
    if mask is None:
        return ar.matmul(ar.softmax(scores, scores.ndim - 1), v)
    if not ar.is_data(mask):
        allowed = mask
        zero, hidden = ar.constant(0.0), ar.constant(-math.inf)
        mask = ar.move(lambda a, b: np.where(allowed, a, b), zero, hidden)
    return ar.matmul(safe_softmax(call, ar.add(scores, mask), scores.ndim - 1), v)


def _root(call: Call, width: int) -> float:
    """The root of the scale in the arithmetic of the exporter to ONNX: float32."""
    scale = call.get("scale")
    if call.dtype == torch.float64:
        return math.sqrt(1 / math.sqrt(width) if scale is None else scale)
    if scale is not None:
        return float(np.float32(math.sqrt(scale)))
    return float(np.sqrt(np.float32(1.0) / np.sqrt(np.float32(width))))


def _repeated(call: Call, x: Tensor, times: int) -> Tensor:
    return call.ar.move(lambda a: np.repeat(a, times, -3), x)


def safe_softmax(call: Call, x: Tensor, axis: int) -> Tensor:
    """A softmax whose rows of nothing but minus infinity give 0."""
    ar = call.ar
    out = ar.softmax(x, axis)
    empty: Array = elementwise.is_nan(ar, out)
    return ar.move(lambda a, b: np.where(empty, a, b), ar.constant(0.0), out)


def _safe_softmax(call: Call) -> Tensor:
    x = call.data("self")
    return safe_softmax(call, x, call.given["dim"] % x.ndim)


TABLE: dict[str, Operator] = {
    "_safe_softmax": _safe_softmax,
    "scaled_dot_product_attention": _attention,
}
