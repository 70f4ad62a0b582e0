"""The elements of small integer tensors, as sizes: Shape -> Gather -> Concat -> Reshape arithmetic.

Shapes computed at run time are followed symbolically, so that a reshape to ``[batch, -1, 12, 64]``
is understood as fully as one to integers. What an operator does to the last bit is in
`shape_arithmetic`; what it does to positions, in `shape_rules`, is numpy's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from onebyone.axes.sizes import Size
from onebyone.dialects.onnx.bodies import key_of
from onebyone.dialects.onnx.read import shape_rules
from onebyone.dialects.onnx.read.shape_arithmetic import wrapped

# More elements than any shape, pad or axes vector has.
_LIMIT = 64
# Bits of the types that hold sizes; booleans are 0 and 1.
_BITS = {ir.DataType.INT64: 64, ir.DataType.INT32: 32}

Contents = tuple[Size, ...]


class Evaluator:
    """Computes contents node by node, in graph order.

    Args:
        shape: the shape of a tensor.
        given: whether a value is an input that a caller may set, whatever default it has.
        inputs: where integers overflow, as in a runtime: the symbols of each input's shape. A
            plan may take them for whole numbers: a shape that wrapped around fits no tensor.
    """

    def __init__(
        self,
        shape: Callable[[ir.Value], tuple[Size, ...] | None],
        given: Callable[[ir.Value], bool],
        *,
        inputs: Sequence[Counter[str]] | None = None,
    ) -> None:
        self._shape, self._given, self._inputs = shape, given, inputs
        self._found: dict[ir.Value, shape_rules.Sizes | None] = {}

    def sizes(self, value: ir.Value | None) -> shape_rules.Sizes | None:
        """The contents of a tensor of any rank, or None where they are not sizes."""
        if value is None:
            return None
        if value not in self._found:
            self._found[value] = None if self._given(value) else _constant(value)
        return self._found[value]

    def get(self, value: ir.Value | None) -> Contents | None:
        """The contents of a tensor of at most one axis, or None where they are not sizes."""
        found = self.sizes(value)
        if found is None or sum(count != 1 for count in found.shape) > 1:
            return None
        return tuple(found.reshape(-1))

    def copy(self, source: ir.Value, target: ir.Value) -> None:
        """Let a tensor hold what another holds."""
        self._found[target] = self.sizes(source)

    def visit(self, node: ir.Node) -> None:
        """Compute the contents of a node's outputs."""
        domain, name = key_of(node)
        rule = shape_rules.RULES.get(name)
        if domain or rule is None:
            return
        outputs = rule(self, node)
        for value, found in zip(node.outputs, outputs, strict=False):
            if found is not None and found.size <= _LIMIT:
                self._found[value] = self._stored(found, value.dtype)

    def integer(self, value: ir.Value | None) -> int | None:
        """The single integer that a tensor holds, or None."""
        contents = self.get(value)
        return contents[0].known if contents is not None and len(contents) == 1 else None

    def integers(self, value: ir.Value | None) -> list[int] | None:
        """The integers that a tensor holds, or None where one is not known."""
        contents = self.get(value)
        if contents is None:
            return None
        known = [size.known for size in contents]
        return [k for k in known if k is not None] if None not in known else None

    def shape(self, value: ir.Value) -> tuple[Size, ...] | None:
        """The shape of a tensor."""
        return self._shape(value)

    def _stored(
        self, found: shape_rules.Sizes, dtype: ir.DataType | None
    ) -> shape_rules.Sizes | None:
        """Sizes as a tensor of a type holds them: whole numbers wrap around."""
        bits = None if dtype is None else _BITS.get(dtype)
        if bits is None:
            known = dtype == ir.DataType.BOOL or (dtype is None and self._inputs is None)
            return found if known else None

        def held(size: Size) -> Size:
            exact = self._inputs is None and size.symbols
            return size if exact else wrapped(size, bits, self._inputs or ())

        return shape_rules.each(held, found)


def _constant(value: ir.Value) -> shape_rules.Sizes | None:
    """The elements of a constant integer tensor, None where it is large or no integer."""
    tensor = ir.convenience.get_const_tensor(value)
    if tensor is None or tensor.dtype not in _BITS:
        return None
    dims = tensor.shape.numpy()
    if np.prod(dims, dtype=object) > _LIMIT:
        return None
    array: Any = tensor.numpy()
    return shape_rules.each(lambda number: Size(int(number)), array)
