"""What is left alone, each with its reason; and what torchao's swap gets wrong."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

import onebyone
from onebyone.errors import InputError


class OwnForward(nn.Conv2d):
    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(input) * 2


class OnlyANewName(nn.Conv2d):
    pass


def patched() -> nn.Module:
    layer = nn.Conv2d(3, 4, 1)
    layer.forward = lambda x: x
    return layer


def with_gradient_hook() -> nn.Module:
    layer = nn.Conv2d(3, 4, 1)
    layer.weight.register_hook(lambda grad: grad)
    return layer


def with_scale() -> nn.Module:
    layer = nn.Conv2d(3, 4, 1)
    layer.scale = nn.Parameter(torch.ones(4))
    return layer


def channels_last_patch() -> nn.Module:
    return nn.Conv2d(3, 4, 2, stride=2).to(memory_format=torch.channels_last)


REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "overlap": (lambda: nn.Conv2d(3, 4, 3), "stride 1 < kernel 3: windows overlap"),
    "gaps": (lambda: nn.Conv1d(3, 4, 2, stride=3), "windows leave gaps"),
    "padding": (lambda: nn.Conv2d(3, 4, 1, padding=1), "padding (1, 1)"),
    "same": (lambda: nn.Conv2d(3, 4, 3, padding="same"), "padding (1, 1)"),
    "reflect": (lambda: nn.Conv2d(3, 4, 1, padding=1, padding_mode="reflect"), "padding"),
    "dilation": (lambda: nn.Conv2d(3, 4, 2, stride=2, dilation=2), "windows interleave"),
    "transposed overlap": (lambda: nn.ConvTranspose2d(3, 4, 3, stride=2), "windows overlap"),
    "transposed gaps": (lambda: nn.ConvTranspose2d(3, 4, 1, stride=2), "the output has gaps"),
    "output padding": (
        lambda: nn.ConvTranspose2d(3, 4, 2, stride=2, output_padding=1),
        "output padding",
    ),
    "transposed groups": (lambda: nn.ConvTranspose2d(4, 4, 2, 2, groups=2), "without a copy"),
    "channels-last weight": (channels_last_patch, "channels-last"),
    "lazy": (lambda: nn.LazyConv2d(4, 1), "lazy"),
    "parametrized": (lambda: parametrizations.weight_norm(nn.Conv2d(3, 4, 1)), "parametrized"),
    "spectral": (lambda: parametrizations.spectral_norm(nn.Conv2d(3, 4, 1)), "parametrized"),
    "old weight norm": (lambda: weight_norm(nn.Conv2d(3, 4, 1)), "computed by a hook"),
    "old spectral norm": (lambda: spectral_norm(nn.Conv2d(3, 4, 1)), "computed by a hook"),
    "pruned": (lambda: prune.l1_unstructured(nn.Conv2d(3, 4, 1), "weight", 0.5), "hook"),
    "own forward": (lambda: OwnForward(3, 4, 1), "computes its own forward"),
    "patched forward": (patched, "replaced on the instance"),
    "gradient hook": (with_gradient_hook, "gradient hooks"),
    "parameter beside": (with_scale, "beside weight and bias"),
    "empty": (lambda: nn.Conv2d(3, 0, 1), "no elements"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", list(REFUSED))
def test_refused_with_its_reason(name: str) -> None:
    make, reason = REFUSED[name]
    model = nn.Sequential(nn.Identity(), make())
    swapped = onebyone.to_linear(model, inplace=True)
    assert swapped is model
    assert type(swapped[1]) is not nn.Linear
    assert not any(isinstance(module, nn.Linear) for module in swapped.modules())
    (row,) = onebyone.layers(swapped)
    assert row.name == "1"
    assert not row.swapped
    assert reason in (row.reason or "")
    assert reason in str(row)


def test_lazy_layers_are_swapped_once_they_know_their_shape() -> None:
    model = nn.Sequential(nn.LazyConv2d(4, 1))
    copied = onebyone.to_linear(model)
    x = torch.randn(2, 3, 5, 5)
    copied(x)  # the copy has a weight of its own to be made
    y = model(x)
    assert torch.allclose(onebyone.to_linear(model)(x), y, atol=1e-6)


def test_subclass_without_a_forward_of_its_own_is_swapped_and_comes_back() -> None:
    layer = OnlyANewName(3, 4, 1)
    swapped = onebyone.to_linear(layer)
    assert type(swapped.linear) is nn.Linear
    assert type(onebyone.to_conv(swapped)) is OnlyANewName


def test_attention_reads_the_weight_of_its_projection_without_calling_it() -> None:
    model = nn.MultiheadAttention(8, 2, batch_first=True)
    swapped = onebyone.to_conv(model)
    assert type(swapped.out_proj) is type(model.out_proj)
    (row,) = onebyone.layers(model)
    assert "nn.MultiheadAttention" in (row.reason or "")


def test_layer_kept_outside_the_module_tree() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(3, 4, 1)
            self.kept = [self.layer]

    model = Model()
    assert type(onebyone.to_linear(model).layer) is nn.Conv2d
    assert "Model.kept" in (onebyone.layers(model)[0].reason or "")


def test_quantized_modules_are_listed() -> None:
    model = nn.Sequential(torch.ao.nn.quantized.dynamic.Linear(4, 4), nn.Linear(4, 4))
    rows = onebyone.layers(model)
    assert [row.name for row in rows] == ["0", "1"]
    assert "quantized" in (rows[0].reason or "")
    swapped = onebyone.to_conv(model)
    assert type(swapped[0]) is type(model[0])
    assert onebyone.layers(swapped)[1].swapped


@pytest.mark.parametrize("stride", [2, 3])
def test_stride(stride: int) -> None:
    """torchao's swap drops the stride: another output shape."""
    layer, x = nn.Conv2d(3, 4, 1, stride=stride), torch.randn(2, 3, 7, 8)
    assert torch.allclose(onebyone.to_linear(layer)(x), layer(x), atol=1e-6)


