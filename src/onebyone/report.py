"""What was done to a model, as plain data: layers, counts, moves, seconds."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

# What became of a layer; ``unchanged``: it has the wanted form already.
Status = Literal["converted", "kept", "unchanged"]


@dataclass(frozen=True)
class Layer:
    """One layer that is an FC layer, or a convolution that is none.

    Attributes:
        name: name of the native node.
        op: native operator.
        case: ``pointwise``, ``patch`` or ``whole``; empty where the layer is no FC layer.
        before: operator and kernel before, such as ``MatMul`` or ``Conv 3x3``.
        after: the same afterwards.
        input_shape: sizes of the input's positions; strings are symbols.
        output_shape: sizes of the output's positions.
        weight_shape: sizes of the weight's positions.
        macs: multiply-adds of one run, None where a size is symbolic.
        status: ``converted``, ``unchanged`` (it has the wanted form already) or ``kept``.
        reason: why a kept layer was kept.
    """

    name: str
    op: str
    case: str
    before: str
    after: str
    input_shape: tuple[int | str, ...]
    output_shape: tuple[int | str, ...]
    weight_shape: tuple[int | str, ...]
    macs: int | None
    status: Status
    reason: str | None = None


@dataclass(frozen=True)
class Counts:
    """Nodes of a graph by kind.

    Attributes:
        nodes: all of them, constants not counted.
        fc_layers: FC layers in the form of a matrix product.
        convolutions: Conv and ConvTranspose.
        transposes: Transpose.
        reshapes: Reshape, Flatten, Squeeze, Unsqueeze.
    """

    nodes: int
    fc_layers: int
    convolutions: int
    transposes: int
    reshapes: int


@dataclass(frozen=True)
class Region:
    """A layout move that remains: where, from which order to which, and its bytes."""

    value: str
    between: str
    source: tuple[str, ...]
    target: tuple[str, ...]
    bytes: int


@dataclass(frozen=True)
class Weight:
    """A parameter that was stored anew: ``before.reshape(atoms).permute(order).reshape(after)``.

    Attributes:
        name: its name in the program.
        before: its shape in the original.
        after: its shape in the result.
        atoms: the shape in which its axes are permuted.
        order: the permutation.
        storage: ``view`` where it shares the memory of the original, else ``copy``.
    """

    name: str
    before: tuple[int, ...]
    after: tuple[int, ...]
    atoms: tuple[int, ...]
    order: tuple[int, ...]
    storage: Literal["view", "copy"]


@dataclass(frozen=True)
class Report:
    """The result of inspecting, planning or converting a model.

    Attributes:
        target: name of the target.
        layers: all layers in graph order.
        before: counts of the original.
        after: counts of the result; None where nothing was written.
        moves: the layout moves that remain.
        moves_before: transposes of the original.
        bytes_before: bytes that they move, symbols taken as 64.
        bytes_after: bytes that the remaining moves carry.
        cost: cost of the plan, in bytes.
        bound: proven lower bound of that cost.
        seconds: wall-clock time.
        peak_memory: of the process, bytes; None where it is not known.
        notes: what else a user should know.
        weights: parameters of a PyTorch program that were stored anew.
    """

    target: str
    layers: tuple[Layer, ...]
    before: Counts
    after: Counts | None = None
    moves: tuple[Region, ...] = ()
    moves_before: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    cost: float = 0.0
    bound: float = 0.0
    seconds: float = 0.0
    peak_memory: int | None = None
    notes: tuple[str, ...] = field(default=())
    weights: tuple[Weight, ...] = field(default=())

    @property
    def gap(self) -> float:
        """Relative distance of the plan's cost to its bound; 0 is proven optimal."""
        gap = (self.cost - self.bound) / max(self.cost, 1.0)
        # Below that it is the solver's rounding.
        return gap if gap > 1e-9 else 0.0

    def count(self, status: Status) -> int:
        """How many layers have a status."""
        return sum(layer.status == status for layer in self.layers)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON-ready data."""
        return {**asdict(self), "gap": self.gap}

    def to_json(self) -> str:
        """The report as indented JSON."""
        return json.dumps(self.to_dict(), indent=2) + "\n"
