"""ONNX Runtime as the certificate needs it: run a model with its optimizations off or on.

The runtime runs in a process of its own: a file can crash it, and the one who asked whether two
files are the same should still get an answer.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import pickle
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir

from onebyone.dialects.protocol import (
    Limits,
    RuntimeMemoryError,
    RuntimeRefusesError,
    RuntimeUnableError,
)
from onebyone.kernels.arithmetic import Array

# Beyond this a model in memory is handed over as a file; protobuf stops at 2 GB.
_IN_MEMORY = 1 << 30
# Seconds that a run may take at least, and how many times those of the runs before it.
_PATIENCE = 5.0
_TIMES = 20.0
_WAIT = 0.1


class OrtSession:
    """A model loaded in ONNX Runtime on the CPU; loaded anew where the runtime crashed since.

    Args:
        source: what the caller gave: a path, or a model in memory.
        model: the same, read.
        optimize: whether the runtime's graph optimizations are on.
        limits: what the runtime may take.

    Raises:
        RuntimeUnableError: the runtime does not implement something in the model, crashed, or was
            over a limit.
        RuntimeRefusesError: the runtime calls the model invalid.
    """

    def __init__(self, source: Any, model: ir.Model, *, optimize: bool, limits: Limits) -> None:
        self._source, self._model = source, model
        self._optimize, self._limits = optimize, limits
        self._slowest: float | None = None
        self.taken = 0
        self._load()

    def _load(self) -> None:
        with _loadable(self._source, self._model) as loadable:
            self._number, self._worker = _ask(
                self._limits.deadline, "load", loadable, self._optimize, self._limits.memory
            )

    def run(self, values: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs by name."""
        if self._worker.poll() is not None:
            self._load()
        start = time.monotonic()
        deadline = self._limits.deadline
        if self._slowest is not None:
            # Inputs beyond reason may keep a loop going for ever.
            patience = start + max(_PATIENCE, _TIMES * self._slowest)
            deadline = patience if deadline is None else min(deadline, patience)
        (outputs, self.taken), _ = _ask(deadline, "run", self._number, dict(values))
        self._slowest = max(self._slowest or 0.0, time.monotonic() - start)
        return outputs

    def close(self) -> None:
        """Free the model."""
        if self._worker.poll() is None:
            with contextlib.suppress(RuntimeUnableError):
                _ask(None, "drop", self._number)


_WORKERS: list[subprocess.Popen[bytes]] = []


def _worker() -> subprocess.Popen[bytes]:
    if not _WORKERS or _WORKERS[-1].poll() is not None:
        command = [sys.executable, "-m", "onebyone.dialects.onnx.run.worker"]
        # The child finds this package where this process found it.
        path = os.pathsep.join(p for p in sys.path if p)
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
        )
        _WORKERS.append(process)
        atexit.register(process.kill)
    return _WORKERS[-1]


def _ask(deadline: float | None, *request: Any) -> tuple[Any, subprocess.Popen[bytes]]:
    worker = _worker()
    assert worker.stdin is not None and worker.stdout is not None
    try:
        pickle.dump(request, worker.stdin)
        worker.stdin.flush()
        if not _answers(worker, deadline):
            _end(worker)
            raise RuntimeUnableError("the runtime gave no answer in time")
        kind, answer = pickle.load(worker.stdout)
    except (OSError, EOFError, pickle.UnpicklingError):
        _end(worker)
        raise RuntimeUnableError("the runtime crashed") from None
    except BaseException:
        # Interrupted between question and answer: the next answer would be another question's.
        _end(worker)
        raise
    if kind == "memory":
        raise RuntimeMemoryError(answer)
    if kind == "unable":
        raise RuntimeUnableError(answer)
    if kind == "refused":
        raise RuntimeRefusesError(answer)
    return answer, worker


def _answers(worker: subprocess.Popen[bytes], deadline: float | None) -> bool:
    """Whether an answer comes before the deadline."""
    assert worker.stdout is not None
    while deadline is None or time.monotonic() < deadline:
        # Short waits: whoever stops this thread is heard between two of them.
        if select.select([worker.stdout], [], [], _WAIT)[0]:
            return True
    return False


def _end(worker: subprocess.Popen[bytes]) -> None:
    worker.kill()
    worker.wait()


@contextlib.contextmanager
def _loadable(source: Any, model: ir.Model) -> Generator[str | bytes]:
    if isinstance(source, (str, os.PathLike)):
        yield str(Path(source).resolve())
        return
    if isinstance(source, onnx.ModelProto) and source.ByteSize() < _IN_MEMORY:
        yield source.SerializeToString()
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        ir.save(model, path, external_data="model.data")
        yield str(path)
