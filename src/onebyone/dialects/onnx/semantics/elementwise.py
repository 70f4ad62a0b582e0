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
    UnsupportedError,
    floats,
    move,
)
from onebyone.dialects.reference.arithmetic import FUNCTIONS, Array, Tensor

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


def _abs(m: Machine, call: Call, x: Any) -> Tensor:
    return m.ar.maximum(x, m.ar.neg(x)) if m.ar.is_data(x) else np.abs(x)


def _reciprocal(m: Machine, call: Call, x: Any) -> Tensor:
    return m.ar.reciprocal(x)


def _pow(m: Machine, call: Call, x: Any, y: Any) -> Tensor:
    if not m.ar.is_data(x):
        return np.power(x, np.asarray(floats(m, y, "an exponent"))).astype(x.dtype)
    known = m.ar.known(y)
    if known is not None and known.size and np.all(known == known.flat[0]):
        power = float(known.flat[0])
        shape = np.broadcast_shapes(x.shape, y.shape)
        x = m.ar.move(lambda a: np.broadcast_to(a, shape), x)
        if power == 0.5:
            return m.ar.function("Sqrt", x)
        if power == -0.5:
            return m.ar.reciprocal(m.ar.function("Sqrt", x))
        if power.is_integer() and 1 <= abs(power) <= 64:
            out = reduce(m.ar.mul, [x] * int(abs(power)))
            return out if power > 0 else m.ar.reciprocal(out)
    return m.ar.function("Pow", x, y)


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


def _positive(m: Machine, x: Any) -> Any:
    return m.ar.maximum(x, m.ar.constant(0.0))


def _negative(m: Machine, x: Any) -> Any:
    return m.ar.minimum(x, m.ar.constant(0.0))


def _relu(m: Machine, call: Call, x: Any) -> Tensor:
    return _positive(m, x) if m.ar.is_data(x) else np.maximum(x, 0)


def _sloped(m: Machine, x: Any, slope: Any) -> Tensor:
    return m.ar.add(_positive(m, x), m.ar.mul(slope, _negative(m, x)))


def _prelu(m: Machine, call: Call, x: Any, slope: Any) -> Tensor:
    if not m.ar.is_data(x):
        return np.where(x < 0, x * slope, x).astype(x.dtype)
    return _sloped(m, x, slope)


def _leaky_relu(m: Machine, call: Call, x: Any) -> Tensor:
    return _sloped(m, x, m.ar.constant(call.float("alpha", 0.01)))


def _exp_minus_one(m: Machine, x: Any) -> Tensor:
    return m.ar.sub(m.ar.function("Exp", x), m.ar.constant(1.0))


def _elu(m: Machine, call: Call, x: Any) -> Tensor:
    alpha = m.ar.constant(call.float("alpha", 1.0))
    return m.ar.add(_positive(m, x), m.ar.mul(alpha, _exp_minus_one(m, _negative(m, x))))


def _celu(m: Machine, call: Call, x: Any) -> Tensor:
    alpha = m.ar.constant(call.float("alpha", 1.0))
    below = _exp_minus_one(m, m.ar.div(_negative(m, x), alpha))
    return m.ar.add(_positive(m, x), m.ar.mul(alpha, below))


def _selu(m: Machine, call: Call, x: Any) -> Tensor:
    alpha = m.ar.constant(call.float("alpha", 1.67326319217681884765625))
    gamma = m.ar.constant(call.float("gamma", 1.05070102214813232421875))
    below = m.ar.mul(alpha, _exp_minus_one(m, _negative(m, x)))
    return m.ar.mul(gamma, m.ar.add(_positive(m, x), below))


def _thresholded_relu(m: Machine, call: Call, x: Any) -> Tensor:
    key, bound = m.ar.keys(x, m.ar.constant(call.float("alpha", 1.0)))
    return m.ar.move(lambda a: np.where(key > bound, a, 0.0), x)


def _hard_sigmoid_of(m: Machine, x: Any, alpha: float, beta: float) -> Tensor:
    line = m.ar.add(m.ar.mul(m.ar.constant(alpha), x), m.ar.constant(beta))
    return m.ar.minimum(_positive(m, line), m.ar.constant(1.0))


