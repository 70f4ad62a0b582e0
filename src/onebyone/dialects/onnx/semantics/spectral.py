"""Fourier transforms."""

from __future__ import annotations

from typing import Any

from onebyone.dialects.onnx.semantics.base import Call, Table
from onebyone.kernels import spectral
from onebyone.kernels.arithmetic import Arithmetic, Tensor
from onebyone.kernels.errors import UnsupportedError
from onebyone.kernels.operands import axis_of, ints


def _dft(ar: Arithmetic, call: Call, x: Any, length: Any = None, axis: Any = None) -> Tensor:
    inverse, onesided = bool(call.get("inverse", 0)), bool(call.get("onesided", 0))
    if inverse and onesided:
        raise UnsupportedError("DFT back from one side")
    # An attribute before opset 20, and another default.
    written = call.get("axis", 1) if call.version < 20 else -2
    where = axis_of(written if axis is None else ints(ar, axis, "an axis")[0], x.ndim)
    size = x.shape[where] if length is None else ints(ar, length, "a length")[0]
    return spectral.fourier(
        ar, x, axis=where, length=size, inverse=inverse, onesided=onesided
    )  # fmt: skip


def _stft(
    ar: Arithmetic, call: Call, x: Any, step: Any, window: Any = None, length: Any = None
) -> Tensor:
    if length is not None:
        size = ints(ar, length, "a length")[0]
    elif window is not None:
        size = window.shape[0]
    else:
        raise UnsupportedError("STFT without a window or a length")
    return spectral.short_time_fourier(
        ar, x, window, step=ints(ar, step, "a step")[0], length=size,
        onesided=bool(call.get("onesided", 1)),
    )  # fmt: skip


TABLE: Table = {("", "DFT"): _dft, ("", "STFT"): _stft}
