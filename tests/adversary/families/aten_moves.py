"""PyTorch programs: moves and indexing."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.nn import functional as F  # noqa: N812

from tests.adversary.pairs import Pair
from tests.adversary.programs import ONE, TWO, Shapes, over

KIND = "aten_moves"


def pairs() -> Iterator[Pair]:
    """All pairs of the family."""
    yield from _moves()
    yield from _indexing()


def _moves() -> Iterator[Pair]:
    square: Shapes = ((4, 4),)
    for shift in (1, 2):
        yield from over(
            KIND,
            f"roll{shift}",
            square,
            lambda x, s=shift: torch.roll(x, s, 1),
            {
                "back": lambda x, s=shift: torch.roll(x, -s if s != 2 else 1, 1),
                "dim": lambda x, s=shift: torch.roll(x, s, 0),
                "flat": lambda x, s=shift: torch.roll(x, s),
            },
            {
                "cat": lambda x, s=shift: torch.cat([x[:, -s:], x[:, :-s]], 1),
                "around": lambda x, s=shift: torch.roll(x, s - 4, 1),
            },
        )
    yield from over(
        KIND,
        "flip",
        square,
        lambda x: x.flip(0),
        {
            "dim": lambda x: x.flip(1),
            "both": lambda x: x.flip(0, 1),
            "rot": lambda x: torch.rot90(x),
        },
        {"negative": lambda x: x.flip(-2), "rows": lambda x: x[[3, 2, 1, 0]]},
    )
    yield from over(
        KIND,
        "transpose",
        square,
        lambda x: x.t(),
        {"view": lambda x: x.reshape(4, 4) * 1},
        {"permute": lambda x: x.permute(1, 0), "mT": lambda x: x.mT},
    )
    cube: Shapes = ((2, 3, 4),)
    yield from over(
        KIND,
        "view",
        cube,
        lambda x: x.transpose(1, 2).reshape(2, 12),
        {
            "not_moved": lambda x: x.reshape(2, 12),
            "batch": lambda x: x.permute(1, 0, 2).reshape(2, 12),
        },
        {"flatten": lambda x: x.permute(0, 2, 1).flatten(1)},
    )
    yield from over(
        KIND,
        "cat",
        TWO,
        lambda x, z: torch.cat([x, z], 1),
        {
            "order": lambda x, z: torch.cat([z, x], 1),
            "interleaved": lambda x, z: torch.stack([x, z], 2).reshape(3, 8),
        },
        {"hstack": lambda x, z: torch.hstack([x, z])},
    )
    yield from over(
        KIND,
        "repeat",
        ONE,
        lambda x: x.repeat(1, 2),
        {
            "interleave": lambda x: x.repeat_interleave(2, 1),
            "rows": lambda x: x.repeat(2, 1).reshape(3, 8),
        },
        {"cat": lambda x: torch.cat([x, x], 1), "tile": lambda x: torch.tile(x, (1, 2))},
    )
    yield from over(
        KIND,
        "slices",
        ((6, 4),),
        lambda x: x[1:5:2],
        {"start": lambda x: x[0:4:2], "step": lambda x: x[1:3], "end": lambda x: x[3:6:2]},
        {"negative": lambda x: x[-5:-1:2], "rows": lambda x: x[[1, 3]]},
    )
    yield from over(
        KIND,
        "split",
        ((4, 6),),
        lambda x: torch.split(x, [2, 4], 1)[1],
        {
            "sizes": lambda x: torch.split(x, [4, 2], 1)[0],
            "chunk": lambda x: torch.cat(torch.chunk(x, 3, 1)[:2], 1),
        },
        {"narrow": lambda x: x.narrow(1, 2, 4), "slice": lambda x: x[:, 2:]},
    )
    yield from over(
        KIND,
        "pixel_shuffle",
        ((1, 8, 2, 2),),
        lambda x: F.pixel_shuffle(x, 2),
        {
            "dcr": lambda x: (
                x.reshape(1, 2, 2, 2, 2, 2).permute(0, 3, 4, 1, 5, 2).reshape(1, 2, 4, 4)
            )
        },
        {
            "crd": lambda x: (
                x.reshape(1, 2, 2, 2, 2, 2).permute(0, 1, 4, 2, 5, 3).reshape(1, 2, 4, 4)
            )
        },
    )
    yield from over(
        KIND,
        "tril",
        square,
        lambda x: x.tril(),
        {"k": lambda x: x.tril(1), "triu": lambda x: x.triu()},
        {
            "mask": lambda x: x * torch.ones(4, 4).tril(),
            "rest": lambda x: torch.where(torch.ones(4, 4, dtype=torch.bool).tril(), x, 0.0),
        },
    )
    yield from over(
        KIND,
        "diagonal",
        square,
        lambda x: x.diagonal(),
        {"offset": lambda x: F.pad(x.diagonal(1), (0, 1)), "anti": lambda x: x.flip(1).diagonal()},
        {"einsum": lambda x: torch.einsum("ii->i", x)},
    )


def _indexing() -> Iterator[Pair]:
    wide: Shapes = ((4, 4), (4, 4))
    kinds, limits = ("float32", "int64"), {"x1": (0.0, 3.0)}
    yield from over(
        KIND,
        "gather",
        wide,
        lambda x, i: x.gather(1, i),
        {"dim": lambda x, i: x.gather(0, i), "clip": lambda x, i: x.gather(1, i.clamp(0, 2))},
        {
            "along": lambda x, i: torch.take_along_dim(x, i, 1),
            "turned": lambda x, i: x.t().gather(0, i.t()).t(),
        },
        dtypes=kinds,
        ranges=limits,
    )
    yield from over(
        KIND,
        "scatter_add",
        wide,
        lambda x, i: torch.zeros(4, 4).scatter_add(1, i, x),
        {
            "dim": lambda x, i: torch.zeros(4, 4).scatter_add(0, i, x),
            "amax": lambda x, i: torch.zeros(4, 4).scatter_reduce(1, i, x, "amax"),
            "ones": lambda x, i: torch.ones(4, 4).scatter_add(1, i, x),
        },
        dtypes=kinds,
        ranges=limits,
    )
    rows: Shapes = ((4, 4), (3,))
    yield from over(
        KIND,
        "index_select",
        rows,
        lambda x, i: x.index_select(0, i),
        {"dim": lambda x, i: x.index_select(1, i).t()},
        {"index": lambda x, i: x[i], "gather": lambda x, i: x.gather(0, i[:, None].expand(3, 4))},
        dtypes=kinds,
        ranges=limits,
    )
    yield from over(
        KIND,
        "index_put",
        rows,
        lambda x, i: x.index_put((i,), torch.ones(3, 4), accumulate=True),
        {
            "replace": lambda x, i: x.index_put((i,), torch.ones(3, 4)),
            "twice": lambda x, i: x.index_put((i,), 2 * torch.ones(3, 4), accumulate=True),
        },
        {},
        dtypes=kinds,
        ranges=limits,
    )
    yield from over(
        KIND,
        "two_indices",
        ((4, 4), (3,), (3,)),
        lambda x, i, j: x[i, j],
        {"turned": lambda x, i, j: x[j, i], "rows": lambda x, i, j: x[i, i]},
        dtypes=("float32", "int64", "int64"),
        ranges={"x1": (0.0, 3.0), "x2": (0.0, 3.0)},
    )
    yield from over(
        KIND,
        "masked",
        ((3, 4), (3, 4)),
        lambda x, m: x.masked_fill(m, 0.0),
        {
            "not": lambda x, m: x.masked_fill(~m, 0.0),
            "fill": lambda x, m: x.masked_fill(m, 1.0),
            "never": lambda x, m: x * 1,
        },
        {"where": lambda x, m: torch.where(m, 0.0, x)},
        dtypes=("float32", "bool"),
    )
