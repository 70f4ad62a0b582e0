"""MatMul, Gemm, Einsum and convolutions: all of them sums of products."""

from __future__ import annotations

import onnx_ir as ir

from onebyone.axes.positional import Apply, Kind, Meaning, Operation, Position, Tensor, Unknown
from onebyone.axes.sizes import ONE, Size
from onebyone.dialects.onnx import attributes as at
from onebyone.dialects.onnx.lift import Handler, Reader, Reading, label_shape, synthetic
from onebyone.dialects.onnx.lift_pointwise import axis_labels
from onebyone.identity import Case, Geometry, Refusal, classify

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
    left = (("k",), ("m",)) if at.integer(node, "transA", 0) else (("m",), ("k",))
    right = (("n",), ("k",)) if at.integer(node, "transB", 0) else (("k",), ("n",))
    result: tuple[Position, ...] = (("m",), ("n",))
    third = None if bias_shape is None else result[2 - len(bias_shape) :]
    alpha, beta = at.number(node, "alpha", 1.0), at.number(node, "beta", 1.0)
    if bias is None or beta == 1.0:
        beta = 1.0
    # A bias of any other shape is no vector over the outputs, as a convolution wants it.
    outputs = b[0] if at.integer(node, "transB", 0) else b[1]
    vector = bias_shape is None or (
        len(bias_shape) > 0
        and bias_shape[-1] == outputs
        and all(size.is_one for size in bias_shape[:-1])
    )
    if alpha == 1.0 and beta == 1.0 and vector:
        operands = (left, right) if len(node.inputs) < 3 else (left, right, third)
        return _contract(operands, result)
    return _scaled_gemm(reader, node, _contract((left, right), result), (alpha, beta), third)


def _scaled_gemm(
    reader: Reader,
    node: ir.Node,
    contract: Apply,
    factors: tuple[float, float],
    third: tuple[Position, ...] | None,
) -> list[Operation]:
    """Written as its parts, so that no factor ever touches a weight."""
    alpha, beta = factors
    a, b, *rest = (None if v is None else reader.tensor(v) for v in node.inputs)
    out = node.outputs[0]
    shape = label_shape(contract, [a, b], 0)
    assert a is not None
    final = Tensor(out, shape, a.dtype, name=out.name or "")
    reader.tensors[out] = final
    labels = axis_labels(2)
    operations: list[Operation] = []

    def step(meaning: Apply, inputs: tuple[Tensor | None, ...], target: Tensor) -> Tensor:
        operations.append(Operation(node, meaning, inputs, (target,)))
        return target

    def scaled(tensor: Tensor, factor: float, rank: int, target: Tensor) -> Tensor:
        own = axis_labels(rank)
        meaning = Apply(Kind.POINTWISE, "scale", (own,), (own,), attrs=(factor,))
        return step(meaning, (tensor,), target)

    bias = rest[0] if rest else None
    last = "alpha" if bias is None else "product"
    product = step(
        contract,
        (a, b),
        final
        if alpha == 1.0 and bias is None
        else synthetic(a, shape, f"{out.name}.{'matmul' if alpha != 1.0 else last}"),
    )
    if alpha != 1.0:
        target = final if bias is None else synthetic(a, shape, f"{out.name}.alpha")
        product = scaled(product, alpha, 2, target)
    if bias is not None:
        assert third is not None and bias.shape is not None
        addend = bias
        if beta != 1.0:
            addend = scaled(
                bias, beta, len(bias.shape), synthetic(bias, bias.shape, f"{out.name}.beta")
            )
        step(
            Apply(Kind.POINTWISE, "add", (labels, labels[2 - len(third) :]), (labels,)),
            (product, addend),
            final,
        )
    return operations


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


