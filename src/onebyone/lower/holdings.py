"""Which native tensor holds each value in each form, while a model is written.

A writer asks for a value in a form. Where nobody has it, it is made, and the search for the
original's own reshape or transpose has one order: use the one whose source is there; else make the
source form that the plan names and ask again; only then a new node.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Generic, Protocol, TypeVar

from onebyone.axes.graph import Form, Node, Value, order_of, sharing_natives
from onebyone.axes.positional import Kind
from onebyone.layout.plan import Plan
from onebyone.lower.places import permutation

# A native tensor, or what a dialect has in its place.
_T = TypeVar("_T")

# Variants that write another operator, even where their forms are those of the native node.
_ANEW = ("conv", "linear", "spelled")


class Builder(Protocol[_T]):
    """What `Holdings` asks of a dialect: to make one tensor out of another."""

    def reshaped(self, value: Value, tensor: _T, source: Form, form: Form) -> _T:
        """A new reshape of ``tensor``, which holds ``value`` in ``source``, into ``form``.

        Both forms have the same order of axes.
        """
        ...

    def permuted(self, value: Value, tensor: _T, order: list[int], form: Form) -> _T:
        """A new transpose of ``tensor`` into ``form``: position i is position ``order[i]``."""
        ...

    def again(self, native: Any, tensor: _T) -> _T | None:
        """The original's own reshape or transpose, reading ``tensor``.

        Returns:
            None where it is written already, or reads more that is not there yet.
        """
        ...


class Holdings(Generic[_T]):
    """The tensors of a model that is being written, by value and form; constants are elsewhere."""

    def __init__(self, plan: Plan, builder: Builder[_T]) -> None:
        self._plan = plan
        self._builder = builder
        self._tensors: dict[Value, dict[Form, _T]] = {}
        self._groups = sharing_natives(plan.graph)
        self._moves = {(move.value, move.target): variant for move, variant in plan.forms.moves}
        self._relayouts: dict[tuple[Value, Form], list[tuple[Any, Form]]] = {}
        for relayout in plan.graph.relayouts:
            if relayout.native is None:
                continue  # between the parts of a native node
            source, target = plan.graph.views[relayout.source], plan.graph.views[relayout.target]
            self._relayouts.setdefault((target.value, target.form), []).append(
                (relayout.native, source.form)
            )

    def put(self, value: Value, form: Form, tensor: _T) -> None:
        """Record that ``tensor`` holds ``value`` in ``form``."""
        self._tensors.setdefault(value, {})[form] = tensor

    def get(self, value: Value, form: Form) -> _T:
        """The tensor that holds ``value`` in ``form``, made where there is none.

        Raises:
            LookupError: the value is in no form at all: its node has not been written.
        """
        tensors = self._tensors.setdefault(value, {})
        if form not in tensors:
            native = self._again(value, form)
            tensors[form] = native if native is not None else self._made(value, form)
        return tensors[form]

    def forms(self, value: Value) -> Mapping[Form, _T]:
        """The tensors that hold ``value``, by form; empty where its node has not been written."""
        return self._tensors.get(value, {})

    def __iter__(self) -> Iterator[tuple[Value, Form, _T]]:
        """Every tensor there is, with what it holds."""
        for value, tensors in self._tensors.items():
            for form, tensor in tensors.items():
                yield value, form, tensor

    def natives(self, value: Value, form: Form) -> list[Any]:
        """The original's own reshapes and transposes that yield ``value`` in ``form``."""
        return [native for native, _ in self._relayouts.get((value, form), ())]

    def sharing(self, node: Node) -> list[Node]:
        """The nodes that share native nodes with ``node``, itself included, in graph order."""
        return self._groups[node]

    def is_kept(self, node: Node) -> bool:
        """Whether a node, and all that share its native nodes, stay as they are."""
        return all(self._stays(member) for member in self._groups[node])

    def _stays(self, node: Node) -> bool:
        variant = self._plan.forms.nodes[node]
        pairs = [
            *zip(node.operands, variant.reads, strict=True),
            *zip(node.results, variant.writes, strict=True),
        ]
        if any(use is not None and form not in (None, use.form) for use, form in pairs):
            return False
        if variant.tag in _ANEW:
            return False
        if node.kind is Kind.SIZES and (source := node.operands[0]) is not None:
            return source.form in self.forms(source.value)
        return True

    def _again(self, value: Value, form: Form) -> _T | None:
        """The original's own reshape or transpose, where its source is there."""
        tensors = self._tensors[value]
        for native, source in self._relayouts.get((value, form), ()):
            if source in tensors:
                tensor = self._builder.again(native, tensors[source])
                if tensor is not None:
                    return tensor
        return None

    def _made(self, value: Value, form: Form) -> _T:
        order, tensors = order_of(form), self._tensors[value]
        if not tensors:
            raise LookupError(f"{value.tensor.name} is read before it is written")
        for source, tensor in tensors.items():
            if order_of(source) == order:
                return self._builder.reshaped(value, tensor, source, form)
        variant = self._moves.get((value, order))
        if variant is None:
            source: Form = tuple((axis,) for axis in order_of(next(iter(tensors))))
            target: Form = tuple((axis,) for axis in order)
        else:
            source, target = variant.reads[0], variant.writes[0]
        tensors[target] = self._permuted(value, source, target)
        return self.get(value, form)

    def _permuted(self, value: Value, source: Form, target: Form) -> _T:
        tensor = self.get(value, source)
        native = self._again(value, target)
        if native is not None:
            return native
        return self._builder.permuted(value, tensor, permutation(source, target), target)
