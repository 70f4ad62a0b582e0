"""Resizing and sampling: lengths, rounding of places, and reading at places that are data."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from onebyone.certify.modular import Field
from onebyone.certify.residues import drawn_primes
from onebyone.kernels.arithmetic import Float64
from onebyone.kernels.resizing import Resize, resize
from onebyone.kernels.sampling import Sampling, grid_sample
from tests.onnx.agreement import exit_code, parsed

X = np.random.default_rng(0).standard_normal((1, 2, 10, 7))


def test_a_length_is_that_of_the_product_in_float32() -> None:
    plan = Resize("nearest", "asymmetric", "floor", 0, False, False, "stretch", single=True)
    scale = np.array([np.float32(0.7)])
    assert resize(Float64(), X, plan, [2], scales=scale, sizes=None).shape[2] == 7


def test_a_resize_by_scales_is_one_to_the_size_that_they_give() -> None:
    by, to = (
        parsed(
            "float[1,2,10,7] x", "float[1,2,3,7] y",
            f'y = Resize <mode: string = "linear"> (x, , {given})', 20,
        )
        for given in ("s", ", n")
    )  # fmt: skip
    by.graph.initializer.add(name="s", data_type=1, dims=[4], float_data=[1, 1, 0.3, 1])
    to.graph.initializer.add(name="n", data_type=7, dims=[4], int64_data=[1, 2, 3, 7])
    assert exit_code(by, to) == 0


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("corners", [False, True])
def test_samples_are_those_of_torch(mode: str, padding: str, corners: bool) -> None:
    grid = np.random.default_rng(1).uniform(-1.4, 1.4, (1, 3, 5, 2))
    got = grid_sample(Float64(), X, grid, Sampling(mode, padding, corners))
    torch_mode = {"linear": "bilinear", "cubic": "bicubic"}.get(mode, mode)
    want = torch.nn.functional.grid_sample(
        torch.from_numpy(X), torch.from_numpy(grid), torch_mode, padding, corners
    )
    assert np.allclose(got, want.numpy(), rtol=1e-12, atol=1e-12)


def test_an_image_and_places_that_are_data_give_a_value_of_their_own() -> None:
    rng = np.random.default_rng(2)
    ar = Field(next(drawn_primes(0)))
    image, places = ar.random((1, 2, 4, 5), rng), ar.random((1, 3, 2, 2), rng)
    plan = Sampling("linear", "zeros", False)
    first = grid_sample(ar, image, places, plan).residue
    assert np.array_equal(first, grid_sample(ar, image, places, plan).residue)
    assert first.shape == (1, 2, 3, 2)
    other = grid_sample(ar, image, places, Sampling("linear", "zeros", True)).residue
    assert not np.array_equal(first, other)
    channels = grid_sample(ar, ar.move(lambda a: a[:, ::-1], image), places, plan).residue
    assert np.array_equal(first[:, ::-1], channels)
