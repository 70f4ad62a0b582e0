"""Matrix products, einsum and convolutions: all of them sums of products."""

from __future__ import annotations

from collections.abc import Hashable

import torch
from torch import fx

from onebyone.axes.positional import Apply, Kind, Operation, Position, Tensor, Unknown
from onebyone.axes.sizes import ONE, Size
from onebyone.dialects.aten.read.reader import (
    Arguments,
    Handler,
    Reader,
    Reading,
    axis_labels,
    synthetic,
)
from onebyone.dialects.aten.read.repeated import with_repeated
from onebyone.dialects.aten.values import Name, fake, integers, op_name, shape_of
from onebyone.identity import Case, Geometry, Refusal, classify

CONVOLUTIONS = (
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "convolution",
)
_M, _K, _N = ("m",), ("k",), ("n",)


def _contract(
    operands: tuple[tuple[Position, ...] | None, ...],
    result: tuple[Position, ...],
    sizes: dict[str, Size] | None = None,
) -> Apply:
    return Apply(Kind.CONTRACT, "contract", operands, (result,), sizes=sizes or {})


def matmul(reader: Reader, node: fx.Node, given: Arguments) -> Reading | list[Operation]:
    """mm, bmm, mv, dot, matmul: the last two positions multiply, the others broadcast."""
    names: tuple[Name, ...] = tuple(k for k in given if isinstance(given[k], fx.Node))
    if op_name(node) == "bmm":
        found = with_repeated(reader, node, given, names)
        if found is not None:
            return found
    a, b = (fake(given[str(name)]).ndim for name in names)
    batch = max(a, b) - 2

    def labels(rank: int, row: Position, column: Position) -> tuple[Position, ...]:
        lead = tuple((f"b{i}",) for i in range(batch - (rank - 2), batch))
        return (*lead, row, column)

    left = labels(a, _M, _K) if a > 1 else (_K,)
    right = labels(b, _K, _N) if b > 1 else (_K,)
    result: list[Position] = [(f"b{i}",) for i in range(max(batch, 0))]
    result += [_M] if a > 1 else []
    result += [_N] if b > 1 else []
    return Reading(_contract((left, right), tuple(result)), *names)


def linear(reader: Reader, node: fx.Node, given: Arguments) -> Reading:
    """``x @ weight.T + bias``."""
    labels = axis_labels(fake(given["input"]).ndim - 1)
    operands: list[tuple[Position, ...]] = [(*labels, _K), (_N, _K)]
    result = (*labels, _N)
    if fake(given["weight"]).ndim == 1:
        operands[1], result = (_K,), labels
    names = ["input", "weight"]
    if given.get("bias") is not None:
        names.append("bias")
        operands.append((_N,))
    return Reading(_contract(tuple(operands), result), *names)


def addmm(reader: Reader, node: fx.Node, given: Arguments) -> Reading | list[Operation]:
    """``beta * self + alpha * (a @ b)``; a vector is a bias, anything else is added behind."""
    batched = op_name(node) == "baddbmm"
    names = ("batch1", "batch2") if batched else ("mat1", "mat2")
    lead: tuple[Position, ...] = (("b",),) if batched else ()
    result = (*lead, _M, _N)
    added = fake(given["self"])
    beta, alpha = given["beta"], given["alpha"]
    operands = ((*lead, _M, _K), (*lead, _K, _N))
    if beta == alpha == 1 and added.ndim == 1 and added.shape == fake(node).shape[-1:]:
        return Reading(_contract((*operands, (_N,)), result), *names, "self")
    tensors = [reader.operand(node, name, given) for name in (*names, "self")]
    return _scaled(reader, node, _contract(operands, result), tensors, (float(alpha), float(beta)))


