"""Attention, as the exporter to ONNX spells it out."""

from __future__ import annotations

import math

import numpy as np
import torch

from onebyone.dialects.aten.semantics.base import Call, Table
from onebyone.kernels import elementwise, lines, places, products
from onebyone.kernels.arithmetic import Tensor
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
        times = q.shape[-3] // k.shape[-3]
        k, v = (places.repeated(ar, x, times=times, axis=-3) for x in (k, v))
    root = _root(call, q.shape[-1])
    if root != 1.0:
        factor = call.constant("scale", np.asarray(root))
        q, k = ar.mul(q, factor), ar.mul(k, factor)
    scores = ar.matmul(q, products.swapped(ar, k))
    mask = call.optional("attn_mask")
    masks = [] if mask is None else [mask]
    if call.get("is_causal"):
        masks.append(np.tri(q.shape[-2], k.shape[-2], dtype=bool))
    if not masks:
        return ar.matmul(ar.softmax(scores, scores.ndim - 1), v)
    if len(masks) == 2 and masks[0].dtype == bool:
        masks = [elementwise.logical(ar, *masks, name="and")]
    for mask in masks:
        if mask.dtype == bool:
            mask = elementwise.where(ar, mask, ar.constant(0.0), ar.constant(-math.inf))
        scores = ar.add(scores, mask)
    return ar.matmul(lines.safe_softmax(ar, scores, axis=scores.ndim - 1), v)


def _root(call: Call, width: int) -> float:
    """The root of the scale in the arithmetic of the exporter to ONNX: float32."""
    scale = call.get("scale")
    if call.dtype == torch.float64:
        return math.sqrt(1 / math.sqrt(width) if scale is None else scale)
    if scale is not None:
        return float(np.float32(math.sqrt(scale)))
    return float(np.sqrt(np.float32(1.0) / np.sqrt(np.float32(width))))


TABLE: Table = {"scaled_dot_product_attention": _attention}
