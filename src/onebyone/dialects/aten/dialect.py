"""Read, plan, emit: one exported program on its way from one form to the other."""

from __future__ import annotations

from collections.abc import Sequence

from torch.export import ExportedProgram

from onebyone.dialects.aten.natives import (
    AtenAbilities,
    counts,
    describe,
    keep_reason,
    layer_name,
    native_case,
)
from onebyone.dialects.aten.read.table import functional, read
from onebyone.dialects.aten.write.express import EXPRESSIONS
from onebyone.dialects.aten.write.writer import Writer
from onebyone.layout.plan import is_layer, make_plan, remaining_moves, transposes_before
from onebyone.layout.selection import kept_layers
from onebyone.layout.targets import Target
from onebyone.report import Counts, Report, Weight
from onebyone.transforms.fold import drop_unread, fold_biases


class Planned:
    """A program with its plan; `emit` puts the converted program in ``model``."""

    def __init__(
        self, program: ExportedProgram, target: Target, only: Sequence[str], skip: Sequence[str]
    ) -> None:
        self.model = functional(program)
        self.target = target
        lifted = read(self.model)
        self.graph, self._reader = lifted.graph, lifted.reader
        fold_biases(self.graph)
        drop_unread(self.graph, lambda node: node.natives[0].node.is_impure())
        EXPRESSIONS.mark_stays(self.graph)
        layers = [node for node in self.graph.nodes if is_layer(node)]
        names = {node: layer_name(self._reader, node) for node in layers}
        kept = kept_layers(
            self.graph,
            names,
            target,
            only,
            skip,
            reason_of=lambda node: keep_reason(node, target.form),
            case_of=native_case,
        )
        self.plan = make_plan(self.graph, target, AtenAbilities(), kept)
        self._layers = describe(self.graph, self._reader, self.plan)
        matrix = sum("conv" not in layer.before for layer in self._layers if layer.case)
        self._before = counts(self.model.graph, matrix)
        self._after: Counts | None = None
        self._weights: tuple[Weight, ...] = ()

    def emit(self) -> None:
        """Make the converted program; the one that was given stays as it is."""
        writer = Writer(self.model, self.plan, self._reader)
        self.model = writer.run()
        self._weights = tuple(writer.weights)
        left = sum("conv" not in layer.after for layer in self._layers if layer.case)
        self._after = counts(self.model.graph, left)

    def report(self) -> Report:
        """What was, or would be, done."""
        moves = remaining_moves(self.plan)
        old = transposes_before(self.graph)
        return Report(
            target=self.target.name,
            layers=tuple(self._layers),
            before=self._before,
            after=self._after,
            moves=moves,
            moves_before=len(old),
            bytes_before=sum(old),
            bytes_after=sum(move.bytes for move in moves),
            cost=self.plan.solution.cost,
            bound=self.plan.solution.bound,
            weights=self._weights,
        )
