"""Tools that see only `nn.Linear` reach the layers that were convolutions."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import onebyone
from tests.torch.checks import outputs
from tests.torch.nets import build


def unet_block() -> nn.Sequential:
    """Two 1x1 convolutions, a patch embedding, grouped and transposed ones, and one Linear."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 64, 4, stride=4),
        nn.ReLU(),
        nn.Conv2d(64, 64, 1),
        nn.Conv2d(64, 64, 1, groups=2),
        nn.ConvTranspose2d(64, 32, 2, stride=2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 8),
    ).eval()


@pytest.mark.filterwarnings("ignore")
def test_torchao_quantizes_the_layers_it_missed() -> None:
    torchao = pytest.importorskip("torchao.quantization", reason="needs torchao")
    model, x = unet_block(), torch.randn(2, 3, 16, 16)
    swapped = copy.deepcopy(onebyone.to_linear(model))

    def quantized(network: nn.Module) -> int:
        torchao.quantize_(network, torchao.Int8WeightOnlyConfig())
        return sum(
            type(getattr(module, "weight", None)) not in (nn.Parameter, type(None))
            for module in network.modules()
            if type(module) is nn.Linear
        )

    assert quantized(copy.deepcopy(model)) == 1
    assert quantized(swapped) == 5
    with torch.no_grad():
        truth, y = model(x), swapped(x)
    # int8 weights: each row is rounded to 1/254 of its range, five layers deep.
    assert 0 < (truth - y).abs().max() <= 5 / 127 * truth.abs().max()
    assert all("quantized" in (row.reason or "") for row in onebyone.layers(swapped)[:4])
    # Its own state dict still goes round.
    copy.deepcopy(swapped).load_state_dict(swapped.state_dict())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["qwen2vl_vision", "vit", "convnext"])
def test_quantized_models_run_whole(name: str) -> None:
    """Parents read `weight.dtype` of the layers that were quantized."""
    torchao = pytest.importorskip("torchao.quantization", reason="needs torchao")
    model, inputs = build(name)
    swapped = copy.deepcopy(onebyone.to_linear(model))
    torchao.quantize_(swapped, torchao.Int8WeightOnlyConfig())
    with torch.no_grad():
        y, z = outputs(model, inputs), outputs(swapped, inputs)
    assert 0 < (y - z).abs().max() <= 0.2 * y.abs().max()


@pytest.mark.filterwarnings("ignore")
def test_lora_reaches_the_layers_it_missed() -> None:
    peft = pytest.importorskip("peft", reason="needs peft")
    model, x = unet_block(), torch.randn(2, 3, 16, 16)

    def adapted(network: nn.Module) -> nn.Module:
        names = [name for name, m in network.named_modules() if type(m) is nn.Linear]
        config = peft.LoraConfig(r=2, target_modules=names, init_lora_weights=False)
        return peft.get_peft_model(copy.deepcopy(network), config)

    def count(network: nn.Module) -> int:
        return sum(isinstance(module, peft.tuners.lora.Linear) for module in network.modules())

    assert count(adapted(model)) == 1
    lora = adapted(onebyone.to_linear(model))
    assert count(lora) == 5
    y = lora(x)
    assert (y - model(x)).abs().max() > 1e-3
    y.sum().backward()
    trained = [name for name, p in lora.named_parameters() if p.grad is not None]
    assert len(trained) == 10
    with lora.disable_adapter():
        assert torch.allclose(lora(x), model(x), atol=1e-5)
    merged = lora.merge_and_unload()
    assert torch.allclose(merged(x), y, atol=1e-4)
    # Merged, the layers are plain again: the checkpoint is one for the original model.
    model.load_state_dict(merged.state_dict())
    assert torch.allclose(model(x), y, atol=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_lora_on_gpt2_whose_conv1d_became_linear() -> None:
    peft = pytest.importorskip("peft", reason="needs peft")
    model, inputs = build("gpt2")
    swapped = onebyone.to_linear(model)
    config = peft.LoraConfig(r=2, target_modules=r".*c_attn\.linear")
    lora = peft.get_peft_model(copy.deepcopy(swapped), config)
    assert sum(isinstance(m, peft.tuners.lora.Linear) for m in lora.modules()) == 2
    assert torch.allclose(lora(**inputs).logits, model(**inputs).logits, atol=1e-5)
