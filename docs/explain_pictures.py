"""Draw the pictures of docs/explain.md from the page itself.

    python docs/explain_pictures.py

writes ``docs/explain/<language>-<part>.png``. Needs Chromium, playwright and pillow.
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

from onebyone import explain
from onebyone.explain.page import LANGUAGES, PARTS

FOLDER = Path(__file__).parent / "explain"
COLOURS = 128  # flat drawings: more colours add bytes and nothing to see


def pose(page: Any, part: str, stage: Any) -> None:
    """Show each part at work, rather than at rest."""
    if part == "2":
        stage.locator("[data-view=conv] [data-key=y0][role=img]").hover()
    elif part == "3":
        stage.locator("[data-control=size]").fill("2")
        stage.locator("[data-view='3'] [data-key=w1-20]").hover()
    elif part == "5":
        stage.locator("[data-control=order] [data-choice=HWC]").click()
        stage.locator(".map [data-key=c4]").hover()
    elif part == "6-padding":
        stage.locator("[data-cell='8']").hover()
    else:
        page.mouse.move(0, 0)


def main() -> None:
    """Write every picture, and print its size."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        raise SystemExit("no chromium: apt-get install chromium, or set CHROMIUM to its path")
    FOLDER.mkdir(exist_ok=True)
    total = 0
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        html = explain.write(Path(folder) / "page.html")
        browser = driver.chromium.launch(
            executable_path=chromium, args=["--headless", "--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(
            viewport={"width": 1280, "height": 1100},
            device_scale_factor=1.5,
            reduced_motion="reduce",
        )
        page.goto(html.as_uri())
        page.wait_for_selector("html[data-ready]")
        for lang in LANGUAGES:
            page.click(f"[data-switch=lang] button[value={lang}]")
            for part in ("cover", *PARTS):
                if part == "cover":
                    stage = page.locator(f"main[data-lang={lang}] .cover [data-stage]")
                else:
                    stage = page.locator(f"#{lang}-{part} .stage")
                    stage.scroll_into_view_if_needed()
                    pose(page, part, stage)
                page.add_style_tag(content=".bar { visibility: hidden }")
                shot = Image.open(io.BytesIO(stage.screenshot())).convert("RGB")
                page.evaluate("document.head.lastElementChild.remove()")
                path = FOLDER / f"{lang}-{part}.png"
                shot.quantize(COLOURS, kmeans=3, dither=Image.Dither.NONE).save(path, optimize=True)
                total += path.stat().st_size
                print(f"{path.name}: {shot.width}x{shot.height}, {path.stat().st_size} bytes")
        browser.close()
    print(f"total: {total} bytes")


if __name__ == "__main__":
    main()
