"""Recurrent layers, as export leaves them: several layers and directions in one operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from onebyone.dialects.aten.semantics.base import Call, Operator, Result, Table
from onebyone.kernels import elementwise, places, recurrent
from onebyone.kernels.arithmetic import Arithmetic, Tensor
from onebyone.kernels.errors import UnsupportedError
from onebyone.kernels.operands import move
from onebyone.kernels.recurrent import Activation, Cell, Weights

# A cell from the arithmetic and its weights, whose gates come in the kernels' order.
Maker = Callable[[Arithmetic, Weights], Cell]


def _function(name: str) -> Activation:
    return lambda ar, x: ar.function(name, x)


_SIGMOID, _TANH = _function("Sigmoid"), _function("Tanh")


def _lstm(ar: Arithmetic, weights: Weights) -> Cell:
    return recurrent.lstm(ar, weights, (_SIGMOID, _TANH, _TANH))


def _gru(ar: Arithmetic, weights: Weights) -> Cell:
    return recurrent.gru(ar, weights, (_SIGMOID, _TANH), reset_after=True)


def _rnn(activation: Activation) -> Maker:
    return lambda ar, weights: recurrent.rnn(ar, weights, activation)


def _layers(make: Maker, gates: Sequence[int]) -> Operator:
    """A recurrent operator of cells whose ``gates`` torch has in this order."""

    def run(call: Call) -> Result:
        if "input" not in call.given:
            raise UnsupportedError(f"{call.op} of packed sequences")
        if call.get("train", False) and call.get("dropout", 0.0):
            raise UnsupportedError(f"{call.op} in training mode")
        call.get("dropout")
        ar, x = call.ar, call.data("input")
        layers, ways = int(call.given["num_layers"]), 1 + bool(call.get("bidirectional", False))
        states = call.given["hx"]
        states = list[Any](states) if isinstance(states, (list, tuple)) else [states]
        parts = list[Any](call.given["params"])
        size = 4 if call.get("has_biases", True) else 2
        if len(parts) != layers * ways * size:
            raise UnsupportedError(f"{call.op} with projections")
        batch_first = bool(call.get("batch_first", False))
        x = _swapped(ar, x) if batch_first else x
        last: list[tuple[Tensor, ...]] = []
        for layer in range(layers):
            outputs: list[Tensor] = []
            for way in range(ways):
                place = layer * ways + way
                given = [*parts[place * size : (place + 1) * size], None, None]
                weights = recurrent.reordered(ar, Weights(*given[:4]), gates)
                first = tuple(move(ar, lambda a, i=place: a[i], one) for one in states)
                out, state = recurrent.unrolled(
                    ar, make(ar, weights), weights, x, first, backwards=way == 1
                )
                outputs.append(out)
                last.append(state)
            x = places.concatenated(ar, *outputs, axis=2) if ways > 1 else outputs[0]
        ends = [places.stacked(ar, *part, axis=0) for part in zip(*last, strict=True)]
        return (_swapped(ar, x) if batch_first else x, *ends)

    return run


def _swapped(ar: Arithmetic, x: Tensor) -> Tensor:
    return ar.move(lambda a: np.swapaxes(a, 0, 1), x)


TABLE: Table = {
    "gru": _layers(_gru, (1, 0, 2)),
    "lstm": _layers(_lstm, (0, 3, 1, 2)),
    "rnn_relu": _layers(_rnn(elementwise.positive), (0,)),
    "rnn_tanh": _layers(_rnn(_TANH), (0,)),
}
