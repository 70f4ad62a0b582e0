"""What a swap keeps: memory, ties, flags, hooks, buffers, and the interface of each layer."""

from __future__ import annotations

import copy
import io
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import onebyone
from tests.torch.checks import same_order
from tests.torch.nets import build, mlpconv


def test_memory_is_shared_and_the_original_untouched() -> None:
    model, inputs = build("mlpconv")
    before = {name: id(module) for name, module in model.named_modules()}
    swapped = onebyone.to_linear(model)
    assert {name: id(module) for name, module in model.named_modules()} == before
    same_order(model, swapped)
    assert not {id(p) for p in model.parameters()} & {id(p) for p in swapped.parameters()}
    with torch.no_grad():
        model[2].weight.mul_(2)
        assert torch.equal(swapped[2].weight, model[2].weight)
        assert torch.allclose(swapped(inputs["x"]), model(inputs["x"]), atol=1e-5)


def test_inplace_returns_the_model_itself() -> None:
    model = mlpconv()
    parameters = [p.data_ptr() for p in model.parameters()]
    assert onebyone.to_linear(model, inplace=True) is model
    assert [p.data_ptr() for p in model.parameters()] == parameters


def test_filter_sees_module_and_name() -> None:
    seen: list[tuple[str, str]] = []

    def choose(module: nn.Module, name: str) -> bool:
        seen.append((type(module).__name__, name))
        return name == "2"

    swapped = onebyone.to_linear(mlpconv(), filter_fn=choose)
    assert ("Conv2d", "4") in seen
    assert [row.name for row in onebyone.layers(swapped) if row.swapped] == ["2"]


def test_shared_module_and_tied_weight_stay_shared() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Conv2d(4, 4, 1)
            self.again = self.a
            self.tied = nn.Conv2d(4, 4, 1, bias=False)
            self.tied.weight = self.a.weight

    model = Model()
    for swapped in (onebyone.to_linear(model), onebyone.to_conv(onebyone.to_linear(model))):
        assert swapped.a is swapped.again
        names = [name for name, _ in swapped.named_parameters()]
        assert len(names) == 2
        assert swapped.tied.weight.data_ptr() == model.a.weight.data_ptr()
    swapped = onebyone.to_linear(model)
    assert swapped.tied.linear.weight is swapped.a.linear.weight
    assert list(swapped.state_dict()) == list(model.state_dict())


@pytest.mark.parametrize("name", ["gpt2", "qwen2"])
def test_head_tied_to_an_embedding_stays_tied(name: str) -> None:
    model, _ = build(name)
    swapped = onebyone.to_conv(model)
    assert swapped.lm_head.weight is swapped.get_input_embeddings().weight
    (row,) = [row for row in onebyone.layers(model) if row.name == "lm_head"]
    assert "tied to" in (row.reason or "")


def test_tied_weight_of_another_form_keeps_both() -> None:
    model = nn.Sequential(nn.Conv2d(4, 6, 1), nn.Conv2d(4, 6, 1, padding=1))
    model[1].weight = model[0].weight
    swapped = onebyone.to_linear(model)
    assert swapped[0].weight is swapped[1].weight
    assert [row.swapped for row in onebyone.layers(swapped)] == [False, False]
    assert "tied to 1.weight" in (onebyone.layers(model)[0].reason or "")


def test_flags_dtype_and_mode() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1, dtype=torch.bfloat16), nn.Conv2d(4, 4, 1).eval())
    model[0].weight.requires_grad_(False)
    swapped = onebyone.to_linear(model)
    assert [p.requires_grad for p in swapped.parameters()] == [False, True, True, True]
    assert swapped[0].linear.weight.dtype == torch.bfloat16
    assert [swapped[0].training, swapped[0].linear.training] == [True, True]
    assert [swapped[1].training, swapped[1].linear.training] == [False, False]


def test_gradient_hooks_of_parameters_fire_in_the_copy() -> None:
    calls: list[str] = []
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1))
    model[0].weight.register_hook(lambda grad: calls.append("hook"))
    model[0].bias.register_post_accumulate_grad_hook(lambda p: calls.append("after"))
    model[0].bias.tag = "bias"
    swapped = onebyone.to_linear(model)
    assert swapped[0].bias.tag == "bias"
    swapped(torch.randn(1, 3, 5, 5)).sum().backward()
    assert sorted(calls) == ["after", "hook"]


