"""Functions that a model brings: read through their bodies, kept where nothing of them moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto as T
from onnx import helper

import onebyone
from onebyone.certify.certificate import Verdict
from onebyone.dialects.onnx.run.form import canonical_form
from onebyone.dialects.onnx.run.interpreter import Interpreter
from onebyone.kernels.arithmetic import Float64
from onebyone.kernels.errors import UnsupportedError
from tests.onnx.bodies import (
    WAYS,
    Arrays,
    build,
    converted,
    hashes,
    operators,
    proved,
    random,
    run,
    serialized,
    spelled_out,
    weights,
)
from tests.rounding import assert_close, relative_bound

# ---- functions of the model's own ---------------------------------------------------------------

IMPORTS = [helper.make_opsetid("", 23), helper.make_opsetid("mine", 1)]


def refer(node: onnx.NodeProto, **references: tuple[str, int]) -> onnx.NodeProto:
    """Let attributes of a node refer to those of the function around it."""
    for name, (source, type_) in references.items():
        node.attribute.append(onnx.AttributeProto(name=name, ref_attr_name=source, type=type_))
    return node


def dense() -> onnx.FunctionProto:
    """``gemm`` has the attributes of the call; ``slope`` a default; the bias may be absent."""
    nodes = [
        refer(
            helper.make_node("Gemm", ["x", "w", "b"], ["h"], "gemm"),
            alpha=("factor", onnx.AttributeProto.FLOAT),
            transB=("flip", onnx.AttributeProto.INT),
        ),
        refer(
            helper.make_node("LeakyRelu", ["h"], ["y"], "act"),
            alpha=("slope", onnx.AttributeProto.FLOAT),
        ),
    ]
    return helper.make_function(
        "mine", "dense", ["x", "w", "b"], ["y"], nodes, IMPORTS, ["factor", "flip"],
        [helper.make_attribute("slope", 0.2)],
    )  # fmt: skip


def block() -> onnx.FunctionProto:
    """Two calls of another function, and what no layout changes."""
    nodes = [
        refer(
            helper.make_node("dense", ["x", "v", ""], ["h"], "inner", domain="mine", flip=1),
            factor=("strength", onnx.AttributeProto.FLOAT),
        ),
        helper.make_node("dense", ["h", "w", "b"], ["g"], "outer", domain="mine", slope=0.5),
        helper.make_node("Tanh", ["g"], ["y"], "tanh"),
    ]
    return helper.make_function(
        "mine", "block", ["x", "v", "w", "b"], ["y"], nodes, IMPORTS, ["strength"]
    )


def called(**attributes: Any) -> tuple[onnx.ModelProto, Arrays]:
    """A call of `dense` on a flat batch."""
    (w,) = weights((16, 24))
    nodes = [
        helper.make_node("dense", ["x", "w", "b"], ["h"], "call", domain="mine", **attributes),
        helper.make_node("Sigmoid", ["h"], ["z"]),
    ]
    inputs = {"x": random(3, 16)}
    w = w.T.copy() if attributes.get("flip") else w
    return build(nodes, inputs, {"w": w, "b": random(24)}, functions=(dense(),)), inputs


def blocks(strength: float = 0.5) -> tuple[onnx.ModelProto, Arrays]:
    """Two calls of `block`."""
    v, w = weights((24, 16), (24, 16))
    constants = {"v": v, "w": w, "b": random(16)}
    nodes = [
        helper.make_node(
            "block", [x, "v", "w", "b"], [y], f"call {y}", domain="mine", strength=strength
        )
        for x, y in (("x", "h"), ("h", "z"))
    ]
    inputs = {"x": random(3, 16)}
    return build(nodes, inputs, constants, functions=(block(), dense())), inputs


FUNCTIONS: dict[str, Callable[[], tuple[onnx.ModelProto, Arrays]]] = {
    "defaults": called,
    "attributes": lambda: called(factor=0.5, flip=1, slope=0.1),
    "nested": blocks,
}


@pytest.mark.parametrize("to", WAYS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_layers_in_functions(name: str, to: str) -> None:
    model, inputs = FUNCTIONS[name]()
    result = converted(model, inputs, to)
    layers = 4 if name == "nested" else 1
    # Of Gemm, too, the target makes a MatMul.
    assert operators(result).count("Conv" if to == "conv" else "MatMul") == layers
    # Nobody calls them any more.
    assert not result.functions
    statuses = [layer.status for layer in onebyone.plan(model, to).layers]
    assert statuses == ["converted"] * layers


def test_a_call_whose_layer_is_what_is_wanted_stays() -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], "product"),
        helper.make_node("Tanh", ["h"], ["y"], "tanh"),
    ]
    function = helper.make_function("mine", "f", ["x", "w"], ["y"], nodes, IMPORTS)
    (w,) = weights((8, 8))
    calls = [
        helper.make_node("f", ["x", "w"], ["h"], "first", domain="mine"),
        helper.make_node("f", ["h", "w"], ["z"], "second", domain="mine"),
    ]
    inputs = {"x": random(2, 5, 8)}
    model = build(calls, inputs, {"w": w}, functions=(function,))
    result = converted(model, inputs, "linear")
    assert serialized(result) == serialized(model)
    assert list(result.functions) == list(model.functions)
    assert [x.status for x in onebyone.plan(model, "linear").layers] == ["unchanged"] * 2
    assert operators(converted(model, inputs, "conv")).count("Conv") == 2


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_and_its_body_hash_equal(name: str) -> None:
    model, _ = FUNCTIONS[name]()
    body = spelled_out(model)
    for node in body.graph.node:
        # onnx's inliner does not know of defaults; its checker and the runtime do.
        if node.op_type == "LeakyRelu" and not node.attribute:
            node.attribute.append(helper.make_attribute("alpha", 0.2))
    assert hashes(model) == hashes(body)


def test_another_attribute_of_a_call_hashes_differently() -> None:
    models = [called(**a)[0] for a in ({}, {"factor": 0.5}, {"slope": 0.1}, {"slope": 0.2})]
    first, *others, default = [hashes(model) for model in models]
    assert first == default
    assert len({first, *others}) == 3
    right = ir.to_proto(onebyone.convert(called()[0], "conv").model)
    for wrong in models[1:3]:
        verdicts = {x.name: x.verdict for x in onebyone.verify(wrong, right).layers}
        assert verdicts["structure"] is not Verdict.PROVED
        assert verdicts["field"] is Verdict.DIFFERS


def test_a_converted_function_goes_back() -> None:
    """To a convolution and back to a layer, spelled out for good."""
    model, inputs = blocks()
    there = converted(model, inputs, "conv")
    back = converted(there, inputs, "linear")
    proved(model, back)
    assert "Conv" not in operators(back)


def test_a_call_that_need_not_change_stays() -> None:
    """One of two calls is spelled out: the other one has no layer that changes."""
    model, inputs = blocks()
    result = ir.to_proto(onebyone.convert(model, "conv", skip=["call h*"]).model)
    assert operators(result).count("block") == 1
    assert operators(result).count("Conv") == 2
    assert [f.name for f in result.functions] == ["block", "dense"]
    proved(model, result)
    assert_close(run(result, inputs), run(model, inputs), relative_bound(model))


def test_a_call_within_a_call_stays() -> None:
    """Only the outer call is spelled out, and one of the two within it."""
    model, inputs = blocks()
    result = ir.to_proto(onebyone.convert(model, "conv", skip=["*inner*"]).model)
    assert operators(result).count("dense") == 2
    assert operators(result).count("Conv") == 2
    assert [f.name for f in result.functions] == ["dense"]
    proved(model, result)
    assert_close(run(result, inputs), run(model, inputs), relative_bound(model))


def recursive(*calls: tuple[str, str]) -> onnx.ModelProto:
    """Functions that call one another, which no schema forbids."""
    functions = [
        helper.make_function(
            "mine", name, ["x"], ["y"],
            [helper.make_node(other, ["x"], ["y"], domain="mine")], IMPORTS,
        )
        for name, other in calls
    ]  # fmt: skip
    graph = helper.make_graph(
        [helper.make_node(calls[0][0], ["x"], ["y"], domain="mine")],
        "g",
        [helper.make_tensor_value_info("x", T.FLOAT, [2, 3])],
        [helper.make_tensor_value_info("y", T.FLOAT, [2, 3])],
    )
    return helper.make_model(graph, opset_imports=IMPORTS, ir_version=11, functions=functions)


@pytest.mark.parametrize("calls", [[("f", "f")], [("f", "g"), ("g", "f")]], ids=["one", "two"])
def test_recursion_is_refused(calls: list[tuple[str, str]]) -> None:
    model = ir.from_proto(recursive(*calls))
    with pytest.raises(UnsupportedError, match="calls itself"):
        Interpreter(model, Float64()).run({"x": random(2, 3)})
    assert canonical_form(model).outputs


def test_overloads_are_told_apart() -> None:
    def function(overload: str, op: str) -> onnx.FunctionProto:
        nodes = [helper.make_node(op, ["x"], ["y"])]
        return helper.make_function("mine", "f", ["x"], ["y"], nodes, IMPORTS, overload=overload)

    functions = (function("a", "Tanh"), function("b", "Sigmoid"))
    nodes = [
        helper.make_node("f", ["x"], ["h"], domain="mine", overload="a"),
        helper.make_node("f", ["h"], ["z"], domain="mine", overload="b"),
    ]
    model = build(nodes, {"x": random(2, 3)}, {}, functions=functions)
    x = random(2, 3).astype(np.float64)
    got = Interpreter(ir.from_proto(model), Float64()).run({"x": x})["z"]
    assert np.allclose(got, 1 / (1 + np.exp(-np.tanh(x))), rtol=1e-15, atol=0)
    plain = [helper.make_node("Tanh", ["x"], ["h"]), helper.make_node("Sigmoid", ["h"], ["z"])]
    assert hashes(model) == hashes(build(plain, {"x": random(2, 3)}, {}))


def test_a_body_of_another_opset_that_means_something_else_stays_a_call() -> None:
    """Softmax of opset 12 is one line over all axes from the second on."""
    old = [helper.make_opsetid("", 12)]
    nodes = [helper.make_node("Softmax", ["x"], ["y"])]
    function = helper.make_function("mine", "f", ["x"], ["y"], nodes, old)
    model = build(
        [helper.make_node("f", ["x"], ["z"], domain="mine")],
        {"x": random(2, 3, 4)}, {}, functions=(function,),
    )  # fmt: skip
    new = build([helper.make_node("Softmax", ["x"], ["z"])], {"x": random(2, 3, 4)}, {})
    assert hashes(model) != hashes(new)
    assert operators(ir.to_proto(onebyone.convert(model, "conv").model)) == ["f"]


def test_a_call_that_only_changes_a_form_stays_where_it_is_wanted() -> None:
    flip = helper.make_function(
        "mine", "flip", ["x"], ["y"],
        [helper.make_node("Transpose", ["x"], ["y"], perm=[0, 2, 1])], IMPORTS,
    )  # fmt: skip
    w, v = weights((8, 8), (5, 6))
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node("flip", ["h"], ["t"], domain="mine"),
        helper.make_node("MatMul", ["t", "v"], ["z"]),
    ]
    inputs = {"x": random(2, 5, 8)}
    model = build(nodes, inputs, {"w": w, "v": v}, functions=(flip,))
    assert "flip" in operators(converted(model, inputs, "linear"))
    assert "flip" not in operators(converted(model, inputs, "conv"))
    assert hashes(model) == hashes(spelled_out(model))
