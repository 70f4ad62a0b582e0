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
from onebyone.axes.terms import Canonical, digest
from onebyone.dialects.aten.read.reader import stored
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
    program = functional(program)
    lifted = read(program, fold=True)
    names = _computed_sizes(program)

    def elements(tensor: Tensor) -> np.ndarray[Any, Any]:
        contents = lifted.reader.elements(tensor).detach().contiguous()
        if contents.dtype == torch.bfloat16:
            return contents.view(torch.int16).numpy()
        return contents.numpy()

    form = canonical(lifted.graph, elements, _describe, by_position=by_position, names=names)
    return form, hashes_by_name(lifted.graph, form)


def _computed_sizes(program: ExportedProgram) -> dict[str, str]:
    """A name for each size that depends on values: a hash of all that computes it.

    PyTorch numbers them, and what one program calls ``u0`` is something else in another.
    """
    names: dict[str, str] = {}
    made = [node for node in program.graph.nodes if node.meta.get("unbacked_bindings")]
    hashes: dict[fx.Node, str] = {}
    for node in program.graph.nodes if made else ():
        hashes[node] = _provenance(program, node, hashes)
    for node in made:
        for symbol, path in node.meta["unbacked_bindings"].items():
            names[str(symbol)] = "u" + digest(hashes[node], str(path))
    return names


def _provenance(program: ExportedProgram, node: fx.Node, known: dict[fx.Node, str]) -> str:
    """A hash of a call and of all that it reads, layout included."""
    if node.op == "placeholder":
        signature = program.graph_signature
        targets = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        targets |= signature.inputs_to_lifted_tensor_constants
        if node.name not in targets:
            return digest("input", list(signature.user_inputs).index(node.name))
        elements = stored(program, targets[node.name]).detach().contiguous()
        raw = elements.reshape(-1).view(torch.uint8).numpy().tobytes()
        return digest(str(elements.dtype), tuple(elements.shape), raw)
    call: Any = fx.map_arg((node.args, node.kwargs), lambda source: known[source])
    return digest(str(node.target), call)


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
    if _is_size(value):
        return size_of(fake(value))
    return ("operand", tensors.index(value))


def _is_size(node: fx.Node) -> bool:
    return isinstance(fake(node), int | torch.SymInt)
