"""Layout and speed of converted models, beside the original and onnxsim's fuse_matmul_into_conv.

    python -m benchmarks.onnx_layout [--rounds N] [--threads N] [--clock wall|cpu] [MODEL ...]

Each model: the original, each target of ours, and onnxsim's file with
``extra_optimizers=["fuse_matmul_into_conv"]``, in onnxruntime and OpenVINO, interleaved in one
run. Speed is a ratio: how many times faster than the original, by minima and by the median over
rounds; onnxsim's own ratio shows what its layout costs. Planning time and peak memory are those
of the whole command ``onebyone convert`` in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import onnx

from benchmarks.timing import CLOCKS, ENGINES, Times, interleaved, table
from tests import zoo

MODELS = ("vit", "bert", "convnext", "swin", "ppocr-rec", "minilm")
TARGETS = ("conv", "conv-native-norm", "linear", "onnxruntime-cpu")
_RESHAPES = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")
_CLI = "from onebyone.cli import main; main()"


def converted(model: Path, target: str, folder: Path) -> tuple[Path, dict[str, Any]]:
    """Our file for a target, and its report."""
    out, report = folder / f"{target}.onnx", folder / f"{target}.json"
    words = ["convert", str(model), str(out), "--target", target, "--report", str(report)]
    subprocess.run([sys.executable, "-c", _CLI, *words], check=True, stdout=subprocess.DEVNULL)
    return out, json.loads(report.read_text())


def simplified(model: Path, folder: Path) -> Path:
    """onnxsim's file, every matrix product a convolution with tokens as batch."""
    import onnxsim

    found, _ = onnxsim.simplify(
        onnx.load(model), extra_optimizers=["fuse_matmul_into_conv"], certify=False
    )
    out = folder / "onnxsim.onnx"
    onnx.save(found, out)
    return out


def _counts(path: Path) -> tuple[str, str, str]:
    by_type = Counter(node.op_type for node in onnx.load(path).graph.node)
    nodes = sum(by_type.values()) - by_type["Constant"]
    return (
        str(by_type["Transpose"]),
        str(sum(by_type[name] for name in _RESHAPES)),
        str(nodes),
    )


def measure(name: str, options: argparse.Namespace) -> list[list[str]]:
    """The rows of one model."""
    model = zoo.path(name, base=True)
    inputs = zoo.inputs(name, base=True)
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        files = {"original": model}
        plans: dict[str, str] = {}
        for target in options.targets:
            files[target], report = converted(model, target, folder)
            peak = (report["peak_memory"] or 0) / 1e6
            plans[target] = f"{report['seconds']:.1f} s, {peak:.0f} MB, gap {report['gap']:.0%}"
        if not options.no_onnxsim:
            files["onnxsim"] = simplified(model, folder)
        times: dict[str, dict[str, Times]] = {}
        for engine in options.engines:
            runs = {f: ENGINES[engine](path, inputs, options.threads) for f, path in files.items()}
            times[engine] = interleaved(runs, options.rounds, options.clock)
        rows: list[list[str]] = []
        for file, path in files.items():
            row = [name, file, *_counts(path)]
            for engine in options.engines:
                least, median = times[engine][file].against(times[engine]["original"])
                row += [f"{times[engine][file].least * 1e3:.1f}", f"{least:.2f}", f"{median:.2f}"]
            rows.append([*row, plans.get(file, "")])
        return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--targets", nargs="+", default=TARGETS)
    parser.add_argument("--engines", nargs="+", default=list(ENGINES))
    parser.add_argument("--no-onnxsim", action="store_true")
    options = parser.parse_args()
    titles = ["model", "file", "Transpose", "Reshape-like", "nodes"]
    for engine in options.engines:
        titles += [f"{engine} ms", "× (min)", "× (median)"]
    rows = [[*titles, "convert"]]
    for name in options.models:
        rows += measure(name, options)
        print(f"{name} done", file=sys.stderr)
    print(table(rows))


if __name__ == "__main__":
    main()
