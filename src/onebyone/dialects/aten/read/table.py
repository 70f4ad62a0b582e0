"""From an exported program to its axis graph: the table of operators in one place."""

from __future__ import annotations

from dataclasses import dataclass

from torch.export import ExportedProgram

from onebyone.axes.graph import AxisGraph
from onebyone.axes.lift import lift
from onebyone.dialects.aten.read import attention, contract, layout, norm, pointwise, repeat, window
from onebyone.dialects.aten.read.reader import Handler, Key, Reader
from onebyone.dialects.aten.values import arguments, op_name, schema_of
from onebyone.errors import InputError

TABLE: dict[Key, Handler] = {
    **pointwise.TABLE,
    **layout.TABLE,
    **contract.TABLE,
    **window.TABLE,
    **norm.TABLE,
    **attention.TABLE,
    **repeat.TABLE,
}

_TRAINING = frozenset({"train", "training"})
_ALWAYS_TRAINING = frozenset(
    {"native_dropout", "_native_batch_norm_legit", "_native_batch_norm_legit_functional"}
)


@dataclass(frozen=True)
class Lifted:
    """An axis graph, and the reader that knows where its tensors are in the program."""

    graph: AxisGraph
    reader: Reader


def read(program: ExportedProgram, *, fold: bool = False) -> Lifted:
    """Lift a program, which must be functional (see `functional`).

    Args:
        program: is not changed.
        fold: compute what depends on constants alone, as exporters to ONNX do.
    """
    reader = Reader(program, TABLE, fold=fold)
    return Lifted(lift(reader.read()), reader)


def functional(program: ExportedProgram) -> ExportedProgram:
    """The program without operators that write into their operands.

    Raises:
        InputError: the program was exported in training mode.
    """
    _refuse_training(program)
    if any(_writes(node.target) for node in program.graph.nodes):
        program = program.run_decompositions({})
    return program


def _writes(target: object) -> bool:
    schema = schema_of(target)
    return schema is not None and schema.is_mutable


def _refuse_training(program: ExportedProgram) -> None:
    for node in program.graph.nodes:
        given = arguments(node)
        name = op_name(node)
        active = any(given.get(key) is True for key in _TRAINING) and given.get("p", 1) != 0
        if "batch_norm" in name and given.get("running_mean") is None:
            # Without running statistics it means the same in any mode: an instance norm.
            continue
        if active or (name in _ALWAYS_TRAINING and given.get("training", True)):
            raise InputError(
                f"the program was exported in training mode: {node.name} ({name}) depends on it; "
                "call model.eval() before torch.export.export"
            )
