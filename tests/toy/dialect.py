"""The toy dialect: files, read, write, run, and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from onebyone.axes.positional import Tensor
from onebyone.dialects.protocol import Dialect, Lifted, Written
from onebyone.layout.plan import Plan
from onebyone.report import Counts
from tests.toy import files
from tests.toy.files import ToyModel
from tests.toy.read import read
from tests.toy.run import ToyProgram
from tests.toy.write import EXPRESSIONS, Writer


class ToyDialect:
    """See `onebyone.dialects.protocol.Dialect`."""

    usual_targets: Mapping[str, str] = {}
    expressions = EXPRESSIONS
    load = staticmethod(files.load)
    check_output = staticmethod(files.check_output)
    save = staticmethod(files.save)
    opened = staticmethod(ToyProgram)

    def copy(self, model: ToyModel) -> ToyModel:
        return files.load(model, {})

    def lift(self, model: ToyModel) -> Lifted[ToyModel, dict[str, Tensor]]:
        return read(model)

    def write(self, lifted: Lifted[ToyModel, Any], plan: Plan) -> Written[ToyModel]:
        return Writer(lifted, plan).run()

    def counts(self, model: ToyModel, fc_layers: int) -> Counts:
        ops = Counter(node.op for node in model.nodes)
        return Counts(len(model.nodes), fc_layers, ops["conv"], ops["swap"], ops["shape"])


DIALECT: Dialect[ToyModel, dict[str, Tensor]] = ToyDialect()
