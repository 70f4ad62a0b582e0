"""Measure the costs of the target onnxruntime-cpu on this machine.

    python -m benchmarks.measure_costs [--rounds N] [--clock wall|cpu] [--write]

Small models of one operator each, one thread, interleaved; every cost is the fastest round, less
that of an empty model, and a least-squares fit over shapes of real layers. The unit is a byte of a
transpose. ``--write`` replaces the target that the package ships.
"""

from __future__ import annotations

import argparse
import itertools
import platform
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper as h
from onnx import numpy_helper
from scipy.optimize import nnls

from benchmarks.timing import CLOCKS, interleaved, onnxruntime_run

SHIPPED = Path(__file__).parents[1] / "src/onebyone/layout/shipped/onnxruntime-cpu.toml"
TOKENS, WIDTHS = (
    (1, 16, 64, 128, 197),
    ((96, 384), (384, 384), (384, 1536), (768, 768), (768, 3072), (3072, 768)),
)
_FLOAT = onnx.TensorProto.FLOAT
# Not measured: what a change may lose by fusions that know only the original's shape. A layer
# pays a share of its price, another operator a share of a transpose of its result.
_MARGIN, _CHANGED = 0.1, 0.5

Shape = tuple[int, ...]
Build = Callable[[Any], list[onnx.NodeProto]]


