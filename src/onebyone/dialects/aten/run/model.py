"""An exported program as the certificate sees it: ports, constants, and ways to run it."""

from __future__ import annotations

import functools
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import fx
from torch.export import ExportedProgram
from torch.export.graph_signature import ConstantArgument, InputKind, OutputKind
from torch.utils import _pytree as pytree

from onebyone.dialects.aten.files import as_program
from onebyone.dialects.aten.read.reader import stored
from onebyone.dialects.aten.read.table import functional
from onebyone.dialects.aten.run.form import canonical_values
from onebyone.dialects.aten.run.interpreter import Interpreter, step
from onebyone.dialects.aten.run.runtime import EagerSession, to_numpy
from onebyone.dialects.aten.values import arguments, fake, op_name
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
from onebyone.kernels.errors import UnsupportedError
from onebyone.kernels.precision import native

_NO_LIMITS = Limits()
# Operators through which an integer stays the same index.
_CARRIERS = frozenset(
    "_to_copy alias clone contiguous expand flatten index_select reshape select slice squeeze to "
    "unsqueeze view".split()
)
_TABLES = {"embedding": "weight", "index_select": "self", "gather": "self", "index": "self"}
# A constant of at most this many elements may hold numbers that something is compared with.
_SMALL = 16
_STORED = (InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR)
_CHANGED = (OutputKind.BUFFER_MUTATION, OutputKind.USER_INPUT_MUTATION)


class ExportedModel:
    """A PyTorch program to certify; never altered.

    Its inputs are its user inputs in the order of a call, nested ones flattened, under the names
    of their placeholders, then the buffers that it changes. Its outputs are its results in order,
    then what it leaves in those buffers and in inputs that it writes into.

    Args:
        model: a path or an ``ExportedProgram``.

    Raises:
        InputError: the file cannot be read, or the program was exported in training mode.
    """

    positional = True
    modes = ("eager",)
    runtime = "PyTorch"

    def __init__(self, model: str | os.PathLike[str] | ExportedProgram) -> None:
        self.label = str(model) if isinstance(model, (str, os.PathLike)) else "program"
        self.source = as_program(model)
        self.program = functional(self.source)
        self._nodes = {n.name: n for n in self.program.graph.find_nodes(op="placeholder")}
        signature = self.program.graph_signature
        changed = set(signature.buffers_to_mutate.values())
        changed |= set(getattr(signature, "parameters_to_mutate", {}).values())
        # Placeholder -> name of the buffer that the program changes.
        self.states: dict[str, str] = {
            spec.arg.name: spec.target
            for spec in signature.input_specs
            if spec.target is not None and spec.target in changed
        }

    @property
    def arguments(self) -> list[tuple[str | None, Any]]:
        """For each flat argument of a call its placeholder, or None and its fixed value."""
        flat: list[tuple[str | None, Any]] = []
        for spec in self.program.graph_signature.input_specs:
            if spec.kind is InputKind.USER_INPUT:
                fixed = isinstance(spec.arg, ConstantArgument)
                flat.append((None, spec.arg.value) if fixed else (spec.arg.name, None))  # pyright: ignore[reportAttributeAccessIssue]
        return flat

    @property
    def inputs(self) -> tuple[Port, ...]:
        """User inputs, then changed buffers."""
        user_inputs = [_port(name, fake(self._nodes[name])) for name, _ in self.arguments if name]
        return (*user_inputs, *(_port(n, fake(self._nodes[n]), state=True) for n in self.states))

    @functools.cached_property
    def _results(self) -> tuple[list[tuple[int, Port]], list[tuple[int, Port, str]]]:
        """Places in the graph's output, with the ports: of results, and of changed tensors."""
        output = next(iter(self.program.graph.find_nodes(op="output")))
        results: list[tuple[int, Port]] = []
        changed: list[tuple[int, Port, str]] = []
        seen: set[str] = set()
        specs = self.program.graph_signature.output_specs
        for place, (node, spec) in enumerate(zip(output.args[0], specs, strict=True)):  # pyright: ignore[reportArgumentType]
            if not isinstance(node, fx.Node):
                continue
            name = node.name
            while name in seen:
                name += "'"
            seen.add(name)
            value = fake(node)
            if spec.kind in _CHANGED:
                changed.append((place, _port(name, value, state=True), str(spec.target)))
            elif isinstance(value, (torch.Tensor, torch.SymInt)):
                results.append((place, _port(name, value)))
        return results, changed

    @property
    def outputs(self) -> tuple[Port, ...]:
        """Results, then what is left in changed buffers and inputs."""
        results, changed = self._results
        return (*(port for _, port in results), *(port for _, port, _ in changed))

    @property
    def weight_bytes(self) -> int:
        """Bytes of parameters, buffers and constants."""
        tensors = (stored(self.program, target) for _, target in self._stored())
        return sum(t.numel() * t.element_size() for t in tensors)

    def _stored(self) -> Iterator[tuple[fx.Node, str]]:
        for spec in self.program.graph_signature.input_specs:
            name = getattr(spec.arg, "name", None)
            if spec.kind in _STORED and name in self._nodes and spec.target is not None:
                yield self._nodes[name], spec.target

    def constants(self) -> Iterator[Constant]:
        """Every parameter, buffer and constant that is read and not changed, as raw bits."""
        for node, target in self._stored():
            if node.users and node.name not in self.states:
                yield _constant(target, stored(self.program, target))

    def form(self, *, by_position: bool = False) -> CanonicalForm:
        """The canonical form; a program's is always by position."""
        canonical, values = canonical_values(self.program)
        nodes = (n for n in self.program.graph.nodes if n.op == "call_function")
        steps = tuple(step(n) for n in nodes if op_name(n) != "getitem")
        return CanonicalForm(
            canonical.outputs,
            values,
            steps,
            tuple(canonical.opaque),
            canonical.assumed,
            canonical.fallible,
        )

    def index_bounds(self) -> dict[str, int]:
        """For each integer input that indexes an embedding or its kin the rows of that table."""
        integers = [p.name for p in self.inputs if p.dtype.startswith(("int", "uint"))]
        bounds = {name: _bound(self._nodes[name], set()) for name in integers}
        return {name: bound for name, bound in bounds.items() if bound is not None}

    def numbers(self) -> Iterator[float]:
        """The elements of small constants, and the numbers in calls."""
        for constant in self.constants():
            if 0 < constant.size <= _SMALL and not constant.dtype.startswith("complex"):
                yield from map(float, np.ravel(constant.real()))
        for node in self.program.graph.nodes:
            for value in pytree.tree_leaves((node.args, node.kwargs)):
                if type(value) in (int, float):
                    yield float(value)

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
        given: dict[fx.Node, Tensor] = {}
        for name, node in self._nodes.items():
            if name in inputs:
                if not isinstance(fake(node), torch.Tensor):
                    raise UnsupportedError(f"input {name} is a number that sizes depend on")
                given[node] = inputs[name]
        tensors = Interpreter(self.program, ar, self._tensors(given), deadline, observe, embed).run(
            given
        )
        results, changed = self._results
        places = [*results, *((place, port) for place, port, _ in changed)]
        return {port.name: _array(tensors[place]) for place, port in places}

    def _tensors(self, given: Collection[fx.Node] = ()) -> dict[fx.Node, tuple[str, Array]]:
        return {
            node: (target, native(to_numpy(stored(self.program, target))))
            for node, target in self._stored()
            if node not in given and node.users
        }

    def steps(self) -> tuple[Step, ...]:
        """The calls of the graph; stored tensors under their own names."""
        names = {node.name: target for node, target in self._stored()}
        calls = (n for n in self.program.graph.nodes if n.op == "call_function")
        every = (step(n) for n in calls if op_name(n) != "getitem")
        return tuple(
            replace(one, inputs=tuple(names.get(name, name) for name in one.inputs))
            for one in every
        )

    def part(
        self, ar: Arithmetic, given: Mapping[str, Tensor], wanted: Collection[str]
    ) -> dict[str, Tensor]:
        """Values that follow from given ones and from constants; see `Interpreter.part`."""
        return Interpreter(self.program, ar, self._tensors()).part(given, wanted)

    def named(
        self,
        results: Sequence[Any],
        buffers: Mapping[str, torch.Tensor],
        arguments: Mapping[str, torch.Tensor],
    ) -> dict[str, Array]:
        """What a call gave, by the names of the outputs."""
        returned, changed = self._results
        # A call gives no changes, which come first in the graph's output.
        first = sum(s.kind in _CHANGED for s in self.program.graph_signature.output_specs)
        arrays = {port.name: _plain(results[place - first]) for place, port in returned}
        for _, port, target in changed:
            tensor = buffers[target] if target in buffers else arguments[target]
            arrays[port.name] = to_numpy(tensor)
        return arrays

    def session(self, mode: str, limits: Limits = _NO_LIMITS) -> Session:
        """The program in PyTorch, eager, on the CPU; in this process, whose limits hold for it."""
        return EagerSession(self.source, self.arguments, self.states, self.named)


