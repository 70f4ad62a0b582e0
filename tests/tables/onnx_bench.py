"""ONNX nodes as models: alone, between transposes, between FC layers."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx import helper as h
from onnx import numpy_helper

from onebyone.dialects.onnx.run.form import canonical_form
from onebyone.dialects.onnx.run.runtime import OrtSession
from onebyone.dialects.protocol import Limits, RuntimeRefusesError, RuntimeUnableError
from tests.tables.engine import Outputs, Setting
from tests.tables.onnx_nodes import OnnxNode
from tests.tables.operands import Array, Operand, like, orders, turned


class OnnxBench:
    """The ONNX dialect, for the engine."""

    def model(self, node: OnnxNode) -> onnx.ModelProto | None:
        """The node alone."""
        return _model(node)

    def run(self, node: OnnxNode, model: onnx.ModelProto) -> Outputs | None:
        return run(model, node.feeds())

    def forms(self, node: OnnxNode, model: onnx.ModelProto) -> list[tuple[Hashable, ...]]:
        loaded = ir.from_proto(model)
        found = [tuple(canonical_form(loaded, by_position=p).outputs) for p in (False, True)]
        if node.label.endswith(" changed"):
            return found
        symbolic = _model(replace(node, symbolic=True))
        assert symbolic is not None
        return [*found, tuple(canonical_form(ir.from_proto(symbolic)).outputs)]

    def execute(self, model: Any, feeds: Sequence[Mapping[str, Array]]) -> Outputs | None:
        return run(model, feeds)

    def transposes(self, model: Any) -> int:
        graph = model.graph if isinstance(model, ir.Model) else model.graph.node
        return sum(node.op_type == "Transpose" for node in graph)


def settings(node: OnnxNode) -> Iterator[Setting]:
    """The node between transposes, with sizes and with symbols, and between FC layers."""
    rank = max((o.values.ndim for o in node.operands if o is not None and o.free), default=0)
    shape = _shape(node)
    for order in orders(rank):
        feeds = [{k: turned(v, order) for k, v in feed.items()} for feed in node.feeds()]
        for symbolic in (False, True) if order == orders(rank)[0] else (False,):
            model = between_transposes(replace(node, symbolic=symbolic), order, shape)
            if model is not None:
                label = f"order {order}{' symbolic' if symbolic else ''}"
                yield Setting(label, model, feeds, symbolic=symbolic)
    model = between_layers(node, shape)
    if model is not None:
        yield Setting("layers", model, node.feeds())


def run(model: Any, feeds: Sequence[Mapping[str, Array]]) -> Outputs | None:
    """The outputs in ONNX Runtime, its optimizations off; None where it refuses.

    In a process of its own, for it crashes on some nodes that no schema allows; and unchecked, for
    that would take most of the time.
    """
    proto = ir.to_proto(model) if isinstance(model, ir.Model) else model
    try:
        session = OrtSession(proto, ir.from_proto(proto), optimize=False, limits=Limits())
    except (RuntimeRefusesError, RuntimeUnableError):
        return None
    try:
        found = [session.run(feed) for feed in feeds]
        return [[np.asarray(outputs[v.name]) for v in proto.graph.output] for outputs in found]
    except (RuntimeRefusesError, RuntimeUnableError):
        return None
    finally:
        session.close()


def _shape(node: OnnxNode) -> tuple[int, ...]:
    """The shape of the first result, as the runtime finds it."""
    model = _model(replace(node, symbolic=False))
    outputs = None if model is None else run(model, node.feeds()[:1])
    return () if outputs is None else outputs[0][0].shape


def between_transposes(
    node: OnnxNode, order: Sequence[int], shape: Sequence[int]
) -> onnx.ModelProto | None:
    """The node on operands that come in another order of axes, its results in another one.

    ``shape`` is that of its first result.
    """
    before: dict[int, Sequence[onnx.NodeProto]] = {}
    flipped: dict[int, Operand | None] = dict(enumerate(node.operands))
    for place, operand in enumerate(node.operands):
        if operand is None or not operand.free or operand.values.ndim != len(order):
            continue
        back = [int(i) for i in np.argsort(order)]
        flipped[place] = replace(operand, values=turned(operand.values, order))
        before[place] = [h.make_node("Transpose", [f"x{place}"], [f"t{place}"], perm=back)]
    after = []
    if len(shape) > 1:
        perm = like(order, len(shape))
        after = [h.make_node("Transpose", ["y0"], ["z0"], perm=perm)]
    moved = replace(node, operands=tuple(flipped.values()))
    shown = "z0" if after else "y0"
    return _model(moved, before, after, result=shown)


def between_layers(node: OnnxNode, shape: Sequence[int]) -> onnx.ModelProto | None:
    """The node between two FC layers, the last axis of operands and of ``shape`` the channels."""
    before: dict[int, Sequence[onnx.NodeProto]] = {}
    more: dict[str, Array] = {}
    for place, operand in enumerate(node.operands):
        if operand is None or not operand.free or operand.values.ndim < 2:
            continue
        if operand.values.dtype != np.float32:
            continue
        channels = operand.values.shape[-1]
        # Channels in another order: whatever values the node may read it still may.
        more[f"w{place}"] = np.roll(np.eye(channels, dtype=np.float32), 1, axis=0)
        before[place] = [
            h.make_node("MatMul", [f"x{place}", f"w{place}"], [f"t{place}"], f"fc{place}")
        ]
    if not before or len(shape) < 2:
        return None
    channels = shape[-1]
    more["w_out"] = np.random.default_rng(5).uniform(0.5, 1.5, (channels, 3)).astype(np.float32)
    after = [
        h.make_node("Cast", ["y0"], ["c0"], to=1),
        h.make_node("MatMul", ["c0", "w_out"], ["z0"], "fc_out"),
    ]
    return _model(node, before, after, more, result="z0")


def _model(
    node: OnnxNode,
    before: Mapping[int, Sequence[onnx.NodeProto]] | None = None,
    after: Sequence[onnx.NodeProto] = (),
    more: Mapping[str, Array] | None = None,
    result: str = "",
) -> onnx.ModelProto | None:
    """A model of one node; ``before`` makes operand ``i`` from its input, ``after`` the result."""
    before, names, nodes = before or {}, list[str](), list[onnx.NodeProto]()
    inputs: list[Any] = []
    stored = dict(more or {})
    for place, operand in enumerate(node.operands):
        name = f"x{place}" if operand is not None else ""
        if operand is not None and operand.free:
            kind = h.np_dtype_to_tensor_dtype(operand.values.dtype)
            shape = operand.values.shape
            dims = [f"n{size}" if size > 1 else 1 for size in shape] if node.symbolic else shape
            inputs.append(h.make_tensor_value_info(name, kind, dims))
        elif operand is not None:
            stored[name] = operand.values
        made = before.get(place, ())
        nodes += made
        names.append(made[-1].output[0] if made else name)
    results = [f"y{i}" for i in range(node.outputs)]
    names = [names[place] for place in node.reads] or names
    attributes = {key: value for key, value in node.attributes.items() if value is not None}
    try:
        nodes.append(h.make_node(node.op, names, results, "it", domain=node.domain, **attributes))
    except (ValueError, TypeError):
        return None
    nodes += after
    shown = [result] if result else results
    graph = h.make_graph(
        nodes, "g", inputs, [onnx.ValueInfoProto(name=name) for name in shown],
        [numpy_helper.from_array(values, name) for name, values in stored.items()],
    )  # fmt: skip
    opsets = [h.make_opsetid("", node.opset)]
    if node.domain:
        opsets.append(h.make_opsetid(node.domain, 1))
    model = h.make_model(graph, opset_imports=opsets, ir_version=8)
    return _typed(model, node.kinds)


def _typed(model: onnx.ModelProto, kinds: Sequence[int]) -> onnx.ModelProto | None:
    """The model with the types of its outputs, ``kinds`` where onnx knows none."""
    try:
        inferred = onnx.shape_inference.infer_shapes(model)
    except Exception:
        return None
    for place, (value, known) in enumerate(
        zip(model.graph.output, inferred.graph.output, strict=True)
    ):
        said = kinds[place] if place < len(kinds) else onnx.TensorProto.FLOAT
        kind = known.type.tensor_type.elem_type or said
        value.CopyFrom(h.make_tensor_value_info(value.name, kind, None))
    return model
