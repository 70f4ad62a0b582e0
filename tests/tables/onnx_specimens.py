"""Specimens of ONNX operators: those of the current opset, in the order of the alphabet.

What the schema says already stands in no line here: attributes are varied by their types and
defaults, and an operator of real numbers without a line is applied to reals of both signs.
"""

# ruff: noqa: E501  (tables: a line is a row)

from __future__ import annotations

import numpy as np
import onnx

from tests.tables.onnx_contrib import CONTRIB
from tests.tables.onnx_more import MORE
from tests.tables.onnx_nodes import OPSET, OnnxNode, s
from tests.tables.onnx_quantized import QUANTIZED
from tests.tables.onnx_spectral import SPECTRAL
from tests.tables.operands import Operand, b, f, idx, k, n, near, pos, up, w

F, I32, BOOL = np.float32, np.int32, np.bool_
SHAPE = (2, 3, 4)
X = f(*SHAPE)
Y = f(*SHAPE, seed=3)
IMAGE = f(1, 4, 5, 6)
_SPECIAL = Operand(np.array([[0, np.inf, -np.inf], [np.nan, 1, -1]], F))
_TIES = Operand(np.sign(X.values))
_MIXED = f(2, 1, 4, seed=5)


_NONZERO = Operand(np.where((v := n(*SHAPE, seed=4).values) == 0, 4, v))


def _both(op: str, make: object = None) -> list[OnnxNode]:
    """Comparisons and sums: of equal shapes, of broadcast ones, with a constant, of integers."""
    return [
        s(op, X, Y),
        s(op, X, _MIXED),
        s(op, X, w(4)),
        s(op, w(3, 1), X),
        s(op, n(*SHAPE), _NONZERO),
    ]


def _reduce(op: str) -> list[OnnxNode]:
    return [
        s(op, X, k([1]), keepdims=0),
        s(op, X, k([0, 2])),
        s(op, X, k([-1])),
        s(op, X),
        s(op, X, noop_with_empty_axes=1),
        s(op, f(2, 3, 4, 5), k([1, 2]), keepdims=0),
        s(op, f(4, 1, 3), k([1]), keepdims=1),
        s(op, X, vary={"axes": [[0], [1], [0, 1]]}, axes=[1], opset=11),
        s(op, n(*SHAPE), k([1])),
    ]


def _logic(op: str) -> list[OnnxNode]:
    return [
        s(op, b(*SHAPE), b(*SHAPE, seed=1)),
        s(op, b(*SHAPE), k([True, False, True, True], BOOL)),
    ]


def _bits(op: str, **given: object) -> list[OnnxNode]:
    other = Operand(np.abs(n(*SHAPE, seed=2).values).astype(np.uint32))
    first = Operand(np.abs(n(*SHAPE).values).astype(np.uint32))
    return [s(op, first, other, **given), s(op, first, k([1, 2, 3, 0], np.uint32), **given)]


def _pool(op: str, **given: object) -> list[OnnxNode]:
    return [
        s(op, IMAGE, kernel_shape=[2, 3], strides=[1, 2], **given),
        s(op, IMAGE, kernel_shape=[3, 2], pads=[1, 0, 1, 1], strides=[2, 2], **given),
        s(op, f(2, 3, 7), kernel_shape=[2], **given),
        s(op, IMAGE, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1, **given),
        s(op, IMAGE, kernel_shape=[1, 1], **given),
    ]


_NORM = (w(3), w(3, seed=2))

