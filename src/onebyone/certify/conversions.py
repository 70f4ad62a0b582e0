"""Types in a prime field: conversions, integers that wrap around, and those that choose rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from onebyone.certify.order import Order
from onebyone.certify.predicates import BOOL
from onebyone.certify.ring import Movable, Ring, Signed
from onebyone.kernels.arithmetic import Array, Tensor
from onebyone.kernels.element import REAL, Element
from onebyone.kernels.errors import UnsupportedError
from onebyone.kernels.precision import rounded_to

# Beyond this many indicators of a place a lookup by data is refused.
_INDICATORS = 1 << 26


@dataclass(frozen=True)
class Rounded(Movable, Signed):
    """How an element came to be: by rounding to a type."""

    name: str

    def moved(self, ring: Ring, fn: Callable[..., Array]) -> Rounded:
        return self

    def negative(self) -> Rounded:
        return Rounded("integers") if "int" in self.name else self


class Types(Order):
    """A ring with signs, extrema and types."""

    def rounded(
        self, x: Tensor, source: str, target: str, narrow: Callable[[Array], Array] | None = None
    ) -> Tensor:
        e = self.of(x)
        if e.real is not None:
            return self.constant(rounded_to(e.real, target) if narrow is None else narrow(e.real))
        if isinstance(e.made, Rounded) and e.made.name == target:
            return e
        if narrow is None and (not rounds(source, target) or target == self.leeway.native):
            return replace(e, made=Rounded(source))
        self.used.add(f"rounding to {target}")
        self.expose(e)
        out = self.hashed(f"rounding to {target}", np.abs(e.residue)) * np.sign(e.residue)
        return self.made_of_hash(out, e.height, made=Rounded(target))

    def settled(self, x: Tensor) -> Tensor:
        if not isinstance(x, Element) or x.dtype.kind not in "iu" or x.bounded:
            return x
        # What 64 bits do not hold is beyond what is proved.
        if x.real is not None or x.dtype.itemsize == 8:
            return x
        self.used.add(f"wrapping to {x.dtype}")
        out = self.hashed(f"wrapping to {x.dtype}", x.residue)
        return replace(self.made_of_hash(out, x.height, dtype=x.dtype), bounded=True)

    def whole(self, x: Tensor, dtype: np.dtype[Any]) -> Tensor:
        e = self.of(x)
        if e.real is not None:
            return np.trunc(e.real).astype(dtype)
        if e.dtype == dtype:
            return e
        if e.dtype == BOOL:
            return replace(e, dtype=dtype, bounded=True, made=None)
        if e.dtype.kind in "iu":
            # Narrowing keeps sums and products: they wrap around anyway.
            if not np.can_cast(e.dtype, dtype):
                return replace(e, dtype=dtype, bounded=False)
            return replace(self.of(self.settled(e)), dtype=dtype, bounded=True)
        e = self.function("Trunc", e)
        made = e.made if isinstance(e.made, Rounded) else Rounded("integers")
        if dtype == np.int64 or made.name == dtype.name:
            return replace(e, dtype=dtype, bounded=True, made=made)
        out = self.of(self.opaque(f"truncated to {dtype}", lambda a: a, e, dtype=dtype))
        return replace(out, made=Rounded(dtype.name))

    def picked(self, x: Tensor, index: Tensor, axis: int) -> Tensor:
        # An index that would wrap around is out of range before that.
        table, where = self.of(x), replace(self.of(index), bounded=True)
        rows = table.shape[axis]
        if where.size * rows > _INDICATORS:
            raise UnsupportedError(f"a lookup of {where.size} of {rows} rows by the data")
        self.used.add("lookup")
        places = np.arange(rows, dtype=np.int64)
        flat = self.move(lambda a: a.reshape(-1, 1), replace(where, dtype=REAL, made=None))
        here = self.compare("==", flat, self.constant(places.astype(np.float64)[None, :]))
        if where.dtype.kind == "i":
            behind = self.compare(
                "==", flat, self.constant((places - rows).astype(np.float64)[None, :])
            )
            here = self.add(*(replace(self.of(h), dtype=REAL) for h in (here, behind)))
        first = self.move(
            lambda a: np.moveaxis(a, axis, 0).reshape(rows, -1), replace(table, dtype=REAL)
        )
        found = self.matmul(replace(self.of(here), dtype=REAL), first)
        rest = [n for a, n in enumerate(table.shape) if a != axis]
        shape = (*where.shape, *rest)
        order = list(range(where.ndim, where.ndim + axis)) + list(range(where.ndim))
        order += list(range(where.ndim + axis, len(shape)))
        out = self.move(lambda a: a.reshape(shape).transpose(order), found)
        return replace(out, real=None, dtype=table.dtype, bounded=table.bounded)


def rounds(source: str, target: str) -> bool:
    """Whether a conversion between floating-point types loses anything."""
    finer = {"float64": 3, "float32": 2, "float16": 1, "bfloat16": 1}
    return source != target and finer.get(source, 0) >= finer.get(target, 0)
