"""A builder of random valid ONNX graphs: it knows the shape, the bound and the kind of each value.

Floats hold small integers as long as every step is exact, so that two orders of evaluation must
agree bit for bit. ``bound`` is the largest magnitude that a value can have.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper

DTYPES = {"float32": T.FLOAT, "float16": T.FLOAT16, "bfloat16": T.BFLOAT16, "float64": T.DOUBLE}
# Integers up to here are exact, sums of them too.
EXACT = {"float32": 2.0**22, "float16": 1024.0, "bfloat16": 128.0, "float64": 2.0**50}
# Sizes that only dynamic dimensions have, in models that have any.
BATCH, SEQ = 3, 5


@dataclass(frozen=True)
class Val:
    """A value of the graph under construction."""

    name: str
    shape: tuple[int, ...]
    kind: str = "f"  # f: the float type, i: int64, b: bool
    bound: float = 4.0
    exact: bool = True

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)


def numpy_type(dtype: str) -> Any:
    return ml_dtypes.bfloat16 if dtype == "bfloat16" else np.dtype(dtype)


@dataclass
class Builder:
    """Collects nodes; every random choice comes from ``rng``."""

    rng: np.random.Generator
    opset: int
    dtype: str
    sizes: tuple[int, ...]
    dynamic: bool = False
    nodes: list[onnx.NodeProto] = field(default_factory=list[onnx.NodeProto])
    initializers: dict[str, onnx.TensorProto] = field(default_factory=dict[str, onnx.TensorProto])
    inputs: list[Any] = field(default_factory=list[Any])
    feeds: dict[str, Any] = field(default_factory=dict[str, Any])
    pool: list[Val] = field(default_factory=list[Val])
    extra_outputs: list[Val] = field(default_factory=list[Val])
    weights: list[tuple[str, tuple[int, ...]]] = field(
        default_factory=list[tuple[str, tuple[int, ...]]]
    )
    functions: list[onnx.FunctionProto] = field(default_factory=list[onnx.FunctionProto])
    count: int = 0

    # ---- choices ------------------------------------------------------------------------------

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def pick(self, items: Sequence[Any]) -> Any:
        return items[int(self.rng.integers(len(items)))]

    def width(self) -> int:
        return int(self.pick(self.sizes))

    def name(self, stem: str) -> str:
        self.count += 1
        return f"{stem}{self.count}"

    # ---- nodes --------------------------------------------------------------------------------

    def op(self, op_type: str, inputs: Sequence[str], count: int = 1, **attrs: Any) -> list[str]:
        outputs = [self.name("v") for _ in range(count)]
        node = h.make_node(op_type, list(inputs), outputs, **attrs)
        # Unnamed nodes and duplicate names are valid.
        roll = self.rng.random()
        node.name = "" if roll < 0.1 else "same" if roll < 0.2 else f"{op_type}_{self.count}"
        self.nodes.append(node)
        return outputs

    def one(self, op_type: str, inputs: Sequence[str], **attrs: Any) -> str:
        return self.op(op_type, inputs, 1, **attrs)[0]

    def constant(self, array: Any, stem: str = "c") -> str:
        """An initializer or a Constant node."""
        name = self.name(stem)
        tensor = numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)
        if self.chance(0.2):
            self.nodes.append(h.make_node("Constant", [], [name], value=tensor, name=""))
        else:
            self.initializers[name] = tensor
        return name

    def ints(self, values: Sequence[int]) -> str:
        return self.constant(np.asarray(values, np.int64), "i")

    def scalar(self, value: float) -> str:
        shape = self.pick([(), (1,), (1, 1)])
        return self.constant(np.full(shape, value).astype(numpy_type(self.dtype)))

    def integers(self, shape: Sequence[int], low: int = -2, high: int = 2) -> Any:
        return self.rng.integers(low, high + 1, tuple(shape)).astype(numpy_type(self.dtype))

    def input(self, shape: Sequence[int], kind: str = "f", high: int = 3) -> Val:
        name = self.name("x")
        if kind == "f":
            array, code = self.integers(shape, -high, high), DTYPES[self.dtype]
        elif kind == "b":
            array, code = self.rng.integers(0, 2, tuple(shape)).astype(bool), T.BOOL
        else:
            array, code = self.rng.integers(0, high + 1, tuple(shape)), T.INT64
        self.feeds[name] = array
        dims = [self._symbol(d) if self.dynamic else d for d in shape]
        self.inputs.append(h.make_tensor_value_info(name, code, dims))
        found = Val(name, tuple(shape), kind, float(high))
        self.pool.append(found)
        return found

    @staticmethod
    def _symbol(size: int) -> int | str:
        return {BATCH: "batch", SEQ: "seq"}.get(size, size)

    def fixed(self, size: int) -> bool:
        """Whether a size may stand in a constant."""
        return not self.dynamic or (size % BATCH != 0 and size % SEQ != 0)

    # ---- values -------------------------------------------------------------------------------

    def tame(self, x: Val, room: float) -> Val:
        """``x`` with a bound of at most ``EXACT / room``."""
        limit = max(1.0, EXACT[self.dtype] / max(room, 1.0))
        if x.bound <= limit:
            return x
        limit = float(2 ** int(math.log2(min(limit, 4.0))))
        if self.opset >= 11:
            name = self.one("Clip", [x.name, self.bare(-limit), self.bare(limit)])
        else:
            name = self.one("Clip", [x.name], min=-limit, max=limit)
        return Val(name, x.shape, "f", limit, x.exact)

    def bare(self, value: float) -> str:
        return self.constant(np.asarray(value).astype(numpy_type(self.dtype)))

    def weight(self, shape: Sequence[int]) -> str:
        """A constant of small integers, often behind a disguise, sometimes tied to another."""
        shape = tuple(shape)
        if self.chance(0.25):
            same = [name for name, other in self.weights if other == shape]
            turned = [name for name, other in self.weights if other == shape[::-1]]
            if same:
                return self.pick(same)
            if turned:
                return self.one("Transpose", [self.pick(turned)])
        roll = self.rng.random()
        array = self.integers(shape)
        if roll < 0.55 or not shape:
            name = self.constant(array, "w")
            self.weights.append((name, shape))
            return name
        if roll < 0.65:
            return self.one("Identity", [self.constant(array, "w")])
        if roll < 0.8:
            perm = [int(p) for p in self.rng.permutation(len(shape))]
            stored = np.transpose(array, np.argsort(perm))
            return self.one("Transpose", [self.constant(stored, "w")], perm=perm)
        if roll < 0.92:
            stored = array.reshape(self.pick([(-1,), (1, *shape), (*shape, 1)]))
            return self.one("Reshape", [self.constant(stored, "w"), self.ints(shape)])
        stored = array.astype(np.int8 if self.chance(0.5) else np.float64)
        return self.one("Cast", [self.constant(stored, "w")], to=DTYPES[self.dtype])

    def reshape(self, x: Val, shape: Sequence[int]) -> Val:
        """A reshape, its target written in one of the ways that exporters write it."""
        shape = tuple(shape)
        assert math.prod(shape) == x.size, (x, shape)
        if x.shape == shape and self.chance(0.5):
            return x
        return Val(
            self.one("Reshape", [x.name, self._target(x, shape)]), shape, x.kind, x.bound, x.exact
        )

    def _target(self, x: Val, shape: tuple[int, ...]) -> str:
        entries: list[int | None] = [d if self.fixed(d) else None for d in shape]
        for place, entry in enumerate(entries):
            same = place < x.rank and x.shape[place] == shape[place]
            if same and self.chance(0.7 if entry is None else 0.2):
                entries[place] = 0
        unknown = [p for p, e in enumerate(entries) if e is None]
        if not unknown and self.chance(0.3):
            unknown = [int(self.rng.integers(len(entries)))] if entries else []
        if len(unknown) <= 1:
            for place in unknown:
                entries[place] = -1
            return self.ints([e if e is not None else 1 for e in entries])
        parts: list[str] = []
        for entry, size in zip(entries, shape, strict=True):
            parts.append(self.ints([entry]) if entry is not None else self.measured(size))
        return self.one("Concat", parts, axis=0)

    def measured(self, size: int) -> str:
        """A vector of one size, computed from the shapes of the inputs."""
        parts: list[str] = []
        for base in (BATCH, SEQ):
            while size % base == 0:
                parts.append(self._dimension(base))
                size //= base
        if size > 1 or not parts:
            parts.append(self.ints([size]))
        found = parts[0]
        for part in parts[1:]:
            found = self.one("Mul", [found, part])
        return found

    def _dimension(self, base: int) -> str:
        holders = [
            (name, place)
            for name, array in self.feeds.items()
            for place, size in enumerate(array.shape)
            if size == base
        ]
        name, place = self.pick(holders)
        if self.opset >= 15 and self.chance(0.5):
            return self.one("Shape", [name], start=place, end=place + 1)
        return self.one("Gather", [self.one("Shape", [name]), self.ints([place])], axis=0)

    def axes(self, op_type: str, x: str, axes: Sequence[int], since: int, **attrs: Any) -> str:
        """A node whose axes are an input from opset ``since`` on."""
        if self.opset >= since:
            return self.one(op_type, [x, self.ints(axes)], **attrs)
        return self.one(op_type, [x], axes=list(axes), **attrs)
