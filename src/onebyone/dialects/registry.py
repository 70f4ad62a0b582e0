"""Which dialect a model belongs to, told without importing any framework."""

from __future__ import annotations

import importlib
import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onebyone.dialects.protocol import Dialect, Model
from onebyone.errors import InputError


@dataclass(frozen=True)
class Entry:
    """A row of the table: how models of a dialect are told, and where the dialect is.

    Attributes:
        home: module with the dialect, as its name ``DIALECT``.
        suffixes: of its files, lower case.
        classes: of its models in memory, as ``module.Class``; a subclass counts, too.
        needs: package that it cannot do without.
        missing: what a user is told where that is not installed.
    """

    home: str
    suffixes: tuple[str, ...]
    classes: tuple[str, ...]
    needs: str = ""
    missing: str = ""

    def owns(self, model: object) -> bool:
        """Whether a path or an object is a model of this dialect."""
        if isinstance(model, (str, os.PathLike)):
            return Path(os.fspath(model)).suffix.lower() in self.suffixes  # pyright: ignore[reportUnknownArgumentType]
        names = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(model).__mro__}
        return not names.isdisjoint(self.classes)


# The last one is asked about whatever no other owns: it says what is wrong with it.
ENTRIES: tuple[Entry, ...] = (
    Entry(
        "onebyone.dialects.aten.dialect",
        (".pt2",),
        ("torch.export.exported_program.ExportedProgram",),
        "torch",
        "PyTorch programs need torch: pip install 'onebyone[torch]'",
    ),
    Entry(
        "onebyone.dialects.onnx.dialect",
        (".onnx",),
        ("onnx.onnx_ml_pb2.ModelProto", "onnx_ir.Model"),
    ),
)


def entry_of(model: object) -> Entry:
    """The row of a model's dialect; that of ONNX where no other owns it."""
    return next((entry for entry in ENTRIES if entry.owns(model)), ENTRIES[-1])


def dialect_of(model: object) -> Dialect[Any, Any]:
    """The dialect of a model.

    Args:
        model: a path, or a model in memory.

    Raises:
        InputError: a package that the dialect needs is not installed.
    """
    entry = entry_of(model)
    if entry.needs and importlib.util.find_spec(entry.needs) is None:
        raise InputError(entry.missing)
    return importlib.import_module(entry.home).DIALECT


def opened(model: Any) -> Model:
    """A model of any dialect, for the certificate.

    Raises:
        InputError: the model cannot be read, or a package that its dialect needs is missing.
    """
    return dialect_of(model).opened(model)
