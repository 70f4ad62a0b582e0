"""What operator functions share: the call, the machine, and reading what must be known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import numpy as np
import onnx_ir as ir

from onebyone.kernels import elementwise, precision
from onebyone.kernels.arithmetic import Arithmetic, Array, Tensor

Result: TypeAlias = Tensor | tuple[Tensor | None, ...]


class Machine(Protocol):
    """The part of the interpreter that operator functions see."""

    ar: Arithmetic


# ``operator(machine, call, *inputs)``
Operator: TypeAlias = Callable[..., Result]


@dataclass(frozen=True)
class Call:
    """A node without its wiring.

    Attributes:
        op: operator type.
        version: opset version of its domain.
        attributes: attribute values as Python numbers, strings, tuples, tensors or graphs.
        outputs: number of outputs that the node names.
        unit: unit roundoff of the node's operands (0 where all are exact).
        free: for each operand whether it depends on the values of the model's inputs.
    """

    op: str
    version: int
    attributes: dict[str, Any] = field(default_factory=dict)
    outputs: int = 1
    unit: float = 0.0
    free: tuple[bool, ...] = ()

    def get(self, name: str, default: Any = None) -> Any:
        value = self.attributes.get(name)
        return default if value is None else value

    def float(self, name: str, default: float) -> float:
        """A float attribute; defaults are rounded to float32 as a written attribute would be."""
        value = self.attributes.get(name)
        return float(np.float32(default)) if value is None else float(value)

    def text(self, name: str, default: str) -> str:
        value = self.attributes.get(name)
        return default if value is None else str(value)


def floats(m: Machine, x: Tensor, what: str) -> Array:
    """The real values of an operand that must not depend on random data."""
    return elementwise.floats(m.ar, x, what)


def ints(m: Machine, x: Tensor, what: str = "an operand") -> list[int]:
    """The same as a list of integers."""
    return [int(v) for v in np.ravel(floats(m, x, what))]


def move(m: Machine, fn: Callable[..., Array], *xs: Tensor) -> Tensor:
    """Move elements: of exact arrays as they are, of data through the arithmetic."""
    return elementwise.move(m.ar, fn, *xs)


def axes_of(axes: Sequence[int], rank: int) -> tuple[int, ...]:
    """Axes as non-negative numbers, in order."""
    if any(not -rank <= a < rank for a in axes):
        raise ValueError(f"axes {list(axes)} are out of range for rank {rank}")
    return tuple(sorted(a % rank for a in axes))


def tensor_value(m: Machine, tensor: ir.TensorProtocol) -> Tensor:
    """A constant as the machine's arithmetic holds it."""
    array = precision.native(np.asarray(tensor.numpy()))
    return m.ar.constant(array) if array.dtype.kind == "f" else array


def unit_roundoff(dtype: ir.DataType | None) -> float:
    """Unit roundoff of an element type; 0 where it is exact or not known."""
    if dtype is None or dtype == ir.DataType.UNDEFINED:
        return 0.0
    return precision.unit_roundoff(dtype.numpy().name)
