"""One FC layer of an ONNX model with its numbers: the weight as a matrix, and a real activation.

The activation comes from onnxruntime: the layer's input is exposed as the graph's only output
and the graph is run on seeded random inputs. Nothing of the model is evaluated here.
"""

from __future__ import annotations

import difflib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from onebyone.dialects.onnx.files.load import load
from onebyone.dialects.onnx.natives import node_name
from onebyone.errors import InputError
from onebyone.identity import Geometry, Refusal, classify

# A model does not say which identifiers and which free image sizes it takes: try a few, in turn.
# A small vocabulary (token types) refuses large identifiers; text readers want 48 or 32 rows.
_ATTEMPTS = ((64, 96), (2, 96), (64, 48), (64, 32), (64, 224))  # identifiers below, pixels
_BATCH, _TOKENS = 1, 8
_PROTO_LIMIT = 1_500_000_000
_OPS = ("MatMul", "Gemm", "Conv")


@dataclass(frozen=True)
class LayerData:
    """An FC layer with numbers, whatever operator the model writes it with.

    Attributes:
        name: the node's name (its first output's where the node has none).
        op: the native operator.
        case: ``pointwise``, ``patch`` or ``whole``.
        stored: shape of the weight as the model stores it.
        weight: ``(N, K)``, the dtype of the model.
        bias: ``(N,)`` or None.
        activation: ``(P, K)``: what the layer reads at each of its P positions.
        grid: the positions as rows and columns, ``(1, P)`` for tokens.
    """

    name: str
    op: str
    case: str
    stored: tuple[int, ...]
    weight: NDArray[Any]
    bias: NDArray[Any] | None
    activation: NDArray[Any]
    grid: tuple[int, int]


def layer_data(path: str | Path, layer: str | None = None, seed: int = 0) -> LayerData:
    """Read one FC layer of a model, and run the model to see what the layer reads.

    Args:
        path: an ONNX file.
        layer: name of a node, of its output or of its weight; None takes the first FC layer.
        seed: of the random graph inputs.

    Returns:
        The layer's weight, bias and activation.

    Raises:
        InputError: the file is no ONNX model, no such layer exists, the layer is no FC layer, or
            onnxruntime cannot run the model.
    """
    path = Path(path)
    model = load(path)
    nodes = [node for node in model.graph if node.domain == "" and node.op_type in _OPS]
    if layer is None:
        readable = [node for node in nodes if isinstance(_geometry(node), Geometry)]
        if not readable:
            raise InputError(f"{path}: no MatMul, Gemm or Conv here is an FC layer to explain")
        return _read(path, model, readable[0], seed)
    for node in nodes:
        if layer in _names(node):
            return _read(path, model, node, seed)
    raise InputError(f"{path}: no layer '{layer}'; {_nearest(layer, nodes)}")


def _names(node: ir.Node) -> list[str]:
    values = (*node.outputs, *node.inputs[1:2])
    return [name for name in (node.name, *(v.name for v in values if v)) if name]


def _nearest(layer: str, nodes: list[ir.Node]) -> str:
    titles = [node_name(node) for node in nodes]
    if not titles:
        return "the model has no MatMul, Gemm or Conv at its top level"
    near = difflib.get_close_matches(layer, titles, n=4, cutoff=0.3) or titles[:4]
    return "nearest: " + ", ".join(near)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _constant(value: ir.Value | None) -> bool:
    if value is None:
        return False
    if value.const_value is not None or value.is_initializer():
        return not value.is_graph_input()
    producer = value.producer()
    if producer is None:
        return False
    return all(_constant(source) for source in producer.inputs if source is not None)


def _ints(node: ir.Node, name: str, default: list[int]) -> list[int]:
    attribute = node.attributes.get(name)
    return list(attribute.as_ints()) if attribute is not None else default


def _int(node: ir.Node, name: str, default: int) -> int:
    attribute = node.attributes.get(name)
    return attribute.as_int() if attribute is not None else default


def _size(value: ir.Value | None, axis: int) -> int | None:
    if value is None or value.shape is None or axis >= len(value.shape):
        return None
    size = value.shape[axis]
    return size if isinstance(size, int) and size > 0 else None


def _weight_shape(value: ir.Value) -> tuple[int, ...]:
    constant = ir.convenience.get_const_tensor(value)
    if constant is not None:
        return tuple(constant.shape.numpy())
    return tuple(value.shape.numpy()) if value.shape is not None and value.shape.is_static() else ()


