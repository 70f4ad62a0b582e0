"""Toy models in memory and in ``.toy`` files: JSON, weights in hexadecimal."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from onebyone import atomic, files
from onebyone.errors import InputError, OutputError

Array = np.ndarray[Any, Any]


@dataclass(eq=False)
class ToyNode:
    """``output = op(*inputs, **facts)``; its name is that of its output."""

    op: str
    inputs: tuple[str, ...]
    output: str
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(eq=False)
class ToyModel:
    """A model: inputs with their shapes, constants, nodes in order, outputs by name."""

    inputs: dict[str, tuple[int, ...]]
    constants: dict[str, Array]
    nodes: list[ToyNode]
    outputs: tuple[str, ...]


def load(model: ToyModel | str | os.PathLike[str], dims: Mapping[str, int]) -> ToyModel:
    """A copy of a model, or a model from a file."""
    if dims:
        raise InputError("a toy has no symbolic dimensions")
    if isinstance(model, ToyModel):
        nodes = [ToyNode(n.op, n.inputs, n.output, dict(n.facts)) for n in model.nodes]
        return ToyModel(dict(model.inputs), dict(model.constants), nodes, model.outputs)
    try:
        data = json.loads(Path(model).read_text())
        constants = {
            name: np.frombuffer(bytes.fromhex(bits), np.float32).reshape(shape)
            for name, (shape, bits) in data["constants"].items()
        }
        nodes = [ToyNode(op, tuple(ins), out, facts) for op, ins, out, facts in data["nodes"]]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{model}: this is no toy: {error}") from None
    shapes = {name: tuple(shape) for name, shape in data["inputs"].items()}
    return ToyModel(shapes, constants, nodes, tuple(data["outputs"]))


def check_output(
    path: str | os.PathLike[str], inputs: Iterable[str | os.PathLike[str]] = ()
) -> None:
    """Refuse an output before any work is done."""
    files.check_output(path, inputs)


def save(
    model: ToyModel,
    path: str | os.PathLike[str],
    *,
    inputs: Iterable[str | os.PathLike[str]] = (),
    accept: Callable[[Any], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a model, complete or not at all."""
    target = files.check_output(path, inputs)
    data = {
        "inputs": model.inputs,
        "constants": {
            name: (array.shape, np.ascontiguousarray(array).tobytes().hex())
            for name, array in model.constants.items()
        },
        "nodes": [(n.op, n.inputs, n.output, n.facts) for n in model.nodes],
        "outputs": model.outputs,
    }
    text = json.dumps(data).encode()
    try:
        with atomic.temporary(target) as file:
            file.write(text)
            if progress is not None:
                progress(len(text), len(text))
            if accept is not None:
                accept(load(file.path, {}))
            file.publish(target)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from None
