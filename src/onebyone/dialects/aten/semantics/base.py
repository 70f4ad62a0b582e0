"""What operator functions share: the call, and its arguments as tensors, numbers and axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import torch

from onebyone.kernels import elementwise
from onebyone.kernels.arithmetic import Arithmetic, Array, Tensor
from onebyone.kernels.errors import UnsupportedError

Result: TypeAlias = Tensor | tuple[Tensor | None, ...]

# A single tensor of more elements than this (8 GB of float64) is refused, not attempted.
_SIZE_LIMIT = 1 << 30


@dataclass(frozen=True)
class Call:
    """One node, its operands evaluated.

    Attributes:
        ar: the arithmetic.
        op: name of the operator.
        given: arguments by name, defaults included: tensors, numbers, lists, None.
        dtypes: element type of each argument that is a tensor, in order.
        dtype: element type of the (first) result.
        free: names of arguments that depend on the values of the program's inputs.
        constant: how a number enters the arithmetic, by argument.
    """

    ar: Arithmetic
    op: str
    given: dict[str, Any]
    dtypes: tuple[torch.dtype, ...]
    dtype: torch.dtype
    free: frozenset[str]
    constant: Callable[[str, Array], Tensor]
    results: int = field(default=1)

    def tensor(self, name: str) -> Any:
        """An argument as a tensor; numbers take part in the type that torch gives them.

        Next to half precision that is float32, in which torch computes then.
        """
        value = self.given[name]
        if not isinstance(value, (bool, int, float)):
            return value
        dtype = self._promoted(value)
        half = dtype in (torch.float16, torch.bfloat16)
        number = torch.tensor(value, dtype=torch.float32 if half else dtype)
        if number.is_floating_point():
            return self.constant(name, np.asarray(number.double().numpy()))
        return number.numpy()

    def _promoted(self, number: float) -> torch.dtype:
        wide = [d for d in self.dtypes if d != torch.bool] or list(self.dtypes)
        if not wide:
            return self.dtype
        return torch.result_type(torch.empty(1, dtype=wide[0]), number)

    def optional(self, name: str) -> Any:
        """A tensor argument, None where it is absent."""
        return self.given.get(name)

    def data(self, name: str) -> Any:
        """A tensor argument as real data, exact integers embedded."""
        return self.real(self.tensor(name))

    def real(self, x: Any) -> Any:
        """A tensor as real data."""
        return x if x is None or self.ar.is_data(x) else self.ar.constant(x)

    def number(self, value: float) -> Tensor:
        """A number of the operator's definition, such as an epsilon, in the operator's type.

        ONNX has float32 for all types but double.
        """
        return self.ar.constant(value if self.dtype == torch.float64 else float(np.float32(value)))

    def rounded(self, value: float) -> float:
        """The same as a number."""
        return value if self.dtype == torch.float64 else float(np.float32(value))

    def move(self, fn: Callable[..., Array], *xs: Tensor) -> Tensor:
        """Move elements of data or of exact arrays."""
        return elementwise.move(self.ar, fn, *xs)

    def get(self, name: str, default: Any = None) -> Any:
        value = self.given.get(name)
        return default if value is None else value

    def looked_up(self, index: str, table: Tensor, axis: int) -> None:
        """Tell the arithmetic of a table that an index from the inputs looks up."""
        if index in self.free and self.ar.is_data(table):
            self.ar.looked_up(table, axis)


Operator: TypeAlias = Callable[[Call], Result]


def check_size(shape: Sequence[int]) -> None:
    """Refuse a tensor that no machine at hand would hold."""
    if np.prod([int(n) for n in shape], dtype=np.float64) > _SIZE_LIMIT:
        raise UnsupportedError(f"a tensor of shape {list(shape)}")


def axes_of(axes: Any, rank: int) -> tuple[int, ...]:
    """One axis or several as non-negative numbers, in order; none given means all."""
    if axes is None or (isinstance(axes, (list, tuple)) and not axes):
        return tuple(range(rank))
    several = [axes] if isinstance(axes, int) else list(axes)
    if not rank:
        return ()
    if any(not -rank <= a < rank for a in several):
        raise ValueError(f"axes {several} are out of range for rank {rank}")
    return tuple(sorted({a % rank for a in several}))


def numpy_type(dtype: torch.dtype) -> np.dtype[Any]:
    """The numpy type of exact values."""
    return torch.empty(0, dtype=dtype).numpy().dtype
