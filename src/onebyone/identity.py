"""When a convolution is a fully connected layer, and how the weights correspond.

A convolution applies one fully connected (FC) layer to every window of its input. It *is* an FC
layer when windows do not share input. Each spatial axis is judged on its own:

=============  =========================================  ==================================
``point``      kernel 1, padding 0 (any stride)           one position
``patch``      kernel == stride, padding 0, dilation 1    one patch; patches tile the axis
``whole``      kernel == input, padding 0, one output     the whole axis
=============  =========================================  ==================================

and the layer takes the widest case of its axes. Source of the geometry: the ``Conv`` and
``ConvTranspose`` operator schemas of ONNX, which agree with ``torch.nn``.

Weights are only reshaped and permuted, never computed with, so they stay bit-identical.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Case(StrEnum):
    """What an FC layer reads when it is written as a convolution."""

    POINTWISE = "pointwise"
    PATCH = "patch"
    WHOLE = "whole"


@dataclass(frozen=True)
class Geometry:
    """The geometry of a convolution with any number of spatial axes.

    Attributes:
        in_channels: channels of the input, all groups together.
        out_channels: channels of the output, all groups together.
        kernel: kernel size of each spatial axis.
        stride: stride of each spatial axis.
        padding: (begin, end) padding of each spatial axis.
        dilation: dilation of each spatial axis.
        groups: number of groups.
        transposed: True for a transposed convolution.
        output_padding: extra output size of a transposed convolution, for each spatial axis.
        input_size: input size of each spatial axis, None where it is not known.
    """

    in_channels: int
    out_channels: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int = 1
    transposed: bool = False
    output_padding: tuple[int, ...] = ()
    input_size: tuple[int | None, ...] = ()

    def size(self, axis: int) -> int | None:
        """The input size along spatial ``axis``, or None where it is not known."""
        return self.input_size[axis] if axis < len(self.input_size) else None


@dataclass(frozen=True)
class FullyConnected:
    """The convolution is an FC layer: ``case`` as a whole, ``axes`` for each spatial axis."""

    case: Case
    axes: tuple[Case, ...]


@dataclass(frozen=True)
class Refusal:
    """The convolution is no FC layer, for ``reason``."""

    reason: str


def classify(geometry: Geometry) -> FullyConnected | Refusal:
    """Say whether a convolution is an FC layer, and of which case.

    Args:
        geometry: the convolution; sizes count elements.

    Returns:
        `FullyConnected` with the case of the layer and of each spatial axis, or `Refusal` with a
        reason such as ``stride 1 < kernel 3: windows overlap``.
    """
    judge = _transposed_axis if geometry.transposed else _axis
    cases: list[Case] = []
    for axis in range(len(geometry.kernel)):
        verdict = judge(geometry, axis)
        if isinstance(verdict, Refusal):
            return verdict
        cases.append(verdict)
    if Case.PATCH in cases:
        whole = Case.PATCH
    elif Case.WHOLE in cases:
        whole = Case.WHOLE
    else:
        whole = Case.POINTWISE
    return FullyConnected(whole, tuple(cases))


def _axis(geometry: Geometry, axis: int) -> Case | Refusal:
    kernel, stride = geometry.kernel[axis], geometry.stride[axis]
    size = geometry.size(axis)
    if any(geometry.padding[axis]):
        begin, end = geometry.padding[axis]
        return Refusal(f"padding ({begin}, {end}): border windows read zeros the FC layer lacks")
    if kernel == 1:
        return Case.POINTWISE
    if geometry.dilation[axis] != 1:
        return Refusal(f"dilation {geometry.dilation[axis]}: windows interleave")
    if size == kernel:
        return Case.WHOLE
    if stride == kernel:
        if size is not None and size % kernel:
            return Refusal(
                f"input size {size} is no multiple of the patch {kernel}: the rest is cut off"
            )
        return Case.PATCH
    if stride < kernel:
        return Refusal(f"stride {stride} < kernel {kernel}: windows overlap")
    return Refusal(f"stride {stride} > kernel {kernel}: windows leave gaps")


def _transposed_axis(geometry: Geometry, axis: int) -> Case | Refusal:
    kernel, stride = geometry.kernel[axis], geometry.stride[axis]
    if any(geometry.padding[axis]):
        return Refusal(f"padding {geometry.padding[axis]} of a transposed convolution crops it")
    if geometry.output_padding and geometry.output_padding[axis]:
        return Refusal("output padding of a transposed convolution adds positions without input")
    if kernel == 1 and stride == 1:
        return Case.POINTWISE
    if geometry.dilation[axis] != 1:
        return Refusal(f"dilation {geometry.dilation[axis]}: windows interleave")
    if geometry.size(axis) == 1:
        return Case.WHOLE
    if kernel == stride:
        return Case.PATCH
    if kernel > stride:
        return Refusal(f"stride {stride} < kernel {kernel}: output windows overlap")
    return Refusal(f"stride {stride} > kernel {kernel}: the output has gaps")
