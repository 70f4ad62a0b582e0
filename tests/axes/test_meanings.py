"""Each meaning, evaluated by its labels alone, does what numpy does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from onebyone.axes import meanings
from onebyone.axes import meanings_axis as mean
from onebyone.axes.positional import Apply, Unknown
from onebyone.axes.sizes import Size
from onebyone.identity import Geometry, Refusal

RNG = np.random.default_rng(0)


def contracted(meaning: Apply, *operands: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A contraction by its labels: positions of several labels are reshaped, then einsum."""
    sizes: dict[str, int] = {label: size.known or 0 for label, size in meaning.sizes.items()}
    letters: dict[str, int] = {}
    arguments: list[Any] = []
    for array, positions in zip(operands, meaning.operands, strict=True):
        assert positions is not None
        shape: list[int] = []
        for position, size in zip(positions, array.shape, strict=True):
            for label in position:
                if len(position) == 1:
                    sizes[label] = size
                letters.setdefault(label, len(letters))
                shape.append(sizes[label])
        labels = [letters[label] for position in positions for label in position]
        arguments += [array.reshape(shape), labels]
    result = [letters[label] for position in meaning.results[0] for label in position]
    shape = [int(np.prod([sizes[x] for x in position])) for position in meaning.results[0]]
    return np.einsum(*arguments, result).reshape(shape)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((5,), (5,)),
        ((4, 5), (5,)),
        ((5,), (5, 3)),
        ((2, 4, 5), (5, 3)),
        ((2, 4, 5), (2, 5, 3)),
    ],
)
def test_matmul(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    x, y = RNG.random(a), RNG.random(b)
    np.testing.assert_allclose(contracted(meanings.matmul(len(a), len(b)), x, y), x @ y)


def test_matmul_of_turned_factors_and_linear() -> None:
    x, y = RNG.random((5, 4)), RNG.random((3, 5))
    np.testing.assert_allclose(contracted(meanings.matmul(2, 2, (True, True)), x, y), x.T @ y.T)
    x = RNG.random((2, 6, 5))
    np.testing.assert_allclose(contracted(meanings.linear(3, 2, False), x, y), x @ y.T)


def test_einsum() -> None:
    x, y = RNG.random((2, 3, 4)), RNG.random((2, 4, 5))
    for equation in ("bij,bjk->bik", "bij,bjk", "...ij,...jk->...ki"):
        meaning = meanings.einsum(equation, [3, 3])
        assert isinstance(meaning, Apply)
        np.testing.assert_allclose(contracted(meaning, x, y), np.einsum(equation, x, y))
    for equation in ("ii,ij->j", "ij,k->k", "ij->i"):
        assert isinstance(meanings.einsum(equation, [2, 2]), Unknown)


def test_a_convolution_of_patches_in_groups() -> None:
    x, w = RNG.random((2, 4, 6)), RNG.random((6, 2, 3))
    geometry = Geometry(4, 6, (3,), (3,), ((0, 0),), (1,), groups=2, input_size=(6,))
    layer = meanings.convolution(geometry, [Size(6)], bias=False)
    assert not isinstance(layer, Refusal) and not layer.strided
    windows = x.reshape(2, 2, 2, 2, 3)
    expected = np.einsum("bgcok,gnck->bgno", windows, w.reshape(2, 3, 2, 3)).reshape(2, 6, 2)
    np.testing.assert_allclose(contracted(layer.product, x, w), expected)
    overlap = Geometry(4, 6, (3,), (1,), ((0, 0),), (1,), groups=2, input_size=(6,))
    assert isinstance(meanings.convolution(overlap, [Size(6)], bias=False), Refusal)


def test_labels() -> None:
    assert meanings.aligned([2, None, 1]) == ((("d0",), ("d1",)), None, (("d1",),))
    assert meanings.reduce("sum", 2, [-1], keep=False).results == ((("d0",),),)
    assert meanings.reduce("sum", 2, [-1], keep=True).results == ((("d0",), ("gone1",)),)
    assert meanings.along("softmax", 3, [-1]).along == ("d2",)
    assert meanings.group_norm((Size(1), Size(6), Size(4)), 4, 1e-5) is None
    pinned = meanings.pinned(mean.gather(2, 0, 1), 3)
    assert pinned.operands[2] is None and len(pinned.axis_in) == 3


def test_shapes_of_what_replaces_axes() -> None:
    shape = (Size(4), Size(1), Size(6))
    assert mean.broadcast(shape, shape) is None
    wide = mean.broadcast(shape[1:], (*shape[:1], Size(3), Size(6)))
    assert wide is not None and list(wide.sizes.values()) == [Size(4), Size(3)]
    parts = mean.split(3, 2, [Size(2), Size(4)])
    assert [len(result) for result in parts.results] == [3, 3]
    assert len(mean.split(3, 1, [Size(1)], drop=True).results[0]) == 2
    stacked = mean.concat(3, 1, 2, Size(2), stack=True)
    assert stacked.operands[0] == (("d0",), ("d2",))
    assert mean.turn("roll", shape, [2, 0], {0: 1, 2: 5}).attrs == (5, 1)
