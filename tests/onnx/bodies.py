"""Models with bodies: built, run, spelled out by onnx, converted and proved."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx.inliner
import onnx_ir as ir
import onnxruntime as ort
from onnx import TensorProto as T
from onnx import helper, numpy_helper

import onebyone
from onebyone.certify.certificate import Verdict
from onebyone.dialects.onnx.run.form import canonical_form
from tests.rounding import assert_close, relative_bound

Arrays = dict[str, Any]
WAYS = ("conv", "linear")


def weights(*shapes: tuple[int, ...], seed: int = 0) -> list[Any]:
    """Random weights that keep activations of order 1."""
    rng = np.random.default_rng(seed)
    return [(rng.standard_normal(s) / np.sqrt(s[0])).astype(np.float32) for s in shapes]


def build(
    nodes: list[onnx.NodeProto],
    inputs: Arrays,
    constants: Arrays,
    outputs: tuple[str, ...] = ("z",),
    opset: int = 23,
    functions: tuple[onnx.FunctionProto, ...] = (),
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [
            helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
            for n, a in inputs.items()
        ],
        [helper.make_tensor_value_info(name, T.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(a, n) for n, a in constants.items()],
    )
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("mine", 1)]
    model = helper.make_model(
        graph, opset_imports=imports, ir_version=11, functions=list(functions)
    )
    return onnx.shape_inference.infer_shapes(model)


def random(*shape: int, seed: int = 1) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def run(model: onnx.ModelProto, inputs: Arrays) -> list[Any]:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(model.SerializeToString(), options)
    except Exception:  # opsets that the runtime does not have yet
        from onnx.reference import ReferenceEvaluator

        return list(ReferenceEvaluator(model).run(None, inputs))  # pyright: ignore
    return list(session.run(None, inputs))


def operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def serialized(model: onnx.ModelProto) -> list[bytes]:
    return sorted(node.SerializeToString() for node in model.graph.node)


def spelled_out(model: onnx.ModelProto, *names: str) -> onnx.ModelProto:
    """The model with the bodies of some operators, and of all functions, by onnx itself."""
    typed = onnx.ModelProto()
    typed.CopyFrom(model)
    for tensor in model.graph.initializer:
        typed.graph.value_info.append(
            helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        )
    result = onnx.inliner.inline_local_functions(typed)
    ids = [("", name) for name in names]
    if ids:
        result = onnx.inliner.inline_selected_functions(result, ids, inline_schema_functions=True)
    assert not result.functions
    assert not set(names) & set(operators(result))
    return result


def hashes(model: onnx.ModelProto) -> tuple[str, ...]:
    return canonical_form(ir.from_proto(model)).outputs


def converted(model: onnx.ModelProto, inputs: Arrays, to: str) -> onnx.ModelProto:
    """Convert, compare by running, and prove."""
    result = ir.to_proto(onebyone.convert(model, to).model)
    onnx.checker.check_model(result, full_check=True)
    bound = relative_bound(onnx.inliner.inline_local_functions(model))
    assert_close(run(result, inputs), run(model, inputs), bound)
    proved(model, result)
    return result


def proved(model: onnx.ModelProto, result: onnx.ModelProto, skip: str = "") -> None:
    layers = [x for x in onebyone.verify(model, result).layers if x.name != skip]
    assert len(layers) >= 3
    for layer in layers:
        assert layer.verdict is Verdict.PROVED, f"{layer.name}: {layer.summary}"
