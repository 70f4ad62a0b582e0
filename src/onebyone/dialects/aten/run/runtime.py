"""PyTorch in eager mode on the CPU: the runtime that a program is measured in."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import torch
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from onebyone.dialects.protocol import RuntimeRefusesError, RuntimeUnableError
from onebyone.kernels.arithmetic import Array

# The outputs by name, from the leaves that a call gave, the changed buffers, and the arguments.
Named = Callable[
    [Sequence[Any], Mapping[str, torch.Tensor], Mapping[str, torch.Tensor]], dict[str, Array]
]


class EagerSession:
    """A program as a module of its own, with buffers of its own.

    Args:
        program: the program.
        arguments: for each flat argument of a call its placeholder, or None and its fixed value.
        states: placeholder -> name of the buffer that the program changes.
        named: gives the results their names.

    Raises:
        RuntimeRefusesError: PyTorch cannot make a module of the program.
    """

    def __init__(
        self,
        program: ExportedProgram,
        arguments: Sequence[tuple[str | None, Any]],
        states: Mapping[str, str],
        named: Named,
    ) -> None:
        self.taken = 0
        self._arguments, self._states, self._named = arguments, states, named
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._module: Any = program.module()
                self._spec: Any = program.call_spec.in_spec
        # Whatever a strange program raises, it does not run.
        except Exception as error:
            raise RuntimeRefusesError(_line(error)) from None

    def run(self, values: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs by name; buffers that the program changes start as stored, or as given."""
        tensors = {name: to_torch(value) for name, value in values.items()}
        flat = [
            tensors.get(item, value) if isinstance(item, str) else value
            for item, value in self._arguments
        ]
        states = {**dict(self._module.named_buffers()), **dict(self._module.named_parameters())}
        stored = {
            target: states[target].detach().clone()
            for target in self._states.values()
            if target in states
        }
        try:
            with torch.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for name, target in self._states.items():
                    if name in tensors:
                        states[target].copy_(tensors[name])
                args, kwargs = pytree.tree_unflatten(flat, self._spec)
                leaves = pytree.tree_leaves(self._module(*args, **kwargs))
                after = {t: states[t].detach().clone() for t in stored}
        except NotImplementedError as error:
            raise RuntimeUnableError(_line(error)) from None
        except Exception as error:
            raise RuntimeRefusesError(_line(error)) from None
        finally:
            with torch.no_grad():
                for target, value in stored.items():
                    states[target].copy_(value)
        return self._named(leaves, after, tensors)

    def close(self) -> None:
        """Nothing to free."""


def to_torch(value: Array) -> torch.Tensor:
    """A copy of an array as a tensor, the types of ``ml_dtypes`` included."""
    array = np.array(value, order="C")
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    if array.dtype.name.startswith("float8"):
        return torch.from_numpy(array.view(np.uint8)).view(getattr(torch, array.dtype.name))
    return torch.from_numpy(array)


def to_numpy(value: torch.Tensor) -> Array:
    """The elements of a tensor, in a type of ``ml_dtypes`` where numpy has none."""
    tensor = value.detach().cpu().contiguous()
    name = str(tensor.dtype).removeprefix("torch.")
    if name == "bfloat16":
        return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    if name.startswith("float8"):
        return tensor.view(torch.uint8).numpy().view(getattr(ml_dtypes, name))
    return tensor.numpy()


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
