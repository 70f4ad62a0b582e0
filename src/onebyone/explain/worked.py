"""The worked examples of the page: small layers with numbers that a reader can check by head.

Inputs and weights are drawn once from seeded generators, as small whole numbers or quarters, so
that every product and every sum of parts 1 to 6 is exact in any floating-point format. Part 7
wants rounding and takes normal float32 numbers instead.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

SENTENCES = {
    "en": ["one", "layer", "read", "token-wise", "twice"],
    "zh": ["同", "一层", "逐", "词元", "读"],
}


def pack(array: NDArray[Any]) -> dict[str, Any]:
    """An array as JSON: its shape, and its float32 bytes (little endian) in base64."""
    data = np.ascontiguousarray(array, dtype="<f4").tobytes()
    return {"shape": list(array.shape), "f32": base64.b64encode(data).decode("ascii")}


def _quarters(rng: np.random.Generator, shape: tuple[int, ...], top: int) -> NDArray[np.float64]:
    return rng.integers(-top, top + 1, size=shape) / 4


def scene(height: int = 6, width: int = 6) -> NDArray[np.float64]:
    """A sun over the sea, RGB in whole numbers from 0 to 9, shape ``(3, height, width)``."""
    row, column = np.mgrid[0:height, 0:width]
    distance = np.hypot(row - height * 0.3, column - width * 0.58)
    glow = np.clip(9 - 3.1 * distance, 0, 9)
    sea = row >= height - 2
    sky = np.stack([2 + glow, 4 + 0.5 * glow, 8 - 0.6 * glow])
    water = np.stack([1 + 0.3 * column, 3 + 0.4 * column, 7 - 0.5 * row + 0.4 * column])
    return np.clip(np.rint(np.where(sea, water, sky)), 0, 9)


def pixels() -> dict[str, Any]:
    """Part 1: eight channels over 6x6 pixels (the first three are the picture), eight kernels."""
    rng = np.random.default_rng(45805)
    more = rng.integers(0, 10, size=(5, 6, 6)).astype(float)
    x = np.concatenate([scene(), more]).reshape(8, -1).T
    return {
        "w": pack(rng.integers(-4, 5, size=(8, 8)) / 2),
        "b": pack(np.zeros(8)),
        "x": pack(x),
        "grid": [6, 6],
    }


def twice() -> dict[str, Any]:
    """Part 2: an FC layer from 3 to 2 with bias; one of its two outputs is cut by the ReLU."""
    w = np.array([[2, -3, 4], [-6, 1, 3]]) / 4
    b = np.array([1, -2]) / 4
    return {"w": pack(w), "b": pack(b), "x": pack(np.array([[1.5, -0.5, 1.0]])), "grid": [1, 1]}


def four_views() -> dict[str, Any]:
    """Part 3: 36 inputs, 3 outputs, 2x3 positions."""
    rng = np.random.default_rng(36)
    return {
        "w": pack(_quarters(rng, (3, 36), 8)),
        "b": pack(np.zeros(3)),
        "x": pack(_quarters(rng, (6, 36), 8)),
        "grid": [2, 3],
    }


def feed_forward() -> dict[str, Any]:
    """Part 4: d_model 4, four times as many hidden channels, one column for each token."""
    rng = np.random.default_rng(2017)
    d, tokens = 4, len(SENTENCES["en"])
    return {
        "x": pack(_quarters(rng, (tokens, d), 6)),
        "w1": pack(_quarters(rng, (4 * d, d), 4)),
        "b1": pack(_quarters(rng, (4 * d,), 2)),
        "w2": pack(_quarters(rng, (d, 4 * d), 3)),
        "b2": pack(_quarters(rng, (d,), 2)),
        "words": SENTENCES,
    }


def flatten_order() -> dict[str, Any]:
    """Part 5: a map of 2 channels on 2x3 cells, and the weight of one output for it (CHW)."""
    rng = np.random.default_rng(250)
    return {
        "x": pack(rng.permutation(12) + 1.0),
        "w": pack(rng.permutation(np.array([-3, -2, -2, -1, -1, 0, 1, 1, 2, 2, 3, 4])) * 1.0),
        "shape": [2, 2, 3],
    }


def long_sum() -> dict[str, Any]:
    """Part 7: 1024 normal float32 inputs and weights of one output."""
    rng = np.random.default_rng(7)
    return {
        "w": pack(rng.standard_normal((1, 1024))),
        "b": pack(np.zeros(1)),
        "x": pack(rng.standard_normal((1, 1024))),
        "grid": [1, 1],
    }
