"""Checkpoints go from one form to another and back, byte for byte, or are refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import onebyone
from onebyone.errors import InputError, OutputError
from onebyone.modules import safefile
from tests.torch.nets import build

Swap = Callable[..., nn.Module]
SWAPS: dict[str, Swap] = {"linear": onebyone.to_linear, "conv": onebyone.to_conv}


def mixed() -> nn.Sequential:
    """A network with every kind of weight map, a square one among them."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 2, stride=2),
        nn.BatchNorm2d(8),
        nn.Conv2d(8, 8, 1, groups=2, bias=False),
        nn.ConvTranspose2d(8, 8, 1),
        nn.ConvTranspose2d(8, 4, 2, stride=2),
        nn.Conv2d(4, 4, 3, padding=1),
        nn.Flatten(),
        nn.Linear(4 * 64, 10),
    )


def state_of(model: nn.Module) -> dict[str, Tensor]:
    return {k: v.detach().clone() for k, v in model.state_dict().items()}


def equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert list(a) == list(b)
    for key in a:
        assert a[key].dtype == b[key].dtype
        assert torch.equal(a[key], b[key]), key


@pytest.mark.parametrize("to", SWAPS)
@pytest.mark.parametrize("name", ["mixed", "vit", "gpt2", "segformer"])
def test_state_dict_there_and_back(name: str, to: str) -> None:
    model = mixed() if name == "mixed" else build(name)[0]
    swapped = SWAPS[to](model)
    state = {k: v.clone() for k, v in model.state_dict().items()}
    if name == "gpt2":
        state["lm_head.weight"] = state["transformer.wte.weight"]
    there = onebyone.convert_checkpoint(state, like=swapped)
    own = dict(swapped.named_parameters()) | dict(swapped.named_buffers())
    assert set(own) <= set(there)
    assert all(there[key].shape == tensor.shape for key, tensor in own.items())
    assert all(torch.equal(there[key], tensor) for key, tensor in own.items())
    back = onebyone.convert_checkpoint(there, like=model)
    equal(state, back)
    # Both forms load into the swapped model; the converted one really has other names.
    assert any(k.endswith((".linear.weight", ".conv.weight")) for k in there)
    fresh = SWAPS[to](mixed() if name == "mixed" else build(name)[0])
    with torch.no_grad():
        for parameter in fresh.parameters():
            parameter.zero_()
    fresh.load_state_dict(there)
    equal(state, dict(fresh.state_dict()))
    if name == "gpt2":
        assert back["lm_head.weight"].data_ptr() == back["transformer.wte.weight"].data_ptr()


@pytest.mark.parametrize("to", SWAPS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_safetensors_there_and_back_is_the_same_file(
    tmp_path: Path, to: str, dtype: torch.dtype
) -> None:
    model = mixed().to(dtype)
    swapped = SWAPS[to](model)
    first, there, back = (tmp_path / f"{n}.safetensors" for n in ("first", "there", "back"))
    metadata = {"format": "pt", "tied": "0.weight", "größe": "1"}
    save_file(state_of(model), first, metadata)
    onebyone.convert_checkpoint(first, there, like=swapped)
    onebyone.convert_checkpoint(str(there), str(back), like=model)
    assert back.read_bytes() == first.read_bytes()
    assert there.read_bytes() != first.read_bytes()
    with safe_open(there, "pt") as file:
        renamed = "0.linear.weight" if to == "linear" else "0.weight"
        assert file.metadata() == {**metadata, "tied": renamed}
    loaded = load_file(there)
    own = dict(swapped.named_parameters()) | dict(swapped.named_buffers())
    assert set(loaded) == set(own)
    assert all(torch.equal(loaded[key], tensor) for key, tensor in own.items())
    equal(
        dict(sorted(loaded.items())),
        dict(sorted(onebyone.convert_checkpoint(first, like=swapped).items())),
    )


def sharded(folder: Path, model: nn.Module) -> Path:
    """Write a checkpoint in three shards, as transformers does."""
    folder.mkdir()
    state = state_of(model)
    weight_map = {}
    for i in range(3):
        name = f"model-{i + 1:05d}-of-00003.safetensors"
        part = dict(list(state.items())[i::3])
        save_file(part, folder / name, {"format": "pt"})
        weight_map |= dict.fromkeys(part, name)
    total = sum(t.numel() * t.element_size() for t in state.values())
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps(index, indent=2) + "\n")
    return path


