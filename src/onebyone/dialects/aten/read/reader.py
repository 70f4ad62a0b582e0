"""Read an exported program as operations on labelled positions."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import fx
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from onebyone.axes.meanings import is_described
from onebyone.axes.parts import without_elements
from onebyone.axes.positional import (
    Apply,
    Kind,
    Meaning,
    Operation,
    Positional,
    Tensor,
    Unknown,
)
from onebyone.axes.sizes import Size
from onebyone.dialects.aten.read.arguments import Arguments
from onebyone.dialects.aten.values import (
    Name,
    Native,
    Number,
    arguments,
    dtype_name,
    fake,
    is_tensor,
    op_key,
    schema_of,
    shape_of,
    tags_of,
)

# More elements than any shape or index vector has.
_LIMIT = 64


class Reading:
    """What a handler returns: a meaning, and the arguments that are its operands."""

    def __init__(self, meaning: Meaning, *names: Name) -> None:
        self.meaning = meaning
        self.names = names


# (namespace, operator)
Key = tuple[str, str]
Handler = Callable[["Reader", fx.Node, Arguments], "Reading | Unknown | list[Operation]"]


class NoOperandError(Exception):
    """An argument is a size that is computed at run time, where a tensor is expected."""


class Reader:
    """Reads one program; knows its tensors and the elements of its constants."""

    def __init__(
        self, program: ExportedProgram, table: Mapping[Key, Handler], *, fold: bool = False
    ) -> None:
        self.program = program
        self.graph: fx.Graph = program.graph
        self.tensors: dict[fx.Node, Tensor] = {}
        self.natives: dict[fx.Node, Native] = {}
        self.targets: dict[fx.Node, str] = {}
        # Nodes that have been read and depend on constants alone.
        self.derived: set[fx.Node] = set()
        self._elements: dict[fx.Node, torch.Tensor] = {}
        self._table = table
        self.folds = fold

    def read(self) -> Positional:
        """All operations of the graph, in its order."""
        model = Positional()
        self._inputs(model)
        for node in self.graph.nodes:
            if node.all_input_nodes and self.derived.issuperset(node.all_input_nodes):
                self.derived.add(node)
            if node.op == "call_function" and node.target is not operator.getitem:
                model.operations += self._operations(node)
        output = next(iter(self.graph.find_nodes(op="output")))
        flat: list[fx.Node] = []
        fx.map_arg(output.args[0], flat.append)
        model.outputs = [self.tensors[node] for node in flat if node in self.tensors]
        return model

    def elements(self, tensor: Tensor) -> torch.Tensor:
        """The elements of a constant."""
        key = tensor.key
        if isinstance(key, Number):
            # Half types compute in float32: a number is not rounded before it takes part.
            half = key.dtype in (torch.float16, torch.bfloat16)
            return torch.tensor(key.value, dtype=torch.float32) if half else key.tensor()
        if isinstance(key, torch.Tensor):
            return key
        return self._elements[key]

    def tensor(self, node: fx.Node, **extra: Any) -> Tensor:
        """The positional tensor of an fx node, registered."""
        value = fake(node)
        name = self.targets.get(node, node.name)
        made = Tensor(node, shape_of(value), dtype_name(value.dtype), name=name, **extra)
        self.tensors[node] = made
        return made

    def operand(self, node: fx.Node, name: Name, given: Mapping[str, Any]) -> Tensor | None:
        """The tensor of an argument; numbers become tensors without dimensions.

        Raises:
            NoOperandError: the argument is a size that is known at run time only.
        """
        value = given.get(name) if isinstance(name, str) else given[name[0]][name[1]]
        if value is None:
            return None
        if isinstance(value, fx.Node):
            if value in self.tensors:
                return self.tensors[value]
            raise NoOperandError
        dtype = torch.int64 if name == "index" else self._promoted(node, value)
        number = Number(value, dtype)
        contents = (Size(int(value)),) if number.dtype == torch.int64 else None
        name_ = f"{node.name}.{name}"
        return Tensor(number, (), dtype_name(number.dtype), True, name_, contents)

    def _promoted(self, node: fx.Node, number: float) -> torch.dtype:
        """The type in which a number takes part."""
        values = [fake(v) for v in arguments(node).values() if is_tensor(v)]
        values = [v for v in values if v.dtype != torch.bool] or values
        return torch.result_type(values[0], number) if values else fake(node).dtype

    def _inputs(self, model: Positional) -> None:
        signature = self.program.graph_signature
        mutated = set(signature.buffers_to_mutate.values())
        mutated |= set(getattr(signature, "parameters_to_mutate", {}).values())
        kinds = {getattr(spec.arg, "name", None): spec for spec in signature.input_specs}
        for node in self.graph.find_nodes(op="placeholder"):
            spec = kinds.get(node.name)
            if spec is None or not is_tensor(node):
                continue
            if spec.target is not None:
                self.targets[node] = spec.target
            constant = spec.kind in (
                InputKind.PARAMETER,
                InputKind.BUFFER,
                InputKind.CONSTANT_TENSOR,
            )
            if constant and spec.target not in mutated:
                assert spec.target is not None
                self._constant(node, stored(self.program, spec.target))
            else:
                model.inputs.append(self.tensor(node))

    def _constant(self, node: fx.Node, elements: torch.Tensor) -> Tensor:
        self._elements[node] = elements
        self.derived.add(node)
        small = elements.ndim <= 1 and elements.numel() <= _LIMIT
        contents = None
        if small and elements.dtype in (torch.int64, torch.int32):
            contents = tuple(Size(int(x)) for x in elements.reshape(-1).tolist())
        return self.tensor(node, constant=True, contents=contents)

    def _operations(self, node: fx.Node) -> list[Operation]:
        results = list(_results(node))
        if self.folds and self._folded(node, results):
            return []
        native = self.natives.setdefault(node, Native(node))
        reading = self._meaning(node)
        if isinstance(reading, list):
            return reading
        inputs: tuple[Tensor | None, ...] = ()
        meaning = Unknown("") if isinstance(reading, Unknown) else reading.meaning
        if isinstance(reading, Reading):
            native.names = reading.names
            given = arguments(node)
            try:
                inputs = tuple(self.operand(node, name, given) for name in reading.names)
            except NoOperandError:
                reading = Unknown("an operand is a size that is computed at run time")
        if isinstance(reading, Unknown):
            meaning = reading
            inputs = tuple(self.tensors[n] for n in _read(node) if n in self.tensors)
        outputs = self._outputs(node, meaning, results)
        if outputs is None:
            meaning = Unknown("an optional result is used")
            inputs = tuple(self.tensors[n] for n in _read(node) if n in self.tensors)
            outputs = tuple(self.tensor(result) for result in results)
        if not outputs and not (isinstance(meaning, Apply) and meaning.kind is Kind.SIZES):
            # It yields a size, or checks one: the writer makes those where they are needed.
            return []
        return [Operation(native, meaning, inputs, outputs)]

    def _outputs(
        self, node: fx.Node, meaning: Meaning, results: list[fx.Node]
    ) -> tuple[Tensor, ...] | None:
        """The tensors of a node's results; None where the meaning does not cover those in use."""
        value = fake(node)
        if not isinstance(meaning, Apply) or not isinstance(value, list | tuple):
            return tuple(self.tensor(result) for result in results)
        place = {result.args[1]: result for result in results}
        count = len(meaning.results)
        if any(not isinstance(n, int) or n >= count for n in place):
            return None
        return tuple(
            self.tensor(place[n])
            if n in place
            else Tensor(None, shape_of(value[n]), dtype_name(value[n].dtype), name=node.name)
            for n in range(count)
        )

    def _meaning(self, node: fx.Node) -> Reading | Unknown | list[Operation]:
        key = op_key(node)
        handler = self._table.get(key)
        if handler is None:
            return Unknown(
                f"operator {key[1] if key[0] == 'aten' else '::'.join(key)} is not known"
            )
        given = Arguments(node)
        try:
            reading = handler(self, node, given)
        except NoOperandError:
            return Unknown("an operand is a size that is computed at run time")
        if isinstance(reading, list) and without_elements(reading):
            return Unknown("a tensor without elements")
        if isinstance(reading, Reading):
            given.operands(*reading.names)
        described = isinstance(reading, Unknown) or (
            isinstance(reading, Reading) and is_described(reading.meaning)
        )
        name = None if described else given.unread()
        return reading if name is None else Unknown(f"argument {name} of {key[1]} is not known")

    def _folded(self, node: fx.Node, results: list[fx.Node]) -> bool:
        """Compute what depends on constants alone."""
        target: Any = node.target
        inputs = list(_read(node))
        if schema_of(target) is None or not results:
            return False
        if any(n not in self._elements for n in inputs):
            return False
        if torch.Tag.nondeterministic_seeded in tags_of(target):
            return False
        args, kwargs = fx.map_arg((node.args, node.kwargs), lambda n: self._elements[n])
        kwargs = {name: value for name, value in kwargs.items() if name != "device"}
        with torch.no_grad():
            found = target(*args, **kwargs)
        for result in results:
            value = found if result is node else found[result.args[1]]
            self._constant(result, value.detach())
        return True


def stored(program: ExportedProgram, target: str) -> torch.Tensor:
    """A parameter, buffer or lifted constant by its name."""
    if target in program.state_dict:
        return program.state_dict[target]
    found = program.constants[target]
    assert isinstance(found, torch.Tensor)
    return found


def _results(node: fx.Node) -> Iterator[fx.Node]:
    """The fx nodes that hold the tensors which a node yields."""
    value = fake(node)
    if isinstance(value, torch.Tensor):
        yield node
    elif isinstance(value, list | tuple):
        items = [user for user in node.users if user.target is operator.getitem and user.users]
        items.sort(key=lambda item: int(item.args[1]))  # pyright: ignore[reportArgumentType]
        seen: set[Any] = set()
        for item in items:
            if item.args[1] not in seen and is_tensor(item):
                seen.add(item.args[1])
                yield item


def _read(node: fx.Node) -> list[fx.Node]:
    return list(node.all_input_nodes)


def rank_of(tensor: Tensor | None) -> int:
    """How many positions a tensor has."""
    return len(tensor.shape or ()) if tensor is not None else 0
