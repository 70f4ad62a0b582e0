"""Inputs and outputs of two models, paired, and a size for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from onebyone.dialects.protocol import Model, Port
from onebyone.errors import InputError
from onebyone.kernels.arithmetic import Array

_REAL = ("float", "bfloat")


class SignatureError(Exception):
    """The two models do not take the same inputs or do not give the same outputs."""


@dataclass(frozen=True)
class Shapes:
    """A size for each input of the two models.

    Attributes:
        sizes: input name of the first model -> shape.
        symbols: what each symbol was set to, for the report.
        relations: what had to hold between symbols so that the first model runs.
    """

    sizes: dict[str, tuple[int, ...]]
    symbols: dict[str, int]
    relations: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ports:
    """The inputs and outputs of two models, paired: (name in the first, name in the second)."""

    inputs: tuple[tuple[Port, Port], ...]
    outputs: tuple[tuple[Port, Port], ...]


def pair(a: Model, b: Model, *, widths: bool = False) -> Ports:
    """Pair inputs and outputs.

    Two files go by name, or by position where the names differ. Callers of a program tell its
    arguments and results apart by position: two programs are paired so, and so are a program's
    results and those of a file; its arguments go by name where the file has the same names.

    Buffers that a program changes are inputs and outputs of it, as well. A file keeps nothing
    between two runs: against one, the program's buffers are as stored, and what it leaves in
    them is not compared.

    Args:
        a: the first model.
        b: the second model.
        widths: whether real types of other widths go together, too.

    Raises:
        SignatureError: number, type or shape of a port differs.
    """
    stateful = a.positional and b.positional
    inputs, outputs = (
        [tuple(p for p in ports if stateful or not p.state) for ports in pair]
        for pair in ((a.inputs, b.inputs), (a.outputs, b.outputs))
    )
    needed, defaults = _needed(*inputs)
    return Ports(
        (*_pair(*needed, "input", a.positional and b.positional, widths), *defaults),
        _pair(outputs[0], outputs[1], "output", a.positional or b.positional, widths),
    )


def _needed(
    first: tuple[Port, ...], second: tuple[Port, ...]
) -> tuple[tuple[tuple[Port, ...], tuple[Port, ...]], tuple[tuple[Port, Port], ...]]:
    """The inputs that a caller of the first gives, and the pairs that both have defaults for.

    What only the second has a default for is given as to the first. A default that the second has
    made a constant of is none any more: whoever keeps it does not see that.
    """
    named = {q.name: q for q in second}
    needed = tuple(p for p in first if p.default is None)
    names = {p.name for p in needed}
    pairs = tuple(
        (p, q)
        for p in first
        if p.default is not None
        and (q := named.get(p.name)) is not None
        and q.default is not None
        and (p.dtype, p.shape) == (q.dtype, q.shape)
    )
    return (needed, tuple(q for q in second if q.default is None or q.name in names)), pairs


def _pair(
    first: tuple[Port, ...], second: tuple[Port, ...], what: str, by_position: bool, widths: bool
) -> tuple[tuple[Port, Port], ...]:
    if len(first) != len(second):
        raise SignatureError(f"{len(first)} {what}s in the first, {len(second)} in the second")
    named = {p.name: p for p in second}
    if not by_position and set(named) == {p.name for p in first}:
        pairs = tuple((p, named[p.name]) for p in first)
    else:
        pairs = tuple(zip(first, second, strict=True))
    for p, q in pairs:
        wide = widths and all(t.startswith(_REAL) for t in (p.dtype, q.dtype))
        if "unknown" not in (p.dtype, q.dtype) and p.dtype != q.dtype and not wide:
            raise SignatureError(
                f"{what} {p.name} is {p.dtype} in the first, {q.dtype} in the second"
            )
        if p.shape is None or q.shape is None:
            continue
        same = len(p.shape) == len(q.shape) and all(
            m == n for m, n in zip(p.shape, q.shape, strict=True)
            if isinstance(m, int) and isinstance(n, int) and min(m, n) >= 0
        )  # fmt: skip
        if not same:
            raise SignatureError(
                f"{what} {p.name} has shape {_text(p)} in the first, {_text(q)} in the second"
            )
    return pairs


def _text(port: Port) -> str:
    return "?" if port.shape is None else "[" + ", ".join(map(str, port.shape)) + "]"


def renamed(values: Mapping[str, Any], ports: Ports) -> dict[str, Any]:
    """Inputs of the first model under the names of the second, real ones in its types."""
    renamed: dict[str, Any] = {}
    for p, q in ports.inputs:
        if p.name in values:
            value = values[p.name]
            if p.dtype != q.dtype and q.dtype.startswith(_REAL):
                value = value.astype(np.dtype(getattr(ml_dtypes, q.dtype, q.dtype)))
            renamed[q.name] = value
    return renamed


def check_given(given: Mapping[str, Array], model: Model) -> None:
    """Refuse user inputs that are no inputs of the model, or of the wrong type or rank."""
    ports = {p.name: p for p in model.inputs}
    for name, value in given.items():
        port = ports.get(name)
        if port is None:
            raise InputError(f"{name!r} is no input of {model.label}; it has {', '.join(ports)}")
        if port.dtype not in ("unknown", str(value.dtype)):
            raise InputError(f"input {name} must be {port.dtype}, not {value.dtype}")
        if port.shape is not None and (
            len(port.shape) != value.ndim
            or any(
                isinstance(d, int) and d != n for d, n in zip(port.shape, value.shape, strict=True)
            )
        ):
            raise InputError(f"input {name} must be {_text(port)}, not {list(value.shape)}")