def geometry(reader: Reader, node: ir.Node) -> Geometry | Refusal:
    """The geometry of a Conv or ConvTranspose; Refusal where it is not known."""
    x, weight = reader.shape(node.inputs[0]), reader.shape(node.inputs[1])
    if x is None or weight is None or len(x) != len(weight) or len(x) < 3:
        return Refusal("a shape is not known")
    sizes = [size.known for size in weight]
    if any(size is None for size in sizes):
        return Refusal("the shape of the weight is not known")
    first, second, *kernel = (size for size in sizes if size is not None)
    spatial = len(kernel)
    groups = at.integer(node, "group", 1)
    transposed = node.op_type == "ConvTranspose"
    stride = tuple(at.integers(node, "strides", [1] * spatial) or ())
    dilation = tuple(at.integers(node, "dilations", [1] * spatial) or ())
    pads = at.integers(node, "pads", [0] * 2 * spatial) or []
    auto = at.text(node, "auto_pad", "NOTSET")
    if transposed and at.integers(node, "output_shape"):
        return Refusal("a transposed convolution with a prescribed output shape")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        for axis in range(spatial):
            size = x[axis + 2].known
            need = None
            if size is not None and not transposed:
                span = (-(-size // stride[axis]) - 1) * stride[axis]
                need = max(span + (kernel[axis] - 1) * dilation[axis] + 1 - size, 0)
            if kernel[axis] == 1 and not transposed:
                need = 0
            if need is None or need:
                return Refusal(f"auto_pad {auto}: border windows read zeros the FC layer lacks")
        pads = [0] * 2 * spatial
    return Geometry(
        in_channels=first if transposed else second * groups,
        out_channels=second * groups if transposed else first,
        kernel=tuple(kernel),
        stride=stride,
        padding=tuple((pads[i], pads[i + spatial]) for i in range(spatial)),
        dilation=dilation,
        groups=groups,
        transposed=transposed,
        output_padding=tuple(at.integers(node, "output_padding", [0] * spatial) or ()),
        input_size=tuple(size.known for size in x[2:]),
    )


def window(reader: Reader, node: ir.Node, reason: str) -> Reading:
    """An overlapping convolution or a pooling: pinned to its layout."""
    operands = (None,) * len(node.inputs)
    if len(node.outputs) > 1:
        return Reading(Unknown(reason))
    shape = reader.shape(node.inputs[0])
    result = axis_labels(len(shape)) if shape else ()
    out = window_shape(reader, node)
    if out is None:
        return Reading(Unknown(reason))
    sizes = {label: size for (label,), size in zip(result, out, strict=True)}
    attrs = (reason, at.hashable(node))
    return Reading(
        Apply(Kind.WINDOW, node.op_type.lower(), operands, (result,), attrs=attrs, sizes=sizes), out
    )


def window_shape(reader: Reader, node: ir.Node) -> tuple[Size, ...] | None:
    """The shape of a convolution's or pooling's result, symbols included."""
    found = node.outputs[0].shape
    if found is not None and all(isinstance(d, int) for d in found.dims):
        return tuple(Size(d) for d in found.dims if isinstance(d, int))
    shape = reader.shape(node.inputs[0])
    if shape is None or at.text(node, "auto_pad", "NOTSET") != "NOTSET" or len(shape) < 3:
        return None
    spatial = len(shape) - 2
    channels = shape[1]
    if node.op_type in ("Conv", "ConvTranspose"):
        weight = reader.shape(node.inputs[1])
        if weight is None:
            return None
        kernel = [size.known for size in weight[2:]]
        groups = Size(at.integer(node, "group", 1))
        channels = weight[0] if node.op_type == "Conv" else weight[1] * groups
    else:
        kernel = list(at.integers(node, "kernel_shape") or [])
    stride = at.integers(node, "strides", [1] * spatial) or []
    dilation = at.integers(node, "dilations", [1] * spatial) or []
    pads = at.integers(node, "pads", [0] * 2 * spatial) or []
    if (
        at.integer(node, "ceil_mode", 0)
        or len(kernel) != spatial
        or node.op_type == "ConvTranspose"
    ):
        return None
    out: list[Size] = []
    for axis in range(spatial):
        size, k = shape[axis + 2], kernel[axis]
        if k is None:
            return None
        change = pads[axis] + pads[axis + spatial] - (dilation[axis] * (k - 1) + 1)
        if size.known is not None:
            out.append(Size((size.known + change) // stride[axis] + 1))
        elif change == -1 and stride[axis] == 1:
            out.append(size)
        else:
            out.append(Size(1, (f"(({size}+{change})//{stride[axis]}+1)",)))
    return (shape[0], channels, *out)


def conv(reader: Reader, node: ir.Node) -> Meaning | Reading | list[Operation]:
    """An FC layer where windows do not share input, else a window."""
    shape = geometry(reader, node)
    if isinstance(shape, Refusal):
        return window(reader, node, shape.reason)
    verdict = classify(shape)
    if isinstance(verdict, Refusal):
        return window(reader, node, verdict.reason)
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
                return window(reader, node, "input size is not known to be a multiple of the patch")
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
    if not strided:
        return contract
    return _subsampled(reader, node, contract, strided)


def _subsampled(
    reader: Reader, node: ir.Node, contract: Apply, strided: dict[int, int]
) -> list[Operation]:
    """A pointwise convolution with a stride reads a subsampled input."""
    x, *rest = (None if v is None else reader.tensor(v) for v in node.inputs)
    assert x is not None and x.shape is not None
    labels = axis_labels(len(x.shape))
    shape = list(x.shape)
    sizes: dict[str, Size] = {}
    for axis, stride in strided.items():
        size = x.shape[axis + 2]
        known = size.known
        name = f"(({size}+-1)//{stride}+1)"
        shape[axis + 2] = Size(1, (name,)) if known is None else Size((known - 1) // stride + 1)
        sizes[f"s{axis}"] = shape[axis + 2]
    result = tuple((f"s{i - 2}",) if i - 2 in strided else label for i, label in enumerate(labels))
    steps = Apply(
        Kind.AXIS,
        "subsample",
        (labels,),
        (result,),
        attrs=(
            (Size(0),) * len(strided),
            tuple(x.shape[axis + 2] for axis in strided),
            tuple(strided.values()),
        ),
        sizes=sizes,
        axis_in=(tuple(labels[axis + 2] for axis in strided),),
        axis_out=(tuple((f"s{axis}",) for axis in strided),),
    )
    between = synthetic(x, tuple(shape), f"{x.name}.subsampled")
    out = node.outputs[0]
    final = Tensor(out, label_shape(contract, [between, *rest], 0), x.dtype, name=out.name or "")
    reader.tensors[out] = final
    return [
        Operation(node, steps, (x,), (between,)),
        Operation(node, contract, (between, *rest), (final,)),
    ]


def pool(reader: Reader, node: ir.Node) -> Reading:
    """A pooling: a window, whatever its geometry."""
    if len(node.outputs) > 1 and any(v.uses() for v in node.outputs[1:]):
        return Reading(Unknown("MaxPool whose indices are used"))
    return window(reader, node, f"{node.op_type} is no sum of products")


TABLE: dict[str, Handler] = {
    "AveragePool": pool,
    "Conv": conv,
    "ConvTranspose": conv,
    "Einsum": einsum,
    "Gemm": gemm,
    "LpPool": pool,
    "MatMul": matmul,
    "MaxPool": pool,
}
