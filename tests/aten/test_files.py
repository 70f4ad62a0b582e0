"""Programs as ``.pt2`` files, in Python and on the command line."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch

import onebyone
from onebyone.cli import run as command
from tests.aten.programs import assert_close, program, run


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    original, _, _ = program("encoder-layer")
    path = tmp_path / "model.pt2"
    torch.export.save(original, path)
    return path


def test_convert_writes_a_program(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output, report = saved.with_name("out.pt2"), saved.with_name("report.json")
    assert command(["convert", str(saved), str(output), "--report", str(report)]) == 0
    assert "structure proved" in capsys.readouterr().out
    original, args, kwargs = program("encoder-layer")
    loaded = torch.export.load(output)
    assert_close(run(loaded, *args, **kwargs), run(original, *args, **kwargs), original)
    data = json.loads(report.read_text())
    assert data["after"]["fc_layers"] == 0
    assert {weight["name"] for weight in data["weights"]} <= set(original.state_dict)
    assert sorted(p.name for p in saved.parent.iterdir()) == [
        "model.pt2",
        "out.pt2",
        "report.json",
    ]


def test_inspect_plan_and_verify(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["inspect", str(saved)]) == 0
    assert "self_attn.out_proj" in capsys.readouterr().out
    assert command(["plan", str(saved), "--to", "conv"]) == 0
    assert "layout moves: 7 -> 3" in capsys.readouterr().out
    assert command(["verify", str(saved), str(saved)]) == 0


def test_the_new_program_records_its_rules() -> None:
    original, _, _ = program("encoder-layer")
    model = onebyone.convert(original, to="conv").model
    rules = {n.meta["custom"]["onebyone.rule"] for n in model.graph.nodes if "custom" in n.meta}
    assert "fully connected to convolution" in rules


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("missing.pt2", None, "cannot be read"),
        ("empty.pt2", b"", "no program of torch.export"),
        ("text.pt2", b"hello", "no program of torch.export"),
        ("zip.pt2", b"PK\x05\x06" + bytes(18), "cannot be read by torch"),
    ],
)
def test_bad_files_give_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, data: bytes | None, says: str
) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    output = tmp_path / "out.pt2"
    assert command(["convert", str(tmp_path / name), str(output)]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert says in error
    assert not output.exists()


def test_another_kind_of_file_is_refused(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["convert", str(saved), str(saved.with_suffix(".onnx"))]) == 1
    assert "file of the same kind" in capsys.readouterr().err
    assert command(["convert", str(saved), str(saved)]) == 1
    assert "is the input itself" in capsys.readouterr().err


def test_loading_leaves_logging_alone(tmp_path: Path) -> None:
    logger = logging.getLogger("torch.export")
    before = (list(logger.handlers), logger.propagate)
    with pytest.raises(onebyone.InputError):
        onebyone.inspect(tmp_path / "missing.pt2")
    assert (list(logger.handlers), logger.propagate) == before
