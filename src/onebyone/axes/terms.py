"""Hashes of values and names of their axes, and how those of a node follow from its operands'.

`onebyone.axes.canonical` says what they mean, `onebyone.axes.primitives` uses them rule by rule.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import factorial, prod
from typing import Any

import numpy as np

from onebyone.axes.graph import AxisGraph, Node, Order, Use, Value, order_of
from onebyone.axes.positional import Tensor
from onebyone.axes.sizes import Size, product, renamed, words

Digest = str
ReadConstant = Callable[[Tensor], np.ndarray[Any, Any]]
# The name of a native operator, and what else tells what it computes.
Describe = Callable[[Node], tuple[str, Hashable]]

_COMMUTATIVE = frozenset(
    "add and bitwiseand bitwiseor bitwisexor contract equal max mean min mul or sum xor".split()
)
# Orders of a constant's own axes that are tried, where sizes do not tell them apart.
_MOST_ORDERS = 6
# Longer lists of integers are no sizes.
_MOST_SIZES = 64
# Over no axis they leave their operand as it is.
IDENTITIES_OF_NOTHING = frozenset({"max", "mean", "min", "prod", "sum", "logsumexp"})


@dataclass(frozen=True)
class Term:
    """A value's hash, and the name of each of its axes."""

    digest: Digest
    names: tuple[Digest, ...]


@dataclass(frozen=True)
class Bound:
    """An operand of a node: a term or a constant, with the index of each axis.

    Attributes:
        term: what is read.
        indices: the node's index for each axis.
        first: indices that come first among a constant's own axes, in this order.
        through: functions that act on each element of a constant before it is read.
    """

    term: Term | Value
    indices: tuple[int, ...]
    first: tuple[int, ...] = ()
    through: tuple[Digest, ...] = ()


@dataclass
class Canonical:
    """The canonical form of a model.

    Attributes:
        outputs: hash of each graph output, layout included.
        terms: hash and axis names of each value.
        names: hash of each computed value, with the native name of the tensor, in graph order.
        opaque: native operators that were hashed as they are, without being understood.
        assumed: what equal hashes take for granted beyond the order of sums, and a hash of what is
            taken for something else: two models for which it is equal need not assume it.
        fallible: hashes of what may fail at run time, whether or not an output depends on it, with
            the native operators.
    """

    outputs: tuple[Digest, ...] = ()
    terms: dict[Value, Term] = field(default_factory=dict[Value, Term])
    names: dict[Digest, str] = field(default_factory=dict[Digest, str])
    opaque: list[str] = field(default_factory=list[str])
    assumed: dict[str, Digest] = field(default_factory=dict[str, Digest])
    fallible: dict[Digest, str] = field(default_factory=dict[Digest, str])


def given(operands: Sequence[Use | None]) -> Sequence[Use | None]:
    """Operands without the absent ones at the end: a model may write those, or leave them out."""
    count = next((n for n in range(len(operands), 0, -1) if operands[n - 1] is not None), 0)
    return operands[:count]


