"""Whether a model holds the other's weights in a narrower type, and is so named as what it is."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from onebyone.certify.noise import is_real
from onebyone.dialects.protocol import Constant, Model
from onebyone.kernels.arithmetic import Array

# Smaller constants are biases and scales, which a quantizer leaves as they are.
_LEAST = 16
# The part of a model's narrow elements that must be the other's.
_MOST = 0.9
# A number lies half a step from its code at most; more where a quantizer cut off what is far out.
_STEP = 0.75
_CODES = ("int8", "uint8", "int4", "uint4")


def narrowed(a: Model, b: Model) -> str:
    """The type that ``b`` holds weights of ``a`` in, with fewer digits than ``a``; "" if none."""
    wide = [c for c in a.constants() if c.size >= _LEAST and _digits(c.dtype)]
    by_name = {c.name: c for c in wide}
    by_size: dict[int, list[Constant]] = defaultdict(list)
    for constant in wide:
        by_size[constant.size].append(constant)
    held: dict[str, int] = defaultdict(int)
    total: dict[str, int] = defaultdict(int)
    for constant in b.constants():
        if constant.size < _LEAST:
            continue
        codes = constant.dtype in _CODES
        candidates = [
            other for other in by_size[constant.size]
            if codes or 0 < _digits(constant.dtype) < _digits(other.dtype)
        ]  # fmt: skip
        if not candidates:
            continue
        total[constant.dtype] += constant.size
        named = by_name.get(constant.name)
        if named in candidates:
            candidates = [named]
        if any(_holds(constant, other) for other in candidates):
            held[constant.dtype] += constant.size
    found = [t for t, size in held.items() if size >= _MOST * total[t]]
    return max(found, key=lambda t: held[t], default="")


def _digits(dtype: str) -> int:
    """Bits of a real type's significand, in order of precision; 0 for what is no real type."""
    known = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}
    return known.get(dtype, 4 if dtype.startswith("float8") else 0)


def _holds(narrow: Constant, wide: Constant) -> bool:
    """Whether one constant is the other rounded, as it is or as a matrix turned over."""
    mine, other = narrow.real(), wide.real()
    views = [other.reshape(mine.shape)] if other.shape != mine.shape else [other]
    if other.ndim == 2 and other.shape[::-1] == mine.shape:
        views.append(other.T)
    return any(_rounded(view, mine) for view in views)


def _rounded(wide: Array, narrow: Array) -> bool:
    if is_real(narrow):
        with np.errstate(over="ignore"):
            same = wide.astype(narrow.dtype) == narrow
        return float(np.mean(same)) >= _MOST
    codes, numbers = narrow.astype(np.float64), wide.astype(np.float64)
    axes = [tuple(range(codes.ndim))]
    axes += [tuple(i for i in range(codes.ndim) if i != axis) for axis in range(codes.ndim)]
    return any(_coded(numbers, codes, over) for over in axes if over)


def _coded(numbers: Array, codes: Array, over: tuple[int, ...]) -> bool:
    """Whether numbers are steps times codes and an offset, one of each for what is not ``over``."""
    middle = codes - codes.mean(axis=over, keepdims=True)
    value = numbers - numbers.mean(axis=over, keepdims=True)
    square = np.sum(middle**2, axis=over, keepdims=True)
    step = np.sum(middle * value, axis=over, keepdims=True) / np.where(square, square, 1.0)
    near = np.abs(value - step * middle) <= _STEP * np.abs(step)
    return bool(np.all(square > 0)) and float(np.mean(near)) >= _MOST
