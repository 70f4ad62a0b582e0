"""The positional interpreter: run an exported program node by node over any arithmetic.

It reads the fx graph as it is, without the axis graph, so it witnesses independently of the rest
of this package. Sizes are Python integers, lists are tuples of tensors.
"""

from __future__ import annotations

import operator
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import fx
from torch.export import ExportedProgram

from onebyone.dialects.aten.semantics import OPERATORS, Call, Given, Operator, apply
from onebyone.dialects.aten.semantics.base import numpy_type
from onebyone.dialects.aten.values import arguments, fake, op_name, schema_of, tags_of
from onebyone.dialects.protocol import Embed, Observer, Step
from onebyone.kernels.arithmetic import Arithmetic, Array, Tensor
from onebyone.kernels.element import REAL
from onebyone.kernels.elementwise import as_type
from onebyone.kernels.errors import ExecutionError, OverBudgetError, UnsupportedError
from onebyone.kernels.precision import unit_roundoff

# Operators that compute with sizes, which depend on the shapes of tensors and not on their values.
_SIZES = frozenset({"sym_size", "sym_numel", "sym_stride"})

# Operators that draw in training mode only, and refuse that themselves.
_SETTLED = frozenset("dropout gru lstm rnn_relu rnn_tanh scaled_dot_product_attention".split())


def _unit(dtype: torch.dtype) -> float:
    return unit_roundoff(str(dtype).removeprefix("torch."))


@dataclass
class Interpreter:
    """Runs one program.

    Attributes:
        program: the program; no operator in it writes into its operands.
        ar: the arithmetic to run it in.
        constants: placeholders of parameters, buffers and constants with their elements.
        deadline: ``time.monotonic()`` after which `OverBudgetError` is raised.
        observe: called after each node with its step and its results.
        embed: how a constant enters the arithmetic, by name; exact by default.
    """

    program: ExportedProgram
    ar: Arithmetic
    constants: Mapping[fx.Node, tuple[str, Array]]
    deadline: float | None = None
    observe: Observer | None = None
    embed: Embed | None = None
    _values: dict[fx.Node, Any] = field(default_factory=dict[fx.Node, Any], init=False)
    _free: set[fx.Node] = field(default_factory=set[fx.Node], init=False)

    def run(self, inputs: Mapping[fx.Node, Tensor]) -> list[Any]:
        """The program's flat outputs, those that are changed buffers included.

        Args:
            inputs: for each placeholder that is no constant its tensor.

        Raises:
            UnsupportedError: an operator or a use of it is not understood.
            ExecutionError: a node does not fit its operands.
            OverBudgetError: the deadline has passed.
        """
        self._values = dict(inputs)
        self._free = set(inputs)
        left = {node: len(node.users) for node in self.program.graph.nodes}
        for node in self.program.graph.nodes:
            if node.op == "call_function":
                self._node(node)
            elif node.op == "get_attr":
                self._values[node] = None
            for read in node.all_input_nodes if node.op == "call_function" else ():
                left[read] -= 1
                if not left[read]:
                    self._values.pop(read, None)
        output = next(iter(self.program.graph.find_nodes(op="output")))
        return [self._value(item) for item in output.args[0]]

    def part(self, given: Mapping[str, Tensor], wanted: Collection[str]) -> dict[str, Tensor]:
        """Values that follow from given ones and from constants, by the names of their nodes.

        Raises:
            UnsupportedError: they follow from inputs, too, or an operator is not understood.
            ExecutionError: a node does not fit its operands.
        """
        nodes = {node.name: node for node in self.program.graph.nodes}
        self._values = {nodes[name]: value for name, value in given.items()}
        needed: set[fx.Node] = set()
        pending = [nodes[name] for name in wanted]
        while pending:
            node = pending.pop()
            if node in self._values or node in self.constants or node in needed:
                continue
            if node.op != "call_function":
                raise UnsupportedError(f"{node.name!r} is an input")
            needed.add(node)
            pending += node.all_input_nodes
        for node in self.program.graph.nodes:
            if node in needed:
                self._node(node)
        return {name: self._value(nodes[name]) for name in wanted}

    def _value(self, item: Any) -> Any:
        """An argument with its nodes evaluated."""
        if isinstance(item, (list, tuple)):
            return [self._value(part) for part in item]
        if not isinstance(item, fx.Node):
            return item
        if item not in self._values:
            if item not in self.constants:
                raise UnsupportedError(f"the value of {item.name}")
            name, array = self.constants[item]
            self._values[item] = self._constant(name, array)
        return self._values[item]

    def _constant(self, name: str, array: Array) -> Tensor:
        if array.dtype.kind in "biu":
            return array
        if array.dtype.kind == "c":
            raise UnsupportedError("complex numbers")
        return self.ar.constant(array) if self.embed is None else self.embed(name, array)

    def _node(self, node: fx.Node) -> None:
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise OverBudgetError(f"the time was over at {describe(node)}")
        try:
            result = self._result(node)
        except (UnsupportedError, ExecutionError, OverBudgetError):
            raise
        except MemoryError as error:
            raise UnsupportedError(f"{describe(node)} needs more memory than there is") from error
        except Exception as error:
            text = " ".join(str(error).split()) or type(error).__name__
            raise ExecutionError(f"{describe(node)}: {text}") from error
        self._values[node] = result
        free = op_name(node) not in _SIZES and any(n in self._free for n in node.all_input_nodes)
        if free:
            self._free.add(node)
        if self.observe is not None and node.target is not operator.getitem:
            results = list(_results(node))
            many = isinstance(result, tuple)
            values = [result[r.args[1]] if many else result for r in results]  # pyright: ignore[reportArgumentType]
            shown = [v if isinstance(v, np.ndarray) or self.ar.is_data(v) else None for v in values]
            self.observe(step(node, constant=not free), shown)

    def _result(self, node: fx.Node) -> Any:
        if node.target is operator.getitem:
            items, place = self._value(node.args[0]), self._value(node.args[1])
            if items[place] is None:
                raise UnsupportedError(f"result {place} of {describe(node.args[0])}")  # pyright: ignore[reportArgumentType]
            return items[place]
        value = fake(node)
        if value is None:
            # Assertions yield nothing.
            return None
        if schema_of(node.target) is None:
            return self._size(node)
        name = op_name(node)
        if name in _SIZES:
            return self._size(node)
        row = _row(node)
        if torch.Tag.nondeterministic_seeded in tags_of(node.target) and name not in _SETTLED:
            raise UnsupportedError(f"random operator {node.target}")
        call = self._call(node, name, value)
        self.ar.unit = _unit(call.dtype)
        if not self.ar.unit:
            self.ar.unit = max(map(_unit, call.dtypes), default=0.0)
        result = apply(row, call, _defaults(node))
        if isinstance(result, tuple):
            return tuple(self._typed(x, v) for x, v in zip(result, value, strict=False))
        return self._typed(result, value)

    def _typed(self, x: Any, value: Any) -> Any:
        """A result in the type that the program declares for it."""
        if not isinstance(value, torch.Tensor) or x is None:
            return x
        data = self.ar.is_data(x)
        if value.dtype.is_floating_point:
            return as_type(x if data else self.ar.constant(x), REAL)
        if data:
            if x.dtype.kind == "f":
                raise UnsupportedError(f"data in {value.dtype}")
            return as_type(x, numpy_type(value.dtype))
        return np.asarray(x).astype(numpy_type(value.dtype), copy=False)

    def _call(self, node: fx.Node, name: str, value: Any) -> Call:
        raw = arguments(node)
        given = {key: self._value(item) for key, item in raw.items()}
        fakes = [fake(n) for n in node.all_input_nodes]
        first = value[0] if isinstance(value, (list, tuple)) else value
        return Call(
            self.ar,
            name,
            Given(given),
            tuple(f.dtype for f in fakes if isinstance(f, torch.Tensor)),
            first.dtype if isinstance(first, torch.Tensor) else torch.int64,
            lambda key, array: self._constant(f"{node.name}.{key}", array),
            len(value) if isinstance(value, (list, tuple)) else 1,
        )

    def _size(self, node: fx.Node) -> Any:
        """Sizes, and what is computed with them."""
        args = [self._value(item) for item in node.args]
        name = op_name(node)
        if name == "sym_size":
            return int(args[0].shape[args[1]])
        if name == "sym_numel":
            return int(args[0].size)
        if any(isinstance(a, np.ndarray) or self.ar.is_data(a) for a in args):
            raise UnsupportedError(f"{describe(node)}: a size that depends on values")
        target: Any = node.target
        return target(*args, **{k: self._value(v) for k, v in node.kwargs.items()})


