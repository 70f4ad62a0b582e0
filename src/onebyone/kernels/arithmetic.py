"""What an operator needs to know of numbers: the interface, and float64 as the oracle.

An operator is written once, over an `Arithmetic`. In `Float64` it computes the truth that the
real runtime is measured against; in `onebyone.certify.modular.Field` it computes residues modulo
a prime. Integers and booleans that no data decides (shapes, masks, constant indices) are plain
numpy arrays in both: they are exact. Those that data decides are data in a field, too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onebyone.kernels.element import REAL, Element
from onebyone.kernels.functions import (
    CONNECTIVES,
    FUNCTIONS,
    INTEGRAL,
    RELATIONS,
    Connective,
    Relation,
)

# A plain array of any dtype.
Array: TypeAlias = NDArray[Any]


# An `Element`, or a plain array: of known integers, booleans or strings, or (in `Float64` only) of
# float64 data. Which one is the arithmetic's business, so no static type tells them apart.
Tensor: TypeAlias = Any

# Errors of a runtime's approximations, in units of roundoff: libraries keep exp, tanh and erf
# within a few units in the last place of a result of order one.
_FUNCTION_ULPS = 16.0


def quiet() -> np.errstate:
    """Infinities and NaN are values like others, of which numpy need not warn."""
    return np.errstate(over="ignore", divide="ignore", invalid="ignore")


class Arithmetic(ABC):
    """Numbers as operators see them. Shapes broadcast as in numpy.

    Attributes:
        unit: unit roundoff that the interpreter sets before each node; `Float64` may use it to
            simulate rounding, a field ignores it.
        used: names of the nonlinear functions that were applied to data.
    """

    def __init__(self) -> None:
        self.unit = 0.0
        self.used: set[str] = set()

    @abstractmethod
    def constant(self, values: Array | float | int) -> Tensor:
        """Embed real or integer ``values`` of any dtype, exactly."""

    @abstractmethod
    def known(self, x: Tensor) -> Array | None:
        """The real numbers behind ``x``, or None where it depends on random data."""

    @abstractmethod
    def move(self, fn: Callable[..., Array], *xs: Tensor) -> Tensor:
        """Apply ``fn``, which only selects and places elements, to the arrays behind ``xs``."""

    @abstractmethod
    def add(self, a: Tensor, b: Tensor) -> Tensor:
        """``a + b``, broadcast."""

    @abstractmethod
    def mul(self, a: Tensor, b: Tensor) -> Tensor:
        """``a * b``, broadcast."""

    @abstractmethod
    def neg(self, a: Tensor) -> Tensor:
        """``-a``."""

    @abstractmethod
    def reciprocal(self, a: Tensor) -> Tensor:
        """``1 / a``."""

    @abstractmethod
    def matmul(self, a: Tensor, b: Tensor) -> Tensor:
        """(..., M, K) times (..., K, N), as ``numpy.matmul``; both at least 2-D."""

    @abstractmethod
    def total(self, x: Tensor, axes: tuple[int, ...]) -> Tensor:
        """The sum over ``axes``, which stay as size 1."""

    @abstractmethod
    def running(self, x: Tensor, axis: int) -> Tensor:
        """The inclusive cumulative sum along ``axis``."""

    @abstractmethod
    def largest(self, x: Tensor, axes: tuple[int, ...], where: Array | None = None) -> Tensor:
        """The maximum over ``axes`` (kept as size 1) of the elements that ``where`` admits."""

    @abstractmethod
    def function(self, name: str, *xs: Tensor) -> Tensor:
        """A nonlinear function, one of `FUNCTIONS` or ``Pow`` (two operands), elementwise."""

    @abstractmethod
    def opaque(
        self,
        name: str,
        fn: Callable[..., Array],
        *xs: Tensor,
        core: Sequence[int] = (),
        shape: tuple[int, ...] = (),
        dtype: np.dtype[Any] = REAL,
    ) -> Tensor:
        """A function of which a proof knows nothing but that equal operands give equal results.

        Args:
            name: its identity: two functions that may differ have different names, so it tells
                every attribute and type that counts.
            fn: computes it from the real arrays; the result is (batch..., *shape).
            xs: operands, (batch..., core...); their batch axes broadcast.
            core: for each operand how many of its last axes the function sees as a whole; none
                (element by element) by default.
            shape: the axes of one result.
            dtype: float64, or that of integers or booleans.
        """

    @abstractmethod
    def softmax(self, x: Tensor, axis: int) -> Tensor:
        """Exponentials along an axis, divided by their sum."""

    @abstractmethod
    def compare(self, relation: Relation, a: Tensor, b: Tensor) -> Tensor:
        """Where ``a`` and ``b`` are in a relation, broadcast."""

    @abstractmethod
    def logical(self, name: Connective, *xs: Tensor) -> Tensor:
        """A connective of booleans, broadcast."""

    @abstractmethod
    def select(self, condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """``a`` where the condition holds, ``b`` elsewhere, broadcast."""

    @abstractmethod
    def rounded(
        self, x: Tensor, source: str, target: str, narrow: Callable[[Array], Array] | None = None
    ) -> Tensor:
        """``x`` after a conversion from one floating-point type to another.

        Args:
            x: data.
            source: name of the type of ``x``.
            target: name of the other type.
            narrow: for types of 8 bits and fewer, which clip and overflow: the conversion.
        """

    @abstractmethod
    def settled(self, x: Tensor) -> Tensor:
        """``x`` where its value counts: integers that sums may have wrapped around, wrapped."""

    @abstractmethod
    def whole(self, x: Tensor, dtype: np.dtype[Any]) -> Tensor:
        """``x`` converted to a type of integers, towards zero."""

    @abstractmethod
    def special(self, name: str, fn: Callable[[Array], Array], x: Tensor) -> Tensor:
        """Where ``x`` is none of the usual numbers: a predicate ``fn`` of data, by its name."""

    @abstractmethod
    def picked(self, x: Tensor, index: Tensor, axis: int) -> Tensor:
        """Whole slices of ``axis`` by an index of any shape that data decides."""

    # What follows from the above.

    def sub(self, a: Tensor, b: Tensor) -> Tensor:
        """``a - b``, broadcast."""
        return self.add(a, self.neg(b))

    def div(self, a: Tensor, b: Tensor) -> Tensor:
        """``a / b``, broadcast."""
        return self.mul(a, self.reciprocal(b))

    def mean(self, x: Tensor, axes: tuple[int, ...]) -> Tensor:
        """The mean over axes, which stay with size 1."""
        count = int(np.prod([x.shape[a] for a in axes], dtype=np.int64))
        return self.mul(self.total(x, axes), self.reciprocal(self.constant(count)))

    def log_softmax(self, x: Tensor, axis: int) -> Tensor:
        """The logarithm of a softmax along an axis."""
        return self.function("Log", self.softmax(x, axis))

    def log_sum_exp(self, x: Tensor, axes: tuple[int, ...]) -> Tensor:
        """The logarithm of the sum of exponentials over axes, which stay with size 1."""
        return self.function("Log", self.total(self.function("Exp", x), axes))

    def maximum(self, a: Tensor, b: Tensor) -> Tensor:
        """The larger of two, element by element."""
        both = self.move(lambda p, q: np.stack(np.broadcast_arrays(p, q)), a, b)
        return self.move(lambda p: p[0], self.largest(both, (0,)))

    def minimum(self, a: Tensor, b: Tensor) -> Tensor:
        """The smaller of two, element by element."""
        return self.neg(self.maximum(self.neg(a), self.neg(b)))

    def is_data(self, x: object) -> bool:
        """True for real-valued data, False for exact integers, booleans and strings."""
        return isinstance(x, Element) or (isinstance(x, np.ndarray) and x.dtype.kind == "f")


class Float64(Arithmetic):
    """The oracle: everything in float64.

    With ``noise`` each result carries a random error of the size that standard error analysis
    gives an operator computing in the current ``unit`` roundoff (Monte Carlo arithmetic, after
    Parker 1997), or in the given one: ``unit`` times the result, and for a sum of K products
    ``unit`` times min(K, 6 sqrt(K)) times the sum of their magnitudes (Higham and Mary 2019). The
    spread of such runs is what rounding explains.
    """

    def __init__(self, noise: np.random.Generator | None = None, unit: float | None = None) -> None:
        super().__init__()
        self._noise = noise
        self._fixed = unit

    def _err(self, out: Array, magnitude: Array, ulps: float = 1.0) -> Array:
        if self._noise is None:
            return out
        unit = self.unit if self._fixed is None else self._fixed
        if not unit:
            return out
        draw = self._noise.uniform(-1.0, 1.0, out.shape)
        erring = out + unit * ulps * magnitude * draw
        # An infinity is exact: a mask of them hides the same elements in every run.
        return np.where(np.isfinite(out), erring, out)

    def constant(self, values: Array | float | int) -> Array:
        return np.asarray(values).astype(np.float64)

    def known(self, x: Tensor) -> Array | None:
        assert not isinstance(x, Element)
        return x

    def move(self, fn: Callable[..., Array], *xs: Tensor) -> Tensor:
        return fn(*xs)

    def add(self, a: Tensor, b: Tensor) -> Array:
        out = np.add(a, b)
        return self._err(out, np.abs(out))

    def mul(self, a: Tensor, b: Tensor) -> Array:
        out = np.multiply(a, b)
        return self._err(out, np.abs(out))

    def neg(self, a: Tensor) -> Array:
        return np.negative(a)

    def reciprocal(self, a: Tensor) -> Array:
        out = np.reciprocal(np.asarray(a))
        return self._err(out, np.abs(out))

    def div(self, a: Tensor, b: Tensor) -> Array:
        out = np.divide(a, b)
        return self._err(out, np.abs(out))

    def matmul(self, a: Tensor, b: Tensor) -> Array:
        out = np.matmul(a, b)
        if self._noise is None:
            return out
        return self._err(out, np.matmul(np.abs(a), np.abs(b)), sum_ulps(a.shape[-1]))

    def total(self, x: Tensor, axes: tuple[int, ...]) -> Array:
        out = np.sum(x, axis=axes, keepdims=True)
        if self._noise is None:
            return out
        count = x.size // max(out.size, 1)
        return self._err(out, np.sum(np.abs(x), axis=axes, keepdims=True), sum_ulps(count))

    def running(self, x: Tensor, axis: int) -> Array:
        out = np.cumsum(x, axis=axis)
        return self._err(out, np.cumsum(np.abs(x), axis=axis), sum_ulps(x.shape[axis]))

    def largest(self, x: Tensor, axes: tuple[int, ...], where: Array | None = None) -> Array:
        values = np.asarray(x)
        if where is not None:
            values = np.where(where, values, -np.inf)
        return np.max(values, axis=axes, keepdims=True, initial=-np.inf)

    def maximum(self, a: Tensor, b: Tensor) -> Array:
        return np.maximum(a, b)

    def minimum(self, a: Tensor, b: Tensor) -> Array:
        return np.minimum(a, b)

    def function(self, name: str, *xs: Tensor) -> Array:
        self.used.add(name)
        out = np.power(*xs) if name == "Pow" else FUNCTIONS[name](np.asarray(xs[0]))
        if name in INTEGRAL:
            return out
        # Runtimes bound the absolute error of saturating functions, not the relative one.
        return self._err(out, np.abs(out) + (name in _SATURATING), _FUNCTION_ULPS)

    def opaque(
        self,
        name: str,
        fn: Callable[..., Array],
        *xs: Tensor,
        core: Sequence[int] = (),
        shape: tuple[int, ...] = (),
        dtype: np.dtype[Any] = REAL,
    ) -> Tensor:
        self.used.add(name)
        out = np.asarray(fn(*(np.asarray(x) for x in xs)))
        return self._err(out, np.abs(out), _FUNCTION_ULPS) if out.dtype.kind == "f" else out

    def softmax(self, x: Tensor, axis: int) -> Array:
        self.used.add("Softmax")
        values = np.asarray(x)
        grown = np.exp(values - values.max(axis=axis, keepdims=True, initial=-np.inf))
        out = grown / grown.sum(axis=axis, keepdims=True)
        # exp(x - max) is as wrong as the subtraction: unit * |x - max| relative error at most.
        return self._err(out, np.abs(out), _FUNCTION_ULPS + sum_ulps(values.shape[axis]))

    def log_softmax(self, x: Tensor, axis: int) -> Array:
        self.used.update(("Softmax", "Log"))
        values = np.asarray(x)
        shifted = values - values.max(axis=axis, keepdims=True, initial=-np.inf)
        out = shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))
        return self._err_of_log(out, values.shape[axis])

    def log_sum_exp(self, x: Tensor, axes: tuple[int, ...]) -> Array:
        self.used.update(("Exp", "Log"))
        values = np.asarray(x)
        top = values.max(axis=axes, keepdims=True, initial=-np.inf)
        # Where all are minus infinity, or one is infinity, nothing is left of a difference.
        top = np.where(np.isfinite(top), top, 0.0)
        out = top + np.log(np.exp(values - top).sum(axis=axes, keepdims=True))
        return self._err_of_log(out, values.size // max(out.size, 1))

    def _err_of_log(self, out: Array, count: int) -> Array:
        """Logarithms of sums of ``count`` exponentials: the sum's relative error is absolute."""
        return self._err(out, _FUNCTION_ULPS * (np.abs(out) + 1.0) + sum_ulps(count))

    def compare(self, relation: Relation, a: Tensor, b: Tensor) -> Array:
        return RELATIONS[relation](a, b)

    def logical(self, name: Connective, *xs: Tensor) -> Array:
        return CONNECTIVES[name](*xs)

    def select(self, condition: Tensor, a: Tensor, b: Tensor) -> Array:
        return np.where(condition, a, b)

    def rounded(
        self, x: Tensor, source: str, target: str, narrow: Callable[[Array], Array] | None = None
    ) -> Array:
        values = np.asarray(x) if narrow is None else narrow(np.asarray(x))
        return self._err(values, np.abs(values))

    def settled(self, x: Tensor) -> Tensor:
        return x

    def whole(self, x: Tensor, dtype: np.dtype[Any]) -> Array:
        return np.trunc(np.asarray(x)).astype(dtype)

    def special(self, name: str, fn: Callable[[Array], Array], x: Tensor) -> Array:
        return fn(np.asarray(x))

    def picked(self, x: Tensor, index: Tensor, axis: int) -> Array:
        return np.take(x, index, axis)


_SATURATING = frozenset({"Erf", "Sigmoid", "Sin", "Cos", "Tanh"})


def sum_ulps(count: int) -> float:
    """Error of a sum of ``count`` terms, in unit roundoffs of the sum of magnitudes.

    The smaller of the worst case (Higham 2002, section 3.1) and of the probabilistic bound that
    holds for all but one in about 10^7 sums (Higham and Mary 2019, lambda = 6).
    """
    return float(min(count, 6.0 * count**0.5)) + 1.0
