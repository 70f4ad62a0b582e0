"""What the certificate says of what other tools make of a model, and of our own conversions.

``python -m benchmarks.tools [MODEL ...] [--tools NAME ...]`` gives each model of the zoo to each
tool that is installed, and compares the result with the original:

    model        tool           verdict    seconds  why
    bert         ort-extended   certified      1.9

``certified`` is exit code 0 of ``onebyone verify``, ``differs`` 1, ``undecided`` 2.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx

import onebyone
from tests import zoo

_VERDICTS = {0: "certified", 1: "differs", 2: "undecided"}
_WIDTH = 110

Tool = Callable[[Path, Path], None]


def _onnxsim(source: Path, target: Path) -> None:
    import onnxsim

    model, _ = onnxsim.simplify(onnx.load(source))
    onnx.save(model, target)


def _onnxslim(source: Path, target: Path) -> None:
    import onnxslim

    onnx.save(onnxslim.slim(onnx.load(source)), target)


def _onnxscript(source: Path, target: Path) -> None:
    from onnxscript import optimizer

    onnx.save(optimizer.optimize(onnx.load(source)), target)


def _runtime(level: str) -> Tool:
    """ONNX Runtime's optimizer, as its session writes it."""

    def run(source: Path, target: Path) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.graph_optimization_level = getattr(
            ort.GraphOptimizationLevel, f"ORT_ENABLE_{level}"
        )
        options.optimized_model_filepath = str(target)
        # That some optimizations hold for this processor alone.
        options.log_severity_level = 3
        ort.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])

    return run


def _transformers(source: Path, target: Path) -> None:
    """The optimizer script in ONNX Runtime's package, which fuses attention."""
    from onnxruntime.transformers import optimizer

    optimizer.optimize_model(str(source), opt_level=0).save_model_to_file(str(target))


def _ours(form: str) -> Tool:
    return lambda source, target: onebyone.convert(str(source), form).save(target)


# Name of the tool -> the package that it needs, and how it is run.
TOOLS: dict[str, tuple[str, Tool]] = {
    "onnxsim": ("onnxsim", _onnxsim),
    "onnxslim": ("onnxslim", _onnxslim),
    "onnxscript": ("onnxscript", _onnxscript),
    "ort-basic": ("onnxruntime", _runtime("BASIC")),
    "ort-extended": ("onnxruntime", _runtime("EXTENDED")),
    "ort-all": ("onnxruntime", _runtime("ALL")),
    "ort-transformers": ("onnxruntime", _transformers),
    "to-conv": ("onebyone", _ours("conv")),
    "to-linear": ("onebyone", _ours("linear")),
}


def judged(source: Path, tool: Tool, seconds: float) -> tuple[str, float, str]:
    """The verdict on what a tool makes of a model, how long that took, and why it is no better."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "out.onnx"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tool(source, target)
        except Exception as error:
            return "tool failed", 0.0, _line(f"{type(error).__name__}: {error}")
        start = time.perf_counter()
        try:
            certificate = onebyone.verify(str(source), str(target), seconds=seconds)
        except onebyone.InputError as error:
            return "refused", time.perf_counter() - start, _line(str(error))
        took = time.perf_counter() - start
    verdict = _VERDICTS.get(certificate.exit_code, str(certificate.exit_code))
    return verdict, took, "" if verdict == "certified" else _reason(certificate)


def _reason(certificate: Any) -> str:
    """What the layer that decides says, or the first that leaves it open."""
    layers = sorted(certificate.layers, key=lambda one: one.verdict.value != "differs")
    open_ones = [one for one in layers if one.verdict.value != "proved"]
    telling = [one for one in open_ones if one.name in ("field", "rounding", "signature")]
    chosen = (telling or open_ones or layers)[0]
    return _line(f"{chosen.name}: {chosen.summary}")


def _line(text: str) -> str:
    one = " ".join(text.split())
    return one if len(one) <= _WIDTH else f"{one[: _WIDTH - 3]}..."


def main() -> None:
    """Print the table, a row as soon as it is known, and the sums."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("models", nargs="*", help="names of the zoo; all by default")
    parser.add_argument("--tools", nargs="+", choices=sorted(TOOLS), default=list(TOOLS))
    parser.add_argument("--seconds", type=float, default=60.0, help="for each certificate")
    given = parser.parse_args()
    total: Counter[tuple[str, str]] = Counter()
    row = "{:<16} {:<17} {:<12} {:>7}  {}"
    print(row.format("model", "tool", "verdict", "seconds", "why"))
    for model in given.models or zoo.names():
        if not zoo.available(model):
            continue
        for name in given.tools:
            package, tool = TOOLS[name]
            if importlib.util.find_spec(package) is None:
                continue
            verdict, took, why = judged(zoo.path(model), tool, given.seconds)
            total[name, verdict] += 1
            print(row.format(model, name, verdict, f"{took:.1f}", why).rstrip(), flush=True)
    print()
    for name in given.tools:
        counts = {verdict: n for (tool, verdict), n in sorted(total.items()) if tool == name}
        print(f"{name}: " + ", ".join(f"{n} {verdict}" for verdict, n in counts.items()))


if __name__ == "__main__":
    main()
