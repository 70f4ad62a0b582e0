"""The command ``onebyone checkpoint``: carry a checkpoint from one form of a model to another."""

from __future__ import annotations

import importlib
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from onebyone.errors import InputError

if TYPE_CHECKING:
    from torch import nn


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
        from onebyone.modules.swap import to_conv, to_linear
    except ImportError as error:
        raise InputError(f"{error}; the command needs onebyone[torch]") from error
    model = _model(like)
    if to is To.LINEAR:
        model = to_linear(model)
    elif to is To.CONV:
        model = to_conv(model)
    conversion.convert_checkpoint(source, destination, like=model)
    typer.echo(f"wrote {destination}")


def _model(like: str) -> nn.Module:
    import torch
    from torch import nn

    make = _from_config(Path(like)) if Path(like).exists() else _from_import(like)
    if isinstance(make, nn.Module):
        return make
    if not callable(make):
        raise InputError(
            f"--like {like} is a {type(make).__name__}: name a model or what makes one"
        )
    try:
        # Only the structure is needed: nothing is allocated on the meta device.
        with torch.device("meta"):
            model = make()
    except Exception as error:
        raise InputError(f"--like {like} cannot be built without arguments: {error}") from error
    if not isinstance(model, nn.Module):
        raise InputError(f"--like {like} makes a {type(model).__name__}, no torch.nn.Module")
    return model


def _from_import(like: str) -> Any:
    module, _, name = like.partition(":")
    if not module or not name:
        raise InputError(f"--like {like}: give package.module:name, or a config.json that exists")
    # As `python -m` does, so that a model beside the checkpoint is found.
    sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise InputError(f"--like {like} is not found: {error}") from error
    finally:
        sys.path.remove(str(Path.cwd()))
    return found


def _from_config(path: Path) -> Any:
    try:
        import transformers
    except ImportError as error:
        raise InputError(f"--like {path} needs transformers: pip install transformers") from error
    try:
        config = transformers.AutoConfig.from_pretrained(
            path.parent if path.is_file() else path, local_files_only=True
        )
        cls = getattr(transformers, (config.architectures or ["no architecture"])[0])
    except (OSError, ValueError, TypeError, AttributeError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"--like {path} names no transformers model: {first}") from error
    return lambda: cls(config)
