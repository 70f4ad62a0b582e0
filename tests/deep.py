"""A Transformer encoder of any depth, written node by node: for tests and benchmarks of scale."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper as h
from onnx import numpy_helper

_WIDTH, _HEADS, _TOKENS = 16, 2, 6


def encoder(layers: int) -> onnx.ModelProto:
    """``layers`` Transformer layers of 36 nodes each, widths small, weights random."""
    rng = np.random.default_rng(0)
    nodes: list[onnx.NodeProto] = []
    initializers: list[onnx.TensorProto] = []

    def constant(name: str, array: Any) -> str:
        initializers.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def op(op_type: str, out: str, *inputs: str, **attributes: Any) -> str:
        nodes.append(h.make_node(op_type, list(inputs), [out], name=out, **attributes))
        return out

    def floats(name: str, *shape: int) -> str:
        return constant(name, rng.standard_normal(shape).astype(np.float32) / 4)

    def linear(name: str, x: str, wide_in: int, wide_out: int) -> str:
        weight, bias = floats(f"{name}.w", wide_in, wide_out), floats(f"{name}.b", wide_out)
        return op("Add", name, op("MatMul", f"{name}.product", x, weight), bias)

    def heads(name: str, x: str, perm: list[int]) -> str:
        split = op("Reshape", f"{name}.split", linear(name, x, _WIDTH, _WIDTH), split_shape)
        return op("Transpose", f"{name}.heads", split, perm=perm)

    def norm(name: str, x: str) -> str:
        scale, shift = floats(f"{name}.scale", _WIDTH), floats(f"{name}.shift", _WIDTH)
        return op("LayerNormalization", name, x, scale, shift, axis=-1, epsilon=1e-5)

    size = _WIDTH // _HEADS
    split_shape = constant("split", np.array([0, -1, _HEADS, size], np.int64))
    join_shape = constant("join", np.array([0, -1, _WIDTH], np.int64))
    factor = constant("factor", np.float32(size**-0.25))
    slope = constant("slope", np.float32(1.702))
    x = "x"
    for number in range(layers):
        at = f"layer{number}."
        h1 = norm(f"{at}norm1", x)
        q = op("Mul", f"{at}q.scaled", heads(f"{at}q", h1, [0, 2, 1, 3]), factor)
        k = op("Mul", f"{at}k.scaled", heads(f"{at}k", h1, [0, 2, 3, 1]), factor)
        v = heads(f"{at}v", h1, [0, 2, 1, 3])
        weights = op("Softmax", f"{at}weights", op("MatMul", f"{at}scores", q, k), axis=-1)
        mixed = op(
            "Transpose", f"{at}mixed", op("MatMul", f"{at}context", weights, v), perm=[0, 2, 1, 3]
        )
        joined = op("Reshape", f"{at}joined", mixed, join_shape)
        x = op("Add", f"{at}sum1", x, linear(f"{at}o", joined, _WIDTH, _WIDTH))
        inner = linear(f"{at}up", norm(f"{at}norm2", x), _WIDTH, 2 * _WIDTH)
        gate = op("Sigmoid", f"{at}gate", op("Mul", f"{at}steep", inner, slope))
        active = op("Mul", f"{at}active", inner, gate)
        x = op("Add", f"{at}sum2", x, linear(f"{at}down", active, 2 * _WIDTH, _WIDTH))
    op("Identity", "y", x)
    shape = [1, _TOKENS, _WIDTH]
    graph = h.make_graph(
        nodes,
        "encoder",
        [h.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [h.make_tensor_value_info("y", onnx.TensorProto.FLOAT, shape)],
        initializers,
    )
    return h.make_model(graph, opset_imports=[h.make_opsetid("", 18)], ir_version=9)
