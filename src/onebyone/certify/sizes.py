"""Sizes for the symbols of two models: one of its own for each, as far as the first model runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, combinations, islice

import numpy as np

from onebyone.certify.ports import Ports, Shapes
from onebyone.dialects.protocol import Port
from onebyone.errors import InputError
from onebyone.kernels.arithmetic import Array

# A size that exporters write as a sum or product of others: "past_length + 1", "2*s1".
_EXPRESSION = re.compile(r"\s*(\w+)\s*(?:[+*-]\s*\w+\s*)+")
# Tries of relations between symbols; usual sizes, and those next to constants; and how many
# elements an input may hold then.
_TRIES = 100
USUAL_SIZES = 3
_BESIDE = 24
_ELEMENTS = 1 << 22


@dataclass(frozen=True)
class _Row:
    """Sizes by role: symbols of one role get one after the other, each its own."""

    batch: tuple[int, ...]
    side: tuple[int, ...]
    other: tuple[int, ...]

    def size(self, role: str, place: int, count: int) -> int:
        """The size of one of ``count`` symbols of a role."""
        if role == "channel":
            return 3
        sizes: tuple[int, ...] = getattr(self, role)
        if count == 1:
            return min(sizes)
        step, top = abs(sizes[-1] - sizes[-2]), max(sizes)
        return (*sizes, *(top + step * n for n in range(1, place + 1)))[place]


# Networks that halve their input five times need multiples of 32.
_ROWS = (
    _Row((2, 3, 4), (64, 96, 128), (6, 7, 9, 10, 11, 13)),
    _Row((1, 2, 3), (32, 64, 96), (8, 12, 16, 20, 24)),
    # The first symbol is the largest here, by far.
    _Row((12, 5, 4, 3), (160, 64, 32), (64, 24, 16, 8)),
    _Row((1, 2, 3), (224, 256, 288), (64, 32, 96)),
    _Row((3, 4, 5), (48, 80, 112), (5, 3, 4)),
)
# Where no sizes of their own will do, all of a role are alike.
_ALIKE = tuple(
    _Row((batch,) * 2, (side,) * 2, (other,) * 2)
    for batch, side, other in ((2, 64, 6), (1, 32, 8), (1, 224, 16), (3, 48, 32))
)


@dataclass(frozen=True)
class _Relations:
    """What is taken to hold between symbols.

    Attributes:
        sums: symbol -> the symbols that it is the sum of; one alone is its equal.
        ones: symbols that are 1.
    """

    sums: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    ones: frozenset[str] = frozenset()

    def also(self, symbol: str, *terms: str) -> _Relations:
        return _Relations({**self.sums, symbol: terms}, self.ones)

    def without(self, symbol: str) -> _Relations:
        return _Relations({s: t for s, t in self.sums.items() if s != symbol}, self.ones)

    def texts(self) -> tuple[str, ...]:
        equal = [f"{symbol} = {' + '.join(terms)}" for symbol, terms in self.sums.items()]
        return (*equal, *(f"{symbol} = 1" for symbol in sorted(self.ones)))


class _Symbols:
    """The symbols of the inputs, and sizes for them."""

    def __init__(self, ports: Ports, given: Mapping[str, Array], *, spelled: bool = True) -> None:
        self._dims = {p.name: _dims(p, q, given.get(p.name)) for p, q in ports.inputs}
        self._known: dict[str, int] = {}
        for size, symbol in chain.from_iterable(self._dims.values()):
            if size is not None:
                self._known.setdefault(symbol, size)
        # Symbol -> its role.
        self.free: dict[str, str] = {}
        for axes in self._dims.values():
            for place, (size, symbol) in enumerate(axes):
                told = spelled and _EXPRESSION.fullmatch(symbol) is not None
                if size is None and symbol not in self._known and not told:
                    inner = ("channel" if place == 1 else "side") if len(axes) == 4 else "other"
                    self.free.setdefault(symbol, inner if place else "batch")

    def of_role(self, role: str) -> list[str]:
        return [symbol for symbol, its in self.free.items() if its == role]

    def at(self, row: _Row, held: _Relations, fixed: Mapping[str, int] | None = None) -> Shapes:
        """The sizes of a row, relations kept."""
        symbols = dict(self._known)
        for role in ("batch", "channel", "side", "other"):
            own = [s for s in self.of_role(role) if s not in held.sums]
            for place, symbol in enumerate(own):
                symbols[symbol] = 1 if symbol in held.ones else row.size(role, place, len(own))
        symbols |= fixed or {}
        for symbol, terms in held.sums.items():
            symbols[symbol] = sum(symbols[term] for term in terms)
        sizes = {
            name: tuple(n if n is not None else _evaluate(symbol, symbols) for n, symbol in axes)
            for name, axes in self._dims.items()
        }
        return Shapes(sizes, symbols, held.texts())


def shapes(ports: Ports, given: Mapping[str, Array]) -> Iterator[Shapes]:
    """Ways to fix the dimensions of both models alike, small ones first.

    Args:
        ports: the paired ports.
        given: inputs from the user; their shapes are used as they are.
    """
    symbols = _Symbols(ports, given)
    yield from _once(symbols.at(row, _Relations()) for row in (*_ROWS, *_ALIKE))


def runnable(
    ports: Ports,
    given: Mapping[str, Array],
    numbers: Iterable[float],
    runs: Callable[[Shapes], bool],
) -> Iterator[Shapes]:
    """Sizes at which a model runs, small ones first: some usual ones, then some beside numbers.

    Where it does not run with a size of its own for each symbol, relations between them are tried:
    batches that are one, sums (a cache and the new tokens), equal ones, a single token.

    Args:
        ports: the paired ports.
        given: inputs from the user; their shapes are used as they are.
        numbers: constants of the models; a mistake shows at sizes that equal one, or nearly do.
        runs: whether the model runs at these sizes.
    """
    # A symbol that is called like a sum of others may be none.
    symbols = _Symbols(ports, given, spelled=False)
    found = next((_Relations() for row in _ROWS if runs(symbols.at(row, _Relations()))), None)
    if found is None:
        symbols = _Symbols(ports, given)
        found = _relations(symbols, runs)
    if found is None:
        return
    usual = _once(symbols.at(row, found) for row in (*_ROWS, *_ALIKE))
    beside = _beside(symbols, found, numbers)
    yield from _once(
        chain.from_iterable(
            islice(filter(runs, shapes), most)
            for shapes, most in ((usual, USUAL_SIZES), (beside, _BESIDE))
        )
    )


def _beside(symbols: _Symbols, held: _Relations, numbers: Iterable[float]) -> Iterator[Shapes]:
    """One symbol after the other at, and one beside, each small whole number."""
    whole = sorted({int(n) for n in numbers if 1 < n <= 512 and n == int(n)})
    own = [s for s in symbols.free if s not in held.sums and s not in held.ones]
    for number in whole[:_BESIDE]:
        for size in (number, number + 1, number - 1):
            for symbol in own:
                shape = symbols.at(_ROWS[0], held, {symbol: size})
                if max(np.prod(s, dtype=float) for s in shape.sizes.values()) <= _ELEMENTS:
                    yield shape


def _relations(symbols: _Symbols, runs: Callable[[Shapes], bool]) -> _Relations | None:
    """The weakest relations with which the model runs, of those that are tried."""
    for held in islice(_guesses(symbols), _TRIES):
        for row in _ROWS if not held.sums and not held.ones else _ROWS[:2]:
            if runs(symbols.at(row, held)):
                return _freed(symbols, held, row, runs)
    for row in _ALIKE:
        if runs(symbols.at(row, _alike(symbols))):
            return _freed(symbols, _alike(symbols), _ROWS[0], runs)
    return None


def _guesses(symbols: _Symbols) -> Iterator[_Relations]:
    yield _Relations()
    batch, *others = symbols.of_role("batch") or [""]
    one = _Relations(dict.fromkeys(others, (batch,)))
    if others:
        yield one
    rest = [*symbols.of_role("other"), *symbols.of_role("side")]
    # A name that speaks of all, or of two others, is likely their sum.
    totals = sorted(rest, key=lambda s: ("total" not in s, "+" not in s, -len(s)))
    yield from (
        one.also(total, p, q)
        for total in totals
        for p, q in combinations([s for s in rest if s != total], 2)
    )
    for single in rest:
        alone = _Relations(one.sums, frozenset({single}))
        yield alone
        yield from (
            alone.also(total, p, single)
            for total in totals
            for p in rest
            if len({total, p, single}) == 3
        )
    yield from (one.also(q, p) for p, q in combinations(rest, 2))
    yield _alike(symbols)
    for total in totals:
        first, *others = [s for s in rest if s != total] or [""]
        if first:
            alike = dict.fromkeys(others, (first,))
            yield _Relations({**one.sums, **alike, total: (first, first)})


def _alike(symbols: _Symbols) -> _Relations:
    """Every symbol is the first of its role."""
    sums: dict[str, tuple[str, ...]] = {}
    for role in ("batch", "side", "other"):
        first, *others = symbols.of_role(role) or [""]
        sums |= dict.fromkeys(others, (first,))
    return _Relations(sums)


def _freed(
    symbols: _Symbols, held: _Relations, row: _Row, runs: Callable[[Shapes], bool]
) -> _Relations:
    """The relations that the model does not run without."""
    for symbol in list(held.sums):
        fewer = held.without(symbol)
        if any(symbol in terms for terms in fewer.sums.values()):
            continue
        if runs(symbols.at(row, fewer)):
            held = fewer
    return held


def _once(every: Iterable[Shapes]) -> Iterator[Shapes]:
    seen: list[dict[str, tuple[int, ...]]] = []
    for shape in every:
        if shape.sizes not in seen:
            seen.append(shape.sizes)
            yield shape


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


def _evaluate(text: str, symbols: Mapping[str, int], default: int = 6) -> int:
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
