"""Toy models run: over any arithmetic for the certificate, and in numpy as their runtime."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import numpy as np

from onebyone.axes.canonical import canonical, hashes_by_name
from onebyone.dialects.protocol import CanonicalForm, Constant, Embed, Limits, Observer, Port, Step
from onebyone.kernels import elementwise, products, windows
from onebyone.kernels.arithmetic import Arithmetic, Float64, Tensor
from onebyone.kernels.errors import OverBudgetError, UnsupportedError
from tests.toy.files import Array, ToyModel, ToyNode, load
from tests.toy.read import read


def _conv(ar: Arithmetic, x: Any, w: Any, b: Any = None, *, stride: list[int], groups: int) -> Any:
    ones, none = [1] * len(stride), [(0, 0)] * len(stride)
    return windows.conv(
        ar, x, w, b, strides=stride, dilations=ones, pads=none, groups=groups
    )  # fmt: skip


def _mean(ar: Arithmetic, x: Any, *, axes: list[int], keep: bool) -> Any:
    out = ar.mean(x, tuple(axes))
    return out if keep else ar.move(lambda a: a.squeeze(tuple(axes)), out)


def _cut(ar: Arithmetic, x: Any, *, axis: int, start: int, stop: int) -> Any:
    place = (slice(None),) * axis
    return ar.move(lambda a: a[(*place, slice(start, stop))], x)


# Operator -> what it computes: one row each.
OPERATORS: dict[str, Callable[..., Any]] = {
    "conv": _conv,
    "cut": _cut,
    "dot": products.matmul,
    "mean": _mean,
    "plus": lambda ar, a, b: ar.add(a, b),
    "relu": elementwise.positive,
    "shape": lambda ar, x, *, sizes: ar.move(lambda a: a.reshape(sizes), x),
    "soften": lambda ar, x, *, axis: ar.softmax(x, axis),
    "swap": lambda ar, x, *, order: ar.move(lambda a: a.transpose(order), x),
    "times": lambda ar, a, b: ar.mul(a, b),
}


class ToyProgram:
    """See `onebyone.dialects.protocol.Model`."""

    positional = False
    modes = ("numpy",)
    runtime = "numpy"

    def __init__(self, model: Any) -> None:
        self.label = "toy"
        self.model: ToyModel = load(model, {})

    @property
    def inputs(self) -> tuple[Port, ...]:
        return tuple(Port(name, "float32", shape) for name, shape in self.model.inputs.items())

    @property
    def outputs(self) -> tuple[Port, ...]:
        return tuple(Port(name, "float32", None) for name in self.model.outputs)

    @property
    def weight_bytes(self) -> int:
        return sum(array.nbytes for array in self.model.constants.values())

    def constants(self) -> Iterator[Constant]:
        wanted = {name for node in self.model.nodes for name in node.inputs}
        for name, array in self.model.constants.items():
            if name in wanted:
                yield Constant(
                    name,
                    "float32",
                    array.shape,
                    lambda a=array: a.view(np.uint32),
                    lambda a=array: a,
                )

    def form(self, *, by_position: bool = False) -> CanonicalForm:
        lifted = read(self.model)
        form = canonical(
            lifted.graph,
            lambda tensor: self.model.constants[tensor.name],
            lambda node: (node.natives[0].op, str(node.natives[0].facts)),
            by_position=by_position,
        )
        values = hashes_by_name(lifted.graph, form)
        steps = tuple(map(step, self.model.nodes))
        return CanonicalForm(form.outputs, values, steps, tuple(form.opaque))

    def index_bounds(self) -> dict[str, int]:
        return {}

    def numbers(self) -> Iterator[float]:
        return iter(())

    def run(
        self,
        ar: Arithmetic,
        inputs: Mapping[str, Tensor],
        *,
        deadline: float | None = None,
        observe: Observer | None = None,
        embed: Embed | None = None,
    ) -> dict[str, Tensor]:
        values: dict[str, Any] = dict(inputs)
        for name, array in self.model.constants.items():
            values[name] = ar.constant(array) if embed is None else embed(name, array)
        ar.unit = 2.0**-24
        for node in self.model.nodes:
            if deadline is not None and time.monotonic() > deadline:
                raise OverBudgetError(f"the time was over at {node.output}")
            if node.op not in OPERATORS:
                raise UnsupportedError(f"operator {node.op}")
            operands = (values[name] for name in node.inputs)
            values[node.output] = OPERATORS[node.op](ar, *operands, **node.facts)
            if observe is not None:
                observe(step(node), [values[node.output]])
        return {name: values[name] for name in self.model.outputs}

    def steps(self) -> tuple[Step, ...]:
        return tuple(step(node) for node in self.model.nodes)

    def part(
        self, ar: Arithmetic, given: Mapping[str, Tensor], wanted: Collection[str]
    ) -> dict[str, Tensor]:
        raise UnsupportedError("a part of a toy")

    def session(self, mode: str, limits: Limits | None = None) -> ToySession:
        return ToySession(self)


class ToySession:
    """numpy, each result rounded to float32."""

    taken = 0

    def __init__(self, program: ToyProgram) -> None:
        self._program = program

    def run(self, values: Mapping[str, Array]) -> dict[str, Array]:
        results = self._program.run(
            _Float32(), {name: np.asarray(v, np.float64) for name, v in values.items()}
        )
        return {name: np.asarray(value, np.float32) for name, value in results.items()}

    def close(self) -> None:
        pass


class _Float32(Float64):
    """float64 arithmetic whose sums and products are rounded to float32."""

    def add(self, a: Tensor, b: Tensor) -> Array:
        return np.float32(super().add(a, b)).astype(np.float64)

    def mul(self, a: Tensor, b: Tensor) -> Array:
        return np.float32(super().mul(a, b)).astype(np.float64)

    def matmul(self, a: Tensor, b: Tensor) -> Array:
        return np.float32(super().matmul(a, b)).astype(np.float64)


def step(node: ToyNode) -> Step:
    """What the certificate says of a node."""
    return Step(f"{node.op} {node.output!r}", node.op, node.inputs, (node.output,), str(node.facts))
