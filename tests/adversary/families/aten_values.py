"""PyTorch programs: comparisons, choices and arithmetic."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.nn import functional as F  # noqa: N812

from tests.adversary.pairs import Pair, weight
from tests.adversary.programs import ONE, TWO, held, over

KIND = "aten_values"


def pairs() -> Iterator[Pair]:
    """All pairs of the family."""
    yield from _comparisons()
    yield from _chosen()
    yield from _arithmetic()


def _comparisons() -> Iterator[Pair]:
    yield from over(
        KIND,
        "where",
        TWO,
        lambda x, z: torch.where(x > z, x, -z),
        {
            "loose": lambda x, z: torch.where(x >= z, x, -z),
            "turned": lambda x, z: torch.where(x > z, -z, x),
        },
        {
            "flipped": lambda x, z: torch.where(z < x, x, -z),
            "opposite": lambda x, z: torch.where(x <= z, -z, x),
            "not": lambda x, z: torch.where(~(x > z), -z, x),
        },
    )
    yield from over(
        KIND,
        "gt_relu",
        ONE,
        lambda x: torch.where(torch.relu(x + 50) > 0, x, 0.25),
        {"ge": lambda x: torch.where(torch.relu(x + 50) >= 0, x, 0.25)},
        {"not_le": lambda x: torch.where(torch.relu(x + 50) <= 0, 0.25, x)},
    )
    yield from over(
        KIND,
        "eq0",
        ONE,
        lambda x: torch.where(x == 0, -10000.0, x),
        {"fill": lambda x: torch.where(x == 0, -5.0, x), "gone": lambda x: x + 0},
        {
            "masked_fill": lambda x: x.masked_fill(x == 0, -10000.0),
            "ne": lambda x: torch.where(x != 0, x, -10000.0),
        },
    )
    yield from over(
        KIND,
        "floor_lt",
        ONE,
        lambda x: torch.where(torch.floor(x) < 64, x, 0.0),
        {"le": lambda x: torch.where(torch.floor(x) <= 64, x, 0.0)},
        near=(64, 65),
    )
    yield from over(
        KIND,
        "clamp",
        ONE,
        lambda x: torch.clamp(x, 0, 6),
        {
            "high": lambda x: torch.clamp(x, 0, 6.5),
            "low": lambda x: torch.clamp(x, -1, 6),
            "open": lambda x: torch.clamp(x, min=0),
        },
        {
            "hardtanh": lambda x: F.hardtanh(x, 0, 6),
            "relu6": lambda x: F.relu6(x),
            "relu_min": lambda x: torch.relu(x).clamp(max=6),
        },
    )
    yield from over(
        KIND,
        "any",
        ((4, 5),),
        lambda x: (x > 1).any(0).float(),
        {
            "all": lambda x: (x > 1).all(0).float(),
            "ge": lambda x: (x >= 1).any(0).float(),
            "dim": lambda x: (x > 1).any(1)[:1].expand(5).float(),
        },
    )
    yield from over(
        KIND,
        "scalar",
        ONE,
        lambda x: torch.where(x.sum() > -501, x, x.exp()),
        {"else": lambda x: torch.where(x.sum() > -501, x, x.tanh()), "always": lambda x: x * 1},
        wide=False,
        feeds=[{"x0": weight((3, 4)) - 60}],
    )
    yield from over(
        KIND,
        "bools",
        ((3, 4), (3, 4)),
        lambda a, b: (a & b).float(),
        {"or": lambda a, b: (a | b).float(), "xor": lambda a, b: (a ^ b).float()},
        {"not_or": lambda a, b: (~(~a | ~b)).float()},
        dtypes=("bool", "bool"),
    )
    yield from over(
        KIND,
        "heaviside",
        ONE,
        lambda x: (x > 0).float(),
        {"half": lambda x: torch.heaviside(x, torch.tensor(0.5)), "sign": lambda x: torch.sign(x)},
    )
    yield from over(
        KIND,
        "cond",
        ONE,
        lambda x: torch.cond(x.sum() > 0, torch.sin, torch.cos, (x,)),
        {
            "else": lambda x: torch.cond(x.sum() > 0, torch.sin, torch.tanh, (x,)),
            "bound": lambda x: torch.cond(x.sum() > 1, torch.sin, torch.cos, (x,)),
            "swapped": lambda x: torch.cond(x.sum() > 0, torch.cos, torch.sin, (x,)),
        },
    )


def _chosen() -> Iterator[Pair]:
    yield from over(
        KIND,
        "argmax",
        ((3, 6),),
        lambda x: x.argmax(1),
        {
            "min": lambda x: x.argmin(1),
            "abs": lambda x: x.abs().argmax(1),
            "last": lambda x: 5 - x.flip(1).argmax(1),
            "first_dim": lambda x: x[:, :3].argmax(0),
        },
        {"max": lambda x: x.max(1).indices},
    )
    yield from over(
        KIND,
        "argmax_relu",
        ((3, 6),),
        lambda x: x.clamp(0, 6).argmax(1),
        {"last": lambda x: 5 - x.clamp(0, 6).flip(1).argmax(1)},
    )
    yield from over(
        KIND,
        "topk",
        ((3, 6),),
        lambda x: x.topk(2, 1).values,
        {
            "smallest": lambda x: x.topk(2, 1, largest=False).values,
            "one": lambda x: x.max(1, keepdim=True).values.expand(3, 2),
        },
        {"sort": lambda x: x.sort(1, descending=True).values[:, :2]},
    )
    yield from over(
        KIND,
        "sort",
        ((3, 6),),
        lambda x: x.sort(1).values,
        {
            "descending": lambda x: x.sort(1, descending=True).values,
            "dim": lambda x: x.sort(0).values,
        },
    )
    yield from over(
        KIND,
        "maximum",
        TWO,
        lambda x, z: torch.maximum(x, z),
        {"minimum": lambda x, z: torch.minimum(x, z)},
        {"turned": lambda x, z: torch.maximum(z, x)},
    )


def _arithmetic() -> Iterator[Pair]:
    for mode in ("floor", "trunc", None):
        others = {str(m): m for m in ("floor", "trunc", None) if m != mode}
        yield from over(
            KIND,
            f"div_{mode}",
            ONE,
            lambda x, mode=mode: torch.div(x, 3, rounding_mode=mode),
            {k: lambda x, m=m: torch.div(x, 3, rounding_mode=m) for k, m in others.items()},
        )
    yield from over(
        KIND,
        "remainder",
        ONE,
        lambda x: torch.remainder(x, 3),
        {"fmod": lambda x: torch.fmod(x, 3), "abs": lambda x: torch.remainder(x.abs(), 3)},
        {"operator": lambda x: x % 3},
    )
    yield from over(
        KIND,
        "round",
        ONE,
        lambda x: torch.round(x),
        {
            "half_up": lambda x: torch.floor(x + 0.5),
            "trunc": lambda x: torch.trunc(x),
            "decimals": lambda x: torch.round(x, decimals=1),
            "floor": lambda x: torch.floor(x),
        },
    )
    yield from over(
        KIND,
        "trunc",
        ONE,
        lambda x: torch.trunc(x),
        {"floor": lambda x: torch.floor(x), "frac": lambda x: torch.frac(x)},
        {"fix": lambda x: torch.fix(x)},
    )
    yield from over(
        KIND,
        "sub_alpha",
        TWO,
        lambda x, z: torch.sub(x, z, alpha=2),
        {
            "add": lambda x, z: torch.add(x, z, alpha=2),
            "one": lambda x, z: x - z,
            "rsub": lambda x, z: torch.rsub(x, z, alpha=2),
        },
        {"mul": lambda x, z: x - 2 * z},
    )
    yield from over(
        KIND,
        "pow",
        ONE,
        lambda x: x.pow(2),
        {
            "three": lambda x: x.pow(3),
            "one": lambda x: x.pow(1),
            "base": lambda x: torch.pow(2.0, x.clamp(-4, 4)),
        },
        {"mul": lambda x: x * x, "square": lambda x: torch.square(x)},
        wide=False,
    )
    yield from over(
        KIND,
        "atan2",
        TWO,
        lambda x, z: torch.atan2(x, z),
        {"turned": lambda x, z: torch.atan2(z, x), "atan": lambda x, z: torch.atan(x / (z + 1))},
    )
    yield from over(
        KIND,
        "addmm",
        ((4, 4), (4, 4)),
        lambda x, z: torch.addmm(held(4), x, z, beta=0.5, alpha=2),
        {
            "beta": lambda x, z: torch.addmm(held(4), x, z, beta=1, alpha=2),
            "alpha": lambda x, z: torch.addmm(held(4), x, z, beta=0.5, alpha=1),
            "order": lambda x, z: torch.addmm(held(4), z, x, beta=0.5, alpha=2),
            "transposed": lambda x, z: torch.addmm(held(4), x, z.t(), beta=0.5, alpha=2),
        },
        {"spelled": lambda x, z: 0.5 * held(4) + 2 * (x @ z)},
    )
    for scale in (1e-3, 1.0):
        yield from over(
            KIND,
            f"nan_to_num{scale}",
            ONE,
            lambda x, s=scale: torch.nan_to_num(torch.sqrt(x), nan=s),
            {
                "other": lambda x, s=scale: torch.nan_to_num(torch.sqrt(x), nan=2 * s),
                "left": lambda x: torch.sqrt(x),
            },
        )
