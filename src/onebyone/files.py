"""Files that the package writes: refused before any work is done, complete or not there at all."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

from onebyone import atomic
from onebyone.errors import OutputError


def check_output(
    path: str | os.PathLike[str],
    inputs: Iterable[str | os.PathLike[str]] = (),
    referenced: Callable[[Path], set[str]] | None = None,
) -> Path:
    """Refuse an output before any work is done; remove what a killed run left in its folder.

    Args:
        path: where the result shall go.
        inputs: files that must not be overwritten.
        referenced: names of the data files that a file of this kind refers to, where it may; see
            `onebyone.atomic.remove_stale`.

    Returns:
        The path with symbolic links resolved.

    Raises:
        OutputError: it is an input, a directory, no regular file, or not writable.
    """
    try:
        target = Path(os.path.realpath(path))
        for source in inputs:
            if target == Path(os.path.realpath(source)) or _same_file(target, source):
                raise OutputError(f"{path} is the input itself; give another output path")
        if target.is_dir():
            raise OutputError(f"{path} is a directory; give the name of a file in it")
        if target.exists() and not stat.S_ISREG(target.stat().st_mode):
            raise OutputError(f"{path} is no regular file; give the name of a file")
        if not target.parent.is_dir():
            raise OutputError(f"{path}: folder {target.parent} does not exist; create it first")
        atomic.remove_stale(target.parent, referenced)
        with atomic.temporary(target):
            return target
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"{path} cannot be written: {reason}") from None


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file that appears complete or not at all.

    Raises:
        OutputError: as for `check_output`.
    """
    target = check_output(path)
    try:
        with atomic.temporary(target) as file:
            file.write(text.encode())
            file.publish(target)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from None


def _same_file(target: Path, source: str | os.PathLike[str]) -> bool:
    try:
        return target.samefile(source)
    except OSError:
        return False
