"""The documents' code blocks run as they stand, and their links lead somewhere."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from onebyone import cli
from tests import zoo

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.S)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a ``model.onnx``, as the README assumes."""
    shutil.copy(zoo.path("nhwc-flatten"), tmp_path / "model.onnx")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_commands(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    assert [shlex.split(line)[1] for line in lines] == ["inspect", "convert", "convert"]
    for line in lines:
        program, *words = shlex.split(line)
        assert program == "onebyone"
        assert cli.run(words) == 0, capsys.readouterr().err
    assert {"out.onnx", "back.onnx"} <= {p.name for p in folder.iterdir()}


def test_python(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = blocks("python")
    exec(compile(block, "README.md", "exec"), {})
    assert "2 layers" in capsys.readouterr().out
    assert (folder / "npu.onnx").exists()


@pytest.mark.parametrize("page", PAGES, ids=[p.name for p in PAGES])
def test_links(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if not link.startswith("http"):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"


def test_commands_and_options_of_the_table_exist(capsys: pytest.CaptureFixture[str]) -> None:
    for command in re.findall(r"`onebyone (\w+)", README):
        assert cli.run([command, "--help"]) == 0
    assert cli.run(["convert", "--help"]) == 0
    out = capsys.readouterr().out
    for option in re.findall(r"`(--[a-z-]+)", README):
        assert option in out, option
