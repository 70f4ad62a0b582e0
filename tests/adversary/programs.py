"""The short notation in which families write pairs of PyTorch programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

from tests.adversary.pairs import Pair, Program, weight

Function = Callable[..., Any]
Shapes = Sequence[tuple[int | str, ...]]
ONE: Shapes = ((3, 4),)
TWO: Shapes = ((3, 4), (3, 4))


def held(*shape: int, at: int = 0) -> torch.Tensor:
    """A random weight."""
    return torch.from_numpy(weight(shape, at))


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