def _row(node: fx.Node) -> Operator:
    """The row of a node, by namespace and name."""
    space, _, name = schema_of(node.target).name.partition("::")
    row = OPERATORS.get((space, name))
    if row is None:
        raise UnsupportedError(f"operator {node.target}")
    return row


def _defaults(node: fx.Node) -> dict[str, Any]:
    """What the schema says of arguments that may be left out."""
    arguments = schema_of(node.target).arguments
    return {a.name: a.default_value for a in arguments if a.has_default_value()}


def _nodes(item: Any) -> Iterator[fx.Node]:
    if isinstance(item, fx.Node):
        yield item
    elif isinstance(item, (list, tuple)):
        for part in item:
            yield from _nodes(part)


def _results(node: fx.Node) -> Iterator[fx.Node]:
    """The nodes that hold the tensors which a node yields."""
    if not isinstance(fake(node), (list, tuple)):
        yield node
        return
    for user in node.users:
        if user.target is operator.getitem:
            yield user


def describe(node: fx.Node) -> str:
    """A node as a user finds it in the printed program."""
    return f"{op_name(node)} {node.name!r}"


def step(node: fx.Node, *, constant: bool = False) -> Step:
    """What the certificate says of a node."""
    given = arguments(node) or dict(enumerate(node.args))
    words = [f"{k}={_short(v)}" for k, v in given.items() if v is not None and not any(_nodes(v))]
    return Step(
        describe(node),
        op_name(node),
        tuple(n.name for n in node.all_input_nodes),
        tuple(r.name for r in _results(node)),
        ", ".join(words),
        constant,
    )


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."
