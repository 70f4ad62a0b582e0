"""A real browser for the page: Debian's Chromium under Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from onebyone.explain.data import page_data
from onebyone.explain.page import render

ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-background-networking "
    "--disable-component-update --disable-sync --no-first-run"
).split()
NAMES = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str | None:
    """Where Chromium is: $CHROMIUM, or one of its usual names on the path."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="no browser tests: pip install playwright"
    )
    path = chromium()
    if path is None:
        pytest.skip("no browser tests: apt-get install chromium, or set CHROMIUM to a path")
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield found
        found.close()


@pytest.fixture(scope="session")
def data() -> dict[str, Any]:
    return page_data()


@pytest.fixture(scope="session")
def html(tmp_path_factory: pytest.TempPathFactory, data: dict[str, Any]) -> Path:
    path = tmp_path_factory.mktemp("explain") / "page.html"
    path.write_text(render(data, "en"), encoding="utf-8")
    return path


@pytest.fixture
def open_page(browser: Any, html: Path) -> Iterator[Callable[..., Any]]:
    """Open the page: ``open_page(width=1280, lang="en", theme="light", file=html)``.

    The page carries ``complaints`` (errors and warnings) and ``requests`` (other than itself).
    """
    contexts: list[Any] = []

    def open_(width: int = 1280, lang: str = "en", theme: str = "light", file: Path = html) -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": 844}, color_scheme=theme, reduced_motion="reduce"
        )
        contexts.append(context)
        page = context.new_page()
        page.complaints, page.requests = [], []
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("request", lambda request: page.requests.append(request.url))
        page.goto(file.as_uri())
        page.wait_for_selector("html[data-ready]")
        if lang != "en":
            page.click(f"[data-switch=lang] button[value={lang}]")
        page.requests.remove(file.as_uri())
        return page

    yield open_
    for context in contexts:
        context.close()
