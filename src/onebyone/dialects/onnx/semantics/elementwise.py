"""Elementwise operators."""

from __future__ import annotations

from functools import reduce
from typing import Any

import ml_dtypes
import numpy as np
import onnx_ir as ir

from onebyone.dialects.onnx.semantics.base import Call, Operator, Table, row
from onebyone.kernels import conversions, elementwise
from onebyone.kernels.arithmetic import Arithmetic, Array, Tensor
from onebyone.kernels.elementwise import Kernel
from onebyone.kernels.errors import UnsupportedError
from onebyone.kernels.functions import FUNCTIONS, Connective, Relation
from onebyone.kernels.operands import any_data
from onebyone.kernels.precision import WIDE, largest_number, type_of_roundoff


def _function(name: str) -> Operator:
    return lambda ar, call, x: elementwise.function(ar, x, name=name)


def _div(ar: Arithmetic, call: Call, a: Any, b: Any) -> Tensor:
    """Integers are divided towards zero."""
    return elementwise.divide(ar, a, b, rounding=None if any_data(ar, a, b) else "trunc")


def _pow(ar: Arithmetic, call: Call, x: Any, y: Any) -> Tensor:
    """The type is that of the base."""
    if ar.is_data(x):
        return elementwise.power(ar, x, y)
    if ar.known(y) is None:
        return ar.opaque(f"Pow {x.dtype}", _int_power, x, y, dtype=x.dtype)
    return _int_power(x, np.asarray(ar.known(y)))


def _int_power(x: Array, y: Array) -> Array:
    return np.power(x, y).astype(x.dtype)


def _variadic(kernel: Kernel) -> Operator:
    return lambda ar, call, *xs: reduce(lambda a, b: kernel(ar, a, b), xs)


def _largest(ar: Arithmetic, call: Call, *xs: Any) -> Tensor:
    if not any_data(ar, *xs):
        return reduce(np.maximum, xs)
    return reduce(ar.maximum, [x for x in xs if not _unbounded(ar, call, x, -1)] or list(xs))


def _smallest(ar: Arithmetic, call: Call, *xs: Any) -> Tensor:
    if not any_data(ar, *xs):
        return reduce(np.minimum, xs)
    return reduce(ar.minimum, [x for x in xs if not _unbounded(ar, call, x, 1)] or list(xs))


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


def _compare(relation: Relation) -> Operator:
    return lambda ar, call, a, b: elementwise.compare(ar, a, b, relation=relation)


def _connective(name: Connective) -> Operator:
    return lambda ar, call, *xs: elementwise.logical(ar, *xs, name=name)


def _bits(name: Connective) -> Operator:
    return lambda ar, call, *xs: elementwise.bits(ar, *xs, name=name)


def _shift(ar: Arithmetic, call: Call, a: Any, b: Any) -> Tensor:
    left = call.text("direction", "") == "LEFT"
    fn = np.left_shift if left else np.right_shift
    if not any_data(ar, a, b):
        return fn(a, b)
    known = ar.known(b)
    if known is None:
        name = f"{'left' if left else 'right'} shift {a.dtype}"
        return ar.opaque(name, fn, a, b, dtype=a.dtype)
    power = np.asarray(2.0**known).astype(a.dtype)
    if left:
        return ar.mul(a, ar.constant(power))
    return elementwise.divide(ar, a, power, rounding="floor")


def _mod(ar: Arithmetic, call: Call, a: Any, b: Any) -> Tensor:
    return elementwise.remainder(ar, a, b, truncated=bool(call.get("fmod", 0)))


def _where(ar: Arithmetic, call: Call, condition: Any, a: Any, b: Any) -> Tensor:
    return elementwise.where(ar, condition, a, b)


def _is_inf(ar: Arithmetic, call: Call, x: Any) -> Tensor:
    positive, negative = call.get("detect_positive", 1), call.get("detect_negative", 1)
    return elementwise.is_infinite(ar, x, positive=bool(positive), negative=bool(negative))


