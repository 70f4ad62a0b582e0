"""What every conversion of a random graph must satisfy."""

from __future__ import annotations

import collections
import functools
import math
import pickle
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from onnx import numpy_helper

import onebyone
from onebyone.dialects.onnx.run.form import canonical_form
from tests.rounding import relative_bound

# A chain of conversions, one after another.
TARGETS = ("conv", "linear", "conv-native-norm", "conv>linear>conv")
_VIEWS = ("Identity", "Transpose", "Reshape", "Cast", "Squeeze", "Unsqueeze", "Flatten")


@dataclass(frozen=True)
class Case:
    """A model, inputs for it, and which outputs must agree bit for bit."""

    seed: int
    model: onnx.ModelProto
    feeds: dict[str, Any]
    exact: dict[str, bool] = field(default_factory=dict[str, bool])


@dataclass(frozen=True)
class Problem:
    """What went wrong; ``kind`` is one word."""

    kind: str
    text: str

    @property
    def key(self) -> str:
        """Problems with the same key have, probably, the same cause."""
        return f"{self.kind}:{''.join(c for c in self.text[:60] if not c.isdigit())}"


@functools.cache
def _options() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return options


def _nameless(model: onnx.ModelProto) -> bytes:
    """onnxruntime refuses two nodes of one name, which ONNX allows."""
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    for node in copy.graph.node:
        node.name = ""
    return copy.SerializeToString()


def run(model: onnx.ModelProto, feeds: dict[str, Any]) -> list[Any] | None:
    """The outputs in onnxruntime, else in onnx's reference evaluator, else None."""
    names = {value.name for value in model.graph.input}
    given = {name: array for name, array in feeds.items() if name in names}
    if not any(str(array.dtype) == "bfloat16" for array in given.values()):
        try:
            session = ort.InferenceSession(_nameless(model), _options())
            return list(session.run(None, given))
        except Exception as error:
            reason = str(error)
            if "NOT_IMPLEMENTED" not in reason and "Could not find an impl" not in reason:
                return None
    try:
        from onnx.reference import ReferenceEvaluator

        return list(ReferenceEvaluator(model).run(None, given))  # pyright: ignore
    except Exception:
        return None


@functools.lru_cache(maxsize=4)
def _expected(text: bytes, feeds: bytes) -> list[Any] | None:
    """What a model yields; by the contents of its inputs, for an address may be used again."""
    model = onnx.ModelProto.FromString(text)
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception:
        return None
    outputs = run(model, pickle.loads(feeds))
    if outputs is None or any(
        a.dtype.kind in "fV" and not np.isfinite(a.astype(np.float64)).all() for a in outputs
    ):
        return None
    return outputs


def check(case: Case, to: str, stats: collections.Counter[str]) -> Problem | None:
    """The first problem of a chain of conversions, None where all is well."""
    text = case.model.SerializeToString()
    expected = _expected(text, pickle.dumps(case.feeds))
    if expected is None:
        stats["invalid"] += 1
        return None
    stats["checked"] += 1
    model = case.model
    report: Any = None
    try:
        for step in to.split(">"):
            done = onebyone.convert(model, step)
            report, model = done.report, ir.to_proto(done.model)
    except Exception:
        return Problem("crash", traceback.format_exc(limit=-3)[-700:])
    if case.model.SerializeToString() != text:
        return Problem("altered", "the caller's model was altered")
    stats["converted"] += sum(layer.status == "converted" for layer in report.layers)
    stats["kept"] += sum(layer.status == "kept" for layer in report.layers)
    return (
        _valid(case.model, model)
        or _agrees(case, model, expected)
        or _weights(case.model, model)
        or _left(model, to, report)
        or _again(model, to)
        or _hashes(case.model, model, stats)
    )


def _valid(before: onnx.ModelProto, after: onnx.ModelProto) -> Problem | None:
    try:
        onnx.checker.check_model(after, full_check=True)
    except Exception as error:
        return Problem("checker", str(error)[:300])
    for side in ("input", "output"):
        a, b = getattr(before.graph, side), getattr(after.graph, side)
        if [v.name for v in a] != [v.name for v in b]:
            return Problem("io", f"{side} names {[v.name for v in a]} -> {[v.name for v in b]}")
        for x, y in zip(a, b, strict=True):
            if x.type != y.type:
                return Problem("io", f"type of {side} {x.name}: {x.type} -> {y.type}")
    return None


def _agrees(case: Case, after: onnx.ModelProto, expected: list[Any]) -> Problem | None:
    actual = run(after, case.feeds)
    if actual is None:
        return Problem("unrunnable", "the result does not run")
    for info, a, b in zip(after.graph.output, actual, expected, strict=True):
        if a.shape != b.shape or a.dtype != b.dtype:
            return Problem("differs", f"{info.name}: {a.dtype}{a.shape} for {b.dtype}{b.shape}")
        if case.exact.get(info.name, False) or b.dtype.kind in "biu":
            if not np.array_equal(a, b):
                return Problem("differs", f"{info.name} exactly: {_worst(a, b)}")
            continue
        wide = np.float32 if b.dtype.kind == "V" or b.dtype == np.float64 else b.dtype
        bound = 16 * relative_bound(case.model, wide)
        if b.dtype.kind == "V":
            bound *= 2.0**16  # bfloat16 has 16 bits less
        scale = max(1.0, float(np.abs(b.astype(np.float64)).max(initial=0)))
        if _worst(a, b) > bound * scale:
            return Problem("differs", f"{info.name}: {_worst(a, b)} > {bound * scale}")
    return None


