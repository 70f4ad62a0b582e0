"""Which cells of a network's last grid read nothing but the crop: receptive fields by arithmetic.

A fully convolutional network, run over a large image, repeats the result of a crop only where no
window touches padding: at the border of the crop the crop's network reads zeros, and the
large image's network reads pixels. So a cell agrees for certain only if its receptive field lies
inside the crop.

Source: the sizes follow the ``Conv`` and ``MaxPool`` operator schemas of ONNX; the layer tables
follow the papers (VGG: Simonyan and Zisserman 2015; ResNet: He et al. 2016, with the stride of
ResNet-50 in the 3x3 convolutions as torchvision has it) and the deployed CaffeNet (BVLC).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One convolution or pooling, the same along both axes.

    Attributes:
        kernel: window size in cells of its input.
        stride: step between windows.
        padding: cells added at each side.
    """

    kernel: int
    stride: int = 1
    padding: int = 0


@dataclass(frozen=True)
class Field:
    """The receptive fields of a grid: cell ``i`` reads pixels ``[first + i*jump, +extent)``.

    Attributes:
        size: cells along one axis.
        extent: pixels that one cell reads along one axis.
        jump: pixels between neighbouring cells' fields.
        first: first pixel of cell 0, negative where it lies in the padding.
        crop: pixels of the crop along one axis.
    """

    size: int
    extent: int
    jump: int
    first: int
    crop: int

    def span(self, cell: int) -> tuple[int, int]:
        """The pixels ``[begin, end)`` that a cell reads along one axis."""
        begin = self.first + cell * self.jump
        return begin, begin + self.extent

    def inside(self) -> list[bool]:
        """For each cell along one axis: does it read the crop and nothing else?"""
        spans = [self.span(cell) for cell in range(self.size)]
        return [begin >= 0 and end <= self.crop for begin, end in spans]


def field(crop: int, steps: tuple[Step, ...]) -> Field:
    """Follow a chain of windows from a crop of ``crop`` pixels to its last grid.

    Args:
        crop: pixels along one axis.
        steps: the layers in order.

    Returns:
        The receptive fields of the last grid, along one axis.

    Raises:
        ValueError: a layer's window is larger than its padded input.
    """
    size, extent, jump, first = crop, 1, 1, 0
    for step in steps:
        room = size + 2 * step.padding - step.kernel
        if room < 0:
            raise ValueError(f"window {step.kernel} exceeds its padded input of {size} cells")
        size = room // step.stride + 1
        first -= step.padding * jump
        extent += (step.kernel - 1) * jump
        jump *= step.stride
    return Field(size, extent, jump, first, crop)


def _vgg(*convolutions: int) -> tuple[Step, ...]:
    blocks = (((Step(3, 1, 1),) * count + (Step(2, 2),)) for count in convolutions)
    return tuple(step for block in blocks for step in block)


def _resnet(
    block: tuple[Step, ...], strided: tuple[Step, ...], counts: tuple[int, ...]
) -> tuple[Step, ...]:
    # The longest path through the residual blocks: it reads the most.
    steps = [Step(7, 2, 3), Step(3, 2, 1), *block * counts[0]]
    for count in counts[1:]:
        steps += [*strided, *block * (count - 1)]
    return tuple(steps)


_THREE, _HALF, _ONE = Step(3, 1, 1), Step(3, 2, 1), Step(1)

# name -> (crop in pixels, layers up to the grid that the first FC layer or the pooling reads)
NETWORKS: dict[str, tuple[int, tuple[Step, ...]]] = {
    "VGG-16": (224, _vgg(2, 2, 3, 3, 3)),
    "CaffeNet": (
        227,
        (
            Step(11, 4),
            Step(3, 2),
            Step(5, 1, 2),
            Step(3, 2),
            *(Step(3, 1, 1),) * 3,
            Step(3, 2),
        ),
    ),
    "ResNet-18": (224, _resnet((_THREE, _THREE), (_HALF, _THREE), (2, 2, 2, 2))),
    "ResNet-50": (224, _resnet((_ONE, _THREE, _ONE), (_ONE, _HALF, _ONE), (3, 4, 6, 3))),
}


def padding_map(name: str) -> dict[str, object]:
    """The padding map of a network of `NETWORKS`, as plain data for the page.

    Returns:
        ``field`` (one axis), ``inside`` (cell by cell along one axis; a cell of the square grid is
        inside if its row and its column are), ``equal`` and ``cells`` (counts of the square grid).
    """
    crop, steps = NETWORKS[name]
    reach = field(crop, steps)
    inside = reach.inside()
    return {
        "name": name,
        "crop": crop,
        "size": reach.size,
        "extent": reach.extent,
        "jump": reach.jump,
        "first": reach.first,
        "inside": inside,
        "equal": sum(inside) ** 2,
        "cells": reach.size**2,
    }
