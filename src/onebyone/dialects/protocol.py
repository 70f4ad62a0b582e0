"""What the engine and the certificate need of a dialect and its models.

Nothing here imports a framework. `onebyone.dialects.onnx.run.model.OnnxModel` and
`onebyone.dialects.aten.run.model.ExportedModel` are the two models that there are.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from onebyone.axes.graph import AxisGraph
from onebyone.axes.natives import Natives
from onebyone.kernels.arithmetic import Arithmetic, Array, Tensor
from onebyone.layout.plan import Plan
from onebyone.lower.expressions import Expressions
from onebyone.report import Counts, Weight


class RuntimeUnableError(Exception):
    """The runtime has no kernel for an operator or type of the model: nothing is known."""


class RuntimeMemoryError(RuntimeUnableError):
    """The model takes more memory than the runtime may have."""


class RuntimeRefusesError(Exception):
    """The runtime calls the model invalid, or fails to run it on these inputs."""


@dataclass(frozen=True)
class Limits:
    """What a runtime may take.

    Attributes:
        deadline: ``time.monotonic()`` after which no answer is waited for; None: no limit.
        memory: bytes; None: half of what the machine has.
    """

    deadline: float | None = None
    memory: int | None = None


@dataclass(frozen=True)
class Port:
    """An input or output of a model.

    Attributes:
        name: its name in the model.
        dtype: element type, as numpy calls it (``bfloat16`` and the like included).
        shape: sizes; a string for a symbol, None for an unknown size. None where the rank is
            unknown.
        state: whether it is no argument or result but a buffer that the model changes, before or
            after the run.
        default: gives the value of an input that a caller may leave out; None where there is none.
    """

    name: str
    dtype: str
    shape: tuple[int | str | None, ...] | None
    state: bool = False
    default: Callable[[], Array] | None = None


@dataclass(frozen=True)
class Constant:
    """A constant of a model: where it is, and its data read on demand.

    Attributes:
        name: its name, or that of the node that holds it.
        dtype: element type, as numpy calls it.
        shape: its shape.
        read: gives the data as an array of unsigned integers, one for the bits of each element.
        real: gives the data as numbers.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    read: Callable[[], Array]
    real: Callable[[], Array]

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))


@dataclass(frozen=True)
class Step:
    """A node of the main graph, to say where two models part.

    Attributes:
        label: operator and name.
        op: operator.
        inputs: names of its operands ("" for an absent one).
        outputs: names of its results.
        attributes: attributes in words, for the reader.
        constant: whether no value that the model is given takes part in it.
    """

    label: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: str
    constant: bool = False


@dataclass(frozen=True)
class CanonicalForm:
    """The canonical form of a model.

    Attributes:
        outputs: a hash of each output, equal where the functions are.
        values: the hash behind each tensor's name; layout does not count.
        steps: the nodes of the main graph.
        opaque: operators that were taken as they are, layout included.
        assumed: what equal hashes take for granted beyond the order of sums, and a hash of what is
            taken for something else: two models for which it is equal need not assume it.
        fallible: hashes of what may fail at run time, whether or not an output depends on it, with
            the native operators.
    """

    outputs: tuple[str, ...]
    values: dict[str, str]
    steps: tuple[Step, ...]
    opaque: tuple[str, ...]
    assumed: Mapping[str, str] = field(default_factory=dict[str, str])
    fallible: Mapping[str, str] = field(default_factory=dict[str, str])


# Told of each step of a run, with the results of its node; None for an absent one.
Observer = Callable[[Step, list[Tensor | None]], None]
# How a constant, by its name and its elements, enters an arithmetic.
Embed = Callable[[str, Array], Tensor]


