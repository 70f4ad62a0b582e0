"""What ONNX's operators do to two integers that may be sizes: exact or silent.

A function says nothing (None) where it does not know the result for every value of the symbols.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence

from onebyone.axes.sizes import Size, is_made_up, is_name, words

Combine = Callable[[Size, Size], Size | None]

# Bits of the largest dimension of a tensor, of each of several that are multiplied, and of the
# number of elements of one tensor.
_DIMENSION, _FACTOR, _ELEMENTS = 31, 24, 47
# How onnx begins the names that it makes up.
_INFERRED = "unk__"
# An end from here on means the end of the axis, of whatever size.
LARGEST = 2**31 - 1
# Beyond this a number within an expression may make it overflow, whatever the symbols are.
_DIGITS = re.compile(r"\d{9,}")


def wrapped(size: Size, bits: int, inputs: Sequence[Counter[str]]) -> Size:
    """A size as an integer of so many bits holds it: beyond its range it wraps around.

    Args:
        size: as a whole number.
        bits: of the integer, its sign included.
        inputs: the symbols of the shape of each input of the model.
    """
    if size.known is not None:
        half = 1 << (bits - 1)
        return Size((size.known + half) % (2 * half) - half)
    count = len(words(size))
    most = _DIMENSION if count <= 1 else _FACTOR * count
    if any(Counter(size.symbols) <= shape for shape in inputs):
        most = min(most, _ELEMENTS)
    small = not any(map(_DIGITS.search, size.symbols))
    if small and abs(size.coefficient).bit_length() - 1 + most < bits:
        return size
    return Size(1, (f"int{bits}({size})",))


def plus(a: Size, b: Size) -> Size:
    """The sum: a size of the same symbols where possible, else a symbol of its own."""
    if a.coefficient == 0:
        return b
    if b.coefficient == 0:
        return a
    if a.symbols == b.symbols:
        total = a.coefficient + b.coefficient
        return Size(total, a.symbols if total else ())
    return Size(1, ("(" + "+".join(sorted((str(a), str(b)))) + ")",))


def minus(a: Size, b: Size) -> Size:
    """The difference ``a - b``."""
    return plus(a, Size(-b.coefficient, b.symbols))


def times(a: Size, b: Size) -> Size:
    """The product."""
    total = a * b
    return total if total.coefficient else Size(0)


def divided(a: Size, b: Size) -> Size | None:
    """The quotient rounded towards zero: exact where it is, else a symbol of its own."""
    if not _is_divisor(b):
        return None
    exact = a.divided_by(b)
    if exact is not None:
        return exact
    if a.known is not None and b.known is not None:
        magnitude = abs(a.known) // abs(b.known)
        return Size(magnitude if (a.known < 0) == (b.known < 0) else -magnitude)
    return Size(1, (f"({a}//{b})",))


def remainder(a: Size, b: Size) -> Size | None:
    """Of the sign of the divisor, as ``Mod`` has it without ``fmod``."""
    if a.known is not None and b.known:
        return Size(a.known % b.known)
    return Size(0) if _is_divisor(b) and a.divided_by(b) is not None else None


def rest(a: Size, b: Size) -> Size | None:
    """Of the sign of the dividend: ``Mod`` with ``fmod``."""
    if a.known is not None and b.known:
        magnitude = abs(a.known) % abs(b.known)
        return Size(-magnitude if a.known < 0 else magnitude)
    return Size(0) if _is_divisor(b) and a.divided_by(b) is not None else None


def _is_divisor(size: Size) -> bool:
    """Whether a size is never 0: no expression, and no number of elements that are found."""
    return size.coefficient != 0 and all(
        is_name(symbol) and not is_made_up(symbol) and not symbol.startswith(_INFERRED)
        for symbol in size.symbols
    )


def equal(a: Size, b: Size) -> Size | None:
    """1 where they are equal whatever the symbols are, 0 where they never are."""
    if a == b:
        return Size(1)
    return None if a.known is None or b.known is None else Size(0)


def known(function: Callable[[int, int], int]) -> Combine:
    """A function of two numbers that leaves two equal ones as they are."""

    def combine(a: Size, b: Size) -> Size | None:
        if a.known is None or b.known is None:
            return a if a == b else None
        return Size(function(a.known, b.known))

    return combine


def is_odd_slice(start: int, end: int, step: int, size: int) -> bool:
    """Whether a slice is none of Python's: backwards, from before the axis or to its very end.

    Then ONNX begins at the first element, and runtimes take the largest end for none.
    """
    return step == 0 or (step < 0 and (start < -size or end >= LARGEST))
