"""Constants with keys that ignore order, so that equal and moved ones are found in linear time.

The key is the sum of a hash of each element's bits. It is additive: the keys of slices are
differences of running sums.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from onebyone.certify.residues import mix
from onebyone.dialects.protocol import Constant
from onebyone.kernels.arithmetic import Array

_BLOCK = 1 << 16
# Keys are sums modulo 2**64.
WORD = (1 << 64) - 1
_SEED = 0x2545F4914F6CDD1D
_EXACT = ("int", "uint", "bool")


@dataclass
class Keyed:
    """A constant with its key.

    Attributes:
        constant: the constant.
        used: whether a constant of the other model was found in it.
    """

    constant: Constant
    used: bool = False
    _lines: list[Array] | None = field(default=None, repr=False)

    @cached_property
    def key(self) -> int:
        """The sum of its elements' hashes, modulo 2**64; takes a look at each."""
        return _key(self.constant.read())

    @property
    def name(self) -> str:
        """The constant's name."""
        return self.constant.name

    @property
    def kind(self) -> tuple[str, int]:
        """Element type and number of elements: what moved copies have in common, without a look."""
        return self.constant.dtype, self.constant.size

    @property
    def is_real(self) -> bool:
        """Whether it holds numbers that are neither integers nor booleans."""
        return not self.constant.dtype.startswith(_EXACT)

    def bits(self) -> Array:
        """The bits of each element as an unsigned integer, in the constant's shape."""
        return self.constant.read().reshape(self.constant.shape)

    def lines(self) -> list[Array]:
        """For each axis the running sum of the keys of its indices, from zero: ``(size + 1,)``."""
        if self._lines is None:
            hashed = mix(self.bits().astype(np.uint64), _SEED)
            self._lines = []
            for axis in range(hashed.ndim):
                others = tuple(a for a in range(hashed.ndim) if a != axis)
                rows = hashed.sum(axis=others, dtype=np.uint64)
                self._lines.append(np.concatenate([np.zeros(1, np.uint64), rows.cumsum()]))
        return self._lines


def _key(bits: Array) -> int:
    flat = bits.reshape(-1)
    if flat.dtype.kind in "OUSc":
        return hash(tuple(flat.tolist()))
    total = 0
    for start in range(0, flat.size, _BLOCK):
        block = flat[start : start + _BLOCK].astype(np.uint64)
        total += int(mix(block, _SEED).sum(dtype=np.uint64))
    return total & WORD
