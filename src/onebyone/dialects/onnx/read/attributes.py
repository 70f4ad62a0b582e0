"""Reading attributes of ONNX nodes with their defaults."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

# What an operator does without these attributes is what it does with them: they tell how exactly,
# how fast or for which gradient it computes, or what the shapes of its operands tell as well.
IRRELEVANT = frozenset(
    "broadcast consumed_inputs kernel_shape momentum num_outputs ratio seed stash_type".split()
)


def integer(node: ir.Node, name: str, default: int) -> int:
    """An integer attribute."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_int()


def optional_integer(node: ir.Node, name: str) -> int | None:
    """An integer attribute, or None where it is absent."""
    attribute = node.attributes.get(name)
    return None if attribute is None else attribute.as_int()


def integers(node: ir.Node, name: str, default: Sequence[int] | None = None) -> list[int] | None:
    """A list of integers."""
    attribute = node.attributes.get(name)
    if attribute is None:
        return None if default is None else list(default)
    return list(attribute.as_ints())


def number(node: ir.Node, name: str, default: float) -> float:
    """A float attribute."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_float()


def text(node: ir.Node, name: str, default: str) -> str:
    """A string attribute."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_string()


def hashable(node: ir.Node, skip: frozenset[str] = frozenset()) -> tuple[tuple[str, Hashable], ...]:
    """All attributes but ``skip``, sorted by name, as a hashable value.

    A nested graph counts by its serialized bytes, names included.
    """
    found: list[tuple[str, Hashable]] = []
    for name in sorted(node.attributes):
        if name in skip:
            continue
        attribute = node.attributes[name]
        value = attribute.value
        if attribute.type == ir.AttributeType.TENSOR:
            tensor = attribute.as_tensor()
            value = (str(tensor.dtype), tuple(tensor.shape.numpy()), tensor.tobytes())
        elif isinstance(value, list | tuple | float):
            value = _plain(value)
        elif attribute.type == ir.AttributeType.GRAPH:
            value = ir.to_proto(attribute.as_graph()).SerializeToString(deterministic=True)
        elif not isinstance(value, int | float | str | bytes):
            # No value of its own: unequal to every other.
            value = id(value)
        found.append((name, value))
    return tuple(found)


def _defined(domain: str, op: str, version: int) -> Mapping[str, onnx.defs.OpSchema.Attribute]:
    """The attributes that an operator may have, as ONNX defines it; none if unknown."""
    try:
        return onnx.defs.get_schema(op, version, domain).attributes
    except onnx.defs.SchemaError:
        return {}


@lru_cache(maxsize=4096)
def defaults(domain: str, op: str, version: int) -> dict[str, Hashable]:
    """The attributes that an operator has where a node does not give them; none if unknown."""
    found: dict[str, Hashable] = {}
    for name, attribute in _defined(domain, op, version).items():
        if attribute.default_value.type != onnx.AttributeProto.UNDEFINED:
            value = onnx.helper.get_attribute_value(attribute.default_value)
            found[name] = _plain(value.decode() if isinstance(value, bytes) else value)
    return found


class Attributes:
    """The attributes of a node, for the handler that says what it means.

    It remembers which were asked for: an attribute that nobody asked for must have its default,
    else the node is not understood (see `unread`). So no row of a table can forget one.
    """

    def __init__(self, node: ir.Node, opsets: Mapping[str, int]) -> None:
        self._node = node
        self._asked: set[str] = set()
        domain = "" if node.domain == "ai.onnx" else node.domain
        self._operator = (domain, node.op_type, opsets.get(domain, 1))
        self._defaults = defaults(*self._operator)

    def __contains__(self, name: str) -> bool:
        return name in self._node.attributes

    def integer(self, name: str, default: int) -> int:
        """An integer attribute."""
        self._asked.add(name)
        return integer(self._node, name, default)

    def integers(self, name: str, default: Sequence[int] | None = None) -> list[int] | None:
        """A list of integers."""
        self._asked.add(name)
        return integers(self._node, name, default)

    def number(self, name: str, default: float) -> float:
        """A float attribute; a default is rounded to float32 as a written one is."""
        self._asked.add(name)
        return float(np.float32(number(self._node, name, default)))

    def text(self, name: str, default: str) -> str:
        """A string attribute."""
        self._asked.add(name)
        return text(self._node, name, default)

    def every(
        self, plain: Mapping[str, Hashable] | None = None
    ) -> tuple[tuple[str, Hashable], ...]:
        """All that are relevant, sorted by name, defaults included.

        Args:
            plain: values with which the function is the one of its name; they are left out.
        """
        given = dict(self._defaults)
        for name, value in hashable(self._node):
            self._asked.add(name)
            given[name] = value
        plain = plain or {}
        return tuple(
            (name, value)
            for name, value in sorted(given.items(), key=lambda item: item[0])
            if name not in IRRELEVANT and not (name in plain and plain[name] == value)
        )

    def is_defined(self, name: str) -> bool:
        """Whether ONNX's definition of the operator has the attribute."""
        return name in _defined(*self._operator)

    def unread(self) -> str | None:
        """The name of an attribute that nobody asked for and that has not its default."""
        for name, value in hashable(self._node, IRRELEVANT | self._asked):
            if name not in self._defaults or self._defaults[name] != value:
                return name
        return None


def _plain(value: Any) -> Hashable:
    """A value of an attribute as a hashable one, floats rounded to the type that they have."""
    if isinstance(value, float):
        return float(np.float32(value))
    return tuple(_plain(item) for item in value) if isinstance(value, list | tuple) else value
