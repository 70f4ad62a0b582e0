"""The page's data: verdicts, worked examples, mutants, prose without typed-in numbers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onebyone
from onebyone import explain
from onebyone.errors import InputError, OutputError
from onebyone.explain.mutants import EQUIVALENT, MUTATIONS
from onebyone.explain.onnx_models import run, single_layer
from onebyone.explain.page import LANGUAGES, bundle, render

from .conftest import unpack

STATIC = Path(explain.__file__).parent / "static"


def windows(kernel: int, stride: int, padding: int, dilation: int, size: int) -> list[list[int]]:
    count = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    return [[i * stride - padding + j * dilation for j in range(kernel)] for i in range(count)]


def test_verdicts_follow_from_who_reads_what(data: dict[str, Any]):
    """Brute force over windows: which geometries tile, and why the others do not."""
    geometry = data["geometry"]
    size = geometry["size"]
    assert len(geometry["table"]) > 100
    for key, verdict in geometry["table"].items():
        kernel, stride, padding, dilation = map(int, key.split(","))
        reads = windows(kernel, stride, padding, dilation, size)
        flat = [cell for window in reads for cell in window]
        tiles = flat == list(range(size))
        if kernel == 1 and not padding:
            assert verdict == {"case": "pointwise"}, key
        elif tiles and kernel > 1:
            # One window over all of it, or tiles; a lone window makes stride irrelevant.
            assert verdict["case"] == ("whole" if kernel == size else "patch"), key
        else:
            assert "refused" in verdict, key
            if "overlap" in verdict["refused"]:
                # Windows overlap, or would if there were room for a second one.
                assert stride < kernel, key
            if verdict["refused"].startswith("padding"):
                assert padding, key


def test_worked_numbers_are_exact_in_float32(data: dict[str, Any]):
    for name in ("pixels", "twice", "views"):
        w, x = unpack(data[name]["w"]), unpack(data[name]["x"])
        exact = x @ w.T
        assert np.any(exact)
        assert np.array_equal((x.astype(np.float32) @ w.astype(np.float32).T), exact)


def test_flatten_example_breaks(data: dict[str, Any]):
    x, w = unpack(data["flatten"]["x"]), unpack(data["flatten"]["w"])
    hwc = x.reshape(data["flatten"]["shape"]).transpose(1, 2, 0).ravel()
    assert hwc @ w != x @ w


def test_runtime_bits_are_counted(data: dict[str, Any]):
    bits = data["runtime"]
    assert 0 < bits["same"] <= bits["values"] and bits["ulps"] >= 0


def test_both_forms_are_the_same_layer():
    rng = np.random.default_rng(3)
    w = rng.standard_normal((5, 7)).astype(np.float32)
    x = rng.standard_normal((4, 7)).astype(np.float32)
    linear = run(single_layer(w, 4, "linear"), x)
    conv = run(single_layer(w, 4, "conv"), np.ascontiguousarray(x.T)[None, :, None, :])
    exact = x.astype(np.float64) @ w.T.astype(np.float64)
    # Seven products: at most 7 roundings of half an ulp each, relative to the sum of magnitudes.
    bound = 7 * 2.0**-24 * (np.abs(x) @ np.abs(w).T) * 1.01
    assert np.any(exact)
    assert np.all(np.abs(linear - exact) <= bound)
    assert np.all(np.abs(conv[0, :, 0, :].T - exact) <= bound)


def test_every_wrong_rewrite_is_caught_and_no_right_one(data: dict[str, Any]):
    rows = data["mutants"]["rows"]
    assert [row["name"] for row in rows] == list(MUTATIONS)
    for row in rows:
        verdicts = {layer: check["verdict"] for layer, check in row["layers"].items()}
        assert set(verdicts) == set(data["mutants"]["layers"])
        if row["name"] in EQUIVALENT:
            assert row["outcome"] != "differs" and "differs" not in verdicts.values(), verdicts
        else:
            # Not proved, and almost always with a check that objects.
            assert row["outcome"] != "proved", verdicts
            assert "differs" in verdicts.values() or row["name"] == "flipped_bit", verdicts
        assert all(check["evidence"] for check in row["layers"].values())


def test_no_layer_is_enough_by_itself(data: dict[str, Any]):
    rows = {row["name"]: row["layers"] for row in data["mutants"]["rows"]}
    assert rows["flipped_bit"]["sampled"]["verdict"] == "passed"
    for layer in ("weights", "structure", "field"):
        assert rows["flipped_bit"][layer]["verdict"] != "proved"
    assert rows["transposed_weight"]["weights"]["verdict"] == "proved"
    assert rows["transposed_weight"]["field"]["verdict"] == "differs"


@pytest.mark.parametrize("lang", LANGUAGES)
def test_prose_types_no_number(lang: str):
    """Digits may only name things: 1×1, a paper's words, a network, a subscript."""
    prose = re.sub(r"<[^>]*>", "", (STATIC / f"text.{lang}.html").read_text(encoding="utf-8"))
    for name in ("1×1", "kernel size 1", "大小为 1", "VGG-16", "ResNet-18", "ResNet-50", "相差 1"):
        prose = prose.replace(name, "")
    prose = re.sub(r"\$\{\w+\}|xW1 \+ b1\)W2 \+ b2", "", prose)
    assert re.findall(r".{0,20}\d.{0,20}", prose) == []


