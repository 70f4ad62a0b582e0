"""The arguments of a call, for the handler that says what it means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import fx

from onebyone.dialects.aten.values import Name, arguments, schema_of

# What an operator computes does not depend on these: where its result lies in memory, when it is
# copied, what its gradient is. A copy to another device, and another type, show in the result.
IRRELEVANT = frozenset(
    "copy cudnn_enable cudnn_enabled device implicit layout memory_format momentum non_blocking "
    "padding_idx path pin_memory scale_grad_by_freq sparse".split()
)


class Arguments(Mapping[str, Any]):
    """All arguments of a call by name, defaults included.

    It remembers which were asked for: an argument that nobody asked for must have its default,
    else the node is not understood (see `unread`). So no row of a table can forget one.
    """

    def __init__(self, node: fx.Node) -> None:
        self._node = node
        self._given = arguments(node)
        self._asked: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self._asked.add(name)
        return self._given[name]

    def __contains__(self, name: object) -> bool:
        return name in self._given

    def __iter__(self) -> Iterator[str]:
        return iter(self._given)

    def __len__(self) -> int:
        return len(self._given)

    def told(self, *names: str) -> None:
        """These need no asking: the shape, the type or the device of the result tells them."""
        self._asked |= set(names)

    def operands(self, *names: Name) -> None:
        """These are operands, which the canonical form follows."""
        self._asked |= {name if isinstance(name, str) else name[0] for name in names}

    def unread(self) -> str | None:
        """The name of an argument that nobody asked for and that has not its default."""
        schema = schema_of(self._node.target)
        for argument in schema.arguments if schema is not None else ():
            name = argument.name
            if name in self._asked or name in IRRELEVANT or name not in self._given:
                continue
            value, usual = self._given[name], argument.default_value
            if isinstance(value, fx.Node) or not argument.has_default_value() or value != usual:
                return name
        return None
