"""Small graphs that once went wrong, each named after what went wrong."""

from __future__ import annotations

import collections
from collections.abc import Callable
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
from tests.onnx.graph_check import TARGETS, Case, check

RNG = np.random.default_rng(0)
Lines = list[tuple[Any, ...]]


def small(*shape: int) -> Any:
    return RNG.integers(-3, 4, shape).astype(np.float32)


def ints(*values: int) -> Any:
    return np.array(values, np.int64)


def _output(name: str, constants: dict[str, Any]) -> onnx.ValueInfoProto:
    if name in constants:
        return h.make_tensor_value_info(name, T.FLOAT, ["rows", *constants[name].shape[1:]])
    return h.make_empty_tensor_value_info(name)


def case(
    lines: Lines,
    constants: dict[str, Any],
    *shape: int | str,
    opset: int = 18,
    outputs: str = "y",
    symbols: dict[str, int] | None = None,
) -> Case:
    """A model that reads x of ``shape``; strings are symbols, their sizes in ``symbols``."""
    nodes = [
        h.make_node(op, i.split(), o.split(), name=f"{op}_{o}", **(more[0] if more else {}))
        for op, i, o, *more in lines
    ]
    graph = h.make_graph(
        nodes,
        "regression",
        [h.make_tensor_value_info("x", T.FLOAT, list(shape))],
        [_output(name, constants) for name in outputs.split()],
        [numpy_helper.from_array(np.asarray(a), n) for n, a in constants.items()],
    )
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", opset)], ir_version=10)
    sizes = [(symbols or {}).get(d, d) if isinstance(d, str) else d for d in shape]
    feeds = {"x": RNG.integers(1, 4, sizes).astype(np.float32)}
    whole = onnx.shape_inference.infer_shapes(model)
    return Case(0, whole, feeds, dict.fromkeys(outputs.split(), True))


def _if() -> Case:
    found = case([("Conv", "i w", "y")], {"w": small(4, 1, 1), "flag": np.array(True)}, 1, 2, 4)
    bodies = {
        f"{side}_branch": h.make_graph(
            [h.make_node("Neg", ["x"], [side])], side, [], [h.make_empty_tensor_value_info(side)]
        )
        for side in ("then", "else")
    }
    found.model.graph.node.insert(0, h.make_node("If", ["flag"], ["i"], **bodies))
    found.model.graph.node[1].attribute.append(h.make_attribute("group", 2))
    del found.model.graph.output[:]
    found.model.graph.output.append(h.make_tensor_value_info("y", T.FLOAT, [1, 4, 4]))
    return found


