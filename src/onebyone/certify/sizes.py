"""Sizes for the symbols of two models."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from onebyone.certify.ports import Ports, Shapes
from onebyone.dialects.protocol import Port
from onebyone.errors import InputError
from onebyone.kernels.arithmetic import Array

# Sizes tried for symbols, in order: (batch, images' sides, sides of other tensors). Networks that
# halve their input five times need multiples of 32.
_SIZES: tuple[tuple[int, int, int], ...] = ((2, 64, 6), (1, 32, 8), (1, 224, 16), (3, 48, 32))


def shapes(ports: Ports, given: Mapping[str, Array]) -> Iterator[Shapes]:
    """Ways to fix the dimensions of both models alike, small ones first.

    Args:
        ports: the paired ports.
        given: inputs from the user; their shapes are used as they are.
    """
    dims = {p.name: _dims(p, q, given.get(p.name)) for p, q in ports.inputs}
    tried: list[dict[str, tuple[int, ...]]] = []
    for batch, side, other in _SIZES:
        symbols: dict[str, int] = {}
        for axes in dims.values():
            for size, symbol in axes:
                if size is not None:
                    symbols.setdefault(symbol, size)
        for axes in dims.values():
            image = len(axes) == 4
            for place, (size, symbol) in enumerate(axes):
                if size is None and not _EXPRESSION.fullmatch(symbol):
                    default = side if image else other
                    default = batch if place == 0 else 3 if image and place == 1 else default
                    symbols.setdefault(symbol, default)
        sizes = {
            name: tuple(
                n if n is not None else _evaluate(symbol, symbols, other) for n, symbol in axes
            )
            for name, axes in dims.items()
        }
        if sizes not in tried:
            tried.append(sizes)
            yield Shapes(sizes, symbols)


# A size that exporters write as a sum or product of others: "past_length + 1", "2*s1".
_EXPRESSION = re.compile(r"\s*(\w+)\s*(?:[+*-]\s*\w+\s*)+")


def _dims(p: Port, q: Port, value: Array | None) -> list[tuple[int | None, str]]:
    """For each axis its size, where the user or one of the files says it, and its symbol."""
    shape = p.shape if p.shape is not None else q.shape
    if value is not None:
        shape = shape or (None,) * value.ndim
    elif shape is None:
        raise InputError(f"input {p.name} has no rank in the file; give its value with --inputs")
    other = q.shape if q.shape is not None else shape
    out: list[tuple[int | None, str]] = []
    for place, pair in enumerate(zip(shape, other, strict=True)):
        size = next((d for d in pair if isinstance(d, int) and d >= 0), None)
        named = next((d for d in pair if isinstance(d, str) and d != "?"), None)
        size = size if value is None else value.shape[place]
        out.append((size, named or f"{p.name}[{place}]"))
    return out


def _evaluate(text: str, symbols: Mapping[str, int], default: int) -> int:
    """The value of a symbol, or of an expression of symbols and numbers from left to right."""
    if text in symbols:
        return symbols[text]
    first, *rest = re.findall(r"\w+|[+*-]", text)
    total = _operand(first, symbols, default)
    for sign, word in zip(rest[::2], rest[1::2], strict=False):
        value = _operand(word, symbols, default)
        total = total * value if sign == "*" else total + value if sign == "+" else total - value
    return max(total, 1)


def _operand(word: str, symbols: Mapping[str, int], default: int) -> int:
    return int(word) if word.isdecimal() else symbols.get(word, default)
