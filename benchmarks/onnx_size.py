"""Conversion time and peak memory by the size of the model, beside ``cp`` and onnxsim.

    python -m benchmarks.onnx_size [--sizes 0.1 0.5 2 4] [--rounds N] [--no-onnxsim] [--folder DIR]

A chain of FC layers with random weights in external data; every weight must be transposed on its
way into the convolution. Each command runs in a process of its own, in turns, and the fastest
round counts; a process's peak memory is that of the kernel's accounting, and an interpreter that
only imports numpy and onnx_ir is subtracted in the last column. Needs twice the largest size in
the folder, three times with onnxsim.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import helper as h

from benchmarks.timing import table

_WIDTH = 4096
_FLOAT = onnx.TensorProto.FLOAT
_CLI = "from onebyone.cli import main; main()"
_BARE = "import numpy, onnx_ir, onnx"
_ONNXSIM = """
import sys, onnxsim
onnxsim.simplify(sys.argv[1], extra_optimizers=["fuse_matmul_into_conv"], certify=False,
                 output_path=sys.argv[2])
"""


@dataclass(frozen=True)
class Run:
    """One process: seconds by the wall clock and of the CPU, peak bytes, whether it succeeded."""

    seconds: float
    cpu: float
    peak: int
    ok: bool


def build(folder: Path, gigabytes: float) -> None:
    """A model whose weights take about so many gigabytes, written one at a time."""
    layers = max(round(gigabytes * 1e9 / (4 * _WIDTH * _WIDTH)), 1)
    rng = np.random.default_rng(0)
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []
    x = "x"
    with (folder / "model.data").open("wb") as data:
        for number in range(layers):
            array = rng.random((_WIDTH, _WIDTH), np.float32)
            tensor = onnx.TensorProto(name=f"w{number}", data_type=_FLOAT, dims=array.shape)
            tensor.data_location = onnx.TensorProto.EXTERNAL
            for key, value in (
                ("location", "model.data"),
                ("offset", data.tell()),
                ("length", array.nbytes),
            ):
                tensor.external_data.add(key=key, value=str(value))
            data.write(array.tobytes())
            weights.append(tensor)
            nodes.append(h.make_node("MatMul", [x, f"w{number}"], [f"m{number}"]))
            nodes.append(h.make_node("Relu", [f"m{number}"], [f"r{number}"]))
            x = f"r{number}"
    value = [h.make_tensor_value_info(name, _FLOAT, [1, 8, _WIDTH]) for name in ("x", x)]
    graph = h.make_graph(nodes, "chain", value[:1], value[1:], weights)
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 18)], ir_version=9)
    (folder / "model.onnx").write_bytes(model.SerializeToString())


def run(words: list[str], limit: float) -> Run:
    """Run a command; its peak memory is the kernel's."""
    start = time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        took = time.perf_counter() - start
        if pid:
            process.returncode = status
            cpu = usage.ru_utime + usage.ru_stime
            return Run(took, cpu, usage.ru_maxrss * 1024, status == 0)
        if took > limit:
            process.kill()
        time.sleep(0.005)


def commands(model: Path, out: Path, onnxsim: bool) -> dict[str, list[str]]:
    """What is compared."""
    python = [sys.executable, "-c"]
    found = {
        "cp": ["cp", str(model.with_suffix(".data")), str(out / "copy.data")],
        "onebyone": [*python, _CLI, "convert", str(model), str(out / "ours.onnx"), "--no-check"],
    }
    if onnxsim:
        found["onnxsim"] = [*python, _ONNXSIM, str(model), str(out / "onnxsim.onnx")]
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=float, nargs="+", default=[0.1, 0.5, 2, 4])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--limit", type=float, default=600.0, help="seconds for one command")
    parser.add_argument("--no-onnxsim", action="store_true")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--build", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.build:
        build(options.build, options.sizes[0])
        return
    bare = min(run([sys.executable, "-c", _BARE], 60).peak for _ in range(3))
    rows = [
        [
            "GB",
            "command",
            "wall s",
            "× cp",
            "CPU s",
            "× cp",
            "peak MB",
            "beyond the interpreter, MB",
        ]
    ]
    for size in options.sizes:
        with tempfile.TemporaryDirectory(dir=options.folder) as directory:
            model, out = Path(directory) / "model.onnx", Path(directory) / "out"
            # A child's peak counts from its parent's memory at the fork: keep that small.
            subprocess.run(
                [
                    sys.executable,
                    "-m",
                    __spec__.name,
                    "--build",
                    str(model.parent),
                    "--sizes",
                    str(size),
                ],
                check=True,
            )
            words = commands(model, out, not options.no_onnxsim)
            runs: dict[str, list[Run]] = {name: [] for name in words}
            for _ in range(options.rounds):
                for name, command in words.items():
                    out.mkdir()
                    runs[name].append(run(command, options.limit))
                    shutil.rmtree(out)
        base = min(r.seconds for r in runs["cp"]), min(r.cpu for r in runs["cp"])
        for name, found in runs.items():
            best = min(found, key=lambda r: r.seconds)
            peak = max(r.peak for r in found)
            took = f"{best.seconds:.2f}" if best.ok else f"failed after {best.seconds:.0f}"
            cpu = min(r.cpu for r in found)
            beyond = "" if name == "cp" else f"{max(peak - bare, 0) / 1e6:.0f}"
            cells = [f"{size:g}", name, took, f"{best.seconds / base[0]:.1f}", f"{cpu:.2f}"]
            rows.append([*cells, f"{cpu / base[1]:.1f}", f"{peak / 1e6:.0f}", beyond])
            print(*rows[-1], file=sys.stderr)
    print(table(rows))


if __name__ == "__main__":
    main()
