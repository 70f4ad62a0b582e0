"""First stage of planning: the variants of each node as orders of axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from onebyone.axes.graph import AxisGraph, Node, Order, Value, order_of
from onebyone.axes.natives import Natives
from onebyone.axes.positional import Kind
from onebyone.layout.any_order import Slotted
from onebyone.layout.contraction import Roles, roles_of
from onebyone.layout.targets import Target

# Orders that a value may take; more are not worth the solver's time.
_LIMIT = 14

FREE_KINDS = (Kind.POINTWISE, Kind.ALONG, Kind.REDUCE, Kind.AXIS, Kind.NORM)


@dataclass
class Orders:
    """Candidate orders of every value, grown from what is native and what operators demand."""

    graph: AxisGraph
    target: Target
    batch: dict[Value, frozenset[int]]
    kept: dict[Node, str]
    natives: Natives

    def __post_init__(self) -> None:
        self.candidates: dict[Value, dict[Order, None]] = {v: {} for v in self.graph.values}
        self.slotted = {n: Slotted(n) for n in self.graph.nodes if n.kind in FREE_KINDS}
        self.roles = {n: roles_of(n) for n in self.graph.nodes if n.kind is Kind.CONTRACT}
        self._consumers = self.graph.consumers()
        self._dirty: dict[Node, None] = {}
        for view in self.graph.views.values():
            self._add(view.value, order_of(view.form))
        for node, roles in self.roles.items():
            self._seed(node, roles)
        while self._dirty:
            node = next(iter(self._dirty))
            del self._dirty[node]
            if node.kind in FREE_KINDS:
                self._spread(node)
            elif node.kind is Kind.CONTRACT:
                self._through(node, self.roles[node])

    def _add(self, value: Value, order: Order) -> None:
        orders = self.candidates[value]
        if order in orders or len(orders) >= _LIMIT:
            return
        orders[order] = None
        if value.producer is not None:
            self._dirty[value.producer] = None
        for node, _ in self._consumers[value]:
            self._dirty[node] = None

    def _seed(self, node: Node, roles: Roles) -> None:
        """The orders that a Contract would like of its data and its result."""
        x, y, result = node.operands[roles.data], node.operands[roles.weight], node.results[0]
        assert x is not None and y is not None
        other = {i: k for k, i in enumerate(y.indices)}
        axis = {i: k for k, i in enumerate(x.indices)}
        out = {i: k for k, i in enumerate(result.indices)}
        if roles.constant and node not in self.kept:
            natural = [x.indices[k] for k in order_of(x.form)]
            summed = [i for i in natural if i in roles.summed]
            rest = [i for i in natural if i not in roles.summed and i not in roles.batch]
            groups = list(roles.batch)
            wanted: list[tuple[list[int], list[int]]] = []
            if "conv" in self.target.forms:
                for cut in self._cuts(node, roles, rest):
                    read = [*rest[:cut], *groups, *summed, *rest[cut:]]
                    wanted.append((read, [*rest[:cut], *groups, *roles.columns, *rest[cut:]]))
            if "linear" in self.target.forms:
                wanted.append(([*groups, *rest, *summed], [*groups, *rest, *roles.columns]))
            for read, write in wanted:
                self._add(x.value, tuple(axis[i] for i in read))
                self._add(result.value, tuple(out[i] for i in write))
            if not y.value.constant:
                for order in (
                    (*groups, *roles.columns, *summed),
                    (*groups, *summed, *roles.columns),
                ):
                    self._add(y.value, tuple(other[i] for i in order))
            return
        batch, rows, columns = roles.batch, roles.rows, roles.columns
        for use in (x, y):
            summed = tuple(
                i for i in (use.indices[k] for k in order_of(use.form)) if i in roles.summed
            )
            self._add(x.value, tuple(axis[i] for i in (*batch, *rows, *summed)))
            self._add(x.value, tuple(axis[i] for i in (*batch, *summed, *rows)))
            self._add(y.value, tuple(other[i] for i in (*batch, *columns, *summed)))
            self._add(y.value, tuple(other[i] for i in (*batch, *summed, *columns)))
        self._add(result.value, tuple(out[i] for i in (*batch, *rows, *columns)))
        self._add(result.value, tuple(out[i] for i in (*batch, *columns, *rows)))

    def _cuts(self, node: Node, roles: Roles, rest: list[int]) -> list[int]:
        """Where the channels may go among the other axes: behind the batch first."""
        x = node.operands[roles.data]
        assert x is not None
        marked = {x.indices[k] for k in self.batch[x.value]}
        lead = 0
        while lead < len(rest) and rest[lead] in marked:
            lead += 1
        return [lead, *(cut for cut in range(len(rest)) if cut != lead)]

    def _through(self, node: Node, roles: Roles) -> None:
        """Carry orders through an FC layer: its output channels take the input channels' place."""
        x, result = node.operands[roles.data], node.results[0]
        assert x is not None
        if not roles.constant or node in self.kept:
            return
        for use, other, here, there in (
            (x, result, roles.summed, roles.columns),
            (result, x, roles.columns, roles.summed),
        ):
            axis = {index: k for k, index in enumerate(other.indices)}
            for order in list(self.candidates[use.value]):
                indices = [use.indices[k] for k in order]
                start = next((n for n, i in enumerate(indices) if i in here), len(indices))
                end = start + len(here)
                if set(indices[start:end]) != set(here):
                    continue
                carried = [*indices[:start], *there, *indices[end:]]
                if not other.value.constant:
                    self._add(other.value, tuple(axis[i] for i in carried))
        y = node.operands[roles.weight]
        assert y is not None
        if not y.value.constant:
            axis = {index: k for k, index in enumerate(y.indices)}
            for order in list(self.candidates[x.value]):
                summed = [x.indices[k] for k in order if x.indices[k] in roles.summed]
                self._add(y.value, tuple(axis[i] for i in (*roles.batch, *roles.columns, *summed)))
                self._add(y.value, tuple(axis[i] for i in (*roles.batch, *summed, *roles.columns)))

    def _spread(self, node: Node) -> None:
        """Carry candidate orders from each side of a free node to all others."""
        slotted = self.slotted[node]
        every = len(slotted.native)
        sides = [(n, False) for n in slotted.free] + [(n, True) for n in range(len(node.results))]
        for number, result in sides:
            use = node.results[number] if result else node.operands[number]
            assert use is not None
            if use.value.constant or slotted.width(number, result=result) < every:
                continue
            for order in list(self.candidates[use.value]):
                slots = slotted.of(number, order, result=result)
                if slots is None:
                    continue
                slots = slotted.complete(slots)
                for other, other_result in sides:
                    target = node.results[other] if other_result else node.operands[other]
                    assert target is not None
                    if not target.value.constant:
                        self._add(target.value, slotted.order(other, slots, result=other_result))

    def is_convolution(self, node: Node) -> bool:
        """Whether the native node already is in the form of a convolution."""
        return self.natives.is_convolution(node)

    def is_linear(self, node: Node) -> bool:
        """Whether the native node is a matrix product with the weight on the right."""
        return self.natives.is_linear(node)

    def along_fits(self, node: Node, slots: Sequence[int]) -> bool:
        """Whether the native operator can read whole lines in this order of slots."""
        return self.natives.along_fits(node, slots)
