"""Sizes for new nodes: integers where they are known, else measured at run time."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import fx

from onebyone.axes.sizes import Size
from onebyone.dialects.aten.values import fake, op_name, shape_of, size_of
from onebyone.dialects.aten.write.build import Build
from onebyone.errors import UnmeasuredSizeError
from onebyone.lower.holdings import Holdings

aten = torch.ops.aten


class Sizes:
    """Makes symbolic integers, each size once.

    Args:
        original: the graph that is written anew.
        build: the new graph.
        holdings: the tensors that can be measured.
        copy: copies a node of the original that reads what its operands have become.
    """

    def __init__(
        self,
        original: fx.Graph,
        build: Build,
        holdings: Holdings[fx.Node],
        copy: Callable[[fx.Node], fx.Node],
    ) -> None:
        self._original, self._build, self._holdings, self._copy = original, build, holdings, copy
        self._measured: dict[Size, fx.Node] = {}

    def shape(self, sizes: tuple[Size, ...], *, infer: bool = False) -> list[Any]:
        """A shape as operators take it; with ``infer``, -1 stands for a single unknown size."""
        symbolic = [size for size in sizes if size.known is None]
        if infer and len(symbolic) == 1:
            return [-1 if size.known is None else size.known for size in sizes]
        return [self.measure(size) for size in sizes]

    def measure(self, size: Size) -> Any:
        """An integer, or a node that yields it.

        Raises:
            UnmeasuredSizeError: no tensor at hand has it, and no node computes it.
        """
        if size.known is not None:
            return size.known
        if size not in self._measured:
            self._measured[size] = self._made(size)
        return self._measured[size]

    def integer(self, node: fx.Node) -> Any:
        """What a node of the original program yields that is no tensor."""
        copies = self._build.copies
        if node in copies:
            return copies[node]
        value = fake(node)
        if isinstance(value, int | torch.SymInt) and op_name(node) == "sym_size":
            number = self.measure(size_of(value))
        else:
            number = self._copy(node)
        if isinstance(number, fx.Node):
            copies[node] = number
        return number

    def _made(self, size: Size) -> fx.Node:
        build = self._build
        tensors = [*build.copies.values(), *(tensor for _, _, tensor in self._holdings)]
        for node in tensors:
            if isinstance(fake(node), torch.Tensor) and size in (shape := shape_of(fake(node))):
                args = (node, shape.index(size))
                return build.op(aten.sym_size.int, args, origin=node, rule="size")
        factors = [Size(1, (symbol,)) for symbol in size.symbols]
        if len(factors) == 1 and size.coefficient == 1:
            return self._computed(size)
        total = self.measure(factors[0])
        for factor in [*factors[1:], *([Size(size.coefficient)] * (size.coefficient != 1))]:
            total = build.op(operator.mul, (total, self.measure(factor)), rule="size")
        return total

    def _computed(self, size: Size) -> fx.Node:
        """A node of the original that computes the size, such as a sum."""
        for node in self._original.nodes:
            value = fake(node)
            computed = isinstance(value, torch.SymInt) and op_name(node) != "sym_size"
            if computed and size_of(value) == size:
                return self._copy(node)
        raise UnmeasuredSizeError(
            f"the size {size} is needed and no tensor at hand has it; export with static shapes"
        )
