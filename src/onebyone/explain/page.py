"""Assemble the page: static assets, prose in two languages and the data, in one HTML file."""

from __future__ import annotations

import json
import re
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from onebyone.text import printable

LANGUAGES = ("en", "zh")
PARTS = ("1", "2", "3", "4", "5", "6", "6-padding", "7", "8")

# In the order in which they use each other.
MODULES = (
    "dom",
    "math",
    "iso",
    "hero",
    "part1sums",
    "part1",
    "part2",
    "part3",
    "part4",
    "part5",
    "part6",
    "part6map",
    "part7",
    "part8",
    "main",
)
_STYLES = ("base", "parts", "modes")
_STATIC = files("onebyone.explain") / "static"
_IMPORT = re.compile(r"^import [^;]*;\n", re.MULTILINE)
_EXPORT_LIST = re.compile(r"^export \{[^;]*\};\n", re.MULTILINE)
_EXPORT = re.compile(r"^export (?=const|function)", re.MULTILINE)

_BANNER = {
    "en": "This page is filled with layer <b>$name</b> of <b>$model</b>: $op, $k inputs, $n "
    "outputs, weight stored as $stored in $dtype ($case), and with what it reads at "
    "$positions when the model runs on seeded random input. Parts 1, 2, 3 and 7 use "
    "it. Large layers are shown through a window; the sums are complete.",
    "zh": "本页使用 <b>$model</b> 的 <b>$name</b> 层：$op，$k 个输入，$n 个输出，权重以 $dtype "
    "存为 $stored（$case）；激活值取自模型在固定种子的随机输入上运行时"
    "该层在 $positions读到的数。第 1、2、3、7 部分用的就是它。"
    "大的层只显示一个窗口，但求和是完整的。",
}


# For a layer that reads windows of more than one cell.
_WINDOWS = {
    "en": " Its windows are cut out first: each counts as one position.",
    "zh": "该层的窗口先被切出来，每个窗口算作一个位置。",
}


def _read(name: str) -> str:
    return (_STATIC / name).read_text(encoding="utf-8")


def bundle(names: tuple[str, ...] = MODULES) -> str:
    """The page's ES modules as one: imports and exports between them fall away."""
    parts: list[str] = []
    for name in names:
        source = _IMPORT.sub("", _read(f"js/{name}.js"))
        parts.append(_EXPORT.sub("", _EXPORT_LIST.sub("", source)).strip())
    return "\n\n".join(parts)


def _counts(data: dict[str, Any]) -> dict[str, str]:
    """The numbers that the prose mentions."""
    tokens, width = data["ffn"]["x"]["shape"]
    counts = {"ffn_tokens": tokens, "ffn_d": width, "ffn_hidden": data["ffn"]["w1"]["shape"][0]}
    short = {"VGG-16": "vgg", "CaffeNet": "caffe", "ResNet-18": "resnet18", "ResNet-50": "resnet50"}
    for network in data["padding"]:
        name = short[network["name"]]
        counts[f"{name}_equal"] = network["equal"]
        counts[f"{name}_cells"] = network["cells"]
    return {name: str(count) for name, count in counts.items()}


def _banner(layer: dict[str, Any] | None, lang: str) -> str:
    if layer is None:
        return ""
    names = ("model", "name", "op", "case", "dtype", "k", "n")
    facts = {name: escape(printable(str(layer[name]))) for name in names}
    facts["stored"] = "×".join(map(str, layer["stored"]))
    count = layer["positions"]
    english = f"{count} position{'s' if count > 1 else ''}"
    facts["positions"] = {"en": english, "zh": f"{count} 个位置"}[lang]
    windows = "" if layer["case"] == "pointwise" else _WINDOWS[lang]
    return f'<p class="banner">{Template(_BANNER[lang]).substitute(facts)}{windows}</p>'


def _nav(lang: str) -> str:
    prose = _read(f"text.{lang}.html")
    titles = re.findall(r"<h2>(.*?)</h2>", prose)
    ids = re.findall(r'<section class="part" id="(.*?)"', prose)
    links = zip(ids, titles, strict=True)
    return "".join(
        f'<a href="#{anchor}" title="{escape(title)}"><span class="hidden">{title}</span></a>'
        for anchor, title in links
    )


def render(data: dict[str, Any], lang: str) -> str:
    """The page as HTML.

    Args:
        data: what `data.page_data` returns.
        lang: the language shown first, one of `LANGUAGES`.

    Returns:
        One self-contained document.
    """
    values = {
        "lang": lang,
        "version": data["version"],
        "css": "\n".join(_read(f"css/{name}.css").strip() for name in _STYLES),
        "js": bundle(),
        # "<" could end the script element, whatever a model's names say.
        "data": json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c"),
    }
    counts = _counts(data)
    for name in LANGUAGES:
        values[f"text_{name}"] = Template(_read(f"text.{name}.html")).substitute(counts)
        values[f"nav_{name}"] = _nav(name)
        values[f"banner_{name}"] = _banner(data["layer"], name)
        values[f"hide_{name}"] = "" if name == lang else " hidden"
    return Template(_read("page.html")).substitute(values)
