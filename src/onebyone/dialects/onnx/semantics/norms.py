"""Norms in their primitive form, softmax, reductions and resizing."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from onebyone.dialects.onnx.semantics.base import (
    Call,
    Machine,
    Operator,
    Result,
    axes_of,
    floats,
    move,
)
from onebyone.dialects.onnx.semantics.shapes import operand_axes
from onebyone.kernels import products, resizing
from onebyone.kernels.arithmetic import Tensor
from onebyone.kernels.errors import UnsupportedError


def _affine(m: Machine, x: Tensor, scale: Any, bias: Any) -> Tensor:
    x = x if scale is None else m.ar.mul(x, scale)
    return x if bias is None else m.ar.add(x, bias)


def _layer_norm(m: Machine, call: Call, x: Any, scale: Any = None, bias: Any = None) -> Result:
    axes = tuple(range(call.get("axis", -1) % x.ndim, x.ndim))
    out = _affine(m, products.standardize(m.ar, x, axes, call.float("epsilon", 1e-5)), scale, bias)
    if call.outputs == 1:
        return out
    mean = m.ar.mean(x, axes)
    centred = m.ar.sub(x, mean)
    variance = m.ar.mean(m.ar.mul(centred, centred), axes)
    shifted = m.ar.add(variance, m.ar.constant(call.float("epsilon", 1e-5)))
    return out, mean, m.ar.reciprocal(m.ar.function("Sqrt", shifted))


def _rms_norm(m: Machine, call: Call, x: Any, scale: Any = None) -> Tensor:
    axes = tuple(range(call.get("axis", -1) % x.ndim, x.ndim))
    square = m.ar.mean(m.ar.mul(x, x), axes)
    shifted = m.ar.add(square, m.ar.constant(call.float("epsilon", 1e-5)))
    return _affine(m, m.ar.div(x, m.ar.function("Sqrt", shifted)), scale, None)


def _batch_norm(m: Machine, call: Call, x: Any, *parameters: Any) -> Tensor:
    if call.get("training_mode", 0) or call.outputs > 1:
        raise UnsupportedError("BatchNormalization in training mode")
    scale, bias, mean, variance = (products.per_channel(m.ar, p, x.ndim) for p in parameters)
    shifted = m.ar.add(variance, m.ar.constant(call.float("epsilon", 1e-5)))
    out = m.ar.div(m.ar.sub(x, mean), m.ar.function("Sqrt", shifted))
    return _affine(m, out, scale, bias)


def _instance_norm(m: Machine, call: Call, x: Any, scale: Any, bias: Any) -> Tensor:
    out = products.standardize(m.ar, x, tuple(range(2, x.ndim)), call.float("epsilon", 1e-5))
    return _affine(
        m, out, products.per_channel(m.ar, scale, x.ndim), products.per_channel(m.ar, bias, x.ndim)
    )


def _group_norm(m: Machine, call: Call, x: Any, scale: Any, bias: Any) -> Tensor:
    groups, channels = call.attributes["num_groups"], x.shape[1]
    split = m.ar.move(lambda a: a.reshape(a.shape[0], groups, -1), x)
    out = products.standardize(m.ar, split, (2,), call.float("epsilon", 1e-5))
    out = m.ar.move(lambda a: a.reshape(x.shape), out)
    if scale.size != channels:
        # Opset 18 has one scale per group.
        scale, bias = (
            m.ar.move(lambda a: np.repeat(a, channels // groups), p) for p in (scale, bias)
        )
    return _affine(
        m, out, products.per_channel(m.ar, scale, x.ndim), products.per_channel(m.ar, bias, x.ndim)
    )


def _lp_norm(m: Machine, call: Call, x: Any) -> Tensor:
    axes = (call.get("axis", -1) % x.ndim,)
    if call.get("p", 2) == 1:
        return m.ar.div(x, m.ar.total(m.ar.maximum(x, m.ar.neg(x)), axes))
    return m.ar.div(x, m.ar.function("Sqrt", m.ar.total(m.ar.mul(x, x), axes)))


def _mean_variance(m: Machine, call: Call, x: Any) -> Tensor:
    axes = axes_of(call.get("axes", (0, 2, 3)), x.ndim)
    return products.standardize(m.ar, x, axes, 1e-9)


def _lrn(m: Machine, call: Call, x: Any) -> Tensor:
    size = call.attributes["size"]
    before, after = (size - 1) // 2, size - 1 - (size - 1) // 2
    square = m.ar.mul(x, x)
    rest = [(0, 0)] * (x.ndim - 2)
    view = m.ar.move(
        lambda a: np.lib.stride_tricks.sliding_window_view(
            np.pad(a, [(0, 0), (before, after), *rest]), size, axis=1
        ),
        square,
    )
    total = m.ar.move(lambda a: a[..., 0], m.ar.total(view, (x.ndim,)))
    alpha = m.ar.div(m.ar.constant(call.float("alpha", 1e-4)), m.ar.constant(size))
    base = m.ar.add(m.ar.constant(call.float("bias", 1.0)), m.ar.mul(alpha, total))
    return m.ar.div(x, m.ar.function("Pow", base, m.ar.constant(call.float("beta", 0.75))))


def _softmax(m: Machine, call: Call, x: Any) -> Tensor:
    if call.version >= 13:
        return m.ar.softmax(x, call.get("axis", -1) % x.ndim)
    # Before opset 13 the axis says where to flatten to two dimensions.
    axis = call.get("axis", 1) % x.ndim
    rows = int(np.prod(x.shape[:axis], dtype=np.int64))
    flat = m.ar.softmax(m.ar.move(lambda a: a.reshape(rows, -1), x), 1)
    return m.ar.move(lambda a: a.reshape(x.shape), flat)


def _log_softmax(m: Machine, call: Call, x: Any) -> Tensor:
    return m.ar.function("Log", _softmax(m, call, x))


def _hardmax(m: Machine, call: Call, x: Any) -> Tensor:
    axis = call.get("axis", -1 if call.version >= 13 else 1) % x.ndim
    if call.version < 13 and axis != x.ndim - 1:
        raise UnsupportedError("Hardmax over flattened axes")
    key = m.ar.keys(x)[0]
    hot = np.zeros(x.shape)
    np.put_along_axis(hot, np.expand_dims(np.argmax(key, axis), axis), 1.0, axis)
    return m.ar.constant(hot)


def _reduction(name: str) -> Operator:
    def run(m: Machine, call: Call, x: Any, axes: Any = None) -> Tensor:
        which = operand_axes(m, call, axes)
        if not which:
            if call.get("noop_with_empty_axes", 0):
                which = []
            else:
                which = list(range(x.ndim))
        over = axes_of(which, x.ndim)
        exact = not m.ar.is_data(x)
        if exact and x.dtype.kind == "b":
            fold = np.any if name == "ReduceMax" else np.all
            out: Any = fold(x, axis=over, keepdims=True)
        elif exact:
            total = _reduce(m, name, m.ar.constant(x), over)
            out = np.trunc(floats(m, total, name)).astype(x.dtype)
        else:
            out = _reduce(m, name, x, over)
        if call.get("keepdims", 1):
            return out
        return move(m, lambda a: a.squeeze(over), out)

    return run


def _reduce(m: Machine, name: str, x: Any, axes: tuple[int, ...]) -> Any:
    ar = m.ar
    match name:
        case "ReduceMax":
            return ar.largest(x, axes)
        case "ReduceMin":
            return ar.neg(ar.largest(ar.neg(x), axes))
        case "ReduceMean":
            return ar.mean(x, axes)
        case "ReduceSumSquare":
            return ar.total(ar.mul(x, x), axes)
        case "ReduceL1":
            return ar.total(ar.maximum(x, ar.neg(x)), axes)
        case "ReduceL2":
            return ar.function("Sqrt", ar.total(ar.mul(x, x), axes))
        case "ReduceLogSum":
            return ar.function("Log", ar.total(x, axes))
        case "ReduceLogSumExp":
            return ar.function("Log", ar.total(ar.function("Exp", x), axes))
        case "ReduceProd":
            for axis in axes:
                parts = [
                    ar.move(lambda a, i=i, axis=axis: np.take(a, [i], axis), x)
                    for i in range(x.shape[axis])
                ]
                empty = ar.constant(np.ones([1 if a == axis else n for a, n in enumerate(x.shape)]))
                x = reduce(ar.mul, parts) if parts else empty
            return x
        case _:
            return ar.total(x, axes)


def _resize(m: Machine, call: Call, x: Any, *rest: Any) -> Tensor:
    if call.version < 11:
        roi, scales, sizes = None, rest[0] if rest else None, None
    else:
        roi, scales, sizes = (*rest, None, None, None)[:3]
    if not m.ar.is_data(x):
        raise UnsupportedError("Resize of integers")
    legacy = "asymmetric" if call.version < 11 else "half_pixel"
    axes = [a % x.ndim for a in call.get("axes", range(x.ndim))]
    known = None if scales is None or not scales.size else floats(m, scales, "scales")
    if known is None and call.get("scales") is not None:
        known = np.asarray(call.get("scales"))
    plan = resizing.Resize(
        mode=call.text("mode", "nearest"),
        coordinates=call.text("coordinate_transformation_mode", legacy),
        nearest=call.text("nearest_mode", "floor" if call.version < 11 else "round_prefer_floor"),
        cubic=call.float("cubic_coeff_a", -0.75),
        exclude_outside=bool(call.get("exclude_outside", 0)),
        antialias=bool(call.get("antialias", 0)),
        policy=call.text("keep_aspect_ratio_policy", "stretch"),
        outside=call.float("extrapolation_value", 0.0),
    )
    return resizing.resize(
        m.ar, x, plan, axes,
        scales=known,
        sizes=None if sizes is None or not sizes.size else floats(m, sizes, "sizes"),
        roi=None if roi is None or not roi.size else floats(m, roi, "roi"),
    )  # fmt: skip


_REDUCTIONS = (
    "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean",
    "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare",
)  # fmt: skip

TABLE: dict[tuple[str, str], Operator] = {
    **{("", name): _reduction(name) for name in _REDUCTIONS},
    ("", "BatchNormalization"): _batch_norm,
    ("", "GroupNormalization"): _group_norm,
    ("", "Hardmax"): _hardmax,
    ("", "InstanceNormalization"): _instance_norm,
    ("", "LRN"): _lrn,
    ("", "LayerNormalization"): _layer_norm,
    ("", "LogSoftmax"): _log_softmax,
    ("", "LpNormalization"): _lp_norm,
    ("", "MeanVarianceNormalization"): _mean_variance,
    ("", "RMSNormalization"): _rms_norm,
    ("", "Resize"): _resize,
    ("", "SimplifiedLayerNormalization"): _rms_norm,
    ("", "Softmax"): _softmax,
    ("", "Upsample"): _resize,
    ("com.microsoft", "SimplifiedLayerNormalization"): _rms_norm,
}
