"""Exported programs for the tests, made once in each process."""

from __future__ import annotations

import functools
import logging
import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from tests import zoo
from tests import zoo_models as m

_SUMS = ("linear", "addmm", "matmul", "conv", "softmax", "norm", "attention", "einsum")


def export(
    module: torch.nn.Module,
    args: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] | None = None,
    shapes: Any = None,
) -> ExportedProgram:
    """`torch.export.export` without its remarks."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            return torch.export.export(module, args, dict(kwargs or {}), dynamic_shapes=shapes)
        finally:
            logging.disable(logging.NOTSET)


@functools.cache
def program(name: str) -> tuple[ExportedProgram, tuple[Any, ...], dict[str, Any]]:
    """A model of the zoo as a program, with the arguments that it takes."""
    spec = zoo._EXPORTED[name]
    torch.manual_seed(0)
    module, example = spec.build(False)
    m.randomize(module)
    module.eval()
    if isinstance(module, torch.nn.Sequential):
        args = tuple(example.values())
        return export(module, args), args, {}
    shapes = None
    if spec.dynamic:
        dynamic = torch.export.Dim.DYNAMIC
        shapes = {key: dict.fromkeys(spec.dynamic.get(key, {}), dynamic) for key in example}
    return export(module, (), example, shapes), (), example


def run(exported: ExportedProgram, *args: Any, **kwargs: Any) -> list[torch.Tensor]:
    """The tensors that a program yields."""
    with torch.no_grad():
        found = pytree.tree_leaves(exported.module()(*args, **kwargs))
    return [value for value in found if isinstance(value, torch.Tensor)]


def relative_bound(exported: ExportedProgram) -> float:
    """A bound on the difference of two evaluation orders, as `tests.rounding` derives it."""
    names = [str(node.target) for node in exported.graph.nodes if node.op == "call_function"]
    count = sum(any(word in name for word in _SUMS) for name in names)
    shapes = [t.shape for t in exported.state_dict.values() if t.ndim > 1]
    longest = max((math.prod(s) // min(s[0], s[-1]) for s in shapes), default=1)
    return 4 * max(count, 1) * math.sqrt(longest) * float(np.finfo(np.float32).eps)


def assert_close(
    actual: list[torch.Tensor], expected: list[torch.Tensor], exported: ExportedProgram
) -> None:
    """Outputs agree within `relative_bound` of the largest value; comparing nothing is an error."""
    assert expected
    assert len(actual) == len(expected)
    for a, b in zip(actual, expected, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        scale = float(b.double().abs().max())
        assert scale > 0, "an output of zeros compares nothing"
        assert math.isfinite(scale)
        assert float((a.double() - b.double()).abs().max()) <= relative_bound(exported) * scale
