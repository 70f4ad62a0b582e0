"""Convolutions and pooling in the runtime's blocked layout, the domain ``com.microsoft.nchwc``.

ONNX Runtime keeps a tensor (N, C, H, W) there as (N, C' / block, H, W, block), C' being C rounded
up to a block, but calls its shape (N, C', H, W); and so it is held here, element by element. A file
does not say how large its blocks are: that is the business of the processor that wrote it, so the
runtime is asked what it would read here.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from onebyone.dialects.onnx.semantics import linear
from onebyone.dialects.onnx.semantics.base import Call, Operator, Table
from onebyone.dialects.onnx.semantics.fused import fused_conv
from onebyone.kernels import lines, places, resizing
from onebyone.kernels.arithmetic import Arithmetic, Array, Tensor
from onebyone.kernels.errors import UnsupportedError

_DOMAIN = "com.microsoft.nchwc"


@cache
def block_size() -> int:
    """Channels of a block as this machine's runtime has them.

    Raises:
        UnsupportedError: the runtime has no such layout here.
    """
    import onnx
    import onnxruntime
    from onnx import helper

    node = helper.make_node("ReorderInput", ["x"], ["y"], domain=_DOMAIN)
    ports = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in (("x", [1, 4, 1, 1]), ("y", None))
    ]
    model = helper.make_model(
        helper.make_graph([node], "block", ports[:1], ports[1:]),
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid(_DOMAIN, 1)],
        ir_version=8,
    )
    try:
        session: Any = onnxruntime.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        return int(session.run(None, {"x": np.zeros((1, 4, 1, 1), np.float32)})[0].shape[1])
    except Exception as error:
        raise UnsupportedError("the runtime has no blocks of channels here") from error


def _plain(x: Array) -> Array:
    """A tensor out of its blocks."""
    batch, channels, *size = x.shape
    split = x.reshape(batch, channels // block_size(), *size, block_size())
    return np.moveaxis(split, -1, 2).reshape(x.shape)


def _in_blocks(x: Array) -> Array:
    """A tensor of whole blocks of channels, in blocks."""
    batch, channels, *size = x.shape
    split = x.reshape(batch, channels // block_size(), block_size(), *size)
    return np.moveaxis(split, 2, -1).reshape(x.shape)


def _plain_weight(weight: Array, block: int, *, both: bool) -> Array:
    """A weight (M, C, kH, kW) out of its blocks of output channels, or of ``both`` kinds."""
    filters, depth, *kernel = weight.shape
    if both:
        split = weight.reshape(filters // block, depth // block, *kernel, block, block)
        return split.transpose(0, 5, 1, 4, 2, 3).reshape(weight.shape)
    split = weight.reshape(filters // block, depth, *kernel, block)
    return split.transpose(0, 4, 1, 2, 3).reshape(weight.shape)


def _conv(ar: Arithmetic, call: Call, x: Any, w: Any, bias: Any = None, z: Any = None) -> Tensor:
    block = block_size()
    filters, depth = w.shape[:2]
    # A convolution of few channels reads a tensor that is not blocked.
    blocked = call.get("group", 1) > 1 or depth >= block
    both = depth >= block
    if filters % block or (both and depth % block):
        raise UnsupportedError(f"a weight {list(w.shape)} in blocks of {block} channels")
    weight = ar.move(lambda a: _plain_weight(a, block, both=both), w)
    x = ar.move(_plain, x) if blocked else x
    z = None if z is None else ar.move(_plain, z)
    return ar.move(_in_blocks, fused_conv(ar, call, x, weight, bias, z))


def _around(operator: Operator) -> Operator:
    """An operator on a tensor in blocks that gives one."""

    def run(ar: Arithmetic, call: Call, x: Any) -> Tensor:
        return ar.move(_in_blocks, operator(ar, call, ar.move(_plain, x)))

    return run


def _reorder_input(ar: Arithmetic, call: Call, x: Any) -> Tensor:
    if call.get("channels_last", 0):
        x = ar.move(lambda a: np.moveaxis(a, -1, 1), x)
    missing = -x.shape[1] % block_size()
    around = [(0, missing if axis == 1 else 0) for axis in range(x.ndim)]
    return ar.move(_in_blocks, places.pad(ar, x, ar.constant(0.0), pads=around))


def _reorder_output(ar: Arithmetic, call: Call, x: Any) -> Tensor:
    out = places.cut(ar, ar.move(_plain, x), axis=1, index=slice(0, call.given("channels")))
    return ar.move(lambda a: np.moveaxis(a, 1, -1), out) if call.get("channels_last", 0) else out


def _upsample(ar: Arithmetic, call: Call, x: Any) -> Tensor:
    plan = resizing.Resize(
        mode=call.text("mode", "nearest"),
        coordinates=call.text("coordinate_transformation_mode", "asymmetric"),
        nearest="floor", cubic=-0.75, exclude_outside=False, antialias=False, policy="stretch",
    )  # fmt: skip
    scales = np.asarray(call.given("scales"), np.float64)
    return resizing.resize(ar, x, plan, range(x.ndim), scales=scales, sizes=None)


TABLE: Table = {
    (_DOMAIN, "AveragePool"): _around(linear.average_pool),
    (_DOMAIN, "Conv"): _conv,
    (_DOMAIN, "GlobalAveragePool"): _around(linear.global_pool(lines.mean)),
    (_DOMAIN, "GlobalMaxPool"): _around(linear.global_pool(lines.largest)),
    (_DOMAIN, "MaxPool"): _around(linear.max_pool),
    (_DOMAIN, "ReorderInput"): _reorder_input,
    (_DOMAIN, "ReorderOutput"): _reorder_output,
    (_DOMAIN, "Upsample"): _around(_upsample),
}
