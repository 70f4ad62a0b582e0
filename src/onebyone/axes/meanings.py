"""What can be understood at all: the vocabulary in which a dialect says what its operators mean.

Plain facts go in (ranks, axes, sizes, the geometry of a convolution), an `Apply` comes out. No
native name occurs here, and no dialect builds an `Apply` letter by letter. What replaces axes by
others stands in `meanings_axis`, native nodes that stand for several operations in `parts`.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

from onebyone.axes.positional import Apply, Kind, Meaning, Position, Tensor, Unknown
from onebyone.axes.sizes import ONE, Size, product, unlimited
from onebyone.identity import Case, Geometry, Refusal, classify

# The labels of each position of one operand or result.
Positions = tuple[Position, ...]
# The size of each position.
Shape = tuple[Size, ...]
# What a function depends on beside its operands; free of positions.
Attributes = tuple[Hashable, ...]

_M, _K, _N = ("m",), ("k",), ("n",)

# ---- labels -----------------------------------------------------------------------------------


def axis_labels(rank: int) -> Positions:
    """One label a position."""
    return tuple((f"d{i}",) for i in range(rank))


def aligned(ranks: Sequence[int | None]) -> tuple[Positions | None, ...]:
    """Labels of operands that broadcast: positions are aligned from the right; None is absent."""
    top = max((rank for rank in ranks if rank is not None), default=0)
    return tuple(None if rank is None else axis_labels(top)[top - rank :] for rank in ranks)


def label_shape(
    meaning: Apply, inputs: Sequence[Tensor | None], number: int, *, exact: bool = False
) -> Shape | None:
    """The shape of result ``number``, from the sizes of the labels of its positions.

    Of two symbols that meet one may be 1 at run time: the first is taken, or, where it must be
    ``exact``, a symbol for the larger of them.
    """
    sizes: dict[str, Size] = dict(meaning.sizes)
    for tensor, positions in zip(inputs, meaning.operands, strict=False):
        if tensor is None or positions is None or tensor.shape is None:
            continue
        for position, size in zip(positions, tensor.shape, strict=True):
            if len(position) == 1:
                before = sizes.get(position[0], ONE)
                if before.is_one:
                    sizes[position[0]] = size
                elif exact and not size.is_one and size != before:
                    sizes[position[0]] = _broadcast(before, size)
    if number >= len(meaning.results):
        return None
    return tuple(
        product([sizes.get(label, ONE) for label in position])
        for position in meaning.results[number]
    )


def _broadcast(a: Size, b: Size) -> Size:
    """The size of two that broadcast, at least one of which is a symbol."""
    for size, other in ((a, b), (b, a)):
        if size.known is not None or size == unlimited(other):
            return size
    return Size(1, ("broadcast(" + ",".join(sorted((str(a), str(b)))) + ")",))


def pinned(meaning: Apply, count: int) -> Apply:
    """With ``count`` operands: those behind are read as they came, such as the bounds of a slice.

    Whoever writes this says that what they hold is among the attributes, or the sizes, or hashed
    by the rule of the canonical form.
    """
    more = count - len(meaning.operands)
    axis_in = (*meaning.axis_in, *((),) * more) if meaning.axis_in else ()
    return replace(meaning, operands=(*meaning.operands, *(None,) * more), axis_in=axis_in)


def _flat(positions: Sequence[Position]) -> Position:
    return tuple(label for position in positions for label in position)


# ---- sums of products -------------------------------------------------------------------------


def contract(
    operands: Sequence[Positions | None], result: Positions, sizes: Mapping[str, Size] | None = None
) -> Apply:
    """A sum of products over the labels that the result lacks; a third operand is added."""
    return Apply(Kind.CONTRACT, "contract", tuple(operands), (result,), sizes=sizes or {})


def matmul(a: int, b: int, turned: tuple[bool, bool] = (False, False)) -> Apply:
    """numpy's matmul: the last two positions multiply, those before them broadcast.

    Args:
        a: rank of the first factor; 1 is a row.
        b: rank of the second factor; 1 is a column.
        turned: whether each factor comes with its last two positions swapped.
    """
    batch = max(a, b) - 2

    def labels(rank: int, last: Positions, turn: bool) -> Positions:
        lead = tuple((f"b{i}",) for i in range(batch - (rank - 2), batch))
        return (*lead, *(last[::-1] if turn else last))

    left = labels(a, (_M, _K), turned[0]) if a > 1 else (_K,)
    right = labels(b, (_K, _N), turned[1]) if b > 1 else (_K,)
    result: list[Position] = [(f"b{i}",) for i in range(max(batch, 0))]
    result += [_M] if a > 1 else []
    result += [_N] if b > 1 else []
    return contract((left, right), tuple(result))


def linear(rank: int, weight_rank: int, bias: bool) -> Apply:
    """``x @ weight.T + bias``; a weight of rank 1 gives one number for each row.

    Args:
        rank: rank of the input.
        weight_rank: 2, or 1 for a vector.
        bias: whether there is one.
    """
    labels = axis_labels(rank - 1)
    weight, result = ((_N, _K), (*labels, _N)) if weight_rank > 1 else ((_K,), labels)
    return contract(((*labels, _K), weight, *(((_N,),) if bias else ())), result)


def einsum(equation: str, ranks: Sequence[int]) -> Apply | Unknown:
    """A contraction of two operands as einsum writes it; ellipses stand for batch positions.

    Without an arrow the result has the letters that occur once, in alphabetic order.
    """
    inputs, arrow, output = equation.replace(" ", "").partition("->")
    terms = inputs.split(",")
    if len(terms) != 2 or len(ranks) != 2:
        return Unknown("an einsum of other than two operands")
    hidden = [
        max(rank - len(term.replace("...", "")), 0) for term, rank in zip(terms, ranks, strict=True)
    ]
    top = max(hidden)

    def labels(term: str, count: int) -> Positions:
        found: list[Position] = []
        for part in term.replace("...", "."):
            lead = [(f"...{i}",) for i in range(top - count, top)]
            found += lead if part == "." else [(part,)]
        return tuple(found)

    left, right = (labels(term, count) for term, count in zip(terms, hidden, strict=True))
    if not arrow:
        letters = sorted("".join(terms).replace(".", ""))
        once = "".join(letter for letter in letters if letters.count(letter) == 1)
        output = ("..." if "..." in inputs else "") + once
    result = labels(output, top)
    if (len(left), len(right)) != tuple(ranks):
        return Unknown("a shape is not known")
    if len(set(left)) != len(left) or len(set(right)) != len(right):
        return Unknown("an einsum that takes a diagonal")
    if not set(left) ^ set(right) <= set(result):
        return Unknown("an einsum that sums over one operand alone")
    return contract((left, right), result)


@dataclass(frozen=True)
class Convolution:
    """A convolution as a sum of products.

    Attributes:
        product: data (batch, channels, spatial...), weight as convolutions keep it, and a bias.
        strided: the step of each spatial axis along which the data is subsampled before.
    """

    product: Apply
    strided: Mapping[int, int]


def convolution(
    geometry: Geometry, spatial: Sequence[Size], *, bias: bool
) -> Convolution | Refusal:
    """A convolution whose windows do not share input, by the case of each of its axes.

    Args:
        geometry: the convolution.
        spatial: sizes of the data's spatial axes.
        bias: whether there is one.

    Returns:
        The sum of products, or why there is none.
    """
    verdict = classify(geometry)
    if isinstance(verdict, Refusal):
        return verdict
    sizes = {
        "g": Size(geometry.groups),
        "n": Size(geometry.out_channels // geometry.groups),
        "c": Size(geometry.in_channels // geometry.groups),
    }
    data: list[Position] = []
    result: list[Position] = []
    strided: dict[int, int] = {}
    for axis, (case, size) in enumerate(zip(verdict.axes, spatial, strict=True)):
        place, offset, kernel = f"o{axis}", f"k{axis}", Size(geometry.kernel[axis])
        sizes[offset] = kernel
        if geometry.transposed:
            data.append((place,))
            result.append((place, offset))
            sizes[place] = size
        elif case is Case.POINTWISE:
            if geometry.stride[axis] > 1:
                strided[axis] = geometry.stride[axis]
            data.append((place,))
            result.append((place,))
        else:
            windows = ONE if case is Case.WHOLE else size.divided_by(kernel)
            if windows is None:
                return Refusal("input size is not known to be a multiple of the patch")
            sizes[place] = windows
            data.append((place, offset))
            result.append((place,))
    offsets = tuple((f"k{axis}",) for axis in range(len(spatial)))
    weight: Positions = (("g", "n"), ("c",), *offsets)
    if geometry.transposed:
        weight = (("g", "c"), ("n",), *offsets)
    operands: list[Positions] = [(("b",), ("g", "c"), *data), weight]
    operands += [(("g", "n"),)] if bias else []
    return Convolution(contract(operands, (("b",), ("g", "n"), *result), sizes), strided)


# ---- element by element, along lines, over axes -----------------------------------------------


def pointwise(fn: str, ranks: Sequence[int | None], attrs: Attributes = ()) -> Apply:
    """Element by element, with broadcasting aligned from the right; an absent operand is None."""
    operands = aligned(ranks)
    top = max((len(positions) for positions in operands if positions is not None), default=0)
    return Apply(Kind.POINTWISE, fn, operands, (axis_labels(top),), attrs=attrs)


def prelu(rank: int, slope_rank: int, *, single: bool) -> Apply:
    """A leaky ReLU with a slope for each channel, axis 1, or a ``single`` one for all."""
    labels = axis_labels(rank)
    slopes = (("one",),) * slope_rank if single else labels[1:2]
    return Apply(Kind.POINTWISE, "prelu", (labels, slopes), (labels,))


def along(fn: str, rank: int, axes: Sequence[int], attrs: Attributes = ()) -> Apply:
    """A function that reads whole lines along ``axes`` and keeps the shape: softmax, cumsum."""
    labels = axis_labels(rank)
    lines = _flat([labels[axis] for axis in axes])
    return Apply(Kind.ALONG, fn, (labels,), (labels,), attrs=attrs, along=lines)


def reduce(
    fn: str, rank: int, axes: Collection[int], attrs: Attributes = (), *, keep: bool
) -> Apply:
    """A sum, a mean, an extremum over ``axes``.

    Args:
        fn: the function.
        rank: rank of the operand.
        axes: from the end where negative.
        attrs: what else it depends on.
        keep: whether the axes stay with size 1.
    """
    gone = {axis % rank for axis in axes} if rank else set[int]()
    result = tuple(
        (f"gone{i}",) if i in gone else label
        for i, label in enumerate(axis_labels(rank))
        if keep or i not in gone
    )
    return Apply(Kind.REDUCE, fn, (axis_labels(rank),), (result,), attrs=attrs)


# ---- norms: operands are the data, scale, shift, and for a batch norm mean and variance ---------


def _norm(
    fn: str,
    operands: Sequence[Positions | None],
    lines: Positions,
    epsilon: float,
    sizes: Mapping[str, Size] | None = None,
) -> Apply:
    data = operands[0]
    assert data is not None
    attrs, whole = (epsilon,), _flat(lines)
    return Apply(
        Kind.NORM, fn, tuple(operands), (data,), attrs=attrs, sizes=sizes or {}, along=whole
    )


def line_norm(
    fn: str, rank: int, start: int, parameters: Sequence[int | None], epsilon: float
) -> Apply:
    """``layer_norm`` and ``rms_norm``: along the positions from ``start`` on.

    ``parameters`` are the ranks of scale and shift, aligned from the right; None is absent.
    """
    labels = axis_labels(rank)
    operands = [None if count is None else labels[rank - count :] for count in parameters]
    return _norm(fn, (labels, *operands), labels[start:], epsilon)


def channel_norm(fn: str, rank: int, parameters: int, epsilon: float) -> Apply:
    """``batch_norm``, by given statistics, and ``instance_norm``, along the spatial positions."""
    labels = axis_labels(rank)
    lines = labels[2:] if fn == "instance_norm" else ()
    return _norm(fn, (labels, *(labels[1:2],) * parameters), lines, epsilon)


def group_norm(
    shape: Shape, groups: int, epsilon: float, *, per_group: bool = False
) -> Apply | None:
    """A norm along the channels of a group and the spatial positions; None where they do not fit.

    ``per_group``: scale and shift have an element for each group, not for each channel.
    """
    channels = shape[1].divided_by(Size(groups)) if len(shape) > 2 else None
    if channels is None:
        return None
    spatial = tuple((f"s{i}",) for i in range(len(shape) - 2))
    parameter: Positions = (("g",),) if per_group else (("g", "c"),)
    operands = ((("n",), ("g", "c"), *spatial), parameter, parameter)
    sizes = {"g": Size(groups), "c": channels}
    return _norm("group_norm", operands, (("c",), *spatial), epsilon, sizes)


# ---- pinned to their layout -------------------------------------------------------------------


def window(fn: str, shape: Shape, count: int, reason: str, what: Hashable = None) -> Apply:
    """A convolution or a pooling whose windows overlap: its operands are read as they came.

    Args:
        fn: the function.
        shape: of the result.
        count: number of operands.
        reason: why it is no sum of products.
        what: the geometry, where it is a convolution.
    """
    labels = axis_labels(len(shape))
    sizes = {label: size for (label,), size in zip(labels, shape, strict=True)}
    operands, attrs = (None,) * count, (reason, what)
    return Apply(Kind.WINDOW, fn, operands, (labels,), attrs=attrs, sizes=sizes)


def sizes(fn: str, rank: int, results: Sequence[int], attrs: Attributes = ()) -> Apply:
    """What reads no element of a tensor, only its sizes, its type or its device.

    ``results`` are the ranks of the results; ``attrs`` say which sizes.
    """
    labels = tuple((("n",),) * count for count in results)
    ones = {"n": ONE} if labels else {}
    return Apply(Kind.SIZES, fn, (axis_labels(rank),), labels, attrs=attrs, sizes=ones)


def is_described(meaning: Meaning) -> bool:
    """Whether the canonical form hashes the native node whole, every attribute included."""
    return isinstance(meaning, Unknown) or (
        isinstance(meaning, Apply) and meaning.kind is Kind.WINDOW
    )
