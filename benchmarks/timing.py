"""Paired timing: every candidate once a round, in turns, so that a busy machine slows all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Run = Callable[[], Any]
# On a machine that others use too, the CPU time of one thread says more than the wall clock.
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}


@dataclass(frozen=True)
class Times:
    """Seconds of one candidate, by round."""

    seconds: tuple[float, ...]

    @property
    def least(self) -> float:
        """The fastest round."""
        return min(self.seconds)

    def against(self, base: Times) -> tuple[float, float]:
        """How many times faster than ``base``: by the minima, and the median over rounds."""
        pairs = zip(base.seconds, self.seconds, strict=True)
        return base.least / self.least, float(np.median([b / own for b, own in pairs]))


def interleaved(runs: Mapping[str, Run], rounds: int, clock: str = "wall") -> dict[str, Times]:
    """Time each candidate ``rounds`` times, after two rounds that do not count."""
    now = CLOCKS[clock]
    found: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 2):
        for name, run in runs.items():
            start = now()
            run()
            took = now() - start
            if number > 1:
                found[name].append(took)
    return {name: Times(tuple(seconds)) for name, seconds in found.items()}


def onnxruntime_run(path: Path, inputs: Mapping[str, Any], threads: int) -> Run:
    """A call of the model in onnxruntime, default optimisations."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, dict(inputs))


def openvino_run(path: Path, inputs: Mapping[str, Any], threads: int) -> Run:
    """A call of the model in OpenVINO's CPU plugin, float32 (its default may be bfloat16)."""
    import openvino

    config: dict[str, Any] = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
        "NUM_STREAMS": 1,
    }
    request = openvino.Core().compile_model(str(path), "CPU", config).create_infer_request()
    return lambda: request.infer(dict(inputs))


ENGINES: dict[str, Callable[[Path, Mapping[str, Any], int], Run]] = {
    "onnxruntime": onnxruntime_run,
    "openvino": openvino_run,
}


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as a Markdown table; the first row holds the titles."""
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (w + 2) for w in widths) + "|", *lines[1:]])
