"""Sizes of dimensions: an integer, a symbol such as ``batch``, or a product of them."""

from __future__ import annotations

from collections import Counter
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


# The size of a position that has no axis: it broadcasts.
ONE = Size(1)


def product(sizes: list[Size] | tuple[Size, ...]) -> Size:
    """The product of sizes; 1 for none."""
    symbols = tuple(sorted(s for size in sizes for s in size.symbols))
    return Size(prod(size.coefficient for size in sizes), symbols)
