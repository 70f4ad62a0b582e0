"""Fixing symbolic dimensions to sizes, for targets that need static shapes."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

import onnx_ir as ir

from onebyone.errors import InputError


def symbols(model: ir.Model) -> tuple[str, ...]:
    """The names of the symbolic dimensions of a model's inputs, in order of appearance."""
    names: dict[str, None] = {}
    for value in model.graph.inputs:
        for dim in value.shape or ():
            if isinstance(dim, ir.SymbolicDim) and dim.value:
                names[str(dim.value)] = None
    return tuple(names)


def fix_dims(model: ir.Model, sizes: Mapping[str, int]) -> None:
    """Set symbolic dimensions of the inputs to sizes, in place.

    Shapes in between and of the outputs that mention a symbol are dropped or become sizes too;
    shape inference finds the dropped ones anew.

    Args:
        model: altered.
        sizes: symbol -> size, at least 1.

    Raises:
        InputError: a name is no symbol of an input (the error lists those that are), or a size is
            not positive.
    """
    known = symbols(model)
    for name, size in sizes.items():
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            have = f"its inputs have {', '.join(known)}" if known else "its inputs have none"
            hint = f"; did you mean {close[0]}?" if close else ""
            raise InputError(f"the model has no symbolic dimension {name}: {have}{hint}")
        if size < 1:
            raise InputError(f"dimension {name}: size {size} is not positive")
    boundary = {id(value) for value in (*model.graph.inputs, *model.graph.outputs)}
    for value in (*model.graph.inputs, *model.graph.outputs):
        if value.shape is not None:
            value.shape = ir.Shape([_fixed(dim, sizes) for dim in value.shape])
    for node in model.graph.all_nodes():
        for value in node.outputs:
            if id(value) in boundary or value.shape is None:
                continue
            dims = [_fixed(dim, sizes) for dim in value.shape]
            unknown = any(isinstance(d, ir.SymbolicDim) and d.value is None for d in dims)
            value.shape = None if unknown else ir.Shape(dims)


def _fixed(dim: int | ir.SymbolicDim, sizes: Mapping[str, int]) -> int | ir.SymbolicDim:
    if isinstance(dim, int) or dim.value is None:
        return dim
    name = str(dim.value)
    if name in sizes:
        return sizes[name]
    # "2*seq" and the like: an expression over a fixed symbol is no name any more.
    if any(re.search(rf"(?<![\w.]){re.escape(s)}(?![\w.])", name) for s in sizes):
        return ir.SymbolicDim(None)
    return dim