class Session(Protocol):
    """A model loaded in its runtime.

    Attributes:
        taken: bytes that the last run took beside the model; 0 where that is not known.
    """

    taken: int

    def run(self, values: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs by name.

        Raises:
            RuntimeUnableError: the runtime crashed, or lacks something that the model needs.
            RuntimeRefusesError: the runtime fails on these inputs.
        """
        ...

    def close(self) -> None:
        """Free the model."""
        ...


class Model(Protocol):
    """A model to certify; never altered.

    Attributes:
        label: how it is called in front of the user.
        positional: whether callers tell arguments and results apart by position. Such a model may
            keep state between two runs (`Port.state`), any other keeps none.
        modes: names of the ways in which its runtime can run it.
        runtime: name of the runtime.
    """

    label: str

    @property
    def positional(self) -> bool: ...

    @property
    def modes(self) -> tuple[str, ...]: ...

    @property
    def runtime(self) -> str: ...

    @property
    def inputs(self) -> tuple[Port, ...]:
        """What a run may be given; state and what has a default may be left out."""
        ...

    @property
    def outputs(self) -> tuple[Port, ...]:
        """What a run gives."""
        ...

    @property
    def weight_bytes(self) -> int:
        """Bytes of the weights."""
        ...

    def constants(self) -> Iterator[Constant]:
        """Every constant that is read."""
        ...

    def form(self, *, by_position: bool = False) -> CanonicalForm:
        """The canonical form.

        Args:
            by_position: inputs, outputs and symbols are told apart by position, not by name.
        """
        ...

    def index_bounds(self) -> dict[str, int]:
        """For each integer input that indexes a table the number of the table's rows."""
        ...

    def numbers(self) -> Iterator[float]:
        """Numbers that a value may be compared with: small constants, and attributes."""
        ...

    def run(
        self,
        ar: Arithmetic,
        inputs: Mapping[str, Tensor],
        *,
        deadline: float | None = None,
        observe: Observer | None = None,
        embed: Embed | None = None,
    ) -> dict[str, Tensor]:
        """Run on ``inputs`` in an arithmetic.

        Args:
            ar: the arithmetic.
            inputs: for each input its tensor: data as the arithmetic embeds it, integers and
                booleans as numpy arrays.
            deadline: ``time.monotonic()`` after which `OverBudgetError` is raised.
            observe: called after each node of the main graph with its results.
            embed: how a constant enters the arithmetic, by name; exact by default.

        Raises:
            UnsupportedError: an operator or a use of it is not understood.
            ExecutionError: a node does not fit its operands.
            OverBudgetError: the deadline has passed.
        """
        ...

    def steps(self) -> tuple[Step, ...]:
        """The nodes of the main graph in order; constants among operands by the constant's name."""
        ...

    def part(
        self, ar: Arithmetic, given: Mapping[str, Tensor], wanted: Collection[str]
    ) -> dict[str, Tensor]:
        """The ``wanted`` values, by name, that follow from ``given`` ones and from constants.

        Raises:
            UnsupportedError: they follow from other inputs, too, or an operator is not understood.
            ExecutionError: a node does not fit its operands.
        """
        ...

    def session(self, mode: str, limits: Limits = ...) -> Session:
        """The model in its runtime.

        Raises:
            RuntimeUnableError: the runtime does not implement something in the model, or crashed.
            RuntimeRefusesError: the runtime calls the model invalid.
        """
        ...


# A model of the dialect, and what its writer needs beside it.
_M = TypeVar("_M")
_S = TypeVar("_S")


@dataclass(frozen=True)
class Lifted(Generic[_M, _S]):
    """A model as the engine sees it.

    Attributes:
        model: the model.
        graph: its axis graph.
        natives: what the engine may ask about native nodes.
        source: what the writer needs to find its way in the model.
    """

    model: _M
    graph: AxisGraph
    natives: Natives
    source: _S


@dataclass(frozen=True)
class Written(Generic[_M]):
    """A model that was written by a plan.

    Attributes:
        model: the model.
        weights: the weights that were stored anew, where the dialect tells.
    """

    model: _M
    weights: tuple[Weight, ...] = ()


class Dialect(Protocol[_M, _S]):
    """One format of models: files in and out, to the engine and back, to the certificate.

    Attributes:
        usual_targets: the target that stands for ``conv`` or ``linear`` where it is another than
            that of this name.
        expressions: how nodes are written, and which can be; the others keep their layout.
    """

    @property
    def usual_targets(self) -> Mapping[str, str]: ...

    @property
    def expressions(self) -> Expressions[Any, Any]: ...

    def load(self, model: Any, dims: Mapping[str, int]) -> _M:
        """A model of one's own, whatever it came as: `write` may change it.

        Args:
            model: a path, or a model in memory, which is left as it is.
            dims: sizes for symbolic dimensions.

        Raises:
            InputError: the model cannot be read, or a size does not fit it.
        """
        ...

    def copy(self, model: _M) -> _M:
        """The model once more, on the same weights: what `write` does is not felt by it."""
        ...

    def lift(self, model: _M) -> Lifted[_M, _S]:
        """Read a model; what no output depends on is dropped."""
        ...

    def write(self, lifted: Lifted[_M, _S], plan: Plan) -> Written[_M]:
        """The model in the forms of a plan; the lifted model may be used up."""
        ...

    def counts(self, model: _M, fc_layers: int) -> Counts:
        """Nodes by kind, ``fc_layers`` of them FC layers as matrix products."""
        ...

    def check_output(
        self, path: str | os.PathLike[str], inputs: Iterable[str | os.PathLike[str]] = ()
    ) -> None:
        """Refuse an output before any work is done.

        Args:
            path: where the result shall go.
            inputs: files that must not be overwritten.

        Raises:
            OutputError: it is one of the inputs, no file of this dialect, or not writable.
        """
        ...

    def save(
        self,
        model: _M,
        path: str | os.PathLike[str],
        *,
        inputs: Iterable[str | os.PathLike[str]] = (),
        accept: Callable[[Any], None] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Write a model so that the complete file appears at once, or none.

        Args:
            model: what is written.
            path: where to.
            inputs: files that must not be overwritten.
            accept: given the model as it was written, just before it appears; what it raises keeps
                it away.
            progress: told the bytes written and the bytes in all.

        Raises:
            OutputError: as for `check_output`; or the disk is full.
        """
        ...

    def opened(self, model: Any) -> Model:
        """A model for the certificate: a path, or a model in memory.

        Raises:
            InputError: the model cannot be read.
        """
        ...
