"""Read a target from TOML; an error names the file, the line and the cure."""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from onebyone.errors import InputError
from onebyone.layout.targets import CLASSES, FORMS, Price, Target

_LARGEST = 1_000_000
_COSTS = (
    "move",
    "move_overhead",
    "reshape",
    "spelled_norm",
    "token_as_batch",
    "softmax_inside",
    "changed",
    "margin",
)
_PRICE = ("mac", "data", "weight", "layer")
# Every table with its keys; "" is the top of the file.
_KEYS: dict[str, tuple[str, ...]] = {
    "": ("name", "base", "form", "strided", "cost", "refuse"),
    "cost": (*_COSTS, "conv", "linear"),
    "cost.conv": _PRICE,
    "cost.linear": _PRICE,
    "refuse": ("names", "classes"),
}


def read_target(path: Path, bases: Mapping[str, Target]) -> Target:
    """A target from a TOML file.

    Args:
        path: the file.
        bases: the targets that a file may start from, by name.

    Raises:
        InputError: the file cannot be read, or an entry is wrong.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise InputError(f"{path}: too large for a target; give a TOML file of a few lines")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot read the target: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: this is no text; give a TOML file") from None
    return parse_target(text, path.stem, str(path), bases)


def parse_target(text: str, name: str, where: str, bases: Mapping[str, Target]) -> Target:
    """A target from TOML text.

    Args:
        text: the TOML.
        name: the target's name where the text gives none.
        where: how errors call the text.
        bases: the targets that the text may start from, by name.

    Raises:
        InputError: names ``where``, the line, the fact and the cure.
    """
    return _File(text, where).target(name, bases)


class _File:
    def __init__(self, text: str, where: str) -> None:
        self.text, self.where = text, where
        try:
            self.data: dict[str, Any] = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            position = re.search(r"\(at (?:line (\d+)|end)", str(error))
            line = position[1] if position and position[1] else str(max(text.count("\n"), 1))
            fact = re.sub(r" \(at .*\)", "", str(error))
            raise InputError(f"{where}, line {line}: no valid TOML: {fact}") from None
        except RecursionError:
            raise InputError(f"{where}: no valid TOML: nested too deeply") from None

    def target(self, name: str, bases: Mapping[str, Target]) -> Target:
        for table in _KEYS:
            self._check_keys(table)
        costs, refuse = self._table("cost"), self._table("refuse")
        base = Target(name, "conv")
        if "base" in self.data:
            base = bases[self._one_of("", "base", tuple(bases))]
        changes: dict[str, Any] = {"name": name}
        if "name" in self.data:
            changes["name"] = self._entry("", "name", _is_text, "a text in quotes")
        if "form" in self.data:
            changes["form"] = self._one_of("", "form", FORMS)
        elif "base" not in self.data:
            raise InputError(f'{self.where}: form is missing; write form = "conv" or a base')
        if "strided" in self.data:
            cure = "true or false"
            changes["strided"] = self._entry("", "strided", _is_flag, cure)
        for key in _COSTS:
            if key == "spelled_norm" and costs.get(key) is False:
                changes[key] = None
            elif key in costs:
                cure = "a number that is not negative"
                cure += ", or false to forbid it" if key == "spelled_norm" else ""
                changes[key] = float(self._entry("cost", key, _is_cost, cure))
        for form in ("conv", "linear"):
            if form in costs:
                changes[form] = self._price(f"cost.{form}", getattr(base, form))
        if "names" in refuse:
            patterns = self._entry("refuse", "names", _is_texts, 'a list such as ["*attn*"]')
            changes["refuse"] = tuple(patterns)
        if "classes" in refuse:
            wanted = self._entry("refuse", "classes", _is_texts, 'a list such as ["head"]')
            for word in wanted:
                if word not in CLASSES:
                    self._fail("refuse", "classes", f"there is no class {word!r}", word, CLASSES)
            changes["refuse_classes"] = tuple(wanted)
        return replace(base, **changes)

    def _price(self, table: str, base: Price) -> Price:
        entries = self._table(table)
        cure = "a number that is not negative"
        return replace(base, **{k: float(self._entry(table, k, _is_cost, cure)) for k in entries})

    def _table(self, table: str) -> Mapping[str, Any]:
        entries: Any = self.data
        parts = table.split(".") if table else []
        for depth, part in enumerate(parts):
            entries = entries.get(part, {})
            if not isinstance(entries, dict):
                self._fail(".".join(parts[:depth]), part, f"is no table; write [{table}]")
        return entries

    def _check_keys(self, table: str) -> None:
        known = _KEYS[table]
        for key in self._table(table):
            if key not in known:
                self._fail(table, key, "is not known", key, known)

    def _entry(self, table: str, key: str, fits: Callable[[Any], bool], cure: str) -> Any:
        value = self._table(table)[key]
        if not fits(value):
            self._fail(table, key, f"is {str(value)[:40]!r}; write {cure}")
        return value

    def _one_of(self, table: str, key: str, choices: tuple[str, ...]) -> str:
        value = self._table(table)[key]
        if value not in choices:
            self._fail(table, key, f"is {str(value)[:40]!r}", str(value), choices)
        return value

    def _fail(
        self,
        table: str,
        key: str,
        fact: str,
        wrong: str = "",
        choices: tuple[str, ...] = (),
    ) -> None:
        close = difflib.get_close_matches(wrong, choices, 1)
        cure = f"; choose from {', '.join(choices)}" if choices else ""
        cure = f"; did you mean {close[0]}?" if close else cure
        line = self._line(table, key)
        full = f"{table}.{key}" if table else key
        raise InputError(f"{self.where}, line {line}: {full} {fact}{cure}")

    def _line(self, table: str, key: str) -> int:
        """The line where a key stands: tomllib does not tell.

        A key of a table may be written under ``[table]``, as ``table.key``, or inside braces.
        """
        here, best, rank = "", 1, 0
        for number, line in enumerate(self.text.splitlines(), 1):
            if header := re.match(r"\s*\[\s*([^\[\]]+?)\s*\]", line):
                here = re.sub(r"[\s\"']", "", header[1])
                left = here
            elif entry := re.match(r"\s*([\w.\-\"' ]+?)\s*=", line):
                written = re.sub(r"[\s\"']", "", entry[1])
                left = f"{here}.{written}" if here else written
            else:
                continue
            wanted = f"{table}.{key}" if table else key
            # The key itself, or else the entry or header around it, the innermost first.
            if left == wanted or left.startswith(f"{wanted}."):
                return number
            if table and (table == left or table.startswith(f"{left}.")) and len(left) > rank:
                best, rank = number, len(left)
        return best


def _is_cost(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value) and 0 <= value <= 1e15


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 100 and value.isprintable()


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(_is_text(item) for item in value)  # pyright: ignore
