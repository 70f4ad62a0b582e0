"""RNN, GRU and LSTM: directions, activations and layouts around the cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from onebyone.dialects.onnx.semantics.activations import activated, parameters
from onebyone.dialects.onnx.semantics.base import Call, Operator, Result, Table
from onebyone.kernels import elementwise, recurrent
from onebyone.kernels.arithmetic import Arithmetic, Tensor
from onebyone.kernels.errors import UnsupportedError
from onebyone.kernels.operands import ints
from onebyone.kernels.recurrent import Activation, Cell, Weights

# The cell of one direction: from its weights, its activations, and the direction's number.
Maker = Callable[[Weights, Sequence[Activation], int], Cell]


def _activations(call: Call, defaults: Sequence[str], directions: int) -> list[list[Activation]]:
    """The activations of each direction; parameters are listed for those that have some."""
    names = list(call.get("activations") or [*defaults] * directions)
    alphas, betas = (iter(call.get(f"activation_{one}") or ()) for one in ("alpha", "beta"))
    clip = call.get("clip")
    if clip is not None and clip <= 0:
        raise UnsupportedError(f"{call.op} with a clip of {clip}")
    size = len(defaults)
    # The runtime clips what the gates are made of, and not the cell of an LSTM that it shows.
    found = [
        _activation(str(name), alphas, betas, None if place % size == 2 else clip)
        for place, name in enumerate(names)
    ]
    return [found[i * size : (i + 1) * size] for i in range(directions)]


def _activation(
    name: str, alphas: Iterator[float], betas: Iterator[float], clip: float | None
) -> Activation:
    wanted, given = parameters(name), dict[str, float]()
    for one, values in (("alpha", alphas), ("beta", betas)):
        value = next(values, None) if one in wanted else None
        if value is not None:
            given[one] = value

    def run(ar: Arithmetic, x: Tensor) -> Tensor:
        if clip is not None:
            low, high = ar.constant(-clip), ar.constant(clip)
            x = elementwise.minimum(ar, elementwise.maximum(ar, x, low), high)
        return activated(ar, x, name, given)

    return run


def _run(
    ar: Arithmetic,
    call: Call,
    operands: Sequence[Any],
    states: Sequence[Any],
    defaults: Sequence[str],
    make: Maker,
) -> Result:
    """All directions of a recurrent operator.

    Args:
        ar: the arithmetic.
        call: the node.
        operands: the sequences, both weights, the bias or None, the lengths or None.
        states: what each part of the state is at first; None for zeros.
        defaults: names of the activations of one direction.
        make: makes the cell of a direction.
    """
    x, inner, outer, bias, lengths = operands
    call.get("hidden_size")
    # Whether the outputs of all steps are wanted, which outputs that are absent say by now.
    call.get("output_sequence")
    direction = call.text("direction", "forward")
    batch_first = bool(call.get("layout", 0))
    directions = inner.shape[0]
    turn = _swapped if batch_first else _as_it_is
    x = turn(ar, x)
    known = None if lengths is None else np.asarray(ints(ar, lengths, "a length"))
    if known is not None and not np.all((known > 0) & (known <= x.shape[0])):
        raise UnsupportedError(f"{call.op} of sequences of lengths {known.tolist()}")
    if known is not None and np.all(known == x.shape[0]):
        known = None
    nonlinear = _activations(call, defaults, directions)
    outputs: list[Tensor] = []
    last: list[tuple[Tensor, ...]] = []
    for number in range(directions):
        weights = _weights(ar, inner, outer, bias, number)
        zeros = ar.constant(np.zeros((x.shape[1], weights.hidden)))
        first = tuple(
            zeros if one is None else ar.move(lambda a, n=number: a[n], turn(ar, one))
            for one in states
        )
        out, state = recurrent.unrolled(
            ar, make(weights, nonlinear[number], number), weights, x, first,
            lengths=known, backwards=direction == "reverse" or number == 1,
        )  # fmt: skip
        outputs.append(out)
        last.append(state)
    # (length, directions, batch, hidden), or (batch, length, directions, hidden).
    whole = ar.move(
        lambda *a: np.stack(a, 2 if batch_first else 1), *[turn(ar, o) for o in outputs]
    )
    ends = [
        ar.move(lambda *a: np.stack(a, 1 if batch_first else 0), *part)
        for part in zip(*last, strict=True)
    ]
    return (whole, *ends)[: call.outputs]


def _as_it_is(ar: Arithmetic, x: Tensor) -> Tensor:
    return x


def _swapped(ar: Arithmetic, x: Tensor) -> Tensor:
    return ar.move(lambda a: a.swapaxes(0, 1), x)


def _weights(ar: Arithmetic, inner: Any, outer: Any, bias: Any, number: int) -> Weights:
    one = ar.move(lambda a: a[number], inner), ar.move(lambda a: a[number], outer)
    if bias is None:
        return Weights(*one, None, None)
    half = bias.shape[1] // 2
    return Weights(
        *one,
        ar.move(lambda a: a[number, :half], bias),
        ar.move(lambda a: a[number, half:], bias),
    )


def _rnn(
    ar: Arithmetic,
    call: Call,
    x: Any,
    inner: Any,
    outer: Any,
    bias: Any = None,
    lengths: Any = None,
    state: Any = None,
) -> Result:
    def make(weights: Weights, nonlinear: Sequence[Activation], number: int) -> Cell:
        return recurrent.rnn(ar, weights, nonlinear[0])

    return _run(ar, call, (x, inner, outer, bias, lengths), (state,), ("Tanh",), make)


def _gru(
    ar: Arithmetic,
    call: Call,
    x: Any,
    inner: Any,
    outer: Any,
    bias: Any = None,
    lengths: Any = None,
    state: Any = None,
) -> Result:
    after = bool(call.get("linear_before_reset", 0))

    def make(weights: Weights, nonlinear: Sequence[Activation], number: int) -> Cell:
        return recurrent.gru(ar, weights, nonlinear, reset_after=after)

    names = ("Sigmoid", "Tanh")
    return _run(ar, call, (x, inner, outer, bias, lengths), (state,), names, make)


def _lstm(
    ar: Arithmetic,
    call: Call,
    x: Any,
    inner: Any,
    outer: Any,
    bias: Any = None,
    lengths: Any = None,
    state: Any = None,
    cell_state: Any = None,
    peepholes: Any = None,
) -> Result:
    coupled = bool(call.get("input_forget", 0))

    def make(weights: Weights, nonlinear: Sequence[Activation], number: int) -> Cell:
        parts: list[Tensor] = []
        if peepholes is not None:
            size = weights.hidden
            parts = [
                ar.move(lambda a, i=i: a[number, i * size : (i + 1) * size], peepholes)
                for i in range(3)
            ]
        return recurrent.lstm(ar, weights, nonlinear, peepholes=parts, coupled=coupled)

    names = ("Sigmoid", "Tanh", "Tanh")
    return _run(ar, call, (x, inner, outer, bias, lengths), (state, cell_state), names, make)


_ROWS: dict[str, Operator] = {"GRU": _gru, "LSTM": _lstm, "RNN": _rnn}
TABLE: Table = {("", name): operator for name, operator in _ROWS.items()}
