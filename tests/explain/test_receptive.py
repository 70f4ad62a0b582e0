"""Receptive fields against brute force: dependency sets, and crops really run."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onebyone.explain.receptive import NETWORKS, Step, field, padding_map

steps = st.builds(
    Step, kernel=st.integers(1, 4), stride=st.integers(1, 3), padding=st.integers(0, 2)
)


def chain_runs(crop: int, chain: tuple[Step, ...]) -> bool:
    size = crop
    for step in chain:
        size = (size + 2 * step.padding - step.kernel) // step.stride + 1
        if size < 1:
            return False
    return True


@given(crop=st.integers(4, 24), chain=st.lists(steps, min_size=1, max_size=4).map(tuple))
def test_span_is_the_set_of_pixels_a_cell_depends_on(crop: int, chain: tuple[Step, ...]):
    # A cell is the set of pixels it reads; padding reads pixels outside [0, crop).
    cells: dict[int, set[int]] = {i: {i} for i in range(-200, crop + 200)}
    size = crop
    for step in chain:
        padded = size + 2 * step.padding
        if padded < step.kernel:
            with pytest.raises(ValueError, match="exceeds"):
                field(crop, chain)
            return
        size = (padded - step.kernel) // step.stride + 1
        cells = {
            i: set().union(
                *(cells.get(i * step.stride - step.padding + j, {-999}) for j in range(step.kernel))
            )
            for i in range(-60, size + 60)
        }
    reach = field(crop, chain)
    assert reach.size == size
    for i in range(size):
        begin, end = reach.span(i)
        assert (min(cells[i]), max(cells[i]) + 1) == (begin, end)


@pytest.mark.parametrize("seed", range(20))
def test_cells_inside_are_those_that_agree_with_a_run_over_a_larger_image(seed: int):
    rng = np.random.default_rng(seed)
    chain = tuple(
        Step(int(rng.integers(1, 5)), int(rng.integers(1, 3)), int(rng.integers(0, 3)))
        for _ in range(3)
    )
    crop = 26
    reach = field(crop, chain)
    weights = [rng.standard_normal(step.kernel) for step in chain]
    # A margin that is a multiple of the total stride, so that cells line up.
    margin = reach.jump * 40
    image = rng.standard_normal(crop + 2 * margin)

    def run(signal: np.ndarray) -> np.ndarray:
        for step, weight in zip(chain, weights, strict=True):
            padded = np.pad(signal, step.padding)
            windows = np.lib.stride_tricks.sliding_window_view(padded, step.kernel)
            signal = windows[:: step.stride] @ weight
        return signal

    alone, within = run(image[margin : margin + crop]), run(image)
    shift = margin // reach.jump
    agree = np.isclose(alone, within[shift : shift + reach.size], rtol=1e-9, atol=1e-12)
    assert agree.tolist() == reach.inside()


@pytest.mark.parametrize(
    ("name", "equal", "cells", "extent"),
    [
        ("VGG-16", 1, 49, 212),
        ("CaffeNet", 4, 36, 195),
        ("ResNet-18", 0, 49, 435),
        ("ResNet-50", 0, 49, 427),
    ],
)
def test_networks(name: str, equal: int, cells: int, extent: int):
    found = padding_map(name)
    assert (found["equal"], found["cells"], found["extent"]) == (equal, cells, extent)


def test_networks_run():
    assert all(chain_runs(crop, chain) for crop, chain in NETWORKS.values())
