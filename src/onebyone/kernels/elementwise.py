"""Functions of single elements that the operators of every dialect are made of.

A kernel takes the arithmetic, its operands, and plain facts by keyword. What two dialects call by
different names is one kernel here, so its hash in a field is one, too. Exact integers and booleans
are computed in the type of the operands, where they wrap around.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial, reduce
from typing import Any, TypeAlias

import numpy as np

from onebyone.kernels.arithmetic import Arithmetic, Array, Tensor
from onebyone.kernels.element import REAL, Element
from onebyone.kernels.functions import CONNECTIVES, INTEGRAL, RELATIONS, Connective, Relation
from onebyone.kernels.operands import any_data, data

# ``kernel(arithmetic, *operands, **facts)``
Kernel: TypeAlias = Callable[..., Tensor]


def function(ar: Arithmetic, x: Tensor, *, name: str) -> Tensor:
    """One of `onebyone.kernels.arithmetic.FUNCTIONS`; integral ones leave exact values exact."""
    if name in INTEGRAL:
        if not ar.is_data(x):
            return np.sign(x) if name == "Sign" and x.dtype != bool else x
        if x.dtype.kind == "b" or (name != "Sign" and x.dtype.kind in "iu"):
            return x
        return as_type(ar.function(name, x), x.dtype)
    return ar.function(name, data(ar, x))


# Sums, products and quotients.


def add(ar: Arithmetic, a: Tensor, b: Tensor) -> Tensor:
    """``a + b``; integers wrap around in their type."""
    return ar.add(a, b) if any_data(ar, a, b) else np.add(a, b)


def sub(ar: Arithmetic, a: Tensor, b: Tensor) -> Tensor:
    """``a - b``; integers wrap around in their type."""
    return ar.sub(a, b) if any_data(ar, a, b) else np.subtract(a, b)


def mul(ar: Arithmetic, a: Tensor, b: Tensor) -> Tensor:
    """``a * b``; integers wrap around in their type."""
    return ar.mul(a, b) if any_data(ar, a, b) else np.multiply(a, b)


def neg(ar: Arithmetic, x: Tensor) -> Tensor:
    """``-x``."""
    return ar.neg(x) if ar.is_data(x) else np.negative(x)


def square(ar: Arithmetic, x: Tensor) -> Tensor:
    """``x * x``."""
    return mul(ar, x, x)


def scaled(ar: Arithmetic, x: Tensor, *, factor: float) -> Tensor:
    """``factor * x``; a factor of 1 is not there."""
    return x if factor == 1 else ar.mul(ar.constant(factor), x)


def divide(ar: Arithmetic, a: Tensor, b: Tensor, *, rounding: str | None = None) -> Tensor:
    """``a / b``, rounded to whole numbers where ``rounding`` is ``trunc`` or ``floor``.

    The floor is that of the true quotient: 1 / 0.1 in float64 rounds to 10, but ten times 0.1 is
    more than 1. Integers that are divided so stay integers.
    """
    a, b = ar.settled(a), ar.settled(b)
    kinds = [x.dtype for x in (a, b)]
    if not any_data(ar, a, b):
        if rounding == "trunc":
            return _truncated(a, b)
        if rounding == "floor":
            return np.floor_divide(a, b)
    if rounding == "floor":
        x, y = ar.known(a), ar.known(b)
        if x is not None and y is not None:
            return ar.constant(np.floor_divide(x, y))
    quotient = ar.div(data(ar, a), data(ar, b))
    names = {"floor": "Floor", "trunc": "Trunc"}
    if rounding is None:
        return quotient
    out = ar.function(names[rounding], quotient)
    whole = all(kind.kind in "iu" for kind in kinds)
    return bounded(as_type(out, np.result_type(*kinds))) if whole else out


def bounded(x: Tensor) -> Tensor:
    """Data marked as integers that did not wrap around."""
    return replace(x, bounded=True) if isinstance(x, Element) else x


def as_type(x: Tensor, dtype: np.dtype[Any]) -> Tensor:
    """Data whose numbers are of a type of integers already, marked as such."""
    return replace(x, dtype=dtype) if isinstance(x, Element) else x


def _truncated(a: Array, b: Array) -> Array:
    quotient = np.floor_divide(a, b)
    inexact = quotient * b != a
    return np.asarray(quotient + (inexact & ((a < 0) != (b < 0)))).astype(np.result_type(a, b))


def remainder(ar: Arithmetic, a: Tensor, b: Tensor, *, truncated: bool) -> Tensor:
    """What a division leaves: with the sign of ``a`` if it truncates, else with that of ``b``."""
    fn = np.fmod if truncated else np.mod
    if not any_data(ar, a, b):
        return fn(a, b)
    x, y = ar.known(a), ar.known(b)
    if x is not None and y is not None:
        return ar.constant(fn(x, y))
    a, b = data(ar, ar.settled(a)), data(ar, ar.settled(b))
    whole = divide(ar, a, b, rounding="trunc" if truncated else "floor")
    return bounded(ar.sub(a, ar.mul(whole, b)))


def reciprocal_root(ar: Arithmetic, x: Tensor) -> Tensor:
    """``1 / sqrt(x)``."""
    return ar.reciprocal(ar.function("Sqrt", x))


def power(ar: Arithmetic, x: Tensor, y: Tensor) -> Tensor:
    """``x ** y``; known whole exponents are products, a half is a root."""
    if not any_data(ar, x, y):
        return np.power(x, y)
    x, y = data(ar, x), data(ar, y)
    known = ar.known(y)
    if known is not None and known.size and np.all(known == known.flat[0]):
        exponent = float(known.flat[0])
        shape = np.broadcast_shapes(x.shape, y.shape)
        x = ar.move(lambda a: np.broadcast_to(a, shape), x)
        if exponent == 0.5:
            return ar.function("Sqrt", x)
        if exponent == -0.5:
            return reciprocal_root(ar, x)
        if exponent.is_integer() and 1 <= abs(exponent) <= 64:
            out = reduce(ar.mul, [x] * int(abs(exponent)))
            return out if exponent > 0 else ar.reciprocal(out)
    return ar.function("Pow", x, y)


def exp_minus_one(ar: Arithmetic, x: Tensor) -> Tensor:
    """``exp(x) - 1``."""
    return ar.sub(ar.function("Exp", x), ar.constant(1.0))


def log_one_plus(ar: Arithmetic, x: Tensor) -> Tensor:
    """``log(1 + x)``."""
    return ar.function("Log", ar.add(ar.constant(1.0), x))


def log_to(ar: Arithmetic, x: Tensor, *, base: float) -> Tensor:
    """The logarithm to a base."""
    return ar.div(ar.function("Log", x), ar.function("Log", ar.constant(base)))


# Order.


def maximum(ar: Arithmetic, a: Tensor, b: Tensor) -> Tensor:
    """The larger of two."""
    if any_data(ar, a, b):
        return ar.maximum(data(ar, a), data(ar, b))
    return np.maximum(a, b)


def minimum(ar: Arithmetic, a: Tensor, b: Tensor) -> Tensor:
    """The smaller of two."""
    if any_data(ar, a, b):
        return ar.minimum(data(ar, a), data(ar, b))
    return np.minimum(a, b)


def absolute(ar: Arithmetic, x: Tensor) -> Tensor:
    """``|x|``."""
    return ar.maximum(x, ar.neg(x)) if ar.is_data(x) else np.abs(x)


def number(ar: Arithmetic, x: Tensor, value: float) -> Tensor:
    """A number beside data: an integer where that holds integers."""
    return ar.constant(np.asarray(value, REAL if x.dtype.kind == "b" else x.dtype))


def positive(ar: Arithmetic, x: Tensor) -> Tensor:
    """ReLU: ``max(x, 0)``."""
    return ar.maximum(x, number(ar, x, 0.0)) if ar.is_data(x) else np.maximum(x, 0)


def negative(ar: Arithmetic, x: Tensor) -> Tensor:
    """``min(x, 0)``."""
    return ar.minimum(x, number(ar, x, 0.0))


def compare(ar: Arithmetic, a: Tensor, b: Tensor, *, relation: Relation) -> Tensor:
    """A comparison."""
    return ar.compare(relation, a, b) if any_data(ar, a, b) else RELATIONS[relation](a, b)


def truth(ar: Arithmetic, x: Tensor) -> Tensor:
    """Where ``x`` is not zero."""
    if not ar.is_data(x):
        return np.asarray(x).astype(bool)
    return x if x.dtype == bool else compare(ar, x, number(ar, x, 0.0), relation="!=")


def logical(ar: Arithmetic, *xs: Tensor, name: Connective) -> Tensor:
    """A connective of the truth of each operand."""
    truths = [truth(ar, x) for x in xs]
    return ar.logical(name, *truths) if any_data(ar, *truths) else CONNECTIVES[name](*truths)


def bits(ar: Arithmetic, *xs: Tensor, name: Connective) -> Tensor:
    """A connective of booleans, or of each bit of integers."""
    if all(x.dtype == bool for x in xs):
        return logical(ar, *xs, name=name)
    fn = _BITS[name]
    dtype = np.result_type(*(x.dtype for x in xs))
    if not any_data(ar, *xs):
        return fn(*xs)
    if name == "not":
        # All bits turned over is what is left to the largest number, or to minus one.
        top = np.asarray(-1 if dtype.kind == "i" else np.iinfo(dtype).max, dtype)
        return ar.sub(ar.constant(top), xs[0])
    return ar.opaque(f"bitwise {name} {dtype}", fn, *xs, dtype=dtype)


_BITS: dict[Connective, Callable[..., Array]] = {
    "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor, "not": np.bitwise_not,
}  # fmt: skip


def where(ar: Arithmetic, condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """One of two, by a condition."""
    if any_data(ar, condition, a, b):
        return ar.select(condition, a, b)
    return np.where(condition, a, b)


def is_nan(ar: Arithmetic, x: Tensor) -> Tensor:
    """Where ``x`` is no number."""
    if not ar.is_data(x) or x.dtype.kind != "f":
        return np.zeros(x.shape, bool)
    return ar.special("IsNaN", np.isnan, x)


def is_infinite(
    ar: Arithmetic, x: Tensor, *, positive: bool = True, negative: bool = True
) -> Tensor:
    """Where ``x`` is infinite, of the signs asked for."""
    if not ar.is_data(x) or x.dtype.kind != "f":
        return np.zeros(x.shape, bool)
    signs = [
        ar.special(f"is {value}", partial(np.equal, value), x)
        for value, wanted in ((np.inf, positive), (-np.inf, negative))
        if wanted
    ]
    if not signs:
        return np.zeros(x.shape, bool)
    return signs[0] if len(signs) == 1 else logical(ar, *signs, name="or")


def is_finite(ar: Arithmetic, x: Tensor) -> Array:
    """Whether an element is neither infinite nor NaN."""
    unusual = logical(ar, is_nan(ar, x), is_infinite(ar, x), name="or")
    return logical(ar, unusual, name="not")


# Activations.


def sloped(ar: Arithmetic, x: Tensor, slope: Tensor) -> Tensor:
    """``x`` where positive, ``slope * x`` elsewhere."""
    return ar.add(positive(ar, x), ar.mul(slope, negative(ar, x)))


def leaky(ar: Arithmetic, x: Tensor, *, alpha: float) -> Tensor:
    """``x`` where it is positive, else ``slope * x``."""
    return sloped(ar, x, ar.constant(alpha))


def elu(ar: Arithmetic, x: Tensor, *, alpha: float, gamma: float = 1.0) -> Tensor:
    """``x`` where positive, ``alpha * (exp(x) - 1)`` elsewhere; Selu with a factor ``gamma``."""
    below = ar.mul(ar.constant(alpha), exp_minus_one(ar, negative(ar, x)))
    return scaled(ar, ar.add(positive(ar, x), below), factor=gamma)


def celu(ar: Arithmetic, x: Tensor, *, alpha: float) -> Tensor:
    """``max(x, 0) + min(0, alpha * (exp(x / alpha) - 1))``."""
    factor = ar.constant(alpha)
    below = exp_minus_one(ar, ar.div(negative(ar, x), factor))
    return ar.add(positive(ar, x), ar.mul(factor, below))


def hard_sigmoid(ar: Arithmetic, x: Tensor, *, alpha: float, beta: float) -> Tensor:
    """``alpha * x + beta``, between 0 and 1."""
    line = ar.add(ar.mul(ar.constant(alpha), x), ar.constant(beta))
    return ar.minimum(positive(ar, line), ar.constant(1.0))


def hard_swish(ar: Arithmetic, x: Tensor, *, alpha: float) -> Tensor:
    """``x * hard_sigmoid(x)`` with a sixth and a half."""
    return ar.mul(x, hard_sigmoid(ar, x, alpha=alpha, beta=0.5))


def softplus(ar: Arithmetic, x: Tensor) -> Tensor:
    """``log(1 + exp(x))``."""
    return log_one_plus(ar, ar.function("Exp", x))


def softsign(ar: Arithmetic, x: Tensor) -> Tensor:
    """``x / (1 + |x|)``."""
    return ar.div(x, ar.add(ar.constant(1.0), absolute(ar, x)))


def log_sigmoid(ar: Arithmetic, x: Tensor) -> Tensor:
    """``-softplus(-x)``."""
    return ar.neg(softplus(ar, ar.neg(x)))


def swish(ar: Arithmetic, x: Tensor, *, alpha: float = 1.0) -> Tensor:
    """``x * sigmoid(alpha * x)``."""
    return ar.mul(x, ar.function("Sigmoid", scaled(ar, x, factor=alpha)))


def mish(ar: Arithmetic, x: Tensor) -> Tensor:
    """``x * tanh(softplus(x))``."""
    return ar.mul(x, ar.function("Tanh", softplus(ar, x)))


def gelu(ar: Arithmetic, x: Tensor, *, tanh: bool) -> Tensor:
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


def threshold(ar: Arithmetic, x: Tensor, *, bound: float, value: float = 0.0) -> Tensor:
    """``x`` where it is above ``bound``, ``value`` elsewhere; both truncated beside integers."""
    if not ar.is_data(x):
        least, other = (np.asarray(number).astype(x.dtype) for number in (bound, value))
        return np.where(x > least, x, other)
    kind = x.dtype if x.dtype.kind in "iu" else REAL
    least, other = (ar.constant(np.asarray(number).astype(kind)) for number in (bound, value))
    return where(ar, compare(ar, x, least, relation=">"), x, other)


def shrink(ar: Arithmetic, x: Tensor, *, bound: float, bias: float) -> Tensor:
    """``x`` moved by ``bias`` towards zero where it is beyond ``bound``, else zero.

    With a negative bound ``x`` may be beyond on both sides: that below is asked first.
    """
    above = x if bias == 0 else ar.sub(x, ar.constant(bias))
    below = x if bias == 0 else ar.add(x, ar.constant(bias))
    beyond = compare(ar, x, ar.constant(bound), relation=">")
    inner = where(ar, beyond, above, ar.constant(0.0))
    return where(ar, compare(ar, x, ar.constant(-bound), relation="<"), below, inner)
