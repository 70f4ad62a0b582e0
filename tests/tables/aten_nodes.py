"""Calls of ATen operators as data, and their variants: each argument changed alone."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

from tests.tables.engine import DRAWS
from tests.tables.operands import Array, Operand

aten = torch.ops.aten


@dataclass(frozen=True)
class AtenNode:
    """A call: its arguments by name, `Operand` where they are tensors."""

    op: str
    overload: str
    given: Mapping[str, Any]
    vary: Mapping[str, Sequence[Any]] = field(default_factory=dict[str, Sequence[Any]])
    label: str = ""
    pool: tuple[Operand, ...] = ()

    @property
    def target(self) -> Any:
        return getattr(getattr(aten, self.op), self.overload)

    @property
    def operands(self) -> list[Operand]:
        """The distinct operands, those of the specimen first and in its order."""
        leaves = (*self.pool, *pytree.tree_leaves(dict(self.given)))
        return list({id(x): x for x in leaves if isinstance(x, Operand)}.values())

    def feeds(self) -> list[dict[str, Array]]:
        """What the free operands are in each draw."""
        free = [(f"x{i}", o) for i, o in enumerate(self.operands) if o.free]
        return [{name: o.draw(number) for name, o in free} for number in range(DRAWS)]


def c(
    name: str, given: Mapping[str, Any], vary: Mapping[str, Sequence[Any]] | None = None
) -> AtenNode:
    """A specimen of ``name`` or ``name.overload``."""
    op, _, overload = name.partition(".")
    return AtenNode(op, overload or "default", given, vary or {})


def eager(node: AtenNode, feed: Mapping[str, Array]) -> Any:
    """What the call gives on real tensors; None where it refuses them."""
    tensors = {
        id(o): torch.from_numpy(np.array(feed[f"x{i}"] if o.free else o.values))
        for i, o in enumerate(node.operands)
    }

    def real(value: Any) -> Any:
        if isinstance(value, Operand):
            return tensors[id(value)]
        return [real(v) for v in value] if isinstance(value, (list, tuple)) else value

    args, kwargs = call_of(node, {key: real(value) for key, value in node.given.items()})
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return node.target(*args, **kwargs)
    except Exception:
        return None


def call_of(node: AtenNode, given: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    last = -1
    positional = [a for a in node.target._schema.arguments if not a.kwarg_only]
    for place, argument in enumerate(positional):
        if argument.name in given:
            last = place
    for argument in positional[: last + 1]:
        args.append(given.get(argument.name, argument.default_value))
    for argument in node.target._schema.arguments:
        if argument.kwarg_only and argument.name in given:
            kwargs[argument.name] = given[argument.name]
    return args, kwargs


# ---- variants -----------------------------------------------------------------------------------

_TEXTS: dict[str, tuple[str | None, ...]] = {
    "approximate": ("none", "tanh"),
    "mode": ("constant", "reflect", "replicate", "circular"),
    "padding": ("same", "valid"),
    "rounding_mode": (None, "floor", "trunc"),
}
# Eager kernels that read out of bounds where their operands are not what the operator expects.
_UNSAFE = frozenset({"_prelu_kernel", "copy"})

# What changes where a result lies, or nothing at all.
_IDLE = ("Device", "Layout", "MemoryFormat", "Generator")
_IDLE_NAMES = frozenset(
    "allow_tf32 benchmark copy cudnn_enable cudnn_enabled deterministic device generator implicit "
    "input_dtype layout memory_format non_blocking pin_memory scale_grad_by_freq sparse train "
    "training".split()
)


def variants(node: AtenNode) -> Iterator[AtenNode]:
    """The call, then each argument changed alone."""
    node = replace(node, pool=tuple(node.operands))
    yield replace(node, label="as it is")
    for argument in node.target._schema.arguments:
        name = argument.name
        now = node.given.get(name, argument.default_value)
        for value in (*node.vary.get(name, ()), *_alternatives(name, str(argument.type), now)):
            if repr(value) != repr(now):
                changed = {**node.given, name: value}
                yield replace(node, given=changed, label=f"{name}={_told(value)}")
        if name in node.given and argument.has_default_value():
            rest = {key: value for key, value in node.given.items() if key != name}
            yield replace(node, given=rest, label=f"no {name}")
    if node.op not in _UNSAFE:
        yield from _swapped(node)


def retyped(node: AtenNode) -> Iterator[AtenNode]:
    """The call on other floating-point types."""
    for name, dtype in (("double", np.float64), ("half", np.float16)):
        known: dict[int, Operand] = {}

        def other(x: Operand, dtype: Any = dtype, known: dict[int, Operand] = known) -> Operand:
            plain = x.values.dtype != np.float32
            return known.setdefault(id(x), x if plain else x.as_type(dtype))

        given = pytree.tree_map_only(Operand, other, dict(node.given))
        yield replace(node, given=given, label=f"{name}=True")


def _told(value: Any) -> str:
    return "changed" if isinstance(value, Operand) else str(value)


def _alternatives(name: str, kind: str, now: Any) -> Iterator[Any]:
    if any(word in kind for word in _IDLE) or name in _IDLE_NAMES:
        return
    if isinstance(now, Operand):
        if not now.free and now.values.size:
            yield replace(
                now, values=now.values[::-1].copy() if now.values.ndim else now.values + 1
            )
            if now.values.dtype.kind in "fi":
                yield replace(now, values=now.values + np.asarray(1, now.values.dtype))
    elif name == "dtype":
        yield from (torch.float64, torch.int64, torch.float32)
    elif isinstance(now, bool):
        yield not now
    elif isinstance(now, int):
        yield from (value for value in (0, 1, 2, 3, -1, -2))
        if kind in ("number", "float", "Optional[number]", "Optional[float]"):
            yield from (0.5, 2.5, -1.5)
    elif isinstance(now, float):
        yield from (now * 0.5 + 0.25, -now, now + 2.0)
    elif name in _TEXTS and "str" in kind:
        yield from _TEXTS[name]
    elif isinstance(now, (list, tuple)) and now and all(type(v) is int for v in now):
        for place in range(len(now)):
            for step in (1, -1):
                yield [value + step * (i == place) for i, value in enumerate(now)]
        yield list(now)[::-1]
        yield list(now)[:-1]
    elif now is None and "Tensor" not in kind:
        if kind == "Optional[int]":
            yield from (0, 1, 2, -1)
        elif "List[int]" in kind:
            yield from ([0], [1], [0, 1], [1, 2])
        elif kind in ("Optional[number]", "Optional[float]"):
            yield from (0.5, 0, 2)
        elif kind == "Optional[bool]":
            yield from (True, False)


def _swapped(node: AtenNode) -> Iterator[AtenNode]:
    names = [name for name, value in node.given.items() if isinstance(value, Operand)]
    for i, second in enumerate(names):
        for first in names[:i]:
            a, b = node.given[first], node.given[second]
            yield _with(node, {first: b, second: a}, f"swapped {first} {second}")
            yield _with(node, {second: a}, f"{first} for {second}")
        yield _with(node, {second: None}, f"no {second}")
    for name, value in node.given.items():
        if isinstance(value, list) and len(value) > 1 and isinstance(value[0], Operand):
            yield _with(node, {name: value[::-1]}, f"{name} reversed")
            yield _with(node, {name: [value[0], *value[:-1]]}, f"{name} repeated")


def _with(node: AtenNode, changes: Mapping[str, Any], label: str) -> AtenNode:
    return replace(node, given={**node.given, **changes}, label=label)
