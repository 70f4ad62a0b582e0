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
from math import prod


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


@dataclass(frozen=True)
class WeightMap:
    """How the weight of one form is read in another: split axes, permute them, merge axes.

    Pure data, for numpy and torch alike: ``w.reshape(split)``, then the axes in ``order``, then
    ``.reshape(new)``. No element is computed with, so the map and its inverse are exact.

    Attributes:
        old: shape of the weight that is read.
        split: the shape that ``old`` is split into.
        order: order of the axes of ``split``.
        new: shape of the result.
    """

    old: tuple[int, ...]
    split: tuple[int, ...]
    order: tuple[int, ...]
    new: tuple[int, ...]

    @property
    def inverse(self) -> WeightMap:
        """The map that undoes this one."""
        back = tuple(sorted(range(len(self.order)), key=self.order.__getitem__))
        return WeightMap(self.new, tuple(self.split[axis] for axis in self.order), back, self.old)


def fc_weight_map(geometry: Geometry) -> WeightMap:
    """Map the weight of a convolution to the weight ``(out, in)`` of its FC layer.

    A convolution ``(N, C / groups, *kernel)`` becomes ``(N, C / groups * prod(kernel))``: row n
    reads the channels of its own group. A transposed convolution ``(C, N / groups, *kernel)``
    becomes ``(N * prod(kernel), C / groups)``: row (n, position) writes one position of a patch.
    """
    groups, taps = geometry.groups, prod(geometry.kernel)
    reads = geometry.in_channels // groups
    if not geometry.transposed:
        old = (geometry.out_channels, reads, *geometry.kernel)
        return WeightMap(old, old, tuple(range(len(old))), (geometry.out_channels, reads * taps))
    writes = geometry.out_channels // groups
    old = (geometry.in_channels, writes, *geometry.kernel)
    split = (groups, reads, writes * taps)
    return WeightMap(old, split, (0, 2, 1), (geometry.out_channels * taps, reads))


def conv_weight_map(in_features: int, out_features: int, *, transposed: bool = False) -> WeightMap:
    """Map the weight of an FC layer to that of a 1x1 convolution, ``(out, in, 1, 1)``.

    Args:
        in_features: features that the layer reads.
        out_features: features that the layer writes.
        transposed: True where the FC layer keeps its weight as ``(in, out)``, as GPT-2 does.
    """
    new = (out_features, in_features, 1, 1)
    if transposed:
        old = (in_features, out_features)
        return WeightMap(old, old, (1, 0), new)
    old = (out_features, in_features)
    return WeightMap(old, old, (0, 1), new)
