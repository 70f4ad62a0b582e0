"""ONNX nodes as data, and their variants: each attribute and each operand changed alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
from onnx import helper as h

from tests.tables.engine import DRAWS
from tests.tables.operands import Array, Operand

OPSET = 22


@dataclass(frozen=True)
class OnnxNode:
    """A node with its operands, in the order of the schema; None for an absent one.

    ``kinds`` are the types of its results where onnx knows none; real numbers by default.
    """

    op: str
    operands: tuple[Operand | None, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    domain: str = ""
    opset: int = OPSET
    outputs: int = 1
    vary: Mapping[str, Sequence[Any]] = field(default_factory=dict[str, Sequence[Any]])
    label: str = ""
    reads: tuple[int, ...] = ()
    symbolic: bool = False
    kinds: tuple[int, ...] = ()

    @property
    def schema(self) -> Any:
        """The schema by onnx, None for operators of the runtime alone."""
        try:
            return onnx.defs.get_schema(self.op, self.opset, self.domain)
        except onnx.defs.SchemaError:
            return None

    def feeds(self) -> list[dict[str, Array]]:
        """What the free operands are in each draw."""
        free = [(f"x{i}", o) for i, o in enumerate(self.operands) if o is not None and o.free]
        return [{name: o.draw(number) for name, o in free} for number in range(DRAWS)]


def s(
    op: str,
    *operands: Operand | None,
    domain: str = "",
    opset: int = OPSET,
    outputs: int = 1,
    vary: Mapping[str, Sequence[Any]] | None = None,
    kinds: tuple[int, ...] = (),
    **attributes: Any,
) -> OnnxNode:
    """A specimen."""
    return OnnxNode(op, operands, attributes, domain, opset, outputs, vary or {}, kinds=kinds)


# ---- variants -----------------------------------------------------------------------------------

_TEXTS = {
    "mode": ("constant", "reflect", "edge", "wrap", "nearest", "linear", "cubic", "DCR", "CRD"),
    "direction": ("LEFT", "RIGHT"),
    "approximate": ("none", "tanh"),
    "auto_pad": ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"),
    "reduction": ("none", "add", "mul", "max", "min"),
    "coordinate_transformation_mode": (
        "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric",
    ),
    "nearest_mode": ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"),
    "keep_aspect_ratio_policy": ("stretch", "not_larger", "not_smaller"),
}  # fmt: skip

_FLAGS = frozenset(
    "allowzero antialias ceil_mode count_include_pad detect_negative detect_positive "
    "exclude_outside exclusive fmod keepdims largest noop_with_empty_axes reverse saturate "
    "select_last_index sorted storage_order training_mode transA transB transBatchA "
    "transBatchB upper".split()
)

# Lists with one entry, or two, for each spatial axis.
_SPATIAL = {
    "kernel_shape": ((1, 2), (2, 1), (2, 2)),
    "strides": ((1, 2), (2, 1), (2, 2)),
    "dilations": ((1, 2), (2, 1), (2, 2)),
    "output_padding": ((0, 1), (1, 0)),
    "pads": ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1), (1, 1, 1, 1)),
}


def variants(node: OnnxNode) -> Iterator[OnnxNode]:
    """The node, then each attribute and each operand changed alone."""
    yield replace(node, label="as it is")
    schema = node.schema
    names = list(schema.attributes) if schema is not None else []
    if node.op in ("Constant", "Split"):
        # One attribute, and only one; onnx aborts the process where a number of outputs is wrong.
        names = [name for name in names if node.op == "Split" and name == "axis"]
    given = [name for name in node.attributes if name != "num_outputs"]
    for name in dict.fromkeys([*names, *given, *node.vary]):
        if name in node.attributes:
            rest = {key: value for key, value in node.attributes.items() if key != name}
            yield replace(node, attributes=rest, label=f"no {name}")
        for value in _alternatives(node, name, schema):
            changed = {**node.attributes, name: value}
            yield replace(node, attributes=changed, label=f"{name}={value}")
    yield from _operand_variants(node)


def retyped(node: OnnxNode) -> Iterator[OnnxNode]:
    """The node on other floating-point types, where its schema has them."""
    for name, dtype in (("double", np.float64), ("half", np.float16)):
        operands = tuple(
            o.as_type(dtype) if o is not None and o.values.dtype == np.float32 else o
            for o in node.operands
        )
        if any(a is not b for a, b in zip(operands, node.operands, strict=True)):
            yield replace(node, operands=operands, label=f"{name}=True")


def _alternatives(node: OnnxNode, name: str, schema: Any) -> Iterator[Any]:
    yield from node.vary.get(name, ())
    now = node.attributes.get(name)
    known = schema.attributes.get(name) if schema is not None else None
    if now is None and known is not None and known.default_value.type:
        now = h.get_attribute_value(known.default_value)
    if name in _SPATIAL:
        yield from (list(value) for value in _SPATIAL[name])
    elif name == "to":
        yield from (1, 6, 7, 9, 10, 11)
    elif now in (0, 1) and name in _FLAGS:
        yield 1 - now
    elif isinstance(now, int):
        yield from (value for value in (0, 1, 2, 3, -1) if value != now)
    elif isinstance(now, float):
        yield from (now * 0.5 + 0.3, -now, now + 2.0)
    elif isinstance(now, (bytes, str)):
        text = now.decode() if isinstance(now, bytes) else now
        yield from (value for value in _TEXTS.get(name, ()) if value != text)
    elif isinstance(now, (list, tuple)) and now and isinstance(now[0], int):
        for place in range(len(now)):
            for step in (1, -1):
                yield [value + step * (i == place) for i, value in enumerate(now)]
        yield now[::-1]
        yield now[:-1]
    elif now is None and known is not None:
        kind = known.type
        if kind == onnx.defs.OpSchema.AttrType.INT:
            yield from (0, 1, 2)
        elif kind == onnx.defs.OpSchema.AttrType.FLOAT:
            yield from (0.5, 2.0)
        elif kind == onnx.defs.OpSchema.AttrType.INTS:
            yield from ([0], [1], [-1], [0, 1], [1, 0], [0, 2, 1], [1, 0, 2])


def _operand_variants(node: OnnxNode) -> Iterator[OnnxNode]:
    for place, operand in enumerate(node.operands):
        if operand is None:
            continue

        def changed(new: Operand | None, why: str, place: int = place) -> OnnxNode:
            operands = (*node.operands[:place], new, *node.operands[place + 1 :])
            while operands and operands[-1] is None:
                operands = operands[:-1]
            return replace(node, operands=operands, label=f"operand {place} {why}")

        if place:
            yield changed(None, "absent")
        if not operand.free:
            for why, values in _other_values(operand.values):
                yield changed(replace(operand, values=values), why)
        for other in range(place):
            first = node.operands[other]
            if first is not None and first.values.dtype == operand.values.dtype:
                reads = list(range(len(node.operands)))
                reads[other], reads[place] = place, other
                yield replace(node, reads=tuple(reads), label=f"swapped {other} {place}")
                reads[other] = other
                yield replace(node, reads=tuple(reads), label=f"{other} for {place}")


def _other_values(values: Array) -> Iterator[tuple[str, Array]]:
    if values.dtype.kind == "b":
        yield "negated", ~values
        return
    flat = values.ravel()
    if values.dtype.kind == "f":
        yield "changed", (flat[::-1] if flat.size > 1 else flat + 1).reshape(values.shape)
        return
    for place in range(min(flat.size, 4)):
        for step in (1,) if values.dtype.kind == "u" else (1, -1):
            other = flat.copy()
            other[place] += step
            yield f"[{place}]{step:+}", other.reshape(values.shape)
    if flat.size > 1:
        yield "reversed", flat[::-1].reshape(values.shape)
        if values.ndim == 1:
            yield "shortened", values[:-1].copy()
