"""An ONNX model as the certificate sees it: ports, constants, and a way to run it."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from onebyone.dialects.onnx.files.load import as_model
from onebyone.dialects.onnx.run.control_flow import describe
from onebyone.dialects.onnx.run.form import canonical_values
from onebyone.dialects.onnx.run.interpreter import Interpreter
from onebyone.dialects.onnx.run.runtime import OrtSession
from onebyone.dialects.protocol import (
    CanonicalForm,
    Constant,
    Embed,
    Limits,
    Observer,
    Port,
    Session,
    Step,
)
from onebyone.kernels.arithmetic import Arithmetic, Array, Tensor

# Operators through which an integer stays the same index.
_CARRIERS = frozenset(
    {"Cast", "Expand", "Flatten", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Unsqueeze"}
)
_NO_LIMITS = Limits()
# From this version on an initializer that is an input as well is its default.
_OVERRIDABLE = 4
# A constant of at most this many elements may hold numbers that something is compared with.
_SMALL = 16
_WORDS = ("string", "object", "complex64", "complex128")


class OnnxModel:
    """A model to certify; never altered.

    Args:
        model: a path, an ``onnx.ModelProto`` or an ``onnx_ir.Model``.

    Raises:
        InputError: the file cannot be read, or is no model.
    """

    positional = False
    modes = ("optimizations off", "optimizations on")
    runtime = "ONNX Runtime"

    def __init__(self, model: str | os.PathLike[str] | onnx.ModelProto | ir.Model) -> None:
        self.label = str(model) if isinstance(model, (str, os.PathLike)) else "model"
        self.source = model
        self.model = as_model(model)

    @property
    def inputs(self) -> tuple[Port, ...]:
        """The graph's inputs; before IR version 4 no caller can replace an initializer."""
        return tuple(
            _port(v)
            for v in self.model.graph.inputs
            if v.const_value is None or self.model.ir_version >= _OVERRIDABLE
        )

    @property
    def outputs(self) -> tuple[Port, ...]:
        return tuple(_port(v) for v in self.model.graph.outputs)

    @property
    def weight_bytes(self) -> int:
        """Bytes of the initializers."""
        values = self.model.graph.initializers.values()
        return sum(v.const_value.nbytes for v in values if v.const_value is not None)

    def constants(self) -> Iterator[Constant]:
        """Every initializer and ``Constant`` node that is read, of subgraphs and functions too."""
        graphs = [self.model.graph, *(f.graph for f in self.model.functions.values())]
        for graph in graphs:
            yield from _constants(graph)

    def form(self, *, by_position: bool = False) -> CanonicalForm:
        """The canonical form; by position also with what depends on constants alone computed."""
        canonical, values = canonical_values(self.model, by_position=by_position)
        steps = tuple(step(node) for node in self.model.graph)
        return CanonicalForm(
            canonical.outputs,
            values,
            steps,
            tuple(canonical.opaque),
            canonical.assumed,
            canonical.fallible,
        )

    def index_bounds(self) -> dict[str, int]:
        """For each integer input that reaches the index of a ``Gather`` the rows of its table."""
        bounds: dict[str, int] = {}
        for value in self.model.graph.inputs:
            if value.dtype is not None and value.dtype.is_integer():
                bound = _bound(value, set())
                if bound is not None:
                    bounds[value.name or ""] = bound
        return bounds

    def numbers(self) -> Iterator[float]:
        """The elements of small constants, and the numbers in attributes."""
        for constant in self.constants():
            if 0 < constant.size <= _SMALL and constant.dtype not in _WORDS:
                yield from map(float, np.ravel(constant.real()))
        for node in ir.traversal.RecursiveGraphIterator(self.model.graph):
            for attribute in node.attributes.values():
                if attribute.type in (ir.AttributeType.FLOAT, ir.AttributeType.INT):
                    yield float(attribute.value)
                elif attribute.type in (ir.AttributeType.FLOATS, ir.AttributeType.INTS):
                    yield from map(float, attribute.value[:_SMALL])

    def run(
        self,
        ar: Arithmetic,
        inputs: Mapping[str, Tensor],
        *,
        deadline: float | None = None,
        observe: Observer | None = None,
        embed: Embed | None = None,
    ) -> dict[str, Tensor]:
        """Run on ``inputs`` in an arithmetic; see `Interpreter.run` for what it raises."""
        watch = None if observe is None else _Watch(observe)
        return Interpreter(self.model, ar, deadline, watch, embed).run(inputs)

    def steps(self) -> tuple[Step, ...]:
        """The nodes of the main graph."""
        return tuple(step(node) for node in self.model.graph)

    def part(
        self, ar: Arithmetic, given: Mapping[str, Tensor], wanted: Collection[str]
    ) -> dict[str, Tensor]:
        """Values that follow from given ones and from constants; see `Interpreter.part`."""
        return Interpreter(self.model, ar).part(given, wanted)

    def session(self, mode: str, limits: Limits = _NO_LIMITS) -> Session:
        """The model in ONNX Runtime, its graph optimizations off or on."""
        return OrtSession(self.source, self.model, optimize=mode == self.modes[1], limits=limits)


