"""Structure-aware mutations of real models: no crash, and never a silently wrong result.

``python -m tests.fuzz --minutes 10 [--seed N]`` runs for as long as it is told, and prints the
seed of every failure; the suite runs a bounded number (``tests/onnx/test_fuzz.py``).

A mutated model that onnxruntime still runs must give the same outputs after each direction, or be
refused with one line. A model that onnxruntime refuses may be refused or converted, but must not
crash the tool.
"""

from __future__ import annotations

import argparse
import functools
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from onnx import numpy_helper

import onebyone
from onebyone.errors import InputError
from tests import zoo
from tests.rounding import Array, relative_bound

MODELS = ("encoder-layer", "nhwc-flatten", "vgg", "convnext", "resnet", "vit", "gpt2-dynamic")
_HARMLESS_OPS = ("Relu", "Neg", "Tanh", "Sigmoid", "Identity", "Abs", "Softmax")
_BINARY = ("Add", "Mul", "Sub", "Max")

Rng = np.random.Generator
Mutation = Callable[[onnx.ModelProto, Rng], None]


@dataclass(frozen=True)
class Outcome:
    """``failure`` is None where all is well; ``kind`` says what was compared."""

    kind: str
    failure: str | None = None


def pick(rng: Rng, options: Sequence[Any]) -> Any:
    """One of ``options``, which may be protobuf containers."""
    return options[int(rng.integers(len(options)))]


def swap_operator(model: onnx.ModelProto, rng: Rng) -> None:
    """Another elementwise operator of the same number of operands."""
    node = pick(rng, model.graph.node)
    if len(node.input) == 1:
        node.op_type = pick(rng, _HARMLESS_OPS)
        del node.attribute[:]
    elif len(node.input) == 2 and node.op_type in _BINARY:
        node.op_type = pick(rng, _BINARY)


def swap_operands(model: onnx.ModelProto, rng: Rng) -> None:
    """The operands of a node in another order."""
    node = pick(rng, model.graph.node)
    order = rng.permutation(len(node.input))
    names = [node.input[i] for i in order]
    del node.input[:]
    node.input.extend(names)


def rewire(model: onnx.ModelProto, rng: Rng) -> None:
    """A node reads another value: an earlier one, or one that makes a cycle."""
    node = pick(rng, model.graph.node)
    values = [name for other in model.graph.node for name in other.output]
    if node.input:
        node.input[int(rng.integers(len(node.input)))] = pick(rng, values)


def change_integer(model: onnx.ModelProto, rng: Rng) -> None:
    """An integer attribute, or one of a list, gets another value."""
    node = pick(rng, model.graph.node)
    if not node.attribute:
        return
    attribute = pick(rng, node.attribute)
    value = int(pick(rng, [-2, -1, 0, 1, 2, 3, 7, 2**40]))
    if attribute.type == onnx.AttributeProto.INT:
        attribute.i = value
    elif attribute.type == onnx.AttributeProto.INTS and attribute.ints:
        attribute.ints[int(rng.integers(len(attribute.ints)))] = value


def drop_attribute(model: onnx.ModelProto, rng: Rng) -> None:
    """A node falls back to a default."""
    node = pick(rng, model.graph.node)
    if node.attribute:
        del node.attribute[int(rng.integers(len(node.attribute)))]


def change_shape_operand(model: onnx.ModelProto, rng: Rng) -> None:
    """A small integer constant (a shape, axes, starts) is altered."""
    small = [t for t in model.graph.initializer if t.data_type == onnx.TensorProto.INT64]
    if not small:
        return
    tensor = pick(rng, small)
    array = numpy_helper.to_array(tensor).copy()
    if array.size:
        array.reshape(-1)[int(rng.integers(array.size))] = pick(rng, [-1, 0, 1, 2, 4, 48, 2**40])
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def reshape_weight(model: onnx.ModelProto, rng: Rng) -> None:
    """The dimensions of a weight in another order, its bytes as they are."""
    weights = [t for t in model.graph.initializer if len(t.dims) > 1]
    if not weights:
        return
    dims = pick(rng, weights).dims
    dims[:] = [dims[i] for i in rng.permutation(len(dims))]


def share_weight(model: onnx.ModelProto, rng: Rng) -> None:
    """Two nodes read one weight."""
    weights = [t for t in model.graph.initializer if len(t.dims) > 1]
    if not weights:
        return
    a = pick(rng, weights)
    b = pick(rng, [t for t in weights if list(t.dims) == list(a.dims)])
    for node in model.graph.node:
        for i, name in enumerate(node.input):
            if name == b.name:
                node.input[i] = a.name


def expose_value(model: onnx.ModelProto, rng: Rng) -> None:
    """An inner value becomes an output of the graph too, so that it must not be fused away."""
    node = pick(rng, model.graph.node)
    taken = {value.name for value in model.graph.output}
    if node.output and node.output[0] not in taken:
        model.graph.output.add(name=node.output[0]).type.tensor_type.elem_type = 1


