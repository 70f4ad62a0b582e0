"""PyTorch in eager mode on the CPU: the runtime that a program is measured in."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import torch
from torch.utils import _pytree as pytree

from onebyone.dialects.protocol import RuntimeRefusesError, RuntimeUnableError
from onebyone.kernels.arithmetic import Array

if TYPE_CHECKING:
    from onebyone.dialects.aten.run.model import ExportedModel


class EagerSession:
    """A program as a module of its own, with buffers of its own.

    Raises:
        RuntimeRefusesError: PyTorch cannot make a module of the program.
    """

    def __init__(self, program: ExportedModel) -> None:
        self._program = program
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._module: Any = program.source.module()
        # Whatever a strange program raises, it does not run.
        except Exception as error:
            raise RuntimeRefusesError(_line(error)) from None

    def run(self, values: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs by name; buffers that the program changes start as stored, or as given."""
        tensors = {name: to_torch(value) for name, value in values.items()}
        flat = [
            tensors.get(item, value) if isinstance(item, str) else value
            for item, value in self._program.arguments
        ]
        states = {**dict(self._module.named_buffers()), **dict(self._module.named_parameters())}
        stored = {
            target: states[target].detach().clone()
            for target in self._program.states.values()
            if target in states
        }
        try:
            with torch.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for name, target in self._program.states.items():
                    if name in tensors:
                        states[target].copy_(tensors[name])
                spec: Any = self._program.source.call_spec.in_spec
                args, kwargs = pytree.tree_unflatten(flat, spec)
                found = pytree.tree_leaves(self._module(*args, **kwargs))
                after = {t: states[t].detach().clone() for t in stored}
        except NotImplementedError as error:
            raise RuntimeUnableError(_line(error)) from None
        except Exception as error:
            raise RuntimeRefusesError(_line(error)) from None
        finally:
            with torch.no_grad():
                for target, value in stored.items():
                    states[target].copy_(value)
        return self._program.named(found, after, tensors)

    def close(self) -> None:
        """Nothing to free."""


def to_torch(value: Array) -> torch.Tensor:
    """A copy of an array as a tensor, the types of ``ml_dtypes`` included."""
    own = np.array(value, order="C")
    if own.dtype.name == "bfloat16":
        return torch.from_numpy(own.view(np.int16)).view(torch.bfloat16)
    if own.dtype.name.startswith("float8"):
        return torch.from_numpy(own.view(np.uint8)).view(getattr(torch, own.dtype.name))
    return torch.from_numpy(own)


def to_numpy(value: torch.Tensor) -> Array:
    """The elements of a tensor, in a type of ``ml_dtypes`` where numpy has none."""
    own = value.detach().cpu().contiguous()
    name = str(own.dtype).removeprefix("torch.")
    if name == "bfloat16":
        return own.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    if name.startswith("float8"):
        return own.view(torch.uint8).numpy().view(getattr(ml_dtypes, name))
    return own.numpy()


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
