"""Discrete Fourier transforms, as products with tables of sines and cosines."""

from __future__ import annotations

import numpy as np

from onebyone.kernels import places
from onebyone.kernels.arithmetic import Arithmetic, Array, Tensor


def fourier(
    ar: Arithmetic, x: Tensor, *, axis: int, length: int, inverse: bool, onesided: bool
) -> Tensor:
    """The transform of ``x`` along an axis.

    Args:
        ar: the arithmetic.
        x: data whose last axis holds the real part, or that and the imaginary one.
        axis: the axis that is transformed.
        length: of the transform; ``x`` is cut off, or zeros follow it.
        inverse: the inverse transform.
        onesided: the first half of the result alone, and its middle.
    """
    size = x.shape[axis]
    pads = [(0, length - size if a == axis else 0) for a in range(x.ndim)]
    x = places.pad(ar, x, ar.constant(0.0), pads=pads)
    bins = length // 2 + 1 if onesided else length
    angles = 2 * np.pi / length * (np.outer(np.arange(length), np.arange(bins)) % length)
    cos, sin = (ar.constant(fn(angles)) for fn in (np.cos, np.sin))

    def part(number: int) -> Tensor:
        return ar.move(lambda a: np.moveaxis(a[..., number], axis, -1), x)

    real = part(0)
    parts = [ar.matmul(real, cos), ar.matmul(real, sin if inverse else ar.neg(sin))]
    if x.shape[-1] == 2:
        other = part(1)
        turned = ar.matmul(other, ar.neg(sin) if inverse else sin)
        parts = [ar.add(parts[0], turned), ar.add(parts[1], ar.matmul(other, cos))]
    if inverse:
        parts = [ar.mul(one, ar.reciprocal(ar.constant(length))) for one in parts]

    def joined(a: Array, b: Array) -> Array:
        return np.stack([np.moveaxis(one, -1, axis) for one in (a, b)], -1)

    return ar.move(joined, *parts)


def short_time_fourier(
    ar: Arithmetic, x: Tensor, window: Tensor | None, *, step: int, length: int, onesided: bool
) -> Tensor:
    """The transforms (batch, frames, bins, 2) of frames of ``x`` (batch, time, parts).

    Args:
        ar: the arithmetic.
        x: data; the last axis holds the real part, or that and the imaginary one.
        window: what each frame is multiplied with, (length,).
        step: from one frame to the next.
        length: of a frame.
        onesided: the first half of each transform alone, and its middle.
    """
    count = (x.shape[1] - length) // step + 1
    index = np.arange(count)[:, None] * step + np.arange(length)
    frames = ar.move(lambda a: a[:, index], x)
    if window is not None:
        frames = ar.mul(frames, ar.move(lambda w: w[:, None], window))
    return fourier(ar, frames, axis=2, length=length, inverse=False, onesided=onesided)
