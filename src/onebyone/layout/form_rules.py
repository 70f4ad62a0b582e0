"""Which forms each kind of node can read and write, given its orders."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from onebyone.axes.graph import Form, Node, Order, Use
from onebyone.axes.positional import Kind
from onebyone.layout.any_order import Slots, Slotted
from onebyone.layout.contraction import ConvOrder, Roles
from onebyone.layout.solve import Variant

# Norms along the last positions, whatever the others are.
_LINE_NORMS = ("layer_norm", "rms_norm")


def block_form(source: Order, target: Order) -> Form:
    """The coarsest form of ``source`` whose positions a transpose to ``target`` permutes."""
    follows = dict(itertools.pairwise(target))
    groups: list[list[int]] = []
    for axis in source:
        if groups and follows.get(groups[-1][-1]) == axis:
            groups[-1].append(axis)
        else:
            groups.append([axis])
    return tuple(tuple(group) for group in groups)


def permuted(form: Form, target: Order) -> Form | None:
    """``form`` with its positions permuted to the order ``target``; None where one is torn."""
    place = {axis: n for n, axis in enumerate(target)}
    for group in form:
        if any(place[b] != place[a] + 1 for a, b in itertools.pairwise(group)):
            return None
    full = iter(sorted((g for g in form if g), key=lambda group: place[group[0]]))
    return tuple(next(full) if group else () for group in form)


def strip(form: Form) -> Form:
    """A form without its leading positions of size 1: broadcasting supplies them."""
    start = 0
    while start < len(form) and not form[start]:
        start += 1
    return form[start:]


def free_groups(
    slotted: Slotted, number: int, form: Form, result: bool
) -> tuple[Slots, ...] | None:
    """The grouping of slots that a form of one operand or result stands for."""
    groups: list[Slots] = []
    for group in form:
        slots = slotted.of_axes(number, group, result=result)
        if slots is None or (len(slots) > 1 and any(s in slotted.groups for s in slots)):
            return None
        groups.append(slots)
    return tuple(groups)


def free_forms(
    node: Node, slotted: Slotted, groups: tuple[Slots, ...], picked: Variant, changed: float
) -> Iterator[Variant]:
    """The forms of a free node under one grouping of its slots."""
    if not _whole_positions(node, groups, picked):
        return
    fused = node.kind is Kind.NORM and picked.tag == "native" and node.fn not in _LINE_NORMS
    reads: list[Form | None] = []
    for number, use in enumerate(node.operands):
        if use is None:
            reads.append(None)
        elif number in node.pinned or (fused and number):
            # A fused norm of channels reads its parameters as vectors.
            reads.append(use.form)
        else:
            form = _operand_form(slotted, number, groups, use, node)
            if form is None:
                return
            reads.append(form)
    if node.kind is Kind.POINTWISE and max(len(r) for r in reads if r is not None) < len(groups):
        # Nobody supplies the leading positions of size 1: let the first operand do it; no number.
        first = max(slotted.free, key=lambda n: bool(_use(node, n).indices))
        reads[first] = slotted.form(first, groups, False)
    if fused and not _channels_are_second(node, reads[0]):
        return
    written = [slotted.form(n, groups, True) for n in range(len(node.results))]
    if node.fn == "gather":
        written = [_gathered(node, written[0], groups.index((-1,)))]
    tag = "spelled" if picked.tag == "spelled" else "free"
    yield Variant(tag, tuple(reads), tuple(written), changed)
    if node.kind is Kind.REDUCE:
        gone = {n for n, group in enumerate(groups) if _reduced(node, group)}
        short = tuple(g for n, g in enumerate(written[0]) if n not in gone)
        yield Variant(tag, tuple(reads), (short,), changed)


def _gathered(node: Node, form: Form, place: int) -> Form:
    """A gather writes the positions of its indices where the picked axis was."""
    result, indices = node.results[0], node.operands[1]
    assert indices is not None
    axis = {i: k for k, i in enumerate(result.indices)}
    picked = tuple(tuple(axis[indices.indices[k]] for k in group) for group in indices.form)
    return (*form[:place], *picked, *form[place + 1 :])


def _reduced(node: Node, group: Slots) -> bool:
    return bool(group) and all(s < 0 or s in node.summed for s in group)


def _whole_positions(node: Node, groups: tuple[Slots, ...], picked: Variant) -> bool:
    """Reductions and normalisations act on whole positions."""
    if node.kind is Kind.REDUCE:
        inside = set(node.summed)
    elif node.kind is Kind.NORM:
        inside = set(node.along)
    else:
        return True
    # The channels of a group norm are one position: of them it reads those of a group.
    x = node.operands[0] if node.fn == "group_norm" else None
    channels = () if x is None else tuple(x.indices[axis] for axis in x.form[1])
    torn = (g for g in groups if any(s in inside for s in g) and not all(s in inside for s in g))
    if any(group != channels for group in torn):
        return False
    if node.kind is Kind.NORM and picked.tag == "native" and node.fn in _LINE_NORMS:
        lead = [n for n, g in enumerate(groups) if g and g[0] in inside]
        # Positions of size 1 behind the first normalised one are harmless.
        return not lead or all(not g or g[0] in inside for g in groups[lead[0] :])
    return True


def _operand_form(
    slotted: Slotted, number: int, groups: tuple[Slots, ...], use: Use, node: Node
) -> Form | None:
    form = slotted.form(number, groups, False)
    indices = set(use.indices)
    for group in groups:
        inside = [s in indices for s in group if s >= 0]
        if any(inside) and not all(inside):
            return None
    if node.kind is not Kind.POINTWISE and (node.kind is not Kind.NORM or number == 0):
        return form
    needed = strip(form)
    if len(use.form) <= len(form) and strip(use.form) == needed:
        return use.form
    return form if len(use.indices) == len(slotted.native) else needed


def channels_second(node: Node, slots: Slots) -> tuple[Slots, ...]:
    """Slots grouped as a fused norm reads them: [everything before][channels][each other]."""
    x = node.operands[0]
    assert x is not None
    if node.fn in _LINE_NORMS:
        return tuple((slot,) for slot in slots)
    channels = tuple(x.indices[axis] for axis in x.form[1])
    start = slots.index(channels[0]) if channels else 0
    rest = slots[start + len(channels) :]
    return (slots[:start], channels, *((slot,) for slot in rest))


def _channels_are_second(node: Node, form: Form | None) -> bool:
    """Whether the data of a fused norm has exactly its channels at position 1."""
    x = _use(node, 0)
    assert form is not None
    return len(form) >= (2 if node.fn == "batch_norm" else 3) and form[1] == x.form[1]


def _form(use: Use, groups: Sequence[Sequence[int]]) -> Form:
    axis = {i: k for k, i in enumerate(use.indices)}
    return tuple(tuple(axis[i] for i in group if i in axis) for group in groups)


def _use(node: Node, number: int) -> Use:
    use = node.operands[number]
    assert use is not None
    return use


def _with_bias(node: Node, reads: list[Form | None], groups: Sequence[Sequence[int]]) -> None:
    if len(node.operands) > 2 and (bias := node.operands[2]) is not None:
        reads[2] = strip(_form(bias, groups))


def conv_form(
    node: Node, roles: Roles, picked: Variant, form: Form | None, changed: float, odd: float
) -> Variant | None:
    """A convolution that reads its data in ``form``; None there means the default form."""
    x, w, result = _use(node, roles.data), _use(node, roles.weight), node.results[0]
    conv: ConvOrder = picked.detail
    if form is None:
        groups = [conv.batch, conv.channels]
        groups += [()] * (2 - len(conv.spatial))
        groups += [(*position.outer, *position.kernel) for position in conv.spatial]
    else:
        groups = [tuple(x.indices[k] for k in group) for group in form]
    if not 3 <= len(groups) <= 5:
        return None
    batch, channels, *spatial = groups
    summed, shared = set(roles.summed), set(roles.batch)
    if set(batch) & (summed | shared) or not set(channels) <= (summed | shared):
        return None
    if channels[: len(roles.batch)] != roles.batch or shared & set(channels[len(roles.batch) :]):
        return None
    outers: list[tuple[int, ...]] = []
    kernels: list[tuple[int, ...]] = []
    for position in spatial:
        outer = tuple(i for i in position if i not in summed)
        kernel = tuple(i for i in position if i in summed)
        if (*outer, *kernel) != tuple(position):
            return None
        outers.append(outer)
        kernels.append(kernel)
    reads: list[Form | None] = [None] * len(node.operands)
    reads[roles.data] = _form(x, groups)
    out_channels = (*roles.batch, *roles.columns)
    weight = [out_channels, channels[len(roles.batch) :], *kernels]
    reads[roles.weight] = _form(w, weight)
    if len(node.operands) > 2 and (bias := node.operands[2]) is not None:
        reads[2] = _form(bias, [out_channels])
    write = _form(result, [batch, out_channels, *outers])
    # A window is natural where the map was born with these positions; elsewhere 1x1 is. Heads
    # that come out of attention's product are no map.
    maker = x.value.producer
    product = maker is not None and maker.kind is Kind.CONTRACT and not _has_weight(maker)
    windowed = any(kernels) and (product or (form is not None and form != x.value.native))
    cost = changed + (odd if len(groups) != 4 or windowed else 0.0)
    return Variant("conv", tuple(reads), (write,), cost)


def _has_weight(node: Node) -> bool:
    return any(use is not None and use.value.derived for use in node.operands[:2])


def conv_input_form(node: Node, roles: Roles, picked: Variant, wanted: Form) -> Form | None:
    """The data form under which a pointwise convolution writes its result in ``wanted``."""
    x, result = _use(node, roles.data), node.results[0]
    conv: ConvOrder = picked.detail
    if not conv.pointwise or len(wanted) < 3:
        return None
    groups = [tuple(result.indices[k] for k in group) for group in wanted]
    if groups[1] != (*roles.batch, *roles.columns):
        return None
    return _form(x, [groups[0], conv.channels, *groups[2:]])


def linear_form(
    node: Node, roles: Roles, picked: Variant, form: Form | None, changed: float
) -> Variant | None:
    """A MatMul with the weight on the right that reads its data in ``form``."""
    x, w, result = _use(node, roles.data), _use(node, roles.weight), node.results[0]
    order = [x.indices[k] for k in picked.reads[roles.data]]
    count = len(order) - len(roles.summed)
    tail = tuple(order[count:])
    lead = [(i,) for i in roles.batch]
    rest = order[len(roles.batch) : count]
    if form is None:
        # A vector has no rows: a position of size 1 stands for them.
        rows = [(i,) for i in rest] or [()]
        groups = [*lead, tuple(rest), tail] if lead else [*rows, tail]
    else:
        groups = [tuple(x.indices[k] for k in group) for group in form]
    if not groups or groups[-1] != tail:
        return None
    if lead and groups[:-1] != [*lead, tuple(rest)]:
        return None
    reads: list[Form | None] = [None] * len(node.operands)
    reads[roles.data] = _form(x, groups)
    reads[roles.weight] = _form(w, [*lead, tail, roles.columns])
    written = [*groups[:-1], roles.columns]
    _with_bias(node, reads, written)
    return Variant("linear", tuple(reads), (_form(result, written),), changed)


def product_forms(
    node: Node, roles: Roles, picked: Variant, lead: Form, changed: float
) -> Iterator[Variant]:
    """A MatMul of two computed factors whose batch positions are ``lead``."""
    swapped: bool = picked.detail
    left, right = (roles.weight, roles.data) if swapped else (roles.data, roles.weight)
    a, b, result = _use(node, left), _use(node, right), node.results[0]
    order_a = [a.indices[k] for k in picked.reads[left]]
    order_b = [b.indices[k] for k in picked.reads[right]]
    count = len(roles.batch)
    summed = tuple(i for i in order_a if i in roles.summed)
    rows = tuple(i for i in order_a[count:] if i not in roles.summed)
    columns = tuple(i for i in order_b[count:] if i not in roles.summed)
    reads: list[Form | None] = [None] * len(node.operands)
    # A target that reads through strides may have picked a transposed factor.
    first = [rows, summed] if (*rows, *summed) == tuple(order_a[count:]) else [summed, rows]
    second = [summed, columns]
    if (*summed, *columns) != tuple(order_b[count:]):
        second.reverse()
    reads[left] = _form(a, [*lead, *first])
    reads[right] = _form(b, [*lead, *second])
    write = _form(result, [*lead, rows, columns])
    yield Variant("product", tuple(reads), (write,), changed, swapped)
