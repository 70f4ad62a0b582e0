"""Reports as short tables. Every name is made safe for the terminal, none is read as markup."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from onebyone.text import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from onebyone.report import Counts, Layer, Report

# More layers than this are counted by kind; the JSON report has them all.
_LONG = 40

_COUNTS = {
    "fc_layers": "FC layers as matrix product",
    "convolutions": "convolutions",
    "transposes": "Transpose",
    "reshapes": "Reshape-like",
    "nodes": "nodes",
}


def show_layers(report: Report, console: Console, *, every_layer: bool = False) -> None:
    """Print what happened to each layer; many layers are counted by kind.

    Args:
        report: of a conversion or a plan.
        console: where to.
        every_layer: one line a layer even where there are many.
    """
    rows = [(layer, (_outcome(layer),)) for layer in report.layers]
    _show(rows, (report.target,), console, every_layer)


def show_inspection(
    conv: Report, linear: Report, console: Console, *, every_layer: bool = False
) -> None:
    """Print what each layer is and what both directions would make of it."""
    other = {layer.name: layer for layer in linear.layers}
    rows = [
        (layer, (_outcome(layer), _outcome(other[layer.name]) if layer.name in other else ""))
        for layer in conv.layers
    ]
    known = {layer.name for layer in conv.layers}
    rows += [(x, ("", _outcome(x))) for x in linear.layers if x.name not in known]
    _show(rows, ("--to conv", "--to linear"), console, every_layer)


def show_counts(report: Report, console: Console) -> None:
    """Print the counts of nodes before and after."""
    after: Counts | None = report.after
    names = ("", "before", "after") if after is not None else ("", "now")
    table = _table(names, numbers=names[1:])
    for field, label in _COUNTS.items():
        sizes = [getattr(c, field) for c in (report.before, after) if c is not None]
        table.add_row(label, *(f"{size:,}" for size in sizes))
    console.print(table)
    for note in report.notes:
        console.print(printable(f"note: {note}", 1000))


def show_moves(report: Report, console: Console) -> None:
    """Print the layout moves that a plan leaves, with their bytes and the proven bound."""
    console.print(
        f"layout moves: {report.moves_before} -> {len(report.moves)}, "
        f"{_bytes(report.bytes_before)} -> {_bytes(report.bytes_after)}"
    )
    proven = "proven optimal" if report.gap == 0 else f"at most {report.gap:.1%} above the best"
    console.print(f"cost {_bytes(report.cost)}, lower bound {_bytes(report.bound)}: {proven}")
    if not report.moves:
        return
    table = _table(("moved value", "region", "from", "to", "bytes"), numbers=("bytes",))
    for move in report.moves:
        sides = (", ".join(move.source), ", ".join(move.target))
        table.add_row(*_texts(move.value, move.between, *sides, f"{move.bytes:,}"))
    console.print(table)


def show_cost(report: Report, console: Console) -> None:
    """Print the time and memory that it took."""
    memory = f", peak memory {_bytes(report.peak_memory)}" if report.peak_memory else ""
    console.print(f"{report.seconds:.2f} s{memory}")


def _show(
    rows: Sequence[tuple[Layer, tuple[str, ...]]],
    titles: tuple[str, ...],
    console: Console,
    every_layer: bool,
) -> None:
    if not rows:
        console.print("no layer of this model is a fully connected layer")
    elif len(rows) <= _LONG or every_layer:
        names = ("layer", "now", "case", "input", "weight", "multiply-adds", *titles)
        table = _table(names, numbers=("multiply-adds",))
        for layer, outcomes in rows:
            shapes = (_shape(layer.input_shape), _shape(layer.weight_shape))
            cells = (layer.name, layer.before, layer.case, *shapes, _macs([layer]), *outcomes)
            table.add_row(*_texts(*cells))
        console.print(table)
    else:
        names = ("layers", "now", "case", "multiply-adds", *titles, "for example")
        table = _table(names, numbers=("layers", "multiply-adds"))
        groups: dict[tuple[Any, ...], list[Layer]] = {}
        for layer, outcomes in rows:
            groups.setdefault((layer.before, layer.case, outcomes), []).append(layer)
        for (before, case, outcomes), layers in groups.items():
            cells = (str(len(layers)), before, case, _macs(layers), *outcomes, layers[0].name)
            table.add_row(*_texts(*cells))
        console.print(table)


def _table(names: Sequence[str], numbers: Sequence[str]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in names:
        table.add_column(name, justify="right" if name in numbers else "left", overflow="fold")
    return table


def _texts(*cells: str) -> list[Any]:
    from rich.text import Text

    return [Text(printable(cell, 120)) for cell in cells]


def _outcome(layer: Layer) -> str:
    if layer.status == "converted":
        return layer.after
    return f"{layer.status}: {layer.reason}" if layer.reason else layer.status


def _shape(sizes: Sequence[int | str]) -> str:
    return "×".join(map(str, sizes))


def _macs(layers: Sequence[Layer]) -> str:
    if any(layer.macs is None for layer in layers):
        return "?"
    return f"{sum(layer.macs or 0 for layer in layers):,}"


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.4g} {unit}"
        count /= 1000
    return f"{count:.4g} GB"
