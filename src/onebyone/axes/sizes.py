"""Sizes of dimensions: an integer, a symbol such as ``batch``, or a product of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod


@dataclass(frozen=True, slots=True)
class Size:
    """A monomial ``coefficient * symbol * symbol ...``; symbols are sorted and may repeat.

    Two sizes are equal only where they are equal for every value of the symbols. A sum such as
    ``past + seq`` is a symbol of its own.
    """

    coefficient: int
    symbols: tuple[str, ...] = ()

    @property
    def known(self) -> int | None:
        """The integer, or None where a symbol takes part."""
        return None if self.symbols else self.coefficient

    @property
    def is_one(self) -> bool:
        """True where the size is 1 whatever the symbols are."""
        return self.coefficient == 1 and not self.symbols

    def __mul__(self, other: Size) -> Size:
        if not self.symbols and not other.symbols:
            return Size(self.coefficient * other.coefficient)
        return Size(
            self.coefficient * other.coefficient, tuple(sorted(self.symbols + other.symbols))
        )

    def divided_by(self, other: Size) -> Size | None:
        """The exact quotient for every value of the symbols, or None."""
        if other.coefficient == 0 or self.coefficient % other.coefficient:
            return None
        rest = Counter(self.symbols)
        rest.subtract(other.symbols)
        if any(count < 0 for count in rest.values()):
            return None
        return Size(self.coefficient // other.coefficient, tuple(sorted(rest.elements())))

    def estimate(self, symbol: int = 64) -> int:
        """A number for cost estimates, each symbol taken as ``symbol``."""
        return self.coefficient * symbol ** len(self.symbols)

    def __str__(self) -> str:
        if not self.symbols:
            return str(self.coefficient)
        head = [] if self.coefficient == 1 else [str(self.coefficient)]
        return "*".join(head + list(self.symbols))


# A symbol within an expression: a name, quoted unless it is one word; `?` marks one made up here.
_SYMBOL = re.compile(r"\??`(?:[^`]|``)*`|[^\W\d]\w*")
_WORD = re.compile(r"[^\W\d]\w*")
_MADE_UP = "?`"
# The smaller of one symbol and a number above 1.
_AT_MOST = re.compile(rf"min\(({_SYMBOL.pattern}),(?!1\))[1-9]\d*\)")


def declared(name: str) -> str:
    """The symbol for a name in a file: quoted where it could be taken for an expression.

    ``2*n`` is a name like any other: nobody makes sure that it is twice ``n``.
    """
    if _WORD.fullmatch(name) or is_made_up(name):
        return name
    return "`" + name.replace("`", "``") + "`"


def file_name(symbol: str) -> str:
    """The name behind a symbol, the inverse of `declared`."""
    return symbol[1:-1].replace("``", "`") if symbol.startswith("`") else symbol


def made_up(name: str) -> str:
    """A symbol for a size that no file names, apart from all that a file can name."""
    return "?`" + name.replace("`", "``") + "`"


def is_made_up(symbol: str) -> bool:
    """Whether a symbol was made by `made_up`."""
    return symbol.startswith(_MADE_UP)


def is_name(symbol: str) -> bool:
    """Whether a symbol is one name, and no expression of names."""
    return _SYMBOL.fullmatch(symbol) is not None


def at_most(size: Size, limit: int) -> Size:
    """The smaller of a symbol and a number: the length of ``table[:n]``."""
    return Size(1, (f"min({size},{limit})",))


def unlimited(size: Size) -> Size:
    """``n`` for the smaller of ``n`` and a number above 1, any other size as it is.

    An operator that joins a tensor of either size fails wherever the two differ.
    """
    match = _AT_MOST.fullmatch(size.symbols[0]) if len(size.symbols) == 1 else None
    return size if match is None else Size(size.coefficient, (match[1],))


def words(size: Size) -> list[str]:
    """The symbols that a size is made of, those within expressions too."""
    return [word for symbol in size.symbols for word in _SYMBOL.findall(symbol)]


def renamed(symbol: str, names: Mapping[str, str]) -> str:
    """A symbol, or an expression of symbols, under other names."""
    return _SYMBOL.sub(lambda match: names.get(match[0], match[0]), symbol)


# The size of a position that has no axis: it broadcasts.
ONE = Size(1)


def product(sizes: list[Size] | tuple[Size, ...]) -> Size:
    """The product of sizes; 1 for none."""
    symbols = tuple(sorted(s for size in sizes for s in size.symbols))
    return Size(prod(size.coefficient for size in sizes), symbols)
