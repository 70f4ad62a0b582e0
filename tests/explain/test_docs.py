"""The text for those who would rather read: its figures are computed, its pictures exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from onebyone.explain.page import LANGUAGES, PARTS
from onebyone.explain.receptive import NETWORKS, padding_map

DOCS = Path(__file__).parents[2] / "docs"
NAMES = {"en": "explain.md", "zh": "explain.zh.md"}


@pytest.mark.parametrize("lang", LANGUAGES)
def test_padding_table_is_computed(lang: str):
    text = (DOCS / NAMES[lang]).read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| ([\w-]+) \| (\d+ \| \d+ \| .*) \|$", text, re.MULTILINE))
    assert list(rows) == list(NETWORKS)
    for name, row in rows.items():
        found = padding_map(name)
        numbers = list(map(int, re.findall(r"\d+", row)))
        counts = [found["equal"], found["cells"]]
        assert numbers[:2] == [found["crop"], found["extent"]]
        assert numbers[2:] == (counts if lang == "en" else counts[::-1])


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_part_has_its_picture(lang: str):
    text = (DOCS / NAMES[lang]).read_text(encoding="utf-8")
    pictures = re.findall(r"^!\[.+\]\((.+)\)$", text, re.MULTILINE)
    assert pictures == [f"explain/{lang}-{part}.png" for part in ("cover", *PARTS)]
    assert all((DOCS / picture).is_file() for picture in pictures)


def test_pictures_are_small():
    assert sum(path.stat().st_size for path in (DOCS / "explain").iterdir()) < 1_500_000
