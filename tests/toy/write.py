"""From a plan back to toy nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onebyone.axes.graph import Form, Node, Value, order_of
from onebyone.axes.positional import Kind, Tensor
from onebyone.dialects.protocol import Lifted, Written
from onebyone.layout.plan import Plan
from onebyone.layout.solve import Variant
from onebyone.lower import places
from onebyone.lower.expressions import Expressions, Row
from onebyone.lower.holdings import Holdings
from tests.toy.files import ToyModel, ToyNode

Inputs = Sequence[str | None]


class Writer:
    """Builds a new model; a tensor is its name. `reshaped`, `permuted`, `again`: see `Builder`."""

    def __init__(self, lifted: Lifted[ToyModel, dict[str, Tensor]], plan: Plan) -> None:
        self.plan, self.model, self.tensors = plan, lifted.model, lifted.source
        self.nodes: dict[str, ToyNode] = {}
        self.constants: dict[str, Any] = {}
        self._forms: dict[tuple[Value, Form], str] = {}
        self._names = set(self.tensors)
        self.holdings: Holdings[str] = Holdings(plan, self)

    def run(self) -> Written[ToyModel]:
        for tensor in self.plan.graph.inputs:
            view = self.plan.graph.views[tensor]
            self.holdings.put(view.value, view.form, tensor.name)
        for node in self.plan.graph.nodes:
            self._write(node)
        for name in self.model.outputs:
            if (tensor := self._native(name)) != name:
                sizes = [size.known for size in self.tensors[name].shape or ()]
                self.nodes[name] = ToyNode("shape", (tensor,), name, {"sizes": sizes})
        nodes = list(self.nodes.values())
        return Written(ToyModel(self.model.inputs, self.constants, nodes, self.model.outputs))

    def reshaped(self, value: Value, tensor: str, source: Form, form: Form) -> str:
        sizes = [size.known for size in places.shape(value, form)]
        return self.op("shape", (tensor,), value.tensor.name, sizes=sizes)

    def permuted(self, value: Value, tensor: str, order: list[int], form: Form) -> str:
        return self.op("swap", (tensor,), value.tensor.name, order=order)

    def again(self, native: ToyNode, tensor: str) -> str | None:
        if native.output in self.nodes:
            return None
        self.nodes[native.output] = ToyNode(native.op, (tensor,), native.output, native.facts)
        return native.output

    def op(self, op: str, inputs: Inputs, base: str, **facts: Any) -> str:
        """Append a new node; returns the name of its result."""
        name, count = f"{base}.{op}", 1
        while name in self._names:
            name, count = f"{base}.{op}{count}", count + 1
        self._names.add(name)
        given = tuple(operand for operand in inputs if operand is not None)
        self.nodes[name] = ToyNode(op, given, name, facts)
        return name

    def _get(self, value: Value, form: Form) -> str:
        if not value.constant:
            return self.holdings.get(value, form)
        if (value, form) not in self._forms:
            name = value.tensor.name if form == value.native else f"{value.tensor.name}.{form}"
            atoms = places.fixed_shape(value, places.atoms(value))
            array = self.model.constants[value.tensor.name].reshape(atoms)
            shape = places.fixed_shape(value, form)
            moved = array.transpose(order_of(form)).reshape(shape)
            self.constants[name] = np.ascontiguousarray(moved)
            self._forms[value, form] = name
        return self._forms[value, form]

    def _native(self, name: str) -> str:
        """What now holds what the original called ``name``."""
        view = self.plan.graph.views[self.tensors[name]]
        return self._get(view.value, view.form)

    def _write(self, node: Node) -> None:
        group = self.holdings.sharing(node)
        if not self.holdings.is_kept(node):
            variant = self.plan.forms.nodes[node]
            pairs = zip(node.operands, variant.reads, strict=True)
            inputs = [None if use is None or form is None else self._get(use.value, form)
                      for use, form in pairs]  # fmt: skip
            results = EXPRESSIONS.write(self, node, variant, inputs)
            for use, form, tensor in zip(node.results, variant.writes, results, strict=True):
                self.holdings.put(use.value, form, tensor)
        elif node is group[-1]:
            for native in dict.fromkeys(n for member in group for n in member.natives):
                inside = {n.output for member in group for n in member.natives}
                given = tuple(x if x in inside else self._native(x) for x in native.inputs)
                self.nodes[native.output] = ToyNode(native.op, given, native.output, native.facts)
            for use in (use for member in group for use in member.results):
                self.holdings.put(use.value, use.form, use.value.tensor.name)


def _contract(to: Writer, node: Node, variant: Variant, inputs: Inputs) -> list[str]:
    name, bias = node.natives[0].output, inputs[2] if len(inputs) > 2 else None
    native = node.natives[0].op == "conv" and variant.tag not in ("linear", "product")
    if variant.tag == "conv" or native:
        conv = places.convolution(node, variant)
        operands = (inputs[conv.data], inputs[conv.weight], bias)
        facts = {"stride": list(conv.strides), "groups": conv.groups}
        return [to.op("conv", operands, name, **facts)]
    pair = places.factors(node, variant)
    assert pair is not None
    tensors: list[str | None] = []
    for factor in pair:
        tensor, rank = inputs[factor.number], len(variant.reads[factor.number] or ())
        order = [*range(rank - 2), rank - 1, rank - 2]
        tensors.append(to.op("swap", (tensor,), name, order=order) if factor.swapped else tensor)
    product = to.op("dot", tensors, name)
    return [product if bias is None else to.op("plus", (product, bias), name)]


def _clone(to: Writer, node: Node, variant: Variant, inputs: Inputs) -> list[str]:
    return [to.op(node.natives[0].op, inputs, node.natives[0].output)]


def _soften(to: Writer, node: Node, variant: Variant, inputs: Inputs) -> list[str]:
    return [to.op("soften", inputs, node.natives[0].output, axis=places.line(node, variant))]


def _mean(to: Writer, node: Node, variant: Variant, inputs: Inputs) -> list[str]:
    facts = {"axes": places.reduced(node, variant), "keep": places.keeps_rank(variant)}
    return [to.op("mean", inputs, node.natives[0].output, **facts)]


def _cut(to: Writer, node: Node, variant: Variant, inputs: Inputs) -> list[str]:
    (axis,), facts = places.replaced(node, variant), node.natives[0].facts
    name = node.natives[0].output
    return [to.op("cut", inputs, name, axis=axis, start=facts["start"], stop=facts["stop"])]


EXPRESSIONS: Expressions[Writer, str] = Expressions(
    {
        Kind.ALONG: {"softmax": Row(_soften)},
        Kind.AXIS: {"slice": Row(_cut)},
        Kind.CONTRACT: Row(_contract),
        Kind.POINTWISE: Row(_clone),
        Kind.REDUCE: {"mean": Row(_mean)},
    }
)
