"""``onebyone verify``: certify that two files are the same function."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from onebyone.errors import InputError, OnebyoneError

_BAD_INPUT = 3


def verify(
    original: Annotated[Path, typer.Argument(help="The model to compare with.")],
    converted: Annotated[Path, typer.Argument(help="The model to certify, whoever made it.")],
    inputs: Annotated[
        Path | None,
        typer.Option(
            "--inputs", metavar="FILE.npz", help="Inputs by name, instead of random ones."
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the certificate as JSON.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything that is drawn.")] = 0,
    seconds: Annotated[
        float, typer.Option(min=1.0, help="Time budget of the field layer, in seconds.")
    ] = 120.0,
) -> None:
    """Certify that CONVERTED is the same function as ORIGINAL.

    Exit code 0: proved; 1: they differ; 2: undecided; 3: bad input.
    """
    from onebyone.certify.render import show
    from onebyone.certify.verify import verify as certify

    console = Console()
    errors = Console(stderr=True, soft_wrap=True)
    try:
        if report is not None:
            _check_writable(report, (original, converted))
        with errors.status("weights") as status:
            certificate = certify(
                original,
                converted,
                inputs=inputs,
                seed=seed,
                seconds=seconds,
                progress=lambda layer: status.update(layer),
            )
        if report is not None:
            _write(report, certificate.to_json() + "\n")
    except OnebyoneError as error:
        errors.print(f"error: {error}", markup=False, highlight=False)
        raise typer.Exit(_BAD_INPUT) from None
    show(certificate, console)
    raise typer.Exit(certificate.exit_code)


def _check_writable(report: Path, models: tuple[Path, ...]) -> None:
    if report.exists() and any(m.exists() and report.samefile(m) for m in models):
        raise InputError(f"{report}: is one of the models; give --json another file")
    if report.is_dir() or not report.absolute().parent.is_dir():
        raise InputError(f"{report}: cannot be written; give --json a file in an existing folder")


def _write(report: Path, text: str) -> None:
    try:
        report.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{report}: cannot be written: {error.strerror}") from None
