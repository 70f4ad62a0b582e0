"""Elementwise operators."""

from __future__ import annotations

from functools import reduce
from typing import Any

import ml_dtypes
import numpy as np
import onnx_ir as ir

from onebyone.dialects.onnx.semantics.base import Call, Operator, Table, exact_row, row
from onebyone.kernels import elementwise
from onebyone.kernels.arithmetic import FUNCTIONS, Arithmetic, Array, Tensor
from onebyone.kernels.elementwise import Kernel
from onebyone.kernels.errors import UnsupportedError
from onebyone.kernels.operands import any_data, floats
from onebyone.kernels.precision import WIDE, largest_number


def _function(name: str) -> Operator:
    return lambda ar, call, x: elementwise.function(ar, x, name=name)


def _div(ar: Arithmetic, call: Call, a: Any, b: Any) -> Tensor:
    """Integers are divided towards zero."""
    return elementwise.divide(ar, a, b, rounding=None if any_data(ar, a, b) else "trunc")


def _pow(ar: Arithmetic, call: Call, x: Any, y: Any) -> Tensor:
    """The type is that of the base."""
    if ar.is_data(x):
        return elementwise.power(ar, x, y)
    return np.power(x, floats(ar, y, "an exponent")).astype(x.dtype)


def _variadic(kernel: Kernel) -> Operator:
    return lambda ar, call, *xs: reduce(lambda a, b: kernel(ar, a, b), xs)


def _largest(ar: Arithmetic, call: Call, *xs: Any) -> Tensor:
    if not any_data(ar, *xs):
        return reduce(np.maximum, xs)
    return _symmetric(ar, [x for x in xs if not _unbounded(ar, call, x, -1)] or list(xs))


def _smallest(ar: Arithmetic, call: Call, *xs: Any) -> Tensor:
    if not any_data(ar, *xs):
        return reduce(np.minimum, xs)
    bounding = [x for x in xs if not _unbounded(ar, call, x, 1)] or list(xs)
    return ar.neg(_symmetric(ar, [ar.neg(x) for x in bounding]))


def _symmetric(ar: Arithmetic, xs: list[Any]) -> Tensor:
    """The maximum of all, the same in whichever order they come."""
    if len(xs) < 3:
        return reduce(ar.maximum, xs)
    stacked = ar.move(lambda *arrays: np.stack(np.broadcast_arrays(*arrays)), *xs)
    return ar.move(lambda a: a[0], ar.largest(stacked, (0,)))


def _unbounded(ar: Arithmetic, call: Call, bound: Any, sign: int) -> bool:
    """Whether ``bound`` is a known scalar that no number of the type is beyond.

    Such a bound never takes part: in float32 Clip(x, 0, 3.4028235e38) is Relu.
    """
    known = ar.known(bound)
    if known is None or known.size != 1:
        return False
    return bool(sign * known.flat[0] >= largest_number(call.unit))


def _clip(ar: Arithmetic, call: Call, x: Any, low: Any = None, high: Any = None) -> Tensor:
    if call.version < 11:
        low = ar.constant(np.float64(call.get("min", -np.inf)))
        high = ar.constant(np.float64(call.get("max", np.inf)))
    if not ar.is_data(x):
        # The upper bound wins over a larger lower one.
        x = x if low is None else np.maximum(x, low)
        return x if high is None else np.minimum(x, high)
    if low is not None and not _unbounded(ar, call, low, -1):
        x = ar.maximum(x, low)
    if high is not None and not _unbounded(ar, call, high, 1):
        x = ar.minimum(x, high)
    return x


def _mean(ar: Arithmetic, call: Call, *xs: Any) -> Tensor:
    return ar.div(reduce(ar.add, xs), ar.constant(len(xs)))


def _prelu(ar: Arithmetic, call: Call, x: Any, slope: Any) -> Tensor:
    if not ar.is_data(x):
        return np.where(x < 0, x * slope, x).astype(x.dtype)
    return elementwise.sloped(ar, x, slope)


def _selu(ar: Arithmetic, call: Call, x: Any) -> Tensor:
    alpha = call.float("alpha", 1.67326319217681884765625)
    gamma = call.float("gamma", 1.05070102214813232421875)
    return elementwise.elu(ar, x, alpha=alpha, gamma=gamma)


def _hard_swish(ar: Arithmetic, call: Call, x: Any) -> Tensor:
    return elementwise.hard_swish(ar, x, alpha=float(np.float32(1 / 6)))


def _thresholded_relu(ar: Arithmetic, call: Call, x: Any) -> Tensor:
    return elementwise.threshold(ar, x, bound=call.float("alpha", 1.0))


def _shrink(ar: Arithmetic, call: Call, x: Any) -> Tensor:
    if not ar.is_data(x):
        raise UnsupportedError("Shrink of integers")
    bound, bias = call.float("lambd", 0.5), call.float("bias", 0.0)
    return elementwise.shrink(ar, x, bound=bound, bias=bias)


def _gelu(ar: Arithmetic, call: Call, x: Any) -> Tensor:
    return elementwise.gelu(ar, x, tanh=call.text("approximate", "none") == "tanh")


def _bias_gelu(ar: Arithmetic, call: Call, x: Any, bias: Any) -> Tensor:
    return elementwise.gelu(ar, ar.add(x, bias), tanh=False)


def _fast_gelu(ar: Arithmetic, call: Call, x: Any, bias: Any = None) -> Tensor:
    return elementwise.gelu(ar, x if bias is None else ar.add(x, bias), tanh=True)


