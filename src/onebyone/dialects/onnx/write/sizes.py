"""Shape vectors for new nodes: integers where sizes are known, else measured at run time."""

from __future__ import annotations

import onnx_ir as ir

from onebyone.axes.graph import Form, Value
from onebyone.axes.sizes import Size
from onebyone.dialects.onnx.write.build import Build
from onebyone.dialects.onnx.write.constants import Constants
from onebyone.errors import UnmeasuredSizeError
from onebyone.lower import places
from onebyone.lower.holdings import Holdings

# Since this opset the shape of a Reshape is an input.
_SHAPE_INPUT = 5


class SizeVectors:
    """Makes int64 shape vectors, each symbolic size measured once."""

    def __init__(self, build: Build, holdings: Holdings[ir.Value], constants: Constants) -> None:
        self._build, self._holdings, self._constants = build, holdings, constants
        self._measured: dict[Size, ir.Value] = {}
        self._vectors: dict[tuple[Size, ...], ir.Value] = {}

    def reshaped(self, value: Value, tensor: ir.Value, source: Form, target: Form) -> ir.Value:
        """A Reshape of ``tensor``, with 0 and -1 where they save a measurement.

        Raises:
            UnmeasuredSizeError: a shape must be measured, and there is no tensor at hand for it,
                or the opset has shapes as attributes only.
        """
        entries = _entries(value, source, target)
        if self._build.opset < _SHAPE_INPUT:
            if entries is None:
                raise UnmeasuredSizeError(
                    f"a Reshape of opset {self._build.opset} cannot measure sizes; "
                    "fix the dimensions with --dim NAME=N"
                )
            return self._build.op("Reshape", [tensor], {"shape": entries}, like=value)
        after = places.shape(value, target)
        shape = self.vector(after) if entries is None else self._vector(entries)
        return self._build.op("Reshape", [tensor, shape], like=value)

    def vector(self, sizes: tuple[Size, ...]) -> ir.Value:
        """An int64 vector of sizes.

        Raises:
            UnmeasuredSizeError: no tensor at hand has one of them.
        """
        known = [size.known for size in sizes]
        if None not in known:
            return self._vector([k for k in known if k is not None])
        if sizes not in self._vectors:
            parts = [self._measure(size) for size in sizes]
            self._vectors[sizes] = (
                parts[0]
                if len(parts) == 1
                else self._build.op("Concat", parts, {"axis": 0}, name="onebyone.shape")
            )
        return self._vectors[sizes]

    def _vector(self, entries: list[int]) -> ir.Value:
        return self._constants.vector(tuple(entries))

    def _measure(self, size: Size) -> ir.Value:
        """A vector of one element that holds ``size``."""
        if size.known is not None:
            return self._vector([size.known])
        if size not in self._measured:
            self._measured[size] = self._computed(size)
        return self._measured[size]

    def _computed(self, size: Size) -> ir.Value:
        for value, form, tensor in self._holdings:
            for place, group in enumerate(form):
                if group and places.shape(value, (group,))[0] == size:
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
            total = self._build.op("Mul", [total, self._measure(factor)], name="onebyone.size")
        return total

    def _dimension(self, tensor: ir.Value, place: int) -> ir.Value:
        build, name = self._build, f"{tensor.name}.size{place}"
        if build.opset >= 15:
            return build.op("Shape", [tensor], {"start": place, "end": place + 1}, name=name)
        shape = build.op("Shape", [tensor], name=name)
        return build.op("Gather", [shape, self._vector([place])], {"axis": 0}, name=name)


def _entries(value: Value, source: Form, target: Form) -> list[int] | None:
    """The shape of a Reshape in numbers, 0 and -1 included; None where they do not say it."""
    before, after = places.shape(value, source), places.shape(value, target)
    if sum(size.known is None for size in after) <= 1:
        return [-1 if size.known is None else size.known for size in after]
    entries: list[int | None] = []
    for place, size in enumerate(after):
        if size.known is not None:
            entries.append(size.known)
        elif place < len(before) and before[place] == size:
            entries.append(0)
        else:
            entries.append(None)
    if entries.count(None) > 1:
        return None
    return [-1 if entry is None else entry for entry in entries]
