"""The command for checkpoints, called as the function that the command line registers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import onebyone
from onebyone.cli.checkpoint import To, checkpoint
from onebyone.errors import InputError

MODEL = """
import torch
from torch import nn
def make():
    return nn.Sequential(nn.Conv2d(3, 4, 2, stride=2), nn.Linear(4, 5))
built = make()
number = 3
def needs(x):
    return x
def text():
    return "no module"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_model_of_checkpoint_test.py").write_text(MODEL)
    model = nn.Sequential(nn.Conv2d(3, 4, 2, stride=2), nn.Linear(4, 5))
    save_file(model.state_dict(), tmp_path / "in.safetensors")
    return tmp_path


@pytest.mark.parametrize("name", ["make", "built"])
def test_there_and_back(folder: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    source, there, back = (folder / f"{n}.safetensors" for n in ("in", "there", "back"))
    like = f"my_model_of_checkpoint_test:{name}"
    checkpoint(source, there, like, To.LINEAR)
    assert load_file(there)["0.linear.weight"].shape == (4, 12)
    checkpoint(there, back, like)
    assert back.read_bytes() == source.read_bytes()
    checkpoint(source, there, like, To.CONV)
    assert load_file(there)["1.conv.weight"].shape == (5, 4, 1, 1)
    assert "wrote" in capsys.readouterr().out


def test_a_transformers_config(folder: Path) -> None:
    from transformers import GPT2Config, GPT2Model

    model = GPT2Model(GPT2Config(vocab_size=20, n_positions=8, n_embd=8, n_layer=1, n_head=2))
    model.save_pretrained(folder / "gpt2")
    there = folder / "there.safetensors"
    for like in (folder / "gpt2", folder / "gpt2" / "config.json"):
        checkpoint(folder / "gpt2" / "model.safetensors", there, str(like), To.LINEAR)
        onebyone.to_linear(model).load_state_dict(load_file(there))
        assert "h.0.attn.c_attn.linear.weight" in load_file(there)


@pytest.mark.parametrize(
    ("like", "word"),
    [
        ("nowhere:make", "is not found"),
        ("my_model_of_checkpoint_test:nothing", "is not found"),
        ("my_model_of_checkpoint_test", "give package.module:name"),
        ("my_model_of_checkpoint_test:number", "is a int"),
        ("my_model_of_checkpoint_test:needs", "cannot be built without arguments"),
        ("my_model_of_checkpoint_test:text", "makes a str"),
        ("config.json", "names no transformers model"),
    ],
)
def test_bad_models(folder: Path, like: str, word: str) -> None:
    (folder / "config.json").write_text(json.dumps({"hidden": 3}))
    with pytest.raises(InputError, match=word) as caught:
        checkpoint(folder / "in.safetensors", folder / "out.safetensors", like)
    assert "\n" not in str(caught.value)
    assert not (folder / "out.safetensors").exists()


def test_values_of_the_model_are_not_read(folder: Path) -> None:
    like = "my_model_of_checkpoint_test:make"
    checkpoint(folder / "in.safetensors", folder / "o.safetensors", like)
    for a, b in zip(
        load_file(folder / "in.safetensors").values(),
        load_file(folder / "o.safetensors").values(),
        strict=True,
    ):
        assert torch.equal(a, b)