def _geometry(node: ir.Node) -> Geometry | str:
    """The geometry of the layer as a convolution, or why it is no FC layer."""
    weight = node.inputs[1] if len(node.inputs) > 1 else None
    if weight is None or not _constant(weight):
        return "its second operand is no constant, so it has no weight"
    shape = _weight_shape(weight)
    if node.op_type != "Conv":
        if shape and len(shape) != 2:
            return f"its weight has {len(shape)} dimensions, and an FC layer's has 2"
        if _int(node, "transA", 0):
            return "transA is set: it reads its input by columns"
        return Geometry(1, 1, (), (), (), ())
    if len(shape) < 3:
        return "the shape of its weight is not known"
    rank = len(shape) - 2
    ones = [1] * rank
    kernel = shape[2:]
    pads = _ints(node, "pads", [0] * (2 * rank))
    if "auto_pad" in node.attributes and node.attributes["auto_pad"].as_string().startswith("SAME"):
        pads = [size // 2 for size in kernel] * 2
    groups = _int(node, "group", 1)
    if groups != 1:
        return f"it has {groups} groups: its weight is block diagonal, {groups} FC layers in one"
    geometry = Geometry(
        in_channels=shape[1] * groups,
        out_channels=shape[0],
        kernel=kernel,
        stride=tuple(_ints(node, "strides", ones)),
        padding=tuple(zip(pads[:rank], pads[rank:], strict=True)),
        dilation=tuple(_ints(node, "dilations", ones)),
        input_size=tuple(_size(node.inputs[0], axis + 2) for axis in range(rank)),
    )
    verdict = classify(geometry)
    return verdict.reason if isinstance(verdict, Refusal) else geometry


def _read(path: Path, model: ir.Model, node: ir.Node, seed: int) -> LayerData:
    title, geometry = node_name(node), _geometry(node)
    if isinstance(geometry, str):
        raise InputError(f"{path}: '{title}' ({node.op_type}) is no FC layer: {geometry}")
    op = node.op_type
    transposed = bool(_int(node, "transB", 0))
    scales = [
        node.attributes[name].as_float() if name in node.attributes else 1.0
        for name in ("alpha", "beta")
    ]
    wanted = [value for value in node.inputs[:3] if value is not None]
    if op == "MatMul":
        wanted += _added(node)
    values = _run(path, model, wanted, seed)
    activation, stored = values[0], values[1]
    bias = values[2].reshape(-1) if len(values) > 2 else None
    if op == "Conv":
        verdict = classify(geometry)
        assert not isinstance(verdict, Refusal)
        rows, grid = _windows(activation, geometry)
        weight, case = stored.reshape(stored.shape[0], -1), str(verdict.case)
    else:
        weight, case = (stored if transposed else stored.T), "pointwise"
        rows = activation.reshape(-1, activation.shape[-1])
        grid = (1, rows.shape[0])
    # Gemm's factors belong to the weight and to the bias; 1 leaves both as they are.
    if scales[0] != 1.0:
        weight = weight * weight.dtype.type(scales[0])
    if bias is not None and scales[1] != 1.0:
        bias = bias * bias.dtype.type(scales[1])
    if bias is not None:
        bias = np.broadcast_to(bias, (weight.shape[0],))
    return LayerData(title, op, case, stored.shape, weight, bias, rows, grid)


def _added(matmul: ir.Node) -> list[ir.Value]:
    """The bias that a lone Add after a MatMul adds, if it is a constant vector."""
    uses = list(matmul.outputs[0].uses())
    if len(uses) != 1 or uses[0].node.op_type != "Add":
        return []
    other = uses[0].node.inputs[1 - uses[0].idx]
    if other is None or not _constant(other) or len(_weight_shape(other)) != 1:
        return []
    return [other]


def _windows(x: NDArray[Any], geometry: Geometry) -> tuple[NDArray[Any], tuple[int, int]]:
    """The windows of the first image, one row each: ``(P, C * kernel...)``, and their grid."""
    rank = len(geometry.kernel)
    axes = tuple(range(1, rank + 1))
    view = sliding_window_view(x[0], geometry.kernel, axis=axes)
    view = view[(slice(None), *(slice(None, None, step) for step in geometry.stride))]
    positions = view.shape[1 : rank + 1]
    rows = np.moveaxis(view, 0, rank).reshape(int(np.prod(positions)), -1)
    return rows, (int(np.prod(positions[:-1])), positions[-1])


def _feed(value: ir.Value, rng: np.random.Generator, ids: int, pixels: int) -> NDArray[Any]:
    sizes = value.shape if value.shape is not None else ()
    free = pixels if len(sizes) >= 4 else _TOKENS
    shape = [
        size if isinstance(size, int) and size > 0 else (_BATCH if axis == 0 else free)
        for axis, size in enumerate(sizes)
    ]
    dtype = value.dtype.numpy() if value.dtype is not None else np.dtype(np.float32)
    if "mask" in (value.name or "").lower() or dtype.kind == "b":
        return np.ones(shape, dtype)
    if dtype.kind in "iu":
        return rng.integers(0, ids, size=shape).astype(dtype)
    return rng.standard_normal(shape).astype(dtype)


def _run(path: Path, model: ir.Model, wanted: list[ir.Value], seed: int) -> list[NDArray[Any]]:
    graph = model.graph
    graph.outputs.clear()
    graph.outputs.extend(wanted)
    failure: Exception | None = None
    try:
        session = _session(model)
    except Exception as error:  # onnxruntime raises a class of its own for each status
        raise InputError(f"{path}: onnxruntime cannot load it: {_line(error)}") from error
    for ids, pixels in _ATTEMPTS:
        rng = np.random.default_rng(seed)
        feeds = {
            value.name: _feed(value, rng, ids, pixels)
            for value in graph.inputs
            if value.name is not None and not value.is_initializer()
        }
        try:
            return [np.asarray(result) for result in session.run(None, feeds)]
        except Exception as error:
            failure = failure or error
    assert failure is not None
    raise InputError(f"{path}: onnxruntime cannot run it up to the layer: {_line(failure)}") from (
        failure
    )


def _session(model: ir.Model) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 4  # its errors become ours, in one line
    constants = model.graph.initializers.values()
    size = sum(value.const_value.nbytes for value in constants if value.const_value is not None)
    if size < _PROTO_LIMIT:
        return ort.InferenceSession(
            ir.to_proto(model).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "model.onnx"
        ir.save(model, copy, external_data="model.data")
        return ort.InferenceSession(copy, options, providers=["CPUExecutionProvider"])
