"""Hand-made models for the tests of files and errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper as h
from onnx import numpy_helper


def value(name: str, shape: list[int | str | None], kind: int = onnx.TensorProto.FLOAT) -> Any:
    """A graph input or output."""
    return h.make_tensor_value_info(name, kind, shape)


def model(
    nodes: list[onnx.NodeProto],
    initializers: dict[str, np.ndarray[Any, Any]] | None = None,
    inputs: list[Any] | None = None,
    outputs: list[Any] | None = None,
    opset: int = 18,
    **extra: Any,
) -> onnx.ModelProto:
    """A model from x (2, 64) to y, unless told otherwise."""
    graph = h.make_graph(
        nodes,
        "test",
        inputs or [value("x", [2, 64])],
        outputs or [value("y", None)],  # pyright: ignore[reportArgumentType]
        [numpy_helper.from_array(a, n) for n, a in (initializers or {}).items()],
    )
    return h.make_model(graph, opset_imports=[h.make_opsetid("", opset)], ir_version=9, **extra)


def fc(seed: int = 0, name: str = "w") -> onnx.ModelProto:
    """One MatMul, its weight large enough to be left in the file."""
    weight = np.random.default_rng(seed).standard_normal((64, 32)).astype(np.float32)
    return model([h.make_node("MatMul", ["x", name], ["y"], name="fc")], {name: weight})


def external(
    folder: Path,
    change: Callable[[dict[str, str]], None] = lambda entries: None,
    proto: onnx.ModelProto | None = None,
) -> Path:
    """`fc` with its weight in ``data.bin``; ``change`` edits location, offset and length."""
    proto = proto or fc()
    for tensor in proto.graph.initializer:
        data = tensor.raw_data
        (folder / "data.bin").write_bytes(b"\0" * 16 + data)
        entries = {"location": "data.bin", "offset": "16", "length": str(len(data))}
        change(entries)
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, text in entries.items():
            tensor.external_data.add(key=key, value=text)
    path = folder / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    return path
