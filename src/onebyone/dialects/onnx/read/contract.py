"""MatMul, Gemm, Einsum and convolutions: all of them sums of products."""

from __future__ import annotations

import onnx_ir as ir

from onebyone.axes.positional import Apply, Kind, Meaning, Operation, Position, Unknown
from onebyone.axes.sizes import ONE, Size, product
from onebyone.dialects.onnx.read import attributes as at
from onebyone.dialects.onnx.read.parts import in_parts, subsampled
from onebyone.dialects.onnx.read.pointwise import axis_labels
from onebyone.dialects.onnx.read.reader import Handler, Reader, Reading, label_shape
from onebyone.dialects.onnx.read.window import geometry, window
from onebyone.identity import Case, Refusal, classify

_UNKNOWN = Unknown("a shape is not known")


def _contract(
    operands: tuple[tuple[Position, ...] | None, ...],
    result: tuple[Position, ...],
    sizes: dict[str, Size] | None = None,
) -> Apply:
    return Apply(Kind.CONTRACT, "contract", operands, (result,), sizes=sizes or {})


def matmul(reader: Reader, node: ir.Node) -> Meaning:
    """numpy's matmul: the last two positions multiply, the others broadcast."""
    a, b = reader.shape(node.inputs[0]), reader.shape(node.inputs[1])
    if not a or not b:
        return _UNKNOWN
    batch = max(len(a), len(b)) - 2

    def labels(rank: int, row: str, column: str) -> tuple[Position, ...]:
        lead = tuple((f"b{i}",) for i in range(batch - (rank - 2), batch))
        return (*lead, (row,), (column,))

    left = labels(len(a), "m", "k") if len(a) > 1 else (("k",),)
    right = labels(len(b), "k", "n") if len(b) > 1 else (("k",),)
    result = [(f"b{i}",) for i in range(max(batch, 0))]
    result += [("m",)] if len(a) > 1 else []
    result += [("n",)] if len(b) > 1 else []
    return _contract((left, right), tuple(result))


def gemm(reader: Reader, node: ir.Node) -> Meaning | list[Operation]:
    """alpha * A' * B' + beta * C."""
    a, b = reader.shape(node.inputs[0]), reader.shape(node.inputs[1])
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    bias_shape = reader.shape(bias)
    if a is None or b is None or (bias is not None and bias_shape is None):
        return _UNKNOWN
    if len(a) != 2 or len(b) != 2 or len(bias_shape or ()) > 2:
        return _UNKNOWN
    left = (("k",), ("m",)) if at.integer(node, "transA", 0) else (("m",), ("k",))
    right = (("n",), ("k",)) if at.integer(node, "transB", 0) else (("k",), ("n",))
    result: tuple[Position, ...] = (("m",), ("n",))
    alpha, beta = at.number(node, "alpha", 1.0), at.number(node, "beta", 1.0)
    shape = label_shape(
        _contract((left, right), result), [reader.tensor(v) for v in node.inputs[:2] if v], 0
    )
    assert shape is not None
    ignored = beta == 0.0 and bias is not None and reader.tensor(bias).constant
    if bias_shape is None or ignored:
        if alpha == 1.0 and len(node.inputs) < 3:
            return _contract((left, right), result)
        return in_parts(reader, node, _contract((left, right), result), None, alpha, beta)
    third = result[2 - len(bias_shape) :]
    if alpha == 1.0 and beta == 1.0 and product(bias_shape) == shape[1] == (ONE, *bias_shape)[-1]:
        return _contract((left, right, third), result)
    labels = axis_labels(2)[2 - len(bias_shape) :]
    return in_parts(reader, node, _contract((left, right), result), labels, alpha, beta)


