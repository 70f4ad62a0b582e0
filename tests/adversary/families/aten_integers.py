"""PyTorch programs: integers, tables and casts."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.nn import functional as F  # noqa: N812

from tests.adversary.pairs import Pair
from tests.adversary.programs import ONE, held, over

KIND = "aten_integers"
IDS, INT = ("int64",), ("int64",)


def pairs() -> Iterator[Pair]:
    """All pairs of the family."""
    yield from _integers()


def _integers() -> Iterator[Pair]:
    table, ids = held(10, 4), ((2, 6),)
    changed = torch.cat([table[:9], table[9:] * 2])
    valid = {"x0": (0.0, 9.0)}
    yield from over(
        KIND,
        "embedding",
        ids,
        lambda i: F.embedding(i, table),
        {
            "clip01": lambda i: F.embedding(i.clamp(0, 1), table),
            "square": lambda i: F.embedding((i * i) % 10, table),
            "one_seven": lambda i: F.embedding(torch.where(i == 7, 6, i), table),
            "clip8": lambda i: F.embedding(i.clamp(max=8), table),
            "row": lambda i: F.embedding(i, changed),
        },
        {
            "index": lambda i: table[i],
            "select": lambda i: torch.index_select(table, 0, i.reshape(-1)).reshape(2, 6, 4),
            "padding_idx": lambda i: F.embedding(i, table, padding_idx=3),
        },
        dtypes=IDS,
        ranges=valid,
    )
    for pad, other in ((3, 5), (0, 1), (50256, 50257)):
        yield from over(
            KIND,
            f"pad{pad}",
            ids,
            lambda i, p=pad: torch.where(i == p, -10000.0, 0.0),
            {
                "id": lambda i, p=other: torch.where(i == p, -10000.0, 0.0),
                "fill": lambda i, p=pad: torch.where(i == p, -100.0, 0.0),
                "le": lambda i, p=pad: torch.where(i <= p, -10000.0, 0.0),
            },
            {"ne": lambda i, p=pad: torch.where(i != p, 0.0, -10000.0)},
            dtypes=IDS,
            feeds=[{"x0": torch.tensor([[0, 1, 3, 5, 50256, 50257]] * 2).numpy()}],
        )
    small = {"x0": (-1000.0, 1000.0)}
    yield from over(
        KIND,
        "int_div",
        ids,
        lambda i: i // 3,
        {"trunc": lambda i: torch.div(i, 3, rounding_mode="trunc"), "shift": lambda i: i >> 1},
        {"floor": lambda i: torch.div(i, 3, rounding_mode="floor")},
        dtypes=INT,
        ranges=small,
    )
    yield from over(
        KIND,
        "int_mod",
        ids,
        lambda i: i % 7,
        {"fmod": lambda i: torch.fmod(i, 7), "abs": lambda i: i.abs() % 7},
        {"twice": lambda i: (i % 7) % 7},
        dtypes=INT,
        ranges=small,
    )
    yield from over(
        KIND,
        "wrap32",
        ids,
        lambda i: (i.to(torch.int32) * 3).to(torch.int64),
        {"wide": lambda i: i * 3, "wide_after": lambda i: i.to(torch.int32).to(torch.int64) * 3},
        dtypes=INT,
    )
    for kind in (torch.int8, torch.uint8, torch.int32, torch.float32, torch.float64, torch.bool):
        name = str(kind).split(".")[1]
        yield from over(
            KIND,
            f"through_{name}",
            ids,
            lambda i: i + 0,
            {"back": lambda i, k=kind: i.to(k).to(torch.int64)},
            dtypes=INT,
            ranges={"x0": (-(2**62), 2**62)},
        )
    yield from over(
        KIND,
        "one_hot",
        ids,
        lambda i: F.one_hot(i, 10).float(),
        {"eleven": lambda i: F.one_hot(i, 11)[..., 1:].float()},
        dtypes=IDS,
        ranges=valid,
    )
    yield from over(
        KIND,
        "bits",
        ids,
        lambda i: i & 12,
        {"or": lambda i: i | 12, "xor": lambda i: i ^ 12, "four": lambda i: i & 4},
        dtypes=INT,
    )
    yield from over(
        KIND,
        "bucketize",
        ids,
        lambda i: torch.bucketize(i, torch.tensor([0, 5, 9])),
        {"right": lambda i: torch.bucketize(i, torch.tensor([0, 5, 9]), right=True)},
        dtypes=INT,
    )
    for kind in ("float16", "bfloat16"):
        to = getattr(torch, kind)
        yield from over(
            KIND, f"short_{kind}", ONE, lambda x: x * 1, {"back": lambda x, k=to: x.to(k).float()}
        )
    yield from over(
        KIND, "double", ONE, lambda x: x * 1, {}, {"back": lambda x: x.double().float()}
    )