def test_padding() -> None:
    """torchao's swap drops the padding; here the layer stays."""
    model, x = nn.Sequential(nn.Conv2d(3, 4, 1, padding=1)), torch.randn(2, 3, 7, 8)
    assert torch.equal(onebyone.to_linear(model)(x), model(x))


def test_groups() -> None:
    """torchao's swap crashes on groups."""
    layer, x = nn.Conv2d(4, 6, 1, groups=2), torch.randn(2, 4, 7, 8)
    swapped = onebyone.to_linear(layer)
    assert torch.allclose(swapped(x), layer(x), atol=1e-6)
    # The child as a whole, as a quantizer's would be called, gives the same.
    swapped.linear.register_forward_hook(lambda *_: None)
    assert not swapped.is_plain
    assert torch.allclose(swapped(x), layer(x), atol=1e-6)


def test_root_layer() -> None:
    """torchao's swap never swaps a bare layer."""
    layer = nn.Conv2d(4, 6, 1)
    assert type(onebyone.to_linear(layer).linear) is nn.Linear
    assert type(onebyone.to_linear(layer, inplace=True).linear) is nn.Linear


@pytest.mark.parametrize("swap", [onebyone.to_linear, onebyone.to_conv, onebyone.layers])
def test_no_module(swap: Callable[..., object]) -> None:
    with pytest.raises(InputError, match=r"model is a dict: pass a torch\.nn\.Module"):
        swap({"weight": torch.ones(1)})


def test_model_that_cannot_be_copied() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1))
    model.lock = __import__("threading").Lock()
    with pytest.raises(InputError, match="pass inplace=True"):
        onebyone.to_linear(model)
    assert type(onebyone.to_linear(model, inplace=True)[0].linear) is nn.Linear
