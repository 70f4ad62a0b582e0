"""The variants of each node in the first stage: orders of operands and results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from onebyone.axes.graph import Node, Order, Use, order_of
from onebyone.axes.positional import Kind
from onebyone.axes.sizes import product
from onebyone.layout.contraction import ConvOrder, Roles, parse_convolution, parse_without_channels
from onebyone.layout.cost import move_cost, size_in_bytes
from onebyone.layout.orders import FREE_KINDS, Orders
from onebyone.layout.solve import Variant
from onebyone.layout.targets import Target

# In bytes: of equal plans the one that leaves more nodes as they are.
_MOVED = 0.01


def variants(orders: Orders, node: Node) -> list[Variant]:
    """All variants of a node; never empty."""
    if node.stays:
        offered: list[Variant] = []
    elif node.kind is Kind.CONTRACT:
        offered = list(_contract(orders, node))
    elif node.kind in FREE_KINDS:
        offered = [_priced(orders.target, node, variant) for variant in _free(orders, node)]
    else:
        offered = []
    same = native(node)
    preferred = [
        v if (v.reads, v.writes) == (same.reads, same.writes) else replace(v, cost=v.cost + _MOVED)
        for v in offered
    ]
    return list({(v.tag, v.reads, v.writes): v for v in preferred}.values()) or [same]


def _priced(target: Target, node: Node, variant: Variant) -> Variant:
    """A free node that leaves its native order may lose what a runtime had fused it with."""
    as_it_is = native(node)
    if not target.changed or (variant.reads, variant.writes) == (as_it_is.reads, as_it_is.writes):
        return variant
    data = sum(size_in_bytes(use.value) for use in node.results)
    return replace(variant, cost=variant.cost + target.changed * data)


def native(node: Node) -> Variant:
    """The orders in which the native node reads and writes."""
    reads = tuple(None if use is None else order_of(use.form) for use in node.operands)
    if node.kind is Kind.SIZES:
        reads = (None,) * len(reads)
    return Variant("native", reads, tuple(order_of(use.form) for use in node.results))


def _free(orders: Orders, node: Node) -> Iterator[Variant]:
    slotted = orders.slotted[node]
    every = len(slotted.native)
    sides = [(n, False) for n in slotted.free] + [(n, True) for n in range(len(node.results))]
    seen: set[Order] = set()
    for number, result in sides:
        use = node.results[number] if result else node.operands[number]
        assert use is not None
        if use.value.constant or slotted.width(number, result=result) < every:
            continue
        for order in orders.candidates[use.value]:
            slots = slotted.of(number, order, result=result)
            if slots is not None:
                seen.add(slotted.complete(slots))
    seen.add(slotted.native)
    table = node.operands[0] if node.fn == "gather" else None
    if table is not None and table.value.constant and not node.results[0].value.derived:
        # Rows of a table stay rows: a lookup across columns would miss every cache line.
        seen = {slotted.native}
    for slots in sorted(seen):
        reads: list[Order | None] = []
        for number, use in enumerate(node.operands):
            if use is None:
                reads.append(None)
            elif number in node.pinned:
                reads.append(order_of(use.form))
            else:
                reads.append(slotted.order(number, slots))
        writes = tuple(slotted.order(n, slots, result=True) for n in range(len(node.results)))
        yield from _in_order(orders, node, slots, Variant("free", tuple(reads), writes))


def _in_order(
    orders: Orders, node: Node, slots: Sequence[int], variant: Variant
) -> Iterator[Variant]:
    if node.kind is not Kind.NORM:
        if node.kind is not Kind.ALONG:
            yield variant
        elif orders.along_fits(node, slots):
            last = not node.along or (bool(slots) and slots[-1] < 0)
            x = node.results[0].value
            price = 0.0 if last else orders.target.softmax_inside
            yield replace(variant, cost=price * size_in_bytes(x))
        return
    if norm_fits(node, slots):
        yield Variant("native", variant.reads, variant.writes)
    price = orders.target.spelled_norm
    if price is not None and node.fn in ("layer_norm", "rms_norm"):
        x = node.operands[0]
        assert x is not None
        yield Variant("spelled", variant.reads, variant.writes, price * size_in_bytes(x.value))


def norm_fits(node: Node, order: Sequence[int]) -> bool:
    """Whether the fused operator works in an order of the node's indices."""
    along = set(node.along)
    if node.fn in ("layer_norm", "rms_norm"):
        return all(i in along for i in order[len(order) - len(along) :])
    parameter = node.operands[1]
    x = node.operands[0]
    assert parameter is not None and x is not None
    channels = _channel_indices(node)
    start = next((n for n, i in enumerate(order) if i in channels), 0)
    if tuple(order[start : start + len(channels)]) != channels:
        return False
    if node.fn == "batch_norm":
        return True
    return all(i in along for i in order[start + len(channels) :]) and not any(
        i in along for i in order[:start]
    )