def test_hooks_and_buffers() -> None:
    calls: list[str] = []
    layer = nn.Conv2d(3, 4, 1)
    layer.register_buffer("scale", torch.tensor(2.0))
    layer.register_forward_pre_hook(lambda m, args: calls.append("pre"))
    layer.register_forward_hook(lambda m, args, y: calls.append("post") or y * m.scale)
    handle = layer.register_full_backward_hook(lambda m, gi, go: calls.append(str(go[0].shape)))
    layer.weight.grad = torch.ones_like(layer.weight)
    x = torch.randn(2, 3, 5, 5, requires_grad=True)
    truth = layer(x)
    calls.clear()
    model = nn.Sequential(layer)
    swapped = onebyone.to_linear(model, inplace=True)
    y = swapped(x)
    y.sum().backward()
    assert torch.allclose(y, truth, atol=1e-5)
    assert calls == ["pre", "post", "torch.Size([2, 4, 5, 5])"]
    assert swapped[0].scale == 2
    assert list(swapped.state_dict()) == ["0.weight", "0.bias", "0.scale"]
    handle.remove()
    calls.clear()
    swapped(x).sum().backward()
    assert calls == ["pre", "post"]


def test_the_old_interface() -> None:
    class Parent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.proj = nn.Conv2d(3, 8, 4, stride=4)
            self.proj.tag = "patch"
            self.head = nn.Linear(8, 2, bias=False)

    model = Parent()
    fast, npu = onebyone.to_linear(model), onebyone.to_conv(model)
    assert fast.proj.weight.shape == (8, 3, 4, 4)
    assert torch.equal(fast.proj.weight, model.proj.weight)
    assert fast.proj.bias.data_ptr() == model.proj.bias.data_ptr()
    assert (fast.proj.in_channels, fast.proj.kernel_size, fast.proj.tag) == (3, (4, 4), "patch")
    assert (npu.head.in_features, npu.head.out_features, npu.head.bias) == (8, 2, None)
    assert npu.head.weight.shape == (2, 8)
    with torch.no_grad():
        nn.init.zeros_(fast.proj.weight)
    assert not model.proj.weight.any()


def _pickled(model: nn.Module) -> nn.Module:
    return pickle.loads(pickle.dumps(model))


def _saved(model: nn.Module) -> nn.Module:
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("again", [copy.deepcopy, _pickled, _saved])
@pytest.mark.parametrize("swap", [onebyone.to_linear, onebyone.to_conv])
def test_copies(again: Any, swap: Any) -> None:
    model, inputs = build("mlpconv")
    swapped = swap(model)
    copied = again(swapped)
    assert torch.equal(copied(inputs["x"]), swapped(inputs["x"]))
    assert list(copied.state_dict()) == list(model.state_dict())
    assert not {p.data_ptr() for p in copied.parameters()} & {
        p.data_ptr() for p in model.parameters()
    }


@pytest.mark.parametrize("swap", [onebyone.to_linear, onebyone.to_conv])
@pytest.mark.parametrize("name", ["mlpconv", "gpt2", "vit"])
@pytest.mark.parametrize("assign", [False, True])
def test_state_dicts_go_both_ways(name: str, swap: Any, assign: bool) -> None:
    model, _ = build(name)
    swapped = copy.deepcopy(swap(model))
    wanted = {k: torch.randn_like(v) for k, v in model.state_dict().items()}
    if name == "gpt2":
        wanted["lm_head.weight"] = wanted["transformer.wte.weight"]
    swapped.load_state_dict(wanted, assign=assign)
    saved = swapped.state_dict()
    assert list(saved) == list(wanted)
    for key, tensor in wanted.items():
        assert torch.equal(saved[key], tensor), key
    model.load_state_dict(saved)
    own = {**dict(swapped.named_parameters()), **dict(swapped.named_buffers())}
    swapped.load_state_dict(own, strict=name != "gpt2")


def test_a_wrong_state_dict_is_refused_as_torch_does() -> None:
    swapped = onebyone.to_linear(nn.Sequential(nn.Conv2d(3, 4, 2, stride=2)))
    good = swapped.state_dict()
    with pytest.raises(RuntimeError, match=r"size mismatch for 0.weight"):
        swapped.load_state_dict({**good, "0.weight": torch.ones(4, 12)})
    with pytest.raises(RuntimeError, match="Missing"):
        swapped.load_state_dict({"0.bias": good["0.bias"]})
    with pytest.raises(RuntimeError, match="Unexpected"):
        swapped.load_state_dict({**good, "1.weight": torch.ones(1)})


def test_moves_and_casts_like_any_module() -> None:
    swapped = onebyone.to_linear(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ConvTranspose2d(4, 2, 2, 2)))
    assert {p.dtype for p in swapped.half().parameters()} == {torch.float16}
    assert {p.device.type for p in swapped.to("meta").parameters()} == {"meta"}
    assert swapped(torch.ones(1, 3, 4, 4, device="meta", dtype=torch.half)).shape == (1, 2, 8, 8)


@pytest.mark.parametrize("swap", [onebyone.to_linear, onebyone.to_conv])
def test_transformers_saves_and_loads_a_swapped_model(tmp_path: Path, swap: Any) -> None:
    model, inputs = build("vit")
    swap(model).save_pretrained(tmp_path)
    loaded = type(model).from_pretrained(tmp_path, local_files_only=True)
    assert torch.equal(loaded(**inputs).logits, model(**inputs).logits)
