"""Operators that only rename, join or cut axes, and those that make tensors from shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from onebyone.dialects.onnx.semantics.base import (
    Call,
    Machine,
    Operator,
    Result,
    axes_of,
    floats,
    ints,
    move,
    tensor_value,
)
from onebyone.kernels.arithmetic import Tensor
from onebyone.kernels.errors import UnsupportedError

# A single tensor of more elements than this (8 GB of float64) is refused, not attempted.
_SIZE_LIMIT = 1 << 30


def check_size(shape: Any) -> None:
    """Refuse a tensor that no machine at hand would hold."""
    if np.prod([int(n) for n in shape], dtype=np.float64) > _SIZE_LIMIT:
        raise UnsupportedError(f"a tensor of shape {list(shape)}")


def _identity(m: Machine, call: Call, x: Any) -> Tensor:
    return x


def _dropout(m: Machine, call: Call, x: Any, ratio: Any = None, training: Any = None) -> Result:
    if training is not None and np.any(training):
        raise UnsupportedError("Dropout in training mode")
    return (x, np.ones(x.shape, bool))[: call.outputs]


def _reshape(m: Machine, call: Call, x: Any, shape: Any = None) -> Tensor:
    target = list(call.get("shape", ())) if shape is None else ints(m, shape, "a shape")
    if not call.get("allowzero", 0):
        target = [x.shape[i] if n == 0 else n for i, n in enumerate(target)]
    return move(m, lambda a: a.reshape(target), x)


def _flatten(m: Machine, call: Call, x: Any) -> Tensor:
    axis = call.get("axis", 1)
    axis += x.ndim if axis < 0 else 0
    rows = int(np.prod(x.shape[:axis], dtype=np.int64))
    columns = int(np.prod(x.shape[axis:], dtype=np.int64))
    return move(m, lambda a: a.reshape(rows, columns), x)


def _transpose(m: Machine, call: Call, x: Any) -> Tensor:
    perm = call.get("perm") or tuple(range(x.ndim))[::-1]
    return move(m, lambda a: a.transpose(perm), x)


def operand_axes(m: Machine, call: Call, axes: Any) -> list[int] | None:
    """Axes from the attribute (older opsets) or the input; None where absent."""
    if axes is not None:
        return ints(m, axes, "axes")
    value = call.get("axes")
    return None if value is None else list(value)


def _squeeze(m: Machine, call: Call, x: Any, axes: Any = None) -> Tensor:
    which = operand_axes(m, call, axes)
    if which is None:
        which = [i for i, n in enumerate(x.shape) if n == 1]
    gone = axes_of(which, x.ndim)
    return move(m, lambda a: a.squeeze(gone), x)


def _unsqueeze(m: Machine, call: Call, x: Any, axes: Any = None) -> Tensor:
    which = operand_axes(m, call, axes) or []
    new = axes_of(which, x.ndim + len(which))
    return move(m, lambda a: np.expand_dims(a, new), x)


def _shape(m: Machine, call: Call, x: Any) -> Tensor:
    return np.array(x.shape, np.int64)[slice(call.get("start", 0), call.get("end"))]


def _size(m: Machine, call: Call, x: Any) -> Tensor:
    return np.array(x.size, np.int64)


def _constant(m: Machine, call: Call) -> Tensor:
    for name, value in call.attributes.items():
        if name == "value":
            return tensor_value(m, value)
        if name in ("value_float", "value_floats"):
            return m.ar.constant(np.asarray(value, np.float32))
        if name in ("value_int", "value_ints"):
            return np.asarray(value, np.int64)
    raise UnsupportedError(f"Constant with {', '.join(call.attributes)}")


def _constant_of_shape(m: Machine, call: Call, shape: Any) -> Tensor:
    size = ints(m, shape, "a shape")
    check_size(size)
    value = call.get("value")
    fill = m.ar.constant(0.0) if value is None else tensor_value(m, value)
    return move(m, lambda a: np.full(size, a.reshape(())), fill)


def _expand(m: Machine, call: Call, x: Any, shape: Any) -> Tensor:
    target = np.broadcast_shapes(x.shape, tuple(ints(m, shape, "a shape")))
    check_size(target)
    return move(m, lambda a: np.broadcast_to(a, target), x)


def _tile(m: Machine, call: Call, x: Any, repeats: Any) -> Tensor:
    times = ints(m, repeats, "repeats")
    check_size([n * t for n, t in zip(x.shape, times, strict=True)])
    return move(m, lambda a: np.tile(a, times), x)


def _range(m: Machine, call: Call, start: Any, limit: Any, delta: Any) -> Tensor:
    values = [floats(m, x, "a range").reshape(()) for x in (start, limit, delta)]
    count = max(int(np.ceil((values[1] - values[0]) / values[2])), 0)
    check_size([count])
    if m.ar.is_data(start):
        return m.ar.constant(values[0] + values[2] * np.arange(count))
    return (values[0] + values[2] * np.arange(count)).astype(start.dtype)


def _eye_like(m: Machine, call: Call, x: Any) -> Tensor:
    eye = np.eye(*x.shape, k=call.get("k", 0))
    dtype = call.get("dtype")
    if m.ar.is_data(x) if dtype is None else ir.DataType(dtype).is_floating_point():
        return m.ar.constant(eye)
    return eye.astype(x.dtype if dtype is None else ir.DataType(dtype).numpy())


def _depth_to_space(m: Machine, call: Call, x: Any) -> Tensor:
    size = call.attributes["blocksize"]
    n, c, h, w = x.shape
    depth = c // (size * size)
    if call.text("mode", "DCR") == "DCR":
        split, perm = (n, size, size, depth, h, w), (0, 3, 4, 1, 5, 2)
    else:
        split, perm = (n, depth, size, size, h, w), (0, 1, 4, 2, 5, 3)
    return move(
        m, lambda a: a.reshape(split).transpose(perm).reshape(n, depth, h * size, w * size), x
    )


def _space_to_depth(m: Machine, call: Call, x: Any) -> Tensor:
    size = call.attributes["blocksize"]
    n, c, h, w = x.shape
    split = (n, c, h // size, size, w // size, size)
    out = (n, c * size * size, h // size, w // size)
    order = (0, 3, 5, 1, 2, 4) if call.text("mode", "DCR") == "DCR" else (0, 1, 3, 5, 2, 4)
    return move(m, lambda a: a.reshape(split).transpose(order).reshape(out), x)


TABLE: dict[tuple[str, str], Operator] = {
    ("", "Constant"): _constant,
    ("", "ConstantOfShape"): _constant_of_shape,
    ("", "DepthToSpace"): _depth_to_space,
    ("", "Dropout"): _dropout,
    ("", "Expand"): _expand,
    ("", "EyeLike"): _eye_like,
    ("", "Flatten"): _flatten,
    ("", "Identity"): _identity,
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