def _channel_indices(node: Node) -> tuple[int, ...]:
    """The indices at the channel position of a fused norm, in native order."""
    x = node.operands[0]
    assert x is not None
    return tuple(x.indices[axis] for axis in x.form[1])


def _contract(orders: Orders, node: Node) -> Iterator[Variant]:
    roles = orders.roles[node]
    forms = orders.target.forms
    if not roles.constant or node in orders.kept:
        yield native(node) if orders.natives.is_product(node) else _as_parts(orders, node, roles)
        if not roles.constant:
            yield from _products(orders, node, roles)
        return
    if orders.is_convolution(node) if orders.target.form == "conv" else len(forms) > 1:
        form = "conv" if orders.is_convolution(node) else "linear"
        yield replace(native(node), cost=layer_cost(orders.target, node, roles, form))
    if "conv" in forms:
        yield from _convolutions(orders, node, roles)
    if "linear" in forms:
        yield from _linears(orders, node, roles)


def layer_cost(target: Target, node: Node, roles: Roles, form: str) -> float:
    """What a layer costs in a form, whatever its orders."""
    x, w, result = _operand(node, roles.data), _operand(node, roles.weight), node.results[0]
    price = target.conv if form == "conv" else target.linear
    data = size_in_bytes(x.value) + size_in_bytes(result.value)
    return price.of(product(node.sizes).estimate(), data, size_in_bytes(w.value))


def _as_parts(orders: Orders, node: Node, roles: Roles) -> Variant:
    """A product inside a fused native node: by itself it needs its second factor transposed."""
    as_it_is = native(node)
    cost = move_cost(_operand(node, roles.weight).value, orders.target)
    return as_it_is if orders.target.strided else replace(as_it_is, cost=cost)


def _operand(node: Node, number: int) -> Use:
    use = node.operands[number]
    assert use is not None
    return use


def _reads(node: Node, roles: Roles, data: Order, weight: Order) -> tuple[Order | None, ...]:
    reads: list[Order | None] = [None] * len(node.operands)
    reads[roles.data], reads[roles.weight] = data, weight
    if len(node.operands) > 2 and (bias := node.operands[2]) is not None:
        reads[2] = order_of(bias.form)
    return tuple(reads)


def _axes(use: Use, indices: Sequence[int]) -> Order:
    axis = {i: k for k, i in enumerate(use.indices)}
    return tuple(axis[i] for i in indices if i in axis)


def _convolutions(orders: Orders, node: Node, roles: Roles) -> Iterator[Variant]:
    x, w = _operand(node, roles.data), _operand(node, roles.weight)
    marked = {x.indices[k] for k in orders.batch[x.value]}
    target = orders.target
    changed = (1 + target.margin) * layer_cost(target, node, roles, "conv")
    for order in orders.candidates[x.value]:
        indices = [x.indices[k] for k in order]
        for conv in conv_orders(indices, roles, marked):
            write = (*conv.batch, *roles.batch, *roles.columns, *conv.rest)
            weight = (*roles.batch, *roles.columns, *(i for i in indices if i in roles.summed))
            tokens = set(conv.batch) - marked
            cost = changed
            if tokens:
                # The more positions share one call, the less it weighs.
                rest = product([node.sizes[i] for i in conv.rest]).estimate()
                cost += target.token_as_batch * size_in_bytes(x.value) / rest
            yield Variant(
                "conv",
                _reads(node, roles, order, _axes(w, weight)),
                (_axes(node.results[0], write),),
                cost,
                conv,
            )


