"""The geometry of convolutions, and windows that overlap: pinned to their layout."""

from __future__ import annotations

from collections.abc import Hashable

import torch
from torch import fx

from onebyone.axes import meanings
from onebyone.axes.positional import Unknown
from onebyone.dialects.aten.read.arguments import Arguments
from onebyone.dialects.aten.read.reader import Handler, Key, Reader, Reading
from onebyone.dialects.aten.values import (
    Name,
    arguments,
    fake,
    integers,
    is_tensor,
    op_name,
    shape_of,
)
from onebyone.identity import Geometry, Refusal


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
    names = tensor_names(node)
    meaning = meanings.window(op_name(node), shape_of(fake(node)), len(names), reason, what)
    return Reading(meaning, *names)


def tensor_names(node: fx.Node) -> tuple[Name, ...]:
    """Names of the arguments that are tensors."""
    return tuple(name for name, value in arguments(node).items() if is_tensor(value))


def pool(reader: Reader, node: fx.Node, given: Arguments) -> Reading | Unknown:
    """A pooling: a window, whatever its geometry."""
    return window(reader, node, f"{op_name(node)} is no sum of products")


_POOLS = ("avg_pool1d", "avg_pool2d", "avg_pool3d", "max_pool1d", "max_pool2d", "max_pool3d")

TABLE: dict[Key, Handler] = {("aten", name): pool for name in _POOLS}
