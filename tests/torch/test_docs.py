"""The code blocks of docs/torch.md run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest


def test_blocks_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = Path(__file__).parents[2] / "docs" / "torch.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 3
    monkeypatch.chdir(tmp_path)
    exec("\n".join(blocks), {})
    assert "windows read zeros" in capsys.readouterr().out
