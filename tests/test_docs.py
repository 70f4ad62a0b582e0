"""The documents' code blocks run as they stand, and their links lead somewhere."""

from __future__ import annotations

import re
import shlex
import shutil
import webbrowser
from pathlib import Path

import pytest

from onebyone import cli
from tests import zoo

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.S | re.M)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a ``model.onnx``, as the README assumes."""
    shutil.copy(zoo.path("nhwc-flatten"), tmp_path / "model.onnx")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_commands(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: opened.append(url) or True)
    lines = [line for block in blocks("") for line in block.splitlines()]
    commands = [shlex.split(line, comments=True) for line in lines if line.startswith("onebyone")]
    assert len(commands) >= 5
    for _, *words in commands:
        assert cli.run(words) == 0, capsys.readouterr().err
    assert (folder / "out.onnx").exists()
    assert len(opened) == 1
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for line in lines:
        if line.startswith("make "):
            assert f"\n{line.split()[1]}:" in makefile


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_python(number: int, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    block = blocks("python")[number]
    exec(compile(block, "README.md", "exec"), {})
    # What a comment behind a print promises is what it prints.
    promised = re.findall(r"^print\(.*\)\s+# (.*)$", block, re.M)
    printed = capsys.readouterr().out.splitlines()
    assert all(line in printed for line in promised)


@pytest.mark.parametrize("page", PAGES, ids=[p.name for p in PAGES])
def test_links(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if not link.startswith("http"):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"


def test_named_commands_and_options_exist(capsys: pytest.CaptureFixture[str]) -> None:
    for command in re.findall(r"`onebyone (\w+)", README):
        assert cli.run([command, "--help"]) == 0
    assert cli.run(["convert", "--help"]) == 0
    out = capsys.readouterr().out
    for option in re.findall(r"`(--[a-z-]+)", README):
        assert option in out, option