def test_languages_tell_the_same_story():
    shapes = []
    for lang in LANGUAGES:
        prose = (STATIC / f"text.{lang}.html").read_text(encoding="utf-8")
        tags = re.findall(r"<(section|h1|h2|p|div|blockquote|strong)\b", prose)
        shapes.append(
            (tags, sorted(re.findall(r"\$\{\w+\}", prose)), re.findall(r"data-stage", prose))
        )
    assert shapes[0] == shapes[1]


def test_page_is_one_small_document(data: dict[str, Any]):
    page = render(data, "zh")
    assert len(page.encode()) < 500_000
    assert 'data-start="zh"' in page and page.count("<!doctype html>") == 1
    assert not re.search(r"""(src|href)=["'](?!#|data:)""", page)
    assert "${" not in page.split("<script")[0]
    embedded = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)
    assert embedded and json.loads(embedded[1]) == json.loads(json.dumps(data))


def test_names_of_a_model_stay_text(data: dict[str, Any]):
    evil = "</script><!--<script><img src=x onerror=alert(1)>\u202e\x1b[2J"
    layer = dict.fromkeys(("model", "name", "op", "case", "dtype"), evil)
    page = render(data | {"layer": layer | {"stored": [1], "k": 1, "n": 1, "positions": 1}}, "en")
    assert page.count("<script") == 2 and page.count("</script>") == 2
    assert "<img" not in page and "\u202e" not in page.split("<script")[0]


def test_bundle_leaves_no_module_syntax():
    assert not re.search(r"^(import|export)\b", bundle(), re.MULTILINE)


def test_write(tmp_path: Path):
    path = onebyone.explain.write(tmp_path / "page.html", lang="zh")
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"lang": "fr"}, InputError, "'fr' is unknown: use en or zh"),
        ({"layer": "fc"}, InputError, "'fc' of which model"),
        ({"model": "missing.onnx"}, InputError, "missing.onnx: cannot be read"),
    ],
)
def test_write_refuses_in_one_line(
    tmp_path: Path, arguments: dict[str, str], error: type, says: str
):
    with pytest.raises(error, match=re.escape(says)) as caught:
        explain.write(tmp_path / "page.html", **arguments)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_write_refuses_paths_it_cannot_write(tmp_path: Path):
    with pytest.raises(OutputError, match="is a directory"):
        explain.write(tmp_path)
    with pytest.raises(OutputError, match="does not exist; create it first"):
        explain.write(tmp_path / "no" / "such" / "page.html")
