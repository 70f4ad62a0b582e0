"""A pair of models, and the short notation in which the families write them.

A body is the text of `onnx.parser` with constants between quotes: ``'2.5'`` is a float32 scalar,
``'[1, 2]i'`` an int64 vector, ``'#4x5'`` a random float32 weight (``'#4x5:7'`` another one). The
letters at the end name the element type, see `DTYPES`.
"""

from __future__ import annotations

import ast
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import ml_dtypes
import numpy as np
import onnx
from onnx import numpy_helper, parser

Label = Literal["equal", "differ"]
Feed = Mapping[str, np.ndarray]

DTYPES: dict[str, Any] = {
    "": np.float32, "f": np.float32, "d": np.float64, "h": np.float16, "e": ml_dtypes.bfloat16,
    "i": np.int64, "w": np.int32, "s": np.int16, "b": np.int8, "u": np.uint8, "v": np.uint32,
    "l": np.uint64, "z": np.bool_,
}  # fmt: skip
_LITERAL = re.compile(r"'([^']*)'")
_RANDOM = re.compile(r"#([\dx]+)(?::(\d+))?([a-z]?)$")
_DOMAINS = {"com.microsoft": 1, "loc": 1, "ai.onnx.ml": 4}


@dataclass(frozen=True)
class Program:
    """A PyTorch function and example inputs; exported when it is certified, run eagerly for truth.

    Attributes:
        function: the function of tensors, or a module.
        shapes: the shape of each argument; a string is a symbol.
        dtypes: the element type of each argument, as torch names it; float32 where there is none.
        decomposed: whether the exported program is taken apart into core operators.
    """

    function: Callable[..., Any]
    shapes: tuple[tuple[int | str, ...], ...]
    dtypes: tuple[str, ...] = ()
    decomposed: bool = False


Side = onnx.ModelProto | Program


@dataclass(frozen=True)
class Pair:
    """Two models and what is known about them by construction.

    Attributes:
        name: unique in its family.
        kind: the family.
        first: the original.
        second: the model that claims to be the same function.
        expected: what the construction says; `truth.label` must say the same.
        feeds: inputs that decide, besides those that are drawn for every pair.
        sizes: sizes of the symbols to try, besides the usual ones.
        ranges: the smallest and largest value of an input, where not all values are allowed.
        exact: the difference is of the order of rounding: compared bit for bit, on inputs whose
            results are exact (one element is one, or a small integer, the others zero).
        near: values that the inputs must meet, besides the constants of files.
        wide: values up to 1e3 are drawn, too; False where such values overflow one side only.
    """

    name: str
    kind: str
    first: Side
    second: Side
    expected: Label
    feeds: Sequence[Feed] = ()
    sizes: Sequence[Mapping[str, int]] = ()
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    exact: bool = False
    near: Sequence[float] = ()
    wide: bool = True

    @property
    def id(self) -> str:
        """The family and the name."""
        return f"{self.kind}/{self.name}"

    @property
    def is_program(self) -> bool:
        """Whether a side is a PyTorch program."""
        return isinstance(self.first, Program) or isinstance(self.second, Program)


def weight(shape: Sequence[int], seed: int = 0, dtype: Any = np.float32) -> np.ndarray:
    """A random constant of standard deviation 0.6."""
    rng = np.random.default_rng([seed, *shape])
    return (rng.standard_normal(shape) * 0.6).astype(dtype)


def literal(text: str) -> np.ndarray:
    """The constant that a quoted text stands for."""
    if found := _RANDOM.match(text):
        shape = tuple(int(n) for n in found[1].split("x"))
        return weight(shape, int(found[2] or 0), DTYPES[found[3]])
    suffix = ""
    if text[-1] in DTYPES and not text.endswith(("inf", "nan")):
        text, suffix = text[:-1], text[-1]
    value = float(text) if text.lstrip("-") in ("inf", "nan") else ast.literal_eval(text)
    return np.asarray(value).astype(DTYPES[suffix])


def model(
    signature: str,
    body: str,
    *,
    opset: int = 20,
    constants: Mapping[str, np.ndarray] | None = None,
    functions: str = "",
    ir_version: int = 10,
) -> onnx.ModelProto:
    """The model of a signature such as ``float[n,4] x => float[n,4] y`` and a body."""
    held = dict(constants or {})

    def hold(found: re.Match[str]) -> str:
        name = f"c{len(held)}"
        held[name] = literal(found[1])
        return name

    body = _LITERAL.sub(hold, body).replace(";", "\n")
    takes, gives = signature.split("=>")
    domains = {"": opset} | {d: v for d, v in _DOMAINS.items() if f"{d}." in body + functions}
    imports = ", ".join(f'"{d}": {v}' for d, v in domains.items())
    head = f"<ir_version: {ir_version}, opset_import: [{imports}]>"
    text = f"{head}\ng ({takes}) => ({gives})\n{{\n{body}\n}}\n"
    for part in filter(None, functions.split("@@")):
        text += f'<domain: "loc", opset_import: [{imports}]>\n{part.replace(";", chr(10))}\n'
    try:
        made = parser.parse_model(text)
    except parser.ParseError as error:
        raise ValueError(f"{error}\n{text}") from None
    made.graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in held.items())
    return made


# What differs from the first model: the body, or the body and options of `model`.
Change = str | tuple[str, Mapping[str, Any]]


def vary(
    kind: str,
    name: str,
    signature: str,
    body: str,
    *,
    differ: Mapping[str, Change] | None = None,
    equal: Mapping[str, Change] | None = None,
    made: Mapping[str, Any] | None = None,
    **facts: Any,
) -> Iterator[Pair]:
    """One first model against several second ones.

    Args:
        kind: the family.
        name: what the first model is called; the key of a change follows it.
        signature: of the first model, and of the second unless a change has its own.
        body: of the first model.
        differ: second models that are other functions.
        equal: second models that are the same function.
        made: options of `model` for both sides.
        facts: fields of `Pair`.
    """
    options = dict(made or {})
    first = model(signature, body, **options)
    labels: tuple[tuple[Label, Any], ...] = (("differ", differ), ("equal", equal))
    for label, changes in labels:
        for key, change in (changes or {}).items():
            text, own = (change, {}) if isinstance(change, str) else change
            own = options | dict(own)
            second = model(own.pop("signature", signature), text, **own)
            yield Pair(f"{name}.{key}", kind, first, second, label, **facts)


def seed(name: str) -> int:
    """A seed from a name, the same in every run."""
    return zlib.crc32(name.encode())
