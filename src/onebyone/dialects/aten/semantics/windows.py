"""Convolutions, pooling and resizing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from onebyone.dialects.aten.semantics.base import Call, Operator, Result, Table, each
from onebyone.kernels import resizing, windows
from onebyone.kernels.arithmetic import Tensor
from onebyone.kernels.errors import UnsupportedError


def _batched(call: Call, x: Tensor, count: int, run: Callable[[Tensor], Tensor]) -> Tensor:
    """``run`` on ``x``; on a batch of one where ``x`` is a single sample."""
    if x.ndim != count + 1:
        return run(x)
    return call.ar.move(lambda a: a[0], run(call.ar.move(lambda a: a[None], x)))


def _conv(call: Call) -> Tensor:
    x, weight, bias = call.tensor("input"), call.tensor("weight"), call.optional("bias")
    count = weight.ndim - 2
    strides, dilations = call.integers("stride", count), call.integers("dilation", count)
    extra = call.integers("output_padding", count, 0)
    padding = call.given["padding"]
    pads: list[tuple[int, int]]
    if padding == "valid":
        pads = [(0, 0)] * count
    elif padding == "same":
        kernel = weight.shape[2:]
        pads = [
            windows.halves(d * (k - 1), rest_behind=True)
            for d, k in zip(dilations, kernel, strict=True)
        ]
    else:
        pads = [(p, p) for p in each(padding, count)]
    facts: dict[str, Any] = {
        "strides": strides, "dilations": dilations, "pads": pads, "groups": call.given["groups"],
    }  # fmt: skip
    kernel_of: Any = windows.conv
    if call.get("transposed", "transpose" in call.op):
        kernel_of, facts["output_padding"] = windows.conv_transpose, extra
    return _batched(call, x, count, lambda x: kernel_of(call.ar, x, weight, bias, **facts))


def _geometry(call: Call, count: int, size: list[int]) -> tuple[dict[str, Any], windows.Pads]:
    """Kernel, strides, dilations and pads of a pooling; the declared pads."""
    kernel = call.integers("kernel_size", count)
    strides = each(call.get("stride") or kernel, count)
    dilations = call.integers("dilation", count, 1)
    declared = [(p, p) for p in call.integers("padding", count)]
    ceil = bool(call.given["ceil_mode"])
    pads = windows.pool_pads(size, kernel, strides, dilations, declared, ceil)
    geometry = {"kernel": kernel, "strides": strides, "dilations": dilations, "pads": pads}
    return geometry, declared


def _max_pool(count: int) -> Operator:
    def run(call: Call) -> Result:
        x = call.data("self")
        geometry, _ = _geometry(call, count, x.shape[-count:])
        out = _batched(call, x, count, lambda x: windows.max_pool(call.ar, x, **geometry))
        return (out, None) if call.results > 1 else out

    return run


def _average_pool(count: int) -> Operator:
    def run(call: Call) -> Tensor:
        x, divisor = call.data("self"), call.get("divisor_override")
        geometry, declared = _geometry(call, count, x.shape[-count:])
        counted = declared if call.given["count_include_pad"] else [(0, 0)] * count
        facts: dict[str, Any] = {**geometry, "counted": counted, "divisor": divisor}
        return _batched(call, x, count, lambda x: windows.average_pool(call.ar, x, **facts))

    return run


def _adaptive(count: int) -> Operator:
    def run(call: Call) -> Tensor:
        x = call.data("self")
        wanted = each(call.given["output_size"], count)
        sizes = [n if w is None else w for w, n in zip(wanted, x.shape[-count:], strict=True)]  # pyright: ignore[reportUnnecessaryComparison]
        return windows.adaptive_average_pool(call.ar, x, sizes=sizes)

    return run


_SCALES = ("scales", "scales_h", "scales_w", "scales_d")


def _upsample(count: int, mode: str) -> Operator:
    def run(call: Call) -> Tensor:
        x = call.tensor("input" if "input" in call.given else "self")
        factors, sizes = call.get("scale_factors"), call.get("output_size")
        scales = [call.get(name) for name in _SCALES]
        if factors is None and sizes is not None and any(s is not None for s in scales):
            raise UnsupportedError("resizing to a size by other scales")
        coordinates = "asymmetric" if mode == "nearest" else "half_pixel"
        if call.get("align_corners"):
            coordinates = "align_corners"
        plan = resizing.Resize(mode, coordinates, "floor", -0.75, False, False, "stretch")
        return resizing.resize(
            call.ar, x, plan, list(range(x.ndim - count, x.ndim)),
            scales=None if sizes is not None or factors is None else np.asarray(factors),
            sizes=None if sizes is None else np.asarray(sizes),
        )  # fmt: skip

    return run


TABLE: Table = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d", "convolution"), _conv),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), _conv),
    **{f"avg_pool{n}d": _average_pool(n) for n in (1, 2, 3)},
    **{f"max_pool{n}d": _max_pool(n) for n in (1, 2, 3)},
    **{f"max_pool{n}d_with_indices": _max_pool(n) for n in (2, 3)},
    **{f"adaptive_avg_pool{n}d": _adaptive(n) for n in (1, 2, 3)},
    **{f"_adaptive_avg_pool{n}d": _adaptive(n) for n in (2, 3)},
    "upsample_bicubic2d": _upsample(2, "cubic"),
    "upsample_bilinear2d": _upsample(2, "linear"),
    "upsample_linear1d": _upsample(1, "linear"),
    "upsample_nearest1d": _upsample(1, "nearest"),
    "upsample_nearest2d": _upsample(2, "nearest"),
    "upsample_nearest3d": _upsample(3, "nearest"),
    "upsample_trilinear3d": _upsample(3, "linear"),
}