def einsum(reader: Reader, node: ir.Node) -> Meaning:
    """A contraction of two operands; ellipses stand for batch positions."""
    equation = at.text(node, "equation", "").replace(" ", "")
    shapes = [reader.shape(v) for v in node.inputs]
    if len(shapes) != 2 or any(shape is None for shape in shapes):
        return Unknown("an Einsum of other than two operands")
    inputs, arrow, output = equation.partition("->")
    terms = inputs.split(",")
    if len(terms) != 2:
        return Unknown("an Einsum of other than two operands")
    ranks = [len(shape or ()) for shape in shapes]
    hidden = [
        max(rank - len(term.replace("...", "")), 0) for term, rank in zip(terms, ranks, strict=True)
    ]
    top = max(hidden)

    def labels(term: str, count: int) -> tuple[Position, ...]:
        lead = "".join(chr(0x1000 + i) for i in range(top - count, top))
        return tuple((letter,) for letter in term.replace("...", lead))

    operands = [labels(term, count) for term, count in zip(terms, hidden, strict=True)]
    if not arrow:
        letters = sorted("".join(terms).replace(".", ""))
        once = "".join(x for x in letters if letters.count(x) == 1)
        output = ("..." if "..." in inputs else "") + once
    result = labels(output, top)
    a, b = ({p[0] for p in positions} for positions in operands)
    kept = {p[0] for p in result}
    if any(len(own) != len(positions) for own, positions in zip((a, b), operands, strict=True)):
        return Unknown("an Einsum that takes a diagonal")
    if any(len(positions) != rank for positions, rank in zip(operands, ranks, strict=True)):
        return _UNKNOWN
    if not (a ^ b) <= kept:
        return Unknown("an Einsum that sums over one operand alone")
    return _contract((operands[0], operands[1]), result)


def conv(reader: Reader, node: ir.Node) -> Meaning | Reading | list[Operation]:
    """An FC layer where windows do not share input, else a window."""
    shape = geometry(reader, node)
    if isinstance(shape, Refusal):
        return window(reader, node, shape.reason)
    verdict = classify(shape)
    if isinstance(verdict, Refusal):
        return window(reader, node, verdict.reason, shape)
    sizes = {"g": Size(shape.groups)}
    x = reader.shape(node.inputs[0])
    assert x is not None
    inputs: list[Position] = []
    kernels: list[Position] = []
    outputs: list[Position] = []
    strided: dict[int, int] = {}
    for axis, case in enumerate(verdict.axes):
        o, k, size = f"o{axis}", f"k{axis}", x[axis + 2]
        kernel = Size(shape.kernel[axis])
        sizes[k] = kernel
        kernels.append((k,))
        if shape.transposed:
            inputs.append((o,))
            outputs.append((o, k))
            sizes[o] = size
        elif case is Case.POINTWISE:
            if shape.stride[axis] > 1:
                strided[axis] = shape.stride[axis]
            inputs.append((o,))
            outputs.append((o,))
        else:
            rest = ONE if case is Case.WHOLE else size.divided_by(kernel)
            if rest is None:
                reason = "input size is not known to be a multiple of the patch"
                return window(reader, node, reason, shape)
            sizes[o] = rest
            inputs.append((o, k))
            outputs.append((o,))
    result: tuple[Position, ...] = (("b",), ("g", "n"), *outputs)
    weight: tuple[Position, ...]
    per_group = Size(shape.out_channels // shape.groups)
    sizes["n"], sizes["c"] = per_group, Size(shape.in_channels // shape.groups)
    if shape.transposed:
        weight = (("g", "c"), ("n",), *kernels)
    else:
        weight = (("g", "n"), ("c",), *kernels)
    operands: list[tuple[Position, ...] | None] = [(("b",), ("g", "c"), *inputs), weight]
    if len(node.inputs) > 2:
        operands.append((("g", "n"),) if node.inputs[2] is not None else None)
    contract = _contract(tuple(operands), result, sizes)
    if len(operands) > 2 and shape.transposed and any(k > 1 for k in shape.kernel):
        # The bias has no kernel axes, unlike the columns of the weight.
        contract = _contract((operands[0], operands[1]), result, sizes)
        return in_parts(reader, node, contract, axis_labels(len(x))[1:2])
    if not strided:
        return contract
    if reader.opset < 10:
        return window(reader, node, "its stride needs Slice with steps, of opset 10")
    return subsampled(reader, node, contract, strided)


TABLE: dict[str, Handler] = {
    "Conv": conv,
    "ConvTranspose": conv,
    "Einsum": einsum,
    "Gemm": gemm,
    "MatMul": matmul,
}
