"""Reading attributes of ONNX nodes with their defaults."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import onnx_ir as ir


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


def hashable(node: ir.Node, skip: frozenset[str] = frozenset()) -> tuple[Hashable, ...]:
    """All attributes but ``skip``, sorted by name, as a hashable value.

    A nested graph counts by its serialized bytes, names included.
    """
    found: list[Hashable] = []
    for name in sorted(node.attributes):
        if name in skip:
            continue
        attribute = node.attributes[name]
        value = attribute.value
        if attribute.type == ir.AttributeType.TENSOR:
            tensor = attribute.as_tensor()
            value = (str(tensor.dtype), tuple(tensor.shape.numpy()), tensor.tobytes())
        elif isinstance(value, list | tuple):
            value = tuple(value)
        elif attribute.type == ir.AttributeType.GRAPH:
            value = ir.to_proto(attribute.as_graph()).SerializeToString(deterministic=True)
        elif not isinstance(value, int | float | str | bytes):
            # No value of its own: unequal to every other.
            value = id(value)
        found.append((name, value))
    return tuple(found)
