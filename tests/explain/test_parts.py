"""Each part does what it says: results equal numpy's, and what is linked lights up."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onebyone.identity import Geometry, Refusal, classify

from .conftest import unpack

VALUES = "nodes => nodes.map((node) => Number(node.dataset.value))"


def values(scope: Any, selector: str) -> list[float]:
    return scope.locator(selector).evaluate_all(VALUES)


def hot(scope: Any, kind: str = "hot") -> list[str]:
    return scope.locator(f".{kind}").evaluate_all("nodes => nodes.map((node) => node.dataset.key)")


@pytest.fixture(scope="module")
def shared(browser: Any, html: Path) -> Iterator[Any]:
    """One open page for all of these tests: each sets every control that it relies on."""
    context = browser.new_context(viewport={"width": 1280, "height": 844}, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(10_000)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(html.as_uri())
    page.wait_for_selector("html[data-ready]")
    yield page
    context.close()
    assert complaints == []


@pytest.fixture
def page(shared: Any) -> Any:
    shared.mouse.move(2, 2)
    return shared


# Part 1


@pytest.mark.parametrize(("k", "n", "kernel"), [(1, 1, 1), (3, 2, 2), (5, 8, 7), (8, 3, 1)])
def test_sums_of_a_pixel(page: Any, data: dict[str, Any], k: int, n: int, kernel: int):
    part = page.locator("#en-1")
    part.locator("[data-choice=kernel]").click()
    part.locator("[data-control=K]").fill(str(k))
    part.locator("[data-control=N]").fill(str(n))
    part.locator("[data-control=n]").fill(str(kernel))
    w, x = unpack(data["pixels"]["w"]), unpack(data["pixels"]["x"])
    for pixel in (0, 17, 35):
        part.locator(f"[data-pixel='{pixel}']").hover()
        products = values(part, "[data-role=sums] tbody td:last-child .num")
        assert products == (x[pixel, :k] * w[kernel - 1, :k]).tolist()
        total = values(part, "[data-role=sums] .total .num")
        assert total == [float(x[pixel, :k] @ w[kernel - 1, :k])]
    weights = part.locator("[data-role=count]").inner_text()
    assert (
        weights.startswith(f"{n * k} weights")
        and f"{n * k * 36**2:,}".replace(",", "\u202f") in weights
    )


def test_pixel_by_keyboard_and_channel_lights_up(page: Any):
    part = page.locator("#en-1")
    part.locator("[data-choice=kernel]").click()
    part.locator("[data-control=K]").fill("3")
    part.locator("[data-pixel='14']").hover()
    part.locator("[data-role=picker]").focus()
    before = int(part.locator(".picker i.on").get_attribute("data-pixel"))
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert int(part.locator(".picker i.on").get_attribute("data-pixel")) == before + 7
    part.locator("[data-role=sums] tbody tr").nth(1).hover()
    keys = hot(part)
    # The row, its three numbers, the pixel's cell in that plane, the kernel's cell.
    assert set(keys) == {"k1"} and len(keys) == 6


def test_one_scalar_adds_nothing_up(page: Any):
    page.click("#en-1 [data-choice=scalar]")
    part = page.locator("#en-1")
    assert part.locator("[data-role=sums] .total").count() == 0
    assert len(set(values(part, "[data-role=sums] .num.w"))) == 1


# Part 2


def test_a_number_lights_up_in_all_three_views(page: Any, data: dict[str, Any]):
    part = page.locator("#en-2")
    w, b, x = (unpack(data["twice"][name]) for name in ("w", "b", "x"))
    for k in range(3):
        part.locator(f"[data-control=x{k}]").fill(str(x[0, k]))
    z = w @ x[0] + b
    number = {f"w{n}{k}": w[n, k] for n in (0, 1) for k in (0, 1, 2)}
    number |= {f"x{k}": x[0, k] for k in (0, 1, 2)} | {f"b{n}": b[n] for n in (0, 1)}
    number |= {f"z{n}": z[n] for n in (0, 1)} | {f"y{n}": max(z[n], 0) for n in (0, 1)}
    for key, expected in number.items():
        part.locator(f"[data-view=conv] [data-key={key}]").hover()
        for view in ("fc", "conv", "formula"):
            scope = part.locator(f"[data-view={view}]")
            assert set(hot(scope)) == {key}, (key, view)
            assert set(values(scope, ".hot[data-value]")) == {expected}, (key, view)
    part.locator("[data-view=fc] [data-key=y0][role=img]").hover()
    assert set(hot(part, "warm")) == {"z0", "b0", "w00", "w01", "w02", "x0", "x1", "x2"}
    page.mouse.move(2, 2)
    assert hot(part) == []


def test_numbers_by_keyboard(page: Any):
    part = page.locator("#en-2")
    view = part.locator("[data-view=formula]")
    assert view.locator("[tabindex='0']").count() == 1
    view.locator("[tabindex='0']").focus()
    page.keyboard.press("ArrowRight")
    assert set(hot(part)) == {"w01"}


@pytest.mark.parametrize("x", [(1.5, -0.5, 1), (-3, 3, 0.25), (0, 0, 0), (2.75, -1.25, -3)])
def test_both_descriptions_equal_numpy(page: Any, data: dict[str, Any], x: tuple[float, ...]):
    part = page.locator("#en-2")
    for k, value in enumerate(x):
        part.locator(f"[data-control=x{k}]").fill(str(value))
    w, b = unpack(data["twice"]["w"]), unpack(data["twice"]["b"])
    z = w @ np.array(x) + b
    for view in ("fc", "conv", "formula"):
        scope = part.locator(f"[data-view={view}]")
        assert [values(scope, f"[data-key=z{n}]")[0] for n in (0, 1)] == z.tolist()
        assert [values(scope, f"[data-key=y{n}]")[0] for n in (0, 1)] == np.maximum(z, 0).tolist()


# Part 3


def test_four_views_agree_and_the_counters_stand_still(page: Any, data: dict[str, Any]):
    part = page.locator("#en-3")
    w, x = unpack(data["views"]["w"]), unpack(data["views"]["x"])
    shapes = []
    for size in range(4):
        part.locator("[data-control=size]").fill(str(size))
        for position in (1, 4, 6):
            part.locator("[data-control=position]").fill(str(position))
            for view in range(4):
                panel = part.locator(f"[data-view='{view}']")
                assert values(panel, ".results .num") == (w @ x[position - 1]).tolist()
                for counter in ("params", "macs"):
                    assert panel.locator(f"[data-role={counter}]").inner_text() == str(w.size)
        shapes.append(part.locator("[data-view='3'] code").nth(1).inner_text())
    assert shapes == ["[3, 36, 1, 1]", "[3, 9, 2, 2]", "[3, 4, 3, 3]", "[3, 1, 6, 6]"]


def test_a_weight_lights_up_in_all_four_views(page: Any):
    part = page.locator("#en-3")
    part.locator("[data-control=size]").fill("2")
    for view in range(4):
        part.locator(f"[data-view='{view}'] [data-key=w1-20]").hover()
        keys = hot(part)
        assert set(keys) == {"w1-20"} and len(keys) == 4


def test_token_by_keyboard_is_the_same_pixel(page: Any):
    page.locator("#en-3 [data-control=position]").fill("1")
    page.locator("#en-3 [data-role=tokens]").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    on = "nodes => nodes.map((node) => [...node.parentNode.children].indexOf(node))"
    assert page.locator("#en-3 .token.on").evaluate_all(on) == [2]
    # The chosen stick is drawn last, over its neighbours.
    assert page.locator("#en-3 [data-view='2'] svg").first.locator("g.on").count() == 1


# Part 4


def test_feed_forward_both_ways_equals_numpy(page: Any, data: dict[str, Any]):
    part = page.locator("#en-4")
    ffn = {name: unpack(data["ffn"][name]) for name in ("x", "w1", "b1", "w2", "b2")}
    hidden = ffn["x"] @ ffn["w1"].T + ffn["b1"]
    steps = [ffn["x"], hidden, np.maximum(hidden, 0)]
    steps.append(steps[2] @ ffn["w2"].T + ffn["b2"])
    for step, expected in enumerate(steps):
        part.locator("[data-control=step]").fill(str(step))
        for token in range(len(expected)):
            part.locator("[data-control=token]").fill(str(token + 1))
            rows = part.locator("[data-role=compare] tr")
            assert values(rows.nth(0), ".num") == expected[token].tolist()
            assert values(rows.nth(1), ".num") == expected[token].tolist()
            assert values(part, "[data-role=difference]") == [0]


# Part 5


@pytest.mark.parametrize("order", ["CHW", "HWC"])
@pytest.mark.parametrize("weights", ["CHW", "HWC"])
def test_flatten_broken_and_mended(page: Any, data: dict[str, Any], order: str, weights: str):
    part = page.locator("#en-5")
    part.locator(f"[data-control=order] [data-choice={order}]").click()
    part.locator(f"[data-control=weights] [data-choice={weights}]").click()
    shape = data["flatten"]["shape"]
    x, w = (unpack(data["flatten"][name]).reshape(shape) for name in ("x", "w"))
    flat = {"CHW": lambda a: a.ravel(), "HWC": lambda a: a.transpose(1, 2, 0).ravel()}
    assert values(part, ".slots .num.p") == (flat[order](x) * flat[weights](w)).tolist()
    sums = values(part, "[data-role=verdict] .num")
    assert sums == [float(flat[order](x) @ flat[weights](w)), float((x * w).sum())]
    good = "good" in part.locator("[data-role=verdict]").get_attribute("class")
    assert good == (order == weights)


def test_a_cell_of_the_map_is_found_in_every_row(page: Any):
    part = page.locator("#en-5")
    part.locator("[data-control=order] [data-choice=HWC]").click()
    part.locator("[data-control=weights] [data-choice=CHW]").click()
    part.locator(".map [data-key=c4]").hover()
    # The map, the input, the weight, and the two products that they now enter.
    assert len(hot(part)) == 5


# Part 6


@pytest.mark.parametrize(
    "knobs",
    [
        (1, 1, 0, 1),
        (1, 2, 0, 1),
        (2, 2, 0, 1),
        (3, 1, 0, 1),
        (3, 3, 1, 1),
        (2, 1, 1, 1),
        (6, 1, 0, 1),
        (2, 3, 0, 1),
        (2, 2, 0, 2),
    ],
)
def test_verdict_is_the_library_s(page: Any, data: dict[str, Any], knobs: tuple[int, ...]):
    part = page.locator("#en-6")
    part.locator("[data-choice=pointwise]").click()
    for name, value in zip(("kernel", "stride", "padding", "dilation"), knobs, strict=True):
        part.locator(f"[data-control={name}]").fill(str(value))
    kernel, stride, padding, dilation = knobs
    size = data["geometry"]["size"]
    verdict = classify(
        Geometry(4, 4, (kernel,), (stride,), ((padding, padding),), (dilation,), input_size=(size,))
    )
    shown = part.locator("[data-role=verdict]")
    if isinstance(verdict, Refusal):
        assert shown.locator("code").inner_text() == verdict.reason
    else:
        assert shown.inner_text().split("\n")[-1].startswith(str(verdict.case))
    label = part.locator(".windows svg").get_attribute("aria-label")
    reads = [0] * size
    for start in range(-padding, size + padding - dilation * (kernel - 1), stride):
        for j in range(kernel):
            if 0 <= start + j * dilation < size:
                reads[start + j * dilation] += 1
    assert label.split(": ")[1] == " ".join(f"{n}×" for n in reads)


@pytest.mark.parametrize(
    ("preset", "weights"), [("pointwise", 16), ("grouped", 8), ("depthwise", 4)]
)
def test_groups_are_block_diagonal(page: Any, preset: str, weights: int):
    part = page.locator("#en-6")
    part.locator(f"[data-choice={preset}]").click()
    assert part.locator(".blocks i.on").count() == weights
    assert part.locator("[data-role=weights]").inner_text() == f"{weights} of 16 weights"


@pytest.mark.parametrize("network", range(4))
def test_padding_map(page: Any, data: dict[str, Any], network: int):
    part = page.locator("#en-6-padding")
    part.locator(f"[data-choice='{network}']").click()
    found = data["padding"][network]
    assert part.locator(".lastgrid .good").count() == found["equal"]
    assert part.locator(".lastgrid i").count() == found["cells"]
    part.locator("[data-role=lastgrid]").focus()
    for key in ("ArrowUp", "ArrowLeft"):
        for _ in range(found["size"]):
            page.keyboard.press(key)
    assert part.locator(".lastgrid i.on").get_attribute("data-cell") == "0"
    end = found["first"] + found["extent"]
    beyond = max(0, -found["first"]) + max(0, end - found["crop"])
    assert (
        f"reads {beyond} rows and {beyond} columns" in part.locator("[data-role=map]").inner_text()
    )


# Part 7


@pytest.mark.parametrize("size", [0, 3, 8])
def test_sums_in_every_order_equal_numpy(page: Any, data: dict[str, Any], size: int):
    part = page.locator("#en-7")
    part.locator("[data-choice=float32]").click()
    part.locator("[data-control=terms]").fill(str(size))
    w, x = (unpack(data["sum"][name])[0] for name in ("w", "x"))
    exact = (w * x)[: 4 * 2**size]
    products = exact.astype(np.float32)
    row = "[data-role=orders] tr[data-order={}]"
    expected = {
        "forward": np.cumsum(products, dtype=np.float32)[-1],
        "backward": np.cumsum(products[::-1], dtype=np.float32)[-1],
        "pairs": pairwise(products),
        "lanes8": in_lanes(products, 8),
        "lanes16": in_lanes(products, 16),
        "exact": np.float32(math.fsum(exact)),
    }
    for order, value in expected.items():
        assert values(part, row.format(order)) == [float(value)], order
        if order != "exact":
            off = int(part.locator(row.format(order)).get_attribute("data-off"))
            assert off == ordinal(value) - ordinal(expected["exact"])
    assert "6 of the 6 lie within" in part.locator("[data-role=distinct]").inner_text()
    part.locator("[data-choice=float64]").click()
    assert values(part, row.format("forward")) == [float(np.cumsum(exact)[-1])]
    assert values(part, row.format("exact")) == [math.fsum(exact)]


def in_lanes(products: np.ndarray, lanes: int) -> np.float32:
    sums = [
        np.cumsum(np.append(np.float32(0), products[i::lanes]), dtype=np.float32)[-1]
        for i in range(lanes)
    ]
    return np.cumsum(np.array(sums), dtype=np.float32)[-1]


def pairwise(products: np.ndarray) -> np.float32:
    if len(products) == 1:
        return products[0]
    half = len(products) // 2
    return np.float32(pairwise(products[:half]) + pairwise(products[half:]))


def ordinal(value: np.float32) -> int:
    bits = int(np.float32(value).view(np.int32))
    return bits if bits >= 0 else -(bits & 0x7FFFFFFF)


def test_shuffling_changes_only_the_shuffled_order(page: Any):
    part = page.locator("#en-7")
    part.locator("[data-choice=float32]").click()
    part.locator("[data-control=terms]").fill("8")
    row = "[data-role=orders] tr[data-order={}]"
    seen = set()
    forward = values(part, row.format("forward"))
    for _ in range(6):
        part.locator(".action").click()
        seen.update(values(part, row.format("shuffled")))
        assert values(part, row.format("forward")) == forward
    assert len(seen) > 1


# Part 8


def test_every_mutant_shows_its_verdicts(page: Any, data: dict[str, Any]):
    part = page.locator("#en-8")
    part.locator("table.kill button").nth(1).focus()
    part.locator("table.kill button").first.focus()
    for row in data["mutants"]["rows"]:
        assert part.locator("tr.on").get_attribute("data-mutant") == row["name"]
        for layer, check in row["layers"].items():
            card = part.locator(f"[data-layer={layer}]")
            assert check["verdict"] in card.get_attribute("class")
            assert card.locator("code").inner_text() == check["evidence"]
        assert "good" in part.locator("[data-role=verdict]").get_attribute("class")
        page.keyboard.press("ArrowDown")
