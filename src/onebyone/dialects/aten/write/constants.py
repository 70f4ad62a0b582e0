"""Parameters and buffers in the forms that the plan demands: permuted, never computed with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import fx

from onebyone.axes.graph import Form, Value, order_of
from onebyone.axes.sizes import product
from onebyone.dialects.aten.values import Number
from onebyone.dialects.aten.write.express import reads
from onebyone.report import Weight

if TYPE_CHECKING:
    from onebyone.dialects.aten.write.writer import Emitter

aten = torch.ops.aten


class Constants:
    """Gives each constant in each demanded form.

    A constant that is read in one form is stored in it; where it is read in several, it stays as
    it was and the others are views of it, made by nodes.
    """

    def __init__(self, emitter: Emitter) -> None:
        self.emitter = emitter
        program = emitter.program
        self.state_dict: dict[str, Any] = dict(program.state_dict)
        self.constants: dict[str, Any] = dict(program.constants)
        for target in program.graph_signature.buffers_to_mutate.values():
            # A run of one program must not be felt by the other.
            for home in (self.state_dict, self.constants):
                if target in home:
                    home[target] = home[target].detach().clone()
        self.changed: list[Weight] = []
        self._held: dict[tuple[Value, Form], Any] = {}
        self._numbers: dict[tuple[float, torch.dtype], fx.Node] = {}
        self._moved: dict[tuple[Any, ...], torch.Tensor] = {}
        self._demands = self._count()

    def _count(self) -> dict[Value, set[Form]]:
        """All forms in which each constant will be read."""
        found: dict[Value, set[Form]] = {}
        emitter = self.emitter
        for node, variant in emitter.plan.forms.nodes.items():
            kept = emitter.is_kept(node)
            for use, form in zip(node.operands, reads(node, variant), strict=True):
                if use is not None and use.value.constant:
                    own = use.form if kept or form is None else form
                    found.setdefault(use.value, set()).add(own)
        for tensor in emitter.graph.outputs:
            view = emitter.graph.views[tensor]
            if view.value.constant:
                found.setdefault(view.value, set()).add(view.form)
        return found

    def get(self, value: Value, form: Form) -> Any:
        """A node that holds the constant in ``form``; a number is itself."""
        key = (value, form)
        if isinstance(value.tensor.key, Number):
            return value.tensor.key.value
        if key not in self._held:
            self._held[key] = self._made(value, form)
        return self._held[key]

    def number(self, value: Value, origin: fx.Node) -> fx.Node:
        """A number as a tensor without dimensions, for operators that take no number."""
        own: Number = value.tensor.key
        key = (own.value, own.dtype)
        if key not in self._numbers:
            self._numbers[key] = self.emitter.op(
                aten.full.default, ([], own.value), {"dtype": own.dtype}, origin=origin
            )
        return self._numbers[key]

    def _made(self, value: Value, form: Form) -> Any:
        emitter = self.emitter
        node: fx.Node = value.tensor.key
        held = emitter.copies[node]
        if form == value.native:
            return held
        if self._demands.get(value, set()) <= {form}:
            self._store(value, form, node, held)
            return held
        order = order_of(form)
        if order != order_of(value.native):
            atoms = [value.sizes[axis].known for axis in order_of(value.native)]
            held = emitter.op(aten.reshape.default, (held, atoms), like=value)
            places = [order_of(value.native).index(axis) for axis in order]
            held = emitter.op(aten.permute.default, (held, places), like=value)
        shape = list(form_shape(value, form))
        return emitter.op(aten.reshape.default, (held, shape), like=value)

    def _store(self, value: Value, form: Form, node: fx.Node, held: fx.Node) -> None:
        target = self.emitter.reader.targets[node]
        home = self.state_dict if target in self.state_dict else self.constants
        source = home[target]
        shape = form_shape(value, form)
        order = order_of(form)
        atoms = form_shape(value, tuple((axis,) for axis in range(len(value.sizes))))
        key = (source.data_ptr(), source.shape, source.stride(), atoms, order, shape)
        if key not in self._moved:
            moved = source.detach().reshape(atoms).permute(order).reshape(shape)
            self._moved[key] = moved.contiguous()
        moved = self._moved[key]
        shared = moved.data_ptr() == source.data_ptr()
        self.changed.append(
            Weight(target, tuple(source.shape), shape, atoms, order, "view" if shared else "copy")
        )
        if isinstance(source, torch.nn.Parameter):
            moved = torch.nn.Parameter(moved, requires_grad=source.requires_grad)
        home[target] = moved
        mode = self.emitter.mode
        held.meta["val"] = moved if mode is None else mode.from_tensor(moved, static_shapes=True)


def form_shape(value: Value, form: Form) -> tuple[int, ...]:
    """The integers of a form of a constant."""
    found: list[int] = []
    for group in form:
        known = product([value.sizes[axis] for axis in group]).known
        assert known is not None, "a constant's sizes are integers"
        found.append(known)
    return tuple(found)
