"""Parameters and buffers in the forms that the plan demands: permuted, never computed with."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx
from torch.export import ExportedProgram

from onebyone.axes.graph import Form, Value, order_of
from onebyone.dialects.aten.read.reader import Reader
from onebyone.dialects.aten.values import Number
from onebyone.dialects.aten.write.build import Build
from onebyone.layout.plan import Plan
from onebyone.lower.holdings import Holdings
from onebyone.lower.places import atoms, fixed_shape, rows_first
from onebyone.report import Weight

aten = torch.ops.aten


class Constants:
    """Gives each constant in each demanded form.

    A constant that is read in one form is stored in it; where it is read in several, it stays as
    it was and the others are views of it, made by nodes.

    Attributes:
        state_dict, constants: of the new program.
        changed: what became of each weight that is stored anew.
    """

    def __init__(
        self, reader: Reader, plan: Plan, build: Build, holdings: Holdings[fx.Node]
    ) -> None:
        self._build, self._targets = build, reader.targets
        program: ExportedProgram = reader.program
        self.state_dict: dict[str, Any] = dict(program.state_dict)
        self.constants: dict[str, Any] = dict(program.constants)
        for target in program.graph_signature.buffers_to_mutate.values():
            # A run of one program must not be felt by the other.
            for home in (self.state_dict, self.constants):
                if target in home:
                    home[target] = home[target].detach().clone()
        self.changed: list[Weight] = []
        self._tensors: dict[tuple[Value, Form], Any] = {}
        self._numbers: dict[tuple[float, torch.dtype], fx.Node] = {}
        self._moved: dict[tuple[Any, ...], torch.Tensor] = {}
        self._demands = _demands(plan, holdings)

    def get(self, value: Value, form: Form) -> Any:
        """A node that holds the constant in ``form``; a number is itself."""
        key = (value, form)
        if isinstance(value.tensor.key, Number):
            return value.tensor.key.value
        if key not in self._tensors:
            self._tensors[key] = self._made(value, form)
        return self._tensors[key]

    def number(self, value: Value, origin: fx.Node) -> fx.Node:
        """A number as a tensor without dimensions, for operators that take no number."""
        number: Number = value.tensor.key
        key = (number.value, number.dtype)
        if key not in self._numbers:
            self._numbers[key] = self._build.op(
                aten.full.default, ([], number.value), {"dtype": number.dtype}, origin=origin
            )
        return self._numbers[key]

    def _made(self, value: Value, form: Form) -> Any:
        node: fx.Node = value.tensor.key
        tensor = self._build.copies[node]
        if form == value.native:
            return tensor
        if self._demands.get(value, set()) <= {form}:
            self._store(value, form, node, tensor)
            return tensor
        order = order_of(form)
        if order != order_of(value.native):
            sizes = [value.sizes[axis].known for axis in order_of(value.native)]
            tensor = self._build.op(aten.reshape.default, (tensor, sizes), like=value)
            places = [order_of(value.native).index(axis) for axis in order]
            tensor = self._build.op(aten.permute.default, (tensor, places), like=value)
        shape = list(fixed_shape(value, form))
        return self._build.op(aten.reshape.default, (tensor, shape), like=value)

    def _store(self, value: Value, form: Form, node: fx.Node, copy: fx.Node) -> None:
        target = self._targets[node]
        home = self.state_dict if target in self.state_dict else self.constants
        source = home[target]
        shape, order = fixed_shape(value, form), order_of(form)
        axes = fixed_shape(value, atoms(value))
        key = (source.data_ptr(), source.shape, source.stride(), axes, order, shape)
        if key not in self._moved:
            moved = source.detach().reshape(axes).permute(order).reshape(shape)
            self._moved[key] = moved.contiguous()
        moved = self._moved[key]
        shared = moved.data_ptr() == source.data_ptr()
        self.changed.append(
            Weight(target, tuple(source.shape), shape, axes, order, "view" if shared else "copy")
        )
        if isinstance(source, torch.nn.Parameter):
            moved = torch.nn.Parameter(moved, requires_grad=source.requires_grad)
        home[target] = moved
        mode = self._build.mode
        copy.meta["val"] = moved if mode is None else mode.from_tensor(moved, static_shapes=True)


def _demands(plan: Plan, holdings: Holdings[fx.Node]) -> dict[Value, set[Form]]:
    """All forms in which each constant will be read."""
    demands: dict[Value, set[Form]] = {}
    for node in plan.graph.nodes:
        variant = plan.forms.nodes[node]
        kept = holdings.is_kept(node)
        for use, form in zip(node.operands, rows_first(node, variant), strict=True):
            if use is not None and use.value.constant:
                wanted = use.form if kept or form is None else form
                demands.setdefault(use.value, set()).add(wanted)
    for tensor in plan.graph.outputs:
        view = plan.graph.views[tensor]
        if view.value.constant:
            demands.setdefault(view.value, set()).add(view.form)
    return demands
