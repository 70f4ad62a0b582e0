"""Calls of ATen operators as programs, built node by node, alone and among others."""

from __future__ import annotations

import contextlib
import operator
import warnings
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import fx
from torch._export.verifier import Verifier
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.export import ExportedProgram
from torch.export.exported_program import ModuleCallEntry, ModuleCallSignature
from torch.export.graph_signature import (
    ExportGraphSignature,
    InputKind,
    InputSpec,
    OutputKind,
    OutputSpec,
    TensorArgument,
)
from torch.utils import _pytree as pytree

from onebyone.dialects.aten.run.form import canonical_form
from tests.tables.aten_nodes import AtenNode, aten, call_of, eager
from tests.tables.engine import Outputs, Setting
from tests.tables.operands import Array, Operand, like, orders, turned

_MODE = FakeTensorMode()


@dataclass
class Builder:
    """Builds a program node by node, as `torch.export` would have written it."""

    graph: fx.Graph = field(default_factory=fx.Graph)
    real: dict[fx.Node, Any] = field(default_factory=dict[fx.Node, Any])
    state: dict[str, torch.Tensor] = field(default_factory=dict[str, torch.Tensor])
    specs: list[InputSpec] = field(default_factory=list[InputSpec])

    def place(self, name: str, value: Array, *, free: bool) -> fx.Node:
        """An input, or a buffer."""
        later = [n for n in self.graph.nodes if n.op != "placeholder"]
        with self.graph.inserting_before(later[0]) if later else contextlib.nullcontext():
            node = self.graph.placeholder(name)
        tensor = torch.from_numpy(np.array(value))
        self.real[node] = tensor
        node.meta["val"] = _faked(tensor)
        if free:
            self.specs.append(InputSpec(InputKind.USER_INPUT, TensorArgument(name), None))
        else:
            self.state[name] = tensor
            buffer = InputKind.BUFFER
            self.specs.append(InputSpec(buffer, TensorArgument(name), name, persistent=True))
        return node

    def call(self, target: Any, *args: Any, **kwargs: Any) -> fx.Node:
        """A call, with what it yields."""
        node = self.graph.call_function(target, args, kwargs)
        plain = fx.map_arg((args, kwargs), lambda n: self.real[n])
        with torch.no_grad():
            self.real[node] = target(*plain[0], **plain[1])
        node.meta["val"] = pytree.tree_map_only(torch.Tensor, _faked, self.real[node])
        return node

    def results(self, node: fx.Node) -> list[fx.Node]:
        """The tensors that a node yields."""
        value = node.meta["val"]
        if isinstance(value, torch.Tensor):
            return [node]
        return [
            self.call(operator.getitem, node, i)
            for i, item in enumerate(value)
            if isinstance(item, torch.Tensor)
        ]

    def finish(self, outputs: Sequence[fx.Node]) -> ExportedProgram:
        """The program."""
        self.graph.output(tuple(outputs))
        module = fx.GraphModule(torch.nn.Module(), self.graph)
        users = [s for s in self.specs if s.kind is InputKind.USER_INPUT]
        results = [TensorArgument(n.name) for n in outputs]
        signature = ExportGraphSignature(
            self.specs, [OutputSpec(OutputKind.USER_OUTPUT, r, None) for r in results]
        )
        in_spec = pytree.tree_structure(((*(0 for _ in users),), {}))
        out_spec = pytree.tree_structure((*(0 for _ in results),))
        call = ModuleCallSignature([], [], in_spec, out_spec)
        return ExportedProgram(
            root=module,
            graph=module.graph,
            graph_signature=signature,
            state_dict=self.state,
            range_constraints={},
            module_call_graph=[ModuleCallEntry("", call)],
            verifiers=[Verifier],
        )


