"""Pairs of files that are alike but for one detail, and that differ at some size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper

X = {"x": ("n", 4)}
XY = {"x": ("n",), "y": ("m",)}
# Sizes of each symbol at which files are run; other symbols have the last.
SIZES = ({"n": 1, "m": 5}, {"n": 2, "m": 3}, {"n": 5, "m": 2}, {"n": 4, "m": 4})
Line = tuple[Any, ...]


def ints(*values: int) -> Any:
    return np.array(values, np.int64)


def model(
    *lines: Line,
    inputs: Mapping[str, Sequence[Any]] = X,
    opset: int = 18,
    domain: str = "",
    defaults: Mapping[str, Any] | None = None,
    said: Mapping[str, Sequence[Any]] | None = None,
    dtype: int = T.FLOAT,
    **constants: Any,
) -> onnx.ModelProto:
    """Lines are (operator, inputs, outputs, attributes); the last line yields the output.

    ``defaults`` are inputs with values, ``said`` shapes that the file claims of values of integers.
    """
    nodes = [
        h.make_node(line[0], line[1].split(","), line[2].split(","), **dict(*line[3:]))
        for line in lines
    ]
    ports = [h.make_tensor_value_info(name, dtype, shape) for name, shape in inputs.items()]
    ports += [
        h.make_tensor_value_info(n, h.np_dtype_to_tensor_dtype(v.dtype), v.shape)
        for n, v in (defaults or {}).items()
    ]
    graph = h.make_graph(
        nodes,
        "g",
        ports,
        [h.make_empty_tensor_value_info(nodes[-1].output[0])],
        [
            numpy_helper.from_array(np.asarray(value), name)
            for name, value in {**constants, **(defaults or {})}.items()
        ],
        value_info=[
            h.make_tensor_value_info(name, T.INT64, shape) for name, shape in (said or {}).items()
        ],
    )
    opsets = [h.make_opsetid(domain, opset)]
    return h.make_model(graph, opset_imports=opsets, ir_version=8)


def runs(proto: onnx.ModelProto) -> list[Any]:
    """What a file yields at each of the sizes, None where it fails."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(proto.SerializeToString(), options)
    found: list[Any] = []
    for sizes in SIZES:
        rng = np.random.default_rng(0)
        feeds: dict[str, Any] = {}
        for port in session.get_inputs():
            # A name that nobody understands has a size of its own.
            shape = [d if isinstance(d, int) else sizes.get(d, 7) for d in port.shape]
            values = rng.integers(-9, 9, shape)
            feeds[port.name] = values.astype(np.int64 if "int64" in port.type else np.float32)
        try:
            found.append(session.run(None, feeds)[0])
        except Exception:
            found.append(None)
    return found


def differ(first: onnx.ModelProto, second: onnx.ModelProto) -> bool:
    """Whether two files differ at a size at which the first runs."""
    return any(
        a is not None
        and (b is None or a.dtype != b.dtype or not np.array_equal(a, b, equal_nan=True))
        for a, b in zip(runs(first), runs(second), strict=True)
    )


def arithmetic(operator: str, number: Any, source: str = "x", **attributes: Any) -> Any:
    """An operation on the shape of an input."""
    lines = [("Shape", source, "s"), (operator, "s,c", "out", attributes)]
    return lambda inputs=X: model(*lines, inputs=inputs, c=np.asarray(number))


def shape_of(*lines: Line, inputs: Any = X, **more: Any) -> onnx.ModelProto:
    return model(*lines, ("Shape", lines[-1][2], "out"), inputs=inputs, **more)


def wraps(dtype: Any, factor: int) -> onnx.ModelProto:
    """``n * factor / factor``, in integers of a type."""
    to = {"to": h.np_dtype_to_tensor_dtype(np.dtype(dtype))}
    return model(
        ("Shape", "x", "s"),
        ("Cast", "s", "t", to),
        ("Mul", "t,c", "u"),
        ("Div", "u,c", "v"),
        ("Cast", "v", "out", {"to": T.INT64}),
        c=np.array([factor, 1], dtype),
    )


def sliced(start: int, end: int, step: int) -> onnx.ModelProto:
    constants = {"s": ints(start), "e": ints(end), "a": ints(1), "t": ints(step)}
    return model(("Slice", "x,s,e,a,t", "out"), **constants)


