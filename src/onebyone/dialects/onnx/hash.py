"""The canonical form of an ONNX model."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import onnx_ir as ir

from onebyone.axes.canonical import Canonical, canonical
from onebyone.axes.graph import Node
from onebyone.axes.positional import Kind, Tensor
from onebyone.dialects.onnx import attributes as at
from onebyone.dialects.onnx.read import read

_RANDOM = frozenset(
    (
        "Bernoulli",
        "Dropout",
        "Multinomial",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
    )
)


def canonical_form(model: ir.Model) -> Canonical:
    """Hash a model; its layout, and the form of its FC layers, do not count."""
    return canonical(read(model).graph, _elements, _describe)


def _elements(tensor: Tensor) -> np.ndarray[Any, Any]:
    found = ir.convenience.get_const_tensor(tensor.key)
    assert found is not None
    return found.numpy()


def _describe(node: Node) -> Hashable:
    native: ir.Node = node.natives[0]
    if node.kind is Kind.SIZES:
        return "sizes"
    if native.op_type in _RANDOM:
        # Two draws are two values, however equal the nodes that draw them.
        return (native.op_type, *(value.name for value in native.outputs))
    return (native.domain, native.op_type, at.hashable(native))
