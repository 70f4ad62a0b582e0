"""A layer of a user's model: its numbers reproduce what onnxruntime computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from onebyone.errors import InputError
from onebyone.explain.onnx_layer import LayerData, layer_data

RNG = np.random.default_rng(12)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def save(
    path: Path, nodes: list[Any], shape: list[Any], weights: dict[str, np.ndarray], **options: Any
) -> Path:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path, **options)
    return path


def recomputed(found: LayerData) -> np.ndarray:
    y = found.activation.astype(np.float64) @ found.weight.T.astype(np.float64)
    return y if found.bias is None else y + found.bias


def agrees(found: LayerData, y: np.ndarray) -> None:
    """``y`` is ``(P, N)`` from onnxruntime; K products and a bias, each rounded once."""
    assert np.any(y)
    k = found.weight.shape[1]
    size = np.abs(found.activation) @ np.abs(found.weight).T + 1
    assert y.shape == recomputed(found).shape
    assert np.all(np.abs(recomputed(found) - y) <= (k + 3) * 2.0**-24 * size)


def output(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    return np.asarray(session.run(None, {"x": x})[0])


def test_matmul_with_the_bias_of_an_add(tmp_path: Path):
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], name="fc"),
        helper.make_node("Add", ["b", "h"], ["y"]),
    ]
    path = save(tmp_path / "m.onnx", nodes, ["n", "s", 6], {"w": normal(6, 4), "b": normal(4)})
    found = layer_data(path, "fc")
    assert (found.op, found.case, found.grid) == ("MatMul", "pointwise", (1, 8))
    agrees(found, output(path, (1, 8, 6)).reshape(-1, 4))


@pytest.mark.parametrize("trans", [0, 1])
def test_gemm(tmp_path: Path, trans: int):
    node = helper.make_node(
        "Gemm", ["x", "w", "b"], ["y"], name="fc", transB=trans, alpha=0.5, beta=2.0
    )
    w = normal(4, 6) if trans else normal(6, 4)
    path = save(tmp_path / "m.onnx", [node], [3, 6], {"w": w, "b": normal(4)})
    agrees(layer_data(path, "y"), output(path, (3, 6)))


@pytest.mark.parametrize(
    ("kernel", "stride", "size", "case"),
    [
        ((1, 1), (1, 1), (4, 5), "pointwise"),
        ((1, 1), (2, 2), (4, 5), "pointwise"),
        ((2, 3), (2, 3), (4, 6), "patch"),
        ((4, 5), (1, 1), (4, 5), "whole"),
        ((3,), (3,), (9,), "patch"),
        ((2, 2, 2), (2, 2, 2), (4, 2, 2), "patch"),
    ],
)
def test_conv(
    tmp_path: Path,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    size: tuple[int, ...],
    case: str,
):
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], strides=stride)
    weights = {"w": normal(4, 3, *kernel), "b": normal(4)}
    path = save(tmp_path / "m.onnx", [node], [1, 3, *size], weights)
    found = layer_data(path)
    assert found.case == case
    y = output(path, (1, 3, *size))
    assert found.grid[0] * found.grid[1] == int(np.prod(y.shape[2:]))
    agrees(found, y.reshape(4, -1).T)


def test_weight_behind_constant_nodes_and_external_data(tmp_path: Path):
    nodes = [
        helper.make_node("Transpose", ["w"], ["t"]),
        helper.make_node("MatMul", ["x", "t"], ["y"], name="fc"),
    ]
    path = save(
        tmp_path / "m.onnx",
        nodes,
        [2, 300],
        {"w": normal(4, 300)},
        save_as_external_data=True,
        size_threshold=16,
    )
    agrees(layer_data(path, "fc"), output(path, (2, 300)))


def test_a_model_too_large_for_one_message_runs_from_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("onebyone.explain.onnx_layer._PROTO_LIMIT", 0)
    node = helper.make_node("MatMul", ["x", "w"], ["y"], name="fc")
    path = save(tmp_path / "m.onnx", [node], [2, 300], {"w": normal(300, 4)})
    agrees(layer_data(path, "fc"), output(path, (2, 300)))


def test_nearest_names(tmp_path: Path):
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], name="encoder.fc1"),
        helper.make_node("MatMul", ["h", "w"], ["y"], name="encoder.fc2"),
    ]
    path = save(tmp_path / "m.onnx", nodes, [2, 4], {"w": normal(4, 4)})
    with pytest.raises(InputError, match=r"no layer 'encoder.fc3'; nearest: encoder.fc\d, "):
        layer_data(path, "encoder.fc3")


@pytest.mark.parametrize(
    ("op", "attributes", "weight", "why"),
    [
        ("Conv", {}, (4, 3, 3, 3), "stride 1 < kernel 3: windows overlap"),
        ("Conv", {"pads": [1, 1, 1, 1]}, (4, 3, 3, 3), "padding"),
        ("Conv", {"group": 3}, (3, 1, 1, 1), "3 groups: its weight is block diagonal"),
    ],
)
def test_a_layer_that_is_none_is_refused_with_the_reason(
    tmp_path: Path, op: str, attributes: dict[str, Any], weight: tuple[int, ...], why: str
):
    node = helper.make_node(op, ["x", "w"], ["y"], name="c", **attributes)
    path = save(tmp_path / "m.onnx", [node], [1, 3, 8, 8], {"w": normal(*weight)})
    with pytest.raises(InputError, match=why):
        layer_data(path, "c")


def test_a_product_of_two_activations_has_no_weight(tmp_path: Path):
    nodes = [helper.make_node("MatMul", ["x", "x"], ["y"], name="scores")]
    path = save(tmp_path / "m.onnx", nodes, [4, 4], {})
    with pytest.raises(InputError, match="no constant, so it has no weight"):
        layer_data(path, "scores")


def test_bad_files_in_one_line(tmp_path: Path):
    good = save(
        tmp_path / "m.onnx",
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        [2, 4],
        {"w": normal(4, 4)},
    )
    cut, text = tmp_path / "cut.onnx", tmp_path / "text.onnx"
    cut.write_bytes(good.read_bytes()[:40])
    text.write_text("not a model")
    for path in (cut, text, tmp_path, tmp_path / "none.onnx"):
        with pytest.raises(InputError) as caught:
            layer_data(path)
        assert "\n" not in str(caught.value) and str(path) in str(caught.value)
