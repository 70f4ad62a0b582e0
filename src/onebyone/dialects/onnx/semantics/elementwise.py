"""Elementwise operators."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
import onnx_ir as ir

from onebyone.dialects.onnx.semantics.base import (
    Call,
    Machine,
    Operator,
    floats,
    move,
)
from onebyone.kernels import elementwise
from onebyone.kernels.arithmetic import FUNCTIONS, Array, Tensor
from onebyone.kernels.errors import UnsupportedError

# Bounds at least this large bound no float32: Clip(x, 0, 3.4e38) is Relu.
_NO_BOUND = 3.4e38


def _integer_div(a: Array, b: Array) -> Array:
    """Division that truncates towards zero, as ONNX divides integers."""
    quotient = np.floor_divide(a, b)
    inexact = quotient * b != a
    return np.asarray(quotient + (inexact & ((a < 0) != (b < 0)))).astype(np.result_type(a, b))


def _binary(name: str, exact: Callable[[Array, Array], Array]) -> Operator:
    def run(m: Machine, call: Call, a: Any, b: Any) -> Tensor:
        if m.ar.is_data(a) or m.ar.is_data(b):
            return getattr(m.ar, name)(a, b)
        with np.errstate(over="ignore"):
            return exact(a, b)

    return run


def _unary(name: str) -> Operator:
    def run(m: Machine, call: Call, x: Any) -> Tensor:
        return m.ar.function(name, x) if m.ar.is_data(x) else np.sign(x)

    return run


def _neg(m: Machine, call: Call, x: Any) -> Tensor:
    return m.ar.neg(x) if m.ar.is_data(x) else np.negative(x)


def _reciprocal(m: Machine, call: Call, x: Any) -> Tensor:
    return m.ar.reciprocal(x)


def _pow(m: Machine, call: Call, x: Any, y: Any) -> Tensor:
    if not m.ar.is_data(x):
        return np.power(x, np.asarray(floats(m, y, "an exponent"))).astype(x.dtype)
    return elementwise.power(m.ar, x, y)


def _variadic(name: str, exact: Callable[[Array, Array], Array]) -> Operator:
    def run(m: Machine, call: Call, *xs: Any) -> Tensor:
        combine = getattr(m.ar, name) if any(map(m.ar.is_data, xs)) else exact
        return reduce(combine, xs)

    return run


def _largest(m: Machine, call: Call, *xs: Any) -> Tensor:
    if not any(map(m.ar.is_data, xs)):
        return reduce(np.maximum, xs)
    bounding = [x for x in xs if not _unbounded(m, x, -1)]
    return _symmetric(m, bounding or list(xs))


def _smallest(m: Machine, call: Call, *xs: Any) -> Tensor:
    if not any(map(m.ar.is_data, xs)):
        return reduce(np.minimum, xs)
    bounding = [x for x in xs if not _unbounded(m, x, 1)] or list(xs)
    return m.ar.neg(_symmetric(m, [m.ar.neg(x) for x in bounding]))


def _symmetric(m: Machine, xs: list[Any]) -> Tensor:
    if len(xs) == 1:
        return xs[0]
    if len(xs) == 2:
        return m.ar.maximum(xs[0], xs[1])
    stacked = m.ar.move(lambda *arrays: np.stack(np.broadcast_arrays(*arrays)), *xs)
    return m.ar.move(lambda a: a[0], m.ar.largest(stacked, (0,)))


def _unbounded(m: Machine, bound: Any, sign: int) -> bool:
    """Whether ``bound`` is a known scalar beyond every float32, so that it never takes part."""
    known = m.ar.known(bound)
    return known is not None and known.size == 1 and bool(sign * known.flat[0] >= _NO_BOUND)


def _clip(m: Machine, call: Call, x: Any, low: Any = None, high: Any = None) -> Tensor:
    if call.version < 11:
        low = np.float64(call.get("min", -np.inf))
        high = np.float64(call.get("max", np.inf))
        low, high = m.ar.constant(low), m.ar.constant(high)
    if not m.ar.is_data(x):
        return np.clip(x, low, high).astype(x.dtype)
    if low is not None and not _unbounded(m, low, -1):
        x = m.ar.maximum(x, low)
    if high is not None and not _unbounded(m, high, 1):
        x = m.ar.minimum(x, high)
    return x


def _mean(m: Machine, call: Call, *xs: Any) -> Tensor:
    return m.ar.div(reduce(m.ar.add, xs), m.ar.constant(len(xs)))


def _abs(m: Machine, call: Call, x: Any) -> Tensor:
    return elementwise.absolute(m.ar, x)


def _relu(m: Machine, call: Call, x: Any) -> Tensor:
    return elementwise.positive(m.ar, x) if m.ar.is_data(x) else np.maximum(x, 0)


def _prelu(m: Machine, call: Call, x: Any, slope: Any) -> Tensor:
    if not m.ar.is_data(x):
        return np.where(x < 0, x * slope, x).astype(x.dtype)
    return elementwise.sloped(m.ar, x, slope)


def _leaky_relu(m: Machine, call: Call, x: Any) -> Tensor:
    return elementwise.sloped(m.ar, x, m.ar.constant(call.float("alpha", 0.01)))


def _elu(m: Machine, call: Call, x: Any) -> Tensor:
    return elementwise.elu(m.ar, x, call.float("alpha", 1.0))


def _celu(m: Machine, call: Call, x: Any) -> Tensor:
    return elementwise.celu(m.ar, x, call.float("alpha", 1.0))


def _selu(m: Machine, call: Call, x: Any) -> Tensor:
    alpha = call.float("alpha", 1.67326319217681884765625)
    return elementwise.elu(m.ar, x, alpha, call.float("gamma", 1.05070102214813232421875))


def _thresholded_relu(m: Machine, call: Call, x: Any) -> Tensor:
    key, bound = m.ar.keys(x, m.ar.constant(call.float("alpha", 1.0)))
    return m.ar.move(lambda a: np.where(key > bound, a, 0.0), x)


def _hard_sigmoid(m: Machine, call: Call, x: Any) -> Tensor:
    return elementwise.hard_sigmoid(m.ar, x, call.float("alpha", 0.2), call.float("beta", 0.5))


def _hard_swish(m: Machine, call: Call, x: Any) -> Tensor:
    return m.ar.mul(x, elementwise.hard_sigmoid(m.ar, x, float(np.float32(1 / 6)), 0.5))


def _shrink(m: Machine, call: Call, x: Any) -> Tensor:
    bias, bound = call.float("bias", 0.0), call.float("lambd", 0.5)
    if not m.ar.is_data(x):
        raise UnsupportedError("Shrink of integers")
    key, low, high = m.ar.keys(x, m.ar.constant(-bound), m.ar.constant(bound))
    above, below = m.ar.sub(x, m.ar.constant(bias)), m.ar.add(x, m.ar.constant(bias))
    return m.ar.move(
        lambda a, b: np.where(key > high, a, np.where(key < low, b, 0.0)), above, below
    )


def _softplus(m: Machine, call: Call, x: Any) -> Tensor:
    return elementwise.softplus(m.ar, x)


def _softsign(m: Machine, call: Call, x: Any) -> Tensor:
    return m.ar.div(x, m.ar.add(m.ar.constant(1.0), _abs(m, call, x)))


def _mish(m: Machine, call: Call, x: Any) -> Tensor:
    return elementwise.mish(m.ar, x)


def _swish(m: Machine, call: Call, x: Any) -> Tensor:
    scaled = m.ar.mul(m.ar.constant(call.float("alpha", 1.0)), x)
    return m.ar.mul(x, m.ar.function("Sigmoid", scaled))


def _quick_gelu(m: Machine, call: Call, x: Any) -> Tensor:
    scaled = m.ar.mul(m.ar.constant(call.float("alpha", 1.702)), x)
    return m.ar.mul(x, m.ar.function("Sigmoid", scaled))


def _gelu(m: Machine, call: Call, x: Any) -> Tensor:
    return elementwise.gelu(m.ar, x, call.text("approximate", "none") == "tanh")


def _bias_gelu(m: Machine, call: Call, x: Any, bias: Any) -> Tensor:
    return elementwise.gelu(m.ar, m.ar.add(x, bias), tanh=False)


def _fast_gelu(m: Machine, call: Call, x: Any, bias: Any = None) -> Tensor:
    return elementwise.gelu(m.ar, x if bias is None else m.ar.add(x, bias), tanh=True)


def _compare(compare: Callable[[Array, Array], Array]) -> Operator:
    def run(m: Machine, call: Call, a: Any, b: Any) -> Tensor:
        return elementwise.compare(m.ar, compare, a, b)

    return run


def _exact(fn: Callable[..., Array]) -> Operator:
    def run(m: Machine, call: Call, *xs: Any) -> Tensor:
        if any(map(m.ar.is_data, xs)):
            raise UnsupportedError(f"{call.op} of floating-point data")
        return fn(*xs)

    return run


def _shift(m: Machine, call: Call, a: Any, b: Any) -> Tensor:
    left = call.text("direction", "LEFT") == "LEFT"
    return np.left_shift(a, b) if left else np.right_shift(a, b)


def _mod(m: Machine, call: Call, a: Any, b: Any) -> Tensor:
    if m.ar.is_data(a):
        x, y = floats(m, a, "Mod"), floats(m, b, "Mod")
        return m.ar.constant(np.fmod(x, y) if call.get("fmod", 0) else np.mod(x, y))
    return np.fmod(a, b) if call.get("fmod", 0) else np.mod(a, b)


def _where(m: Machine, call: Call, condition: Any, a: Any, b: Any) -> Tensor:
    return move(m, lambda x, y: np.where(condition, x, y), a, b)


def _is_nan(m: Machine, call: Call, x: Any) -> Tensor:
    return elementwise.is_nan(m.ar, x)


def _is_inf(m: Machine, call: Call, x: Any) -> Tensor:
    known = m.ar.known(x)
    if known is None:
        return np.zeros(x.shape, bool)
    positive = (known == np.inf) & bool(call.get("detect_positive", 1))
    return positive | ((known == -np.inf) & bool(call.get("detect_negative", 1)))


def cast(m: Machine, x: Any, to: ir.DataType) -> Tensor:
    """``x`` as ``to``; between floating-point types the identity."""
    if to.is_floating_point():
        if m.ar.is_data(x):
            return m.ar.rounded(x)
        if x.dtype.kind in "biu":
            return m.ar.constant(x)
        raise UnsupportedError("Cast of strings")
    if not m.ar.is_data(x):
        if to.is_string() or x.dtype.kind not in "biu":
            raise UnsupportedError("Cast of strings")
        return x.astype(_numpy_type(to))
    if to == ir.DataType.BOOL:
        key, zero = m.ar.keys(x, m.ar.constant(0.0))
        return key != zero
    values = floats(m, x, f"Cast to {to.name}")
    with np.errstate(invalid="ignore"):
        return np.trunc(values).astype(_numpy_type(to))


def _numpy_type(to: ir.DataType) -> np.dtype[Any]:
    dtype = to.numpy()
    if dtype.kind not in "biu":
        raise UnsupportedError(f"Cast to {to.name}")
    return dtype


def _cast(m: Machine, call: Call, x: Any) -> Tensor:
    return cast(m, x, ir.DataType(call.attributes["to"]))


def _cast_like(m: Machine, call: Call, x: Any, like: Any) -> Tensor:
    if m.ar.is_data(like):
        return cast(m, x, ir.DataType.FLOAT)
    return cast(m, x, ir.DataType.from_numpy(like.dtype))


TABLE: dict[tuple[str, str], Operator] = {
    **{("", name): _unary(name) for name in FUNCTIONS if name != "Trunc"},
    ("", "Abs"): _abs,
    ("", "Add"): _binary("add", np.add),
    ("", "And"): _exact(np.logical_and),
    ("", "BitShift"): _shift,
    ("", "BitwiseAnd"): _exact(np.bitwise_and),
    ("", "BitwiseNot"): _exact(np.bitwise_not),
    ("", "BitwiseOr"): _exact(np.bitwise_or),
    ("", "BitwiseXor"): _exact(np.bitwise_xor),
    ("", "Cast"): _cast,
    ("", "CastLike"): _cast_like,
    ("", "Celu"): _celu,
    ("", "Clip"): _clip,
    ("", "Div"): _binary("div", _integer_div),
    ("", "Elu"): _elu,
    ("", "Equal"): _compare(np.equal),
    ("", "Gelu"): _gelu,
    ("", "Greater"): _compare(np.greater),
    ("", "GreaterOrEqual"): _compare(np.greater_equal),
    ("", "HardSigmoid"): _hard_sigmoid,
    ("", "HardSwish"): _hard_swish,
    ("", "IsInf"): _is_inf,
    ("", "IsNaN"): _is_nan,
    ("", "LeakyRelu"): _leaky_relu,
    ("", "Less"): _compare(np.less),
    ("", "LessOrEqual"): _compare(np.less_equal),
    ("", "Max"): _largest,
    ("", "Mean"): _mean,
    ("", "Min"): _smallest,
    ("", "Mish"): _mish,
    ("", "Mod"): _mod,
    ("", "Mul"): _binary("mul", np.multiply),
    ("", "Neg"): _neg,
    ("", "Not"): _exact(np.logical_not),
    ("", "Or"): _exact(np.logical_or),
    ("", "PRelu"): _prelu,
    ("", "Pow"): _pow,
    ("", "Reciprocal"): _reciprocal,
    ("", "Relu"): _relu,
    ("", "Selu"): _selu,
    ("", "Shrink"): _shrink,
    ("", "Softplus"): _softplus,
    ("", "Softsign"): _softsign,
    ("", "Sub"): _binary("sub", np.subtract),
    ("", "Sum"): _variadic("add", np.add),
    ("", "Swish"): _swish,
    ("", "ThresholdedRelu"): _thresholded_relu,
    ("", "Where"): _where,
    ("", "Xor"): _exact(np.logical_xor),
    ("com.microsoft", "BiasGelu"): _bias_gelu,
    ("com.microsoft", "FastGelu"): _fast_gelu,
    ("com.microsoft", "Gelu"): _gelu,
    ("com.microsoft", "QuickGelu"): _quick_gelu,
}