CASES: dict[str, Callable[[], Case]] = {
    "a Gemm with a scalar bias": lambda: case(
        [("Gemm", "x w b", "y")], {"w": small(4, 3), "b": np.float32([[2]])}, 5, 4
    ),
    "a Gemm with a bias for each row": lambda: case(
        [("Gemm", "x w b", "y")], {"w": small(4, 3), "b": small(5, 1)}, 5, 4
    ),
    "a Gemm whose beta is 0, and a constant node for C": lambda: case(
        [
            ("Constant", "", "c", {"value": numpy_helper.from_array(small(3))}),
            ("Gemm", "w x c", "y", {"alpha": 0.5, "beta": 0.0}),
        ],
        {"w": small(5, 4)},
        4,
        3,
    ),
    "a transposed convolution with a bias and a kernel": lambda: case(
        [("ConvTranspose", "x w b", "y", {"strides": [3]})],
        {"w": small(3, 4, 3), "b": small(4)},
        1,
        3,
        3,
    ),
    "a transposed convolution with groups, a bias and a kernel": lambda: case(
        [("ConvTranspose", "x w b", "y", {"strides": [2, 1], "group": 2})],
        {"w": small(2, 4, 2, 1), "b": small(8)},
        3,
        2,
        1,
        5,
    ),
    "one-dimensional data": lambda: case([("MatMul", "x w", "y")], {"w": small(4, 3)}, 4),
    "every axis of the data is summed": lambda: case(
        [("Einsum", "w x", "y", {"equation": "cbx,abc->ax"})], {"w": small(4, 4, 4)}, 1, 4, 4
    ),
    "a mean over an axis of size 1": lambda: case(
        [
            ("MatMul", "x w", "m"),
            ("ReduceMean", "m a", "r"),
            ("Transpose", "r", "y", {"perm": [2, 1, 3, 0]}),
        ],
        {"w": small(1, 1, 1, 2), "a": ints(0)},
        1,
        1,
        1,
        1,
    ),
    "a convolution behind a body whose shape is not known": _if,
    "a stride where Slice has none": lambda: case(
        [("Conv", "x w", "y", {"strides": [1, 2]})], {"w": small(3, 2, 1, 1)}, 1, 2, 4, 4, opset=9
    ),
    "a bias behind a reshape": lambda: case(
        [("Conv", "x w", "c"), ("Reshape", "c s", "r"), ("Add", "r b", "y")],
        {"w": small(3, 4, 1), "s": ints(4, 3), "b": small(3)},
        4,
        4,
        1,
    ),
    "a window read in a second way": lambda: case(
        [
            ("Unsqueeze", "x zero", "u"),
            ("Transpose", "u", "t", {"perm": [0, 1, 3, 2]}),
            ("MatMul", "u t", "s"),
            ("MatMul", "s u", "a"),
            ("Transpose", "a", "p", {"perm": [0, 2, 1, 3]}),
            ("Reshape", "p three", "q"),
            ("MatMul", "q w", "m"),
            ("Concat", "m x", "c", {"axis": 2}),
            ("Flatten", "c", "y", {"axis": 1}),
        ],
        {"zero": ints(0), "three": ints(1, 0, 2), "w": small(2, 2)},
        1,
        8,
        2,
    ),
    "two outputs that are one value": lambda: case(
        [("Reshape", "x r", "y"), ("Expand", "y e", "z"), ("MatMul", "z w", "v")],
        {"r": ints(4, 1), "e": ints(4, 1), "w": small(1, 2)},
        4,
        outputs="v y z",
    ),
    "a stride and a weight without axes": lambda: case(
        [("Transpose", "x", "t", {"perm": [2, 1, 0]}), ("Conv", "t w", "y", {"strides": [2]})],
        {"w": np.float32([[[2]]])},
        2,
        1,
        8,
    ),
    "a constant that is an output with symbols": lambda: case(
        [("MatMul", "x w", "y")],
        {"w": small(4, 3)},
        "batch",
        4,
        outputs="y w",
        symbols={"batch": 3},
    ),
    "softmax over an axis of size 1 before opset 13": lambda: case(
        [
            ("MatMul", "x w", "m"),
            ("Softmax", "m", "s", {"axis": 2}),
            ("MatMul", "s v", "y"),
        ],
        {"w": small(4, 1), "v": small(1, 4)},
        2,
        3,
        4,
        opset=11,
    ),
    "the body of a dead loop reads a value": lambda: case(
        [("MatMul", "x w", "y"), ("Neg", "y", "dead"), ("Abs", "dead", "deader")],
        {"w": small(4, 3)},
        5,
        4,
    ),
    "a running sum moves": lambda: case(
        [
            ("MatMul", "x w", "m"),
            ("CumSum", "m a", "c", {"reverse": 1}),
            ("MatMul", "c v", "y"),
        ],
        {"w": small(4, 3), "a": np.int64(1), "v": small(3, 2)},
        2,
        5,
        4,
    ),
    "the same weight transposed and not": lambda: case(
        [("MatMul", "x w", "m"), ("Transpose", "w", "t"), ("MatMul", "m t", "y")],
        {"w": small(4, 4)},
        2,
        5,
        4,
    ),
    "a weight behind a cast of a permuted flatten": lambda: case(
        [
            ("Transpose", "x", "t", {"perm": [0, 2, 3, 1]}),
            ("Reshape", "t r", "f"),
            ("Cast", "w", "v", {"to": T.FLOAT}),
            ("MatMul", "f v", "y"),
        ],
        {"r": ints(4, -1), "w": RNG.integers(-3, 4, (4, 4)).astype(np.int8)},
        4,
        2,
        1,
        2,
    ),
    "rows picked along an axis of size 1": lambda: case(
        [
            ("ReduceSum", "x a", "r"),
            ("Gather", "r i", "g", {"axis": 0}),
            ("Conv", "g w b", "y"),
        ],
        {"a": ints(0, 1), "i": np.zeros((2, 2), np.int64), "w": small(2, 2, 1, 1), "b": small(2)},
        3,
        5,
        1,
    ),
    "a node between an input and an output of one form": lambda: case(
        [("MatMul", "x w", "y"), ("Identity", "x", "z")], {"w": small(4, 3)}, 5, 4, outputs="y z"
    ),
}


@pytest.mark.parametrize("to", TARGETS)
@pytest.mark.parametrize("name", CASES)
def test_regression(name: str, to: str) -> None:
    stats: collections.Counter[str] = collections.Counter()
    problem = check(CASES[name](), to, stats)
    assert stats["checked"] == 1, "the original does not run: nothing was compared"
    assert problem is None


def test_the_type_of_an_output_is_what_was_declared() -> None:
    """Shape inference knows that the sum has three rows; the model says ``batch``."""
    proto = CASES["a Gemm with a scalar bias"]().model
    proto.graph.output[0].type.tensor_type.shape.dim[0].dim_param = "rows"
    result = ir.to_proto(onebyone.convert(proto, "conv").model)
    assert result.graph.output == proto.graph.output


def test_a_layer_that_was_rewritten_says_so() -> None:
    """A Gemm has the forms of the MatMul that is wanted, and yet is none."""
    found = case([("Gemm", "x w b", "y")], {"w": small(4, 3), "b": small(3)}, 5, 4)
    done = onebyone.convert(found.model, "linear")
    ops = [node.op_type for node in ir.to_proto(done.model).graph.node]
    assert ops == ["MatMul", "Add"]
    assert [layer.after for layer in done.report.layers] == ["MatMul"]


@pytest.mark.parametrize("swap", [False, True])
def test_two_axes_of_one_size_in_a_constant(swap: bool) -> None:
    """The hash orders a weight's own axes by their bytes; the layout they came in is no part."""
    weight = small(4, 4, 4)
    stored, letters = (weight.transpose(0, 2, 1), "kyx") if swap else (weight, "kxy")
    lines: Lines = [("Einsum", "x w", "y", {"equation": f"bk,{letters}->bxy"})]
    constant = np.ascontiguousarray(stored)
    outputs = canonical_form(ir.from_proto(case(lines, {"w": constant}, 2, 4).model)).outputs
    straight: Lines = [("Einsum", "x w", "y", {"equation": "bk,kxy->bxy"})]
    other = canonical_form(ir.from_proto(case(straight, {"w": weight}, 2, 4).model)).outputs
    assert outputs == other
