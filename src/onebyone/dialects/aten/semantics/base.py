"""What rows share: the call, and its arguments as tensors, numbers and axes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import torch

from onebyone.kernels import operands
from onebyone.kernels.arithmetic import Arithmetic, Array, Tensor, quiet
from onebyone.kernels.elementwise import Kernel
from onebyone.kernels.errors import UnsupportedError

Result: TypeAlias = Tensor | tuple[Tensor | None, ...]

# Arguments that change no values of inference, or only the type or size, which the program declares
# for each result. C, HxW and N are those of a group norm; a stable sort is one of the sorts.
_WITHOUT_EFFECT = frozenset(
    "C HxW N copy cudnn_enable cudnn_enabled device dtype half_to_float implicit layout "
    "memory_format momentum non_blocking out_dtype padding_idx path pin_memory "
    "scale_grad_by_freq sorted sparse sparse_grad stable".split()
)


class Given(dict[str, Any]):
    """Arguments by name, and which of them were asked for."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        super().__init__(arguments)
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.asked.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        """An argument by name, or a default; it counts as asked for."""
        self.asked.add(name)
        return super().get(name, default)


@dataclass(frozen=True)
class Call:
    """One node, its operands evaluated.

    Attributes:
        ar: the arithmetic.
        op: name of the operator.
        given: arguments by name, defaults included: tensors, numbers, lists, None.
        dtypes: element type of each argument that is a tensor, in order.
        dtype: element type of the (first) result.
        constant: how a number enters the arithmetic, by argument.
        results: how many results there are.
    """

    ar: Arithmetic
    op: str
    given: Given
    dtypes: tuple[torch.dtype, ...]
    dtype: torch.dtype
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
        return operands.data(self.ar, self.tensor(name))

    def operands(self, *names: str) -> list[Any]:
        """Tensors that are computed with: all data, or all exact in the type of the result."""
        tensors = [self.tensor(name) for name in names]
        if self.dtype.is_floating_point:
            return [operands.data(self.ar, x) for x in tensors]
        dtype = numpy_type(self.dtype)
        if operands.any_data(self.ar, *tensors):
            data = [operands.data(self.ar, x) for x in tensors]
            real = dtype.kind == "b" or any(x.dtype.kind == "f" for x in data)
            return data if real else [self.ar.whole(x, dtype) for x in data]
        return [np.asarray(x).astype(dtype) for x in tensors]

    def rounded(self, value: float) -> float:
        """A number of the operator's definition, such as an epsilon, in the operator's type.

        ONNX has float32 for all types but double.
        """
        return value if self.dtype == torch.float64 else float(np.float32(value))

    def number(self, value: float) -> Tensor:
        """The same as data."""
        return self.ar.constant(self.rounded(value))

    def beside(self, x: Tensor, value: float) -> Tensor:
        """The same next to ``x``: data next to data, else exact in the type of ``x``."""
        return self.number(value) if self.ar.is_data(x) else np.asarray(value).astype(x.dtype)

    def get(self, name: str, default: Any = None) -> Any:
        """An argument by name, or a default."""
        value = self.given.get(name)
        return default if value is None else value

    def integers(self, name: str, count: int, default: Any = None) -> list[int]:
        """A number for each of ``count`` axes, or one for all."""
        return each(self.get(name, default), count)

    def axis(self, x: Tensor, name: str = "dim") -> int:
        """The axis of ``x`` that an argument names."""
        return operands.axis_of(self.given[name], x.ndim)

    def axes(self, x: Tensor, name: str = "dim") -> tuple[int, ...]:
        """The axes of ``x`` that an argument names; all where it names none."""
        axes = self.given.get(name)
        if axes is None or (isinstance(axes, (list, tuple)) and not axes):
            return tuple(range(x.ndim))
        return operands.axes_of(several(axes), x.ndim) if x.ndim else ()


Operator: TypeAlias = Callable[[Call], Result]
Table: TypeAlias = dict[str, Operator]


def apply(operator: Operator, call: Call, defaults: dict[str, Any]) -> Result:
    """The results of a call.

    Args:
        operator: the row.
        call: the node.
        defaults: what the operator's schema says of arguments that may be left out.

    Raises:
        UnsupportedError: the row does not understand this use of the operator, or never asked for
            an argument that is given.
    """
    with quiet():
        result = operator(call)
    for name in call.given.keys() - call.given.asked - _WITHOUT_EFFECT:
        value = dict.get(call.given, name)
        if value is not None and not (name in defaults and _same(value, defaults[name])):
            raise UnsupportedError(f"{call.op} with {name}")
    return result


def _same(value: Any, default: Any) -> bool:
    return isinstance(value, (bool, int, float, str, list)) and value == default


def row(kernel: Kernel, *names: str, **floats: float) -> Operator:
    """An operator that is a kernel of data.

    Args:
        kernel: the kernel.
        names: the arguments that are its operands; ``self`` where none is named.
        floats: facts of the same name, with defaults.
    """

    def run(call: Call) -> Tensor:
        facts = {name: call.rounded(call.get(name, d)) for name, d in floats.items()}
        return kernel(call.ar, *(call.data(name) for name in names or ("self",)), **facts)

    return run


def exact_row(kernel: Kernel, *names: str, **facts: Any) -> Operator:
    """An operator that is a kernel of data and of exact values alike."""
    return lambda call: kernel(call.ar, *call.operands(*(names or ("self",))), **facts)


def several(values: Any) -> list[int]:
    """One number or several as a list."""
    return [values] if isinstance(values, int) else list(values)


def each(values: Any, count: int) -> list[int]:
    """A number for each of ``count`` axes, from as many or from one."""
    numbers = several(values)
    return numbers * count if len(numbers) == 1 else numbers


def numpy_type(dtype: torch.dtype) -> np.dtype[Any]:
    """The numpy type of exact values."""
    return torch.empty(0, dtype=dtype).numpy().dtype


def type_name(dtype: torch.dtype) -> str:
    """A type as numpy and ``ml_dtypes`` call it."""
    return str(dtype).removeprefix("torch.")
