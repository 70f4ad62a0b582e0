"""The inputs that both models are given: ports matched, dimensions fixed, values drawn."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from onebyone.certify.modular import Field
from onebyone.dialects.protocol import Model, Port
from onebyone.errors import InputError
from onebyone.kernels.arithmetic import Arithmetic, Array, Float64, Tensor

# Sizes tried for symbols, in order: (batch, images' sides, sides of other tensors). Networks that
# halve their input five times need multiples of 32.
_SIZES: tuple[tuple[int, int, int], ...] = ((2, 64, 6), (1, 32, 8), (1, 224, 16), (3, 48, 32))
_INTEGERS = "iu"


class SignatureError(Exception):
    """The two models do not take the same inputs or do not give the same outputs."""


@dataclass(frozen=True)
class Shapes:
    """A size for each input of the two models.

    Attributes:
        sizes: input name of the first model -> shape.
        symbols: what each symbol was set to, for the report.
    """

    sizes: dict[str, tuple[int, ...]]
    symbols: dict[str, int]


@dataclass(frozen=True)
class Ports:
    """The inputs and outputs of two models, paired: (name in the first, name in the second)."""

    inputs: tuple[tuple[Port, Port], ...]
    outputs: tuple[tuple[Port, Port], ...]


def pair(a: Model, b: Model) -> Ports:
    """Pair inputs and outputs.

    Two files go by name, or by position where the names differ. Callers of a program tell its
    arguments and results apart by position: two programs are paired so, and so are a program's
    results and those of a file; its arguments go by name where the file has the same names.

    Buffers that a program changes are inputs and outputs of it, as well. A file keeps nothing
    between two runs: against one, the program's buffers are as stored, and what it leaves in
    them is not compared.

    Raises:
        SignatureError: number, type or shape of a port differs.
    """
    stateful = a.positional and b.positional
    inputs, outputs = (
        [tuple(p for p in ports if stateful or not p.state) for ports in pair]
        for pair in ((a.inputs, b.inputs), (a.outputs, b.outputs))
    )
    return Ports(
        _pair(inputs[0], inputs[1], "input", a.positional and b.positional),
        _pair(outputs[0], outputs[1], "output", a.positional or b.positional),
    )


def _pair(
    first: tuple[Port, ...], second: tuple[Port, ...], what: str, by_position: bool
) -> tuple[tuple[Port, Port], ...]:
    if len(first) != len(second):
        raise SignatureError(f"{len(first)} {what}s in the first, {len(second)} in the second")
    named = {p.name: p for p in second}
    if not by_position and set(named) == {p.name for p in first}:
        pairs = tuple((p, named[p.name]) for p in first)
    else:
        pairs = tuple(zip(first, second, strict=True))
    for p, q in pairs:
        if "unknown" not in (p.dtype, q.dtype) and p.dtype != q.dtype:
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


def shapes(ports: Ports, given: Mapping[str, Array]) -> Iterator[Shapes]:
    """Ways to fix the dimensions of both models alike, small ones first.

    Args:
        ports: the paired ports.
        given: inputs from the user; their shapes are used as they are.
    """
    dims = {p.name: _dims(p, q, given.get(p.name)) for p, q in ports.inputs}
    tried: list[dict[str, tuple[int, ...]]] = []
    for batch, side, other in _SIZES:
        symbols: dict[str, int] = {}
        for axes in dims.values():
            for size, symbol in axes:
                if size is not None:
                    symbols.setdefault(symbol, size)
        for axes in dims.values():
            image = len(axes) == 4
            for place, (size, symbol) in enumerate(axes):
                if size is None and not _EXPRESSION.fullmatch(symbol):
                    default = side if image else other
                    default = batch if place == 0 else 3 if image and place == 1 else default
                    symbols.setdefault(symbol, default)
        sizes = {
            name: tuple(
                n if n is not None else _evaluate(symbol, symbols, other) for n, symbol in axes
            )
            for name, axes in dims.items()
        }
        if sizes not in tried:
            tried.append(sizes)
            yield Shapes(sizes, symbols)


# A size that exporters write as a sum or product of others: "past_length + 1", "2*s1".
_EXPRESSION = re.compile(r"\s*(\w+)\s*(?:[+*-]\s*\w+\s*)+")


def _dims(p: Port, q: Port, value: Array | None) -> list[tuple[int | None, str]]:
    """For each axis its size, where the user or one of the files says it, and its symbol."""
    shape = p.shape if p.shape is not None else q.shape
    if value is not None:
        shape = shape or (None,) * value.ndim
    elif shape is None:
        raise InputError(f"input {p.name} has no rank in the file; give its value with --inputs")
    other = q.shape if q.shape is not None else shape
    out: list[tuple[int | None, str]] = []
    for place, pair in enumerate(zip(shape, other, strict=True)):
        size = next((d for d in pair if isinstance(d, int) and d >= 0), None)
        named = next((d for d in pair if isinstance(d, str) and d != "?"), None)
        size = size if value is None else value.shape[place]
        out.append((size, named or f"{p.name}[{place}]"))
    return out


def _evaluate(text: str, symbols: Mapping[str, int], default: int) -> int:
    """The value of a symbol, or of an expression of symbols and numbers from left to right."""
    if text in symbols:
        return symbols[text]
    first, *rest = re.findall(r"\w+|[+*-]", text)
    total = _operand(first, symbols, default)
    for sign, word in zip(rest[::2], rest[1::2], strict=False):
        value = _operand(word, symbols, default)
        total = total * value if sign == "*" else total + value if sign == "+" else total - value
    return max(total, 1)


def _operand(word: str, symbols: Mapping[str, int], default: int) -> int:
    return int(word) if word.isdecimal() else symbols.get(word, default)


def draws(
    a: Model, b: Model, ports: Ports, shape: Shapes, given: Mapping[str, Array], seed: int
) -> list[dict[str, Array]]:
    """`draw`, and where it drew masks the same with nothing hidden.

    A mistake behind a mask may be a division of nothing by nothing, whose result no error bound
    can judge; with nothing hidden it shows.
    """
    hidden = draw(a, b, ports, shape, given, seed)
    shown = draw(a, b, ports, shape, given, seed, hide=False)
    same = all(np.array_equal(hidden[name], shown[name]) for name in hidden)
    return [hidden] if same else [hidden, shown]


def draw(
    a: Model,
    b: Model,
    ports: Ports,
    shape: Shapes,
    given: Mapping[str, Array],
    seed: int,
    *,
    hide: bool = True,
) -> dict[str, Array]:
    """Values for the inputs of the first model: normal floats, indices, masks of 0 and 1.

    Args:
        a: the first model.
        b: the second model; an index stays inside the tables of both.
        ports: their inputs and outputs, paired.
        shape: a size for each input.
        given: inputs from the user, by name; they are taken as they are.
        seed: of everything that is drawn.
        hide: whether masks hide a part; else they are 1 everywhere.

    Raises:
        InputError: an input has a type that cannot be drawn.
    """
    rng = np.random.default_rng(seed)
    bounds = [p.index_bounds() for p in (a, b)]
    values: dict[str, Array] = {}
    for p, q in ports.inputs:
        size = shape.sizes[p.name]
        if p.name in given:
            values[p.name] = given[p.name]
            continue
        try:
            dtype = np.dtype(getattr(ml_dtypes, p.dtype, p.dtype))
        except TypeError:
            raise InputError(
                f"input {p.name} is {p.dtype}, which cannot be drawn; give it with --inputs"
            ) from None
        if dtype.kind in _INTEGERS:
            bound = min(bounds[0].get(p.name, 2), bounds[1].get(q.name, 2), 1 << 15)
            drawn = rng.integers(0, max(bound, 1), size)
            if bound == 2 and drawn.ndim:
                # A mask that hides everything leaves nothing to compare.
                drawn[..., slice(0, 1) if hide else slice(None)] = 1
            values[p.name] = drawn.astype(dtype)
        elif dtype.kind == "b":
            values[p.name] = rng.integers(0 if hide else 1, 2, size).astype(bool)
        elif dtype.kind in "fV":
            values[p.name] = rng.standard_normal(size).astype(dtype)
        else:
            raise InputError(f"input {p.name} is {p.dtype}; give its value with --inputs")
    return values


def embedded(ar: Arithmetic, values: Mapping[str, Array], seed: int) -> dict[str, Tensor]:
    """The inputs in an arithmetic: exact numbers in float64, a random point in a field.

    Args:
        ar: the arithmetic.
        values: arrays by name; integers and booleans are exact in any arithmetic.
        seed: of the random point.
    """
    rng = np.random.default_rng(seed)
    out: dict[str, Tensor] = {}
    for name, value in values.items():
        if value.dtype.kind in "biu":
            out[name] = value
        elif isinstance(ar, Field):
            out[name] = ar.random(value.shape, rng)
        else:
            out[name] = ar.constant(value.astype(np.float64))
    return out


def renamed(values: Mapping[str, Any], ports: Ports) -> dict[str, Any]:
    """Inputs of the first model under the names of the second."""
    return {q.name: values[p.name] for p, q in ports.inputs}


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


def truth(model: Model, values: Mapping[str, Array]) -> dict[str, Array]:
    """The outputs in float64, by name."""
    ar = Float64()
    outputs = model.run(ar, embedded(ar, values, 0))
    return {name: np.asarray(value) for name, value in outputs.items()}
