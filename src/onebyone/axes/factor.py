"""First pass of a lift: give every position of every tensor a list of dims.

Operations are walked once. Labels that occur in two places make their dims the same, and a reshape
splits them (see `onebyone.axes.dims`).
"""

from __future__ import annotations

from collections.abc import Sequence

from onebyone.axes.dims import Dims
from onebyone.axes.positional import Apply, Kind, Operation, Permute, Regroup, Tensor, Unknown
from onebyone.axes.sizes import Size


def _is_opaque(operation: Operation) -> bool:
    tensors = [t for t in (*operation.inputs, *operation.outputs) if t is not None]
    return isinstance(operation.meaning, Unknown) or any(
        t.shape is None or any(size.coefficient <= 0 for size in t.shape) for t in tensors
    )


def _ranks_fit(operation: Operation, meaning: Apply) -> bool:
    sides = [
        *zip(operation.inputs, meaning.operands, strict=False),
        *zip(operation.outputs, meaning.results, strict=False),
    ]
    return all(
        tensor is None or positions is None or len(tensor.shape or ()) == len(positions)
        for tensor, positions in sides
    )


def _sizes_meet(operation: Operation, meaning: Apply) -> bool:
    """Whether no size of 1 meets another where nothing broadcasts: in a sum, beside each other."""
    kept = {label for result in meaning.results for position in result for label in position}
    if meaning.kind is not Kind.CONTRACT and meaning.fn != "concat":
        return True
    single: dict[str, bool] = {}
    for tensor, positions in zip(operation.inputs, meaning.operands, strict=False):
        for position, size in zip(positions or (), (tensor and tensor.shape) or (), strict=False):
            label = position[0]
            if len(position) > 1 or (meaning.kind is Kind.CONTRACT and label in kept):
                continue
            if single.setdefault(label, size.is_one) != size.is_one:
                return False
    return True


class Factor:
    """The first pass of a lift: every position of every tensor becomes a list of dims.

    Attributes:
        dims: all dims, split and unified as far as the operations so far demand.
        positions: for each tensor the dims of each position, row-major.
        opaque: why an operation is not understood, by its ``id``.
        demanding: operations that fail unless two sizes are equal, by their ``id``.
    """

    def __init__(self) -> None:
        self.dims = Dims()
        self.positions: dict[Tensor, list[list[int]]] = {}
        self.opaque: dict[int, str] = {}
        self.demanding: set[int] = set()

    def define(self, tensor: Tensor) -> list[list[int]]:
        """The dims of a tensor, fresh ones where it is new."""
        if tensor not in self.positions:
            self.positions[tensor] = [
                [] if size.is_one else [self.dims.new(size)] for size in tensor.shape or ()
            ]
        return self.positions[tensor]

    def visit(self, operation: Operation) -> None:
        """Take in the next operation: split and unify dims until its labels fit."""
        assumed = self.dims.assumed
        for tensor in operation.inputs:
            if tensor is not None:
                self.define(tensor)
        meaning = operation.meaning
        if isinstance(meaning, Unknown):
            self.opaque[id(operation)] = meaning.reason
        elif _is_opaque(operation):
            self.opaque[id(operation)] = "a shape is not known, or empty"
        elif isinstance(meaning, Apply) and not _ranks_fit(operation, meaning):
            self.opaque[id(operation)] = "its declared shapes contradict its operands"
        elif isinstance(meaning, Apply) and not _sizes_meet(operation, meaning):
            self.opaque[id(operation)] = "sizes that must be equal may differ"
        elif isinstance(meaning, Permute):
            source = operation.inputs[0]
            assert source is not None
            self.positions[operation.outputs[0]] = [
                self.positions[source][position] for position in meaning.order
            ]
        elif isinstance(meaning, Regroup):
            source = operation.inputs[0]
            assert source is not None
            target = self.define(operation.outputs[0])
            if not self.dims.align(flat(self.positions[source]), flat(target)):
                self.opaque[id(operation)] = "the reshape mixes axes"
        elif not self._unify(operation, meaning):
            self.opaque[id(operation)] = "axes of its operands do not fit each other"
        for tensor in operation.outputs:
            self.define(tensor)
        if self.dims.assumed > assumed:
            self.demanding.add(id(operation))

    def _unify(self, operation: Operation, meaning: Apply) -> bool:
        labels: dict[str, list[int]] = {}
        sides = [
            *zip(operation.inputs, meaning.operands, strict=True),
            *zip(operation.outputs, meaning.results, strict=True),
        ]
        fits = True
        for tensor, positions in sides:
            if tensor is None or positions is None:
                continue
            assert tensor.shape is not None
            if tensor not in self.positions and all(
                len(position) == 1 and (size.is_one or self._fits(labels, position[0], size))
                for position, size in zip(positions, tensor.shape, strict=True)
            ):
                # A result whose labels are known is written in the dims of its operands.
                self.positions[tensor] = [
                    [] if size.is_one else labels[position[0]]
                    for position, size in zip(positions, tensor.shape, strict=True)
                ]
                continue
            for dims, position, size in zip(
                self.define(tensor), positions, tensor.shape, strict=True
            ):
                if size.is_one:
                    continue
                if len(position) == 1 and position[0] not in labels:
                    labels[position[0]] = dims
                    continue
                parts: list[int] = []
                for label in position:
                    if label not in labels:
                        labels[label] = self._fresh(meaning.sizes[label])
                    parts += labels[label]
                fits = self.dims.align(parts, dims, demand=True) and fits
        return fits

    def _fresh(self, size: Size) -> list[int]:
        return [] if size.is_one else [self.dims.new(size)]

    def _fits(self, labels: dict[str, list[int]], label: str, size: Size) -> bool:
        if label not in labels:
            return False
        total = Size(1)
        for dim in labels[label]:
            total *= self.dims.size(dim)
        return total == size


def flat(positions: Sequence[Sequence[int]]) -> list[int]:
    """The dims of all positions, one after the other."""
    return [dim for position in positions for dim in position]
