"""PyTorch programs: windows, padding and resizing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch.nn import functional as F  # noqa: N812

from tests.adversary.pairs import Pair
from tests.adversary.programs import Shapes, held, over

KIND = "aten_windows"
IMAGE: Shapes = ((1, 2, 6, 6),)


def pairs() -> Iterator[Pair]:
    """All pairs of the family."""
    yield from _windows()
    yield from _resizing()


def _windows() -> Iterator[Pair]:
    w, b = held(2, 2, 3, 3), held(2)
    yield from over(
        KIND,
        "conv",
        IMAGE,
        lambda x: F.conv2d(x, w, b, padding=1),
        {
            "stride": lambda x: F.conv2d(x, w, b, padding=1, stride=2),
            "dilation": lambda x: F.conv2d(x, w, b, padding=2, dilation=2),
            "bias": lambda x: F.conv2d(x, w, None, padding=1),
            "kernel": lambda x: F.conv2d(x, w.transpose(2, 3), b, padding=1),
            "channels": lambda x: F.conv2d(x, w.transpose(0, 1), b, padding=1),
            "transposed": lambda x: F.conv_transpose2d(x, w, b, padding=1),
        },
        {
            "pad": lambda x: F.conv2d(F.pad(x, (1, 1, 1, 1)), w, b),
            "same": lambda x: F.conv2d(x, w, b, padding="same"),
            "bias_after": lambda x: F.conv2d(x, w, padding=1) + b[:, None, None],
        },
    )
    yield from over(
        KIND,
        "avg_pool",
        IMAGE,
        lambda x: F.avg_pool2d(x, 3, 1, 1),
        {
            "not_counted": lambda x: F.avg_pool2d(x, 3, 1, 1, count_include_pad=False),
            "max": lambda x: F.max_pool2d(x, 3, 1, 1),
            "divisor": lambda x: F.avg_pool2d(x, 3, 1, 1, divisor_override=8),
        },
        {"padded": lambda x: F.avg_pool2d(F.pad(x, (1, 1, 1, 1)), 3, 1)},
    )
    yield from over(
        KIND,
        "max_pool",
        IMAGE,
        lambda x: F.max_pool2d(x, 3, 2, 1),
        {
            "ceil": lambda x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True),
            "stride": lambda x: F.max_pool2d(x, 3, 1, 1)[..., :3, :3],
            "zeros": lambda x: F.max_pool2d(F.pad(x, (1, 1, 1, 1)), 3, 2),
        },
        {"inf": lambda x: F.max_pool2d(F.pad(x, (1, 1, 1, 1), value=float("-inf")), 3, 2)},
    )
    yield from over(
        KIND,
        "adaptive",
        IMAGE,
        lambda x: F.adaptive_avg_pool2d(x, 1),
        {
            "max": lambda x: F.adaptive_max_pool2d(x, 1),
            "sum": lambda x: x.sum((2, 3), keepdim=True),
        },
        {"mean": lambda x: x.mean((2, 3), keepdim=True)},
    )
    for mode in ("constant", "reflect", "replicate", "circular"):
        others = [m for m in ("constant", "reflect", "replicate", "circular") if m > mode]
        yield from over(
            KIND,
            f"pad_{mode}",
            IMAGE,
            lambda x, m=mode: F.pad(x, (1, 2, 0, 1), mode=m),
            {m: lambda x, m=m: F.pad(x, (1, 2, 0, 1), mode=m) for m in others}
            | {"turned": lambda x, m=mode: F.pad(x, (0, 1, 1, 2), mode=m).mT},
        )
    yield from over(
        KIND,
        "unfold",
        IMAGE,
        lambda x: F.unfold(x, 2, stride=2),
        {
            "order": lambda x: F.unfold(x.mT, 2, stride=2),
            "dilation": lambda x: F.unfold(x, 2, stride=2, dilation=2)[..., :4].repeat(1, 1, 3)[
                ..., :9
            ],
        },
        {"moved": lambda x: x.reshape(1, 2, 3, 2, 3, 2).permute(0, 1, 3, 5, 2, 4).reshape(1, 8, 9)},
    )


def _resizing() -> Iterator[Pair]:
    small: Shapes = ((1, 1, 4, 4),)
    yield from over(
        KIND,
        "bilinear",
        small,
        lambda x: F.interpolate(x, scale_factor=2.0, mode="bilinear"),
        {
            "corners": lambda x: F.interpolate(
                x, scale_factor=2.0, mode="bilinear", align_corners=True
            ),
            "nearest": lambda x: F.interpolate(x, scale_factor=2.0, mode="nearest"),
            "bicubic": lambda x: F.interpolate(x, scale_factor=2.0, mode="bicubic"),
        },
        {"size": lambda x: F.interpolate(x, size=(8, 8), mode="bilinear")},
    )
    yield from over(
        KIND,
        "nearest",
        ((1, 1, 5, 5),),
        lambda x: F.interpolate(x, size=(3, 3), mode="nearest"),
        {
            "exact": lambda x: F.interpolate(x, size=(3, 3), mode="nearest-exact"),
            "area": lambda x: F.interpolate(x, size=(3, 3), mode="area"),
        },
    )
    grid: Shapes = ((1, 2, 4, 4), (1, 3, 3, 2))

    def sample(x: Any, g: Any, align_corners: bool = False, **flags: str) -> Any:
        return F.grid_sample(x, g, align_corners=align_corners, **flags)

    yield from over(
        KIND,
        "grid_sample",
        grid,
        sample,
        {
            "corners": lambda x, g: sample(x, g, align_corners=True),
            "nearest": lambda x, g: sample(x, g, mode="nearest"),
            "border": lambda x, g: sample(x, g, padding_mode="border"),
            "reflection": lambda x, g: sample(x, g, padding_mode="reflection"),
            "xy": lambda x, g: sample(x, g.flip(3)),
        },
        ranges={"x1": (-1.5, 1.5)},
    )
