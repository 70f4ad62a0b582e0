"""Elements that are combined with those that stand where they come to."""

from __future__ import annotations

from typing import Any

import numpy as np

from onebyone.kernels import elementwise
from onebyone.kernels.arithmetic import Arithmetic, Array, Tensor
from onebyone.kernels.errors import UnsupportedError
from onebyone.kernels.operands import move

_REDUCTIONS = {
    "add": elementwise.add,
    "max": elementwise.maximum,
    "min": elementwise.minimum,
    "mul": elementwise.mul,
}


def combined(
    ar: Arithmetic, x: Tensor, updates: Tensor, *, index: tuple[Array, ...], reduction: str
) -> Tensor:
    """``x`` with ``updates`` added, multiplied, or compared to what stands at ``index``.

    Args:
        ar: the arithmetic.
        x: data or exact values.
        updates: (*places, *rest), of the index's shape and the axes that it leaves.
        index: of the first axes of ``x``; places may occur more than once.
        reduction: ``add``, ``mul``, ``max`` or ``min``.

    Raises:
        UnsupportedError: another reduction.
    """
    kernel = _REDUCTIONS.get(reduction)
    if kernel is None:
        raise UnsupportedError(f"a reduction {reduction!r}")
    lead, rest = x.shape[: len(index)], x.shape[len(index) :]
    flat = np.ravel_multi_index(index, lead, mode="wrap").ravel()
    out = move(ar, lambda a: a.reshape(-1, *rest), x)
    new = move(ar, lambda a: a.reshape(-1, *rest), updates)
    for turn in _turns(flat):
        at = flat[turn]
        value: Any = kernel(
            ar, move(ar, lambda a, at=at: a[at], out), move(ar, lambda a, t=turn: a[t], new)
        )

        def put(a: Array, b: Array, at: Array = at) -> Array:
            changed = a.copy()
            changed[at] = b
            return changed

        out = move(ar, put, out, value)
    return move(ar, lambda a: a.reshape(x.shape), out)


def _turns(flat: Array) -> list[Array]:
    """Numbers of updates in groups in which no place occurs twice, first occurrences first."""
    order = np.argsort(flat, kind="stable")
    ordered = flat[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    sizes = np.diff(np.append(starts, len(ordered)))
    turn = np.arange(len(ordered)) - np.repeat(starts, sizes)
    return [order[turn == number] for number in range(int(sizes.max(initial=0)))]
