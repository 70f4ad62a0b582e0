"""The canonical form of an exported program."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import torch
from torch import fx
from torch.export import ExportedProgram

from onebyone.axes.canonical import canonical, hashes_by_name
from onebyone.axes.graph import Node
from onebyone.axes.positional import Kind, Tensor
from onebyone.axes.terms import Canonical
from onebyone.dialects.aten.read.table import functional, read
from onebyone.dialects.aten.values import Native, arguments, fake, size_of, tags_of


def canonical_form(program: ExportedProgram, *, by_position: bool = True) -> Canonical:
    """Hash a program; its layout, and the form of its FC layers, do not count.

    Args:
        program: what is hashed; values that depend on constants alone are computed first, as
            exporters to ONNX do.
        by_position: inputs, outputs and symbols are told apart by position, not by name, so that
            programs of different dialects can be compared.
    """
    return canonical_values(program, by_position=by_position)[0]


def canonical_values(
    program: ExportedProgram, *, by_position: bool = True
) -> tuple[Canonical, dict[str, str]]:
    """The canonical form, and the hash behind every tensor's name, reshaped ones included."""
    lifted = read(functional(program), fold=True)

    def elements(tensor: Tensor) -> np.ndarray[Any, Any]:
        contents = lifted.reader.elements(tensor).detach().contiguous()
        if contents.dtype == torch.bfloat16:
            return contents.view(torch.int16).numpy()
        return contents.numpy()

    form = canonical(lifted.graph, elements, _describe, by_position=by_position)
    return form, hashes_by_name(lifted.graph, form)


def _describe(node: Node) -> tuple[str, Hashable]:
    native: Native = node.natives[0]
    if node.kind is Kind.SIZES:
        return "sizes", node.attrs
    fx_node = native.node
    target = fx_node.target
    given = arguments(fx_node) or {**dict(enumerate(fx_node.args)), **fx_node.kwargs}
    tensors = [source for source in fx_node.all_input_nodes if not _is_size(source)]
    told = sorted((str(key), _told(value, tensors)) for key, value in given.items())
    # Two draws are two values, however equal the nodes that draw them.
    random = torch.Tag.nondeterministic_seeded in tags_of(target)
    return native.op, (str(target), tuple(told), fx_node.name if random else "")


def _told(value: object, tensors: list[fx.Node]) -> Hashable:
    """An argument without names of nodes: a size is itself, a tensor its place among ``tensors``.

    The operands of a node that is not understood are told once each: f(a, b, a) and f(a, b, b)
    differ in these places alone.
    """
    if isinstance(value, list | tuple):
        return ("list", *(_told(item, tensors) for item in value))
    if not isinstance(value, fx.Node):
        return repr(value)
    return str(size_of(fake(value))) if _is_size(value) else ("operand", tensors.index(value))


def _is_size(node: fx.Node) -> bool:
    return isinstance(fake(node), int | torch.SymInt)
