"""Find a target: one that comes with the package, or a TOML file of the user's."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from onebyone.errors import InputError
from onebyone.layout.target_files import parse_target, read_target
from onebyone.layout.targets import Target


class _Shipped(Mapping[str, Target]):
    """The targets that come with the package, by name; each is read when it is asked for."""

    def __getitem__(self, name: str) -> Target:
        if name not in shipped():
            raise KeyError(name)
        text = (_folder() / f"{name}.toml").read_text(encoding="utf-8")
        return parse_target(text, name, f"{name}.toml", self)

    def __iter__(self) -> Iterator[str]:
        return iter(shipped())

    def __len__(self) -> int:
        return len(shipped())


# The targets that come with the package, by name.
SHIPPED: Mapping[str, Target] = _Shipped()


def shipped() -> tuple[str, ...]:
    """The names of the targets that come with the package."""
    files = (entry.name for entry in _folder().iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in files if name.endswith(".toml")))


def find_target(target: str | os.PathLike[str] | Target) -> Target:
    """A target by its name, or from a TOML file.

    Raises:
        InputError: there is no such target, or the file is wrong; names the line and the cure.
    """
    if isinstance(target, Target):
        return target
    name = os.fspath(target)
    if name in shipped():
        return SHIPPED[name]
    if name.endswith(".toml") or Path(name).exists():
        return read_target(Path(name), SHIPPED)
    choices = ", ".join(shipped())
    raise InputError(f"there is no target {name!r}; choose from {choices}, or give a TOML file")


def _folder() -> Traversable:
    return resources.files("onebyone.layout") / "shipped"
