"""Write a planned axis graph as a new exported program with the same signature.

A node whose forms are the native ones is copied with its name and metadata. Everything else is
expressed anew; reshapes and permutes appear only where a form is demanded that nobody has.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import fx
from torch.export import ExportedProgram
from torch.export.graph_signature import ExportGraphSignature

from onebyone.axes.graph import Form, Node, Value
from onebyone.axes.positional import Kind
from onebyone.dialects.aten.read.reader import Reader
from onebyone.dialects.aten.values import Native, fake, is_tensor, shape_of
from onebyone.dialects.aten.write.build import Build
from onebyone.dialects.aten.write.constants import Constants
from onebyone.dialects.aten.write.context import Context
from onebyone.dialects.aten.write.express import EXPRESSIONS
from onebyone.dialects.aten.write.sizes import Sizes
from onebyone.layout.plan import Plan
from onebyone.lower import places
from onebyone.lower.holdings import Holdings
from onebyone.report import Weight

aten = torch.ops.aten


class Writer:
    """Builds the new graph of one program; `reshaped`, `permuted` and `again` are its Builder."""

    def __init__(self, program: ExportedProgram, plan: Plan, reader: Reader) -> None:
        self._program, self._plan, self._reader = program, plan, reader
        self._build = Build(program.graph)
        self._holdings: Holdings[fx.Node] = Holdings(plan, self)
        self._constants = Constants(reader, plan, self._build, self._holdings)
        self._sizes = Sizes(program.graph, self._build, self._holdings, self._copy)
        self._context = Context(self._build, self._holdings, self._constants, self._sizes)

    @property
    def weights(self) -> list[Weight]:
        """What became of each weight that is stored anew."""
        return self._constants.changed

    def run(self) -> ExportedProgram:
        """The new program."""
        original, planned = self._program.graph, self._plan.graph
        for node in original.find_nodes(op="placeholder"):
            self._build.copy(node, {})
        for tensor in planned.inputs:
            view = planned.views[tensor]
            self._holdings.put(view.value, view.form, self._build.copies[tensor.key])
        for node in planned.nodes:
            self._write(node)
        for node in original.nodes:
            # Checks of sizes; they stand at the end, where every size has been made.
            checks = node.op == "call_function" and fake(node) is None
            if checks and node not in self._build.copies:
                self._copy(node)
        return self._finish()

    # ---- values -------------------------------------------------------------------------------

    def reshaped(self, value: Value, tensor: fx.Node, source: Form, form: Form) -> fx.Node:
        """A new reshape."""
        return self._context.reshape(value, tensor, form)

    def permuted(self, value: Value, tensor: fx.Node, order: list[int], form: Form) -> fx.Node:
        """A new permute."""
        return self._build.op(aten.permute.default, (tensor, order), like=value)

    def again(self, native: Native, tensor: fx.Node) -> fx.Node | None:
        """The original's own reshape or transpose, where it is not written yet."""
        if native.node in self._build.copies:
            return None
        first, *others = native.node.all_input_nodes
        if any(is_tensor(other) for other in others):
            # It reads more than the value, and what it reads may not be there yet.
            return None
        return self._copy(native.node, {first: tensor})

    def _get(self, value: Value, form: Form) -> Any:
        """The node that holds ``value`` in ``form``, made where nobody has it."""
        if value.constant:
            return self._constants.get(value, form)
        return self._holdings.get(value, form)

    def _native(self, node: fx.Node) -> Any:
        """What now holds what the original program's ``node`` held."""
        copies, views = self._build.copies, self._plan.graph.views
        if node.op == "get_attr":
            return copies[node] if node in copies else self._build.copy(node, {})
        tensor = self._reader.tensors.get(node)
        if tensor is None or tensor not in views:
            return copies[node] if node in copies else self._sizes.integer(node)
        view = views[tensor]
        if not view.value.constant and not self._holdings.forms(view.value):
            # A value within a node that stays as it was: the axis graph has no use for it.
            return copies[node] if node in copies else self._copy(node)
        return self._get(view.value, view.form)

    def _copy(self, node: fx.Node, replaced: Mapping[fx.Node, Any] | None = None) -> fx.Node:
        """The native node again, reading what its operands have become."""
        given = dict(replaced or {})
        for source in node.all_input_nodes:
            if source not in given:
                given[source] = self._native(source)
        return self._build.copy(node, given)

    # ---- nodes --------------------------------------------------------------------------------

    def _write(self, node: Node) -> None:
        if node.kind is Kind.SIZES:
            use = places.operand(node, 0)
            original: fx.Node = node.natives[0].node
            source: Any = original.args[0]
            tensors = self._holdings.forms(use.value) or {use.form: self._native(source)}
            self._copy(original, {source: next(iter(tensors.values()))})
            return
        if self._holdings.is_kept(node):
            group = self._holdings.sharing(node)
            if node is group[-1]:
                self._keep(group)
            return
        variant = self._plan.forms.nodes[node]
        inputs = [
            None if use is None or form is None else self._get(use.value, form)
            for use, form in zip(node.operands, places.rows_first(node, variant), strict=True)
        ]
        results = EXPRESSIONS.write(self._context, node, variant, inputs)
        for use, form, result in zip(node.results, variant.writes, results, strict=True):
            expected = places.shape(use.value, form)
            assert shape_of(fake(result)) == expected, (node.fn, fake(result).shape, expected)
            self._holdings.put(use.value, form, result)

    def _keep(self, group: list[Node]) -> None:
        """Keep the native nodes of axis nodes that share them."""
        natives: list[Native] = list(dict.fromkeys(n for m in group for n in m.natives))
        opaque = group[-1].kind is Kind.OPAQUE
        for native in natives:
            self._copy(native.node, self._contiguous(native.node) if opaque else None)
            if isinstance(fake(native.node), list | tuple):
                for item in native.node.users:
                    self._copy(item, {native.node: self._build.copies[native.node]})
        values = {use.value for member in group for use in member.results}
        views = self._plan.graph.views
        for native in natives:
            for result in (native.node, *native.node.users):
                tensor = self._reader.tensors.get(result)
                if tensor in views and result in self._build.copies:
                    view = views[tensor]
                    if view.value in values:
                        self._holdings.put(view.value, view.form, self._build.copies[result])

    def _contiguous(self, node: fx.Node) -> dict[fx.Node, Any]:
        """Operands of a node that is not understood, with the strides that they had."""
        operands: dict[fx.Node, Any] = {}
        for source in node.all_input_nodes:
            before = fake(source)
            if source in self._reader.tensors and before.is_contiguous():
                tensor = self._native(source)
                if not fake(tensor).is_contiguous():
                    tensor = self._build.op(aten.contiguous.default, (tensor,), origin=source)
                operands[source] = tensor
        return operands

    # ---- the program --------------------------------------------------------------------------

    def _finish(self) -> ExportedProgram:
        program, out = self._program, self._build.graph
        old = next(iter(program.graph.find_nodes(op="output")))
        renamed: dict[str, str] = {}

        def output(node: fx.Node) -> fx.Node:
            tensor, copied = self._native(node), node in self._build.copies
            if tensor.name != node.name and not copied and tensor.op != "placeholder":
                taken = {n.name for n in out.nodes}
                if node.name not in taken and tensor.name not in renamed.values():
                    tensor._rename(node.name)
            renamed[node.name] = tensor.name
            return tensor

        out.output(fx.map_arg(old.args[0], output))
        next(iter(out.find_nodes(op="output"))).meta.update(old.meta)
        out.eliminate_dead_code(lambda node: node.is_impure() or node.op == "placeholder")
        signature = copy.deepcopy(program.graph_signature)
        for spec in signature.output_specs:
            name = getattr(spec.arg, "name", None)
            if name in renamed:
                spec.arg.name = renamed[name]  # pyright: ignore[reportAttributeAccessIssue]
        module = fx.GraphModule(program.graph_module, out)
        module.meta.update(program.graph_module.meta)
        return ExportedProgram(
            root=module,
            graph=module.graph,
            graph_signature=ExportGraphSignature(
                signature.input_specs,
                signature.output_specs,
            ),
            state_dict=self._constants.state_dict,
            range_constraints=dict(program.range_constraints),
            module_call_graph=copy.deepcopy(program.module_call_graph),
            example_inputs=program.example_inputs,
            constants=self._constants.constants,
            verifiers=program.verifiers,
        )
