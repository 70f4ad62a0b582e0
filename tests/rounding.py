"""How far two correct float programs may be apart, and the comparison that uses it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx

Array = np.ndarray[Any, Any]

_SUMS = ("MatMul", "Gemm", "Conv", "ConvTranspose", "Einsum", "Softmax", "LayerNormalization")


def relative_bound(model: onnx.ModelProto | Path, dtype: Any = np.float32) -> float:
    """A bound on the difference of two evaluation orders, relative to the largest output.

    A sum of K products in another order differs by about eps·sqrt(K) (rounding errors are
    independent; Higham & Mary 2019, probabilistic bounds). Each of the n sums that a value passes
    adds its own, so that n·eps·sqrt(K) is the scale; factor 4 covers what the functions between
    them amplify.
    """
    proto = model if isinstance(model, onnx.ModelProto) else onnx.load(model)
    weights = {t.name: list(t.dims) for t in proto.graph.initializer}
    weights |= {
        node.output[0]: list(attribute.t.dims)
        for node in proto.graph.node
        if node.op_type == "Constant"
        for attribute in node.attribute
        if attribute.HasField("t")
    }
    count, longest = 1, 1
    for node in proto.graph.node:
        count += node.op_type in _SUMS
        if node.op_type in ("MatMul", "Gemm", "Conv") and len(node.input) > 1:
            dims = weights.get(node.input[1], [])
            if len(dims) > 1:
                outputs = dims[0] if node.op_type == "Conv" else min(dims[-2:])
                longest = max(longest, math.prod(dims) // max(1, outputs))
    return 4 * count * math.sqrt(longest) * float(np.finfo(dtype).eps)


def assert_close(
    actual: list[Array], expected: list[Array], bound: float, least: float = 0.0
) -> None:
    """Outputs agree within ``bound`` of the largest value; comparing nothing is an error.

    ``least`` is the scale of outputs whose rounding does not shrink with them: 1 for a sigmoid,
    which runtimes compute as (1 + tanh) / 2.
    """
    assert expected, "no output to compare"
    assert len(actual) == len(expected)
    for a, b in zip(actual, expected, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        assert b.size, "an empty output compares nothing"
        if not np.issubdtype(b.dtype, np.floating):
            np.testing.assert_array_equal(a, b)
            continue
        assert np.isfinite(b).all()
        scale = float(np.abs(b).max())
        assert scale > 0, "an output of zeros compares nothing"
        difference = float(np.abs(a.astype(np.float64) - b.astype(np.float64)).max())
        limit = bound * max(scale, least)
        assert difference <= limit, f"{difference} > {limit} = {bound} * {max(scale, least)}"