def test_shards_there_and_back_are_the_same_files(tmp_path: Path) -> None:
    model = mixed()
    swapped = onebyone.to_linear(model)
    source = sharded(tmp_path / "a", model)
    for folder in ("b", "c"):
        (tmp_path / folder).mkdir()
    there = tmp_path / "b" / source.name
    back = tmp_path / "c" / source.name
    onebyone.convert_checkpoint(source, there, like=swapped)
    onebyone.convert_checkpoint(there, back, like=model)
    names = sorted(path.name for path in source.parent.iterdir())
    assert sorted(path.name for path in back.parent.iterdir()) == names
    for name in names:
        assert (back.parent / name).read_bytes() == (source.parent / name).read_bytes()
    weight_map = json.loads(there.read_text())["weight_map"]
    own = dict(swapped.named_parameters()) | dict(swapped.named_buffers())
    assert set(weight_map) == set(own)
    for key, name in weight_map.items():
        assert torch.equal(load_file(there.parent / name)[key], own[key])
    with pytest.raises(OutputError, match="another directory"):
        onebyone.convert_checkpoint(source, source.parent / "x.index.json", like=swapped)


@pytest.mark.parametrize("zipped", [True, False])
def test_torch_file_keeps_tied_names(tmp_path: Path, zipped: bool) -> None:
    model, _ = build("gpt2")
    swapped = onebyone.to_linear(model)
    first, there, back = (tmp_path / f"{n}.pt" for n in ("first", "there", "back"))
    torch.save(model.state_dict(), first, _use_new_zipfile_serialization=zipped)
    onebyone.convert_checkpoint(first, there, like=swapped)
    onebyone.convert_checkpoint(there, back, like=model)
    state = torch.load(back, weights_only=True)
    equal(dict(model.state_dict()), dict(state))
    assert state["lm_head.weight"].data_ptr() == state["transformer.wte.weight"].data_ptr()
    swapped.load_state_dict(torch.load(there, weights_only=True))
    safe = tmp_path / "x.safetensors"
    onebyone.convert_checkpoint(first, safe, like=swapped)
    converted = load_file(safe)
    assert all(torch.equal(converted[k], v) for k, v in swapped.named_parameters())


def test_tied_names_on_one_memory_stay_so_where_the_map_copies() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.ConvTranspose2d(4, 4, 2, 2)
            self.b = nn.ConvTranspose2d(4, 4, 2, 2)
            self.b.weight = self.a.weight

    model = Tied()
    swapped = onebyone.to_linear(model)
    there = onebyone.convert_checkpoint(model.state_dict(), like=swapped)
    assert there["a.linear.weight"].data_ptr() == there["b.linear.weight"].data_ptr()
    # One of two tied names is enough, as in the files that transformers writes.
    del there["b.linear.weight"]
    assert "b.weight" not in onebyone.convert_checkpoint(there, like=model)


def test_hand_written_linear_and_convolution() -> None:
    """A project that writes the patch embedding as nn.Linear, under the same name."""

    class Model(nn.Module):
        def __init__(self, linear: bool) -> None:
            super().__init__()
            self.proj = nn.Linear(48, 8) if linear else nn.Conv3d(3, 8, (1, 4, 4), (1, 4, 4))
            self.mix = nn.Linear(8, 8) if linear else nn.Conv1d(8, 8, 1)

    conv, linear = Model(False), Model(True)
    state = onebyone.convert_checkpoint(conv.state_dict(), like=linear)
    linear.load_state_dict(state)
    x = torch.randn(2, 3, 1, 4, 4)
    assert torch.allclose(linear.proj(x.flatten(1)), conv.proj(x).flatten(1), atol=1e-5)
    equal(dict(conv.state_dict()), onebyone.convert_checkpoint(state, like=conv))
    equal(
        onebyone.convert_checkpoint(state, like=onebyone.to_linear(conv)),
        onebyone.convert_checkpoint(conv.state_dict(), like=onebyone.to_linear(conv)),
    )


def test_square_weight_of_gpt2_is_transposed() -> None:
    """Its shape does not show that: only the module does."""
    from transformers.pytorch_utils import Conv1D

    model = nn.Sequential(Conv1D(4, 4))
    state = model.state_dict()
    there = onebyone.convert_checkpoint(state, like=onebyone.to_linear(model))
    assert torch.equal(there["0.linear.weight"], state["0.weight"].T)
    assert not torch.equal(there["0.linear.weight"], state["0.weight"])
    equal(dict(state), onebyone.convert_checkpoint(there, like=model))


