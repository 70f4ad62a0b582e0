"""The command ``onebyone checkpoint``: carry a checkpoint from one form of a model to another."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from onebyone.errors import InputError


class To(StrEnum):
    """The form that the checkpoint should have."""

    LINEAR = "linear"
    CONV = "conv"
    ORIGINAL = "original"


def checkpoint(
    source: Annotated[
        Path, typer.Argument(help="A .safetensors file, its .index.json, or a torch file.")
    ],
    destination: Annotated[Path, typer.Argument(help="The file to write, of the same kind.")],
    like: Annotated[
        str,
        typer.Option(
            help="The model, by its structure: package.module:name of a model, or of a class or "
            "function that makes one without arguments; or a transformers config.json or its "
            "directory."
        ),
    ],
    to: Annotated[
        To, typer.Option(help="linear or conv: as that swap names it; original: the model's own.")
    ] = To.ORIGINAL,
) -> None:
    """Convert a checkpoint between the forms of a model, one tensor at a time."""
    try:
        import onebyone.modules.checkpoint as conversion
        from onebyone.modules.like import model_like
        from onebyone.modules.swap import to_conv, to_linear
    except ImportError as error:
        raise InputError(f"{error}; the command needs onebyone[torch]") from error
    model = model_like(like)
    if to is To.LINEAR:
        model = to_linear(model)
    elif to is To.CONV:
        model = to_conv(model)
    conversion.convert_checkpoint(source, destination, like=model)
    typer.echo(f"wrote {destination}")
