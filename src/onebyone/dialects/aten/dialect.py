"""PyTorch programs as a dialect: models are ``ExportedProgram``, made anew."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch.export import ExportedProgram

from onebyone.dialects.aten import files
from onebyone.dialects.aten.natives import AtenNatives, counts
from onebyone.dialects.aten.read.reader import Reader
from onebyone.dialects.aten.read.table import functional, read
from onebyone.dialects.aten.run.model import ExportedModel
from onebyone.dialects.aten.write.express import EXPRESSIONS
from onebyone.dialects.aten.write.writer import Writer
from onebyone.dialects.protocol import Dialect, Lifted, Written
from onebyone.errors import InputError
from onebyone.layout.plan import Plan
from onebyone.report import Counts


class AtenDialect:
    """See `onebyone.dialects.protocol.Dialect`."""

    # PyTorch reads the factors of a product through strides.
    usual_targets: Mapping[str, str] = {"linear": "linear-strided"}
    expressions = EXPRESSIONS

    def load(
        self, model: str | os.PathLike[str] | ExportedProgram, dims: Mapping[str, int]
    ) -> ExportedProgram:
        """The program itself: nothing here changes one."""
        if dims:
            raise InputError(
                "sizes of a PyTorch program are fixed at torch.export.export, not here"
            )
        return files.as_program(model)

    def copy(self, model: ExportedProgram) -> ExportedProgram:
        """The program itself."""
        return model

    def lift(self, model: ExportedProgram) -> Lifted[ExportedProgram, Reader]:
        """Read the program, without operators that write into their operands."""
        program = functional(model)
        lifted = read(program)
        return Lifted(program, lifted.graph, AtenNatives(lifted.reader), lifted.reader)

    def write(
        self, lifted: Lifted[ExportedProgram, Reader], plan: Plan
    ) -> Written[ExportedProgram]:
        """A new program with the same signature."""
        writer = Writer(lifted.model, plan, lifted.source)
        program = writer.run()
        return Written(program, tuple(writer.weights))

    def counts(self, model: ExportedProgram, fc_layers: int) -> Counts:
        """Nodes by kind."""
        return counts(model.graph, fc_layers)

    def check_output(
        self, path: str | os.PathLike[str], inputs: Iterable[str | os.PathLike[str]] = ()
    ) -> None:
        """Refuse an output before any work is done."""
        files.check_output(path, inputs)

    def save(
        self,
        model: ExportedProgram,
        path: str | os.PathLike[str],
        *,
        inputs: Iterable[str | os.PathLike[str]] = (),
        accept: Callable[[Any], None] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Write a program; ``accept`` is given it as it is read back."""
        files.save(model, path, inputs=inputs, accept=accept, progress=progress)

    def opened(self, model: str | os.PathLike[str] | ExportedProgram) -> ExportedModel:
        """A program for the certificate."""
        return ExportedModel(model)


DIALECT: Dialect[ExportedProgram, Reader] = AtenDialect()