def _compare(relation: Any) -> Operator:
    return lambda ar, call, a, b: elementwise.compare(ar, a, b, relation=relation)


def _shift(ar: Arithmetic, call: Call, a: Any, b: Any) -> Tensor:
    left = call.given("direction") == "LEFT"
    return np.left_shift(a, b) if left else np.right_shift(a, b)


def _mod(ar: Arithmetic, call: Call, a: Any, b: Any) -> Tensor:
    return elementwise.remainder(ar, a, b, truncated=bool(call.get("fmod", 0)))


def _where(ar: Arithmetic, call: Call, condition: Any, a: Any, b: Any) -> Tensor:
    return elementwise.where(ar, condition, a, b)


def _is_inf(ar: Arithmetic, call: Call, x: Any) -> Tensor:
    positive, negative = call.get("detect_positive", 1), call.get("detect_negative", 1)
    return elementwise.is_infinite(ar, x, positive=bool(positive), negative=bool(negative))


def cast(ar: Arithmetic, x: Any, to: ir.DataType, *, saturate: bool = True) -> Tensor:
    """``x`` as ``to``.

    Raises:
        UnsupportedError: strings, types that are not understood, or values that are not known.
    """
    if not ar.is_data(x) and x.dtype.kind not in "biu":
        raise UnsupportedError("Cast of strings")
    dtype = to.numpy()
    if not to.is_floating_point():
        if dtype.kind not in "biu":
            raise UnsupportedError(f"Cast to {to.name}")
        return elementwise.cast(ar, x, dtype=dtype, narrow=None)
    if dtype.name in WIDE:
        return elementwise.cast(ar, x, dtype=np.dtype(np.float64), narrow=None)

    def narrow(values: Array) -> Array:
        limits = ml_dtypes.finfo(dtype)
        low, high = float(limits.min), float(limits.max)
        bounded = np.clip(values, low, high) if saturate else values
        return bounded.astype(np.float32).astype(dtype).astype(np.float64)

    return elementwise.cast(ar, x, dtype=np.dtype(np.float64), narrow=narrow)


def _cast(ar: Arithmetic, call: Call, x: Any) -> Tensor:
    saturate = bool(call.get("saturate", 1))
    return cast(ar, x, ir.DataType(call.given("to")), saturate=saturate)


def _cast_like(ar: Arithmetic, call: Call, x: Any, like: Any) -> Tensor:
    if not ar.is_data(like):
        return cast(ar, x, ir.DataType.from_numpy(like.dtype))
    return cast(ar, x, ir.DataType.FLOAT)


TABLE: Table = {
    **{("", name): _function(name) for name in FUNCTIONS if name != "Trunc"},
    ("", "Abs"): row(elementwise.absolute),
    ("", "Add"): row(elementwise.add),
    ("", "And"): exact_row(np.logical_and),
    ("", "BitShift"): _shift,
    ("", "BitwiseAnd"): exact_row(np.bitwise_and),
    ("", "BitwiseNot"): exact_row(np.bitwise_not),
    ("", "BitwiseOr"): exact_row(np.bitwise_or),
    ("", "BitwiseXor"): exact_row(np.bitwise_xor),
    ("", "Cast"): _cast,
    ("", "CastLike"): _cast_like,
    ("", "Celu"): row(elementwise.celu, alpha=1.0),
    ("", "Clip"): _clip,
    ("", "Div"): _div,
    ("", "Elu"): row(elementwise.elu, alpha=1.0),
    ("", "Equal"): _compare(np.equal),
    ("", "Gelu"): _gelu,
    ("", "Greater"): _compare(np.greater),
    ("", "GreaterOrEqual"): _compare(np.greater_equal),
    ("", "HardSigmoid"): row(elementwise.hard_sigmoid, alpha=0.2, beta=0.5),
    ("", "HardSwish"): _hard_swish,
    ("", "IsInf"): _is_inf,
    ("", "IsNaN"): row(elementwise.is_nan),
    ("", "LeakyRelu"): row(elementwise.leaky, alpha=0.01),
    ("", "Less"): _compare(np.less),
    ("", "LessOrEqual"): _compare(np.less_equal),
    ("", "Max"): _largest,
    ("", "Mean"): _mean,
    ("", "Min"): _smallest,
    ("", "Mish"): row(elementwise.mish),
    ("", "Mod"): _mod,
    ("", "Mul"): row(elementwise.mul),
    ("", "Neg"): row(elementwise.neg),
    ("", "Not"): exact_row(np.logical_not),
    ("", "Or"): exact_row(np.logical_or),
    ("", "PRelu"): _prelu,
    ("", "Pow"): _pow,
    ("", "Reciprocal"): row(lambda ar, x: ar.reciprocal(x)),
    ("", "Relu"): row(elementwise.positive),
    ("", "Selu"): _selu,
    ("", "Shrink"): _shrink,
    ("", "Softplus"): row(elementwise.softplus),
    ("", "Softsign"): row(elementwise.softsign),
    ("", "Sub"): row(elementwise.sub),
    ("", "Sum"): _variadic(elementwise.add),
    ("", "Swish"): row(elementwise.swish, alpha=1.0),
    ("", "ThresholdedRelu"): _thresholded_relu,
    ("", "Where"): _where,
    ("", "Xor"): exact_row(np.logical_xor),
    ("com.microsoft", "BiasGelu"): _bias_gelu,
    ("com.microsoft", "FastGelu"): _fast_gelu,
    ("com.microsoft", "Gelu"): _gelu,
    ("com.microsoft", "QuickGelu"): row(elementwise.swish, alpha=1.702),
}
