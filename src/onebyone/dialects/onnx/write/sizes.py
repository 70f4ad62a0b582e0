"""Shape vectors for new nodes: integers where sizes are known, else measured at run time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from onebyone.axes.graph import Form, Value
from onebyone.axes.sizes import Size, product
from onebyone.errors import OnebyoneError

if TYPE_CHECKING:
    from onebyone.dialects.onnx.write.writer import Emitter


class UnmeasuredSizeError(OnebyoneError):
    """A symbolic size that no tensor at hand has as a dimension."""


class SizeVectors:
    """Makes int64 shape vectors, each symbolic size measured once."""

    def __init__(self, emitter: Emitter) -> None:
        self.emitter = emitter
        self._measured: dict[Size, ir.Value] = {}
        self._vectors: dict[tuple[Size, ...], ir.Value] = {}

    def reshape(self, value: Value, source: Form, target: Form) -> ir.Value:
        """The shape input of a Reshape, with 0 and -1 where they save a measurement."""
        before = [product([value.sizes[axis] for axis in group]) for group in source]
        after = [product([value.sizes[axis] for axis in group]) for group in target]
        if sum(size.known is None for size in after) <= 1:
            return self._vector([-1 if s.known is None else s.known for s in after])
        entries: list[int | None] = []
        for place, size in enumerate(after):
            if size.known is not None:
                entries.append(size.known)
            elif place < len(before) and before[place] == size:
                entries.append(0)
            else:
                entries.append(None)
        if entries.count(None) <= 1:
            return self._vector([-1 if entry is None else entry for entry in entries])
        return self.vector(tuple(after))

    def vector(self, sizes: tuple[Size, ...]) -> ir.Value:
        """An int64 vector of sizes."""
        known = [size.known for size in sizes]
        if None not in known:
            return self._vector([k for k in known if k is not None])
        if sizes not in self._vectors:
            parts = [self._measure(size) for size in sizes]
            self._vectors[sizes] = (
                parts[0]
                if len(parts) == 1
                else self.emitter.op("Concat", parts, {"axis": 0}, name="onebyone.shape")
            )
        return self._vectors[sizes]

    def _vector(self, entries: list[int]) -> ir.Value:
        return self.emitter.constants.vector(tuple(entries))

    def _measure(self, size: Size) -> ir.Value:
        """A vector of one element that holds ``size``."""
        if size.known is not None:
            return self._vector([size.known])
        if size not in self._measured:
            self._measured[size] = self._found(size)
        return self._measured[size]

    def _found(self, size: Size) -> ir.Value:
        for value, held in self.emitter.have.items():
            for form, tensor in held.items():
                for place, group in enumerate(form):
                    if group and product([value.sizes[axis] for axis in group]) == size:
                        return self._dimension(tensor, place)
        factors = [Size(1, (symbol,)) for symbol in size.symbols]
        if size.coefficient != 1:
            factors.append(Size(size.coefficient))
        if len(factors) == 1:
            raise UnmeasuredSizeError(
                f"the size {size} is needed and no tensor at hand has it; "
                "fix the dimension with --dim NAME=N"
            )
        total = self._measure(factors[0])
        for factor in factors[1:]:
            total = self.emitter.op("Mul", [total, self._measure(factor)], {}, name="onebyone.size")
        return total

    def _dimension(self, tensor: ir.Value, place: int) -> ir.Value:
        emitter, name = self.emitter, f"{tensor.name}.size{place}"
        if emitter.opset >= 15:
            return emitter.op("Shape", [tensor], {"start": place, "end": place + 1}, name=name)
        shape = emitter.op("Shape", [tensor], {}, name=name)
        return emitter.op("Gather", [shape, self._vector([place])], {"axis": 0}, name=name)
