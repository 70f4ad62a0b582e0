"""Single nodes in the interpreter against ONNX Runtime, and pairs of models against each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import onnx_ir as ir

import onebyone
from onebyone.dialects.onnx.run.interpreter import Interpreter
from onebyone.kernels.arithmetic import Float64
from onebyone.kernels.errors import UnsupportedError
from tests.tables.engine import differ
from tests.tables.onnx_bench import OnnxBench
from tests.tables.onnx_nodes import OnnxNode

_BENCH = OnnxBench()


def disagreement(node: OnnxNode) -> str:
    """How the float64 run of a node differs from the runtime's, optimizations off; "" if not."""
    model = _BENCH.model(node)
    assert model is not None, f"no model of {node.op}"
    outputs = _BENCH.run(node, model)
    assert outputs is not None, f"the runtime refuses {node.op} {dict(node.attributes)}"
    for feed, want in zip(node.feeds(), outputs, strict=True):
        values = {k: x.astype(np.float64) if x.dtype.kind == "f" else x for k, x in feed.items()}
        found = list(Interpreter(ir.from_proto(model), Float64()).run(values).values())
        for place, (x, y) in enumerate(zip(found, want, strict=True)):
            got = np.asarray(x)
            if got.shape != y.shape or differ([[got.astype(y.dtype)]], [[y]]):
                return f"{node.op} {dict(node.attributes)} output {place}: {got} is not {y}"
    return ""


def refused(node: OnnxNode) -> bool:
    """Whether the interpreter says that it does not understand a node."""
    model = _BENCH.model(node)
    assert model is not None, f"no model of {node.op}"
    feed = node.feeds()[0]
    values = {k: x.astype(np.float64) if x.dtype.kind == "f" else x for k, x in feed.items()}
    try:
        Interpreter(ir.from_proto(model), Float64()).run(values)
    except UnsupportedError:
        return True
    return False


def with_attributes(node: OnnxNode, **attributes: object) -> OnnxNode:
    """A node with more attributes."""
    return replace(node, attributes={**node.attributes, **attributes})


def parsed(inputs: str, outputs: str, body: str, opset: int = 20) -> onnx.ModelProto:
    """A model in ONNX's own text form."""
    domains = f'"" : {opset}, "com.microsoft" : 1, "com.microsoft.nchwc" : 1'
    return onnx.parser.parse_model(
        f"<ir_version: 8, opset_import: [{domains}]> g ({inputs}) => ({outputs}) {{ {body} }}"
    )


def exit_code(first: onnx.ModelProto, second: onnx.ModelProto) -> int:
    """What `verify` says of two models."""
    return onebyone.verify(first, second).exit_code


def field_verdict(first: onnx.ModelProto, second: onnx.ModelProto) -> str:
    """What the layer ``field`` alone says of two models, and why."""
    for layer in onebyone.verify(first, second).layers:
        if layer.name == "field":
            return layer.verdict.value
    raise AssertionError("there is no field layer")