def insert_node(model: onnx.ModelProto, rng: Rng) -> None:
    """An elementwise operator, a transpose or a cast of a weight between two nodes."""
    position = int(rng.integers(len(model.graph.node)))
    node = model.graph.node[position]
    if not node.input:
        return
    slot = int(rng.integers(len(node.input)))
    source = node.input[slot]
    if not source:
        return
    new = f"fuzz_{position}_{slot}_{int(rng.integers(10**6))}"
    kind = pick(rng, ("Relu", "Tanh", "Identity", "Neg", "Transpose"))
    made = onnx.helper.make_node(kind, [source], [new], name=new)
    node.input[slot] = new
    model.graph.node.insert(position, made)


def drop_node(model: onnx.ModelProto, rng: Rng) -> None:
    """A node is taken out; its readers read its first operand."""
    position = int(rng.integers(len(model.graph.node)))
    node = model.graph.node[position]
    if not node.input or not node.output:
        return
    old, new = node.output[0], node.input[0]
    del model.graph.node[position]
    for other in model.graph.node:
        for i, name in enumerate(other.input):
            if name == old:
                other.input[i] = new


def change_opset(model: onnx.ModelProto, rng: Rng) -> None:
    """The model claims another opset."""
    model.opset_import[0].version = int(rng.integers(7, 24))


MUTATIONS: tuple[Mutation, ...] = (
    swap_operator,
    swap_operands,
    rewire,
    change_integer,
    drop_attribute,
    change_shape_operand,
    reshape_weight,
    share_weight,
    expose_value,
    insert_node,
    drop_node,
    change_opset,
)


@functools.cache
def original(name: str) -> onnx.ModelProto:
    """A model of the zoo, loaded once."""
    return onnx.load(zoo.path(name))


def mutant(seed: int) -> tuple[str, onnx.ModelProto, list[str]]:
    """The model of a seed: its origin, the model, and what was done to it."""
    rng = np.random.default_rng(seed)
    name = pick(rng, MODELS)
    model = onnx.ModelProto()
    model.CopyFrom(original(name))
    # What exporters annotate is stale after a mutation, and a contradiction between declared
    # symbols is no valid model (the certificate refuses what comes of it).
    del model.graph.value_info[:]
    done: list[str] = []
    for _ in range(int(rng.integers(1, 4))):
        mutation = pick(rng, MUTATIONS)
        mutation(model, rng)
        done.append(mutation.__name__)
    return name, model, done


def run(model: onnx.ModelProto, inputs: dict[str, Array]) -> list[Array] | None:
    """The outputs in onnxruntime without its optimizations, or None where it refuses the model."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        return ort.InferenceSession(model.SerializeToString(), options).run(None, inputs)
    except Exception:
        return None


def same(actual: Sequence[Array], expected: Sequence[Array], bound: float) -> bool:
    """Equal up to rounding, where both are finite; NaN and infinity in the same places."""
    for a, b in zip(actual, expected, strict=True):
        if a.shape != b.shape or a.dtype != b.dtype:
            return False
        if b.dtype.kind != "f":
            if not np.array_equal(a, b):
                return False
            continue
        finite = np.isfinite(b)
        if not np.array_equal(finite, np.isfinite(a)):
            return False
        if finite.any():
            scale = max(float(np.abs(b[finite]).max()), 1e-3)
            if float(np.abs(a[finite] - b[finite]).max()) > bound * scale:
                return False
    return True


def check(seed: int) -> Outcome:
    """Convert the mutant of a seed both ways and compare."""
    name, model, done = mutant(seed)
    inputs = zoo.inputs(name, seed % 7)
    expected = run(model, inputs)
    what = f"seed {seed}: {name}, {', '.join(done)}"
    kind = "refused by onnxruntime" if expected is None else "unchanged"
    for to in ("conv", "linear"):
        try:
            conversion = onebyone.convert(model, to)
            result = ir.to_proto(conversion.model)
        except InputError as error:
            if not str(error).isprintable():
                return Outcome(kind, f"{what}: unprintable error")
            if expected is not None:
                kind = "refused by us alone"
                if "cannot be understood" in str(error):
                    return Outcome(kind, f"{what}: --to {to}: {error}")
            continue
        except Exception as error:
            return Outcome(kind, f"{what}: --to {to}: {type(error).__name__}: {error}")
        if expected is None:
            continue
        if any(layer.status == "converted" for layer in conversion.report.layers):
            kind = "compared"
        actual = run(result, inputs)
        if actual is None:
            return Outcome(kind, f"{what}: --to {to}: onnxruntime refuses the result")
        # Mutants amplify differences as no trained network does: a hundred times the usual bound
        # still tells a wrong axis or a lost bias from rounding.
        if not same(actual, expected, 100 * relative_bound(model)):
            return Outcome(kind, f"{what}: --to {to}: other outputs")
    return Outcome(kind)


def main() -> int:
    """Fuzz until the time is over; 1 if anything failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1_000_000)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    kinds: dict[str, int] = {}
    failures = 0
    seed, end = options.seed, time.monotonic() + 60 * options.minutes
    while time.monotonic() < end:
        outcome = check(seed)
        kinds[outcome.kind] = kinds.get(outcome.kind, 0) + 1
        if outcome.failure is not None:
            failures += 1
            print(outcome.failure[:300], flush=True)
        seed += 1
    print(f"{sum(kinds.values())} mutants, {failures} failures: {kinds}")
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
