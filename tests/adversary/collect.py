"""All pairs of all families, in a fixed order."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from tests.adversary import families
from tests.adversary.pairs import Pair


def modules() -> list[str]:
    """The names of the families."""
    return sorted(m.name for m in pkgutil.iter_modules(families.__path__))


@cache
def family(kind: str) -> tuple[Pair, ...]:
    """The pairs of one family."""
    return tuple(importlib.import_module(f"{families.__name__}.{kind}").pairs())


@cache
def everything() -> tuple[Pair, ...]:
    """All pairs.

    Raises:
        ValueError: two pairs have one name.
    """
    found = tuple(pair for kind in modules() for pair in family(kind))
    names = [p.id for p in found]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise ValueError(f"names are not unique: {', '.join(twice)}")
    return found