class Model:
    """A model of a few nodes from x to y."""

    def __init__(self, shape: Shape) -> None:
        self.shape, self.weights = shape, list[onnx.TensorProto]()
        self.nodes: list[onnx.NodeProto] = []
        self._rng = np.random.default_rng(0)

    def weight(self, *shape: int) -> str:
        name = f"w{len(self.weights)}"
        array = self._rng.standard_normal(shape).astype(np.float32) * 0.05
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def ints(self, *values: int) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def op(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        out = f"t{len(self.nodes)}"
        self.nodes.append(h.make_node(op_type, list(inputs), [out], **attributes))
        return out

    def save(self, path: Path) -> Path:
        graph = h.make_graph(
            self.nodes,
            "cost",
            [h.make_tensor_value_info("x", _FLOAT, self.shape)],
            [h.make_tensor_value_info(self.nodes[-1].output[0], _FLOAT, None)],
            self.weights,
        )
        onnx.save(h.make_model(graph, opset_imports=[h.make_opsetid("", 18)], ir_version=9), path)
        return path


def empty(shape: Shape) -> Model:
    """Hands its input on, through a slice of one element."""
    model = Model(shape)
    zero, one, axis = model.ints(0), model.ints(1), model.ints(len(shape) - 1)
    model.op("Slice", "x", zero, one, axis)
    return model


def linear(tokens: int, wide_in: int, wide_out: int) -> Model:
    """An FC layer on the last axis."""
    model = Model((1, tokens, wide_in))
    product = model.op("MatMul", "x", model.weight(wide_in, wide_out))
    model.op("Add", product, model.weight(wide_out))
    return model


def conv(tokens: int, wide_in: int, wide_out: int, *, batch: bool = False) -> Model:
    """The same as a convolution over [1, C, 1, S], or [S, C, 1, 1]."""
    model = Model((tokens, wide_in, 1, 1) if batch else (1, wide_in, 1, tokens))
    model.op("Conv", "x", model.weight(wide_out, wide_in, 1, 1), model.weight(wide_out))
    return model


def transpose(shape: Shape) -> Model:
    """The last two axes swapped."""
    model = Model(shape)
    perm = [*range(len(shape) - 2), len(shape) - 1, len(shape) - 2]
    model.op("Transpose", "x", perm=perm)
    return model


def norm(tokens: int, channels: int, *, spelled: bool) -> Model:
    """A layer norm: native on the last axis, or spelled out on axis 1."""
    if not spelled:
        model = Model((1, tokens, channels))
        model.op("LayerNormalization", "x", model.weight(channels), model.weight(channels), axis=-1)
        return model
    model = Model((1, channels, tokens))
    axis = model.ints(1)
    centred = model.op("Sub", "x", model.op("ReduceMean", "x", axis))
    square = model.op("ReduceMean", model.op("Mul", centred, centred), axis)
    out = model.op("Div", centred, model.op("Sqrt", model.op("Abs", square)))
    scaled = model.op("Mul", out, model.weight(channels, 1))
    model.op("Add", scaled, model.weight(channels, 1))
    return model


def softmax(tokens: int, *, last: bool) -> Model:
    """Attention weights of 12 heads."""
    model = Model((1, 12, tokens, tokens))
    model.op("Softmax", "x", axis=-1 if last else -2)
    return model


def measure(models: dict[str, Model], options: argparse.Namespace) -> dict[str, float]:
    """Nanoseconds of each model, less those of an empty one."""
    found: dict[str, float] = {}
    names = sorted(models)
    # A few at a time, so that all of a comparison stay in the caches that they would have.
    for chunk in itertools.batched(names, 4) if hasattr(itertools, "batched") else _chunks(names):
        with tempfile.TemporaryDirectory() as folder:
            runs: dict[str, Any] = {}
            for name in chunk:
                for part, model in ((name, models[name]), (f"-{name}", empty(models[name].shape))):
                    path = model.save(Path(folder) / f"{len(runs)}.onnx")
                    x = np.random.default_rng(1).standard_normal(model.shape).astype(np.float32)
                    runs[part] = onnxruntime_run(path, {"x": x}, 1)
            times = interleaved(runs, options.rounds, options.clock)
        for name in chunk:
            found[name] = max(times[name].least - times[f"-{name}"].least, 1e-7) * 1e9
    return found


def _chunks(names: Sequence[str]) -> list[Sequence[str]]:
    return [names[n : n + 4] for n in range(0, len(names), 4)]


def fit(rows: list[list[float]], times: list[float]) -> list[float]:
    """Non-negative coefficients of least relative error."""
    weight = 1 / np.asarray(times)
    found, _ = nnls(np.asarray(rows) * weight[:, None], np.ones(len(times)))
    return [float(x) for x in found]


def main() -> None:
    """Measure, print, and write the target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--clock", choices=CLOCKS, default="cpu")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    shapes = [(1, t, c) for t in (64, 128, 197) for c in (384, 768, 1536)]
    layers = [(t, *w) for t in TOKENS for w in WIDTHS]
    models: dict[str, Model] = {f"move {s}": transpose(s) for s in shapes}
    for _, t, c in shapes:
        models |= {f"norm {t} {c} {s}": norm(t, c, spelled=s) for s in (False, True)}
    for t in (64, 128, 197):
        models |= {f"softmax {t} {last}": softmax(t, last=last) for last in (False, True)}
    for layer in layers:
        models |= {f"layer {layer} linear": linear(*layer), f"layer {layer} conv": conv(*layer)}
    for layer in ((64, 384, 384), (128, 768, 768)):
        models[f"batch {layer}"] = conv(*layer, batch=True)
    ns = measure(models, options)

    moved = [[4.0 * t * c, 1.0] for _, t, c in shapes]
    byte, overhead = fit(moved, [ns[f"move {s}"] for s in shapes])
    extra = [
        (ns[f"norm {t} {c} True"] - ns[f"norm {t} {c} False"]) / (4 * t * c) for _, t, c in shapes
    ]
    inside = [
        (ns[f"softmax {t} False"] - ns[f"softmax {t} True"]) / (48 * t * t) for t in (64, 128, 197)
    ]
    batch = [
        (ns[f"batch {(t, k, n)}"] - ns[f"layer {(t, k, n)} conv"]) / (4 * t * k)
        for t, k, n in ((64, 384, 384), (128, 768, 768))
    ]
    features = [[float(t * k * n), 4.0 * t * (k + n), 4.0 * k * n, 1.0] for t, k, n in layers]
    prices: dict[str, list[float]] = {}
    for form in ("conv", "linear"):
        own = [ns[f"layer {layer} {form}"] for layer in layers]
        prices[form] = [c / byte for c in fit(features, own)]
    print("tokens in out: linear us, conv us, ratio; fitted ratio")
    for layer, row in zip(layers, features, strict=True):
        a, b = ns[f"layer {layer} linear"], ns[f"layer {layer} conv"]
        fitted = np.dot(row, prices["linear"]) / np.dot(row, prices["conv"])
        print(*layer, f"{a / 1e3:.1f} {b / 1e3:.1f} {a / b:.2f} {fitted:.2f}")
    text = f"""\
# Measured by `python -m benchmarks.measure_costs --write`: onnxruntime {onnxruntime.__version__},
# {platform.machine()}, one thread. The unit is a byte of a transpose: {byte:.3f} ns.
form = "any"

[cost]
move = 1.0
move_overhead = {overhead / byte:.0f}
spelled_norm = {max(np.median(extra) / byte, 0):.2f}
token_as_batch = {max(np.median(batch) / byte, 0):.2f}
softmax_inside = {max(np.median(inside) / byte, 0):.2f}
changed = {_CHANGED}
margin = {_MARGIN}
"""
    for form, (mac, data, weight, layer) in prices.items():
        text += f"{form} = {{ mac = {mac:.4f}, data = {data:.3f}, weight = {weight:.3f}"
        text += f", layer = {layer:.0f} }}\n"
    print(text)
    if options.write:
        SHIPPED.write_text(text)


if __name__ == "__main__":
    main()