def _plain(value: Any) -> Array:
    return to_numpy(value) if isinstance(value, torch.Tensor) else np.asarray(value, np.int64)


def _array(value: Any) -> Any:
    return np.asarray(value, np.int64) if isinstance(value, int) else value


def _port(name: str, value: Any, *, state: bool = False) -> Port:
    if not isinstance(value, torch.Tensor):
        return Port(name, "int64", (), state)
    dims = tuple(n if type(n) is int else str(n) for n in value.shape)
    return Port(name, str(value.dtype).removeprefix("torch."), dims, state)


def _constant(name: str, tensor: torch.Tensor) -> Constant:
    def real() -> Array:
        return to_numpy(tensor)

    def read() -> Array:
        array = np.ascontiguousarray(to_numpy(tensor))
        if array.dtype.kind == "c":
            return array
        return array.view(np.dtype(f"u{array.dtype.itemsize}"))

    dtype = str(tensor.dtype).removeprefix("torch.")
    return Constant(name, dtype, tuple(tensor.shape), read, real)


def _bound(node: fx.Node, seen: set[fx.Node]) -> int | None:
    if node in seen:
        return None
    seen.add(node)
    bounds: list[int] = []
    for user in node.users:
        if user.op != "call_function" or not isinstance(fake(user), torch.Tensor):
            continue
        name, given = op_name(user), arguments(user)
        table = given.get(_TABLES.get(name, ""))
        if isinstance(table, fx.Node) and table is not node:
            axis = given.get("dim", 0)
            if name == "index":
                axis = next((i for i, x in enumerate(given["indices"]) if x is node), 0)
            size = fake(table).shape[axis]
            if type(size) is int:
                bounds.append(size)
        elif name in _CARRIERS and not fake(user).dtype.is_floating_point:
            bound = _bound(user, seen)
            if bound is not None:
                bounds.append(bound)
    return min(bounds, default=None)
