"""Native nodes that stand for several operations: all parts share the node as their native."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from onebyone.axes.meanings import Positions, Shape, axis_labels, pointwise
from onebyone.axes.meanings_axis import subsample
from onebyone.axes.positional import Apply, Kind, Operation, Regroup, Tensor
from onebyone.axes.sizes import ONE, Size


def synthetic(like: Tensor, shape: Shape | None, name: str, dtype: str = "") -> Tensor:
    """A tensor between two operations that one native node stands for."""
    return Tensor(None, shape, dtype or like.dtype, name=name)


def without_elements(operations: Sequence[Operation]) -> bool:
    """Whether a tensor of them has no elements: its axes have no factors, so no part is bound."""
    tensors = (t for o in operations for t in (*o.inputs, *o.outputs) if t is not None)
    return any(size.known == 0 for tensor in tensors for size in tensor.shape or ())


def scaled_sum(
    native: Any,
    contract: Apply,
    factors: Sequence[Tensor | None],
    result: Tensor,
    name: str,
    *,
    added: Tensor | None = None,
    places: Positions = (),
    alpha: float = 1.0,
    beta: float = 1.0,
) -> list[Operation]:
    """``alpha * contract + beta * added``, so that no factor ever touches a weight.

    Args:
        native: the native node.
        contract: the sum of products.
        factors: its operands.
        result: the tensor that the node yields.
        name: of the tensors in between, to which a suffix is added.
        added: what is added, perhaps.
        places: its positions among `axis_labels` of the result.
        alpha: factor of the sum.
        beta: factor of what is added.
    """
    assert factors[0] is not None and result.shape is not None
    found: list[Operation] = []

    def step(meaning: Apply, inputs: Sequence[Tensor | None], like: Tensor, part: str) -> Tensor:
        shape = like.shape if part == "beta" else result.shape
        target = synthetic(like, shape, f"{name}.{part}") if part else result
        found.append(Operation(native, meaning, tuple(inputs), (target,)))
        return target

    def scaled(tensor: Tensor, factor: float, part: str) -> Tensor:
        meaning = pointwise("scale", [len(tensor.shape or ())], (factor,))
        return step(meaning, (tensor,), tensor, part)

    product = "product" if added is not None or alpha != 1.0 else ""
    total = step(contract, factors, factors[0], product)
    if alpha != 1.0:
        total = scaled(total, alpha, "" if added is None else "alpha")
    if added is None:
        return found
    if beta != 1.0:
        added = scaled(added, beta, "beta")
    labels = axis_labels(len(result.shape))
    behind = len(labels) - 1 - labels.index(places[-1]) if places else 0
    if behind:
        # An addition aligns its operands from the right.
        wide = synthetic(added, (*(added.shape or ()), *(ONE,) * behind), f"{name}.bias")
        found.append(Operation(None, Regroup(), (added,), (wide,)))
        added, places = wide, (*places, *labels[len(labels) - behind :])
    addition = Apply(Kind.POINTWISE, "add", (labels, places), (labels,))
    step(addition, (total, added), total, "")
    return found


def subsampled(
    native: Any,
    contract: Apply,
    operands: Sequence[Tensor | None],
    steps: Mapping[int, int],
    after: Mapping[int, Size],
    result: Tensor,
) -> list[Operation]:
    """A pointwise convolution with a stride reads a subsampled input.

    Args:
        native: the native node.
        contract: the convolution without strides.
        operands: data, weight, perhaps a bias.
        steps: the stride of each spatial axis that has one.
        after: sizes of those axes in the result.
        result: the tensor that the node yields.
    """
    data = operands[0]
    assert data is not None and data.shape is not None
    spatial = {axis + 2: after[axis] for axis in steps}
    shape = tuple(spatial.get(axis, size) for axis, size in enumerate(data.shape))
    between = synthetic(data, shape, f"{data.name}.subsampled")
    meaning = subsample(data.shape, spatial, {axis + 2: step for axis, step in steps.items()})
    return [
        Operation(native, meaning, (data,), (between,)),
        Operation(native, contract, (between, *operands[1:]), (result,)),
    ]