def cast(
    ar: Arithmetic, x: Any, to: ir.DataType, *, source: str = "", saturate: bool = True
) -> Tensor:
    """``x`` as ``to``.

    Args:
        ar: the arithmetic.
        x: data or exact values.
        to: the type that is wanted.
        source: name of the floating-point type of ``x``, where it is known.
        saturate: whether floats of 8 bits are clipped.

    Raises:
        UnsupportedError: types that are not understood, or words that spell no number.
    """
    if not ar.is_data(x) and x.dtype.kind not in "biu":
        x = _spelled(x)
    dtype = to.numpy()
    if not to.is_floating_point():
        if dtype.kind not in "biu":
            raise UnsupportedError(f"Cast to {to.name}")
        return conversions.cast(ar, x, dtype=dtype, source=source, target=dtype.name, narrow=None)
    real = np.dtype(np.float64)
    if dtype.name in WIDE:
        return conversions.cast(ar, x, dtype=real, source=source, target=dtype.name, narrow=None)

    def narrow(values: Array) -> Array:
        limits = ml_dtypes.finfo(dtype)
        low, high = float(limits.min), float(limits.max)
        bounded = np.clip(values, low, high) if saturate else values
        return bounded.astype(np.float32).astype(dtype).astype(np.float64)

    name = dtype.name + ("" if saturate else " without saturation")
    return conversions.cast(ar, x, dtype=real, source=source, target=name, narrow=narrow)


def _spelled(words: Array) -> Array:
    """The numbers that known words spell."""
    texts = [w.decode() if isinstance(w, bytes) else str(w) for w in words.reshape(-1)]
    try:
        numbers = [float(text) for text in texts]
    except ValueError:
        raise UnsupportedError("Cast of words that spell no number") from None
    return np.array(numbers).reshape(words.shape)


def _cast(ar: Arithmetic, call: Call, x: Any) -> Tensor:
    saturate = bool(call.get("saturate", 1))
    source = type_of_roundoff(call.unit) or ""
    return cast(ar, x, ir.DataType(call.given("to")), source=source, saturate=saturate)


def _cast_like(ar: Arithmetic, call: Call, x: Any, like: Any) -> Tensor:
    if like.dtype.kind in "biu":
        return cast(ar, x, ir.DataType.from_numpy(like.dtype))
    target = type_of_roundoff(call.units[1])
    if target is None:
        raise UnsupportedError("CastLike of a type that is not known")
    source = type_of_roundoff(call.units[0]) or ""
    return cast(ar, x, ir.DataType.from_numpy(np.dtype(target)), source=source)


TABLE: Table = {
    **{("", name): _function(name) for name in FUNCTIONS if name != "Trunc"},
    ("", "Abs"): row(elementwise.absolute),
    ("", "Add"): row(elementwise.add),
    ("", "And"): _connective("and"),
    ("", "BitShift"): _shift,
    ("", "BitwiseAnd"): _bits("and"),
    ("", "BitwiseNot"): _bits("not"),
    ("", "BitwiseOr"): _bits("or"),
    ("", "BitwiseXor"): _bits("xor"),
    ("", "Cast"): _cast,
    ("", "CastLike"): _cast_like,
    ("", "Celu"): row(elementwise.celu, alpha=1.0),
    ("", "Clip"): _clip,
    ("", "Div"): _div,
    ("", "Elu"): row(elementwise.elu, alpha=1.0),
    ("", "Equal"): _compare("=="),
    ("", "Gelu"): _gelu,
    ("", "Greater"): _compare(">"),
    ("", "GreaterOrEqual"): _compare(">="),
    ("", "HardSigmoid"): row(elementwise.hard_sigmoid, alpha=0.2, beta=0.5),
    ("", "HardSwish"): _hard_swish,
    ("", "IsInf"): _is_inf,
    ("", "IsNaN"): row(elementwise.is_nan),
    ("", "LeakyRelu"): row(elementwise.leaky, alpha=0.01),
    ("", "Less"): _compare("<"),
    ("", "LessOrEqual"): _compare("<="),
    ("", "Max"): _largest,
    ("", "Mean"): _mean,
    ("", "Min"): _smallest,
    ("", "Mish"): row(elementwise.mish),
    ("", "Mod"): _mod,
    ("", "Mul"): row(elementwise.mul),
    ("", "Neg"): row(elementwise.neg),
    ("", "Not"): _connective("not"),
    ("", "Or"): _connective("or"),
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
    ("", "Xor"): _connective("xor"),
    ("com.microsoft", "BiasGelu"): _bias_gelu,
    ("com.microsoft", "FastGelu"): _fast_gelu,
    ("com.microsoft", "Gelu"): _gelu,
    ("com.microsoft", "QuickGelu"): row(elementwise.swish, alpha=1.702),
}
