"""Elementwise functions, products and windows that the operators of every dialect are made of.

What two dialects call by different names is one function here, so its hash in a field is one, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np

from onebyone.kernels.arithmetic import Arithmetic, Array, Tensor
from onebyone.kernels.errors import UnsupportedError


def floats(ar: Arithmetic, x: Tensor, what: str) -> Array:
    """The real values of an operand that must not depend on random data.

    Raises:
        UnsupportedError: it does.
    """
    values = ar.known(x)
    if values is None:
        raise UnsupportedError(f"{what} depends on the data")
    return values


def move(ar: Arithmetic, fn: Callable[..., Array], *xs: Tensor) -> Tensor:
    """Move elements: of exact arrays as they are, of data through the arithmetic."""
    if any(ar.is_data(x) for x in xs):
        return ar.move(fn, *xs)
    return fn(*xs)


def compare(ar: Arithmetic, fn: Callable[[Array, Array], Array], a: Tensor, b: Tensor) -> Array:
    """A comparison, of data through keys that stand for its order."""
    if ar.is_data(a) or ar.is_data(b):
        a, b = ar.keys(a, b)
    return fn(a, b)


def is_nan(ar: Arithmetic, x: Tensor) -> Array:
    """Where ``x`` is no number; random residues stand for finite ones."""
    known = ar.known(x)
    return np.zeros(x.shape, bool) if known is None else np.isnan(known)


def is_inf(ar: Arithmetic, x: Tensor) -> Array:
    """Where ``x`` is infinite; random residues stand for finite numbers."""
    known = ar.known(x)
    return np.zeros(x.shape, bool) if known is None else np.isinf(known)


def absolute(ar: Arithmetic, x: Tensor) -> Tensor:
    return ar.maximum(x, ar.neg(x)) if ar.is_data(x) else np.abs(x)


def power(ar: Arithmetic, x: Tensor, y: Tensor) -> Tensor:
    """``x ** y``; known whole exponents are products, a half is a root."""
    known = ar.known(y)
    if known is not None and known.size and np.all(known == known.flat[0]):
        exponent = float(known.flat[0])
        shape = np.broadcast_shapes(x.shape, y.shape)
        x = ar.move(lambda a: np.broadcast_to(a, shape), x)
        if exponent == 0.5:
            return ar.function("Sqrt", x)
        if exponent == -0.5:
            return ar.reciprocal(ar.function("Sqrt", x))
        if exponent.is_integer() and 1 <= abs(exponent) <= 64:
            out = reduce(ar.mul, [x] * int(abs(exponent)))
            return out if exponent > 0 else ar.reciprocal(out)
    return ar.function("Pow", x, y)


def positive(ar: Arithmetic, x: Tensor) -> Tensor:
    return ar.maximum(x, ar.constant(0.0))


def negative(ar: Arithmetic, x: Tensor) -> Tensor:
    return ar.minimum(x, ar.constant(0.0))


def sloped(ar: Arithmetic, x: Tensor, slope: Tensor) -> Tensor:
    """``x`` where positive, ``slope * x`` elsewhere."""
    return ar.add(positive(ar, x), ar.mul(slope, negative(ar, x)))


def exp_minus_one(ar: Arithmetic, x: Tensor) -> Tensor:
    return ar.sub(ar.function("Exp", x), ar.constant(1.0))


def elu(ar: Arithmetic, x: Tensor, alpha: float, scale: float = 1.0) -> Tensor:
    """``x`` where positive, ``alpha * (exp(x) - 1)`` elsewhere; Selu with a ``scale``."""
    below = ar.mul(ar.constant(alpha), exp_minus_one(ar, negative(ar, x)))
    out = ar.add(positive(ar, x), below)
    return out if scale == 1.0 else ar.mul(ar.constant(scale), out)


def celu(ar: Arithmetic, x: Tensor, alpha: float) -> Tensor:
    factor = ar.constant(alpha)
    below = exp_minus_one(ar, ar.div(negative(ar, x), factor))
    return ar.add(positive(ar, x), ar.mul(factor, below))


def hard_sigmoid(ar: Arithmetic, x: Tensor, alpha: float, beta: float) -> Tensor:
    line = ar.add(ar.mul(ar.constant(alpha), x), ar.constant(beta))
    return ar.minimum(positive(ar, line), ar.constant(1.0))


def softplus(ar: Arithmetic, x: Tensor) -> Tensor:
    return ar.function("Log", ar.add(ar.constant(1.0), ar.function("Exp", x)))


def mish(ar: Arithmetic, x: Tensor) -> Tensor:
    return ar.mul(x, ar.function("Tanh", softplus(ar, x)))


def gelu(ar: Arithmetic, x: Tensor, tanh: bool) -> Tensor:
    """Gelu by its formula; its irrational constants are hashes, equal to no rounded number."""
    # The name keeps "differs" from being said of a spelled-out form with rounded constants.
    ar.used.add("Gelu")
    half, one = ar.constant(0.5), ar.constant(1.0)
    if tanh:
        cube = ar.mul(ar.mul(x, x), x)
        inner = ar.add(x, ar.mul(ar.constant(0.044715), cube))
        pi = ar.mul(ar.constant(4.0), ar.function("Atan", ar.constant(1.0)))
        scale = ar.function("Sqrt", ar.div(ar.constant(2.0), pi))
        curve = ar.function("Tanh", ar.mul(scale, inner))
    else:
        curve = ar.function("Erf", ar.div(x, ar.function("Sqrt", ar.constant(2.0))))
    return ar.mul(ar.mul(half, x), ar.add(one, curve))


def matmul(ar: Arithmetic, a: Any, b: Any) -> Tensor:
    """``numpy.matmul`` of data or of exact integers, 1-D operands included."""
    if not (ar.is_data(a) or ar.is_data(b)):
        return np.matmul(a, b)
    if a.ndim > 1 and b.ndim > 1:
        return ar.matmul(a, b)
    row, column = a.ndim == 1, b.ndim == 1
    out = ar.matmul(
        ar.move(lambda x: x[None, :], a) if row else a,
        ar.move(lambda x: x[:, None], b) if column else b,
    )
    gone = tuple(i for i, one in ((-2, row), (-1, column)) if one)
    return ar.move(lambda x: x.squeeze(gone), out)


def pool_pads(
    size: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    declared: Sequence[tuple[int, int]],
    ceil_mode: bool,
) -> list[tuple[int, int]]:
    """The declared pads of a pooling with the rest that ``ceil_mode`` adds behind."""
    padded: list[tuple[int, int]] = []
    for n, k, s, d, (low, high) in zip(size, kernel, strides, dilations, declared, strict=True):
        reach = (k - 1) * d + 1
        span = n + low + high - reach
        count = (-(-span // s) if ceil_mode else span // s) + 1
        if ceil_mode and (count - 1) * s >= n + low:
            # A window that starts in the end padding is dropped.
            count -= 1
        padded.append((low, max(high, (count - 1) * s + reach - n - low)))
    return padded
