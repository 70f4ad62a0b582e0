"""What a value weighs, in bytes, and what it costs to move it."""

from __future__ import annotations

from onebyone.axes.graph import Value
from onebyone.layout.targets import Target

_BYTES = {"double": 8, "float64": 8, "int64": 8, "uint64": 8, "float16": 2, "bfloat16": 2}
_NARROW = ("bool", "int8", "uint8")


def size_in_bytes(value: Value) -> int:
    """Bytes of a value, symbols taken as 64."""
    width = 1 if value.dtype in _NARROW else _BYTES.get(value.dtype, 4)
    return value.elements.estimate() * width


def move_cost(value: Value, target: Target) -> float:
    """What a transpose of a value costs; one that the runtime does once, ahead, costs little."""
    cost = target.move_overhead + target.move * size_in_bytes(value)
    return 0.01 * cost if value.derived else cost
