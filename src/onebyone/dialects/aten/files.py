"""Exported programs in and out of ``.pt2`` files."""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
import zipfile
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from onebyone import files
from onebyone.atomic import temporary
from onebyone.errors import InputError, OutputError

SUFFIX = ".pt2"

_CURE = "give a file that torch.export.save wrote"


def as_program(model: Any) -> ExportedProgram:
    """A program, whatever it came as; it is never altered.

    Args:
        model: a path or an ``ExportedProgram``.

    Raises:
        InputError: as for `load`.
    """
    return model if isinstance(model, ExportedProgram) else load(model)


def load(path: str | os.PathLike[str]) -> ExportedProgram:
    """Read a ``.pt2`` file.

    PyTorch unpacks it; like any file of PyTorch it should come from somebody you trust.

    Raises:
        InputError: the file is missing, no program, of another version of PyTorch, or yields
            objects of a library that has not been imported.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path}: is a directory; {_CURE}")
    try:
        with path.open("rb") as file:
            known = zipfile.is_zipfile(file)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    if not known:
        raise InputError(f"{path}: this is no program of torch.export, or a truncated one; {_CURE}")
    told: list[str] = []
    try:
        with _quiet(told):
            return torch.export.load(path)
    # What a strange archive raises has no common class.
    except Exception as error:
        raise InputError(f"{path}: {_reason(error, told)}") from None


@contextlib.contextmanager
def _quiet(told: list[str]) -> Generator[None]:
    """Put what PyTorch logs while it reads into ``told``; it tells the cause of errors so."""
    logger = logging.getLogger("torch.export")
    handler = logging.Handler()
    handler.emit = lambda record: told.append(logging.Formatter().format(record))
    handlers, logger.handlers, spread = logger.handlers, [handler], logger.propagate
    logger.propagate = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.handlers, logger.propagate = handlers, spread


def _reason(error: BaseException, told: list[str]) -> str:
    """The last line that says why, of what PyTorch logged before it raised."""
    lines = [line for text in (str(error), *told) for line in text.strip().splitlines()]
    for line in reversed(lines):
        if "pytree is not registered" in line:
            what = line.partition(": ")[2] or line
            return f"{what} Import the library that defines it, then call onebyone.convert"
    return f"this program cannot be read by torch {torch.__version__}: {lines[0] if lines else ''}"


def check_output(
    path: str | os.PathLike[str], inputs: Iterable[str | os.PathLike[str]] = ()
) -> Path:
    """As `onebyone.files.check_output`.

    Raises:
        OutputError: likewise, or the suffix is another than ``.pt2``.
    """
    if Path(path).suffix.lower() != SUFFIX:
        raise OutputError(f"{path}: a PyTorch program is written to a {SUFFIX} file")
    return files.check_output(path, inputs)


def save(
    program: ExportedProgram,
    path: str | os.PathLike[str],
    *,
    inputs: Iterable[str | os.PathLike[str]] = (),
    accept: Callable[[ExportedProgram], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a program: the complete file appears at once, or none.

    Args:
        program: what is written.
        path: where to.
        inputs: files that must not be overwritten.
        accept: given the program as it is read back; what it raises keeps the file away.
        progress: told the bytes written and the bytes in all.

    Raises:
        OutputError: the path cannot be written, or has another suffix than ``.pt2``.
    """
    path = Path(path)
    check_output(path, inputs)
    try:
        with temporary(path) as file:
            with os.fdopen(os.dup(file.fd), "wb") as stream:
                torch.export.save(program, stream)
            file.sync()
            if progress is not None:
                size = os.fstat(file.fd).st_size
                progress(size, size)
            if accept is not None:
                with file.path.open("rb") as written, _quiet([]):
                    accept(torch.export.load(written))  # pyright: ignore[reportArgumentType]
            file.publish(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from None