SPECIMENS: dict[str, list[OnnxNode]] = {
    "Acos": [s("Acos", near(*SHAPE))],
    "Acosh": [s("Acosh", pos(*SHAPE))],
    "And": _logic("And"),
    "ArgMax": [s("ArgMax", _TIES, axis=1), s("ArgMax", _TIES, axis=-1, keepdims=0, select_last_index=1)],
    "ArgMin": [s("ArgMin", _TIES, axis=1), s("ArgMin", _TIES, axis=-1, keepdims=0, select_last_index=1)],
    "Asin": [s("Asin", near(*SHAPE))],
    "Atanh": [s("Atanh", near(*SHAPE))],
    "AveragePool": _pool("AveragePool") + _pool("AveragePool", count_include_pad=1),
    "BatchNormalization": [
        s("BatchNormalization", f(2, 3, 4), *_NORM, w(3, seed=3), up(3)),
        s("BatchNormalization", f(2, 3, 4, 5), *_NORM, w(3, seed=3), up(3), epsilon=0.1),
        s("BatchNormalization", f(2, 3), *_NORM, w(3, seed=3), up(3), opset=9),
    ],
    "BitShift": _bits("BitShift", direction="LEFT"),
    "BitwiseAnd": _bits("BitwiseAnd"),
    "BitwiseNot": [s("BitwiseNot", n(*SHAPE))],
    "BitwiseOr": _bits("BitwiseOr"),
    "BitwiseXor": _bits("BitwiseXor"),
    "Cast": [
        s("Cast", X, to=7),
        s("Cast", X, to=9),
        s("Cast", X, to=11),
        s("Cast", n(*SHAPE), to=1),
        s("Cast", b(*SHAPE), to=1),
        s("Cast", n(*SHAPE), to=2),
    ],
    "CastLike": [s("CastLike", X, k([1])), s("CastLike", n(*SHAPE), f(1))],
    "Clip": [
        s("Clip", X, k(-1, F), k(2, F)),
        s("Clip", X, None, k(0.5, F)),
        s("Clip", X, k(0, F), k(6, F)),
        s("Clip", X, k(2, F), k(-1, F)),
        s("Clip", X, min=-1.0, max=2.0, opset=6),
        s("Clip", n(*SHAPE), k(-2), k(3)),
    ],
    "Compress": [s("Compress", X, k([False, True], BOOL), axis=1), s("Compress", X, k([False, True], BOOL))],
    "Concat": [
        s("Concat", X, Y, axis=1),
        s("Concat", f(2, 1, 4), X, w(2, 2, 4), axis=-2),
        s("Concat", X, X, Y, axis=-1),
    ],
    "Constant": [
        s("Constant", value_floats=[1.0, -2.0, 3.0]),
        s("Constant", value_float=2.5),
        s("Constant", value_int=3, vary={"value_int": [4]}),
        s("Constant", value_ints=[3, 4]),
        s("Constant", value=onnx.numpy_helper.from_array(w(2, 3).values)),
    ],
    "ConstantOfShape": [
        s("ConstantOfShape", k([2, 3])),
        s("ConstantOfShape", k([2, 3]), value=onnx.helper.make_tensor("v", 1, [1], [2.5])),
        s("ConstantOfShape", k([2, 3]), value=onnx.helper.make_tensor("v", 7, [1], [3])),
    ],
    "Conv": [
        s("Conv", IMAGE, w(2, 4, 1, 1), w(2)),
        s("Conv", IMAGE, w(4, 1, 3, 2), group=4, pads=[1, 0, 1, 1]),
        s("Conv", f(2, 4, 4, 6), w(6, 4, 2, 3), w(6), strides=[2, 3]),
        s("Conv", f(2, 4, 6), w(6, 2, 2), w(6), group=2, strides=[2]),
        s("Conv", f(2, 4, 2, 3), w(6, 4, 2, 3), w(6)),
        s("Conv", f(1, 2, 3, 4, 2), w(4, 2, 1, 1, 1), dilations=[2, 2, 2]),
        s("Conv", IMAGE, w(2, 4, 3, 3), w(2), auto_pad="SAME_UPPER", strides=[2, 2]),
    ],
    "ConvTranspose": [
        s("ConvTranspose", IMAGE, w(4, 2, 1, 1), w(2)),
        s("ConvTranspose", IMAGE, w(4, 2, 2, 3), w(2), strides=[2, 3]),
        s("ConvTranspose", IMAGE, w(4, 2, 2, 3), w(4), strides=[2, 2], group=2, output_padding=[1, 0]),
        s("ConvTranspose", f(2, 4, 5), w(4, 3, 2), strides=[2], vary={"output_shape": [[11], [10], [12]]}),
    ],
    "CumSum": [
        s("CumSum", X, k(1)),
        s("CumSum", X, k(-1), exclusive=1),
        s("CumSum", X, k(0), reverse=1),
        s("CumSum", X, k([2], np.int32)),
        s("CumSum", n(*SHAPE), k(1)),
    ],
    "DepthToSpace": [s("DepthToSpace", f(1, 8, 2, 3), blocksize=2), s("DepthToSpace", f(1, 8, 2, 3), blocksize=2, mode="CRD")],
    "DequantizeLinear": [
        s("DequantizeLinear", Operand(n(2, 4).values.astype(np.int8)), k(0.5, F), k(3, np.int8)),
        s("DequantizeLinear", Operand(n(2, 4).values.astype(np.int8)), k([0.5, 1, 2, 3], F), k([1, 0, -1, 2], np.int8), axis=1),
    ],
    "Div": _both("Div"),
    "Dropout": [s("Dropout", X), s("Dropout", X, k(0.3, F), k(False, BOOL)), s("Dropout", X, ratio=0.3, opset=10)],
    "Einsum": [
        s("Einsum", X, f(2, 4, 5), equation="bij,bjk->bik", vary={"equation": ["bij,bjk->bki", "bij,bjk->ik", "bij,bjk->ijk"]}),
        s("Einsum", X, w(4, 5), equation="bij,jk->bik", vary={"equation": ["bij,jk->kbi", "bij,jk->bi", "...j,jk->...k"]}),
        s("Einsum", X, equation="bij->bji", vary={"equation": ["bij->b", "bij->jib", "bij->ij"]}),
        s("Einsum", f(3, 3), equation="ii->i", vary={"equation": ["ii->", "ij->ji"]}),
        s("Einsum", X, Y, equation="bij,bij->bij", vary={"equation": ["bij,bij->bi", "bij,bij->"]}),
    ],
    "Equal": [s("Equal", n(*SHAPE), n(*SHAPE, seed=4)), s("Equal", X, Y), s("Equal", X, k([0, 1, 0.5, 3], F))],
    "Expand": [s("Expand", f(3, 1), k([2, 3, 4])), s("Expand", f(1, 3, 1), k([2, 1, 4])), s("Expand", f(2, 1, 4), k([3, 1]))],
    "EyeLike": [s("EyeLike", f(3, 4), k=1), s("EyeLike", f(3, 4), dtype=7)],
    "Flatten": [s("Flatten", X), s("Flatten", X, axis=2), s("Flatten", f(2, 3, 2, 2), axis=-1)],
    "Gather": [
        s("Gather", X, k([2, 0]), axis=1),
        s("Gather", X, k(1), axis=-1),
        s("Gather", X, k([[0, 1], [-1, 0]])),
        s("Gather", w(5, 3), idx(2, 4, high=5)),
        s("Gather", X, idx(2, high=3), axis=1),
    ],
    "GatherElements": [s("GatherElements", X, idx(2, 2, 4, high=2), axis=1)],
    "GatherND": [
        s("GatherND", f(2, 3), k([[[i, j] for j in range(3)] for i in range(2)])),
        s("GatherND", f(2, 3), k([[0, 1], [1, 2]])),
        s("GatherND", X, k([[0], [1]]), batch_dims=1),
    ],
    "Gemm": [
        s("Gemm", f(2, 4), w(4, 3), w(3)),
        s("Gemm", f(2, 4), w(3, 4), w(2, 3), transB=1, alpha=0.5, beta=2.0),
        s("Gemm", f(4, 2), w(4, 3), w(2, 1), transA=1, beta=0.5),
        s("Gemm", f(3, 3), w(3, 3), w(3), alpha=0.5),
        s("Gemm", f(3, 3), f(3, 3, seed=2), f(3, 3, seed=4)),
        s("Gemm", f(2, 4), w(4, 3), k(0.7, F)),
    ],
    # onnxruntime has it up to opset 21.
    "Greater": _both("Greater"),
    "GreaterOrEqual": _both("GreaterOrEqual"),
    "GroupNormalization": [
        s("GroupNormalization", f(2, 4, 3, 3), w(4), w(4, seed=2), num_groups=2),
        s("GroupNormalization", f(2, 4, 3), w(4), w(4, seed=2), num_groups=4, epsilon=0.2),
        s("GroupNormalization", f(2, 4, 3, 3), w(2), w(2, seed=2), num_groups=2, opset=18),
    ],
    "InstanceNormalization": [
        s("InstanceNormalization", f(2, 3, 4), *_NORM),
        s("InstanceNormalization", f(2, 3, 4, 5), *_NORM, epsilon=0.2),
    ],
    "IsInf": [s("IsInf", _SPECIAL), s("IsInf", _SPECIAL, detect_negative=0)],
    "IsNaN": [s("IsNaN", _SPECIAL)],
    "LRN": [s("LRN", IMAGE, size=3), s("LRN", IMAGE, size=5, alpha=0.3, beta=0.6, bias=1.5)],
    "LayerNormalization": [
        s("LayerNormalization", X, w(4), w(4, seed=2)),
        s("LayerNormalization", X, w(3, 4), w(3, 4, seed=2), axis=1, epsilon=0.3),
        s("LayerNormalization", X, w(4), axis=-1),
        s("LayerNormalization", f(2, 3, 3), w(3), w(3, seed=2)),
    ],
    "Less": _both("Less"),
    "LessOrEqual": _both("LessOrEqual"),
    "Log": [s("Log", pos(*SHAPE))],
    "LpNormalization": [s("LpNormalization", X), s("LpNormalization", X, axis=1, p=1)],
    "MatMul": [
        s("MatMul", X, w(4, 5)),
        s("MatMul", w(5, 3), X),
        s("MatMul", X, f(2, 4, 3)),
        s("MatMul", f(3, 3), f(3, 3, seed=2)),
        s("MatMul", X, w(4)),
        s("MatMul", w(3), X),
        s("MatMul", f(2, 1, 3, 4), f(5, 4, 2)),
        s("MatMul", n(2, 3), k([[1, 2], [3, 4], [5, 6]])),
    ],
    "MatMulInteger": [
        s("MatMulInteger", Operand(np.arange(6, dtype=np.uint8).reshape(2, 3)), k([[1, 2], [3, 4], [5, 6]], np.uint8), k(2, np.uint8), k(1, np.uint8)),
    ],
    "Max": [*_both("Max"), s("Max", X, Y, _MIXED), s("Max", X)],
    "MaxPool": [
        *_pool("MaxPool"),
        s("MaxPool", IMAGE, kernel_shape=[2, 2], outputs=2),
        s("MaxPool", IMAGE, kernel_shape=[2, 2], dilations=[2, 1], storage_order=1),
        s("MaxPool", f(2, 3, 5, 6), kernel_shape=[2, 3], outputs=2, strides=[2, 1], pads=[1, 0, 0, 2], storage_order=1),
    ],
    "Mean": [s("Mean", X, Y), s("Mean", X, _MIXED, Y), s("Mean", X)],
    "MeanVarianceNormalization": [s("MeanVarianceNormalization", IMAGE), s("MeanVarianceNormalization", IMAGE, axes=[1, 2])],
    "Min": [*_both("Min"), s("Min", X, Y, _MIXED), s("Min", X)],
    "Mod": [
        s("Mod", n(*SHAPE), k([2, -3, 3, 5])),
        s("Mod", n(*SHAPE), k([2, -3, 3, 5]), fmod=1),
        s("Mod", X, w(4), fmod=1),
        s("Mod", n(*SHAPE), Operand(np.abs(n(*SHAPE, seed=3).values) + 1)),
    ],
    "NonZero": [s("NonZero", n(2, 3))],
    "Not": [s("Not", b(*SHAPE))],
    "OneHot": [s("OneHot", idx(2, 3, high=4), k(4), k([0, 1], F)), s("OneHot", idx(2, 3, high=4), k(4), k([-1, 2], F), axis=1)],
    "Or": _logic("Or"),
    "PRelu": [s("PRelu", X, w(4)), s("PRelu", X, w(3, 1)), s("PRelu", X, Y), s("PRelu", X, k([0.25], F))],
    "Pad": [
        s("Pad", X, k([0, 1, 0, 0, 0, 2]), vary={"mode": ["reflect", "edge", "wrap"]}),
        s("Pad", X, k([0, 1, 0, 0, 0, 2]), k(1.5, F)),
        s("Pad", X, k([1, 2]), k(0.5, F), k([1])),
        s("Pad", X, k([1, 2]), None, k([-1]), mode="reflect"),
        s("Pad", X, k([0, 1, 0, 0, 1, 1]), mode="edge"),
        s("Pad", X, k([0, -1, 1, 0, 0, -1])),
        s("Pad", X, pads=[0, 1, 0, 0, 0, 2], value=1.5, opset=10),
        s("Pad", n(*SHAPE), k([0, 1, 0, 0, 0, 2]), k(3)),
    ],
    "Pow": [s("Pow", pos(*SHAPE), k(2, F)), s("Pow", pos(*SHAPE), w(4)), s("Pow", X, k(3, F)), s("Pow", X, k(2)), s("Pow", k(2, F), X)],
    "RMSNormalization": [s("RMSNormalization", X, w(4), opset=23), s("RMSNormalization", X, w(3, 4), axis=1, epsilon=0.3, opset=23)],
    "Range": [s("Range", k(1), k(9), k(2)), s("Range", k(0.5, F), k(3, F), k(0.5, F))],
    "Reshape": [
        s("Reshape", X, k([2, 12])),
        s("Reshape", X, k([0, -1])),
        s("Reshape", X, k([4, 3, 2])),
        s("Reshape", X, k([2, 3, 2, 2])),
        s("Reshape", X, k([-1])),
        s("Reshape", X, shape=[2, 12], opset=4, vary={"shape": [[12, 2], [4, 6]]}),
    ],
    "ReverseSequence": [s("ReverseSequence", f(4, 3, 2), k([1, 3, 4])), s("ReverseSequence", f(3, 4, 2), k([1, 3, 4]), batch_axis=0, time_axis=1)],
    "Round": [s("Round", X)],
    "Scatter": [s("Scatter", X, idx(2, 2, 4, high=3), f(2, 2, 4), axis=1, opset=10)],
    "Shape": [s("Shape", X), s("Shape", X, start=1), s("Shape", f(2, 3, 4, 5), start=1, end=-1)],
    "Shrink": [s("Shrink", X), s("Shrink", X, bias=0.5, lambd=1.0)],
    "Slice": [
        s("Slice", X, k([1]), k([3]), k([2])),
        s("Slice", X, k([0, 1]), k([2, 3])),
        s("Slice", X, k([-1]), k([-5]), k([2]), k([-1])),
        s("Slice", X, k([0, 0]), k([9, 9]), k([1, 2]), k([2, 2])),
        s("Slice", X, starts=[1], ends=[3], axes=[2], opset=9, vary={"axes": [[0], [1]]}),
        s("Slice", X, idx(1, high=1), k([3]), k([2])),
    ],
    "SpaceToDepth": [s("SpaceToDepth", f(1, 2, 4, 6), blocksize=2)],
    "Split": [
        s("Split", X, k([1, 2]), axis=1, outputs=2),
        s("Split", X, axis=-1, num_outputs=2, outputs=2),
        s("Split", f(2, 5), axis=1, num_outputs=2, outputs=2),
        s("Split", X, axis=1, split=[1, 2], outputs=2, opset=11, vary={"split": [[2, 1]]}),
    ],
    "Squeeze": [s("Squeeze", f(2, 1, 3, 1), k([1])), s("Squeeze", f(2, 1, 3, 1)), s("Squeeze", f(2, 1, 3, 1), axes=[-1], opset=11, vary={"axes": [[1], [1, 3]]})],
    "Sub": _both("Sub"),
    "Sum": [s("Sum", X, Y), s("Sum", X, _MIXED, Y), s("Sum", X)],
    "Swish": [s("Swish", X, opset=24), s("Swish", X, alpha=1.7, opset=24)],
    "Tile": [s("Tile", X, k([1, 2, 1])), s("Tile", X, k([2, 1, 3]))],
    "TopK": [s("TopK", X, k([2]), axis=1, outputs=2), s("TopK", X, k([2]), largest=0, outputs=2)],
    "Transpose": [s("Transpose", X), s("Transpose", X, perm=[0, 2, 1], vary={"perm": [[1, 0, 2], [2, 0, 1], [1, 2, 0]]})],
    "Trilu": [s("Trilu", X), s("Trilu", X, k(1), upper=0)],
    "Unsqueeze": [s("Unsqueeze", X, k([1])), s("Unsqueeze", X, k([0, -1])), s("Unsqueeze", X, axes=[1], opset=11, vary={"axes": [[0], [2], [1, 2]]})],
    "Where": [s("Where", b(*SHAPE), X, Y), s("Where", k([True, False, True, True], BOOL), X, _MIXED), s("Where", b(3, 1), X, k(-9, F))],
    "Xor": _logic("Xor"),
}  # fmt: skip
SPECIMENS |= {name: _both(name) for name in ("Add", "Mul")}
SPECIMENS |= {
    "Reduce" + name: _reduce("Reduce" + name)
    for name in "L1 L2 LogSum LogSumExp Max Mean Min Prod Sum SumSquare".split()
}
SPECIMENS |= {
    name: [s(name, X), s(name, X, axis=1), s(name, X, axis=1, opset=11), s(name, f(3, 4), axis=0)]
    for name in ("Softmax", "LogSoftmax", "Hardmax")
}

