"""Images read at places between their elements, and windows written side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onebyone.dialects.aten.semantics.base import Call, Table, each
from onebyone.kernels import windows
from onebyone.kernels.arithmetic import Array, Tensor
from onebyone.kernels.operands import move
from onebyone.kernels.sampling import Sampling, grid_sample, overlaid

_MODES = {0: "linear", 1: "nearest", 2: "cubic"}
_PADDINGS = {0: "zeros", 1: "border", 2: "reflection"}


def _grid_sampler(call: Call) -> Tensor:
    plan = Sampling(
        mode=_MODES[call.given["interpolation_mode"]],
        padding=_PADDINGS[call.given["padding_mode"]],
        corners=bool(call.given["align_corners"]),
    )
    return grid_sample(call.ar, call.data("input"), call.data("grid"), plan)


def _geometry(call: Call) -> tuple[list[int], list[int], list[int], list[tuple[int, int]]]:
    """Kernel, strides, dilations and pads of windows."""
    kernel, strides, dilations, pads = (
        each(call.given[name], 2) for name in ("kernel_size", "stride", "dilation", "padding")
    )
    return kernel, strides, dilations, [(p, p) for p in pads]


def _batched(call: Call, x: Tensor, rank: int) -> tuple[Tensor, bool]:
    """``x`` with a batch axis, and whether that had to be added."""
    single = x.ndim == rank - 1
    return (move(call.ar, lambda a: a[None], x) if single else x), single


def _col2im(call: Call) -> Tensor:
    kernel, strides, dilations, pads = _geometry(call)
    x, single = _batched(call, call.data("self"), 3)
    out = overlaid(
        call.ar, x, size=each(call.given["output_size"], 2), kernel=kernel, strides=strides,
        dilations=dilations, pads=pads,
    )  # fmt: skip
    return call.ar.move(lambda a: a[0], out) if single else out


def _im2col(call: Call) -> Tensor:
    kernel, strides, dilations, pads = _geometry(call)
    x, single = _batched(call, call.data("self"), 4)

    def columns(a: Array) -> Array:
        view = windows.windows(windows.pad(a, pads), kernel, strides, dilations)
        flat = view.transpose(0, 1, 4, 5, 2, 3)
        return flat.reshape(a.shape[0], a.shape[1] * _count(kernel), -1)

    out = call.ar.move(columns, x)
    return call.ar.move(lambda a: a[0], out) if single else out


def _count(kernel: Sequence[int]) -> int:
    return int(np.prod(kernel))


TABLE: Table = {
    **dict.fromkeys(("grid_sampler", "grid_sampler_2d", "grid_sampler_3d"), _grid_sampler),
    "col2im": _col2im,
    "im2col": _im2col,
}
