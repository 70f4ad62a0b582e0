"""Sizes for new nodes: integers where they are known, else measured at run time."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import torch
from torch import fx

from onebyone.axes.sizes import Size
from onebyone.dialects.aten.values import fake, op_name, shape_of, size_of
from onebyone.errors import OnebyoneError

if TYPE_CHECKING:
    from onebyone.dialects.aten.write.writer import Emitter

aten = torch.ops.aten


class UnmeasuredSizeError(OnebyoneError):
    """A symbolic size that no tensor at hand has as a dimension."""


class Sizes:
    """Makes symbolic integers, each size once."""

    def __init__(self, emitter: Emitter) -> None:
        self.emitter = emitter
        self._measured: dict[Size, fx.Node] = {}

    def shape(self, sizes: tuple[Size, ...], *, infer: bool = False) -> list[Any]:
        """A shape as operators take it; with ``infer``, -1 stands for a single unknown size."""
        symbolic = [size for size in sizes if size.known is None]
        if infer and len(symbolic) == 1:
            return [-1 if size.known is None else size.known for size in sizes]
        return [self.measure(size) for size in sizes]

    def measure(self, size: Size) -> Any:
        """An integer, or a node that yields it."""
        if size.known is not None:
            return size.known
        if size not in self._measured:
            self._measured[size] = self._found(size)
        return self._measured[size]

    def integer(self, node: fx.Node) -> Any:
        """What a node of the original program yields that is no tensor."""
        emitter = self.emitter
        if node in emitter.copies:
            return emitter.copies[node]
        value = fake(node)
        if isinstance(value, int | torch.SymInt) and op_name(node) == "sym_size":
            found = self.measure(size_of(value))
        else:
            found = emitter.copy(node)
        if isinstance(found, fx.Node):
            emitter.copies[node] = found
        return found

    def _found(self, size: Size) -> fx.Node:
        emitter = self.emitter
        held = [*emitter.copies.values()]
        held += [node for forms in emitter.have.values() for node in forms.values()]
        for node in held:
            if isinstance(fake(node), torch.Tensor) and size in (shape := shape_of(fake(node))):
                args = (node, shape.index(size))
                return emitter.op(aten.sym_size.int, args, origin=node, rule="size")
        factors = [Size(1, (symbol,)) for symbol in size.symbols]
        if len(factors) == 1 and size.coefficient == 1:
            return self._computed(size)
        total = self.measure(factors[0])
        for factor in [*factors[1:], *([Size(size.coefficient)] * (size.coefficient != 1))]:
            total = emitter.op(operator.mul, (total, self.measure(factor)), rule="size")
        return total

    def _computed(self, size: Size) -> fx.Node:
        """A node of the original that computes the size, such as a sum."""
        for node in self.emitter.program.graph.nodes:
            value = fake(node)
            computed = isinstance(value, torch.SymInt) and op_name(node) != "sym_size"
            if computed and size_of(value) == size:
                return self.emitter.copy(node)
        raise UnmeasuredSizeError(
            f"the size {size} is needed and no tensor at hand has it; export with static shapes"
        )
