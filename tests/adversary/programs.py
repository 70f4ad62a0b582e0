"""The short notation in which families write pairs of PyTorch programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import nn

from tests.adversary.pairs import Pair, Program, weight

Function = Callable[..., Any]
Shapes = Sequence[tuple[int | str, ...]]
ONE: Shapes = ((3, 4),)
TWO: Shapes = ((3, 4), (3, 4))


def held(*shape: int, at: int = 0) -> torch.Tensor:
    """A random weight."""
    return torch.from_numpy(weight(shape, at))


@cache
def exported(side: Program) -> torch.export.ExportedProgram:
    """The exported program of a function, its symbols dynamic."""
    symbols = {
        name: torch.export.Dim(name)
        for shape in side.shapes
        for name in shape
        if isinstance(name, str)
    }
    sizes = {name: 3 + 2 * i for i, name in enumerate(symbols)}
    kinds = side.dtypes or ("float32",) * len(side.shapes)
    arguments = tuple(
        torch.ones([sizes[d] if isinstance(d, str) else d for d in shape]).to(getattr(torch, kind))
        for shape, kind in zip(side.shapes, kinds, strict=True)
    )
    dynamic: Any = tuple(
        {i: symbols[d] for i, d in enumerate(shape) if isinstance(d, str)} for shape in side.shapes
    )
    made = side.function
    if not isinstance(made, nn.Module):
        made, dynamic = Of(made), {"args": dynamic}
    program = torch.export.export(
        made.eval(), arguments, dynamic_shapes=dynamic if symbols else None
    )
    return program.run_decompositions() if side.decomposed else program


class Of(nn.Module):
    """A function as a module."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Any) -> Any:
        """Call it."""
        return self.function(*args)


def over(
    kind: str,
    name: str,
    shapes: Shapes,
    first: Function,
    differ: Mapping[str, Function] | None = None,
    equal: Mapping[str, Function] | None = None,
    dtypes: tuple[str, ...] = (),
    **facts: Any,
) -> Iterator[Pair]:
    """One function against several others; arguments are called x0, x1, …"""
    original = Program(first, tuple(shapes), dtypes)
    for key, function in (differ or {}).items():
        second = Program(function, tuple(shapes), dtypes)
        yield Pair(f"aten.{name}.{key}", kind, original, second, "differ", **facts)
    for key, function in (equal or {}).items():
        second = Program(function, tuple(shapes), dtypes)
        yield Pair(f"aten.{name}.{key}", kind, original, second, "equal", **facts)
