"""Read, plan, emit: one ONNX model on its way from one form to the other."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from onebyone.dialects.onnx.natives import (
    OnnxAbilities,
    counts,
    describe,
    keep_reason,
    native_case,
    node_name,
)
from onebyone.dialects.onnx.read.table import read
from onebyone.dialects.onnx.write.dead import remove_dead
from onebyone.dialects.onnx.write.express import EXPRESSIONS
from onebyone.dialects.onnx.write.writer import Writer
from onebyone.layout.plan import is_layer, make_plan, remaining_moves, transposes_before
from onebyone.layout.selection import kept_layers
from onebyone.layout.targets import Target
from onebyone.report import Report
from onebyone.transforms.fold import fold_biases


class Planned:
    """A model with its plan; `emit` rewrites the model in place."""

    def __init__(
        self, model: ir.Model, target: Target, only: Sequence[str], skip: Sequence[str]
    ) -> None:
        self.model = model
        self.target = target
        # Shape inference may say more of an output than the model does.
        self._declared = [(value, value.type, value.shape) for value in model.graph.outputs]
        remove_dead(model.graph)
        lifted = read(model)
        self.graph, self._reader = lifted.graph, lifted.reader
        fold_biases(self.graph)
        EXPRESSIONS.mark_stays(self.graph)
        opset = lifted.reader.opset
        kept = kept_layers(
            self.graph,
            {node: node_name(node.natives[0]) for node in self.graph.nodes if is_layer(node)},
            target,
            only,
            skip,
            reason_of=lambda node: keep_reason(node, target.form, opset),
            case_of=native_case,
        )
        abilities = OnnxAbilities(opset)
        self.plan = make_plan(self.graph, target, abilities, kept)
        self._layers = describe(self.graph, self.plan)
        self._before = counts(
            model.graph,
            sum(not layer.op.startswith("Conv") for layer in self._layers if layer.case),
        )
        self._after = None

    def emit(self) -> None:
        """Rewrite the model."""
        before = list(self.model.graph)
        Writer(self.model, self.plan, self._reader).run()
        if list(self.model.graph) != before and (self.model.ir_version or 4) < 4:
            self._unlist_initializers()
        for value, (_, type_, shape) in zip(self.model.graph.outputs, self._declared, strict=True):
            value.type, value.shape = type_, shape
        remove_dead(self.model.graph)
        left = sum(not layer.after.startswith("Conv") for layer in self._layers if layer.case)
        self._after = counts(self.model.graph, left)

    def _unlist_initializers(self) -> None:
        """IR version 4, where new initializers need not be listed as inputs, nor old ones."""
        inputs = self.model.graph.inputs
        for value in list(inputs):
            if value.is_initializer():
                inputs.remove(value)
        self.model.ir_version = 4

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
        )
