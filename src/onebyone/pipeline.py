"""Load, lift, select, plan, write, describe: the way of every model, whatever its dialect."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from onebyone.dialects.protocol import Dialect, Lifted, Written
from onebyone.fc_layers import describe, is_matrix_product, kept_layers
from onebyone.layout.plan import Plan, make_plan, remaining_moves, transposes_before
from onebyone.layout.targets import Target
from onebyone.report import Counts, Layer, Report
from onebyone.transforms.fold import drop_unread, fold_biases


@dataclass(frozen=True)
class Planned:
    """A model with its plan.

    Attributes:
        dialect: that of the model.
        lifted: the model as the engine sees it.
        plan: what becomes of it.
        layers: a row for each of its layers.
        before: its nodes by kind.
    """

    dialect: Dialect[Any, Any]
    lifted: Lifted[Any, Any]
    plan: Plan
    layers: tuple[Layer, ...]
    before: Counts

    def write(self) -> tuple[Any, Report]:
        """The converted model, and the report of it. What was lifted is used up."""
        written = self.dialect.write(self.lifted, self.plan)
        return written.model, self.report(written)

    def report(self, written: Written[Any] | None = None) -> Report:
        """What was, or would be, done."""
        moves = remaining_moves(self.plan)
        transposes = transposes_before(self.plan.graph)
        after = None
        if written is not None:
            left = _matrix_products(layer.after for layer in self.layers if layer.case)
            after = self.dialect.counts(written.model, left)
        return Report(
            target=self.plan.target.name,
            layers=self.layers,
            before=self.before,
            after=after,
            moves=moves,
            moves_before=len(transposes),
            bytes_before=sum(transposes),
            bytes_after=sum(move.bytes for move in moves),
            cost=self.plan.solution.cost,
            bound=self.plan.solution.bound,
            weights=() if written is None else written.weights,
        )


def plan_model(
    dialect: Dialect[Any, Any],
    model: Any,
    target: Target,
    *,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
) -> Planned:
    """Plan the conversion of a model.

    Args:
        dialect: that of the model.
        model: as `Dialect.load` gave it; writing the plan may use it up.
        target: costs and the wanted form.
        only: convert only layers whose name matches one of these patterns.
        skip: leave layers alone whose name matches one of these patterns.

    Raises:
        InputError: a pattern matches no layer.
    """
    lifted = dialect.lift(model)
    graph, natives = lifted.graph, lifted.natives
    fold_biases(graph)
    drop_unread(graph, natives.has_effect)
    dialect.expressions.mark_stays(graph)
    kept = kept_layers(graph, natives, target, only, skip)
    plan = make_plan(graph, target, natives, kept)
    layers = describe(graph, natives, plan)
    fc_layers = _matrix_products(layer.before for layer in layers if layer.case)
    return Planned(dialect, lifted, plan, layers, dialect.counts(lifted.model, fc_layers))


def _matrix_products(operators: Iterable[str]) -> int:
    return sum(map(is_matrix_product, operators))
