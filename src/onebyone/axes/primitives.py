"""What each kind of node means, in the few functions that the canonical form knows.

Fused and spelled-out forms meet here: a norm is its means, differences and products; a bias is an
addition; a square is a product; a quotient is a product with a reciprocal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from onebyone.axes.graph import Node, Use, Value
from onebyone.axes.positional import Kind
from onebyone.axes.sizes import Size, product
from onebyone.axes.terms import IDENTITIES_OF_NOTHING, Bound, Hasher, Term, digest, given, scalar

# Over several axes they are what they are over one after the other.
_NESTING = frozenset({"all", "any", "max", "mean", "min", "prod", "sum"})
_FLOATS = ("double", "float", "float16")

Rule = Callable[[Hasher, Node, int], Term]


def _use(node: Node, number: int) -> Use:
    use = node.operands[number]
    assert use is not None
    return use


def _aligned(term: Term, indices: Sequence[int], result: Sequence[int]) -> Term:
    """A term whose names follow ``indices``, reordered to follow ``result``."""
    names = dict(zip(indices, term.names, strict=True))
    return Term(term.digest, tuple(names[index] for index in result))


def _contract(hasher: Hasher, node: Node, number: int) -> Term:
    result = node.results[0].indices
    factors = [hasher.bound(_use(node, 0)), hasher.bound(_use(node, 1))]
    fn = "contract" if node.summed else "mul"
    term = hasher.combine(fn, factors, result)
    bias = node.operands[2] if len(node.operands) > 2 else None
    if bias is not None and not _is_zero(hasher, bias):
        term = hasher.combine("add", [Bound(term, result), hasher.bound(bias)], result)
    return term


def _pointwise(hasher: Hasher, node: Node, number: int) -> Term:
    result = node.results[number].indices
    hasher.chain(node)
    operands = [hasher.bound(use) for use in node.operands if use is not None]
    absent = tuple(n for n, use in enumerate(given(node.operands)) if use is None)
    if node.fn == "scale":
        factor = scalar(float(str(node.attrs[0])), node.results[0].value.dtype)
        return hasher.combine("mul", [*operands, Bound(Term(factor, ()), ())], result)
    if node.fn == "pow" and _whole_numbers(node):
        # Beyond their range, and below one, runtimes do not agree.
        return hasher.combine(f"whole {hasher.described(node)[0]}", operands, result)
    # An attribute changes the function: its meaning is another, unless a rule above reads it.
    known = None if node.attrs else _plain(hasher, node, operands, result)
    return known or hasher.combine(node.fn, operands, result, node.attrs, absent)


def _plain(
    hasher: Hasher, node: Node, operands: list[Bound], result: tuple[int, ...]
) -> Term | None:
    """The term of a function without attributes that means others; None where it is itself."""
    if node.fn == "identity":
        return _aligned_bound(hasher, operands[0], result)
    if node.fn == "reciprocal":
        return hasher.combine("recip", operands, result)
    if node.fn == "div" and _whole_numbers(node):
        return hasher.combine("whole div", operands, result)
    if node.fn == "div":
        over = _inverse(hasher, operands[1])
        if _scalar(hasher, _use(node, 0)) == 1.0:
            assert isinstance(over.term, Term)
            return _aligned(over.term, over.indices, result)
        return hasher.combine("mul", [operands[0], over], result)
    if node.fn == "pow" and _scalar(hasher, _use(node, 1)) == 2.0:
        return hasher.combine("mul", [operands[0], operands[0]], result)
    if node.fn == "add" and len(operands) == 2:
        for other, use in enumerate(node.operands):
            kept = node.operands[1 - other]
            if use is None or kept is None or set(result) != set(kept.indices):
                continue
            if _is_zero(hasher, use):
                return _aligned_bound(hasher, operands[1 - other], result)
    if node.fn == "square":
        return hasher.combine("mul", [operands[0], operands[0]], result)
    if node.fn == "rsqrt":
        root = Bound(hasher.combine("sqrt", operands, result), result)
        return hasher.combine("recip", [root], result)
    if node.fn == "swish":
        gate = Bound(hasher.combine("sigmoid", operands, result), result)
        return hasher.combine("mul", [operands[0], gate], result)
    if node.fn == "where":
        pairs = zip(node.operands[1:], operands[1:], strict=True)
        masked = [_masked(hasher, use) or bound for use, bound in pairs]
        return hasher.combine("where", [operands[0], *masked], result)
    return None


def _is_zero(hasher: Hasher, use: Use) -> bool:
    """Whether an operand is a constant of zeros: adding it changes nothing."""
    if not use.value.constant or use.value.dtype not in _FLOATS:
        return False
    return not hasher.read(use.value.tensor).any()


def _masked(hasher: Hasher, use: Use | None) -> Bound | None:
    """The lowest finite number, as a filling of masks, means minus infinity.

    Exporters write it so. Softmax gives 0 for either, except in rows that are masked completely;
    `Canonical.assumed` says so.
    """
    if use is None or not hasher.by_position or use.value.dtype not in _FLOATS:
        return None
    number = _scalar(hasher, use)
    if number is None or number > -6e4:
        return None
    dtype = np.float32 if use.value.dtype == "float" else np.dtype(use.value.dtype)
    if number != float(np.finfo(dtype).min):
        return None
    text = "no row of an attention mask is masked completely"
    hasher.out.assumed[text] = digest(hasher.out.assumed.get(text), use.value.dtype, number)
    return Bound(Term(scalar(-np.inf, use.value.dtype), ()), ())


def _aligned_bound(hasher: Hasher, bound: Bound, result: tuple[int, ...]) -> Term:
    term = bound.term
    if isinstance(term, Value):
        term = hasher.term(term)
        term = Term(digest(term.digest, bound.through), term.names) if bound.through else term
    return _aligned(term, bound.indices, result)


def _inverse(hasher: Hasher, bound: Bound) -> Bound:
    """The reciprocal of an operand, over the operand's own indices."""
    return Bound(hasher.combine("recip", [bound], bound.indices), bound.indices)


