"""Reports on a terminal: short, complete, and safe."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from onebyone.cli import _render
from onebyone.report import Counts, Layer, Region, Report


def layer(name: str, status: Any = "converted", reason: str | None = None) -> Layer:
    after = "Conv 1x1" if status == "converted" else "MatMul"
    shapes = (("batch", 12, 48), ("batch", 12, 96), (48, 96))
    return Layer(name, "MatMul", "pointwise", "MatMul", after, *shapes, None, status, reason)


def report(*layers: Layer, **more: Any) -> Report:
    return Report("conv", layers, Counts(30, 12, 0, 10, 13), Counts(28, 0, 12, 3, 9), **more)


def shown(show: Any, *content: Report, **options: bool) -> str:
    out = io.StringIO()
    show(*content, Console(file=out, width=200, markup=False, emoji=False), **options)
    return out.getvalue()


def test_each_layer_and_reason_is_shown() -> None:
    text = shown(_render.show_layers, report(layer("fc1"), layer("fc2", "kept", "computed")))
    rows = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    assert "Conv 1x1" in rows["fc1"]
    assert "batch×12×48" in rows["fc1"]
    assert "kept: computed" in rows["fc2"]


def test_many_layers_are_counted() -> None:
    content = report(*(layer(f"fc{i}") for i in range(90)), layer("z", "kept", "why"))
    short = shown(_render.show_layers, content)
    full = shown(_render.show_layers, content, every_layer=True)
    assert "fc57" not in short
    assert "90" in short
    assert "kept: why" in short
    assert "fc57" in full
    assert len(short.splitlines()) < 10


def test_inspection_shows_both_directions() -> None:
    linear = report(layer("fc1", "unchanged"), layer("conv", "kept", "windows overlap"))
    rows = shown(_render.show_inspection, report(layer("fc1")), linear).splitlines()
    assert any("fc1" in r and "Conv 1x1" in r and "unchanged" in r for r in rows)
    assert any("conv " in r and "windows overlap" in r for r in rows)


def test_counts_before_and_after() -> None:
    text = shown(_render.show_counts, report(layer("a"), notes=("watch out",)))
    line = next(line for line in text.splitlines() if line.startswith("Transpose"))
    assert line.split()[1:] == ["10", "3"]
    assert "note: watch out" in text


def test_moves_and_bound() -> None:
    move = Region("x_perm", "embed, attention", ("b", "c"), ("c", "b"), 12_345)
    content = report(moves=(move,), moves_before=4, bytes_before=5_000_000, cost=2e4, bound=1e4)
    text = shown(_render.show_moves, content)
    assert "4 -> 1" in text
    assert "5 MB" in text
    assert "50.0%" in text
    assert "12,345" in text
    proven = report(cost=1e4, bound=1e4)
    assert "proven optimal" in shown(_render.show_moves, proven)


def test_names_cannot_steer_the_terminal() -> None:
    evil = "[bold red]x[/]\x1b]0;owned\x07\r\n\u202e"
    text = shown(_render.show_layers, report(layer(evil)))
    text += shown(_render.show_counts, report(layer("a"), notes=(evil,)))
    text += shown(_render.show_moves, report(moves=(Region(evil, evil, (evil,), (evil,), 1),)))
    assert "[bold red]x[/]" in text
    assert all(c.isprintable() or c == "\n" for c in text)


def test_nothing_found() -> None:
    assert "no layer of this model" in shown(_render.show_layers, report())