def _scaled(
    reader: Reader,
    node: fx.Node,
    contract: Apply,
    tensors: list[Tensor | None],
    factors: tuple[float, float],
) -> list[Operation]:
    """Written as its parts, so that no factor ever touches a weight."""
    a, b, added = tensors
    assert a is not None and added is not None and added.shape is not None
    native, final, shape = reader.natives[node], reader.tensor(node), shape_of(fake(node))
    found: list[Operation] = []

    def step(meaning: Apply, inputs: tuple[Tensor | None, ...], target: Tensor) -> Tensor:
        found.append(Operation(native, meaning, inputs, (target,)))
        return target

    def scaled(tensor: Tensor, factor: float, part: str) -> Tensor:
        if factor == 1:
            return tensor
        assert tensor.shape is not None
        own = axis_labels(len(tensor.shape))
        if tensor.dtype != "double":
            # As a number among the operands of a product would be rounded.
            factor = torch.tensor(factor, dtype=torch.float32).item()
        meaning = Apply(Kind.POINTWISE, "scale", (own,), (own,), attrs=(factor,))
        return step(meaning, (tensor,), synthetic(tensor, tensor.shape, f"{node.name}.{part}"))

    product = step(contract, (a, b), synthetic(a, shape, f"{node.name}.product"))
    product = scaled(product, factors[0], "alpha")
    addend = scaled(added, factors[1], "beta")
    labels = axis_labels(len(shape))
    own = labels[len(shape) - len(added.shape) :]
    step(Apply(Kind.POINTWISE, "add", (labels, own), (labels,)), (product, addend), final)
    return found


def einsum(reader: Reader, node: fx.Node, given: Arguments) -> Reading | Unknown:
    """A contraction of two operands; an ellipsis stands for batch positions."""
    inputs, arrow, output = given["equation"].replace(" ", "").partition("->")
    terms = inputs.split(",")
    if len(terms) != 2 or not arrow:
        return Unknown("an einsum of other than two operands")
    ranks = [fake(tensor).ndim for tensor in given["tensors"]]
    hidden = [rank - len(term.replace("...", "")) for term, rank in zip(terms, ranks, strict=True)]
    top = max(hidden)

    def labels(term: str, count: int) -> tuple[Position, ...]:
        found: list[Position] = []
        for part in term.replace("...", "."):
            lead = [(f"...{i}",) for i in range(top - count, top)]
            found += lead if part == "." else [(part,)]
        return tuple(found)

    left, right = (labels(term, count) for term, count in zip(terms, hidden, strict=True))
    result = labels(output, top)
    a, b = set(left), set(right)
    if len(a) != len(left) or len(b) != len(right):
        return Unknown("an einsum that takes a diagonal")
    if not (a ^ b) <= set(result):
        return Unknown("an einsum that sums over one operand alone")
    return Reading(_contract((left, right), result), ("tensors", 0), ("tensors", 1))


def geometry(node: fx.Node, given: Arguments) -> Geometry | Refusal:
    """The geometry of a convolution; Refusal where a size of the weight is not known."""
    weight = integers(list(fake(given["weight"]).shape))
    source = shape_of(fake(given["input"]))
    if weight is None or len(source) != len(weight):
        return Refusal("an input without batch dimension")
    first, second, *kernel = weight
    count = len(kernel)
    groups = given["groups"]
    transposed = bool(given.get("transposed", "transpose" in op_name(node)))
    padding = given["padding"]
    if isinstance(padding, str):
        if padding != "valid" and any(size != 1 for size in kernel):
            return Refusal(f"padding {padding}: border windows read zeros the FC layer lacks")
        padding = [0]

    def each(values: int | list[int]) -> tuple[int, ...]:
        own = integers(values) or [0]
        return tuple(own * count if len(own) == 1 else own)

    return Geometry(
        in_channels=first if transposed else second * groups,
        out_channels=second * groups if transposed else first,
        kernel=tuple(kernel),
        stride=each(given["stride"]),
        padding=tuple((p, p) for p in each(padding)),
        dilation=each(given["dilation"]),
        groups=groups,
        transposed=transposed,
        output_padding=each(given.get("output_padding", 0)),
        input_size=tuple(size.known for size in source[2:]),
    )


