"""A torch model by its structure alone: from an import, or from a transformers config."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from onebyone.errors import InputError


def model_like(like: str) -> nn.Module:
    """A model on the meta device: its structure, and nothing allocated.

    Args:
        like: ``package.module:name`` of a model, or of a class or function that makes one without
            arguments; or a transformers ``config.json``, or its directory.

    Raises:
        InputError: it is not found, or makes no model.
    """
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
        target: Any = importlib.import_module(module)
        for part in name.split("."):
            target = getattr(target, part)
    except (ImportError, AttributeError) as error:
        raise InputError(f"--like {like} is not found: {error}") from error
    finally:
        sys.path.remove(str(Path.cwd()))
    return target


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