def _faked(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor of that type, shape and strides without elements."""
    with _MODE:
        return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype)


Shape = Callable[[Builder, fx.Node], fx.Node]


def program(
    node: AtenNode,
    *,
    stored: Callable[[Array], Array] = lambda x: x,
    before: Shape | None = None,
    after: Shape | None = None,
) -> ExportedProgram | None:
    """A program of one call; None where the operator refuses its operands.

    Args:
        node: the call.
        stored: how an operand comes in.
        before: makes the operand of what comes in.
        after: makes an output of each result.
    """
    builder = Builder()
    made: dict[int, fx.Node] = {}
    used = {id(x) for x in pytree.tree_leaves(dict(node.given))}
    for i, operand in enumerate(node.operands):
        if not operand.free and id(operand) not in used:
            continue
        values = stored(operand.values) if operand.free else operand.values
        made[id(operand)] = builder.place(f"x{i}", values, free=operand.free)
    operands = node.operands
    for operand in operands:
        if before is not None and operand.free and id(operand) in used:
            made[id(operand)] = before(builder, made[id(operand)])

    def native(value: Any) -> Any:
        if isinstance(value, Operand):
            return made[id(value)]
        return [native(v) for v in value] if isinstance(value, (list, tuple)) else value

    args, kwargs = call_of(node, {key: native(value) for key, value in node.given.items()})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results = builder.results(builder.call(node.target, *args, **kwargs))
            if after is not None:
                results = [after(builder, r) for r in results]
    except Exception:
        return None
    return builder.finish(results) if results else None


def between_permutes(node: AtenNode, order: Sequence[int]) -> ExportedProgram | None:
    """The call on operands that come in another order of axes, its results in another one."""
    back = [int(i) for i in np.argsort(order)]

    def before(builder: Builder, x: fx.Node) -> fx.Node:
        ranked = x.meta["val"].ndim == len(order)
        return builder.call(aten.permute.default, x, back) if ranked else x

    def after(builder: Builder, x: fx.Node) -> fx.Node:
        rank = x.meta["val"].ndim
        return x if rank < 2 else builder.call(aten.permute.default, x, like(order, rank))

    return program(node, stored=lambda x: turned(x, order), before=before, after=after)


def between_layers(node: AtenNode) -> ExportedProgram | None:
    """The call between two FC layers, its operands' last axis the channels."""

    def layer(builder: Builder, x: fx.Node, weight: Array) -> fx.Node:
        name = f"w{len(builder.state)}"
        stored = builder.place(name, weight, free=False)
        return builder.call(aten.linear.default, x, stored)

    def before(builder: Builder, x: fx.Node) -> fx.Node:
        value = x.meta["val"]
        if value.ndim < 2 or value.dtype != torch.float32:
            return x
        return layer(builder, x, np.roll(np.eye(value.shape[-1], dtype=np.float32), 1, axis=0))

    def after(builder: Builder, x: fx.Node) -> fx.Node:
        value = x.meta["val"]
        if value.ndim < 2 or value.is_complex():
            return x
        if value.dtype != torch.float32:
            x = builder.call(aten._to_copy.default, x, dtype=torch.float32)
        random = np.random.default_rng(5).uniform(0.5, 1.5, (3, value.shape[-1]))
        return layer(builder, x, random.astype(np.float32))

    return program(node, before=before, after=after)


def run_program(model: ExportedProgram, feeds: Sequence[Mapping[str, Array]]) -> Outputs | None:
    """The outputs in PyTorch, node by node; None where it refuses."""
    found: Outputs = []
    for feed in feeds:
        values: list[Any] = []
        for spec in model.graph_signature.input_specs:
            name = spec.target
            if name is None:
                values.append(torch.from_numpy(np.array(feed[spec.arg.name])))  # type: ignore[union-attr]
            else:
                values.append(model.state_dict.get(name, model.constants.get(name)))
        try:
            with torch.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                outputs = fx.Interpreter(model.graph_module).run(
                    *values, enable_io_processing=False
                )
        except Exception:
            return None
        found.append([x.detach().contiguous().numpy() for x in outputs])
    return found


class AtenBench:
    """The dialect of PyTorch programs, for the engine."""

    def model(self, node: AtenNode) -> ExportedProgram | None:
        """The call alone."""
        return program(node)

    def run(self, node: AtenNode, model: ExportedProgram) -> Outputs | None:
        found: Outputs = []
        for feed in node.feeds():
            outputs = eager(node, feed)
            if outputs is None:
                return None
            leaves = outputs if isinstance(outputs, (list, tuple)) else [outputs]
            found.append([x.contiguous().numpy() for x in leaves if isinstance(x, torch.Tensor)])
        return found

    def forms(self, node: AtenNode, model: ExportedProgram) -> list[tuple[Hashable, ...]]:
        return [tuple(canonical_form(model).outputs)]

    def execute(self, model: Any, feeds: Sequence[Mapping[str, Array]]) -> Outputs | None:
        return run_program(model, feeds)

    def transposes(self, model: Any) -> int:
        return sum(node.target is aten.permute.default for node in model.graph.nodes)


def settings(node: AtenNode) -> Iterator[Setting]:
    """The call between permutes, and between FC layers."""
    rank = max((o.values.ndim for o in node.operands if o.free), default=0)
    for order in orders(rank):
        model = between_permutes(node, order)
        if model is not None:
            feeds = [{k: turned(v, order) for k, v in feed.items()} for feed in node.feeds()]
            yield Setting(f"order {order}", model, feeds)
    model = between_layers(node)
    if model is not None:
        yield Setting("layers", model, node.feeds())
