"""What the certificate needs of a model, whatever dialect it is written in.

Nothing here imports a framework. `onebyone.dialects.onnx.run.program.Program` and
`onebyone.dialects.aten.run.program.Program` are the two models that there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from onebyone.kernels.arithmetic import Arithmetic, Array, Tensor


class RuntimeUnableError(Exception):
    """The runtime has no kernel for an operator or type of the model: nothing is known."""


class RuntimeRefusesError(Exception):
    """The runtime calls the model invalid, or fails to run it on these inputs."""


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
    """

    name: str
    dtype: str
    shape: tuple[int | str | None, ...] | None
    state: bool = False


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
class Form:
    """The canonical form of a model.

    Attributes:
        outputs: a hash of each output, equal where the functions are.
        values: the hash behind each tensor's name; layout does not count.
        steps: the nodes of the main graph.
        opaque: operators that were taken as they are, layout included.
        assumed: what equal hashes take for granted beyond the order of sums.
    """

    outputs: tuple[str, ...]
    values: dict[str, str]
    steps: tuple[Step, ...]
    opaque: tuple[str, ...]
    assumed: tuple[str, ...] = ()


Observer = Callable[[Step, list[Tensor | None]], None]
Embed = Callable[[str, Array], Tensor]


class Session(Protocol):
    """A model loaded in its runtime."""

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


class Program(Protocol):
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
        """What a run needs; state may be left out and is as stored then."""
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

    def form(self, *, by_position: bool = False) -> Form:
        """The canonical form.

        Args:
            by_position: inputs, outputs and symbols are told apart by position, not by name.
        """
        ...

    def index_bounds(self) -> dict[str, int]:
        """For each integer input the number of values it may take without leaving a table."""
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

    def session(self, mode: str) -> Session:
        """The model in its runtime.

        Raises:
            RuntimeUnableError: the runtime does not implement something in the model, or crashed.
            RuntimeRefusesError: the runtime calls the model invalid.
        """
        ...
