"""Constants that stand for a number which no float is: 1/6, the root of two, and their kin.

A tool that spells an operator out has to round such a number; the operator itself means it exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from onebyone.kernels.arithmetic import Arithmetic
from onebyone.kernels.element import Element

# Decimals of so many digits are written by people and rounded by their tools.
_DIGITS = 6
# One rounding to float32.
_UNIT = 2.0**-24
_LARGEST = 4096
_POWERS = (-1.0, 0.5, -0.5, 0.25, -0.25)
_NAMES = {-1.0: "1/{}", 0.5: "sqrt({})", -0.5: "1/sqrt({})", 0.25: "{}^(1/4)", -0.25: "{}^(-1/4)"}


@dataclass(frozen=True)
class ClosedForm:
    """A number, exactly.

    Attributes:
        text: in words.
        build: makes it in a field, from a way to embed plain numbers.
    """

    text: str
    build: Callable[[Arithmetic, Callable[[float], Element]], Element]


def closed_form(value: float) -> ClosedForm | None:
    """The closed form whose nearest float32 is ``value``; None where there is none.

    Numbers of few bits are what they are. So are those near no decimal of six digits, no 1/n or
    root of a whole number n up to 4096, nor the root of 2/pi.
    """
    size = abs(value)
    if not np.isfinite(value) or not size or _is_short(size):
        return None
    sign = -1.0 if value < 0 else 1.0
    for power in _POWERS:
        number = round(size ** (1.0 / power)) if 1e-12 < size < 1e12 else 0
        if 1 < number <= _LARGEST and _is_near(size, number**power):
            return ClosedForm(
                ("-" if value < 0 else "") + _NAMES[power].format(number),
                _root(sign, number, power),
            )
    decimal = f"{size:.{_DIGITS - 1}e}"
    if _is_near(size, float(decimal)) and 1e-12 < size < 1e12:
        return ClosedForm(f"{sign * float(decimal):.{_DIGITS}g}", _decimal(sign, decimal))
    if _is_near(size, (2.0 / np.pi) ** 0.5):
        return ClosedForm(("-" if value < 0 else "") + "sqrt(2/pi)", _gauss(sign))
    return None


def _is_short(size: float) -> bool:
    """Whether a number has at most 12 significant bits."""
    return float(np.frexp(size)[0] * 4096).is_integer()


def _is_near(size: float, exact: float) -> bool:
    return abs(size - exact) <= _UNIT * exact


def _root(sign: float, number: int, power: float) -> Callable[..., Element]:
    def build(field: Arithmetic, plain: Callable[[float], Element]) -> Element:
        out = plain(float(number))
        for _ in range({1.0: 0, 0.5: 1, 0.25: 2}[abs(power)]):
            out = field.function("Sqrt", out)
        out = field.reciprocal(out) if power < 0 else out
        return field.neg(out) if sign < 0 else out

    return build


def _decimal(sign: float, text: str) -> Callable[..., Element]:
    digits, _, exponent = text.replace(".", "").partition("e")
    power = int(exponent) - (_DIGITS - 1)

    def build(field: Arithmetic, plain: Callable[[float], Element]) -> Element:
        out = field.mul(plain(sign), plain(float(digits)))
        ten = plain(10.0 ** abs(power))
        return field.div(out, ten) if power < 0 else field.mul(out, ten)

    return build


def _gauss(sign: float) -> Callable[..., Element]:
    def build(field: Arithmetic, plain: Callable[[float], Element]) -> Element:
        pi = field.mul(plain(4.0), field.function("Atan", plain(1.0)))
        out = field.function("Sqrt", field.div(plain(2.0), pi))
        return field.neg(out) if sign < 0 else out

    return build