@dataclass(frozen=True)
class _Watch:
    """Tells an observer of steps what the interpreter tells of nodes."""

    observe: Observer

    def __call__(self, node: ir.Node, results: list[Tensor | None], constant: bool) -> None:
        self.observe(step(node, constant), results)


def step(node: ir.Node, constant: bool = False) -> Step:
    """What the certificate says of a node."""
    return Step(
        describe(node),
        node.op_type,
        tuple("" if v is None else v.name or "" for v in node.inputs),
        tuple(v.name or "" for v in node.outputs),
        ", ".join(f"{k}={_short(a)}" for k, a in sorted(node.attributes.items())),
        constant,
    )


def _short(attribute: ir.Attr) -> str:
    if attribute.type in (
        ir.AttributeType.FLOAT, ir.AttributeType.INT, ir.AttributeType.STRING,
        ir.AttributeType.INTS, ir.AttributeType.FLOATS,
    ):  # fmt: skip
        value: Any = attribute.value
        text = str(list(value)) if isinstance(value, (list, tuple)) else str(value)
        return text if len(text) <= 60 else text[:57] + "..."
    return f"<{attribute.type.name.lower()}>"


def _port(value: ir.Value) -> Port:
    dtype = "unknown" if value.dtype is None else _dtype_name(value.dtype)
    tensor = value.const_value
    default = None if tensor is None or not value.is_graph_input() else tensor.numpy
    if value.shape is None:
        return Port(value.name or "", dtype, None, default=default)
    dims = tuple(d if isinstance(d, int) else d.value for d in value.shape)
    return Port(value.name or "", dtype, dims, default=default)


def _dtype_name(dtype: ir.DataType) -> str:
    try:
        return str(dtype.numpy())
    except TypeError:
        return dtype.name.lower()


def _constants(graph: ir.Graph) -> Iterator[Constant]:
    for name, value in graph.initializers.items():
        if value.const_value is not None and _is_read(value):
            yield _constant(name, value.const_value)
    for node in graph:
        if not any(_is_read(value) for value in node.outputs):
            continue
        for name, attribute in node.attributes.items():
            if attribute.type == ir.AttributeType.GRAPH:
                yield from _constants(attribute.as_graph())
            elif node.op_type == "Constant" and node.domain in ("", "ai.onnx"):
                label = node.outputs[0].name or node.name or "constant"
                if name == "value":
                    yield _constant(label, attribute.as_tensor())
                elif name in ("value_float", "value_floats"):
                    yield _constant(label, ir.tensor(np.asarray(attribute.value, np.float32)))
                elif name in ("value_int", "value_ints"):
                    yield _constant(label, ir.tensor(np.asarray(attribute.value, np.int64)))


def _is_read(value: ir.Value) -> bool:
    return bool(value.uses()) or value.is_graph_output()


def _constant(name: str, tensor: ir.TensorProtocol) -> Constant:
    dtype = tensor.dtype

    def real() -> Array:
        return np.asarray(tensor.numpy())

    def read() -> Array:
        array = np.ascontiguousarray(tensor.numpy())
        if array.dtype.kind in "OUSc":
            return array
        return array.view(np.dtype(f"u{array.dtype.itemsize}"))

    return Constant(
        name, _dtype_name(dtype), tuple(int(n) for n in tensor.shape.numpy()), read, real
    )


def _bound(value: ir.Value, seen: set[ir.Value]) -> int | None:
    if value in seen:
        return None
    seen.add(value)
    bounds: list[int] = []
    for node, position in value.uses():
        if node.op_type == "Gather" and position == 1 and (table := node.inputs[0]) is not None:
            axis = node.attributes["axis"].as_int() if "axis" in node.attributes else 0
            size = table.shape[axis] if table.shape is not None else None
            if isinstance(size, int):
                bounds.append(size)
        elif node.op_type in _CARRIERS and position == 0 and not _to_float(node):
            bound = _bound(node.outputs[0], seen)
            if bound is not None:
                bounds.append(bound)
    return min(bounds, default=None)


def _to_float(node: ir.Node) -> bool:
    to = node.attributes.get("to")
    return to is not None and not ir.DataType(to.as_int()).is_integer()
