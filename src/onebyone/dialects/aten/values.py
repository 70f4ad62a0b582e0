"""What the dialect reads of fx nodes: arguments by name, sizes, element types, numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sympy
import torch
from torch import fx

from onebyone.axes.sizes import ONE, Size, product

# The engine names element types as ONNX does.
DTYPES: dict[torch.dtype, str] = {
    torch.float32: "float",
    torch.float64: "double",
    torch.complex64: "complex64",
    torch.complex128: "complex128",
}

# An argument that is an operand: its name, or its name and its place in a list.
Name = str | tuple[str, int]


@dataclass(eq=False)
class Native:
    """An fx node, and which of its arguments are the operands of its axis node.

    Attributes:
        node: the fx node.
        names: argument of each operand; empty where the node stands for several operations.
    """

    node: fx.Node
    names: tuple[Name, ...] = ()

    @property
    def op(self) -> str:
        """Name of the operator, without namespace and overload."""
        return op_name(self.node)


@dataclass(frozen=True, eq=False)
class Number:
    """A Python number among the tensors of an operator, as ``1.0`` in ``x + 1.0``."""

    value: float | int | bool
    dtype: torch.dtype

    def tensor(self) -> torch.Tensor:
        """The number as a tensor without dimensions."""
        return torch.tensor(self.value, dtype=self.dtype)


def schema_of(target: Any) -> Any:
    """The schema of an operator, None for any other target of a call."""
    kind: Any = torch._ops.OpOverload  # pyright: ignore[reportPrivateUsage]
    return target._schema if isinstance(target, kind) else None


def tags_of(target: Any) -> frozenset[torch.Tag]:
    """The tags of an operator."""
    return frozenset(target.tags) if schema_of(target) is not None else frozenset()


def op_name(node: fx.Node) -> str:
    """``aten.add.Tensor`` -> ``add``; the target's own name where it is no ATen operator."""
    target = node.target
    schema = schema_of(target)
    if schema is not None:
        space, _, name = schema.name.partition("::")
        return name if space == "aten" else f"{space}::{name}"
    return getattr(target, "__name__", str(target))


def op_key(node: fx.Node) -> tuple[str, str]:
    """Namespace and name of an operator: ``("aten", "add")``; no namespace where it has none."""
    schema = schema_of(node.target)
    if schema is None:
        return ("", op_name(node))
    space, _, name = schema.name.partition("::")
    return (space, name)


def arguments(node: fx.Node) -> dict[str, Any]:
    """All arguments of a call by name, defaults included."""
    schema = schema_of(node.target)
    if schema is None:
        return {}
    values: dict[str, Any] = {}
    for place, argument in enumerate(schema.arguments):
        if not argument.kwarg_only and place < len(node.args):
            values[argument.name] = node.args[place]
        elif argument.name in node.kwargs:
            values[argument.name] = node.kwargs[argument.name]
        elif argument.has_default_value():
            values[argument.name] = argument.default_value
    return values


def spread(target: Any, given: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Named arguments as a call takes them; trailing defaults are left out."""
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    schema = schema_of(target).arguments
    positional = [a for a in schema if not a.kwarg_only]

    def is_default(argument: Any) -> bool:
        if argument.name not in given:
            return True
        value = given[argument.name]
        if isinstance(value, fx.Node) or not argument.has_default_value():
            return False
        return type(value) is type(argument.default_value) and value == argument.default_value

    while positional and is_default(positional[-1]):
        positional.pop()
    args = [given.get(a.name, a.default_value) for a in positional]
    for argument in schema:
        if argument.kwarg_only and not is_default(argument):
            kwargs[argument.name] = given[argument.name]
    return tuple(args), kwargs


def dtype_name(dtype: torch.dtype) -> str:
    """The engine's name of an element type."""
    return DTYPES.get(dtype, str(dtype).removeprefix("torch."))


def size_of(dim: int | torch.SymInt) -> Size:
    """A dimension as a size: a monomial of symbols, or one symbol for any other expression."""
    if isinstance(dim, int):
        return Size(dim)
    return _monomial(dim.node.expr)


def _monomial(expression: Any) -> Size:
    if isinstance(expression, sympy.Integer):
        return Size(int(expression))
    factors: list[Size] = []
    for factor in sympy.Mul.make_args(expression):
        base, power = factor.as_base_exp()
        if isinstance(factor, sympy.Integer):
            factors.append(Size(int(factor)))
        elif isinstance(base, sympy.Symbol) and isinstance(power, sympy.Integer) and power > 0:
            factors += [Size(1, (str(base),))] * int(power)
        else:
            return Size(1, (f"({expression})",))
    return product(factors) if factors else ONE


def shape_of(value: torch.Tensor) -> tuple[Size, ...]:
    """The shape of a (fake) tensor."""
    return tuple(size_of(dim) for dim in value.shape)


def fake(node: fx.Node) -> Any:
    """What an fx node yields, as fake tensors and symbolic integers."""
    return node.meta.get("val")


def is_tensor(node: object) -> bool:
    """Whether an argument is an fx node that yields one tensor."""
    return isinstance(node, fx.Node) and isinstance(fake(node), torch.Tensor)


def integers(values: Any) -> list[int] | None:
    """A list of plain integers, None where one is symbolic."""
    if isinstance(values, int):
        return [values]
    if not isinstance(values, Sequence) or any(type(v) is not int for v in values):
        return None
    return [int(v) for v in values]
