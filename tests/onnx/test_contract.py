"""What the engine promises, one promise a test."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper

import onebyone
from onebyone.dialects.onnx.run.form import canonical_form
from tests import zoo
from tests.onnx.graph_check import run
from tests.onnx.small import model, value

RNG = np.random.default_rng(0)


def small(*shape: int) -> Any:
    return RNG.integers(-3, 4, shape).astype(np.float32)


def convert(proto: onnx.ModelProto, to: str) -> tuple[onnx.ModelProto, Any]:
    """The conversion, checked, and compared with the original bit for bit: integers are exact."""
    whole = onnx.shape_inference.infer_shapes(proto)
    done = onebyone.convert(whole, to)
    result = ir.to_proto(done.model)
    onnx.checker.check_model(result, full_check=True)
    feeds = {}
    for v in proto.graph.input:
        shape = [d.dim_value for d in v.type.tensor_type.shape.dim]
        code = h.tensor_dtype_to_np_dtype(v.type.tensor_type.elem_type)
        feeds[v.name] = RNG.integers(0, 4, shape).astype(code)
    before, after = run(proto, feeds), run(result, feeds)
    assert before is not None and after is not None
    for a, b in zip(after, before, strict=True):
        assert b.any(), "comparing zeros proves nothing"
        np.testing.assert_array_equal(a, b)
    return result, done.report


def ops(proto: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in proto.graph.node]


def node(op: str, inputs: str, outputs: str = "y", **attributes: Any) -> onnx.NodeProto:
    return h.make_node(op, inputs.split(), outputs.split(), name=f"{op}-{outputs}", **attributes)


# ---- every recognised form of a sum of products -------------------------------------------------

IMAGE = [1, 6, 4, 4]
FORMS: dict[str, tuple[list[int], Any, dict[str, Any]]] = {
    "MatMul": ([2, 5, 6], node("MatMul", "x w"), {"w": small(6, 3)}),
    "MatMul, weight on the left": ([2, 6, 5], node("MatMul", "w x"), {"w": small(3, 6)}),
    "MatMul, batch of one": ([2, 5, 6], node("MatMul", "x w"), {"w": small(1, 6, 3)}),
    "MatMul, a weight for each batch": ([2, 5, 6], node("MatMul", "x w"), {"w": small(2, 6, 3)}),
    "MatMul, vector": ([2, 5, 6], node("MatMul", "x w"), {"w": small(6)}),
    "MatMul of a vector": ([6], node("MatMul", "x w"), {"w": small(6, 3)}),
    "Gemm": ([5, 6], node("Gemm", "x w b"), {"w": small(6, 3), "b": small(3)}),
    "Gemm, transB": ([5, 6], node("Gemm", "x w", transB=1), {"w": small(3, 6)}),
    "Gemm, transA": ([6, 5], node("Gemm", "x w", transA=1), {"w": small(6, 3)}),
    "Gemm, alpha and beta": (
        [5, 6],
        node("Gemm", "x w b", alpha=0.5, beta=2.0, transB=1),
        {"w": small(3, 6), "b": small(1, 3)},
    ),
    "Gemm, a bias for each row": (
        [5, 6],
        node("Gemm", "x w b"),
        {"w": small(6, 3), "b": small(5, 1)},
    ),
    "Gemm, scalar bias": ([5, 6], node("Gemm", "x w b"), {"w": small(6, 3), "b": np.float32(2)}),
    "Einsum": ([2, 5, 6], node("Einsum", "x w", equation="bsk,kn->bsn"), {"w": small(6, 3)}),
    "Einsum, permuted": (
        [2, 5, 6],
        node("Einsum", "w x", equation="nk,bsk->nsb"),
        {"w": small(3, 6)},
    ),
    "Einsum, two letters": (
        [2, 5, 6],
        node("Einsum", "x w", equation="bsk,skn->bn"),
        {"w": small(5, 6, 3)},
    ),
    "Einsum, ellipsis": (
        [2, 5, 6],
        node("Einsum", "x w", equation="...k,kn->...n"),
        {"w": small(6, 3)},
    ),
    "Conv 1x1": (IMAGE, node("Conv", "x w"), {"w": small(8, 6, 1, 1)}),
    "Conv 1x1, stride": (IMAGE, node("Conv", "x w", strides=[2, 2]), {"w": small(8, 6, 1, 1)}),
    "Conv 1x1, groups": (IMAGE, node("Conv", "x w", group=2), {"w": small(8, 3, 1, 1)}),
    "Conv 1x1, depthwise": (IMAGE, node("Conv", "x w", group=6), {"w": small(6, 1, 1, 1)}),
    "Conv, patch": (
        IMAGE,
        node("Conv", "x w b", strides=[2, 2]),
        {"w": small(8, 6, 2, 2), "b": small(8)},
    ),
    "Conv, patch with groups": (
        IMAGE,
        node("Conv", "x w", strides=[2, 2], group=3),
        {"w": small(9, 2, 2, 2)},
    ),
    "Conv, whole": (IMAGE, node("Conv", "x w b"), {"w": small(8, 6, 4, 4), "b": small(8)}),
    "Conv1d": ([2, 6, 4], node("Conv", "x w", strides=[2]), {"w": small(8, 6, 2)}),
    "Conv3d": (
        [1, 3, 2, 4, 4],
        node("Conv", "x w", strides=[2, 2, 2]),
        {"w": small(8, 3, 2, 2, 2)},
    ),
    "ConvTranspose": (
        IMAGE,
        node("ConvTranspose", "x w b", strides=[2, 2]),
        {"w": small(6, 3, 2, 2), "b": small(3)},
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_each_form_converts_both_ways(name: str) -> None:
    shape, layer, constants = FORMS[name]
    proto = model([layer], constants, [value("x", list(shape))])
    convolution, report = convert(proto, "conv")
    assert [layer.status for layer in report.layers] in (["converted"], ["unchanged"])
    assert not {"MatMul", "Gemm", "Einsum"} & set(ops(convolution))
    linear, report = convert(proto, "linear")
    assert not {"Conv", "ConvTranspose", "Gemm", "Einsum"} & set(ops(linear))
    again, _ = convert(linear, "conv")
    for result in (convolution, linear, again):
        stored = {
            np.sort(numpy_helper.to_array(t), axis=None).tobytes() for t in result.graph.initializer
        }
        for array in constants.values():
            assert np.sort(array, axis=None).tobytes() in stored


DISGUISES = {
    "Identity": (node("Identity", "s", "w"), small(6, 3)),
    "Transpose": (node("Transpose", "s", "w", perm=[1, 0]), small(3, 6)),
    "Reshape": (node("Reshape", "s r", "w"), small(18)),
    "Cast": (node("Cast", "s", "w", to=T.FLOAT), small(6, 3).astype(np.int8)),
}


@pytest.mark.parametrize("name", DISGUISES)
def test_a_weight_behind_a_view(name: str) -> None:
    disguise, stored = DISGUISES[name]
    constants = {"s": stored, "r": np.array([6, 3])}
    proto = model([disguise, node("MatMul", "x w")], constants, [value("x", [2, 5, 6])])
    result, report = convert(proto, "conv")
    assert "MatMul" not in ops(result)
    assert report.count("converted") == 1


@pytest.mark.parametrize("perm", [(0, 2, 3, 1), (0, 3, 2, 1), (0, 1, 3, 2), (0, 3, 1, 2)])
def test_a_permuted_flatten_becomes_one_convolution(perm: tuple[int, ...]) -> None:
    nodes = [
        node("Transpose", "x", "t", perm=perm),
        node("Flatten", "t", "f", axis=1),
        node("Gemm", "f w b", transB=1),
    ]
    proto = model(nodes, {"w": small(5, 24), "b": small(5)}, [value("x", [1, 2, 3, 4])])
    result, report = convert(proto, "conv")
    assert "Transpose" not in ops(result)
    assert report.layers[0].after == "Conv 3x4"
    assert report.layers[0].case == "whole"


@pytest.mark.parametrize("side", ["m b", "b m"])
@pytest.mark.parametrize("shape", [(3,), (1, 3), (1, 1, 3)])
def test_a_bias_on_either_side_is_folded(side: str, shape: tuple[int, ...]) -> None:
    nodes = [node("MatMul", "x w", "m"), node("Add", side)]
    constants = {"w": small(6, 3), "b": small(*shape)}
    result, _ = convert(model(nodes, constants, [value("x", [2, 5, 6])]), "conv")
    assert "Add" not in ops(result)
    assert len(next(n for n in result.graph.node if n.op_type == "Conv").input) == 3


@pytest.mark.parametrize("shape", [(), (1,), (5, 1), (5, 3)])
def test_what_is_no_bias_stays_an_addition(shape: tuple[int, ...]) -> None:
    nodes = [node("MatMul", "x w", "m"), node("Add", "m b")]
    constants = {"w": small(6, 3), "b": small(*shape) + np.float32(1)}
    result, _ = convert(model(nodes, constants, [value("x", [2, 5, 6])]), "conv")
    assert "Add" in ops(result)


def test_tied_weights_stay_one_initializer() -> None:
    """An embedding and the head that reads it transposed, as in GPT-2."""
    nodes = [
        node("Gather", "w ids", "e"),
        node("Transpose", "w", "t", perm=[1, 0]),
        node("MatMul", "e t"),
    ]
    table = small(64, 128)
    ids = value("ids", [1, 4], T.INT64)
    result, report = convert(model(nodes, {"w": table}, [ids]), "conv")
    sizes = [
        t for t in result.graph.initializer if list(t.dims).count(1) < 4 and len(t.raw_data) > 9000
    ]
    assert len(sizes) == 1
    assert report.count("converted") == 1
    assert "MatMul" not in ops(result)


def test_an_overridable_weight_is_no_constant() -> None:
    proto = model([node("MatMul", "x w")], {"w": small(6, 3)}, [value("x", [5, 6])])
    proto.graph.input.append(value("w", [6, 3]))
    result, report = convert(proto, "conv")
    assert ops(result) == ["MatMul"]
    assert [layer.status for layer in report.layers] == ["kept"]
    assert "override" in report.layers[0].reason
    assert result.graph.input == proto.graph.input


@pytest.mark.parametrize("listed", [True, False])
def test_a_model_of_ir_version_3(listed: bool) -> None:
    """It lists its initializers as inputs; no runtime lets a caller override them."""
    weight = small(6, 3)
    nodes = [node("MatMul", "x w", "m"), node("Relu", "m")]
    if not listed:
        constant = numpy_helper.from_array(weight, "w")
        nodes.insert(0, h.make_node("Constant", [], ["w"], value=constant))
    proto = model(nodes, {"w": weight} if listed else {}, [value("x", [2, 5, 6])], opset=9)
    proto.ir_version = 3
    if listed:
        proto.graph.input.append(value("w", [6, 3]))
    whole = onnx.shape_inference.infer_shapes(proto)
    onnx.checker.check_model(whole)
    done = onebyone.convert(whole, "conv")
    result = ir.to_proto(done.model)
    onnx.checker.check_model(result, full_check=True)
    assert "MatMul" not in ops(result)
    assert [v.name for v in result.graph.input] == ["x"]
    x = {"x": small(2, 5, 6)}
    before, after = run(whole, x), run(result, x)
    assert before is not None and after is not None
    np.testing.assert_array_equal(after[0], before[0])
    assert canonical_form(done.model).outputs == canonical_form(ir.from_proto(whole)).outputs


# ---- bodies and functions -----------------------------------------------------------------------


def test_a_body_reads_the_value_that_it_captured() -> None:
    """The layout of ``m`` changes around the If; its bodies must not notice."""
    flag = value("flag", [], T.BOOL)
    bodies = {
        f"{side}_branch": h.make_graph(
            [node("MatMul", "m w2", side)], side, [], [value(side, [2, 5, 3])]
        )
        for side in ("then", "else")
    }
    nodes = [
        node("MatMul", "x w", "m"),
        node("If", "flag", "i", **bodies),
        node("MatMul", "m w2", "n"),
        node("Add", "i n"),
    ]
    constants = {"w": small(6, 3), "w2": small(3, 3)}
    proto = model(nodes, constants, [value("x", [2, 5, 6]), flag])
    result, report = convert(proto, "conv")
    kept = [layer for layer in report.layers if layer.status == "kept"]
    assert {layer.reason for layer in kept} == {"it is in the body of If-i"}
    assert report.count("converted") == 2
    (branch,) = (n for n in result.graph.node if n.op_type == "If")
    assert all("MatMul" in [n.op_type for n in a.g.node] for a in branch.attribute)


@pytest.mark.parametrize("operator", ["Add", "Trilu"])
def test_a_function_stays_a_call_unless_its_layout_changes(operator: str) -> None:
    """Of Add any layout will do; Trilu is not understood, and reads what it always read."""
    operands = "a a" if operator == "Add" else "a"
    body = h.make_function(
        "own", "F", ["a"], ["b"], [node(operator, operands, "b")], [h.make_opsetid("", 18)]
    )
    call = h.make_node("F", ["m"], ["t"], domain="own", name="call")
    nodes = [node("MatMul", "x w", "m"), call, node("MatMul", "t v")]
    constants = {"w": small(6, 3), "v": small(3, 2)}
    proto = model(nodes, constants, [value("x", [2, 5, 6])], functions=[body])
    proto.opset_import.append(h.make_opsetid("own", 1))
    result, report = convert(proto, "conv")
    calls = [n.name for n in result.graph.node if n.domain == "own"]
    assert calls == (["call"] if operator == "Trilu" else [])
    assert len(result.functions) == len(calls)
    assert report.count("converted") == 2


# ---- quantized layers, fused attention ----------------------------------------------------------


def _quantized(name: str) -> onnx.ModelProto:
    x = [value("x", [2, 6])]
    if name == "DequantizeLinear":
        constants = {"q": RNG.integers(-3, 4, (6, 3)).astype(np.int8), "s": np.float32(0.5)}
        return model([node("DequantizeLinear", "q s", "w"), node("MatMul", "x w")], constants, x)
    if name == "MatMulInteger":
        byte = [value("x", [2, 6], T.UINT8)]
        return model(
            [node("MatMulInteger", "x w")],
            {"w": RNG.integers(1, 4, (6, 3)).astype(np.uint8)},
            byte,
            [value("y", [2, 3], T.INT32)],
        )
    if name == "QLinearMatMul":
        constants = {
            "w": RNG.integers(1, 4, (6, 3)).astype(np.uint8),
            "s": np.float32(1),
            "z": np.uint8(0),
        }
        byte = [value("x", [2, 6], T.UINT8)]
        out = [value("y", [2, 3], T.UINT8)]
        return model([node("QLinearMatMul", "x s z w s z s z")], constants, byte, out)
    packed = RNG.integers(0, 255, (3, 1, 8)).astype(np.uint8)
    layer = h.make_node(
        "MatMulNBits", ["x", "w", "s"], ["y"], name="MatMulNBits-y", domain="com.microsoft",
        K=16, N=3, bits=4, block_size=16,
    )  # fmt: skip
    proto = model([layer], {"w": packed, "s": np.ones(3, np.float32)}, [value("x", [2, 16])])
    proto.opset_import.append(h.make_opsetid("com.microsoft", 1))
    return proto


@pytest.mark.parametrize(
    "name", ["DequantizeLinear", "MatMulInteger", "QLinearMatMul", "MatMulNBits"]
)
def test_a_quantized_layer_is_kept_with_the_reason(name: str) -> None:
    proto = _quantized(name)
    done = onebyone.convert(proto, "conv")
    (layer,) = done.report.layers
    assert layer.status == "kept"
    assert "quantized" in (layer.reason or "") or "DequantizeLinear" in (layer.reason or "")
    assert [n.name for n in ir.to_proto(done.model).graph.node] == [
        n.name for n in proto.graph.node
    ]


def test_the_fused_attention_stays_where_nothing_moves() -> None:
    nodes = [
        node("MatMul", "x wq", "q"),
        node("MatMul", "x wk", "k"),
        node("Attention", "q k q", "a", q_num_heads=2, kv_num_heads=2),
        node("MatMul", "a wo"),
    ]
    constants = {name: small(4, 4) for name in ("wq", "wk", "wo")}
    proto = model(nodes, constants, [value("x", [1, 3, 4])], opset=23)
    for to, converted in (("conv", 3), ("linear", 0)):
        done = onebyone.convert(proto, to)
        result = ir.to_proto(done.model)
        # Spelled out it would cost as many moves.
        assert "Attention-a" in [n.name for n in result.graph.node]
        assert done.report.count("converted") == converted


# ---- what need not change -----------------------------------------------------------------------


def test_a_node_that_need_not_change_is_the_same_node() -> None:
    nodes = [
        node("Conv", "x w", "c", pads=[1, 1, 1, 1]),
        node("Relu", "c", "r"),
        node("GlobalAveragePool", "r", "g"),
        node("Flatten", "g", "f", axis=1),
        node("Gemm", "f v", transB=1),
    ]
    for n in nodes:
        n.doc_string = f"about {n.name}"
        n.metadata_props.add(key="owner", value=n.name)
    proto = model(nodes, {"w": small(6, 6, 3, 3), "v": small(5, 6)}, [value("x", IMAGE)])
    result, _ = convert(proto, "conv")
    assert list(result.graph.node)[:2] == nodes[:2]
    for n in result.graph.node:
        metadata = {p.key: p.value for p in n.metadata_props}
        if n not in nodes:
            assert metadata["onebyone.rule"]
            assert metadata["onebyone.from"]


def test_nothing_to_do_changes_nothing() -> None:
    nodes = [node("Conv", "x w", "c", pads=[1, 1, 1, 1]), node("Softmax", "c", axis=1)]
    proto = model(nodes, {"w": small(6, 6, 3, 3)}, [value("x", IMAGE)])
    for to in ("conv", "linear", "conv-native-norm"):
        result = ir.to_proto(onebyone.convert(proto, to).model)
        assert list(result.graph.node) == nodes
        assert result.graph.output == proto.graph.output


@pytest.mark.skipif(not zoo.available("resnet"), reason="transformers is not installed")
def test_onnxruntimes_quantizer_finds_every_layer() -> None:
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    done = onebyone.convert(zoo.path("resnet"), "linear")
    proto = ir.to_proto(done.model)
    layers = [layer for layer in done.report.layers if layer.case]
    assert len(layers) >= 9
    quantizer = MatMulNBitsQuantizer(proto, bits=4, block_size=16)
    quantizer.process()
    found = [n.op_type for n in quantizer.model.model.graph.node]
    assert found.count("MatMulNBits") == len(layers)
    assert "MatMul" not in found