def beside(name: str) -> Mapping[str, Sequence[Any]]:
    """Inputs of n, and of a size with a name that looks like something else."""
    return {"x": ("n",), "y": (name,)}


def branch(captured: str, **constants: Any) -> onnx.ModelProto:
    bodies = {
        f"{side}_branch": h.make_graph(
            [h.make_node("Add", ["x", captured], [side])],
            side,
            [],
            [h.make_empty_tensor_value_info(side)],
        )
        for side in ("then", "else")
    }
    flag = ("Cast", "r", "b", {"to": T.BOOL})
    lines = [("Exp", "x", "p"), ("Sin", "x", "q"), ("ReduceMax", "x", "r", {"keepdims": 0}), flag]
    return model(*lines, ("If", "b", "out", bodies), **constants)


PAIRS: dict[str, Sequence[onnx.ModelProto]] = {
    # Shape arithmetic.
    "rows beside each other": tuple(
        model(
            ("Concat", "c,c", "d", {"axis": axis}),
            ("Gather", "d,i", "e", {"axis": 0}),
            ("Reshape", "e,f", "out"),
            c=ints(1, 2, 3, 4).reshape(2, 2),
            i=np.int64(0),
            f=ints(-1),
        )
        for axis in (0, 1)
    ),
    "columns of shape data": (
        model(
            ("Gather", "c,i", "out", {"axis": 0}), c=ints(1, 2, 3, 4).reshape(2, 2), i=np.int64(1)
        ),
        model(
            ("Gather", "c,i", "out", {"axis": 1}), c=ints(1, 2, 3, 4).reshape(2, 2), i=np.int64(1)
        ),
    ),
    "division of negative numbers": (
        model(
            ("Shape", "x", "s"),
            ("Sub", "c,s", "d"),
            ("Div", "d,e", "out"),
            inputs={"x": (4,)},
            c=ints(-3),
            e=ints(2),
        ),
        model(("Identity", "c", "out"), inputs={"x": (4,)}, c=ints(-4)),
    ),
    "sign of a remainder": tuple(
        model(
            ("Shape", "x", "s"), ("Mod", "c,s", "out", {"fmod": f}), inputs={"x": (3,)}, c=ints(-7)
        )
        for f in (0, 1)
    ),
    "int32 wraps around": (model(("Shape", "x", "out")), wraps(np.int32, 2**30)),
    "int64 wraps around": (model(("Shape", "x", "out")), wraps(np.int64, 2**62)),
    "parts of a shape": tuple(
        model(
            ("Shape", "x", "s"),
            ("Split", "s", "a,out", attributes),
            inputs={"x": (2, 3, 4, 5)},
            opset=11,
        )
        for attributes in ({"split": [1, 3]}, {})
    ),
    "a slice beyond its axis": (
        shape_of(("Slice", "x,s,e", "a"), inputs={"x": ("n",)}, s=ints(3), e=ints(2**31 - 1)),
        arithmetic("Sub", ints(3))({"x": ("n",)}),
    ),
    "rows of a table that is too short": (
        model(
            ("Shape", "x", "k"),
            ("Slice", "t,s,k", "a"),
            ("Shape", "a", "out"),
            inputs={"x": ("n",)},
            s=ints(0),
            t=np.zeros(3, np.float32),
        ),
        model(("Shape", "x", "out"), inputs={"x": ("n",)}),
    ),
    "backwards to the very end": (sliced(3, 2**31 - 1, -1), sliced(3, 4, -1)),
    "backwards from before the axis": (
        model(
            ("Slice", "c,s,e,a,t", "out"),
            c=ints(1, 2),
            s=ints(-5),
            e=ints(-9),
            a=ints(0),
            t=ints(-1),
        ),
        model(
            ("Slice", "c,s,e,a,t", "out"), c=ints(1, 2), s=ints(0), e=ints(1), a=ints(0), t=ints(-1)
        ),
    ),
    "two sizes that broadcast": (
        shape_of(("Add", "x,y", "a"), inputs=XY),
        model(("Shape", "x", "out"), inputs=XY),
    ),
    "Squeeze of whatever is 1": tuple(
        model(
            ("Squeeze", operands, "out"),
            inputs={"x": ("n", 1, 4)},
            **({"a": ints(1)} if "a" in operands else {}),
        )
        for operands in ("x", "x,a")
    ),
    # Names of sizes.
    "a name like a sum": (
        model(("Shape", "y", "out"), inputs=beside("(1+n)")),
        arithmetic("Add", ints(1))(beside("(1+n)")),
    ),
    "a name like a product": (
        model(("Shape", "y", "out"), inputs=beside("2*n")),
        arithmetic("Mul", ints(2))(beside("2*n")),
    ),
    "a name like a made-up one": (
        model(("Shape", "y", "out"), inputs=beside("z.1")),
        model(("NonZero", "x", "z"), ("Shape", "z", "out", {"start": 1}), inputs=beside("z.1")),
    ),
    "a shape that is not so": (
        model(("Shape", "x", "out"), inputs={"x": ("n",)}),
        model(
            ("NonZero", "x", "z"),
            ("Shape", "z", "out", {"start": 1}),
            inputs={"x": ("n",)},
            said={"z": (1, "n")},
        ),
    ),
    # Types and shapes of results.
    "a number and a list of one": (
        model(("Size", "x", "out")),
        model(("Size", "x", "s"), ("Reshape", "s,c", "out"), c=ints(-1)),
    ),
    "integers of two types": (
        model(("Shape", "x", "out")),
        model(("Shape", "x", "s"), ("Cast", "s", "out", {"to": T.INT32})),
    ),
    "numbers of two types": tuple(
        model(("Neg", "c", "out"), c=number) for number in (np.float16(0.5), np.float32(0.5))
    ),
    "ranges of two types": tuple(
        model(("Range", "a,b,c", "out"), a=dtype(0), b=dtype(5), c=dtype(1))
        for dtype in (np.int32, np.int64)
    ),
    "fillings of two types": tuple(
        model(
            ("ConstantOfShape", "c", "out", {"value": numpy_helper.from_array(np.zeros(1, dtype))}),
            c=ints(3),
        )
        for dtype in (np.int32, np.int64)
    ),
    # Whether it runs at all.
    "an operator that nothing reads": (
        model(("Neg", "x", "out")),
        model(("Reshape", "x,c", "d"), ("Neg", "x", "out"), c=ints(2, 8)),
    ),
    "the shape of what may fail": (
        model(("Identity", "c", "out"), c=ints(2, 8)),
        shape_of(("Reshape", "x,c", "d"), c=ints(2, 8)),
    ),
    "the shape of a part": (
        model(("Identity", "c", "out"), c=ints(2, 4)),
        shape_of(("Split", "x,c", "a,b"), ("Identity", "a", "d"), c=ints(2, 3)),
    ),
    "a cut from what is too short": (
        arithmetic("Sub", ints(3, 0))(),
        shape_of(("Pad", "x,c", "d"), c=ints(0, 0, -3, 0)),
    ),
    "a sum over one and over many": (
        model(("ReduceSum", "x,c", "out"), c=ints(1)),
        model(
            ("ReduceSum", "x,c", "d"),
            ("MatMul", "d,d", "e"),
            ("Shape", "e", "s"),
            ("Reshape", "d,s", "out"),
            c=ints(1),
        ),
    ),
    "one row beside many": tuple(
        shape_of(("Concat", pair, "d", {"axis": 1}), c=np.zeros((1, 4), np.float32))
        for pair in ("x,x", "c,x")
    ),
    "an addition that is left out": (
        model(("MatMul", "x,t", "out"), inputs={"x": ("n", 4)}, t=np.ones((4, 4), np.float32)),
        model(
            ("Transpose", "x", "y"),
            ("Gemm", "y,y,c", "z", {"beta": 0.0, "transB": 1}),
            ("MatMul", "x,t", "out"),
            t=np.ones((4, 4), np.float32),
            c=np.ones((3, 1), np.float32),
        ),
    ),
    # Values from elsewhere.
    "what a branch reads": (branch("p"), branch("q")),
    "a constant that a branch reads": (branch("w", w=np.float32(1)), branch("w", w=np.float32(2))),
    "beyond the floats": tuple(
        model(("Add", "x,c", "out"), inputs={"x": ("n",)}, dtype=T.INT64, c=np.int64(number))
        for number in (2**53, 2**53 + 1)
    ),
    "the sign of zero": tuple(
        model(("Reciprocal", "c", "d"), ("Max", "x,d", "out"), c=np.float32(zero))
        for zero in (0.0, -0.0)
    ),
}
