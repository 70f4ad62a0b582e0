"""Constants in the forms that the plan demands: reshaped and permuted, never computed with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from onebyone.axes.graph import Form, Value, order_of
from onebyone.axes.positional import Kind
from onebyone.dialects.onnx.files.stored import StoredTensor
from onebyone.dialects.onnx.write.build import Build, annotated
from onebyone.layout.plan import Plan
from onebyone.lower.holdings import Holdings
from onebyone.lower.places import atoms, fixed_shape, permutation

# A constant that is needed in several forms is stored once and reshaped at run time, unless it is
# no weight and so small that storing it again is cheaper than a node.
_SMALL = 4096


class Constants:
    """Gives each constant in each demanded form, as few initializers as possible.

    Args:
        plan: what will be read.
        build: the new graph.
        holdings: knows which nodes stay, and the original's own views.
        view: gives a view of a constant by the original's own nodes, which it appends.
    """

    def __init__(
        self,
        plan: Plan,
        build: Build,
        holdings: Holdings[ir.Value],
        view: Callable[[ir.Value], ir.Value],
    ) -> None:
        self._build, self._holdings, self._view = build, holdings, view
        self._tensors: dict[tuple[Value, Form], ir.Value] = {}
        self._vectors: dict[tuple[int, ...], ir.Value] = {}
        self._integers: dict[int, ir.Value] = {}
        self._demands = _demands(plan, holdings)
        self._weights = {
            use.value
            for node in plan.graph.nodes
            if node.kind is Kind.CONTRACT
            for use in node.operands[:2]
            if use is not None
        }
        self._stored: list[tuple[ir.Value, ir.TensorProtocol]] = []

    def get(self, value: Value, form: Form) -> ir.Value:
        """An ONNX value that holds the constant in ``form``."""
        key = (value, form)
        if key not in self._tensors:
            self._tensors[key] = self._made(value, form)
        return self._tensors[key]

    def vector(self, values: tuple[int, ...]) -> ir.Value:
        """An int64 vector, one initializer for each distinct one."""
        if values not in self._vectors:
            tensor = ir.tensor(np.asarray(values, np.int64))
            name = "onebyone.ints." + "_".join(str(v) for v in values[:8])
            self._vectors[values] = self._build.initializer(name, tensor)
        return self._vectors[values]

    def integer(self, number: int) -> ir.Value:
        """An int64 scalar."""
        if number not in self._integers:
            tensor = ir.tensor(np.asarray(number, np.int64))
            self._integers[number] = self._build.initializer(f"onebyone.int.{number}", tensor)
        return self._integers[number]

    def scalar(self, number: float, dtype: ir.DataType) -> ir.Value:
        """A scalar of a float type."""
        tensor = ir.tensor(np.asarray(number, dtype.numpy()), dtype)
        return self._build.initializer(f"onebyone.scalar.{number:g}", tensor)

    def finish(self) -> None:
        """Give the converted initializers their new tensors."""
        for value, tensor in self._stored:
            value.const_value = tensor
            value.shape = ir.Shape(tensor.shape.numpy())

    def _made(self, value: Value, form: Form) -> ir.Value:
        native: ir.Value = value.tensor.key
        if form == value.native:
            producer = native.producer()
            if producer is not None:
                self._build.push(producer)
            return native
        demanded = self._demands.get(value, set())
        if demanded <= {form} and native.is_initializer() and native.producer() is None:
            tensor = permuted_tensor(native, value, form)
            self._stored.append((native, tensor))
            return native
        elements = value.elements.known or 0
        large = value in self._weights or elements > _SMALL
        if len(value.sizes) > 1 and large and len(demanded) > 1:
            return self._at_run_time(value, form)
        tensor = permuted_tensor(native, value, form)
        return self._build.initializer(native.name or "constant", tensor)

    def _at_run_time(self, value: Value, form: Form) -> ir.Value:
        """A tied weight stays one initializer; other forms of it are views made by a node."""
        for native in self._holdings.natives(value, form):
            return self._view(native.outputs[0])
        tensor, source, order = self.get(value, value.native), value.native, order_of(form)
        if order_of(source) != order:
            if any(len(group) > 1 for group in source):
                source = tuple((axis,) for axis in order_of(source))
                tensor = self._reshaped(value, tensor, source)
            empty = tuple(() for group in source if not group)
            target = (*empty, *((axis,) for axis in order))
            perm = {"perm": permutation(source, target)}
            tensor = self._build.op("Transpose", [tensor], perm, like=value)
            source = target
            annotated(tensor, value, source)
        return tensor if source == form else self._reshaped(value, tensor, form)

    def _reshaped(self, value: Value, tensor: ir.Value, form: Form) -> ir.Value:
        shape = self.vector(fixed_shape(value, form))
        return annotated(self._build.op("Reshape", [tensor, shape], like=value), value, form)


def _demands(plan: Plan, holdings: Holdings[ir.Value]) -> dict[Value, set[Form]]:
    """All forms in which each constant will be read."""
    demands: dict[Value, set[Form]] = {}
    for node in plan.graph.nodes:
        variant = plan.forms.nodes[node]
        same = node.kind not in (Kind.CONTRACT, Kind.SIZES) and holdings.is_kept(node)
        for use, form in zip(node.operands, variant.reads, strict=True):
            if use is not None and use.value.constant:
                wanted = use.value.native if same else form or use.form
                demands.setdefault(use.value, set()).add(wanted)
    for tensor in plan.graph.outputs:
        view = plan.graph.views[tensor]
        if view.value.constant:
            demands.setdefault(view.value, set()).add(view.value.native)
    return demands


def permuted_tensor(native: ir.Value, value: Value, form: Form) -> ir.TensorProtocol:
    """The tensor of a constant in another form; its elements are read when it is written."""
    source = ir.convenience.get_const_tensor(native)
    assert source is not None
    shape = fixed_shape(value, form)
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
    axes = fixed_shape(value, atoms(value))
    # Said now: the elements themselves are read much later, when the file is written.
    assert sorted(order) == list(range(len(axes))), "a form holds every axis of a constant once"

    def permute() -> ir.TensorProtocol:
        array = source.numpy().reshape(axes).transpose(order).reshape(shape)
        return ir.Tensor(array, dtype=source.dtype, name=native.name)

    return ir.LazyTensor(permute, source.dtype, ir.Shape(shape), name=native.name)
