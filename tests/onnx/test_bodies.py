"""Operators and functions that are understood through their bodies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnx.inliner
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import TensorProto as T
from onnx import helper, numpy_helper

import onebyone
from onebyone.certify.certificate import Verdict
from onebyone.dialects.onnx.run.form import canonical_form
from onebyone.dialects.onnx.run.interpreter import Interpreter
from onebyone.dialects.protocol import UnsupportedError
from onebyone.kernels.arithmetic import Float64
from tests.rounding import assert_close, relative_bound

Arrays = dict[str, Any]
WAYS = ("conv", "linear")


def weights(*shapes: tuple[int, ...], seed: int = 0) -> list[Any]:
    """Random weights that keep activations of order 1."""
    rng = np.random.default_rng(seed)
    return [(rng.standard_normal(s) / np.sqrt(s[0])).astype(np.float32) for s in shapes]


def build(
    nodes: list[onnx.NodeProto],
    inputs: Arrays,
    constants: Arrays,
    outputs: tuple[str, ...] = ("z",),
    opset: int = 23,
    functions: tuple[onnx.FunctionProto, ...] = (),
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [
            helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
            for n, a in inputs.items()
        ],
        [helper.make_tensor_value_info(name, T.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(a, n) for n, a in constants.items()],
    )
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("mine", 1)]
    model = helper.make_model(
        graph, opset_imports=imports, ir_version=11, functions=list(functions)
    )
    return onnx.shape_inference.infer_shapes(model)


def random(*shape: int, seed: int = 1) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def run(model: onnx.ModelProto, inputs: Arrays) -> list[Any]:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(model.SerializeToString(), options)
    except Exception:  # opsets that the runtime does not have yet
        from onnx.reference import ReferenceEvaluator

        return list(ReferenceEvaluator(model).run(None, inputs))  # pyright: ignore
    return list(session.run(None, inputs))


def operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def serialized(model: onnx.ModelProto) -> list[bytes]:
    return sorted(node.SerializeToString() for node in model.graph.node)


def spelled_out(model: onnx.ModelProto, *names: str) -> onnx.ModelProto:
    """The model with the bodies of some operators, and of all functions, by onnx itself."""
    typed = onnx.ModelProto()
    typed.CopyFrom(model)
    for tensor in model.graph.initializer:
        typed.graph.value_info.append(
            helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        )
    result = onnx.inliner.inline_local_functions(typed)
    ids = [("", name) for name in names]
    if ids:
        result = onnx.inliner.inline_selected_functions(result, ids, inline_schema_functions=True)
    assert not result.functions
    assert not set(names) & set(operators(result))
    return result


def hashes(model: onnx.ModelProto) -> tuple[str, ...]:
    return canonical_form(ir.from_proto(model)).outputs


def converted(model: onnx.ModelProto, inputs: Arrays, to: str) -> onnx.ModelProto:
    """Convert, compare by running, and prove."""
    result = ir.to_proto(onebyone.convert(model, to).model)
    onnx.checker.check_model(result, full_check=True)
    bound = relative_bound(onnx.inliner.inline_local_functions(model))
    assert_close(run(result, inputs), run(model, inputs), bound)
    proved(model, result)
    return result


def proved(model: onnx.ModelProto, result: onnx.ModelProto, skip: str = "") -> None:
    layers = [x for x in onebyone.verify(model, result).layers if x.name != skip]
    assert len(layers) >= 3
    for layer in layers:
        assert layer.verdict is Verdict.PROVED, f"{layer.name}: {layer.summary}"


# ---- Attention ----------------------------------------------------------------------------------

HEADS = {"q_num_heads": 4, "kv_num_heads": 4}


def attention(
    mask: Any = None, *, kv_heads: int = 4, opset: int = 23, **attributes: Any
) -> tuple[onnx.ModelProto, Arrays]:
    """FC layers around an Attention on [batch, sequence, channels]."""
    q, k, v, o = weights((32, 32), (32, 8 * kv_heads), (32, 8 * kv_heads), (32, 32))
    constants = {"wq": q, "wk": k, "wv": v, "wo": o}
    inputs = {"x": random(2, 5, 32)}
    nodes = [helper.make_node("MatMul", ["x", f"w{n}"], [n], name=f"fc_{n}") for n in "qkv"]
    operands = ["q", "k", "v"]
    if mask is not None:
        constants["mask"] = mask
        operands.append("mask")
    nodes += [
        helper.make_node(
            "Attention", operands, ["y"], "attention",
            q_num_heads=4, kv_num_heads=kv_heads, **attributes,
        ),
        helper.make_node("MatMul", ["y", "wo"], ["z"], name="fc_o"),
    ]  # fmt: skip
    return build(nodes, inputs, constants, opset=opset), inputs


def heads_first(**attributes: Any) -> tuple[onnx.ModelProto, Arrays]:
    """FC layers, then an Attention on [batch, heads, sequence, channels] that keeps its keys."""
    q, k, o = weights((32, 32), (32, 32), (8, 8))
    nodes = [
        helper.make_node("MatMul", ["x", "wq"], ["fq"], name="fc_q"),
        helper.make_node("MatMul", ["x", "wk"], ["fk"], name="fc_k"),
        helper.make_node("Reshape", ["fq", "split"], ["rq"]),
        helper.make_node("Reshape", ["fk", "split"], ["rk"]),
        helper.make_node("Transpose", ["rq"], ["q"], perm=[0, 2, 1, 3]),
        helper.make_node("Transpose", ["rk"], ["k"], perm=[0, 2, 1, 3]),
        helper.make_node(
            "Attention", ["q", "k", "k", "mask", "past", "past"], ["y", "keys", "values"],
            "attention", **attributes,
        ),
        helper.make_node("MatMul", ["y", "wo"], ["z"], name="fc_o"),
    ]  # fmt: skip
    inputs = {"x": random(2, 5, 32), "past": random(2, 4, 3, 8, seed=2)}
    split = np.array([0, 0, 4, 8], np.int64)
    constants = {"wq": q, "wk": k, "wo": o, "split": split, "mask": random(5, 8, seed=3)}
    return build(nodes, inputs, constants, ("z", "keys", "values")), inputs


BOOL_MASK = np.tril(np.ones((5, 5), bool))
FLOAT_MASK = random(5, 5, seed=3)
ATTENTIONS: dict[str, Callable[[], tuple[onnx.ModelProto, Arrays]]] = {
    "plain": attention,
    "causal": lambda: attention(is_causal=1),
    "bool mask": lambda: attention(BOOL_MASK),
    "float mask": lambda: attention(FLOAT_MASK),
    "both": lambda: attention(FLOAT_MASK, is_causal=1),
    "grouped": lambda: attention(kv_heads=2),
    "one key head": lambda: attention(kv_heads=1, softcap=2.0),
    "softcap": lambda: attention(softcap=1.5),
    "scale": lambda: attention(scale=0.25),
    "opset 24": lambda: attention(FLOAT_MASK, opset=24),
    "heads first": heads_first,
    "heads first, causal": lambda: heads_first(is_causal=1),
}


@pytest.mark.parametrize("to", WAYS)
@pytest.mark.parametrize("name", ATTENTIONS)
def test_attention(name: str, to: str) -> None:
    model, inputs = ATTENTIONS[name]()
    result = converted(model, inputs, to)
    if to == "linear":
        # Nothing moves: every node is the one that it was.
        assert serialized(result) == serialized(model)
        return
    assert operators(result).count("Conv") == operators(model).count("MatMul")
    # With heads first the model itself transposes; then Attention costs no more than its parts.
    assert ("Attention" in operators(result)) == ("first" in name)


@pytest.mark.parametrize("name", ATTENTIONS)
def test_an_attention_and_its_body_hash_equal(name: str) -> None:
    model, _ = ATTENTIONS[name]()
    assert hashes(model) == hashes(spelled_out(model, "Attention"))


def test_another_attention_hashes_differently() -> None:
    other_mask = FLOAT_MASK.copy()
    other_mask[1, 2] += 1
    models = [
        attention()[0],
        attention(is_causal=1)[0],
        attention(scale=0.25)[0],
        attention(scale=0.5)[0],
        attention(softcap=1.0)[0],
        attention(softcap=2.0)[0],
        attention(FLOAT_MASK)[0],
        attention(FLOAT_MASK.T.copy())[0],
        attention(other_mask)[0],
        attention(BOOL_MASK)[0],
        attention(BOOL_MASK.T.copy())[0],
        attention(FLOAT_MASK, is_causal=1)[0],
    ]
    assert len({hashes(model) for model in models}) == len(models)


@pytest.mark.parametrize(
    "change", [{"scale": 0.3}, {"is_causal": 1}, {"softcap": 1.0}], ids=["scale", "causal", "cap"]
)
def test_a_wrong_attention_is_refuted(change: Arrays) -> None:
    right = ir.to_proto(onebyone.convert(attention()[0], "conv").model)
    wrong = attention(**change)[0]
    certificate = onebyone.verify(wrong, right)
    verdicts = {layer.name: layer.verdict for layer in certificate.layers}
    assert verdicts["structure"] is not Verdict.PROVED
    assert verdicts["field"] is Verdict.DIFFERS


def test_a_symbolic_causal_attention() -> None:
    """How far Range counts is not known before the model runs."""
    model, inputs = attention(is_causal=1)
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "S"
    del model.graph.value_info[:]
    for to in WAYS:
        converted(model, inputs, to)


# ---- other operators ----------------------------------------------------------------------------


def rotary(heads: int, **attributes: Any) -> tuple[onnx.ModelProto, Arrays]:
    """A layer, a rotary embedding of its heads, another layer."""
    first, second = weights((32, 32), (32, 32))
    angles = np.random.default_rng(3).uniform(-3, 3, (7, 4)).astype(np.float32)
    places = np.array([[0, 1, 2, 3, 4], [2, 3, 4, 5, 6]], np.int64)
    nodes = [
        helper.make_node("MatMul", ["x", "first"], ["h"], name="fc"),
        helper.make_node(
            "RotaryEmbedding", ["h", "cos", "sin", "places"], ["r"], "rotary",
            num_heads=heads, **attributes,
        ),
        helper.make_node("MatMul", ["r", "second"], ["z"], name="out"),
    ]  # fmt: skip
    constants = {"first": first, "second": second, "cos": np.cos(angles), "sin": np.sin(angles)}
    return build(nodes, {"x": random(2, 5, 32)}, {**constants, "places": places}), {
        "x": random(2, 5, 32)
    }


@pytest.mark.parametrize("to", WAYS)
@pytest.mark.parametrize("interleaved", [0, 1])
def test_rotary_embedding(interleaved: int, to: str) -> None:
    model, inputs = rotary(4, interleaved=interleaved)
    result = converted(model, inputs, to)
    if to == "linear":
        assert serialized(result) == serialized(model)
    else:
        assert operators(result).count("Conv") == 2


def test_a_rotary_embedding_and_its_body_hash_equal() -> None:
    models = [rotary(4, interleaved=i)[0] for i in (0, 1)]
    assert hashes(models[0]) != hashes(models[1])
    for model in models:
        assert hashes(model) == hashes(spelled_out(model, "RotaryEmbedding"))


def gated(alpha: float | None = None) -> tuple[onnx.ModelProto, Arrays]:
    """The feed-forward block of a gated transformer, with SwiGLU of opset 28."""
    a, b, c = weights((16, 24), (16, 24), (24, 16))
    extra = {} if alpha is None else {"alpha": alpha}
    nodes = [
        helper.make_node("MatMul", ["x", "a"], ["gate"], name="fc_a"),
        helper.make_node("MatMul", ["x", "b"], ["up"], name="fc_b"),
        helper.make_node("SwiGLU", ["gate", "up"], ["h"], "swiglu", **extra),
        helper.make_node("MatMul", ["h", "c"], ["z"], name="fc_c"),
    ]
    inputs = {"x": random(2, 5, 16)}
    return build(nodes, inputs, {"a": a, "b": b, "c": c}, opset=28), inputs


@pytest.mark.parametrize("to", WAYS)
@pytest.mark.parametrize("alpha", [None, 1.5])
def test_swiglu(alpha: float | None, to: str) -> None:
    model, inputs = gated(alpha)
    result = ir.to_proto(onebyone.convert(model, to).model)
    assert_close(run(result, inputs), run(model, inputs), relative_bound(model))
    # No runtime has opset 28 yet, so rounding is not measured.
    proved(model, result, skip="rounding")
    if to == "linear":
        assert serialized(result) == serialized(model)
    else:
        assert operators(result).count("Conv") == 3


def test_swiglu_and_its_body_hash_equal() -> None:
    models = [gated(alpha)[0] for alpha in (None, 1.0, 1.5)]
    assert hashes(models[0]) == hashes(models[1]) != hashes(models[2])
    for model in models:
        assert hashes(model) == hashes(spelled_out(model, "SwiGLU"))


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
