"""MatMul, Gemm, Einsum and convolutions: all of them sums of products."""

from __future__ import annotations

import onnx_ir as ir

from onebyone.axes import meanings, parts
from onebyone.axes.meanings import label_shape
from onebyone.axes.positional import Meaning, Operation, Unknown
from onebyone.axes.sizes import ONE, Size, product
from onebyone.dialects.onnx.bodies import Key
from onebyone.dialects.onnx.read.attributes import Attributes
from onebyone.dialects.onnx.read.reader import Handler, Reader, Reading
from onebyone.dialects.onnx.read.window import geometry, window
from onebyone.identity import Refusal

_UNKNOWN = Unknown("a shape is not known")


def matmul(reader: Reader, node: ir.Node, given: Attributes) -> Meaning:
    """numpy's matmul."""
    a, b = reader.shape(node.inputs[0]), reader.shape(node.inputs[1])
    return meanings.matmul(len(a), len(b)) if a and b else _UNKNOWN


def gemm(reader: Reader, node: ir.Node, given: Attributes) -> Meaning | list[Operation]:
    """alpha * A' * B' + beta * C."""
    a, b = reader.shape(node.inputs[0]), reader.shape(node.inputs[1])
    turned = bool(given.integer("transA", 0)), bool(given.integer("transB", 0))
    alpha, beta = given.number("alpha", 1.0), given.number("beta", 1.0)
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    bias_shape = reader.shape(bias)
    if a is None or b is None or (bias is not None and bias_shape is None):
        return _UNKNOWN
    if len(a) != 2 or len(b) != 2 or len(bias_shape or ()) > 2:
        return _UNKNOWN
    plain = meanings.matmul(2, 2, turned)
    factors = [reader.tensor(v) for v in node.inputs[:2] if v]
    shape = label_shape(plain, factors, 0)
    assert shape is not None
    unused = bias is not None and beta == 0.0 and reader.tensor(bias).constant
    # What is not added must fit all the same.
    unused = unused and all(
        size in (ONE, whole)
        for size, whole in zip((bias_shape or ())[::-1], shape[::-1], strict=False)
    )
    if bias is None or bias_shape is None or unused:
        if alpha == 1.0 and len(node.inputs) < 3:
            return plain
        result = reader.result(node, shape)
        return parts.scaled_sum(node, plain, factors, result, result.name, alpha=alpha)
    if alpha == 1.0 and beta == 1.0 and product(bias_shape) == shape[1] == (ONE, *bias_shape)[-1]:
        places = plain.results[0][2 - len(bias_shape) :]
        return meanings.contract((*plain.operands, places), plain.results[0])
    places = meanings.axis_labels(2)[2 - len(bias_shape) :]
    result, added = reader.result(node, shape), reader.tensor(bias)
    return parts.scaled_sum(
        *(node, plain, factors, result, result.name),
        added=added,
        places=places,
        alpha=alpha,
        beta=beta,
    )


def einsum(reader: Reader, node: ir.Node, given: Attributes) -> Meaning:
    """A contraction of two operands; ellipses stand for batch positions."""
    equation = given.text("equation", "")
    shapes = [reader.shape(v) for v in node.inputs]
    if any(shape is None for shape in shapes):
        return _UNKNOWN
    return meanings.einsum(equation, [len(shape or ()) for shape in shapes])


def conv(reader: Reader, node: ir.Node, given: Attributes) -> Meaning | Reading | list[Operation]:
    """An FC layer where windows do not share input, else a window."""
    shape = geometry(reader, node, given)
    if isinstance(shape, Refusal):
        return window(reader, node, shape.reason)
    x = reader.shape(node.inputs[0])
    assert x is not None
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    # A bias of a transposed patch has no kernel axes, unlike the columns of the weight.
    apart = bias is not None and shape.transposed and any(k > 1 for k in shape.kernel)
    layer = meanings.convolution(shape, x[2:], bias=bias is not None and not apart)
    if isinstance(layer, Refusal):
        return window(reader, node, layer.reason, shape)
    operands = [None if v is None else reader.tensor(v) for v in node.inputs]
    if apart:
        result = reader.result(node, label_shape(layer.product, operands[:2], 0))
        channels = meanings.axis_labels(len(x))[1:2]
        return parts.scaled_sum(
            *(node, layer.product, operands[:2], result, result.name),
            added=operands[2],
            places=channels,
        )
    meaning = meanings.pinned(layer.product, len(operands))
    if not layer.strided:
        return meaning
    if reader.opset < 10:
        return window(reader, node, "its stride needs Slice with steps, of opset 10")
    after = {axis: _subsampled(x[axis + 2], step) for axis, step in layer.strided.items()}
    shape_after = list(label_shape(layer.product, operands, 0) or ())
    for axis, size in after.items():
        shape_after[axis + 2] = size
    result = reader.result(node, tuple(shape_after))
    return parts.subsampled(node, meaning, operands, layer.strided, after, result)


def _subsampled(size: Size, stride: int) -> Size:
    """How many of ``size`` elements are left, every ``stride``-th from the first on."""
    if size.known is None:
        return Size(1, (f"(({size}+-1)//{stride}+1)",))
    return Size((size.known - 1) // stride + 1)


TABLE: dict[Key, Handler] = {
    ("", "Conv"): conv,
    ("", "ConvTranspose"): conv,
    ("", "Einsum"): einsum,
    ("", "Gemm"): gemm,
    ("", "MatMul"): matmul,
}
