"""Comparisons shared by the torch tests; every bound comes from the dtype and the length."""

from __future__ import annotations

import copy
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn

UNIT = {
    torch.float64: 2.0**-53,
    torch.float32: 2.0**-24,
    torch.float16: 2.0**-11,
    torch.bfloat16: 2.0**-8,
}


def close(a: Tensor, b: Tensor, magnitude: Tensor, length: int) -> None:
    """Assert that two sums of ``length`` products agree, elementwise.

    ``magnitude`` is the sum of the absolute products (float64). Any order of summation in
    precision u errs by at most length * u * magnitude; 16-bit dtypes are summed in float32 and
    rounded for the product, the bias and the result.
    """
    assert a.shape == b.shape
    assert a.dtype == b.dtype
    if not a.numel():
        return
    assert magnitude.max() > 0, "comparing zeros shows nothing"
    unit = UNIT[a.dtype]
    sums = max(2.0**-53, min(unit, 2.0**-24))
    bound = (2 * (length + 2) * sums + (4 * unit if unit > 2.0**-20 else 0)) * magnitude
    worst = ((a.double() - b.double()).abs() - bound).max().item()
    assert worst <= 0, f"beyond the bound by {worst}"


def outputs(model: nn.Module, inputs: dict[str, Any]) -> Tensor:
    """The first tensor that the model returns."""
    result = model(*inputs.values()) if isinstance(model, nn.Sequential) else model(**inputs)
    if isinstance(result, Tensor):
        return result
    return next(v for v in (result.values() if hasattr(result, "values") else result))


def in_dtype(model: nn.Module, inputs: dict[str, Any], dtype: torch.dtype) -> tuple[Any, Any]:
    """A copy of the model in ``dtype``, and the inputs that fit."""
    cast = {
        k: v.to(dtype) if isinstance(v, Tensor) and v.is_floating_point() else v
        for k, v in inputs.items()
    }
    return copy.deepcopy(model).to(dtype), cast


def run(
    model: nn.Module, inputs: dict[str, Any], weights: Tensor, names: list[str]
) -> tuple[Tensor, dict[str, Tensor | None]]:
    """Output, and the gradient of a weighted sum of it, read where the original model has it."""
    model.zero_grad()
    y = outputs(model, inputs)
    (y.double() * weights).sum().backward()
    return y.detach().double(), {name: attrgetter(name)(model).grad for name in names}


def same_order(model: nn.Module, swapped: nn.Module) -> None:
    """Assert that the parameters are the same memory, one by one, and nothing is copied."""
    ours, theirs = list(swapped.parameters()), list(model.parameters())
    assert [p.data_ptr() for p in ours] == [p.data_ptr() for p in theirs]
    assert [p.numel() for p in ours] == [p.numel() for p in theirs]


def kinds(model: nn.Module, *classes: type[nn.Module]) -> int:
    """How many modules of exactly these classes the model holds."""
    return sum(type(module) in classes for module in model.modules())
