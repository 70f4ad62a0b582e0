"""Element types by name, as numpy and ``ml_dtypes`` call them: roundoff, range, widening."""

from __future__ import annotations

import numpy as np

from onebyone.kernels.arithmetic import Array

# Unit roundoff: half the distance from 1 to the next number.
_ROUNDOFF = {
    "float64": 2.0**-53,
    "float32": 2.0**-24,
    "float16": 2.0**-11,
    "bfloat16": 2.0**-8,
}

_LARGEST = {
    "float64": float(np.finfo(np.float64).max),
    "float32": float(np.finfo(np.float32).max),
    "float16": float(np.finfo(np.float16).max),
    "bfloat16": (2.0 - 2.0**-7) * 2.0**127,
}

# Types narrower than these have a range that ordinary values leave: a conversion to them is a
# function of its own, not a rounding.
WIDE = frozenset(_ROUNDOFF)


def unit_roundoff(name: str) -> float:
    """Unit roundoff of a type; 0 for exact types, 2**-4 for floats of 8 bits and fewer."""
    return _ROUNDOFF.get(name, 2.0**-4) if "float" in name else 0.0


def type_of_roundoff(unit: float) -> str | None:
    """The floating-point type of a unit roundoff; None where there is none, or several."""
    return next((name for name, roundoff in _ROUNDOFF.items() if roundoff == unit), None)


def largest_number(unit: float) -> float:
    """The largest finite number of the type of a unit roundoff; infinity if that is not known."""
    return _LARGEST.get(type_of_roundoff(unit) or "", np.inf)


def rounded_to(values: Array, name: str) -> Array:
    """Real numbers rounded to one of the `WIDE` types, as float64."""
    with np.errstate(over="ignore"):
        if name != "bfloat16":
            return values.astype(name).astype(np.float64)
        fraction, exponent = np.frexp(values)
        # Eight bits, ties to even.
        rounded = np.ldexp(np.rint(np.ldexp(fraction, 8)), exponent - 8)
    return np.where(np.abs(rounded) > _LARGEST[name], np.sign(values) * np.inf, rounded)


def native(array: Array) -> Array:
    """Widen the extension dtypes of ``ml_dtypes`` to numpy's own; others stay as they are."""
    if array.dtype.kind in "biufcUSO":
        return array
    if array.dtype.name in ("int4", "int2"):
        return array.astype(np.int8)
    if array.dtype.name in ("uint4", "uint2"):
        return array.astype(np.uint8)
    return array.astype(np.float32)
