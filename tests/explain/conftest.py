"""A real browser for the page: Debian's Chromium under Playwright."""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onebyone import explain
from onebyone.explain.data import page_data, user_layer
from onebyone.explain.page import render

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
NAMES = ("chromium", "chromium-browser", "google-chrome")


def unpack(packed: dict[str, Any]) -> np.ndarray:
    """An array as the page's data holds it, in float64."""
    flat = np.frombuffer(base64.b64decode(packed["f32"]), dtype="<f4")
    return flat.reshape(packed["shape"]).astype(np.float64)


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


@pytest.fixture(scope="session")
def user_page(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The page filled with a layer of 3072 outputs and 768 inputs, and that layer's data."""
    folder = tmp_path_factory.mktemp("user")
    rng = np.random.default_rng(768)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], name="intermediate"),
        helper.make_node("Add", ["h", "b"], ["y"]),
    ]
    weights = {
        "w": rng.standard_normal((768, 3072)).astype(np.float32),
        "b": rng.standard_normal(3072).astype(np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", "tokens", 768])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, folder / "model.onnx")
    path = explain.write(folder / "page.html", model=folder / "model.onnx", layer="intermediate")
    return path, user_layer(folder / "model.onnx", "intermediate")


@pytest.fixture(scope="session")
def small_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page filled with a 1x1 convolution of 2 kernels over 5 channels on a map."""
    folder = tmp_path_factory.mktemp("small")
    rng = np.random.default_rng(5)
    weights = {"w": rng.standard_normal((2, 5, 1, 1)).astype(np.float32)}
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 5, 9, 11])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, folder / "model.onnx")
    return explain.write(folder / "page.html", model=folder / "model.onnx", lang="zh")