def _scalar(hasher: Hasher, use: Use) -> float | None:
    """The value of a constant of one element."""
    value = use.value
    if not value.constant or use.indices:
        return None
    array = hasher.read(value.tensor)
    return float(np.asarray(array).reshape(-1)[0]) if array.dtype.kind not in "OUS" else None


def _whole_numbers(node: Node) -> bool:
    """Division of integers rounds: it is no product with a reciprocal."""
    dtype = node.results[0].value.dtype
    return "int" in dtype or not dtype


def _reduce(hasher: Hasher, node: Node, number: int) -> Term:
    result = node.results[0].indices
    operand = _reduced(hasher, node)
    if not node.summed and node.fn in IDENTITIES_OF_NOTHING:
        return _aligned_bound(hasher, operand, result)
    if node.fn == "var" and node.attrs == (0.0,):
        every = operand.indices
        mean = Bound(hasher.combine("reduce mean", [operand], result, ()), result)
        centred = Bound(hasher.combine("sub", [operand, mean], every), every)
        square = Bound(hasher.combine("mul", [centred, centred], every), every)
        return hasher.combine("reduce mean", [square], result, ())
    # The position of an extremum counts along its axes in their order.
    ordered = node.summed if node.fn.startswith("arg") else ()
    return hasher.combine(f"reduce {node.fn}", [operand], result, node.attrs, special=ordered)


def _reduced(hasher: Hasher, node: Node) -> Bound:
    """What a reduction reads; behind reductions of the same kind, what the first of them reads.

    So it does not matter whether axes go at once or one after the other.
    """
    use = _use(node, 0)
    indices = dict(enumerate(use.indices))
    maker, fresh = use.value.producer, -1
    kind = (node.kind, node.fn, node.attrs, node.results[0].value.dtype)
    # A mean of integers is rounded each time.
    nests = node.fn in _NESTING and bool(node.summed) and (node.fn != "mean" or kind[3] in _FLOATS)
    while (
        nests
        and maker is not None
        and (maker.kind, maker.fn, maker.attrs, use.value.dtype) == kind
        and hasher.contents(use) is None
    ):
        outer = {index: indices[axis] for axis, index in enumerate(maker.results[0].indices)}
        use = _use(maker, 0)
        indices = {}
        for axis, index in enumerate(use.indices):
            indices[axis] = outer.get(index, fresh)
            fresh -= index not in outer
        maker = use.value.producer
    return hasher.bound(replace(use, indices=tuple(indices[axis] for axis in sorted(indices))))


def _along(hasher: Hasher, node: Node, number: int) -> Term:
    operand = hasher.bound(_use(node, 0))
    result = node.results[0].indices
    return hasher.combine(node.fn, [operand], result, node.attrs, special=node.along)


def _axis(hasher: Hasher, node: Node, number: int) -> Term:
    """New axes are named by the node, which group replaced them, and their order in it."""
    use = node.results[number]
    replaced = {index for groups in node.axis_in for group in groups for index in group}
    new = {index for group in node.axis_out[number] for index in group}
    kept = [index for index in use.indices if index not in new]
    operands: list[Bound] = []
    bounds: list[object] = []
    groups: list[list[object]] = []
    free = True
    picked = _picked(hasher, node)
    for place, operand in enumerate(node.operands):
        if operand is None or (place in node.pinned and picked is not None):
            continue
        if place in node.pinned:
            # Bounds that are known are among the attributes already, free of positions.
            data = node.fn == "gather" or (node.fn == "pad" and place == 2)
            if data or hasher.contents(operand) is None:
                bounds.append((place, hasher.placed(operand)))
                free = free and data
        else:
            group = tuple(i for indices in node.axis_in[place] for i in indices)
            bound = hasher.bound(operand)
            operands.append(replace(bound, first=group))
            if isinstance(bound.term, Term):
                names = dict(zip(bound.indices, bound.term.names, strict=True))
                groups.append([[names[i] for i in indices] for indices in node.axis_in[place]])
            else:
                groups.append([len(indices) for indices in node.axis_in[place]])
                free = False
    sizes = [[str(node.sizes[i]) for i in group] for group in node.axis_out[number]]
    common, each = _by_group(node) if picked is None else ((), [_bounds(node, 0, *picked, 1)])
    # The order in which the native node lists its axes is layout, too.
    count = len(sizes) if free and len(operands) == 1 else 0
    rank = sorted(range(count), key=lambda k: digest(groups[0][k], each[k], sizes[k]))
    if rank:
        groups = [[groups[0][k] for k in rank]]
        sizes, each = [sizes[k] for k in rank], [each[k] for k in rank]
    shared = [i for i in kept if i not in replaced]
    fn = "slice" if node.fn == "subsample" or picked is not None else node.fn
    told = (common, each, bounds, groups, sizes, number)
    term = hasher.combine(fn, operands, shared, told)
    names = dict(zip(shared, term.names, strict=True))
    for k, place in enumerate(rank or range(len(sizes))):
        for j, index in enumerate(node.axis_out[number][place]):
            names[index] = digest("new", term.digest, k, j)
    return Term(term.digest, tuple(names[index] for index in use.indices))


