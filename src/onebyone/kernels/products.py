"""Matrix products and einsum over any `Arithmetic`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onebyone.kernels.arithmetic import Arithmetic, Tensor
from onebyone.kernels.operands import any_data, move


def swapped(ar: Arithmetic, x: Tensor) -> Tensor:
    """``x`` with its last two axes exchanged."""
    return move(ar, lambda a: a.swapaxes(-1, -2), x)


def matmul(ar: Arithmetic, a: Any, b: Any) -> Tensor:
    """``numpy.matmul`` of data or of exact integers, 1-D operands included."""
    if not any_data(ar, a, b):
        return np.matmul(a, b)
    if a.ndim > 1 and b.ndim > 1:
        return ar.matmul(a, b)
    row, column = a.ndim == 1, b.ndim == 1
    out = ar.matmul(
        ar.move(lambda x: x[None, :], a) if row else a,
        ar.move(lambda x: x[:, None], b) if column else b,
    )
    gone = tuple(i for i, one in ((-2, row), (-1, column)) if one)
    return ar.move(lambda x: x.squeeze(gone), out)


def contract(ar: Arithmetic, a: Tensor, b: Tensor, left: str, right: str, out: str) -> Tensor:
    """``einsum("left,right->out")`` of two operands without repeated letters."""
    a, left = _sum_out(ar, a, left, keep=set(right) | set(out))
    b, right = _sum_out(ar, b, right, keep=set(left) | set(out))
    batch = [c for c in left if c in right and c in out]
    inner = [c for c in left if c in right and c not in out]
    rows = [c for c in left if c not in right]
    columns = [c for c in right if c not in left]
    size = dict(zip(right, b.shape, strict=True)) | dict(zip(left, a.shape, strict=True))
    for c, n in zip(right, b.shape, strict=True):
        if size[c] != n:
            raise ValueError(f"einsum sizes of {c!r} differ: {size[c]} and {n}")

    def count(letters: list[str]) -> int:
        return int(np.prod([size[c] for c in letters], dtype=np.int64))

    def arrange(text: str, first: list[str], second: list[str]) -> tuple[list[int], list[int]]:
        order = [text.index(c) for c in (*batch, *first, *second)]
        return order, [count(batch), count(first), count(second)]

    order_a, shape_a = arrange(left, rows, inner)
    order_b, shape_b = arrange(right, inner, columns)
    product = ar.matmul(
        ar.move(lambda x: x.transpose(order_a).reshape(shape_a), a),
        ar.move(lambda x: x.transpose(order_b).reshape(shape_b), b),
    )
    have = [*batch, *rows, *columns]
    order = [have.index(c) for c in out]
    return ar.move(lambda x: x.reshape([size[c] for c in have]).transpose(order), product)


def einsum(ar: Arithmetic, equation: str, xs: Sequence[Tensor]) -> Tensor:
    """``numpy.einsum`` over any arithmetic, with ellipses and implicit outputs."""
    terms, out = _parse(equation, [x.ndim for x in xs])
    operands = [_diagonal(ar, x, term) for x, term in zip(xs, terms, strict=True)]
    total, letters = operands[0]
    for i, (x, term) in enumerate(operands[1:], start=2):
        later = set(out).union(*(t for _, t in operands[i:]))
        keep = "".join(dict.fromkeys(c for c in letters + term if c in later))
        total, letters = contract(ar, total, x, letters, term, keep), keep
    total, letters = _sum_out(ar, total, letters, keep=set(out))
    return ar.move(lambda a: a.transpose([letters.index(c) for c in out]), total)


def _parse(equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    left, arrow, out = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    spare = [chr(c) for c in range(0x4E00, 0x4E40)]
    widest = 0
    for i, (term, rank) in enumerate(zip(terms, ranks, strict=True)):
        extra = rank - len(term.replace("...", ""))
        if "..." in term:
            widest = max(widest, extra)
            terms[i] = term.replace("...", "".join(spare[:extra][::-1]))
    dots = "".join(spare[:widest][::-1])
    if not arrow:
        every = "".join(terms)
        out = dots + "".join(sorted(c for c in set(every) - set(dots) if every.count(c) == 1))
    return terms, out.replace("...", dots)


def _diagonal(ar: Arithmetic, x: Tensor, term: str) -> tuple[Tensor, str]:
    unique = "".join(dict.fromkeys(term))
    if unique == term:
        return x, term
    number = {c: i for i, c in enumerate(unique)}
    labels, wanted = [number[c] for c in term], [number[c] for c in unique]
    return ar.move(lambda a: np.einsum(a, labels, wanted), x), unique


def _sum_out(ar: Arithmetic, x: Tensor, text: str, keep: set[str]) -> tuple[Tensor, str]:
    gone = tuple(i for i, c in enumerate(text) if c not in keep)
    if not gone:
        return x, text
    rest = "".join(c for c in text if c in keep)
    shape = [n for i, n in enumerate(x.shape) if i not in gone]
    return ar.move(lambda a: a.reshape(shape), ar.total(x, gone)), rest
