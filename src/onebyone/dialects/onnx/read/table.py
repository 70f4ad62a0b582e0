"""From an ONNX model to its axis graph: the table of operators in one place."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

import onnx_ir as ir

from onebyone.axes.graph import AxisGraph
from onebyone.axes.lift import lift
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


def read(model: ir.Model, *, fold: bool = False) -> Lifted:
    """Lift a model. Adds inferred shapes to its values, and changes nothing else of it.

    Args:
        model: the model.
        fold: take what depends on constants alone for a constant.
    """
    infer_shapes(model)
    reader = Reader(model, TABLE, fold=fold)
    return Lifted(lift(reader.read()), reader)


def infer_shapes(model: ir.Model) -> None:
    """Shape inference by onnx; leaves the model as it is where that fails.

    Input dimensions written as -1 or ``?`` are hidden from it: it would compute with the -1, and
    take two ``?`` for the same size.
    """
    declared = [(value, value.shape) for value in model.graph.inputs if value.shape is not None]
    for value, shape in declared:
        value.shape = ir.Shape(
            [
                dim if (isinstance(dim, int) and dim >= 0) or is_symbol(dim) else None
                for dim in shape
            ]
        )
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