def _picked(hasher: Hasher, node: Node) -> tuple[Size, Size] | None:
    """First and last bound of the slice that picks one element, as a gather with a number does."""
    if node.fn != "gather":
        return None
    index = _use(node, 1)
    contents = hasher.contents(index)
    if index.indices or index.value.native or contents is None or len(contents) != 1:
        return None
    place = contents[0].known
    if place is None:
        return None
    end = _group_size(node, 0) if place == -1 else Size(place + 1)
    return Size(place), end


def _group_size(node: Node, k: int) -> Size:
    return product([node.sizes[index] for index in node.axis_in[0][k]])


def _bounds(node: Node, k: int, start: object, end: object, step: object) -> list[object]:
    """The bounds of a slice, those that count from the end counted from the start."""
    size = _group_size(node, k).known

    def counted(bound: object) -> object:
        known = bound.known if isinstance(bound, Size) else None
        if size is None or known is None or step != 1:
            return bound
        return Size(max(known + size, 0) if known < 0 else min(known, size))

    return [counted(start), counted(end), step]


def _by_group(node: Node) -> tuple[Sequence[object], list[object]]:
    """Attributes of the whole node, and those of each group of axes that it replaces."""
    count = len(node.axis_out[0])
    if node.fn in ("slice", "subsample"):
        bounds: list[object] = []
        for k in range(count):
            start, end, step = (
                None if a is None else cast("Sequence[object]", a)[k] for a in node.attrs
            )
            bounds.append(_bounds(node, k, start, end, step))
        return (), bounds
    if node.fn == "pad":
        return node.attrs[:2], list(node.attrs[2:])
    if node.fn == "roll":
        return (), list(node.attrs)
    # What an Expand does is in the sizes.
    return (() if node.fn == "expand" else node.attrs), [None] * count


def _norm(hasher: Hasher, node: Node, number: int) -> Term:
    x = hasher.bound(_use(node, 0))
    every = x.indices
    parameters = [None if use is None else hasher.bound(use) for use in node.operands[1:]]
    parameters += [None] * (4 - len(parameters))
    shift = node.operands[2] if len(node.operands) > 2 else None
    if shift is not None and _is_zero(hasher, shift):
        parameters[1] = None
    rest = tuple(i for i in every if i not in node.along)
    added = scalar(float(str(node.attrs[0])), node.results[0].value.dtype)
    epsilon = Bound(Term(added, ()), ())

    def step(fn: str, *operands: Bound) -> Bound:
        return Bound(hasher.combine(fn, operands, every), every)

    def mean(bound: Bound) -> Bound:
        fn = "reduce mean"
        return Bound(hasher.combine(fn, [bound], rest, ()), rest) if node.along else bound

    if node.fn == "batch_norm":
        shift, spread = parameters[2], parameters[3]
        assert shift is not None and spread is not None
        channels = spread.indices
        inner = Bound(hasher.combine("add", [spread, epsilon], channels), channels)
        root = Bound(hasher.combine("sqrt", [inner], channels), channels)
        out = step("mul", step("sub", x, shift), _inverse(hasher, root))
    else:
        centred = x if node.fn == "rms_norm" else step("sub", x, mean(x))
        spread = mean(step("mul", centred, centred))
        inner = Bound(hasher.combine("add", [spread, epsilon], spread.indices), spread.indices)
        root = Bound(hasher.combine("sqrt", [inner], inner.indices), inner.indices)
        out = step("mul", centred, _inverse(hasher, root))
    for fn, parameter in zip(("mul", "add"), parameters[:2], strict=True):
        if parameter is not None:
            out = step(fn, out, parameter)
    assert isinstance(out.term, Term)
    return _aligned(out.term, every, node.results[0].indices)


PRIMITIVES: dict[Kind, Rule] = {
    Kind.ALONG: _along,
    Kind.AXIS: _axis,
    Kind.CONTRACT: _contract,
    Kind.NORM: _norm,
    Kind.POINTWISE: _pointwise,
    Kind.REDUCE: _reduce,
}
