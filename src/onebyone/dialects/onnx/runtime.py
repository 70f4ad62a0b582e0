"""ONNX Runtime as the certificate needs it: run a model with its optimizations off or on."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as state

from onebyone.dialects.onnx.program import Program
from onebyone.dialects.reference.arithmetic import Array

# Beyond this a model in memory is handed over as a file; protobuf stops at 2 GB.
_IN_MEMORY = 1 << 30


class RuntimeUnableError(Exception):
    """The runtime has no kernel for an operator or type of the model: nothing is known."""


class RuntimeRefusesError(Exception):
    """The runtime calls the model invalid, or fails to run it on these inputs."""


class Session:
    """A model loaded in ONNX Runtime on the CPU.

    Raises:
        RuntimeUnableError: the runtime does not implement something in the model.
        RuntimeRefusesError: the runtime calls the model invalid.
    """

    def __init__(self, program: Program, *, optimize: bool) -> None:
        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.graph_optimization_level = (
            ort.GraphOptimizationLevel.ORT_ENABLE_ALL
            if optimize
            else ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        )
        with _translated(), _loadable(program) as source:
            self._session = ort.InferenceSession(source, options, ["CPUExecutionProvider"])

    def run(self, values: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs by name."""
        names = [o.name for o in self._session.get_outputs()]
        wanted = {i.name for i in self._session.get_inputs()}
        feed = {name: value for name, value in values.items() if name in wanted}
        with _translated():
            outputs: list[Any] = self._session.run(names, feed)  # pyright: ignore[reportAssignmentType]
        return dict(zip(names, outputs, strict=True))


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (state.NotImplemented, state.EPFail) as error:
        raise RuntimeUnableError(_line(error)) from None
    except (
        state.Fail, state.InvalidArgument, state.InvalidGraph, state.InvalidProtobuf,
        state.RuntimeException, ValueError, RuntimeError,
    ) as error:  # fmt: skip
        text = _line(error)
        if "NOT_IMPLEMENTED" in text or "is not supported" in text or "not implemented" in text:
            raise RuntimeUnableError(text) from None
        raise RuntimeRefusesError(text) from None


@contextlib.contextmanager
def _loadable(program: Program) -> Iterator[str | bytes]:
    source = program.source
    if isinstance(source, (str, os.PathLike)):
        yield str(source)
        return
    proto = source if isinstance(source, onnx.ModelProto) else None
    if proto is not None and proto.ByteSize() < _IN_MEMORY:
        yield proto.SerializeToString()
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        ir.save(program.model, path, external_data="model.data")
        yield str(path)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
