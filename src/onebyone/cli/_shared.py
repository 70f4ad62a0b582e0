"""What several commands need: their options, and where they print."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Generator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from onebyone.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console


class To(StrEnum):
    """The form that fully connected layers shall take."""

    CONV = "conv"
    LINEAR = "linear"


Model = Annotated[
    Path, typer.Argument(metavar="MODEL", help="The ONNX file or PyTorch program (.pt2) to read.")
]
ToOption = Annotated[To, typer.Option("--to", help="The form that FC layers shall take.")]
TargetOption = Annotated[
    str | None,
    typer.Option(
        "--target", metavar="NAME|FILE.toml", help="Target that the layout is planned for."
    ),
]
Only = Annotated[
    list[str] | None,
    typer.Option(metavar="PATTERN", help="Convert only layers whose names match. Repeatable."),
]
Skip = Annotated[
    list[str] | None,
    typer.Option(metavar="PATTERN", help="Leave layers alone whose names match. Repeatable."),
]
Dim = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=N", help="Fix a symbolic dimension first. Repeatable."),
]
ReportFile = Annotated[
    Path | None, typer.Option("--report", metavar="FILE", help="Write the report as JSON.")
]
AllLayers = Annotated[
    bool, typer.Option("--all", help="One line a layer, also where there are many.")
]

Seed = Annotated[
    int | None,
    typer.Option(
        "--seed", min=0, help="Seed of all that is drawn; a new one each time by default."
    ),
]
Seconds = Annotated[
    float, typer.Option("--seconds", min=1.0, help="Time for the certificate, all layers together.")
]
Memory = Annotated[
    str | None,
    typer.Option(
        "--memory",
        metavar="SIZE",
        help="Memory for the certificate, as in 800M or 2G; all by default.",
    ),
]
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def memory_size(option: str | None) -> int | None:
    """``"2G"`` -> 2,000,000,000 bytes."""
    if option is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)B?", option.strip(), re.IGNORECASE)
    size = 0 if match is None else int(float(match[1]) * _UNITS[match[2].upper()])
    if not size:
        raise InputError(f"--memory {option}: write a size in bytes, as in 800M or 2G")
    return size


def dims(options: list[str] | None) -> dict[str, int]:
    """``["batch=1"]`` -> ``{"batch": 1}``."""
    sizes: dict[str, int] = {}
    for option in options or ():
        name, _, number = option.rpartition("=")
        if not name or not number.isdecimal():
            raise InputError(f"--dim {option}: write NAME=N with a whole number, as in batch=1")
        sizes[name] = int(number)
    return sizes


def console(*, error: bool = False) -> Console:
    """A console that wraps nothing when it writes into a pipe or file."""
    import sys

    from rich.console import Console

    stream = sys.stderr if error else sys.stdout
    width = None if stream.isatty() else 200
    return Console(stderr=error, width=width, highlight=False, markup=False, emoji=False)


def check_report(path: Path | None, inputs: list[Path]) -> None:
    """Refuse a report file before the work that it would report."""
    if path is not None:
        from onebyone.files import check_output

        check_output(path, inputs)


def write_report(path: Path | None, report: dict[str, Any]) -> None:
    """Write a report as JSON, complete or not at all."""
    if path is None:
        return
    import json

    from onebyone.files import write_text

    write_text(path, json.dumps(report, indent=2) + "\n")


@contextlib.contextmanager
def working(what: str) -> Generator[Callable[[str, int, int], None]]:
    """A progress bar on a terminal, nothing elsewhere.

    Yields:
        Called with (what is done now, steps done, steps in all); 0 steps in all: unknown.
    """
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    out = console(error=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as bar:
        task = bar.add_task(what, total=None)

        def tell(now: str, done: int, total: int) -> None:
            bar.update(task, description=now, completed=done, total=total or None)

        yield tell