def _hard_sigmoid(m: Machine, call: Call, x: Any) -> Tensor:
    return _hard_sigmoid_of(m, x, call.float("alpha", 0.2), call.float("beta", 0.5))


def _hard_swish(m: Machine, call: Call, x: Any) -> Tensor:
    return m.ar.mul(x, _hard_sigmoid_of(m, x, float(np.float32(1 / 6)), 0.5))


def _shrink(m: Machine, call: Call, x: Any) -> Tensor:
    bias, bound = call.float("bias", 0.0), call.float("lambd", 0.5)
    if not m.ar.is_data(x):
        raise UnsupportedError("Shrink of integers")
    key, low, high = m.ar.keys(x, m.ar.constant(-bound), m.ar.constant(bound))
    above, below = m.ar.sub(x, m.ar.constant(bias)), m.ar.add(x, m.ar.constant(bias))
    return m.ar.move(
        lambda a, b: np.where(key > high, a, np.where(key < low, b, 0.0)), above, below
    )


def softplus(m: Machine, x: Any) -> Tensor:
    return m.ar.function("Log", m.ar.add(m.ar.constant(1.0), m.ar.function("Exp", x)))


def _softplus(m: Machine, call: Call, x: Any) -> Tensor:
    return softplus(m, x)


def _softsign(m: Machine, call: Call, x: Any) -> Tensor:
    return m.ar.div(x, m.ar.add(m.ar.constant(1.0), _abs(m, call, x)))


def _mish(m: Machine, call: Call, x: Any) -> Tensor:
    return m.ar.mul(x, m.ar.function("Tanh", softplus(m, x)))


def _swish(m: Machine, call: Call, x: Any) -> Tensor:
    scaled = m.ar.mul(m.ar.constant(call.float("alpha", 1.0)), x)
    return m.ar.mul(x, m.ar.function("Sigmoid", scaled))


def _quick_gelu(m: Machine, call: Call, x: Any) -> Tensor:
    scaled = m.ar.mul(m.ar.constant(call.float("alpha", 1.702)), x)
    return m.ar.mul(x, m.ar.function("Sigmoid", scaled))


def gelu(m: Machine, x: Any, tanh: bool) -> Tensor:
    """Gelu by its formula; its irrational constants are hashes, equal to no rounded number."""
    ar = m.ar
    # The name keeps "differs" from being said of a spelled-out form with rounded constants.
    ar.used.add("Gelu")
    half, one = ar.constant(0.5), ar.constant(1.0)
    if tanh:
        cube = ar.mul(ar.mul(x, x), x)
        inner = ar.add(x, ar.mul(ar.constant(0.044715), cube))
        scale = ar.function("Sqrt", ar.div(ar.constant(2.0), _pi(m)))
        curve = ar.function("Tanh", ar.mul(scale, inner))
    else:
        curve = ar.function("Erf", ar.div(x, ar.function("Sqrt", ar.constant(2.0))))
    return ar.mul(ar.mul(half, x), ar.add(one, curve))


def _pi(m: Machine) -> Tensor:
    return m.ar.mul(m.ar.constant(4.0), m.ar.function("Atan", m.ar.constant(1.0)))


def _gelu(m: Machine, call: Call, x: Any) -> Tensor:
    return gelu(m, x, call.text("approximate", "none") == "tanh")


def _bias_gelu(m: Machine, call: Call, x: Any, bias: Any) -> Tensor:
    return gelu(m, m.ar.add(x, bias), tanh=False)


def _fast_gelu(m: Machine, call: Call, x: Any, bias: Any = None) -> Tensor:
    return gelu(m, x if bias is None else m.ar.add(x, bias), tanh=True)


def _compare(compare: Callable[[Array, Array], Array]) -> Operator:
    def run(m: Machine, call: Call, a: Any, b: Any) -> Tensor:
        if m.ar.is_data(a) or m.ar.is_data(b):
            a, b = m.ar.keys(a, b)
        return compare(a, b)

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
    known = m.ar.known(x)
    # Random residues stand for finite numbers.
    return np.zeros(x.shape, bool) if known is None else np.isnan(known)


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
