"""Write a planned axis graph as a new exported program with the same signature.

A node whose forms are the native ones is copied with its name and metadata. Everything else is
expressed anew; reshapes and permutes appear only where a form is demanded that nobody has.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import fx
from torch._dispatch.python import enable_python_dispatcher
from torch.export import ExportedProgram
from torch.export.graph_signature import ExportGraphSignature

from onebyone.axes.graph import AxisGraph, Form, Node, Value, order_of, sharing_natives
from onebyone.axes.positional import Kind
from onebyone.axes.sizes import product
from onebyone.dialects.aten.read.reader import Reader
from onebyone.dialects.aten.values import (
    Native,
    fake,
    is_tensor,
    op_name,
    schema_of,
    shape_of,
    spread,
    tags_of,
)
from onebyone.dialects.aten.write.constants import Constants
from onebyone.dialects.aten.write.express import express, reads
from onebyone.dialects.aten.write.sizes import Sizes
from onebyone.layout.plan import Plan

aten = torch.ops.aten

# What a new node inherits from the one that it comes from.
_TRACE = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn")
# Their results depend on more than the types and shapes of their operands.
_UNTRACED = frozenset({torch.Tag.dynamic_output_shape, torch.Tag.data_dependent_output})


class Emitter:
    """Builds the new graph of one program."""

    def __init__(self, program: ExportedProgram, plan: Plan, reader: Reader) -> None:
        self.program, self.plan, self.reader = program, plan, reader
        self.graph: AxisGraph = plan.graph
        self.out = fx.Graph()
        self.have: dict[Value, dict[Form, fx.Node]] = {}
        self.copies: dict[fx.Node, fx.Node] = {}
        self._names = {node.name for node in program.graph.nodes}
        self._groups = sharing_natives(self.graph)
        self._relayouts: dict[tuple[Value, Form], list[tuple[Native, Form]]] = {}
        for relayout in self.graph.relayouts:
            if relayout.native is None:
                continue
            source, target = self.graph.views[relayout.source], self.graph.views[relayout.target]
            self._relayouts.setdefault((target.value, target.form), []).append(
                (relayout.native, source.form)
            )
        self._moves = {(move.value, move.target): variant for move, variant in plan.forms.moves}
        vals = [fake(node) for node in program.graph.nodes]
        self.mode: Any = next((val.fake_mode for val in vals if hasattr(val, "fake_mode")), None)
        self.constants = Constants(self)
        self.sizes = Sizes(self)

    def run(self) -> ExportedProgram:
        """The new program."""
        for node in self.program.graph.find_nodes(op="placeholder"):
            self.copies[node] = self._copied(node, {})
        for tensor in self.graph.inputs:
            view = self.graph.views[tensor]
            self.put(view.value, view.form, self.copies[tensor.key])
        for node in self.graph.nodes:
            self._emit(node)
        for node in self.program.graph.nodes:
            # Checks of sizes; they stand at the end, where every size has been made.
            if node.op == "call_function" and fake(node) is None and node not in self.copies:
                self.copy(node)
        return self._finish()

    # ---- values -------------------------------------------------------------------------------

    def get(self, value: Value, form: Form) -> Any:
        """The node that holds ``value`` in ``form``, made where nobody has it."""
        if value.constant:
            return self.constants.get(value, form)
        held = self.have.setdefault(value, {})
        if form not in held:
            native = self._native_relayout(value, form)
            held[form] = native if native is not None else self._made(value, form)
        return held[form]

    def native(self, node: fx.Node) -> Any:
        """What now holds what the original program's ``node`` held."""
        if node.op == "get_attr":
            if node not in self.copies:
                self.copies[node] = self._copied(node, {})
            return self.copies[node]
        tensor = self.reader.tensors.get(node)
        if tensor is None or tensor not in self.graph.views:
            return self.copies[node] if node in self.copies else self.sizes.integer(node)
        view = self.graph.views[tensor]
        if not view.value.constant and not self.have.get(view.value):
            # A value within a node that stays as it was: the axis graph has no use for it.
            return self.copies[node] if node in self.copies else self.copy(node)
        return self.get(view.value, view.form)

    def put(self, value: Value, form: Form, held: fx.Node) -> None:
        """Record that ``held`` holds ``value`` in ``form``."""
        self.have.setdefault(value, {})[form] = held

    def _native_relayout(self, value: Value, form: Form) -> fx.Node | None:
        """The original's own reshape or transpose, where its source is at hand."""
        for native, source in self._relayouts.get((value, form), ()):
            if source in self.have[value] and native.node not in self.copies:
                first, *others = native.node.all_input_nodes
                if any(is_tensor(other) for other in others):
                    # It reads more than the value, and what it reads may not be there yet.
                    continue
                return self.copy(native.node, {first: self.have[value][source]})
        return None

    def _made(self, value: Value, form: Form) -> fx.Node:
        order = order_of(form)
        held = self.have[value]
        same = [f for f in held if order_of(f) == order]
        if same:
            return self.reshape(value, held[same[0]], form)
        variant = self._moves.get((value, order))
        if variant is None:
            source = tuple((axis,) for axis in order_of(next(iter(held))))
            target: Form = tuple((axis,) for axis in order)
        else:
            source, target = variant.reads[0], variant.writes[0]
        if target not in held:
            held[target] = self._permuted(value, source, target)
        return self.get(value, form)

    def _permuted(self, value: Value, source: Form, target: Form) -> fx.Node:
        native = self._native_relayout(value, target)
        if native is not None:
            return native
        order = permutation(source, target)
        return self.op(aten.permute.default, (self.get(value, source), order), like=value)

    def reshape(self, value: Value, held: fx.Node, form: Form) -> fx.Node:
        """The same elements in row-major order, in the positions of ``form``."""
        sizes = tuple(product([value.sizes[axis] for axis in group]) for group in form)
        shape = self.sizes.shape(sizes, infer=True)
        return self.op(aten.reshape.default, (held, shape), like=value)

    # ---- nodes --------------------------------------------------------------------------------

    def op(
        self,
        target: Any,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any] | None = None,
        *,
        like: Value | None = None,
        origin: fx.Node | None = None,
        rule: str = "layout",
    ) -> fx.Node:
        """Append a new node; it records the rule and where it came from.

        Args:
            target: the operator.
            args: of the call, in nodes of the new graph.
            kwargs: likewise.
            like: the value that it yields.
            origin: the original node that it stands for.
            rule: why it is there.
        """
        if origin is None and like is not None and isinstance(like.tensor.key, fx.Node):
            origin = like.tensor.key
        base = origin.name if origin is not None else like.tensor.name if like else "size"
        schema = schema_of(target)
        word = schema.name.partition("::")[2] if schema is not None else target.__name__
        name = self.unique(f"{base}_{word}")
        node = self.out.create_node("call_function", target, args, dict(kwargs or {}), name)
        if origin is not None:
            node.meta.update({key: origin.meta[key] for key in _TRACE if key in origin.meta})
        node.meta["custom"] = {"onebyone.rule": rule, "onebyone.from": base}
        node.meta["val"] = self._traced(target, args, kwargs or {})
        return node

    def call(self, target: Any, given: Mapping[str, Any], **about: Any) -> fx.Node:
        """As `op`, with arguments by name."""
        args, kwargs = spread(target, given)
        return self.op(target, args, kwargs, **about)

    def copy(self, node: fx.Node, replaced: Mapping[fx.Node, Any] | None = None) -> fx.Node:
        """The native node again, reading what its operands have become."""
        given = dict(replaced or {})
        for source in node.all_input_nodes:
            if source not in given:
                given[source] = self.native(source)
        new = self._copied(node, given)
        self.copies[node] = new
        if schema_of(node.target) is not None and not _UNTRACED & tags_of(node.target):
            try:
                new.meta["val"] = self._traced(node.target, new.args, new.kwargs)
            except (RuntimeError, ValueError):
                if op_name(node) not in ("view", "_unsafe_view"):
                    raise
                # A view needs strides that its operand no longer has.
                new.target = aten.reshape.default
                new.meta["val"] = self._traced(new.target, new.args, new.kwargs)
        return new

    def _copied(self, node: fx.Node, given: Mapping[fx.Node, Any]) -> fx.Node:
        new = self.out.node_copy(node, lambda source: given[source])
        # fx would rename what is called as a builtin of Python, such as ``input``.
        new.name = node.name
        return new

    def unique(self, name: str) -> str:
        """A name that no node has, in the old graph or the new one."""
        clean = "".join(c if c.isalnum() or c == "_" else "_" for c in name)
        found, count = clean, 0
        while found in self._names:
            count += 1
            found = f"{clean}_{count}"
        self._names.add(found)
        return found

    def _traced(self, target: Any, args: Any, kwargs: Any) -> Any:
        """What a call yields, computed on fake tensors."""
        own_args, own_kwargs = fx.map_arg((tuple(args), dict(kwargs)), lambda n: n.meta["val"])
        quiet: Any = contextlib.nullcontext()
        if self.mode is not None and self.mode.shape_env is not None:
            quiet = self.mode.shape_env.suppress_guards()
        # Through Python: some kernels in C++ take symbolic sizes for the numbers of the example.
        mode = self.mode or contextlib.nullcontext()
        with torch.no_grad(), quiet, mode, enable_python_dispatcher():
            return target(*own_args, **own_kwargs)

    def is_kept(self, node: Node) -> bool:
        """Whether a node and all that share its native node stay as they are."""
        for member in self._groups[node]:
            variant = self.plan.forms.nodes[member]
            for use, form in zip(member.operands, variant.reads, strict=True):
                if use is not None and form is not None and form != use.form:
                    return False
            for use, form in zip(member.results, variant.writes, strict=True):
                if form != use.form:
                    return False
            if variant.tag in ("conv", "linear", "spelled"):
                return False
        return True

    def _emit(self, node: Node) -> None:
        if node.kind is Kind.SIZES:
            use = node.operands[0]
            assert use is not None
            original = node.natives[0].node
            held = self.have.get(use.value) or {use.form: self.native(original.args[0])}
            self.copy(original, {original.args[0]: next(iter(held.values()))})
            return
        if self.is_kept(node):
            self._keep(node)
            return
        variant = self.plan.forms.nodes[node]
        inputs = [
            None if use is None or form is None else self.get(use.value, form)
            for use, form in zip(node.operands, reads(node, variant), strict=True)
        ]
        held = express(self, node, variant, inputs)
        for use, form, result in zip(node.results, variant.writes, held, strict=True):
            expected = tuple(product([use.value.sizes[a] for a in group]) for group in form)
            assert shape_of(fake(result)) == expected, (node.fn, fake(result).shape, expected)
            self.put(use.value, form, result)

    def _keep(self, node: Node) -> None:
        group = self._groups[node]
        if node is not group[-1]:
            return
        for native in dict.fromkeys(n for member in group for n in member.natives):
            own: fx.Node = native.node
            self.copy(own, self._contiguous(own) if node.kind is Kind.OPAQUE else None)
            for item in own.users:
                if isinstance(fake(own), list | tuple):
                    self.copy(item, {own: self.copies[own]})
        values = {use.value for member in group for use in member.results}
        for native in dict.fromkeys(n for member in group for n in member.natives):
            for held in (native.node, *native.node.users):
                tensor = self.reader.tensors.get(held)
                if tensor in self.graph.views and held in self.copies:
                    view = self.graph.views[tensor]
                    if view.value in values:
                        self.put(view.value, view.form, self.copies[held])

    def _contiguous(self, node: fx.Node) -> dict[fx.Node, Any]:
        """Operands of a node that is not understood, with the strides that they had."""
        found: dict[fx.Node, Any] = {}
        for source in node.all_input_nodes:
            before = fake(source)
            if source in self.reader.tensors and before.is_contiguous():
                held = self.native(source)
                if not fake(held).is_contiguous():
                    held = self.op(aten.contiguous.default, (held,), origin=source)
                found[source] = held
        return found

    # ---- the program ----------------------------------------------------------------------------

    def _finish(self) -> ExportedProgram:
        program = self.program
        old = next(iter(program.graph.find_nodes(op="output")))
        renamed: dict[str, str] = {}

        def output(node: fx.Node) -> fx.Node:
            held = self.native(node)
            if held.name != node.name and node not in self.copies and held.op != "placeholder":
                taken = {n.name for n in self.out.nodes}
                if node.name not in taken and held.name not in renamed.values():
                    held._rename(node.name)
            renamed[node.name] = held.name
            return held

        self.out.output(fx.map_arg(old.args[0], output))
        next(iter(self.out.find_nodes(op="output"))).meta.update(old.meta)
        self.out.eliminate_dead_code(lambda node: node.is_impure() or node.op == "placeholder")
        signature = copy.deepcopy(program.graph_signature)
        for spec in signature.output_specs:
            name = getattr(spec.arg, "name", None)
            if name in renamed:
                spec.arg.name = renamed[name]  # pyright: ignore[reportAttributeAccessIssue]
        module = fx.GraphModule(program.graph_module, self.out)
        module.meta.update(program.graph_module.meta)
        return ExportedProgram(
            root=module,
            graph=module.graph,
            graph_signature=ExportGraphSignature(
                signature.input_specs,
                signature.output_specs,
            ),
            state_dict=self.constants.state_dict,
            range_constraints=dict(program.range_constraints),
            module_call_graph=copy.deepcopy(program.module_call_graph),
            example_inputs=program.example_inputs,
            constants=self.constants.constants,
            verifiers=program.verifiers,
        )


def permutation(source: Form, target: Form) -> list[int]:
    """For each position of ``target`` the position of ``source`` with the same axes."""
    places = list(range(len(source)))
    found: list[int] = []
    for group in target:
        place = next(p for p in places if source[p] == group)
        places.remove(place)
        found.append(place)
    return found
