"""A node is written by what it means: what only its operator says keeps its layout."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import helper as h

import onebyone
from onebyone.axes.meanings import axis_labels
from onebyone.axes.positional import Apply, Kind, Meaning
from onebyone.dialects.onnx.read import table
from onebyone.dialects.onnx.read.attributes import Attributes
from onebyone.dialects.onnx.read.reader import Reader
from onebyone.dialects.onnx.write.build import Build
from tests.lower import graphs
from tests.onnx import small


def _weight(rows: int, columns: int) -> np.ndarray[Any, Any]:
    random = np.random.default_rng(rows)
    return random.standard_normal((rows, columns, 1, 1)).astype(np.float32)


def _between(node: onnx.NodeProto, opset: int = 18) -> onnx.ModelProto:
    """A node between two pointwise convolutions, so that it moves with them to rows of channels."""
    nodes = [
        h.make_node("Conv", ["x", "a"], ["f"], name="first"),
        node,
        h.make_node("Conv", ["g", "b"], ["y"], name="last"),
    ]
    shape: list[int | str | None] = [2, 3, 4, 6]
    return small.model(
        nodes,
        {"a": _weight(8, 3), "b": _weight(5, 8)},
        inputs=[small.value("x", shape)],
        opset=opset,
    )


def _kinds(proto: onnx.ModelProto) -> list[str]:
    """Converted to rows of channels, and the same on onnxruntime: which operators there are."""
    converted = onebyone.convert(proto, "linear").model
    x = np.random.default_rng(7).standard_normal((2, 3, 4, 6)).astype(np.float32)
    before, after = (
        ort.InferenceSession(m.SerializeToString(), providers=["CPUExecutionProvider"]).run(
            None, {"x": x}
        )[0]
        for m in (proto, ir.to_proto(converted))
    )
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-4)
    return [node.op_type for node in converted.graph]


def _global_norm(reader: Reader, node: ir.Node, given: Attributes) -> Meaning:
    """GlobalLpPool as a newcomer would add it: a reduction by its function."""
    labels = axis_labels(len(reader.shape(node.inputs[0]) or ()))
    gone = tuple((f"gone{i}",) for i in range(2, len(labels)))
    return Apply(Kind.REDUCE, f"l{given.integer('p', 2)}", (labels,), ((*labels[:2], *gone),))


@pytest.mark.parametrize("opset", [13, 18])
@pytest.mark.parametrize(("p", "op_type"), [(1, "ReduceL1"), (2, "ReduceL2")])
def test_a_global_reduction_is_written_by_its_function(
    p: int, op_type: str, opset: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(table.TABLE, ("", "GlobalLpPool"), _global_norm)
    kinds = _kinds(_between(h.make_node("GlobalLpPool", ["f"], ["g"], p=p), opset))
    assert op_type in kinds
    assert "GlobalLpPool" not in kinds
    assert kinds.count("MatMul") == 2


def test_a_reduction_without_an_expression_keeps_its_layout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """There is no operator for the cubic norm: the layers around it move, and it does not."""
    monkeypatch.setitem(table.TABLE, ("", "GlobalLpPool"), _global_norm)
    kinds = _kinds(_between(h.make_node("GlobalLpPool", ["f"], ["g"], p=3)))
    assert "GlobalLpPool" in kinds
    assert kinds.count("MatMul") == 2


def test_a_reader_may_say_that_a_node_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def stays(reader: Reader, node: ir.Node, given: Attributes) -> Meaning:
        labels = axis_labels(4)
        return Apply(Kind.POINTWISE, "relu", (labels,), (labels,), stays=True)

    proto = _between(h.make_node("Relu", ["f"], ["g"]))
    assert "Transpose" not in _kinds(proto)[1:-1]
    monkeypatch.setitem(table.TABLE, ("", "Relu"), stays)
    assert _kinds(proto).count("Transpose") == 4


@pytest.mark.parametrize("op_type", ["GlobalAveragePool", "GlobalMaxPool"])
def test_a_global_pool_of_one_place_is_no_reduction_over_everything(op_type: str) -> None:
    """An empty list of axes means all of them."""
    nodes = [
        h.make_node("GlobalAveragePool", ["x"], ["p"]),
        h.make_node("Conv", ["p", "a"], ["f"]),
        h.make_node(op_type, ["f"], ["g"]),
        h.make_node("Conv", ["g", "b"], ["y"]),
    ]
    shape: list[int | str | None] = [2, 3, 4, 6]
    weights = {"a": _weight(8, 3), "b": _weight(5, 8)}
    _kinds(small.model(nodes, weights, inputs=[small.value("x", shape)]))


@pytest.mark.parametrize(
    "node",
    [
        h.make_node("GroupNormalization", ["f", "s", "s"], ["g"], num_groups=2),
        h.make_node("InstanceNormalization", ["f", "s", "s"], ["g"]),
    ],
    ids=["group", "instance"],
)
def test_a_norm_of_channels_comes_out_as_it_was(node: onnx.NodeProto) -> None:
    proto = _between(node, opset=21)
    scale = np.random.default_rng(3).standard_normal(8).astype(np.float32)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(scale, "s"))
    assert node.op_type in _kinds(proto)


def test_a_mean_of_another_domain_is_written_as_that_of_onnx() -> None:
    """Neither the domain nor the attributes of an operator go with the name of another."""
    labels = [("a",), ("b",)]
    node = graphs.node(Kind.REDUCE, [((2, 3), labels)], [("a",), ("gone",)], fn="mean")
    native = ir.node("GlobalMean", [None], {"p": 3}, domain="custom", name="m")
    node.natives = (native,)
    graph = ir.Graph([], [], nodes=[native], opset_imports={"": 18})
    (out,) = Build(graph, 18).anew(node, "ReduceMean", [None], {"keepdims": 1})
    made = out.producer()
    assert made is not None
    assert (made.domain, made.op_type) == ("", "ReduceMean")
    assert list(made.attributes) == ["keepdims"]
