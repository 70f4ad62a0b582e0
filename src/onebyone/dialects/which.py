"""Which dialect a model belongs to, told without importing any framework."""

from __future__ import annotations

from pathlib import Path
from typing import Any

PROGRAM_SUFFIX = ".pt2"


def is_program(model: Any) -> bool:
    """Whether a model is a PyTorch program: a ``.pt2`` path or an ``ExportedProgram``."""
    if isinstance(model, (str, Path)) or hasattr(model, "__fspath__"):
        return str(model).lower().endswith(PROGRAM_SUFFIX)
    kind = type(model)
    return kind.__name__ == "ExportedProgram" and kind.__module__.startswith("torch.")
