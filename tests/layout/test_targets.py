"""Targets: the shipped ones, files, errors with their line, refusals by name and class."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import onebyone
from onebyone.errors import InputError
from onebyone.layout.find_target import SHIPPED, find_target, shipped
from onebyone.layout.target_files import parse_target
from onebyone.layout.targets import CLASSES
from onebyone.report import Report
from tests import zoo

_DOCS = Path(__file__).parents[2] / "docs" / "targets.md"


def test_shipped_targets_say_what_they_are_for() -> None:
    assert shipped() == ("conv", "conv-native-norm", "linear", "linear-strided", "onnxruntime-cpu")
    assert {find_target(name).form for name in shipped()} == {"conv", "linear", "any"}
    assert find_target("conv-native-norm").spelled_norm is None
    assert find_target("conv").spelled_norm is not None
    measured = find_target("onnxruntime-cpu")
    assert measured.conv.mac > 0
    assert measured.linear.mac > 0


def test_the_documented_file_is_read_and_every_entry_is_documented() -> None:
    text = _DOCS.read_text()
    block = re.search(r"```toml\n(.*?)```", text, re.S)
    assert block is not None
    found = parse_target(block[1], "own", "own.toml", SHIPPED)
    assert (found.name, found.form, found.refuse) == ("my-npu", "conv", ("*/lm_head/*",))
    assert found.refuse_classes == ("attention",)
    assert all(f"`{name}`" in text for name in (*CLASSES, *shipped()))


def test_a_base_is_a_start(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('base = "onnxruntime-cpu"\n[cost]\nconv.mac = 7\n')
    found, base = find_target(file), find_target("onnxruntime-cpu")
    assert found.name == "mine"
    assert found.conv.mac == 7
    assert found.conv.data == base.conv.data
    assert found.linear == base.linear


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ('form = "conv"\n\n[cost]\nmvoe = 1\n', 4, "did you mean move?"),
        ('form = "conv"\ncolour = 1\n', 2, "choose from name, base, form"),
        ('# a\nform = "conf"\n', 2, "did you mean conv?"),
        ('base = "cnv"\n', 1, "did you mean conv?"),
        ('form = "conv"\n[cost]\n\nmove = -1\n', 4, "not negative"),
        ('form = "conv"\n[cost]\nmove = true\n', 3, "not negative"),
        ('form = "conv"\n[cost]\nmove = nan\n', 3, "not negative"),
        ('form = "conv"\n[cost]\nspelled_norm = "no"\n', 3, "or false"),
        ('form = "conv"\ncost.move = "x"\n', 2, "not negative"),
        ('form = "conv"\n[cost]\nmove = 1\nconv = { mac = 1, byte = 2 }\n', 4, "choose from mac"),
        ('form = "conv"\n[cost.conv]\nmac = 1\nbyte = 2\n', 4, "choose from mac"),
        ('form = "conv"\n[cost]\nconv = 3\n', 3, "write [cost.conv]"),
        ('form = "conv"\nrefuse = 3\n', 2, "write [refuse]"),
        ('form = "conv"\n[refuse]\nclasses = ["atention"]\n', 3, "did you mean attention?"),
        ('form = "conv"\n[refuse]\nnames = "*"\n', 3, "a list such as"),
        ('form = "conv"\nname = 4\n', 2, "in quotes"),
        ('form = "conv"\nform = "conv"\n', 2, "no valid TOML"),
        ('form = "conv"\n[cost\n', 2, "no valid TOML"),
    ],
)
def test_an_error_names_the_file_the_line_and_the_cure(text: str, line: int, says: str) -> None:
    with pytest.raises(InputError) as error:
        parse_target(text, "own", "own.toml", SHIPPED)
    message = str(error.value)
    assert message.startswith(f"own.toml, line {line}: ")
    assert says in message
    assert "\n" not in message


def test_files_that_are_no_targets(tmp_path: Path) -> None:
    (tmp_path / "none.toml").write_bytes(b"\xff\xfe\0")
    (tmp_path / "empty.toml").write_text("")
    for name, says in {
        str(tmp_path): "cannot read",
        str(tmp_path / "missing.toml"): "No such file",
        str(tmp_path / "none.toml"): "no text",
        str(tmp_path / "empty.toml"): "form is missing",
        "cov": "choose from conv",
    }.items():
        with pytest.raises(InputError, match=re.escape(says)):
            find_target(name)


def _plan(model: str, target: str) -> Report:
    return onebyone.plan(zoo.path(model), target=parse_target(target, "own", "own.toml", SHIPPED))


def test_a_target_refuses_layers_by_name_and_class() -> None:
    report = _plan("vit", 'base = "conv"\n[refuse]\nclasses = ["attention"]\n')
    kept = [layer for layer in report.layers if layer.status == "kept"]
    assert len(kept) == 2 * 4
    assert all(layer.reason == "the target refuses layers of the class attention" for layer in kept)
    assert all(layer.weight_shape == (48, 48) for layer in kept)

    report = _plan("vit", 'base = "conv"\n[refuse]\nclasses = ["head", "patch"]\n')
    kept = [layer for layer in report.layers if layer.status == "kept"]
    assert [layer.case for layer in kept] == ["patch", "pointwise"]
    assert kept[1].output_shape == (2, 10)

    name = report.layers[3].name
    report = _plan("vit", f'base = "conv"\n[refuse]\nnames = ["{name}"]\n')
    assert [x.name for x in report.layers if x.status == "kept"] == [name]


@pytest.mark.parametrize("price", ["conv", "linear"])
def test_any_takes_the_cheaper_form(price: str) -> None:
    """With one form for nothing and the other dear, every layer that can take it does."""
    other = "linear" if price == "conv" else "conv"
    report = _plan("vit", f'form = "any"\n[cost]\n{other} = {{ mac = 1000 }}\n')
    wanted = "Conv" if price == "conv" else ("MatMul", "Gemm")
    assert all(layer.after.startswith(wanted) for layer in report.layers)


def test_a_margin_keeps_layers_as_they_are() -> None:
    prices = "conv = { mac = 1.0 }\nlinear = { mac = 1.02 }\n"
    same = _plan(
        "vit", f'form = "any"\n[cost]\nmove = 0\nmove_overhead = 0\nmargin = 0.1\n{prices}'
    )
    assert same.count("converted") == 0
    moved = _plan("vit", f'form = "any"\n[cost]\nmove = 0\nmove_overhead = 0\n{prices}')
    assert all(layer.after.startswith("Conv") for layer in moved.layers)


def test_the_cpu_target_moves_no_more_bytes_than_the_original() -> None:
    for name in ("bert", "vit", "swin", "convnext"):
        report = onebyone.plan(zoo.path(name), target="onnxruntime-cpu")
        assert report.bytes_after <= report.bytes_before
