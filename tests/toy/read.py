"""From toy nodes to the engine: one row an operator, each says what it means."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from onebyone.axes import meanings, meanings_axis
from onebyone.axes.graph import Node
from onebyone.axes.lift import lift
from onebyone.axes.positional import Kind, Meaning, Operation, Permute, Positional, Regroup, Tensor
from onebyone.axes.sizes import Size
from onebyone.dialects.protocol import Lifted
from onebyone.identity import Geometry, Refusal
from onebyone.report import Layer
from tests.toy.files import ToyModel, ToyNode

Shape = tuple[Size, ...]


@dataclass(frozen=True)
class Reading:
    """What a node means, and the shape of its result where labels do not give it."""

    meaning: Meaning
    shape: Shape | None = None


def _conv(node: ToyNode, x: Shape, w: Shape, bias: Shape | None = None) -> Reading:
    weight, stride = [size.known or 0 for size in w], node.facts["stride"]
    groups, spatial = node.facts["groups"], [size.known or 0 for size in x[2:]]
    geometry = Geometry(
        in_channels=weight[1] * groups,
        out_channels=weight[0],
        kernel=tuple(weight[2:]),
        stride=tuple(stride),
        padding=((0, 0),) * len(stride),
        dilation=(1,) * len(stride),
        groups=groups,
        input_size=tuple(spatial),
    )
    out = (x[0], w[0], *(Size((n - k) // s + 1) for n, k, s in zip(spatial, weight[2:], stride)))  # noqa: B905
    found = meanings.convolution(geometry, x[2:], bias=bias is not None)
    if isinstance(found, Refusal) or found.strided:
        reason = found.reason if isinstance(found, Refusal) else "a stride skips pixels"
        return Reading(meanings.window("conv", out, len(node.inputs), reason, geometry))
    return Reading(found.product)


def _cut(node: ToyNode, x: Shape) -> Reading:
    axis, start, stop = (node.facts[name] for name in ("axis", "start", "stop"))
    after, bounds = {axis: Size(stop - start)}, ((Size(start),), (Size(stop),))
    return Reading(meanings_axis.slice_(len(x), after, *bounds, (1,)))


def _pointwise(fn: str) -> Callable[..., Reading]:
    return lambda node, *shapes: Reading(meanings.pointwise(fn, [len(s) for s in shapes]))


# Operator -> what it means: one row each.
MEANINGS: dict[str, Callable[..., Reading]] = {
    "conv": _conv,
    "cut": _cut,
    "dot": lambda node, a, b: Reading(meanings.matmul(len(a), len(b))),
    "mean": lambda node, x: Reading(
        meanings.reduce("mean", len(x), node.facts["axes"], keep=node.facts["keep"])
    ),
    "plus": _pointwise("add"),
    "relu": _pointwise("relu"),
    "shape": lambda node, x: Reading(Regroup(), tuple(map(Size, node.facts["sizes"]))),
    "soften": lambda node, x: Reading(meanings.along("softmax", len(x), [node.facts["axis"]])),
    "swap": lambda node, x: Reading(
        Permute(tuple(node.facts["order"])), tuple(x[i] for i in node.facts["order"])
    ),
    "times": _pointwise("mul"),
}


class ToyNatives:
    """See `onebyone.axes.natives.Natives`."""

    flat_products = False

    def is_convolution(self, node: Node) -> bool:
        return self.operator(node) == "conv"

    def is_linear(self, node: Node) -> bool:
        weight = node.operands[1]
        return self.operator(node) == "dot" and weight is not None and weight.value.derived

    def is_product(self, node: Node) -> bool:
        return True

    def along_fits(self, node: Node, slots: Sequence[int]) -> bool:
        return True

    def name(self, node: Node) -> str:
        return node.natives[0].output

    def operator(self, node: Node) -> str:
        return node.natives[0].op

    def must_keep(self, node: Node, form: str) -> str | None:
        return None

    def written_as(self, form: str, rank: int) -> str:
        return "conv" if form == "conv" else "dot"

    def not_layers(self, node: Node) -> Iterator[Layer]:
        if node.kind is Kind.WINDOW:
            reason = str(node.attrs[0])
            yield Layer(
                self.name(node), "conv", "", "conv", "conv", (), (), (), None, "kept", reason
            )

    def has_effect(self, node: Node) -> bool:
        return False


def read(model: ToyModel) -> Lifted[ToyModel, dict[str, Tensor]]:
    """A model as the engine sees it."""
    tensors: dict[str, Tensor] = {}
    positional = Positional()

    def tensor(name: str, shape: Sequence[Any], constant: bool = False) -> Tensor:
        sizes = tuple(size if isinstance(size, Size) else Size(size) for size in shape)
        tensors[name] = Tensor(name, sizes, "float", constant, name)
        return tensors[name]

    positional.inputs = [tensor(name, shape) for name, shape in model.inputs.items()]
    for name, array in model.constants.items():
        tensor(name, array.shape, constant=True)
    for node in model.nodes:
        inputs = tuple(tensors[name] for name in node.inputs)
        reading = MEANINGS[node.op](node, *(operand.shape for operand in inputs))
        shape = reading.shape
        if shape is None:
            shape = meanings.label_shape(reading.meaning, inputs, 0)
        assert shape is not None
        result = tensor(node.output, shape)
        positional.operations.append(Operation(node, reading.meaning, inputs, (result,)))
    positional.outputs = [tensors[name] for name in model.outputs]
    return Lifted(model, lift(positional), ToyNatives(), tensors)