def conv_orders(indices: Sequence[int], roles: Roles, marked: set[int]) -> list[ConvOrder]:
    """The readings of an order as a convolution's input, the preferred one first."""
    with_channels = parse_convolution(indices, roles)
    if with_channels is not None:
        return [with_channels]
    lead = 0
    while lead < len(indices) and indices[lead] in marked:
        lead += 1
    tried = [parse_without_channels(indices, roles, n) for n in (lead, *range(len(indices)))]
    readings = [conv for conv in tried if conv is not None][:1]
    if not readings and not roles.batch and not roles.summed:
        # An outer product: one channel, of size 1, behind the batch.
        readings = [ConvOrder(tuple(indices), (), ())]
    return readings


def _linears(orders: Orders, node: Node, roles: Roles) -> Iterator[Variant]:
    x, w = _operand(node, roles.data), _operand(node, roles.weight)
    groups, summed = len(roles.batch), set(roles.summed)
    changed = (1 + orders.target.margin) * layer_cost(orders.target, node, roles, "linear")
    for order in orders.candidates[x.value]:
        indices = [x.indices[k] for k in order]
        rest = indices[groups : len(indices) - len(summed)]
        tail = indices[len(indices) - len(summed) :]
        if tuple(indices[:groups]) != roles.batch or set(tail) != summed:
            continue
        yield Variant(
            "linear",
            _reads(node, roles, order, _axes(w, (*roles.batch, *tail, *roles.columns))),
            (_axes(node.results[0], (*roles.batch, *rest, *roles.columns)),),
            changed,
        )


def _products(orders: Orders, node: Node, roles: Roles) -> Iterator[Variant]:
    """A matrix product of two computed factors, in either order."""
    if len(node.operands) > 2 and node.operands[2] is not None:
        return
    a, b = _operand(node, roles.data), _operand(node, roles.weight)
    lefts = [(o, s) for o in orders.candidates[a.value] if (s := _split(a, o, roles))]
    rights = [(o, s) for o in orders.candidates[b.value] if (s := _split(b, o, roles))]
    for order_a, (batch_a, alone_a, sum_a, last_a) in lefts:
        for order_b, (batch_b, alone_b, sum_b, last_b) in rights:
            if batch_a != batch_b or sum_a != sum_b:
                continue
            reads: list[Order | None] = [None] * len(node.operands)
            reads[roles.data], reads[roles.weight] = order_a, order_b
            straight = last_a and (not last_b or not sum_b or not alone_b)
            crossed = last_b and (not last_a or not sum_a or not alone_a)
            # Through strides every form will do; the straight one is preferred by a byte.
            if straight or orders.target.strided:
                write = _axes(node.results[0], (*batch_a, *alone_a, *alone_b))
                yield Variant("product", tuple(reads), (write,), float(not straight), False)
            if crossed or orders.target.strided:
                write = _axes(node.results[0], (*batch_a, *alone_b, *alone_a))
                yield Variant("product", tuple(reads), (write,), float(not crossed), True)


_Split = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], bool]


def _split(use: Use, order: Order, roles: Roles) -> _Split | None:
    """(batch, axes of it alone, summed axes, summed last?) of an operand of a matrix product."""
    indices = [use.indices[k] for k in order]
    count = len(roles.batch)
    batch, rest = tuple(indices[:count]), indices[count:]
    if set(batch) != set(roles.batch):
        return None
    summed = tuple(i for i in rest if i in roles.summed)
    alone = tuple(i for i in rest if i not in roles.summed)
    if tuple(rest) == (*alone, *summed):
        return batch, alone, summed, True
    if tuple(rest) == (*summed, *alone):
        return batch, alone, summed, False
    return None
