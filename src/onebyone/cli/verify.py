"""``onebyone verify``: certify that two files are the same function."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from onebyone.cli import _shared


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
    seed: _shared.Seed = None,
    seconds: _shared.Seconds = 120.0,
    memory: _shared.Memory = None,
) -> None:
    """Certify that CONVERTED is the same function as ORIGINAL.

    Exit code 0: proved; 1: they differ; 2: undecided; 3: bad input.
    """
    from onebyone.certify.render import show
    from onebyone.certify.verify import verify as certify

    files = [original, converted, *([inputs] if inputs else [])]
    _shared.check_report(report, files)
    size = _shared.memory_size(memory)
    with _shared.working("reading") as tell:
        certificate = certify(
            original,
            converted,
            inputs=inputs,
            seed=seed,
            seconds=seconds,
            memory=size,
            progress=lambda layer: tell(layer, 0, 0),
        )
    _shared.write_report(report, certificate.to_dict())
    show(certificate, _shared.console())
    raise typer.Exit(certificate.exit_code)
