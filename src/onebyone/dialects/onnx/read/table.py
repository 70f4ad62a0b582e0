"""From an ONNX model to its axis graph: the table of operators in one place."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

import onnx_ir as ir

from onebyone.axes.graph import AxisGraph
from onebyone.axes.lift import lift
from onebyone.axes.sizes import is_made_up
from onebyone.dialects.onnx.bodies import Key
from onebyone.dialects.onnx.files import infer
from onebyone.dialects.onnx.files.save import skeleton
from onebyone.dialects.onnx.read import axis, contract, layout, norm, pointwise, window
from onebyone.dialects.onnx.read.reader import Handler, Reader, is_symbol

TABLE: dict[Key, Handler] = {
    **pointwise.TABLE,
    **layout.TABLE,
    **axis.TABLE,
    **contract.TABLE,
    **norm.TABLE,
    **window.TABLE,
}


@dataclass(frozen=True)
class Lifted:
    """An axis graph, and the reader that knows where its tensors are in the ONNX model."""

    graph: AxisGraph
    reader: Reader


def read(model: ir.Model, *, fold: bool = False, strict: bool = False) -> Lifted:
    """Lift a model. Adds inferred shapes to its values, and changes nothing else of it.

    Args:
        model: the model.
        fold: take what depends on constants alone for a constant.
        strict: believe nothing that the file says beyond its inputs, operators and constants: the
            shapes of values within, and defaults of inputs, may be false at run time. Shapes that
            do not follow from the inputs are forgotten.
    """
    if strict:
        derive_shapes(model)
    else:
        infer_shapes(model)
    reader = Reader(model, TABLE, fold=fold, strict=strict)
    return Lifted(lift(reader.read()), reader)


def derive_shapes(model: ir.Model) -> None:
    """Replace the shapes of a model's values by those that follow from its inputs.

    Raises:
        ValueError: an input has a size of a name that is kept for sizes without one.
    """
    for value in model.graph.inputs:
        if any(is_symbol(dim) and is_made_up(str(dim)) for dim in value.shape or ()):
            raise ValueError(f"a dimension of input {value.name} has a reserved name")
    declared = _hidden(model)
    proto = skeleton(model)
    for value, shape in declared:
        value.shape = shape
    del proto.graph.value_info[:]
    for output in proto.graph.output:
        output.type.tensor_type.ClearField("shape")
    if (model.ir_version or 4) >= 4:
        given = {value.name for value in model.graph.inputs}
        kept = [tensor for tensor in proto.graph.initializer if tensor.name not in given]
        del proto.graph.initializer[:]
        proto.graph.initializer.extend(kept)
    try:
        found = _named(ir.from_proto(infer.infer_shapes(proto, values=False)).graph)
    except Exception:  # whatever onnx dislikes, the model is understood as far as its inputs say
        found = dict[str, ir.Value]()
    inputs = set(model.graph.inputs)
    for name, value in _named(model.graph).items():
        if value in inputs:
            continue
        known = found.get(name)
        value.shape = None if known is None else known.shape
        if value.type is None and known is not None:
            value.type = known.type


def _hidden(model: ir.Model) -> list[tuple[ir.Value, ir.Shape]]:
    """Hide dimensions of inputs that are no sizes; returns the shapes as they were.

    Such as -1 or ``?``: onnx would compute with the -1, and take two ``?`` for the same size.
    """
    declared = [(value, value.shape) for value in model.graph.inputs if value.shape is not None]
    for value, shape in declared:
        value.shape = ir.Shape(
            [
                dim if (isinstance(dim, int) and dim >= 0) or is_symbol(dim) else None
                for dim in shape
            ]
        )
    return declared


def infer_shapes(model: ir.Model) -> None:
    """Shape inference by onnx; leaves the model as it is where that fails."""
    declared = _hidden(model)
    proto = skeleton(model)
    try:
        inferred = infer.infer_shapes(proto)
        del proto.graph.value_info[:]
        derived = _named(ir.from_proto(infer.infer_shapes(proto)).graph)
    except Exception:  # whatever onnx dislikes, the model is understood as far as it is declared
        inferred, derived = None, dict[str, ir.Value]()
    for value, shape in declared:
        value.shape = shape
    if inferred is None:
        return
    inputs = set(model.graph.inputs)
    symbols = {str(dim) for _, shape in declared for dim in shape if is_symbol(dim)}
    found = _named(ir.from_proto(inferred).graph)
    for name, value in _named(model.graph).items():
        known = found.get(name)
        if known is None or value in inputs:
            continue
        if known.shape is not None:
            own = derived.get(name)
            value.shape = _checked(known.shape, own.shape if own else None, symbols)
        # Not only tensors: a sequence must stay one.
        if value.type is None:
            value.type = known.type


def _checked(declared: ir.Shape, derived: ir.Shape | None, symbols: Container[str]) -> ir.Shape:
    """The declared shape, corrected where what follows from the inputs alone contradicts it.

    A declaration may be stale, and runtimes do not mind; but it may also say more than onnx infers.
    """
    if derived is None:
        return declared
    if len(derived) != len(declared):
        return derived
    return ir.Shape(
        [
            d if isinstance(d, int) or str(d) in symbols else c
            for c, d in zip(declared, derived, strict=True)
        ]
    )


def _named(graph: ir.Graph) -> dict[str, ir.Value]:
    return ir.convenience.create_value_mapping(graph, include_subgraphs=False)
