"""Norms in their primitive form, softmax and reductions."""

from __future__ import annotations

from typing import Any

import numpy as np

from onebyone.dialects.onnx.semantics.base import Call, Operator, Result, Table, operand_axes
from onebyone.kernels import elementwise, lines, windows
from onebyone.kernels.arithmetic import Arithmetic, Float64, Tensor
from onebyone.kernels.elementwise import Kernel
from onebyone.kernels.errors import UnsupportedError
from onebyone.kernels.operands import axes_of, axis_of


def _last_axes(call: Call, x: Any) -> tuple[int, ...]:
    return tuple(range(axis_of(call.get("axis", -1), x.ndim), x.ndim))


def _layer_norm(ar: Arithmetic, call: Call, x: Any, scale: Any = None, bias: Any = None) -> Result:
    axes, epsilon = _last_axes(call, x), call.float("epsilon", 1e-5)
    out = lines.layer_norm(ar, x, scale, bias, axes=axes, epsilon=epsilon)
    if call.outputs == 1:
        return out
    centre, _, variance = lines.moments(ar, x, axes=axes)
    return out, centre, ar.reciprocal(lines.root_of(ar, variance, epsilon=epsilon))


def _rms_norm(ar: Arithmetic, call: Call, x: Any, scale: Any = None) -> Tensor:
    if call.outputs > 1:
        raise UnsupportedError(f"{call.op} with statistics")
    epsilon = call.float("epsilon", 1e-5)
    return lines.rms_norm(ar, x, scale, axes=_last_axes(call, x), epsilon=epsilon)


def _batch_norm(ar: Arithmetic, call: Call, x: Any, *parameters: Any) -> Tensor:
    if call.get("training_mode", 0) or call.outputs > 1:
        raise UnsupportedError("BatchNormalization in training mode")
    return lines.batch_norm(ar, x, *parameters, epsilon=call.float("epsilon", 1e-5))


def _instance_norm(ar: Arithmetic, call: Call, x: Any, scale: Any, bias: Any) -> Tensor:
    return lines.instance_norm(ar, x, scale, bias, epsilon=call.float("epsilon", 1e-5))


def _group_norm(ar: Arithmetic, call: Call, x: Any, scale: Any, bias: Any) -> Tensor:
    groups, channels = call.given("num_groups"), x.shape[1]
    if scale.size != channels:
        # Opset 18 has one scale per group.
        scale, bias = (
            ar.move(lambda a: np.repeat(a, channels // groups), p) for p in (scale, bias)
        )
    epsilon = call.float("epsilon", 1e-5)
    return lines.group_norm(ar, x, scale, bias, groups=groups, epsilon=epsilon)


def _lp_norm(ar: Arithmetic, call: Call, x: Any) -> Tensor:
    kernel = {1: lines.l1, 2: lines.l2}.get(call.get("p", 2))
    if kernel is None:
        raise UnsupportedError("LpNormalization with p other than 1 and 2")
    axis = axis_of(call.get("axis", -1), x.ndim)
    norm = kernel(ar, x, axes=(axis,))
    # Nothing by its norm is nothing.
    empty = elementwise.compare(ar, norm, ar.constant(0.0), relation="==")
    return elementwise.where(ar, empty, ar.constant(0.0), ar.div(x, norm))


def _lrn(ar: Arithmetic, call: Call, x: Any) -> Tensor:
    return windows.local_response_norm(
        ar, x, size=call.given("size"), alpha=call.float("alpha", 1e-4),
        beta=call.float("beta", 0.75), bias=call.float("bias", 1.0),
    )  # fmt: skip


def _softmax(ar: Arithmetic, call: Call, x: Any) -> Tensor:
    kernel = lines.log_softmax if call.op == "LogSoftmax" else lines.softmax
    if call.version >= 13:
        return kernel(ar, x, axis=axis_of(call.get("axis", -1), x.ndim))
    # Before opset 13 the axis says where to flatten to two dimensions.
    return lines.behind(ar, x, axis=axis_of(call.get("axis", 1), x.ndim), kernel=kernel)


def _hardmax(ar: Arithmetic, call: Call, x: Any) -> Tensor:
    axis = axis_of(call.get("axis", -1 if call.version >= 13 else 1), x.ndim)
    if call.version < 13 and axis != x.ndim - 1:
        raise UnsupportedError("Hardmax over flattened axes")
    return lines.hardmax(ar, x, axis=axis)


def _reduction(kernel: Kernel) -> Operator:
    def run(ar: Arithmetic, call: Call, x: Any, axes: Any = None) -> Tensor:
        chosen = operand_axes(ar, call, axes) or []
        nothing, keep = call.get("noop_with_empty_axes", 0), bool(call.get("keepdims", 1))
        over = axes_of(chosen if chosen or nothing else range(x.ndim), x.ndim)
        if ar.is_data(x) or kernel in _EXACT:
            out = kernel(ar, x, axes=over)
        else:
            # Means, roots and logarithms of integers lose their fractions.
            out = np.trunc(kernel(Float64(), x.astype(np.float64), axes=over)).astype(x.dtype)
        return lines.kept(ar, out, axes=over, keep=keep)

    return run


_EXACT = (
    lines.l1, lines.largest, lines.product, lines.smallest, lines.sum_of_squares, lines.total,
)  # fmt: skip


TABLE: Table = {
    ("", "BatchNormalization"): _batch_norm,
    ("", "GroupNormalization"): _group_norm,
    ("", "Hardmax"): _hardmax,
    ("", "InstanceNormalization"): _instance_norm,
    ("", "LRN"): _lrn,
    ("", "LayerNormalization"): _layer_norm,
    ("", "LogSoftmax"): _softmax,
    ("", "LpNormalization"): _lp_norm,
    ("", "RMSNormalization"): _rms_norm,
    ("", "ReduceL1"): _reduction(lines.l1),
    ("", "ReduceL2"): _reduction(lines.l2),
    ("", "ReduceLogSum"): _reduction(lines.log_sum),
    ("", "ReduceLogSumExp"): _reduction(lines.log_sum_exp),
    ("", "ReduceMax"): _reduction(lines.largest),
    ("", "ReduceMean"): _reduction(lines.mean),
    ("", "ReduceMin"): _reduction(lines.smallest),
    ("", "ReduceProd"): _reduction(lines.product),
    ("", "ReduceSum"): _reduction(lines.total),
    ("", "ReduceSumSquare"): _reduction(lines.sum_of_squares),
    ("", "SimplifiedLayerNormalization"): _rms_norm,
    ("", "Softmax"): _softmax,
}
