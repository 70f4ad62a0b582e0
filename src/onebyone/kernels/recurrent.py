"""Recurrent cells, spelled out step by step.

Sequences are ``(length, batch, width)``, states ``(batch, hidden)``. Weights stand for the gates of
a cell one below the other, as ONNX orders them: input, output, forget, cell for `lstm`; update,
reset, hidden for `gru`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from onebyone.kernels import elementwise, places, products
from onebyone.kernels.arithmetic import Arithmetic, Array, Tensor

# An activation, its parameters given.
Activation = Callable[[Arithmetic, Tensor], Tensor]
# ``cell(what the input gives to the gates, state)`` is the next state, the output its first part.
Cell = Callable[[Tensor, tuple[Tensor, ...]], tuple[Tensor, ...]]


@dataclass(frozen=True)
class Weights:
    """What one direction of a recurrent operator multiplies by.

    Attributes:
        inner: (gates * hidden, width), for the input.
        outer: (gates * hidden, hidden), for the state.
        bias: (gates * hidden,), beside the input; None where there is none.
        state_bias: the same beside the state.
    """

    inner: Tensor
    outer: Tensor
    bias: Tensor | None
    state_bias: Tensor | None

    @property
    def hidden(self) -> int:
        return self.outer.shape[1]


def _gates(ar: Arithmetic, x: Tensor, hidden: int) -> tuple[Tensor, ...]:
    return places.split(ar, x, axis=-1, sizes=[hidden] * (x.shape[-1] // hidden))


def _times(ar: Arithmetic, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    out = ar.matmul(x, products.swapped(ar, weight))
    return out if bias is None else ar.add(out, bias)


def _rows(ar: Arithmetic, x: Tensor, hidden: int, gates: Sequence[int]) -> Tensor:
    """The parts of a weight or of a bias that belong to some gates."""
    index = np.concatenate([np.arange(g * hidden, (g + 1) * hidden) for g in gates])
    return ar.move(lambda a: a[index], x)


def reordered(ar: Arithmetic, weights: Weights, gates: Sequence[int]) -> Weights:
    """Weights whose gates come in another order: first gate ``gates[0]``, and so on."""

    def rows(x: Tensor | None) -> Tensor | None:
        return None if x is None else _rows(ar, x, weights.hidden, gates)

    return Weights(
        rows(weights.inner), rows(weights.outer), rows(weights.bias), rows(weights.state_bias)
    )


def rnn(ar: Arithmetic, weights: Weights, activation: Activation) -> Cell:
    """``h' = f(x W' + h R' + b)``."""

    def step(x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        (h,) = state
        return (activation(ar, ar.add(x, _times(ar, h, weights.outer, weights.state_bias))),)

    return step


def lstm(
    ar: Arithmetic,
    weights: Weights,
    activations: Sequence[Activation],
    *,
    peepholes: Sequence[Tensor] = (),
    coupled: bool = False,
) -> Cell:
    """Long short-term memory.

    Args:
        ar: the arithmetic.
        weights: of the gates.
        activations: of the gates, of the cell's input, of its output.
        peepholes: what the state of the cell gives to the input, output and forget gates.
        coupled: what is not let in is kept, instead of a forget gate.
    """
    gate, inward, outward = activations

    def peeped(x: Tensor, cell: Tensor, place: int) -> Tensor:
        return ar.add(x, ar.mul(peepholes[place], cell)) if peepholes else x

    def step(x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        h, c = state
        total = ar.add(x, _times(ar, h, weights.outer, weights.state_bias))
        i, o, f, new = _gates(ar, total, weights.hidden)
        let = gate(ar, peeped(i, c, 0))
        keep = ar.sub(ar.constant(1.0), let) if coupled else gate(ar, peeped(f, c, 2))
        cell = ar.add(ar.mul(keep, c), ar.mul(let, inward(ar, new)))
        shown = gate(ar, peeped(o, cell, 1))
        return ar.mul(shown, outward(ar, cell)), cell

    return step


def gru(
    ar: Arithmetic, weights: Weights, activations: Sequence[Activation], *, reset_after: bool
) -> Cell:
    """Gated recurrent unit; the reset gate applies before or after the product with the state."""
    gate, inward = activations
    hidden = weights.hidden

    def parts(gates: Sequence[int]) -> tuple[Tensor, Tensor | None]:
        bias = weights.state_bias
        return _rows(ar, weights.outer, hidden, gates), (
            None if bias is None else _rows(ar, bias, hidden, gates)
        )

    of_gates, of_new = parts((0, 1)), parts((2,))

    def step(x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        (h,) = state
        x_update, x_reset, x_new = _gates(ar, x, hidden)
        h_update, h_reset = _gates(ar, _times(ar, h, *of_gates), hidden)
        update, reset = gate(ar, ar.add(x_update, h_update)), gate(ar, ar.add(x_reset, h_reset))
        if reset_after:
            inner = ar.mul(reset, _times(ar, h, *of_new))
        else:
            inner = _times(ar, ar.mul(reset, h), *of_new)
        new = inward(ar, ar.add(x_new, inner))
        kept = ar.mul(update, h)
        return (ar.add(ar.mul(ar.sub(ar.constant(1.0), update), new), kept),)

    return step


def unrolled(
    ar: Arithmetic,
    cell: Cell,
    weights: Weights,
    x: Tensor,
    state: tuple[Tensor, ...],
    *,
    lengths: Array | None = None,
    backwards: bool = False,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """All outputs, (length, batch, hidden), and the last state.

    Args:
        ar: the arithmetic.
        cell: one step.
        weights: of the cell.
        x: the sequences.
        state: the first state.
        lengths: how much of each sequence counts; beyond, outputs are 0 and the state stays.
        backwards: from the last element that counts to the first.
    """

    def turned(values: Tensor) -> Tensor:
        if lengths is None:
            return places.flipped(ar, values, axes=(0,))
        return places.reversed_rows(ar, values, lengths, time_axis=0, batch_axis=1)

    x = turned(x) if backwards else x
    given = _times(ar, x, weights.inner, weights.bias)
    outputs: list[Tensor] = []
    for time in range(x.shape[0]):
        after = cell(ar.move(lambda a, t=time: a[t], given), state)
        shown = after[0]
        if lengths is not None:
            counts = (time < lengths)[:, None]
            shown = elementwise.where(ar, counts, shown, ar.constant(0.0))
            after = tuple(
                elementwise.where(ar, counts, new, old)
                for new, old in zip(after, state, strict=True)
            )
        state = after
        outputs.append(shown)
    out = places.stacked(ar, *outputs, axis=0)
    return turned(out) if backwards else out, state
