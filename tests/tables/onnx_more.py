"""Specimens of ONNX operators with many attributes: recurrent ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.tables.onnx_nodes import OnnxNode, s
from tests.tables.operands import Operand, f, k, w

_LENGTHS = k([3, 1], np.int32)
_GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


def _cell(
    op: str, *more: Operand | None, ways: int = 1, bias: bool = True, **given: Any
) -> OnnxNode:
    """A recurrent node of length 3, batch 2, width 4 and 2 hidden elements."""
    rows = 2 * _GATES[op]
    operands = [f(3, 2, 4), w(ways, rows, 4), w(ways, rows, 2), w(ways, 2 * rows) if bias else None]
    given = {"hidden_size": 2, "outputs": 3 if op == "LSTM" else 2, **given}
    return s(op, *operands, *more, **given)


_FIRST = f(1, 2, 2, seed=4)
_BOTH = f(2, 2, 2, seed=4)
_SMOOTH = ["HardSigmoid", "ScaledTanh", "Affine"]


def _common(op: str, *states: Operand) -> list[OnnxNode]:
    names = {"RNN": ["ScaledTanh"], "GRU": ["HardSigmoid", "ScaledTanh"], "LSTM": _SMOOTH}[op]
    both = tuple(Operand(np.concatenate([one.values] * 2)) for one in states)
    return [
        _cell(op),
        _cell(op, bias=False, direction="reverse", clip=0.5),
        _cell(op, None, *both, ways=2, direction="bidirectional"),
        _cell(op, _LENGTHS, *states),
        _cell(op, _LENGTHS, ways=2, direction="bidirectional"),
        _cell(op, _LENGTHS, *states, direction="reverse"),
        _cell(
            op,
            None,
            *states,
            activations=names,
            activation_alpha=[0.3, 0.7, 1.5][: len(names)],
            activation_beta=[0.4, 0.9, 0.1][: len(names)],
        ),
        _cell(
            op,
            activations=["LeakyRelu", "Elu", "ThresholdedRelu"][: len(names)],
            activation_alpha=[0.3, 0.7, 0.2][: len(names)],
        ),
        _cell(op, activations=["HardSigmoid", "LeakyRelu", "Elu"][: len(names)]),
        _cell(op, activations=["Softsign", "Softplus", "Relu"][: len(names)]),
    ]


RECURRENT: dict[str, list[OnnxNode]] = {
    "GRU": [
        *_common("GRU", _FIRST),
        _cell("GRU", None, _FIRST, linear_before_reset=1),
        _cell("GRU", _LENGTHS, _BOTH, ways=2, direction="bidirectional", linear_before_reset=1),
    ],
    "LSTM": [
        *_common("LSTM", _FIRST, f(1, 2, 2, seed=5)),
        _cell("LSTM", None, _FIRST, f(1, 2, 2, seed=5), w(1, 6)),
        _cell("LSTM", None, None, None, w(1, 6), input_forget=1),
        _cell("LSTM", input_forget=1),
    ],
    "RNN": _common("RNN", _FIRST),
}  # fmt: skip
MORE = {**RECURRENT}
