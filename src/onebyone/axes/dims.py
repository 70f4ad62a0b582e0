"""Dimensions as a union-find whose members carry a factorization.

Every position of every tensor is a list of dims. A reshape that splits 768 into 12 x 64 splits
the dim, and so every position that was unified with it, in whatever tensor.
"""

from __future__ import annotations

from collections.abc import Sequence

from onebyone.axes.sizes import Size, unlimited


class Dims:
    """A growing set of dims; a dim is an integer handle.

    An *atom* is the representative of a class that has not been split.

    Attributes:
        assumed: how often sizes were made one that are equal only where an operator succeeds.
    """

    def __init__(self) -> None:
        self._parent: list[int] = []
        self._size: list[Size] = []
        self._factors: list[tuple[int, int] | None] = []
        self.assumed = 0

    def new(self, size: Size) -> int:
        """A fresh dim of ``size``, related to no other."""
        self._parent.append(len(self._parent))
        self._size.append(size)
        self._factors.append(None)
        return len(self._parent) - 1

    def size(self, dim: int) -> Size:
        """The size of a dim."""
        return self._size[self._find(dim)]

    def atoms(self, dims: Sequence[int]) -> list[int]:
        """The atoms of ``dims`` in row-major order, outermost first."""
        atoms: list[int] = []
        stack = list(reversed(dims))
        while stack:
            dim = self._find(stack.pop())
            factors = self._factors[dim]
            if factors is None:
                atoms.append(dim)
            else:
                stack += (factors[1], factors[0])
        return atoms

    def align(self, left: Sequence[int], right: Sequence[int], *, demand: bool = False) -> bool:
        """Make two row-major lists the same list of atoms, by splitting and by unifying.

        Args:
            left: dims.
            right: dims.
            demand: whether an operator demands that they are equal, as far as symbols go.

        Returns:
            False where they have no common refinement, such as 6 x 4 against 4 x 6. Splits made
            on the way stay: they lose nothing.
        """
        a, b = self.atoms(left)[::-1], self.atoms(right)[::-1]
        while a and b:
            one, two = a.pop(), b.pop()
            # An earlier step of this loop may have split or unified what is still on the stack.
            if (parts := self.atoms([one])) != [one]:
                a += parts[::-1]
                b.append(two)
                continue
            if (parts := self.atoms([two])) != [two]:
                b += parts[::-1]
                a.append(one)
                continue
            size_one, size_two = self._size[one], self._size[two]
            if size_one == size_two:
                self._parent[one] = two
            elif demand and unlimited(size_one) == size_two:
                self._parent[one] = two
                self.assumed += 1
            elif demand and size_one == unlimited(size_two):
                self._parent[two] = one
                self.assumed += 1
            elif (rest := size_one.divided_by(size_two)) is not None:
                self._split(one, size_two, rest)
                a.append(one)
                b.append(two)
            elif (rest := size_two.divided_by(size_one)) is not None:
                self._split(two, size_one, rest)
                a.append(one)
                b.append(two)
            else:
                return False
        return not a and not b

    def _split(self, atom: int, outer: Size, inner: Size) -> None:
        self._factors[atom] = (self.new(outer), self.new(inner))

    def _find(self, dim: int) -> int:
        root = dim
        while self._parent[root] != root:
            root = self._parent[root]
        while self._parent[dim] != root:
            self._parent[dim], dim = root, self._parent[dim]
        return root
