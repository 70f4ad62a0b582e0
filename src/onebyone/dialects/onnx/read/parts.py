"""Native nodes that stand for several operations."""

from __future__ import annotations

import onnx_ir as ir

from onebyone.axes.positional import Apply, Kind, Operation, Position, Regroup, Tensor
from onebyone.axes.sizes import ONE, Size
from onebyone.dialects.onnx.read.pointwise import axis_labels
from onebyone.dialects.onnx.read.reader import Reader, label_shape, synthetic


def in_parts(
    reader: Reader,
    node: ir.Node,
    contract: Apply,
    bias: tuple[Position, ...] | None,
    alpha: float = 1.0,
    beta: float = 1.0,
) -> list[Operation]:
    """``alpha * contract + beta * bias``, so that no factor ever touches a weight.

    Args:
        reader: of the graph.
        node: the native node; its inputs are two factors and perhaps a bias.
        contract: the sum of products.
        bias: positions of the bias among those of the result; None where there is none to add.
        alpha: factor of the sum.
        beta: factor of the bias.
    """
    a, b, *rest = (None if v is None else reader.tensor(v) for v in node.inputs)
    out = node.outputs[0]
    shape = label_shape(contract, [a, b], 0)
    assert a is not None and shape is not None
    final = Tensor(out, shape, a.dtype, name=out.name or "")
    reader.tensors[out] = final
    operations: list[Operation] = []

    def step(meaning: Apply, inputs: tuple[Tensor | None, ...], suffix: str) -> Tensor:
        last = not suffix
        sizes = label_shape(meaning, inputs, 0)
        target = final if last else synthetic(a, sizes, f"{out.name}.{suffix}")
        operations.append(Operation(node, meaning, inputs, (target,)))
        return target

    def scaled(tensor: Tensor, factor: float, suffix: str) -> Tensor:
        own = axis_labels(len(tensor.shape or ()))
        meaning = Apply(Kind.POINTWISE, "scale", (own,), (own,), attrs=(factor,))
        return step(meaning, (tensor,), suffix)

    more = bias is not None
    total = step(contract, (a, b), "product" if more or alpha != 1.0 else "")
    if alpha != 1.0:
        total = scaled(total, alpha, "alpha" if more else "")
    if bias is not None:
        addend = rest[0]
        assert addend is not None
        if beta != 1.0:
            addend = scaled(addend, beta, "beta")
        labels = axis_labels(len(shape))
        behind = len(shape) - 1 - labels.index(bias[-1]) if bias else 0
        if behind:
            # An Add aligns its operands from the right.
            aligned = (*(addend.shape or ()), *(ONE,) * behind)
            wide = synthetic(addend, aligned, f"{out.name}.bias")
            operations.append(Operation(None, Regroup(), (addend,), (wide,)))
            addend, bias = wide, (*bias, *labels[len(shape) - behind :])
        step(Apply(Kind.POINTWISE, "add", (labels, bias), (labels,)), (total, addend), "")
    return operations


def subsampled(
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