MICROSOFT: dict[str, list[OnnxNode]] = {
    "BiasGelu": [s("BiasGelu", X, w(4), domain="com.microsoft")],
    "FastGelu": [s("FastGelu", X, w(4), domain="com.microsoft"), s("FastGelu", X, domain="com.microsoft")],
    "FusedMatMul": [
        s("FusedMatMul", f(3, 3), w(3, 3), domain="com.microsoft", alpha=0.5, transA=0, transB=0),
        s("FusedMatMul", f(3, 3, 3), w(3, 3, 3), domain="com.microsoft", transBatchA=0, transBatchB=0, transA=1),
    ],
    "Gelu": [s("Gelu", X, domain="com.microsoft")],
    "QuickGelu": [s("QuickGelu", X, domain="com.microsoft", alpha=1.702)],
}  # fmt: skip


def specimens(domain: str, op: str) -> list[OnnxNode]:
    """The specimens of a row; without a hint it is applied to reals, as its schema says."""
    for table in (QUANTIZED, SPECTRAL):
        if (domain, op) in table:
            return table[domain, op]
    if (domain, op) in CONTRIB:
        return CONTRIB[domain, op]
    if domain:
        return MICROSOFT.get(op, [])
    if op == "SimplifiedLayerNormalization":
        return [s(op, X, w(4), axis=-1, epsilon=0.1)]
    if op in MORE:
        return MORE[op]
    if op in SPECIMENS:
        return SPECIMENS[op]
    first = s(op, X)
    schema = first.schema
    if schema is None or schema.min_input != 1:
        return []
    return [first, s(op, f(1, 2, 3, 4))]


__all__ = ["OPSET", "specimens"]
