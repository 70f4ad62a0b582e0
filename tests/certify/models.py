"""Small models for the certificate's tests, from ONNX's text form."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from onebyone.dialects.onnx.run.model import OnnxModel

Array = np.ndarray[Any, Any]


def model(
    signature: str, body: str, opset: int = 20, header: str = "", **constants: Array
) -> onnx.ModelProto:
    """A model ``signature { body }`` with constants as initializers."""
    text = f'<ir_version: 9, opset_import: ["" : {opset}{header}]> agraph {signature} {{ {body} }}'
    proto = onnx.parser.parse_model(text)
    for name, value in constants.items():
        proto.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
    return proto


def program(signature: str, body: str, opset: int = 20, **constants: Array) -> OnnxModel:
    return OnnxModel(model(signature, body, opset, **constants))


def weight(*shape: int, seed: int = 0, dtype: str = "float32") -> Array:
    return np.random.default_rng((seed, *shape)).standard_normal(shape).astype(dtype)
