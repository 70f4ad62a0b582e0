"""Operators that only rename, join or cut axes, and those that make tensors from shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from onebyone.dialects.onnx.semantics.base import (
    Call,
    Result,
    Table,
    operand_axes,
    row,
    tensor_value,
)
from onebyone.kernels import places
from onebyone.kernels.arithmetic import Arithmetic, Tensor
from onebyone.kernels.errors import UnsupportedError
from onebyone.kernels.operands import axes_of, check_size, floats, ints, move


def _dropout(ar: Arithmetic, call: Call, x: Any, ratio: Any = None, training: Any = None) -> Result:
    # How many elements training drops, and which, matters to no inference.
    call.get("ratio")
    call.get("seed")
    if training is not None and np.any(training):
        raise UnsupportedError("Dropout in training mode")
    return (x, np.ones(x.shape, bool))[: call.outputs]


def _reshape(ar: Arithmetic, call: Call, x: Any, shape: Any = None) -> Tensor:
    target = list(call.get("shape", ())) if shape is None else ints(ar, shape, "a shape")
    if not call.get("allowzero", 0):
        target = [x.shape[i] if n == 0 else n for i, n in enumerate(target)]
    return places.reshaped(ar, x, shape=target)


def _flatten(ar: Arithmetic, call: Call, x: Any) -> Tensor:
    axis = call.get("axis", 1)
    axis += x.ndim if axis < 0 else 0
    rows = int(np.prod(x.shape[:axis], dtype=np.int64))
    columns = int(np.prod(x.shape[axis:], dtype=np.int64))
    return places.reshaped(ar, x, shape=(rows, columns))


def _transpose(ar: Arithmetic, call: Call, x: Any) -> Tensor:
    return places.transposed(ar, x, order=call.get("perm") or range(x.ndim)[::-1])


def _squeeze(ar: Arithmetic, call: Call, x: Any, axes: Any = None) -> Tensor:
    chosen = operand_axes(ar, call, axes)
    if chosen is None:
        chosen = [i for i, n in enumerate(x.shape) if n == 1]
    gone = axes_of(chosen, x.ndim)
    return move(ar, lambda a: a.squeeze(gone), x)


def _unsqueeze(ar: Arithmetic, call: Call, x: Any, axes: Any = None) -> Tensor:
    chosen = operand_axes(ar, call, axes) or []
    new = axes_of(chosen, x.ndim + len(chosen))
    return move(ar, lambda a: np.expand_dims(a, new), x)


def _shape(ar: Arithmetic, call: Call, x: Any) -> Tensor:
    return np.array(x.shape, np.int64)[slice(call.get("start", 0), call.get("end"))]


def _size(ar: Arithmetic, call: Call, x: Any) -> Tensor:
    return np.array(x.size, np.int64)


def _constant(ar: Arithmetic, call: Call) -> Tensor:
    if (tensor := call.get("value")) is not None:
        return tensor_value(ar, tensor)
    for name in ("value_float", "value_floats"):
        if (number := call.get(name)) is not None:
            return ar.constant(np.asarray(number, np.float32))
    for name in ("value_int", "value_ints"):
        if (number := call.get(name)) is not None:
            return np.asarray(number, np.int64)
    raise UnsupportedError(f"Constant with {', '.join(call.attributes)}")


def _constant_of_shape(ar: Arithmetic, call: Call, shape: Any) -> Tensor:
    value = call.get("value")
    fill = ar.constant(0.0) if value is None else tensor_value(ar, value)
    return places.filled(ar, fill, shape=ints(ar, shape, "a shape"))


def _expand(ar: Arithmetic, call: Call, x: Any, shape: Any) -> Tensor:
    target = np.broadcast_shapes(x.shape, tuple(ints(ar, shape, "a shape")))
    return places.expanded(ar, x, shape=target)


def _tile(ar: Arithmetic, call: Call, x: Any, repeats: Any, axis: Any = None) -> Tensor:
    if axis is not None:
        raise UnsupportedError("Tile before opset 6")
    return places.tiled(ar, x, times=ints(ar, repeats, "repeats"))


def _range(ar: Arithmetic, call: Call, start: Any, limit: Any, delta: Any) -> Tensor:
    call.get("stash_type")
    first, end, step = (floats(ar, x, "a range").reshape(()) for x in (start, limit, delta))
    count = max(int(np.ceil((end - first) / step)), 0)
    check_size([count])
    values = first + step * np.arange(count)
    return ar.constant(values) if ar.is_data(start) else values.astype(start.dtype)


def _eye_like(ar: Arithmetic, call: Call, x: Any) -> Tensor:
    eye, dtype = np.eye(*x.shape, k=call.get("k", 0)), call.get("dtype")
    if ar.is_data(x) if dtype is None else ir.DataType(dtype).is_floating_point():
        return ar.constant(eye)
    return eye.astype(x.dtype if dtype is None else ir.DataType(dtype).numpy())


def _depth_to_space(ar: Arithmetic, call: Call, x: Any) -> Tensor:
    size = call.given("blocksize")
    n, c, h, w = x.shape
    depth = c // (size * size)
    if call.text("mode", "DCR") == "DCR":
        split, order = (n, size, size, depth, h, w), (0, 3, 4, 1, 5, 2)
    else:
        split, order = (n, depth, size, size, h, w), (0, 1, 4, 2, 5, 3)
    out = (n, depth, h * size, w * size)
    return move(ar, lambda a: a.reshape(split).transpose(order).reshape(out), x)


def _space_to_depth(ar: Arithmetic, call: Call, x: Any) -> Tensor:
    size = call.given("blocksize")
    n, c, h, w = x.shape
    split = (n, c, h // size, size, w // size, size)
    out = (n, c * size * size, h // size, w // size)
    order = (0, 3, 5, 1, 2, 4) if call.text("mode", "DCR") == "DCR" else (0, 1, 3, 5, 2, 4)
    return move(ar, lambda a: a.reshape(split).transpose(order).reshape(out), x)


TABLE: Table = {
    ("", "Constant"): _constant,
    ("", "ConstantOfShape"): _constant_of_shape,
    ("", "DepthToSpace"): _depth_to_space,
    ("", "Dropout"): _dropout,
    ("", "Expand"): _expand,
    ("", "EyeLike"): _eye_like,
    ("", "Flatten"): _flatten,
    ("", "Identity"): row(lambda ar, x: x),
    ("", "Range"): _range,
    ("", "Reshape"): _reshape,
    ("", "Shape"): _shape,
    ("", "Size"): _size,
    ("", "SpaceToDepth"): _space_to_depth,
    ("", "Squeeze"): _squeeze,
    ("", "Tile"): _tile,
    ("", "Transpose"): _transpose,
    ("", "Unsqueeze"): _unsqueeze,
}
