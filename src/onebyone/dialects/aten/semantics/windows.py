"""Pooling and resizing."""

from __future__ import annotations

from typing import Any

import numpy as np

from onebyone.dialects.aten.semantics.base import Call, Operator, Result
from onebyone.kernels import elementwise, products, resizing
from onebyone.kernels.arithmetic import Array, Tensor
from onebyone.kernels.errors import UnsupportedError


def _each(values: Any, count: int) -> list[int]:
    own = [values] if isinstance(values, int) else list(values)
    return own * count if len(own) == 1 else own


def _batched(call: Call, count: int) -> tuple[Tensor, bool]:
    x = call.data("self")
    single = x.ndim == count + 1
    return (call.ar.move(lambda a: a[None], x) if single else x), single


def _pool(count: int, largest: bool, indices: bool = False) -> Operator:
    def run(call: Call) -> Result:
        if call.get("divisor_override") is not None:
            raise UnsupportedError("pooling with a divisor of its own")
        x, single = _batched(call, count)
        kernel = _each(call.given["kernel_size"], count)
        strides = _each(call.get("stride") or kernel, count)
        dilations = _each(call.get("dilation", 1), count)
        declared = [(p, p) for p in _each(call.given["padding"], count)]
        ceil = bool(call.given["ceil_mode"])
        pads = elementwise.pool_pads(x.shape[2:], kernel, strides, dilations, declared, ceil)
        if largest:
            out = products.max_pool(
                call.ar, x, kernel=kernel, strides=strides, dilations=dilations, pads=pads
            )
        else:
            counted = declared if call.given["count_include_pad"] else [(0, 0)] * count
            out = products.average_pool(
                call.ar, x, kernel=kernel, strides=strides, dilations=dilations, pads=pads,
                counted=counted,
            )  # fmt: skip
        out = call.ar.move(lambda a: a[0], out) if single else out
        return (out, None) if indices else out

    return run


def _adaptive(count: int) -> Operator:
    def run(call: Call) -> Tensor:
        x, ar = call.data("self"), call.ar
        sizes = [n if n is not None else x.shape[x.ndim - count + i]
                 for i, n in enumerate(call.given["output_size"])]  # fmt: skip
        for place, size in enumerate(sizes):
            axis = x.ndim - count + place
            length = x.shape[axis]
            # The bins of PyTorch: they may overlap where the sizes do not divide.
            bins = [(i * length // size, -(-(i + 1) * length // size)) for i in range(size)]
            parts = [
                ar.mean(ar.move(lambda a, b=b, axis=axis: _cut(a, axis, *b), x), (axis,))
                for b in bins
            ]
            x = ar.move(lambda *p, axis=axis: np.concatenate(p, axis), *parts)
        return x

    def whole(call: Call) -> Tensor:
        if all(n == 1 for n in call.given["output_size"]):
            x = call.data("self")
            return call.ar.mean(x, tuple(range(x.ndim - count, x.ndim)))
        return run(call)

    return whole


def _cut(a: Array, axis: int, start: int, end: int) -> Array:
    index: list[slice] = [slice(None)] * a.ndim
    index[axis] = slice(start, end)
    return a[tuple(index)]


def _upsample(count: int, mode: str) -> Operator:
    def run(call: Call) -> Tensor:
        x = call.tensor("input" if "input" in call.given else "self")
        factors = call.get("scale_factors")
        if (
            factors is None
            and "output_size" in call.given
            and any(
                call.get(name) is not None
                for name in ("scales", "scales_h", "scales_w", "scales_d")
            )
        ):
            raise UnsupportedError("resizing to a size by other scales")
        sizes = call.get("output_size")
        coordinates = "asymmetric" if mode == "nearest" else "half_pixel"
        if call.get("align_corners"):
            coordinates = "align_corners"
        plan = resizing.Resize(mode, coordinates, "floor", -0.75, False, False, "stretch", 0.0)
        return resizing.resize(
            call.ar, x, plan, list(range(x.ndim - count, x.ndim)),
            scales=None if sizes is not None or factors is None else np.asarray(factors),
            sizes=None if sizes is None else np.asarray(sizes), roi=None,
        )  # fmt: skip

    return run


TABLE: dict[str, Operator] = {
    **{f"avg_pool{n}d": _pool(n, largest=False) for n in (1, 2, 3)},
    **{f"max_pool{n}d": _pool(n, largest=True) for n in (1, 2, 3)},
    **{f"max_pool{n}d_with_indices": _pool(n, largest=True, indices=True) for n in (2, 3)},
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
