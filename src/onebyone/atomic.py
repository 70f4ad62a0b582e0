"""Files that appear complete or not at all, and leave nothing behind.

A temporary file beside the target holds a lock while its process lives, so the next run can tell
what a killed run left from what another run is writing. Its name tells what it was for:
``.TARGET.TOKEN.onebyone``. The token of a model's temporary is the identity of its data file, so
that a data file which was renamed into place just before the kill is found as well.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import stat
from collections.abc import Callable, Generator
from pathlib import Path

_SUFFIX = ".onebyone"
_BLOCK = 1 << 24


class Temporary:
    """A file beside ``target``, locked, that becomes ``target`` by `publish` or vanishes."""

    def __init__(self, target: Path, token: str) -> None:
        self.path = target.parent / f".{target.name}.{token}{_SUFFIX}"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
        self.fd = os.open(self.path, flags, 0o666)
        fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def identity(self) -> str:
        """Inode and time of change: what a rename does not alter."""
        return identity(os.fstat(self.fd))

    def write(self, data: bytes | memoryview) -> None:
        """Append all of ``data``."""
        view = memoryview(data).cast("B")
        while view:
            view = view[os.write(self.fd, view[:_BLOCK]) :]

    def sync(self) -> None:
        """Wait until the bytes are on the disk."""
        os.fsync(self.fd)

    def publish(self, target: Path) -> None:
        """Give the file its name, replacing what is there in one step."""
        with contextlib.suppress(OSError):
            os.fchmod(self.fd, stat.S_IMODE(target.stat().st_mode))
        self.path.replace(target)

    def close(self) -> None:
        """Release the lock, and remove the file if it was not published."""
        with contextlib.suppress(FileNotFoundError):
            # Only our own: after `publish` another run may have reused the name.
            if os.path.samestat(self.path.stat(), os.fstat(self.fd)):
                self.path.unlink()
        os.close(self.fd)


@contextlib.contextmanager
def temporary(target: Path, token: str | None = None) -> Generator[Temporary]:
    """A temporary for ``target``, removed on any exception, Ctrl-C included."""
    file = Temporary(target, token or secrets.token_hex(6))
    try:
        yield file
    finally:
        file.close()


def identity(status: os.stat_result) -> str:
    """See `Temporary.identity`."""
    return f"{status.st_ino:x}-{status.st_mtime_ns:x}"


def remove_stale(folder: Path, referenced: Callable[[Path], set[str]] | None = None) -> None:
    """Remove what killed runs left in a folder.

    Args:
        folder: where to look.
        referenced: names of the data files that a file refers to. None: what has left data files
            behind is for somebody who knows.
    """
    pattern = re.compile(rf"\.(.+)\.([0-9a-f-]+){re.escape(_SUFFIX)}")
    for path in folder.glob(f".*{_SUFFIX}"):
        match = pattern.fullmatch(path.name)
        if match is None or path.is_symlink() or not path.is_file():
            continue
        with contextlib.suppress(OSError):
            fd = os.open(path, os.O_RDWR)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue  # Its process lives.
            finally:
                os.close(fd)
            target = folder / match[1]
            data = _data_of(target, match[2])
            if data and referenced is None:
                continue
            for file in data:
                if referenced is not None and file.name not in referenced(target):
                    file.unlink()
            path.unlink()


def _data_of(target: Path, token: str) -> list[Path]:
    """The data files beside ``target`` whose identity a temporary has for its token."""
    files = target.parent.glob(f"{_escaped(target.name)}*.data")
    return [file for file in files if identity(file.lstat()) == token]


def _escaped(name: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", name)
