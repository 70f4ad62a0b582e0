"""Constants found in the other file, by raw bits, however they were moved."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from onebyone.certify import moves, weights
from onebyone.certify.certificate import Finding, Verdict
from onebyone.dialects.onnx.run.model import OnnxModel
from tests.certify.models import Array, model, weight


def holding(**constants: Array) -> OnnxModel:
    """A model whose outputs are its constants."""
    proto = model("(float[1] x) => (float[1] y)", "y = Identity (x)", **constants)
    for name, value in constants.items():
        proto.graph.node.append(helper.make_node("Identity", [name], [f"{name}_out"]))
        dtype = helper.np_dtype_to_tensor_dtype(value.dtype)
        proto.graph.output.append(helper.make_tensor_value_info(f"{name}_out", dtype, value.shape))
    return OnnxModel(proto)


def layer(first: dict[str, Array], second: dict[str, Array]) -> Finding:
    return weights.check(holding(**first), holding(**second)).layer


@st.composite
def moved(draw: Any) -> tuple[Array, Array]:
    """An array, and what a permutation of (some split of) its axes makes of it."""
    parts = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    order = draw(st.permutations(range(len(parts))))
    cut = draw(st.integers(0, len(parts)))
    source = np.random.default_rng(draw(st.integers(0, 9))).standard_normal(parts)
    target = source.transpose(order)
    head = int(np.prod(parts[:cut], dtype=int))
    return source.reshape(head, -1), target


@given(moved())
def test_every_split_and_permutation_is_found(pair: tuple[Array, Array]) -> None:
    source, target = pair
    move = moves.find(source, target)
    assert move is not None
    assert np.array_equal(move.apply(source).reshape(target.shape), target)


def test_a_permuted_flatten_is_found_although_no_shape_shows_it() -> None:
    w = weight(24, 5)
    turned = w.reshape(4, 3, 2, 5).transpose(3, 1, 0, 2).reshape(5, 24)
    answer = layer({"w": w}, {"v": turned})
    assert answer.verdict is Verdict.PROVED
    assert "permuted" in answer.evidence["map"]["v"]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_splits_and_joins_along_any_axis(axis: int) -> None:
    whole = weight(6, 9, 12)
    size = whole.shape[axis] // 3
    parts = {f"p{i}": np.take(whole, range(i * size, (i + 1) * size), axis).T for i in range(3)}
    split = layer({"w": whole}, parts)
    assert split.verdict is Verdict.PROVED, split.summary
    assert "3 split" in split.summary
    join = layer(parts, {"w": whole})
    assert join.verdict is Verdict.PROVED, join.summary
    assert "1 join" in join.summary


@given(st.integers(0, 31), st.integers(0, 19))
def test_one_flipped_bit_is_found_and_named(bit: int, place: int) -> None:
    w = weight(4, 5)
    broken = w.copy()
    broken.reshape(-1).view(np.uint32)[place] ^= np.uint32(1 << bit)
    if broken.reshape(-1)[place] == 0:
        return
    answer = layer({"w": w}, {"w": broken.T})
    assert answer.verdict is Verdict.UNDECIDED
    index = [int(i) for i in np.unravel_index(place, w.shape)][::-1]
    assert f"w{index} is " in answer.summary
    assert "all but 1 of 20" in answer.evidence["changed"]["w"]


def test_a_flipped_bit_in_a_part_of_a_split_is_found() -> None:
    whole = weight(6, 12)
    part = whole[:, 4:8].copy()
    part[1, 2] = np.nextafter(part[1, 2], np.float32(9))
    answer = layer({"w": whole}, {"p": part.T})
    assert answer.verdict is Verdict.UNDECIDED
    assert "p[2, 1] is " in answer.evidence["changed"]["p"]


def test_the_bits_count_and_not_the_numbers() -> None:
    zeros = weight(8)
    zeros[0] = 0.0
    negative = zeros.copy()
    negative[0] = -0.0
    assert layer({"w": zeros}, {"w": negative}).verdict is not Verdict.PROVED
    assert layer({"w": zeros}, {"w": zeros.astype(np.float64)}).verdict is Verdict.UNDECIDED


def test_an_order_that_no_permutation_of_axes_makes_is_not_proved() -> None:
    w = weight(7, 11)
    shuffled = np.random.default_rng(0).permutation(w)
    answer = layer({"w": w}, {"w": shuffled})
    assert answer.verdict is Verdict.UNDECIDED
    assert "no permutation of axes" in answer.evidence["unmatched"]["w"]


def test_shapes_scalars_and_fills_are_invented_and_no_difference() -> None:
    made = {
        "shape": np.array([2, -1, 12]),
        "scale": np.array(0.125, np.float32),
        "zero": np.zeros((3, 4), np.float32),
    }
    answer = layer({"w": weight(3, 4)}, {"w": weight(3, 4), **made})
    assert answer.verdict is Verdict.PROVED
    assert set(answer.evidence["invented"]) == set(made)


def test_folded_constants_are_named_and_undecided() -> None:
    w = weight(16, 16)
    found = weights.check(holding(w=w), holding(w=w * np.float32(1.1)))
    assert found.layer.verdict is Verdict.UNDECIDED
    assert "w" in found.layer.evidence["unmatched"]
    assert found.folded["w"] == pytest.approx(4 * 2.0**-24)


def test_a_constant_that_nothing_reads_does_not_count() -> None:
    one = model("(float[3] x) => (float[3] y)", "y = Add (x, b)", b=weight(3))
    two = model("(float[3] x) => (float[3] y)", "y = Add (x, b)", b=weight(3), old=weight(9))
    assert weights.check(OnnxModel(one), OnnxModel(two)).layer.verdict is Verdict.PROVED


def test_the_sign_of_a_zero_is_no_changed_constant() -> None:
    zeros = weight(20)
    zeros[3] = 0.0
    negative = zeros.copy()
    negative[3] = -0.0
    assert layer({"w": zeros}, {"w": negative}).verdict is Verdict.UNDECIDED


def test_what_the_second_lacks_is_listed() -> None:
    answer = layer({"w": weight(3, 4), "b": weight(4)}, {"w": weight(3, 4)})
    assert answer.evidence["not_in_second"] == ["b"]