def window(reader: Reader, node: fx.Node, reason: str, what: Hashable = None) -> Reading | Unknown:
    """An overlapping convolution or a pooling: pinned to its layout."""
    if not isinstance(fake(node), torch.Tensor):
        return Unknown(reason)
    shape = shape_of(fake(node))
    labels = axis_labels(len(shape))
    sizes = {label: size for (label,), size in zip(labels, shape, strict=True)}
    names = tuple(node_names(node))
    operands = (None,) * len(names)
    attrs = (reason, what)
    return Reading(
        Apply(Kind.WINDOW, op_name(node), operands, (labels,), attrs=attrs, sizes=sizes), *names
    )


def node_names(node: fx.Node) -> list[Name]:
    """Names of the arguments that are tensors."""
    from onebyone.dialects.aten.values import arguments, is_tensor

    return [name for name, value in arguments(node).items() if is_tensor(value)]


def conv(reader: Reader, node: fx.Node, given: Arguments) -> Reading | Unknown | list[Operation]:
    """An FC layer where windows do not share input, else a window."""
    shape = geometry(node, given)
    if isinstance(shape, Refusal):
        return window(reader, node, shape.reason)
    verdict = classify(shape)
    if isinstance(verdict, Refusal):
        return window(reader, node, verdict.reason, shape)
    x = shape_of(fake(given["input"]))
    sizes = {"g": Size(shape.groups)}
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
    sizes["n"] = Size(shape.out_channels // shape.groups)
    sizes["c"] = Size(shape.in_channels // shape.groups)
    weight: tuple[Position, ...] = (("g", "n"), ("c",), *kernels)
    if shape.transposed:
        weight = (("g", "c"), ("n",), *kernels)
    operands: list[tuple[Position, ...]] = [(("b",), ("g", "c"), *inputs), weight]
    names = ["input", "weight"]
    if given.get("bias") is not None:
        operands.append((("g", "n"),))
        names.append("bias")
    result: tuple[Position, ...] = (("b",), ("g", "n"), *outputs)
    contract = _contract(tuple(operands), result, sizes)
    if not strided:
        return Reading(contract, *names)
    tensors = [reader.operand(node, name, given) for name in names]
    return _subsampled(reader, node, contract, strided, tensors)


def _subsampled(
    reader: Reader,
    node: fx.Node,
    contract: Apply,
    strided: dict[int, int],
    tensors: list[Tensor | None],
) -> list[Operation]:
    """A pointwise convolution with a stride reads an input that is subsampled axis by axis."""
    held = tensors[0]
    after, native = shape_of(fake(node)), reader.natives[node]
    found: list[Operation] = []
    for axis, stride in strided.items():
        assert held is not None and held.shape is not None
        place = axis + 2
        labels = axis_labels(len(held.shape))
        new: Position = (f"s{axis}",)
        steps = Apply(
            Kind.AXIS,
            "subsample",
            (labels,),
            ((*labels[:place], new, *labels[place + 1 :]),),
            attrs=((Size(0),), (held.shape[place],), (stride,)),
            sizes={f"s{axis}": after[place]},
            axis_in=((labels[place],),),
            axis_out=((new,),),
        )
        shape = (*held.shape[:place], after[place], *held.shape[place + 1 :])
        less = synthetic(held, shape, f"{held.name}.subsampled")
        found.append(Operation(native, steps, (held,), (less,)))
        held = less
    found.append(Operation(native, contract, (held, *tensors[1:]), (reader.tensor(node),)))
    return found


def pool(reader: Reader, node: fx.Node, given: Arguments) -> Reading | Unknown:
    """A pooling: a window, whatever its geometry."""
    return window(reader, node, f"{op_name(node)} is no sum of products")


TABLE: dict[str, Handler] = {
    **dict.fromkeys(("mm", "bmm", "mv", "dot", "matmul"), matmul),
    **dict.fromkeys(("addmm", "baddbmm"), addmm),
    **dict.fromkeys(CONVOLUTIONS, conv),
    **dict.fromkeys(
        ("avg_pool1d", "avg_pool2d", "avg_pool3d", "max_pool1d", "max_pool2d", "max_pool3d"), pool
    ),
    "einsum": einsum,
    "linear": linear,
}
