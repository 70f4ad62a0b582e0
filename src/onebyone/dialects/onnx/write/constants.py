"""Constants in the forms that the plan demands: reshaped and permuted, never computed with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from onebyone.axes.graph import Form, Value, order_of
from onebyone.axes.positional import Kind
from onebyone.axes.sizes import product
from onebyone.dialects.onnx.files.stored import StoredTensor

if TYPE_CHECKING:
    from onebyone.dialects.onnx.write.writer import Emitter

# A constant that is needed in several forms is stored once and reshaped at run time, unless it is
# no weight and so small that storing it again is cheaper than a node.
_SMALL = 4096


class Constants:
    """Gives each constant in each demanded form, as few initializers as possible."""

    def __init__(self, emitter: Emitter) -> None:
        self.emitter = emitter
        self._held: dict[tuple[Value, Form], ir.Value] = {}
        self._vectors: dict[tuple[int, ...], ir.Value] = {}
        self._integers: dict[int, ir.Value] = {}
        self._demands = self._count()
        self._weights = {
            use.value
            for node in emitter.graph.nodes
            if node.kind is Kind.CONTRACT
            for use in node.operands[:2]
            if use is not None
        }
        self._converted: list[tuple[ir.Value, ir.TensorProtocol]] = []

    def _count(self) -> dict[Value, set[Form]]:
        """All forms in which each constant will be read."""
        demands: dict[Value, set[Form]] = {}
        for node in self.emitter.graph.nodes:
            variant = self.emitter.plan.forms.nodes[node]
            same = node.kind not in (Kind.CONTRACT, Kind.SIZES) and self.emitter.is_kept(node)
            for use, form in zip(node.operands, variant.reads, strict=True):
                if use is not None and use.value.constant:
                    wanted = use.value.native if same else form or use.form
                    demands.setdefault(use.value, set()).add(wanted)
        for tensor in self.emitter.graph.outputs:
            view = self.emitter.graph.views[tensor]
            if view.value.constant:
                demands.setdefault(view.value, set()).add(view.value.native)
        return demands

    def get(self, value: Value, form: Form) -> ir.Value:
        """An ONNX value that holds the constant in ``form``."""
        key = (value, form)
        if key not in self._held:
            self._held[key] = self._made(value, form)
        return self._held[key]

    def vector(self, values: tuple[int, ...]) -> ir.Value:
        """An int64 vector, one initializer for each distinct one."""
        if values not in self._vectors:
            tensor = ir.tensor(np.asarray(values, np.int64))
            name = "onebyone.ints." + "_".join(str(v) for v in values[:8])
            self._vectors[values] = self._initializer(name, tensor)
        return self._vectors[values]

    def integer(self, number: int) -> ir.Value:
        """An int64 scalar."""
        if number not in self._integers:
            tensor = ir.tensor(np.asarray(number, np.int64))
            self._integers[number] = self._initializer(f"onebyone.int.{number}", tensor)
        return self._integers[number]

    def scalar(self, number: float, dtype: ir.DataType) -> ir.Value:
        """A scalar of a float type."""
        tensor = ir.tensor(np.asarray(number, dtype.numpy()), dtype)
        return self._initializer(f"onebyone.scalar.{number:g}", tensor)

    def finish(self) -> None:
        """Give the converted initializers their new tensors."""
        for value, tensor in self._converted:
            value.const_value = tensor
            value.shape = ir.Shape(tensor.shape.numpy())

    def _made(self, value: Value, form: Form) -> ir.Value:
        native: ir.Value = value.tensor.key
        if form == value.native:
            producer = native.producer()
            if producer is not None:
                self.emitter.push(producer)
            return native
        demanded = self._demands.get(value, set())
        if demanded <= {form} and native.is_initializer() and native.producer() is None:
            tensor = permuted_tensor(native, value, form)
            self._converted.append((native, tensor))
            return native
        elements = value.elements.known or 0
        large = value in self._weights or elements > _SMALL
        if len(value.sizes) > 1 and large and len(demanded) > 1:
            return self._at_run_time(value, form)
        tensor = permuted_tensor(native, value, form)
        return self._initializer(native.name or "constant", tensor)

    def _at_run_time(self, value: Value, form: Form) -> ir.Value:
        """A tied weight stays one initializer; other forms of it are views made by a node."""
        emitter = self.emitter
        if (view := emitter.native_view(value, form)) is not None:
            return view
        held = self.get(value, value.native)
        source, order = value.native, order_of(form)
        if order_of(source) != order:
            if any(len(group) > 1 for group in source):
                source = tuple((axis,) for axis in order_of(source))
                held = emitter.op("Reshape", [held, self._shape(value, source)], {}, like=value)
                emitter.shaped(held, value, source)
            perm = [order_of(source).index(axis) for axis in order]
            full = [n for n, group in enumerate(source) if group]
            rest = [n for n, group in enumerate(source) if not group]
            held = emitter.op(
                "Transpose", [held], {"perm": [*rest, *(full[p] for p in perm)]}, like=value
            )
            source = (*(() for _ in rest), *((axis,) for axis in order))
            emitter.shaped(held, value, source)
        if source != form:
            held = emitter.op("Reshape", [held, self._shape(value, form)], {}, like=value)
            emitter.shaped(held, value, form)
        return held

    def _shape(self, value: Value, form: Form) -> ir.Value:
        return self.vector(form_shape(value, form))

    def _initializer(self, name: str, tensor: ir.TensorProtocol) -> ir.Value:
        unique = self.emitter.unique(name)
        tensor.name = unique
        value = ir.Value(
            name=unique,
            shape=ir.Shape(tensor.shape.numpy()),
            type=ir.TensorType(tensor.dtype),
            const_value=tensor,
        )
        self.emitter.model.graph.initializers[unique] = value
        return value


def form_shape(value: Value, form: Form) -> tuple[int, ...]:
    """The integers of a form of a constant."""
    found: list[int] = []
    for group in form:
        known = product([value.sizes[axis] for axis in group]).known
        assert known is not None, "a constant's sizes are integers"
        found.append(known)
    return tuple(found)


def permuted_tensor(native: ir.Value, value: Value, form: Form) -> ir.TensorProtocol:
    """The tensor of a constant in another form; its elements are read when it is written."""
    source = ir.convenience.get_const_tensor(native)
    assert source is not None
    shape = form_shape(value, form)
    order = order_of(form)
    if order == order_of(value.native) and isinstance(source, StoredTensor):
        # The bytes are the same: leave them where they are.
        return StoredTensor(
            source.path,
            source.offset,
            source.dtype,
            shape,
            external=source.external,
            name=native.name,
        )
    atoms = form_shape(value, tuple((axis,) for axis in range(len(value.sizes))))
    # Said now: the elements themselves are read much later, when the file is written.
    assert sorted(order) == list(range(len(atoms))), "a form holds every axis of a constant once"

    def permute() -> ir.TensorProtocol:
        array = source.numpy().reshape(atoms).transpose(order).reshape(shape)
        return ir.Tensor(array, dtype=source.dtype, name=native.name)

    return ir.LazyTensor(permute, source.dtype, ir.Shape(shape), name=native.name)
