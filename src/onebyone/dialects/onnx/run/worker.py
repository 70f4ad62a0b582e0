"""The process that ONNX Runtime runs in: pickled requests on stdin, answers on stdout.

Requests are ``("load", path or bytes, optimize, memory)`` -> number, ``("run", number, inputs)`` ->
(outputs by name, bytes that it took), and ``("drop", number)``. Only the parent process writes to
it.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import resource
import sys
from pathlib import Path
from typing import Any

import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state  # pyright: ignore[reportAttributeAccessIssue]

# What the runtime says where it cannot serve a valid model, as opposed to an invalid one.
_UNABLE = (
    "NOT_IMPLEMENTED", "not supported", "unsupported", "Unsupported", "not implemented",
    "Could not find an implement", "is not a registered", "No Op registered",
    "guarantees support", "No opset import",
)  # fmt: skip
_MEMORY = ("allocate", "bad_alloc", "bad allocation")


# The module is compiled and has no stubs.
state: Any = onnxruntime_pybind11_state


# Outputs may take this part of the memory: whoever compares them holds several.
_SHARE = 8


def _limited(memory: int | None) -> int:
    """Take no more memory than these bytes, or than half of the machine's."""
    pages, page = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    limit = memory or pages * page // 2
    if sys.platform.startswith("linux"):
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        most = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
    return limit


def _held(*, reset: bool = False) -> int:
    """Bytes that this process holds now, or held at most since the last reset (on Linux)."""
    with contextlib.suppress(OSError, StopIteration):
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(x for x in lines if x.startswith("VmHWM")).split()[1]) * 1024
    return 0


class _Sessions:
    def __init__(self) -> None:
        self._sessions: dict[int, ort.InferenceSession] = {}
        self._count = 0
        self._memory = 0

    def load(self, source: str | bytes, optimize: bool, memory: int | None) -> int:
        self._memory = _limited(memory)
        options = ort.SessionOptions()
        options.log_severity_level = 4
        # Threads that wait in a loop take the time of whatever else runs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        level = ort.GraphOptimizationLevel
        options.graph_optimization_level = (
            level.ORT_ENABLE_ALL if optimize else level.ORT_DISABLE_ALL
        )
        session = ort.InferenceSession(source, options, ["CPUExecutionProvider"])
        self._count += 1
        self._sessions[self._count] = session
        return self._count

    def run(self, number: int, values: dict[str, Any]) -> tuple[dict[str, Any], int]:
        session = self._sessions[number]
        names = [o.name for o in session.get_outputs()]
        inputs = (*session.get_inputs(), *session.get_overridable_initializers())
        wanted = {i.name for i in inputs}
        feed = {name: value for name, value in values.items() if name in wanted}
        before = _held(reset=True)
        outputs = session.run(names, feed)
        taken = max(_held() - before, 0)
        size = sum(getattr(x, "nbytes", 0) for x in outputs)
        if size > self._memory / _SHARE:
            raise MemoryError(f"the outputs have {size:,} bytes: cannot allocate that many")
        return dict(zip(names, outputs, strict=True)), taken

    def drop(self, number: int) -> None:
        self._sessions.pop(number, None)


def _answer(sessions: _Sessions, request: tuple[Any, ...]) -> tuple[str, Any]:
    try:
        return "done", getattr(sessions, request[0])(*request[1:])
    except (state.NotImplemented, state.EPFail) as error:
        return "unable", _line(error)
    # The runtime raises its own kinds of error and, from its bindings, plain ones.
    except Exception as error:
        text = _line(error)
        if isinstance(error, MemoryError) or any(word in text for word in _MEMORY):
            return "memory", text or "out of memory"
        return "unable" if any(word in text for word in _UNABLE) else "refused", text


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def main() -> None:
    """Serve until the parent closes the pipe."""
    # The runtime may print; answers must stay alone in the pipe.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sessions = _Sessions()
    while True:
        try:
            request = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        pickle.dump(_answer(sessions, request), answers)
        answers.flush()


if __name__ == "__main__":
    main()
