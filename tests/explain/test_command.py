"""``onebyone explain`` on the command line."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from onebyone.cli.explain import explain
from onebyone.errors import InputError

app = typer.Typer()
app.command()(explain)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    pages: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: bool(pages.append(url)) or True)
    return pages


def test_writes_and_opens(tmp_path: Path, opened: list[str]):
    page = tmp_path / "page.html"
    result = CliRunner().invoke(app, ["-o", str(page), "--lang", "zh"])
    assert result.exit_code == 0 and result.output == f"wrote {page}\n"
    assert opened == [page.as_uri()]
    assert 'data-start="zh"' in page.read_text(encoding="utf-8")


def test_no_open(tmp_path: Path, opened: list[str]):
    result = CliRunner().invoke(app, ["-o", str(tmp_path / "page.html"), "--no-open"])
    assert result.exit_code == 0 and opened == []


def test_says_where_the_page_is_when_no_browser_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(webbrowser, "open", lambda url: False)
    page = tmp_path / "page.html"
    result = CliRunner().invoke(app, ["-o", str(page)])
    assert result.exit_code == 0 and f"open {page.as_uri()} by hand" in result.output


def test_a_bad_model_is_our_error_and_nothing_is_written(tmp_path: Path, opened: list[str]):
    bad = tmp_path / "bad.onnx"
    bad.write_text("no model")
    result = CliRunner().invoke(app, [str(bad), "-o", str(tmp_path / "page.html")])
    assert isinstance(result.exception, InputError)
    assert opened == [] and not (tmp_path / "page.html").exists()