def digest(*parts: object) -> Digest:
    """A hash of nested tuples of strings, bytes and numbers."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()


def scalar(number: float, dtype: str) -> Digest:
    """The hash of a float, a constant or an attribute."""
    return digest("scalar", dtype, number)


class Hasher:
    """Gives each value of one graph its term."""

    def __init__(
        self,
        graph: AxisGraph,
        read: ReadConstant,
        describe: Describe,
        by_position: bool,
        names: Mapping[str, str],
    ) -> None:
        self.graph, self.read, self._describe = graph, read, describe
        self.by_position = by_position
        self._places = {**names, **(_places(graph) if by_position else {})}
        self.out = Canonical()
        self.symbols: set[str] = set()
        self._chains: dict[Value, tuple[Value, tuple[int, ...], tuple[Digest, ...]]] = {}
        self._bytes: dict[tuple[Value, tuple[int, ...]], Digest] = {}

    def described(self, node: Node) -> tuple[str, object]:
        """The native operator of a node, and what it computes."""
        if node.natives[0] is not None:
            operator, what = self._describe(node)
            return operator, self._named(what)
        # A reshape within a native node, of sizes that fit no common factors.
        return "reshape", tuple(self.sizes(use.value) for use in node.results)

    # ---- terms --------------------------------------------------------------------------------

    def term(self, value: Value) -> Term:
        """The term of a value; a constant's axes are named by their order."""
        if value not in self.out.terms:
            assert value.constant, "values are hashed in graph order"
            order = tuple(range(len(value.sizes)))
            self.name(value, self.constant(value, order))
        return self.out.terms[value]

    def name(self, value: Value, head: Digest) -> None:
        """Give a value the hash ``head``, and names to its axes by their places in it."""
        # Sizes: 12 as 3 x 4 and as 4 x 3 have the same places.
        head_and_sizes = digest(head, self.sizes(value))
        names = [
            digest(head_and_sizes, n, k)
            for n, group in enumerate(value.native)
            for k in range(len(group))
        ]
        self.out.terms[value] = Term(head, tuple(names))

    def constant(self, value: Value, order: tuple[int, ...]) -> Digest:
        """The hash of a constant's raw bytes with its axes in ``order``."""
        if (integers := self.integers(value)) is not None:
            return self.told(integers, value.dtype)
        if not order and (number := self.number(value)) is not None:
            # Epsilon may be an attribute or a constant.
            return scalar(number, value.dtype)
        return digest(self.elements(value, order), [str(value.sizes[axis]) for axis in order])

    def integers(self, value: Value) -> tuple[Size, ...] | None:
        """The integers that a constant of one axis holds, which may be sizes, in whatever shape.

        Sizes are the same whether a model has them or measures them.
        """
        if not value.constant or len(value.sizes) > 1:
            return None
        if value.tensor.contents is not None or value.dtype not in ("int32", "int64"):
            return value.tensor.contents
        if (value.elements.known or 0) > _MOST_SIZES:
            return None
        return tuple(Size(int(number)) for number in self.read(value.tensor).reshape(-1))

    def number(self, value: Value) -> float | None:
        """The number that a float constant of one element holds."""
        array = self.read(value.tensor)
        real = array.size == 1 and array.dtype.kind in "fV"
        return float(array.reshape(-1)[0]) if real else None

    def elements(self, value: Value, order: tuple[int, ...]) -> Digest:
        """The hash of a constant's raw bytes in row-major order of the axes ``order``."""
        key = (value, order)
        if key not in self._bytes:
            sizes = [size.known or 0 for size in value.sizes]
            array = self.read(value.tensor)
            state = hashlib.blake2b(value.dtype.encode(), digest_size=16)
            if array.dtype.kind in "OUS":
                state.update(repr(array.tolist()).encode())
            else:
                moved = np.ascontiguousarray(array.reshape(sizes).transpose(order))
                state.update(moved.reshape(-1).view(np.uint8).data)
            self._bytes[key] = state.hexdigest()
        return self._bytes[key]

    def bound(self, use: Use) -> Bound:
        """An operand for `combine`."""
        value = use.value
        if not use.indices:
            return Bound(self.term(value), ())
        if len(use.indices) == 1 and self.integers(value) is not None:
            return Bound(self.term(value), use.indices)
        if value.constant:
            return Bound(value, use.indices)
        if value in self._chains:
            base, axes, through = self._chains[value]
            return Bound(base, tuple(use.indices[axis] for axis in axes), through=through)
        return Bound(self.term(value), use.indices)

    def chain(self, node: Node) -> None:
        """Remember a function of one constant: its axes are the constant's, without an order."""
        uses = [(slot, use) for slot, use in enumerate(node.operands) if use is not None]
        wide = [(slot, use) for slot, use in uses if use.indices]
        scalars = [(slot, use.value) for slot, use in uses if not use.indices]
        if len(wide) != 1 or not all(value.constant for _, value in scalars):
            return
        slot, use = wide[0]
        base, axes, through = self._chains.get(
            use.value, (use.value, tuple(range(len(use.indices))), ())
        )
        result = node.results[0]
        if self.integers(base) is not None:
            return  # hashed as sizes, not as a constant
        if not base.constant or sorted(use.indices) != sorted(result.indices):
            return
        place = {index: axis for axis, index in enumerate(result.indices)}
        moved = tuple(place[use.indices[axis]] for axis in axes)
        if node.fn == "scale":
            factor = scalar(float(str(node.attrs[0])), result.value.dtype)
            step = digest("mul", (), [factor])
        elif node.fn in _COMMUTATIVE:
            others = sorted(self.term(value).digest for _, value in scalars)
            step = digest(node.fn, node.attrs, others)
        else:
            others = [(n, self.term(value).digest) for n, value in scalars]
            step = digest(node.fn, node.attrs, others, slot)
        self._chains[result.value] = (base, moved, (*through, step))

    def combine(
        self,
        fn: str,
        operands: Sequence[Bound],
        result: Sequence[int],
        *extra: object,
        special: Sequence[int] = (),
    ) -> Term:
        """The term of a node over indices.

        Args:
            fn: the function.
            operands: what it reads.
            result: the indices of its result, in any order: names follow them.
            extra: attributes.
            special: indices that the function treats apart, in order, such as softmax's.
        """
        commutes = fn in _COMMUTATIVE
        known = [
            (slot, b.term, b.indices) for slot, b in enumerate(operands) if isinstance(b.term, Term)
        ]
        fixed = [(slot, b) for slot, b in enumerate(operands) if not isinstance(b.term, Term)]
        if commutes:
            known.sort(key=lambda item: item[1].digest)
            known = [(slot, term, indices) for slot, (_, term, indices) in enumerate(known)]
        sources: dict[int, list[tuple[int, Digest]]] = {}
        for slot, term, indices in known:
            for name, index in zip(term.names, indices, strict=True):
                sources.setdefault(index, []).append((slot, name))
        names = {index: digest("index", sorted(pairs)) for index, pairs in sources.items()}
        hashed: list[tuple[int, Digest, list[Digest]]] = []
        for slot, term, indices in known:
            pairs = zip(term.names, indices, strict=True)
            hashed.append((slot, term.digest, sorted(digest(name, names[i]) for name, i in pairs)))
        constants = self._constants(fixed, names)
        if commutes:
            constants.sort(key=lambda item: item[2])
            constants = [
                (len(known) + n, b, head, order) for n, (_, b, head, order) in enumerate(constants)
            ]
        for slot, b, head, order in constants:
            fresh = 0
            for axis in order:
                index = b.indices[axis]
                if index not in names:
                    names[index] = digest("own", slot, fresh)
                    fresh += 1
            hashed.append((slot, head, [names[b.indices[axis]] for axis in order]))
        apart = [names[index] for index in special]
        kept = sorted(names[index] for index in result)
        told = [self._named(item) if self._places else item for item in extra]
        while told and told[-1] in ((), []):
            told.pop()
        head = digest(fn, told, hashed, apart, kept)
        return Term(head, tuple(names[index] for index in result))

    def _constants(
        self, fixed: Sequence[tuple[int, Bound]], names: dict[int, Digest]
    ) -> list[tuple[int, Bound, Digest, tuple[int, ...]]]:
        """Constants in canonical order of axes: named ones by name, own ones as they are."""
        ordered: list[tuple[int, Bound, Digest, tuple[int, ...]]] = []
        for slot, b in fixed:
            assert isinstance(b.term, Value)
            name = [names.get(index) for index in b.indices]
            axes = range(len(b.indices))
            named = sorted((a for a in axes if name[a] is not None), key=lambda a: str(name[a]))
            unnamed = [a for a in axes if name[a] is None]
            front = sorted(
                (a for a in unnamed if b.indices[a] in b.first),
                key=lambda a: b.first.index(b.indices[a]),
            )
            rest = [a for a in unnamed if a not in front]
            head, order = min(
                (self.constant(b.term, order), order)
                for order in _orders((*named, *front), rest, b.term)
            )
            if b.through:
                head = digest(head, b.through)
            ordered.append((slot, b, head, order))
        return ordered

    def placed(self, use: Use | None) -> Digest:
        """A value in a form: hash and the names at each position."""
        if use is None:
            return "absent"
        contents = self.contents(use)
        sizes = [product([use.value.sizes[a] for a in group]) for group in use.form]
        if contents is not None:
            return digest(self.told(contents, use.value.dtype), self.named(sizes))
        if use.value.constant:
            return digest(
                "constant", self.elements(use.value, order_of(use.form)), list(map(str, sizes))
            )
        term = self.term(use.value)
        form = [[term.names[axis] for axis in group] for group in use.form]
        return digest(term.digest, use.value.dtype, form)

    def contents(self, use: Use) -> tuple[Size, ...] | None:
        """The sizes that a tensor holds, where they follow from the shapes of the inputs.

        Any other symbol was made up for one model, and may mean something else in another.
        """
        contents = use.value.tensor.contents
        if contents is None:
            return None
        symbols = {word for size in contents for word in words(size)}
        return contents if symbols <= self.symbols else None

    def sizes(self, value: Value) -> tuple[str, ...]:
        """The sizes of a value's axes, symbols under their canonical names."""
        return self.named(value.sizes)

    def named(self, sizes: Sequence[Size]) -> tuple[str, ...]:
        """Sizes in words, symbols under their canonical names."""
        return tuple(str(self._named(size)) for size in sizes)

    def told(self, contents: Sequence[Size], dtype: str) -> Digest:
        """The hash of a tensor that holds sizes, whatever computes them."""
        return digest("sizes", dtype, self.named(contents))

    def _named(self, item: Any) -> Any:
        """Attributes with the symbols in them under their canonical names."""
        if isinstance(item, tuple | list):
            return [self._named(part) for part in item]
        if not isinstance(item, Size) or not self._places:
            return item
        return Size(
            item.coefficient,
            tuple(sorted(renamed(symbol, self._places) for symbol in item.symbols)),
        )


def _places(graph: AxisGraph) -> dict[str, str]:
    """Names of the inputs' symbolic sizes by the place where each is met first."""
    places: dict[str, str] = {}
    for place, tensor in enumerate(graph.inputs):
        for position, size in enumerate(tensor.shape or ()):
            for symbol in size.symbols:
                places.setdefault(symbol, f"n{place}_{position}")
    return places


def _orders(lead: Order, free: Sequence[int], value: Value) -> Iterator[Order]:
    """Orders of a constant's axes: free ones by size, those of one size in any order."""
    by_size: dict[int, list[int]] = {}
    for axis in free:
        by_size.setdefault(value.sizes[axis].known or 0, []).append(axis)
    ties = [by_size[size] for size in sorted(by_size)]
    if prod(factorial(len(tie)) for tie in ties) > _MOST_ORDERS:
        yield (*lead, *(axis for tie in ties for axis in tie))
        return
    for picked in itertools.product(*(itertools.permutations(tie) for tie in ties)):
        yield (*lead, *(axis for tie in picked for axis in tie))
