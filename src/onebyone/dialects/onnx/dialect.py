"""ONNX as a dialect: models are ``onnx_ir.Model``, rewritten in place."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import onnx
import onnx_ir as ir

from onebyone.dialects.onnx.files import save
from onebyone.dialects.onnx.files.dims import fix_dims
from onebyone.dialects.onnx.files.load import as_model
from onebyone.dialects.onnx.natives import OnnxNatives, counts
from onebyone.dialects.onnx.read.reader import Reader
from onebyone.dialects.onnx.read.table import read
from onebyone.dialects.onnx.run.model import OnnxModel
from onebyone.dialects.onnx.write.dead import remove_dead
from onebyone.dialects.onnx.write.express import EXPRESSIONS
from onebyone.dialects.onnx.write.writer import Writer
from onebyone.dialects.protocol import Dialect, Lifted, Written
from onebyone.layout.plan import Plan
from onebyone.report import Counts

_Declared = tuple[ir.TypeProtocol | None, ir.Shape | None]


@dataclass(frozen=True)
class Source:
    """What the writer needs to know of a model that was read.

    Attributes:
        reader: knows the native value of every tensor.
        declared: type and shape of each output as the model has them.
    """

    reader: Reader
    declared: tuple[_Declared, ...]


class OnnxDialect:
    """See `onebyone.dialects.protocol.Dialect`."""

    usual_targets: Mapping[str, str] = {}
    expressions = EXPRESSIONS

    def load(
        self, model: str | os.PathLike[str] | onnx.ModelProto | ir.Model, dims: Mapping[str, int]
    ) -> ir.Model:
        """A copy of a model that may be changed, on the same weights."""
        copy = as_model(model)
        if dims:
            fix_dims(copy, dims)
        return copy

    def copy(self, model: ir.Model) -> ir.Model:
        """The model once more, on the same weights."""
        return model.clone()

    def lift(self, model: ir.Model) -> Lifted[ir.Model, Source]:
        """Read a model, without what no output depends on."""
        # Shape inference may say more of an output than the model does.
        declared = tuple((value.type, value.shape) for value in model.graph.outputs)
        remove_dead(model.graph)
        lifted = read(model)
        natives = OnnxNatives(lifted.reader.opset)
        return Lifted(model, lifted.graph, natives, Source(lifted.reader, declared))

    def write(self, lifted: Lifted[ir.Model, Source], plan: Plan) -> Written[ir.Model]:
        """Rewrite the lifted model in place."""
        model = lifted.model
        before = list(model.graph)
        Writer(model, plan, lifted.source.reader).run()
        if list(model.graph) != before and (model.ir_version or 4) < 4:
            _unlist_initializers(model)
        for value, (type_, shape) in zip(model.graph.outputs, lifted.source.declared, strict=True):
            value.type, value.shape = type_, shape
        remove_dead(model.graph)
        return Written(model)

    def counts(self, model: ir.Model, fc_layers: int) -> Counts:
        """Nodes by kind, nested graphs not counted."""
        return counts(model.graph, fc_layers)

    def check_output(
        self, path: str | os.PathLike[str], inputs: Iterable[str | os.PathLike[str]] = ()
    ) -> None:
        """Refuse an output before any work is done."""
        save.check_output(path, inputs)

    def save(
        self,
        model: ir.Model,
        path: str | os.PathLike[str],
        *,
        inputs: Iterable[str | os.PathLike[str]] = (),
        accept: Callable[[Any], None] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Write a model; ``accept`` is given the path of the complete temporary file."""
        save.save(model, path, inputs=inputs, accept=accept, progress=progress)

    def opened(self, model: str | os.PathLike[str] | onnx.ModelProto | ir.Model) -> OnnxModel:
        """A model for the certificate."""
        return OnnxModel(model)


def _unlist_initializers(model: ir.Model) -> None:
    """IR version 4, where new initializers need not be listed as inputs, nor old ones."""
    inputs = model.graph.inputs
    for value in list(inputs):
        if value.is_initializer():
            inputs.remove(value)
    model.ir_version = 4


DIALECT: Dialect[ir.Model, Source] = OnnxDialect()
