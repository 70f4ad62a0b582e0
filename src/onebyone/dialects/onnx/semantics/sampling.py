"""Resizing, and what else reads images at places between their elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from onebyone.dialects.onnx.semantics.base import Call, Table
from onebyone.kernels import resizing
from onebyone.kernels.arithmetic import Arithmetic, Tensor
from onebyone.kernels.operands import axis_of, floats
from onebyone.kernels.sampling import Sampling, grid_sample


def _resize(ar: Arithmetic, call: Call, x: Any, *rest: Any) -> Tensor:
    old = call.version < 11
    # Since opset 11 a region of interest stands before the scales.
    roi, scales, sizes = (None, (*rest, None)[0], None) if old else (*rest, None, None, None)[:3]
    known = None if scales is None or not scales.size else floats(ar, scales, "scales")
    attribute = call.get("scales")
    if known is None and attribute is not None:
        known = np.asarray(attribute)
    plan = resizing.Resize(
        mode=_MODES.get(mode := call.text("mode", "nearest"), mode),
        coordinates=call.text(
            "coordinate_transformation_mode", "asymmetric" if old else "half_pixel"
        ),
        nearest="floor_or_ceil" if old else call.text("nearest_mode", "round_prefer_floor"),
        cubic=call.float("cubic_coeff_a", -0.75),
        exclude_outside=bool(call.get("exclude_outside", 0)),
        antialias=bool(call.get("antialias", 0)),
        policy=call.text("keep_aspect_ratio_policy", "stretch"),
        single=True,
        fill=call.float("extrapolation_value", 0.0),
    )
    axes = [axis_of(a, x.ndim) for a in call.get("axes", range(x.ndim))]
    crops = None
    if plan.coordinates == "tf_crop_and_resize" and roi is not None:
        ends = floats(ar, roi, "a region").reshape(2, len(axes))
        crops = [(float(low), float(high)) for low, high in ends.T]
    return resizing.resize(
        ar, x, plan, axes,
        scales=known,
        sizes=None if sizes is None or not sizes.size else floats(ar, sizes, "sizes"),
        crops=crops,
    )  # fmt: skip


def _grid_sample(ar: Arithmetic, call: Call, x: Any, grid: Any) -> Tensor:
    mode = call.text("mode", "linear")
    plan = Sampling(
        mode=_MODES.get(mode, mode),
        padding=call.text("padding_mode", "zeros"),
        corners=bool(call.get("align_corners", 0)),
    )
    return grid_sample(ar, x, grid, plan)


# Names that other opsets have.
_MODES = {"bicubic": "cubic", "bilinear": "linear"}

TABLE: Table = {
    ("", "GridSample"): _grid_sample,
    ("", "Resize"): _resize,
    ("", "Upsample"): _resize,
    ("com.microsoft", "GridSample"): _grid_sample,
}
