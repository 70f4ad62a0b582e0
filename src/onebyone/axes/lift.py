"""Lift a positional model into the axis graph, in two passes: factor, then bind."""

from __future__ import annotations

from onebyone.axes.factor import Factor, flat
from onebyone.axes.graph import AxisGraph, Form, Node, Relayout, Use, Value, View
from onebyone.axes.positional import (
    Apply,
    Kind,
    Operation,
    Permute,
    Position,
    Positional,
    Regroup,
    Tensor,
)
from onebyone.axes.sizes import Size


def lift(model: Positional) -> AxisGraph:
    """The axis graph of a model. Never fails on a valid model: it only understands less of it."""
    factored = Factor()
    for tensor in model.inputs:
        factored.define(tensor)
    for operation in model.operations:
        factored.visit(operation)
    bound = _Bind(factored)
    return bound.run(model)


class _Bind:
    """Second pass: number each value's axes, and write each node's index maps."""

    def __init__(self, factored: Factor) -> None:
        self.factored = factored
        self.graph = AxisGraph()

    def run(self, model: Positional) -> AxisGraph:
        for tensor in model.inputs:
            self._value(tensor)
        for operation in model.operations:
            for tensor in operation.inputs:
                if tensor is not None and tensor not in self.graph.views:
                    self._value(tensor)
            self._visit(operation)
        for tensor in model.outputs:
            if tensor not in self.graph.views:
                self._value(tensor)
        self.graph.inputs = model.inputs
        self.graph.outputs = model.outputs
        self.graph.calls = model.calls
        return self.graph

    def _atoms(self, tensor: Tensor) -> list[list[int]]:
        dims = self.factored.dims
        return [dims.atoms(position) for position in self.factored.define(tensor)]

    def _value(self, tensor: Tensor, producer: Node | None = None) -> Value:
        atoms = self._atoms(tensor)
        form: list[tuple[int, ...]] = []
        count = 0
        for position in atoms:
            form.append(tuple(range(count, count + len(position))))
            count += len(position)
        value = Value(
            number=len(self.graph.values),
            sizes=tuple(self.factored.dims.size(atom) for atom in flat(atoms)),
            dtype=tensor.dtype,
            native=tuple(form),
            tensor=tensor,
            producer=producer,
            constant=tensor.constant,
            derived=tensor.constant,
        )
        self.graph.values.append(value)
        self.graph.views[tensor] = View(value, value.native)
        return value

    def _visit(self, operation: Operation) -> None:
        meaning = operation.meaning
        reason = self.factored.opaque.get(id(operation))
        if reason is None and isinstance(meaning, Apply):
            self._apply(operation, meaning)
        elif reason is None and isinstance(meaning, Permute | Regroup):
            source, target = operation.inputs[0], operation.outputs[0]
            assert source is not None
            view = self.graph.views[source]
            self.graph.views[target] = View(view.value, self._viewed(view, meaning, target))
            self.graph.relayouts.append(Relayout(operation.native, source, target, operation.calls))
        else:
            self._opaque(operation, reason or "not understood")

    def _viewed(self, view: View, meaning: Permute | Regroup, target: Tensor) -> Form:
        if isinstance(meaning, Permute):
            return tuple(view.form[position] for position in meaning.order)
        axes = [axis for group in view.form for axis in group]
        form: list[tuple[int, ...]] = []
        start = 0
        for position in self._atoms(target):
            form.append(tuple(axes[start : start + len(position)]))
            start += len(position)
        assert start == len(axes), "a reshape was aligned in the first pass"
        return tuple(form)

    def _apply(self, operation: Operation, meaning: Apply) -> None:
        dims = self.factored.dims
        indices: dict[str, tuple[int, ...]] = {}
        sizes: list[Size] = []

        def bind(label: str, atoms: list[int]) -> tuple[int, ...]:
            if label not in indices:
                indices[label] = tuple(range(len(sizes), len(sizes) + len(atoms)))
                sizes.extend(dims.size(atom) for atom in atoms)
            return indices[label]

        def positions_of(tensor: Tensor, positions: tuple[Position, ...]) -> list[int]:
            assert tensor.shape is not None
            by_place: list[int] = []
            for atoms, position, size in zip(
                self._atoms(tensor), positions, tensor.shape, strict=True
            ):
                if size.is_one:
                    continue
                rest = list(atoms)
                for label in position:
                    count = self._count(rest, label, position, meaning)
                    by_place += bind(label, rest[:count])
                    rest = rest[count:]
            return by_place

        operands: list[Use | None] = []
        pinned: set[int] = set()
        for number, (tensor, positions) in enumerate(
            zip(operation.inputs, meaning.operands, strict=True)
        ):
            if tensor is None:
                operands.append(None)
                continue
            view = self.graph.views[tensor]
            if positions is None:
                pinned.add(number)
                operands.append(Use(view.value, (), view.form))
                continue
            by_place = positions_of(tensor, positions)
            axes = [axis for group in view.form for axis in group]
            by_axis = dict(zip(axes, by_place, strict=True))
            operands.append(Use(view.value, tuple(by_axis[k] for k in range(len(axes))), view.form))
        results: list[Use] = []
        node = Node(
            number=len(self.graph.nodes),
            kind=meaning.kind,
            fn=meaning.fn,
            operands=tuple(operands),
            results=(),
            attrs=meaning.attrs,
            pinned=frozenset(pinned | meaning.fixed),
            natives=(operation.native,),
            stays=meaning.stays,
            calls=operation.calls,
            demanding=id(operation) in self.factored.demanding,
        )
        for tensor, positions in zip(operation.outputs, meaning.results, strict=True):
            value = self._value(tensor, node)
            results.append(Use(value, tuple(positions_of(tensor, positions)), value.native))
        node.results = tuple(results)
        node.sizes = tuple(sizes)
        node.along = tuple(i for label in meaning.along for i in indices.get(label, ()))
        node.axis_in = tuple(_expand(groups, indices) for groups in meaning.axis_in)
        node.axis_out = tuple(_expand(groups, indices) for groups in meaning.axis_out)
        self._finish(node)

    def _count(self, rest: list[int], label: str, position: Position, meaning: Apply) -> int:
        """How many of the atoms at a position belong to ``label``: their sizes multiply to it."""
        if len(position) == 1 or label == position[-1]:
            return len(rest)
        want, have = meaning.sizes[label], Size(1)
        for count, atom in enumerate(rest):
            if have == want:
                return count
            have *= self.factored.dims.size(atom)
        return len(rest)

    def _opaque(self, operation: Operation, reason: str) -> None:
        node = Node(
            number=len(self.graph.nodes),
            kind=Kind.OPAQUE,
            fn="opaque",
            operands=tuple(
                None if t is None else Use(self.graph.views[t].value, (), self.graph.views[t].form)
                for t in operation.inputs
            ),
            results=(),
            pinned=frozenset(range(len(operation.inputs))),
            natives=(operation.native,),
            reason=reason,
            calls=operation.calls,
        )
        values = [self._value(t, node) for t in operation.outputs]
        node.results = tuple(Use(value, (), value.native) for value in values)
        self._finish(node)

    def _finish(self, node: Node) -> None:
        derived = all(use is None or use.value.derived for use in node.operands)
        for use in node.results:
            use.value.derived = derived and bool(node.operands)
        self.graph.nodes.append(node)


def _expand(
    positions: tuple[Position, ...], indices: dict[str, tuple[int, ...]]
) -> tuple[tuple[int, ...], ...]:
    return tuple(
        tuple(i for label in position for i in indices.get(label, ())) for position in positions
    )
