"""Which dialect a model belongs to, told without importing any framework."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onebyone.errors import InputError

if TYPE_CHECKING:
    from onebyone.dialects.protocol import Model

PROGRAM_SUFFIX = ".pt2"


def is_program(model: Any) -> bool:
    """Whether a model is a PyTorch program: a ``.pt2`` path or an ``ExportedProgram``."""
    if isinstance(model, (str, Path)) or hasattr(model, "__fspath__"):
        return str(model).lower().endswith(PROGRAM_SUFFIX)
    kind = type(model)
    return kind.__name__ == "ExportedProgram" and kind.__module__.startswith("torch.")


def need_torch() -> None:
    """Refuse PyTorch programs where torch is not installed.

    Raises:
        InputError: torch is not installed.
    """
    if importlib.util.find_spec("torch") is None:
        raise InputError("PyTorch programs need torch: pip install 'onebyone[torch]'")


def opened(model: Any) -> Model:
    """A model of any dialect, for the certificate.

    Raises:
        InputError: the model cannot be read, or is a PyTorch program and torch is not installed.
    """
    if is_program(model):
        need_torch()
        from onebyone.dialects.aten.run.model import ExportedModel

        return ExportedModel(model)
    from onebyone.dialects.onnx.run.model import OnnxModel

    return OnnxModel(model)
