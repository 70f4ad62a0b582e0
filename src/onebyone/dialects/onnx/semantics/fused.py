"""What ONNX Runtime's optimizer fuses, apart from attention: norms, convolutions, products."""

from __future__ import annotations

from typing import Any

import numpy as np

from onebyone.dialects.onnx.semantics import linear, places
from onebyone.dialects.onnx.semantics.activations import activated, parameters
from onebyone.dialects.onnx.semantics.base import Call, Result, Table
from onebyone.kernels import elementwise, lines
from onebyone.kernels.arithmetic import Arithmetic, Tensor
from onebyone.kernels.errors import UnsupportedError
from onebyone.kernels.operands import floats, ints, move
from onebyone.kernels.places import take


def _normed(
    ar: Arithmetic, call: Call, total: Any, scale: Any, bias: Any
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A layer norm of a sum, its mean, the reciprocal of its deviation, and the sum itself."""
    axes, epsilon = (total.ndim - 1,), call.float("epsilon", 1e-12)
    centre, centred, variance = lines.moments(ar, total, axes=axes)
    root = lines.root_of(ar, variance, epsilon=epsilon)
    out = lines.affine(ar, ar.div(centred, root), scale, bias)
    return out, centre, ar.reciprocal(root), total


def _summed(ar: Arithmetic, x: Any, skip: Any, bias: Any) -> Tensor:
    total = ar.add(x, skip)
    if total.shape != x.shape:
        raise ValueError(f"a skip {list(skip.shape)} does not fit {list(x.shape)}")
    return total if bias is None else ar.add(total, bias)


def _skip_layer_norm(
    ar: Arithmetic, call: Call, x: Any, skip: Any, scale: Any, shift: Any = None, bias: Any = None
) -> Result:
    return _normed(ar, call, _summed(ar, x, skip, bias), scale, shift)[: call.outputs]


def _skip_rms_norm(
    ar: Arithmetic, call: Call, x: Any, skip: Any, scale: Any, bias: Any = None
) -> Result:
    total, epsilon = _summed(ar, x, skip, bias), call.float("epsilon", 1e-12)
    axes = (total.ndim - 1,)
    mean_square = ar.mean(ar.mul(total, total), axes)
    root = lines.root_of(ar, mean_square, epsilon=epsilon)
    out = lines.affine(ar, ar.div(total, root), scale, None)
    # There is no mean to give.
    return (out, None, ar.reciprocal(root), total)[: call.outputs]


def _embed_layer_norm(
    ar: Arithmetic,
    call: Call,
    ids: Any,
    segments: Any,
    words: Any,
    positions: Any,
    segment_table: Any,
    scale: Any,
    shift: Any,
    mask: Any = None,
    position_ids: Any = None,
) -> Result:
    # Which form the mask index has; both kinds of ones count.
    if call.get("mask_index_type", 1) != 1:
        raise UnsupportedError("EmbedLayerNormalization with another kind of mask_index")
    total = take(ar, words, ids, axis=0)
    if position_ids is None:
        position_ids = np.arange(ids.shape[1], dtype=np.int64)
    total = ar.add(total, take(ar, positions, position_ids, axis=0))
    if segment_table is not None:
        # Without segments all tokens are of the first.
        segments = np.zeros((1, 1), np.int64) if segments is None else segments
        total = ar.add(total, take(ar, segment_table, segments, axis=0))
    out = _normed(ar, call, total, scale, shift)[0]
    count: Tensor = np.zeros(ids.shape[:1], np.int32)
    if mask is not None:
        ones = elementwise.compare(ar, mask, np.ones((), mask.dtype), relation="==")
        counted = elementwise.where(ar, ones, np.ones((), np.int32), np.zeros((), np.int32))
        count = lines.kept(ar, lines.total(ar, counted, axes=(1,)), axes=(1,), keep=False)
    return (out, count, total)[: call.outputs]


def fused_conv(
    ar: Arithmetic, call: Call, x: Any, w: Any, bias: Any = None, z: Any = None
) -> Tensor:
    """A convolution, plus a tensor, behind an activation."""
    out = linear.conv(ar, call, x, w, bias)
    out = out if z is None else ar.add(out, z)
    name, given = call.text("activation", ""), list(call.get("activation_params", ()))
    if name == "Clip":
        low, high = (ar.constant(value) for value in given)
        return elementwise.minimum(ar, elementwise.maximum(ar, out, low), high)
    if not name:
        return out
    return activated(ar, out, name, dict(zip(parameters(name), given, strict=False)))


def _fused_gemm(ar: Arithmetic, call: Call, a: Any, b: Any, c: Any = None) -> Tensor:
    out, name = linear.gemm(ar, call, a, b, c), call.text("activation", "")
    given = {one: call.get(f"activation_{one}") for one in ("alpha", "beta", "gamma")}
    if not name:
        return out
    wanted = {one: value for one, value in given.items() if value is not None}
    return activated(ar, out, name, wanted)


def _expand_dims(ar: Arithmetic, call: Call, x: Any, axis: Any) -> Tensor:
    where = ints(ar, axis, "an axis")[0]
    return move(ar, lambda a: np.expand_dims(a, where), x)


def _inverse(ar: Arithmetic, call: Call, x: Any) -> Tensor:
    size = tuple(x.shape[-2:])
    return ar.opaque("Inverse", np.linalg.inv, x, core=(2,), shape=size)


def _range(ar: Arithmetic, call: Call, start: Any, limit: Any, delta: Any = None) -> Tensor:
    step = 1 if delta is None else float(floats(ar, delta, "a range").reshape(()))
    first, end = (float(floats(ar, x, "a range").reshape(())) for x in (start, limit))
    count = max(int(np.ceil((end - first) / step)), 0)
    values = first + step * np.arange(count)
    return ar.constant(values) if ar.is_data(start) else values.astype(start.dtype)


# Those of ONNX's own domain that ONNX Runtime has in its domain, too.
_SAME = {
    "DequantizeLinear": linear.TABLE, "GatherND": places.TABLE, "Pad": places.TABLE,
    "Trilu": places.TABLE,
}  # fmt: skip

TABLE: Table = {
    **{("com.microsoft", name): table["", name] for name, table in _SAME.items()},
    ("com.microsoft", "EmbedLayerNormalization"): _embed_layer_norm,
    ("com.microsoft", "ExpandDims"): _expand_dims,
    ("com.microsoft", "FusedConv"): fused_conv,
    ("com.microsoft", "FusedGemm"): _fused_gemm,
    ("com.microsoft", "Inverse"): _inverse,
    ("com.microsoft", "Range"): _range,
    ("com.microsoft", "SkipLayerNormalization"): _skip_layer_norm,
    ("com.microsoft", "SkipSimplifiedLayerNormalization"): _skip_rms_norm,
    ("com.microsoft", "TransposeMatMul"): linear.fused_matmul,
}
