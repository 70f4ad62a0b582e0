"""Matrix products, einsum and convolutions: all of them sums of products."""

from __future__ import annotations

import torch
from torch import fx

from onebyone.axes import meanings, parts
from onebyone.axes.positional import Operation, Unknown
from onebyone.dialects.aten.read.arguments import Arguments
from onebyone.dialects.aten.read.reader import Handler, Key, Reader, Reading
from onebyone.dialects.aten.read.repeated import with_repeated
from onebyone.dialects.aten.read.window import geometry, tensor_names, window
from onebyone.dialects.aten.values import Name, fake, op_name, shape_of
from onebyone.identity import Refusal

CONVOLUTIONS = (
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "convolution",
)


def matmul(reader: Reader, node: fx.Node, given: Arguments) -> Reading | list[Operation]:
    """mm, bmm, mv, dot, matmul: the last two positions multiply, the others broadcast."""
    names = tensor_names(node)
    if op_name(node) == "bmm":
        repeated = with_repeated(reader, node, given, names)
        if repeated is not None:
            return repeated
    a, b = (fake(given[str(name)]).ndim for name in names)
    return Reading(meanings.matmul(a, b), *names)


def linear(reader: Reader, node: fx.Node, given: Arguments) -> Reading:
    """``x @ weight.T + bias``."""
    bias = given.get("bias") is not None
    names = ("input", "weight", "bias") if bias else ("input", "weight")
    rank, weight_rank = fake(given["input"]).ndim, fake(given["weight"]).ndim
    return Reading(meanings.linear(rank, weight_rank, bias), *names)


def addmm(reader: Reader, node: fx.Node, given: Arguments) -> Reading | list[Operation]:
    """``beta * self + alpha * (a @ b)``; a vector is a bias, anything else is added behind."""
    names = ("batch1", "batch2") if op_name(node) == "baddbmm" else ("mat1", "mat2")
    added, rank = fake(given["self"]), fake(node).ndim
    beta, alpha = float(given["beta"]), float(given["alpha"])
    product = meanings.matmul(rank, rank)
    if beta == alpha == 1 and added.ndim == 1 and added.shape == fake(node).shape[-1:]:
        result = product.results[0]
        return Reading(meanings.contract((*product.operands, result[-1:]), result), *names, "self")
    if fake(node).dtype != torch.float64:
        # As a number among the operands of a product would be rounded.
        alpha, beta = (torch.tensor(x, dtype=torch.float32).item() for x in (alpha, beta))
    return parts.scaled_sum(
        reader.natives[node],
        product,
        [reader.operand(node, name, given) for name in names],
        reader.tensor(node),
        node.name,
        added=reader.operand(node, "self", given),
        places=meanings.axis_labels(rank)[rank - added.ndim :],
        alpha=alpha,
        beta=beta,
    )


def einsum(reader: Reader, node: fx.Node, given: Arguments) -> Reading | Unknown:
    """A contraction of two operands; an ellipsis stands for batch positions."""
    ranks = [fake(tensor).ndim for tensor in given["tensors"]]
    meaning = meanings.einsum(given["equation"], ranks)
    if isinstance(meaning, Unknown):
        return meaning
    return Reading(meaning, ("tensors", 0), ("tensors", 1))


def conv(reader: Reader, node: fx.Node, given: Arguments) -> Reading | Unknown | list[Operation]:
    """An FC layer where windows do not share input, else a window."""
    shape = geometry(node, given)
    if isinstance(shape, Refusal):
        return window(reader, node, shape.reason)
    bias = given.get("bias") is not None
    names: tuple[Name, ...] = ("input", "weight", "bias") if bias else ("input", "weight")
    layer = meanings.convolution(shape, shape_of(fake(given["input"]))[2:], bias=bias)
    if isinstance(layer, Refusal):
        return window(reader, node, layer.reason, shape)
    if not layer.strided:
        return Reading(layer.product, *names)
    operands = [reader.operand(node, name, given) for name in names]
    after = {axis: shape_of(fake(node))[axis + 2] for axis in layer.strided}
    native, result = reader.natives[node], reader.tensor(node)
    return parts.subsampled(
        native, layer.product, operands, layer.strided, after, result, one_by_one=True
    )


TABLE: dict[Key, Handler] = {
    **{("aten", name): matmul for name in ("mm", "bmm", "mv", "dot", "matmul")},
    **{("aten", name): addmm for name in ("addmm", "baddbmm")},
    **{("aten", name): conv for name in CONVOLUTIONS},
    ("aten", "einsum"): einsum,
    ("aten", "linear"): linear,
}