def _worst(a: Any, b: Any) -> float:
    return float(np.abs(a.astype(np.float64) - b.astype(np.float64)).max(initial=0))


# ---- weights ------------------------------------------------------------------------------------


def constants(model: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    """Initializers that no caller can override, and Constant nodes."""
    inputs = {v.name for v in model.graph.input}
    found = {t.name: t for t in model.graph.initializer if t.name not in inputs}
    for node in model.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.name == "value":
                found[node.output[0]] = attribute.t
    return found


def _useful(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """Nodes that an output depends on."""
    wanted = {v.name for v in model.graph.output}
    found: list[onnx.NodeProto] = []
    for node in reversed(model.graph.node):
        if wanted & set(node.output):
            found.append(node)
            wanted |= _read(node)
    return found[::-1]


def _read(node: onnx.NodeProto) -> set[str]:
    names = set(node.input)
    for attribute in node.attribute:
        for inner in attribute.g.node:
            names |= _read(inner)
    return names


def _origins(model: onnx.ModelProto) -> dict[str, str]:
    """Values that are constants seen through reshapes, transposes and casts."""
    found = {name: name for name in constants(model)}
    for node in model.graph.node:
        if node.op_type in _VIEWS and node.input[0] in found and node.output:
            found[node.output[0]] = found[node.input[0]]
    return found


def _elements(tensor: onnx.TensorProto) -> bytes:
    array = numpy_helper.to_array(tensor)
    width = array.dtype.itemsize
    raw = np.frombuffer(np.ascontiguousarray(array).tobytes(), f"V{width}")
    return np.sort(raw.view(f"u{width}")).tobytes()


def _layers(model: onnx.ModelProto) -> Iterator[tuple[onnx.NodeProto, str]]:
    """Matrix products and convolutions with the constant that is their weight."""
    origins = _origins(model)
    for node in _useful(model):
        if node.op_type in ("MatMul", "Gemm", "Einsum", "Conv", "ConvTranspose"):
            fixed = [name in origins for name in node.input[:2]]
            if sum(fixed) == 1:
                yield node, origins[node.input[fixed.index(True)]]


def _weights(before: onnx.ModelProto, after: onnx.ModelProto) -> Problem | None:
    old, new = constants(before), constants(after)
    wanted = {name for _, name in _layers(before)}
    have = collections.Counter(
        _elements(t) for t in new.values() if math.prod(t.dims) > 1 and t.data_type < 20
    )
    copies = collections.Counter(_elements(t) for t in old.values() if math.prod(t.dims) > 1)
    for name in wanted:
        if math.prod(old[name].dims) < 2:
            continue
        elements = _elements(old[name])
        if not have[elements]:
            return Problem("weights", f"the elements of {name} are gone")
        vector = max(old[name].dims) == math.prod(old[name].dims)
        if have[elements] > copies[elements] and not vector:
            return Problem("weights", f"{name} is stored {have[elements]} times")
    return None


def _left(model: onnx.ModelProto, to: str, report: Any) -> Problem | None:
    """Layers that still have the form that the target wants gone, without a reason."""
    kept = {layer.name for layer in report.layers if layer.status == "kept"}
    unwanted = ("Conv", "ConvTranspose") if to.endswith("linear") else ("MatMul", "Gemm", "Einsum")
    for node, weight in _layers(model):
        name = node.name or node.output[0]
        if node.op_type in unwanted and name not in kept:
            return Problem("left", f"{node.op_type} {name} reads {weight} and no reason is given")
    return None


def _again(model: onnx.ModelProto, to: str) -> Problem | None:
    """A second conversion changes nothing."""
    try:
        again = ir.to_proto(onebyone.convert(model, to.rsplit(">", maxsplit=1)[-1]).model)
    except Exception:
        return Problem("crash", "again: " + traceback.format_exc(limit=-3)[-700:])
    first, second = (
        [(n.op_type, n.name, tuple(n.input), tuple(n.output)) for n in m.graph.node]
        for m in (model, again)
    )
    if first != second:
        a, b = (collections.Counter(n[0] for n in nodes) for nodes in (first, second))
        if a != b:
            return Problem("again", f"{len(first)} nodes -> {len(second)}: -{a - b} +{b - a}")
        new = [n for n in second if n not in first]
        return Problem("renamed", f"{len(first)} nodes -> {len(second)}: {new[:4]}")
    return None


def _hashes(
    before: onnx.ModelProto, after: onnx.ModelProto, stats: collections.Counter[str]
) -> Problem | None:
    a = canonical_form(ir.from_proto(before))
    b = canonical_form(ir.from_proto(after))
    stats["hash equal" if a.outputs == b.outputs else "hash differs"] += 1
    if a.outputs != b.outputs and not a.opaque and not b.opaque:
        stats["hash differs, nothing opaque"] += 1
        if stats["strict"]:
            return Problem("hash", "the canonical forms differ")
    return None