def test_everything_that_does_not_fit_is_named() -> None:
    model = mixed()
    state = state_of(model)
    state["extra.weight"] = torch.ones(2)
    state["0.weight"] = torch.ones(8, 2, 2, 3)
    state["4.weight"] = torch.ones(16, 8)
    del state["7.bias"], state["1.weight"]
    state["3.linear.weight"] = state["3.weight"].flatten(1).T
    with pytest.raises(InputError) as caught:
        onebyone.convert_checkpoint(state, like=onebyone.to_linear(model))
    message = str(caught.value)
    for part in (
        "not in the model: extra.weight",
        "not in the checkpoint: 1.weight, 7.bias",
        "0.weight is (8, 2, 2, 3), not (8, 3, 2, 2)",
        "4.weight is (16, 8), not (8, 4, 2, 2)",
        "3.weight and 3.linear.weight",
    ):
        assert part in message
    assert "\n" not in message


def test_model_on_the_meta_device_is_enough(tmp_path: Path) -> None:
    model = mixed()
    with torch.device("meta"):
        like = onebyone.to_linear(mixed())
    equal(
        onebyone.convert_checkpoint(model.state_dict(), like=like),
        onebyone.convert_checkpoint(model.state_dict(), like=onebyone.to_linear(model)),
    )


def bad_files(folder: Path) -> dict[str, tuple[Path, str]]:
    """Files that cannot be read, with a word of the message."""
    save_file({"0.weight": torch.ones(2, 2)}, folder / "ok.safetensors")
    data = (folder / "ok.safetensors").read_bytes()
    (folder / "cut.safetensors").write_bytes(data[:-4])
    (folder / "text.safetensors").write_text("hello, this is text")
    (folder / "none.safetensors").write_bytes(b"")
    (folder / "text.pt").write_text("hello")
    (folder / "folder.pt").mkdir()
    torch.save(mixed(), folder / "module.pt")
    torch.save({"epoch": 3, "state_dict": {}}, folder / "nested.pt")
    torch.save([torch.ones(1)], folder / "list.pt")
    (folder / "a.index.json").write_text("[]")
    for letter, key, shard in (
        ("b", "0.weight", "gone.safetensors"),
        ("c", "0.weight", "../x.safetensors"),
        ("d", "1.weight", "ok.safetensors"),
    ):
        index = json.dumps({"weight_map": {key: shard}})
        (folder / f"{letter}.index.json").write_text(index)
    (folder / "model.onnx").write_text("")
    words = {
        "cut.safetensors": "no readable safetensors",
        "text.safetensors": "no readable safetensors",
        "none.safetensors": "no readable safetensors",
        "missing.safetensors": "does not exist",
        "folder.pt": "is a directory",
        "text.pt": "weights_only=True",
        "module.pt": "weights_only=True",
        "nested.pt": "flat state dict",
        "list.pt": "holds a list",
        "a.index.json": "no index",
        "b.index.json": "no readable safetensors",
        "c.index.json": "outside its directory",
        "d.index.json": "does not say what its shards hold",
        "model.onnx": "a checkpoint ends in",
    }
    return {name: (folder / name, word) for name, word in words.items()}


def test_bad_files_give_one_line_and_write_nothing(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    for name, (path, word) in bad_files(tmp_path).items():
        target = tmp_path / "out" / ("x.index.json" if "index" in name else f"x{path.suffix}")
        with pytest.raises(InputError, match=word) as caught:
            onebyone.convert_checkpoint(path, target, like=nn.Sequential(nn.Linear(2, 2)))
        assert "\n" not in str(caught.value)
        assert not list((tmp_path / "out").iterdir())


def test_bad_destinations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    source = tmp_path / "in.safetensors"
    save_file(state_of(model), source)
    before = source.read_bytes()
    like = onebyone.to_conv(model)
    for target, word in (
        (source, "is the source itself"),
        (tmp_path / "no" / "x.safetensors", "is no directory"),
        (tmp_path / "x.pt", "should end in .safetensors"),
    ):
        with pytest.raises(OutputError, match=word):
            onebyone.convert_checkpoint(source, target, like=like)

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(safefile, "_copy", fail)
    with pytest.raises(OutputError, match="No space left"):
        onebyone.convert_checkpoint(source, tmp_path / "x.safetensors", like=like)
    assert source.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["in.safetensors"]


def test_bytes_are_moved_whatever_the_dtype(tmp_path: Path) -> None:
    """NaN payloads and 8-bit floats pass as they are."""
    model = nn.Sequential(nn.ConvTranspose2d(4, 2, 2, 2, bias=False))
    bits = torch.arange(32, dtype=torch.uint8).view(4, 2, 2, 2)
    source, there, back = (tmp_path / f"{n}.safetensors" for n in "abc")
    save_file({"0.weight": bits.view(torch.float8_e4m3fn)}, source)
    onebyone.convert_checkpoint(source, there, like=onebyone.to_linear(model))
    assert torch.equal(load_file(there)["0.linear.weight"].view(torch.uint8), bits.flatten(1).T)
    onebyone.convert_checkpoint(there, back, like=model)
    assert back.read_bytes() == source.read_bytes()
