"""Where axes lie: laws by hypothesis, and positions held against what numpy and torch compute."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from onebyone.axes.graph import Form, Node, Use
from onebyone.axes.positional import Kind
from onebyone.axes.sizes import Size
from onebyone.layout.solve import Variant
from onebyone.lower import places
from tests.lower import graphs

_PRIMES = (2, 3, 5, 7, 11)


@st.composite
def _forms(draw: st.DrawFn) -> Form:
    """A form of up to five axes; positions of size 1 have none."""
    order = draw(st.permutations(range(draw(st.integers(0, 5)))))
    groups: list[list[int]] = []
    for axis in order:
        if not groups or draw(st.booleans()):
            groups.append([])
        groups[-1].append(axis)
    for _ in range(draw(st.integers(0, 2))):
        groups.insert(draw(st.integers(0, len(groups))), [])
    return tuple(tuple(group) for group in groups)


@given(_forms(), st.randoms(use_true_random=False))
def test_a_permutation_of_the_source_gives_the_target(source: Form, random: Any) -> None:
    target = tuple(random.sample(source, len(source)))
    order = places.permutation(source, target)
    assert sorted(order) == list(range(len(source)))
    assert tuple(source[place] for place in order) == target
    assert places.permutation(source, source) == list(range(len(source)))


@given(_forms(), st.randoms(use_true_random=False))
def test_shapes_follow_permutations(source: Form, random: Any) -> None:
    axes = sum(len(group) for group in source)
    value = graphs.value(*_PRIMES[:axes])
    target = tuple(random.sample(source, len(source)))
    array = np.empty(places.fixed_shape(value, source))
    moved = array.transpose(places.permutation(source, target))
    assert moved.shape == places.fixed_shape(value, target)
    assert places.fixed_shape(value, places.atoms(value)) == _PRIMES[:axes]


def test_a_shape_keeps_its_symbols() -> None:
    value = graphs.value(2, 3)
    value.sizes = (Size(1, ("b",)), Size(3))
    assert places.shape(value, ((0, 1), ())) == (Size(3, ("b",)), Size(1))
    with pytest.raises(AssertionError, match="integers"):
        places.fixed_shape(value, ((0,),))


# ---- sums of products -------------------------------------------------------------------------


def _einsum(node: Node, variant: Variant, arrays: list[np.ndarray[Any, Any]]) -> Any:
    """What a Contract means, in the forms of a variant."""
    values: list[Any] = []
    for use, form, array in zip(node.operands, variant.reads, arrays, strict=True):
        assert use is not None
        order = [axis for group in form for axis in group]
        atoms = array.reshape([_known(use, (axis,)) for axis in order])
        values += [atoms, [use.indices[axis] for axis in order]]
    result = node.results[0]
    order = [axis for group in variant.writes[0] for axis in group]
    out = np.einsum(*values, [result.indices[axis] for axis in order])
    return out.reshape(places.fixed_shape(result.value, variant.writes[0]))


def _known(use: Use, group: tuple[int, ...]) -> int:
    return places.fixed_shape(use.value, (group,))[0]


def _random(node: Node, variant: Variant) -> list[np.ndarray[Any, Any]]:
    random = np.random.default_rng(0)
    return [
        random.integers(-3, 4, places.fixed_shape(use.value, form)).astype(np.float64)
        for use, form in zip(node.operands, variant.reads, strict=True)
        if use is not None
    ]


@pytest.mark.parametrize(
    ("groups", "kernel", "many"),
    [(1, (1, 1), (4, 2)), (3, (1, 1), (4, 2)), (1, (2, 5), (4, 3)), (3, (2, 5), (4, 1)),
     (2, (4,), (1,)), (1, (2, 1, 3), (2, 5, 1))],
)  # fmt: skip
def test_a_convolution_is_where_torch_has_it(
    groups: int, kernel: tuple[int, ...], many: tuple[int, ...]
) -> None:
    rank = len(kernel)
    spatial = [(f"o{n}", f"k{n}") for n in range(rank)]
    labels = {"g": groups, "c": 2, "n": 5}
    labels |= {f"k{n}": k for n, k in enumerate(kernel)} | {f"o{n}": o for n, o in enumerate(many)}
    node = graphs.node(
        Kind.CONTRACT,
        [
            ((3, 2 * groups, *map(math.prod, zip(kernel, many, strict=True))),
             [("b",), ("g", "c"), *spatial]),
            ((5 * groups, 2, *kernel), [("g", "n"), ("c",), *((f"k{n}",) for n in range(rank))]),
        ],
        [("b",), ("g", "n"), *((f"o{n}",) for n in range(rank))],
        constant=True,
        sizes={label: Size(size) for label, size in labels.items()},
    )  # fmt: skip
    variant = graphs.native(node, "conv")
    conv = places.convolution(node, variant)
    assert (conv.data, conv.weight, conv.kernel, conv.groups) == (0, 1, kernel, groups)
    assert conv.strides == tuple(k if o > 1 else 1 for k, o in zip(kernel, many, strict=True))
    x, w = _random(node, variant)
    function = (torch.conv1d, torch.conv2d, torch.conv3d)[rank - 1]
    given = {"stride": list(conv.strides), "groups": conv.groups}
    out: Any = function(torch.from_numpy(x), torch.from_numpy(w), **given)
    np.testing.assert_array_equal(out.numpy(), _einsum(node, variant, [x, w]))


@given(
    left=st.permutations(range(3)),
    right=st.permutations(range(3)),
    batch=st.integers(1, 3),
    crossed=st.booleans(),
)
def test_factors_are_those_of_numpys_matmul(
    left: list[int], right: list[int], batch: int, *, crossed: bool
) -> None:
    """Whatever order two factors come in: where there is a product, it is the sum of products."""
    node = graphs.node(
        Kind.CONTRACT,
        [((batch, 5, 7), [("b",), ("m",), ("k",)]), ((batch, 7, 11), [("b",), ("k",), ("n",)])],
        [("b",), ("m",), ("n",)],
    )
    a, b, y = places.operand(node, 0), places.operand(node, 1), node.results[0]
    positions = [[[i] for i in use.indices] for use in (a, b)]
    if batch == 1:
        positions = [[[], *groups] for groups in positions]
    reads = tuple(
        graphs.cut(use, [groups[n] for n in order])
        for use, groups, order in zip((a, b), positions, (left, right), strict=True)
    )
    ends = [[i for i in use.indices if i not in node.summed][-1:] for use in (a, b)]
    lead = [[i for i in y.indices if [i] not in ends]]
    written = graphs.cut(y, [*lead, *(ends[::-1] if crossed else ends)])
    variant = Variant("product", reads, (written,), detail=crossed)
    pair = places.factors(node, variant)
    # The batch in front leaves each factor as it is, or with its last two positions swapped.
    assert (pair is not None) == (left[0] == right[0] == 0)
    if pair is not None:
        arrays = _random(node, variant)
        swapped = [
            arrays[f.number].swapaxes(-1, -2) if f.swapped else arrays[f.number] for f in pair
        ]
        np.testing.assert_array_equal(swapped[0] @ swapped[1], _einsum(node, variant, arrays))


def test_a_matrix_times_a_vector_is_a_product() -> None:
    node = graphs.node(Kind.CONTRACT, [((5, 7), [("m",), ("k",)]), ((7,), [("k",)])], [("m",)])
    pair = places.factors(node, graphs.native(node))
    assert pair == (places.Factor(0, swapped=False), places.Factor(1, swapped=False))


def test_a_single_row_is_told_from_what_is_summed() -> None:
    """The position of size 1 in front is no summed one because nothing else is there."""
    node = graphs.node(
        Kind.CONTRACT,
        [((7, 1), [("k",), ("m",)]), ((7, 11), [("k",), ("n",)])],
        [("m",), ("n",)],
    )
    pair = places.factors(node, graphs.native(node))
    assert pair == (places.Factor(0, swapped=True), places.Factor(1, swapped=False))


def test_leading_positions_of_different_axes_are_no_factors() -> None:
    node = graphs.node(
        Kind.CONTRACT,
        [((2, 5, 14), [("b",), ("m",), ("k", "j")]), ((2, 7, 11), [("j",), ("k",), ("n",)])],
        [("b",), ("m",), ("n",)],
        sizes={"k": Size(7), "j": Size(2)},
    )
    assert places.factors(node, graphs.native(node)) is None


def test_a_position_that_is_summed_in_part_is_no_factors() -> None:
    node = graphs.node(
        Kind.CONTRACT,
        [((35,), [("m", "k")]), ((7, 11), [("k",), ("n",)])],
        [("m",), ("n",)],
        sizes={"m": Size(5), "k": Size(7)},
    )
    assert places.factors(node, graphs.native(node)) is None


def test_rows_come_first_for_a_layer_that_keeps_its_weight_so() -> None:
    node = graphs.node(
        Kind.CONTRACT,
        [((3, 5), [("b",), ("k",)]), ((5, 7), [("k",), ("n",)]), ((7,), [("n",)])],
        [("b",), ("n",)],
        constant=True,
    )
    assert places.rows_first(node, graphs.native(node)) == graphs.native(node).reads
    reads = places.rows_first(node, graphs.native(node, "linear"))
    assert reads == (((0,), (1,)), ((1,), (0,)), ((0,),))
    variant = graphs.native(node, "linear")
    wide = Variant("linear", (*variant.reads[:2], ((), (0,))), variant.writes)
    assert places.rows_first(node, wide)[2] == ((0,),)


# ---- along axes -------------------------------------------------------------------------------


def _moved(node: Node, order: tuple[int, ...]) -> Variant:
    """The variant of a node whose one operand and one result have their positions permuted."""
    use, result = places.operand(node, 0), node.results[0]
    return Variant(
        "free",
        (tuple(use.form[p] for p in order),),
        (tuple(result.form[p] for p in order),),
    )


_ORDERS = list(itertools.permutations(range(3)))
_ABC = [("a",), ("b",), ("c",)]


@pytest.mark.parametrize("order", _ORDERS)
def test_softmax_and_norms_find_their_line(order: tuple[int, ...]) -> None:
    node = graphs.node(Kind.ALONG, [((2, 3, 5), _ABC)], _ABC, along=("b",))
    assert places.line(node, _moved(node, order)) == order.index(1)
    norm = graphs.node(Kind.NORM, [((2, 3, 5), _ABC)], _ABC, along=("b", "c"))
    moved = _moved(norm, order)
    assert places.normalized(norm, moved) == sorted((order.index(1), order.index(2)))
    assert places.first_normalized(norm, moved) == min(order.index(1), order.index(2))


def test_a_line_of_size_one_is_the_last_such_position() -> None:
    node = graphs.node(Kind.ALONG, [((1, 3, 1), _ABC)], _ABC, along=("c",))
    assert places.line(node, graphs.native(node)) == 2
    norm = graphs.node(Kind.NORM, [((2, 3, 1), _ABC)], _ABC, along=("c",))
    assert places.first_normalized(norm, graphs.native(norm)) == 2


@pytest.mark.parametrize("order", _ORDERS)
def test_a_reduction_finds_its_positions(order: tuple[int, ...]) -> None:
    gone = [("a",), ("x",), ("y",)]
    node = graphs.node(Kind.REDUCE, [((2, 3, 5), _ABC)], gone, sizes={"x": Size(1), "y": Size(1)})
    moved = _moved(node, order)
    assert places.reduced(node, moved) == sorted((order.index(1), order.index(2)))
    assert places.keeps_rank(moved)
    assert not places.keeps_rank(Variant("free", moved.reads, (((0,),),)))


def test_channels_of_a_group_norm_count_their_groups() -> None:
    positions = [("n",), ("g", "c"), ("s",)]
    node = graphs.node(
        Kind.NORM,
        [((2, 6, 5), positions)],
        positions,
        along=("c", "s"),
        sizes={"g": Size(3), "c": Size(2)},
    )
    assert places.norm_groups(node, graphs.native(node)) == 3


@pytest.mark.parametrize("first", [1, 2])
@pytest.mark.parametrize("order", _ORDERS)
def test_pads_lie_at_the_positions_that_are_padded(order: tuple[int, ...], first: int) -> None:
    node = graphs.node(
        Kind.AXIS,
        [((first, 1, 5), _ABC)],
        [("a",), ("p",), ("q",)],
        fn="pad",
        attrs=("constant", 0.0, (1, 0), (2, 3)),
        sizes={"p": Size(2), "q": Size(10)},
        axis_in=((("b",), ("c",)),),
        axis_out=((("p",), ("q",)),),
    )
    moved = _moved(node, order)
    shape = tuple((first, 1, 5)[p] for p in order)
    padded = np.pad(np.zeros(shape), places.pads(node, moved))
    assert padded.shape == places.fixed_shape(node.results[0].value, moved.writes[0])
    assert places.replaced(node, moved) == [order.index(1), order.index(2)]


def test_axes_of_size_one_that_stay_so_have_places_of_their_own() -> None:
    node = graphs.node(
        Kind.AXIS,
        [((2, 1, 1), _ABC)],
        [("a",), ("p",), ("q",)],
        fn="slice",
        sizes={"p": Size(1), "q": Size(1)},
        axis_in=((("b",), ("c",)),),
        axis_out=((("p",), ("q",)),),
    )
    assert places.replaced(node, graphs.native(node)) == [1, 2]


@pytest.mark.parametrize("lengths", [(2, 3), (1, 3), (1, 1)])
@pytest.mark.parametrize("order", _ORDERS)
def test_operands_are_joined_at_one_position(
    order: tuple[int, ...], lengths: tuple[int, int]
) -> None:
    node = graphs.node(
        Kind.AXIS,
        [((2, n, 5), [("a",), (f"part{i}",), ("c",)]) for i, n in enumerate(lengths)],
        [("a",), ("all",), ("c",)],
        fn="concat",
        sizes={"all": Size(sum(lengths))},
        axis_in=((("part0",),), (("part1",),)),
        axis_out=((("all",),),),
    )
    reads = tuple(tuple(places.operand(node, n).form[p] for p in order) for n in (0, 1))
    write = tuple(node.results[0].form[p] for p in order)
    assert places.joined(node, Variant("free", reads, (write,))) == order.index(1)


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("size", [1, 4])
def test_a_gather_replaces_the_position_that_gives_its_result(place: int, size: int) -> None:
    """Where the picked axis is of size 1, nothing but the result tells it from other such."""
    shape = [3, 1, 1]
    shape[place] = size
    labels = [("d0",), ("d1",), ("d2",)]
    picked = [("i",)]
    node = graphs.node(
        Kind.AXIS,
        [(tuple(shape), labels), ((5,), picked)],
        [*labels[:place], *picked, *labels[place + 1 :]],
        fn="gather",
        axis_in=((labels[place],), ()),
        axis_out=((("i",),),),
        fixed=frozenset({1}),
    )
    assert places.gathered(node, graphs.native(node)) == place


def test_an_expanded_operand_has_a_position_for_each_new_axis() -> None:
    node = graphs.node(
        Kind.AXIS,
        [((2, 5), [("a",), ("c",)])],
        [("a",), ("e",), ("c",)],
        fn="expand",
        sizes={"e": Size(3)},
        axis_in=(((),),),
        axis_out=((("e",),),),
    )
    assert places.aligned(node, graphs.native(node)) == ((0,), (), (1,))
