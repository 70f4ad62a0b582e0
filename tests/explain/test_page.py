"""The page in a real browser: it renders, keeps quiet, and can be used by anyone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onebyone.explain.page import LANGUAGES, MODULES, PARTS, bundle

from .conftest import unpack

SERIOUS = ("serious", "critical")


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_part_renders(open_page: Callable[..., Any], width: int, lang: str):
    page = open_page(width=width, lang=lang)
    for part in PARTS:
        stage = page.locator(f"#{lang}-{part} .stage")
        box = stage.bounding_box()
        assert box and box["height"] > 200 and box["x"] >= 0 and box["x"] + box["width"] <= width
        # Nothing sticks out of its frame.
        assert stage.evaluate("node => node.scrollWidth <= node.clientWidth"), part
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.locator(f"main[data-lang={lang}] [data-stage]").count() == len(PARTS) + 1
    assert page.locator("main:visible").count() == 1
    assert page.evaluate("document.documentElement.lang") == {"en": "en", "zh": "zh-Hans"}[lang]
    assert page.requests == [] and page.complaints == []


@pytest.mark.parametrize(
    ("lang", "theme", "width"), [("en", "light", 1280), ("zh", "dark", 1280), ("en", "dark", 390)]
)
def test_axe_finds_nothing_serious(
    open_page: Callable[..., Any], lang: str, theme: str, width: int
):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright",
        reason="no accessibility test: pip install axe-playwright-python",
    )
    page = open_page(lang=lang, theme=theme, width=width)
    response = axe.Axe().run(page).response
    assert len(response["passes"]) > 30  # it ran, over the whole page
    serious = [
        (rule["id"], [node["html"][:160] for node in rule["nodes"][:3]])
        for rule in response["violations"]
        if rule["impact"] in SERIOUS
    ]
    assert serious == []


def test_interactive_in_under_a_second(open_page: Callable[..., Any]):
    """The page stamps the milliseconds from opening to ready; the best of three is its own."""
    assert min(int(open_page().get_attribute("html", "data-ready")) for _ in range(3)) < 1000


def test_labels_of_both_languages_match(browser: Any):
    page = browser.new_page()
    labels = [f"labels{part}" for part in (*range(9), "6map")]
    keys = """
      const keys = (value) => value && typeof value === "object" && !Array.isArray(value)
        ? Object.fromEntries(Object.entries(value).map(([k, v]) => [k, keys(v)]))
        : Array.isArray(value) ? value.length : typeof value;
    """
    shapes = page.evaluate(
        f"() => {{ {bundle(MODULES[:-1])}\n{keys}\n"
        f"return [{', '.join(labels)}].map(({{en, zh}}) => [keys(en), keys(zh)]); }}"
    )
    page.close()
    assert len(shapes) == len(labels)
    for en, zh in shapes:
        assert en == zh


def test_choices_outlive_a_switch_of_language(open_page: Callable[..., Any]):
    page = open_page()
    page.locator("#en-1 [data-control=K]").fill("5")
    page.click("[data-switch=lang] button[value=zh]")
    assert page.locator("#zh-1 [data-control=K]").input_value() == "5"
    assert page.locator("#zh-1 [data-role=sums] tbody tr").count() == 5


def test_theme_and_motion_switches(open_page: Callable[..., Any]):
    page = open_page()
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(paper)
    page.click("[data-switch=theme]")
    assert page.evaluate(paper) != light
    page.click("[data-switch=theme]")
    assert page.evaluate(paper) == light
    slow = "getComputedStyle(document.documentElement).getPropertyValue('--slow').trim()"
    assert page.evaluate(slow) == "0s"  # the browser asks for reduced motion
    page.click("[data-switch=motion]")
    assert page.evaluate(slow) != "0s"


def test_print(open_page: Callable[..., Any]):
    page = open_page(theme="dark")
    page.emulate_media(media="print")
    assert page.locator(".bar").is_hidden()
    assert page.locator("#en-1 .stage").is_visible()
    ink = page.evaluate("getComputedStyle(document.body).color")
    assert ink == "rgb(0, 0, 0)"


def test_user_layer_of_3072x768(open_page: Callable[..., Any], user_page: tuple[Path, Any]):
    file, layer = user_page
    assert file.stat().st_size < 500_000
    page = open_page(file=file)
    assert "3072" in page.locator("main:visible .banner").inner_text()
    sums = page.locator("#en-1 [data-role=sums]")
    assert sums.locator("tbody tr").count() == 6
    shown = float(sums.locator(".total .num").get_attribute("data-value"))
    position = int(page.locator("#en-1 .picker i.on").get_attribute("data-pixel"))
    # Two float64 sums of 768 products in different orders, and a bias.
    w, x = unpack(layer["w"]), unpack(layer["x"])
    slack = 2 * 769 * 2.0**-53 * (np.abs(x) @ np.abs(w).T + 1).max()
    assert shown == pytest.approx(layer["y"][position][0], abs=slack)
    views = page.locator("#en-3 .panel")
    for i in range(4):
        values = (
            views.nth(i)
            .locator(".results .num")
            .evaluate_all("nodes => nodes.map((node) => Number(node.dataset.value))")
        )
        assert values == pytest.approx(layer["y"][0][:3], abs=slack)
        counts = views.nth(i).locator("[data-role=params]").inner_text()
        assert int("".join(filter(str.isdigit, counts))) == 3072 * 768
    last = page.locator("#en-2 [data-view=formula] .num.p").last
    assert float(last.get_attribute("data-value")) == pytest.approx(layer["y"][0][1], abs=slack)
    assert page.complaints == [] and page.requests == []
    assert page.evaluate("document.documentElement.scrollWidth") == 1280


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("which", ["large", "small"])
def test_user_layers_fit(
    open_page: Callable[..., Any],
    user_page: tuple[Path, Any],
    small_page: Path,
    width: int,
    which: str,
):
    page = open_page(width=width, file={"large": user_page[0], "small": small_page}[which])
    assert page.evaluate("document.documentElement.scrollWidth") == width
    for stage in page.locator("main:visible .stage").all():
        assert stage.evaluate("node => node.scrollWidth <= node.clientWidth")
    for panel in page.locator("main:visible .panel").all():
        assert panel.evaluate("node => node.scrollWidth <= node.clientWidth")
    assert page.complaints == []
