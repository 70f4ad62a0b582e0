"""PyTorch programs: reductions, norms and activations."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.nn import functional as F  # noqa: N812

from tests.adversary.pairs import Pair
from tests.adversary.programs import ONE, Shapes, held, over

KIND = "aten_norms"


def pairs() -> Iterator[Pair]:
    """All pairs of the family."""
    yield from _reductions()
    yield from _norms()


def _reductions() -> Iterator[Pair]:
    square: Shapes = ((4, 4),)
    for name in ("sum", "mean", "amax", "amin", "prod", "logsumexp"):
        others = {
            "sum": "mean",
            "mean": "sum",
            "amax": "amin",
            "amin": "amax",
            "prod": "sum",
            "logsumexp": "amax",
        }
        yield from over(
            KIND,
            name,
            square,
            lambda x, n=name: getattr(x, n)(1),
            {
                "dim": lambda x, n=name: getattr(x, n)(0),
                "other": lambda x, n=others[name]: getattr(x, n)(1),
            },
            {
                "negative": lambda x, n=name: getattr(x, n)(-1),
                "kept": lambda x, n=name: getattr(x, n)(1, keepdim=True).squeeze(1),
            },
            wide=False,
        )
    yield from over(
        KIND,
        "var",
        square,
        lambda x: x.var(1),
        {
            "biased": lambda x: x.var(1, unbiased=False),
            "std": lambda x: x.std(1),
            "dim": lambda x: x.var(0),
        },
        {
            "correction": lambda x: torch.var(x, 1, correction=1),
            "spelled": lambda x: ((x - x.mean(1, keepdim=True)) ** 2).sum(1) / 3,
        },
    )
    yield from over(
        KIND,
        "cumsum",
        square,
        lambda x: x.cumsum(1),
        {
            "dim": lambda x: x.cumsum(0),
            "back": lambda x: x.flip(1).cumsum(1).flip(1),
            "exclusive": lambda x: x.cumsum(1) - x,
        },
        {"negative": lambda x: x.cumsum(-1)},
    )
    for p, other in ((1, 2), (2, 1), (3, 2), (float("inf"), 2)):
        yield from over(
            KIND,
            f"norm{p}",
            square,
            lambda x, p=p: torch.linalg.vector_norm(x, p, 1),
            {
                "p": lambda x, p=other: torch.linalg.vector_norm(x, p, 1),
                "dim": lambda x, p=p: torch.linalg.vector_norm(x, p, 0),
            },
            wide=False,
        )
    yield from over(
        KIND,
        "einsum",
        ((4, 4), (4, 4)),
        lambda x, z: torch.einsum("ij,kj->ik", x, z),
        {
            "not_turned": lambda x, z: torch.einsum("ij,jk->ik", x, z),
            "out": lambda x, z: torch.einsum("ij,kj->ki", x, z),
        },
        {"matmul": lambda x, z: x @ z.t()},
    )


def _norms() -> Iterator[Pair]:
    yield from over(
        KIND,
        "softmax",
        ((3, 3),),
        lambda x: x.softmax(1),
        {
            "dim": lambda x: x.softmax(0),
            "log": lambda x: x.log_softmax(1),
            "sigmoid": lambda x: x.sigmoid(),
        },
        {"negative": lambda x: F.softmax(x, -1)},
    )
    yield from over(
        KIND,
        "layer_norm",
        ((3, 4),),
        lambda x: F.layer_norm(x, (4,), held(4), held(4, at=1), 1e-5),
        {
            "eps": lambda x: F.layer_norm(x, (4,), held(4), held(4, at=1), 1e-2),
            "bias": lambda x: F.layer_norm(x, (4,), held(4), None, 1e-5),
            "rms": lambda x: F.rms_norm(x, (4,), held(4), 1e-5) + held(4, at=1),
        },
        {"after": lambda x: F.layer_norm(x, (4,), None, None, 1e-5) * held(4) + held(4, at=1)},
    )
    yield from over(
        KIND,
        "group_norm",
        ((2, 4, 3),),
        lambda x: F.group_norm(x, 2, held(4), held(4, at=1), 0.1),
        {
            "groups": lambda x: F.group_norm(x, 4, held(4), held(4, at=1), 0.1),
            "eps": lambda x: F.group_norm(x, 2, held(4), held(4, at=1), 0.2),
            "one": lambda x: F.group_norm(x, 1, held(4), held(4, at=1), 0.1),
        },
    )
    yield from over(
        KIND,
        "gelu",
        ONE,
        lambda x: F.gelu(x),
        {"tanh": lambda x: F.gelu(x, approximate="tanh"), "silu": lambda x: F.silu(x)},
        {"erf": lambda x: x * 0.5 * (1 + torch.erf(x * 0.7071067811865476))},
        wide=False,
    )
    for name, first, second in (
        ("leaky", lambda x: F.leaky_relu(x, 0.1), lambda x: F.leaky_relu(x, 0.2)),
        ("elu", lambda x: F.elu(x, 1.0), lambda x: F.elu(x, 1.2)),
        ("softplus", lambda x: F.softplus(x, 1.0), lambda x: F.softplus(x, 1.5)),
        ("threshold", lambda x: F.threshold(x, 0.5, 0.0), lambda x: F.threshold(x, 0.5, 0.5)),
        ("hardshrink", lambda x: F.hardshrink(x, 0.5), lambda x: F.softshrink(x, 0.5)),
        ("hardtanh", lambda x: F.hardtanh(x, -1, 1), lambda x: F.hardtanh(x, -1, 1.5)),
        ("celu", lambda x: F.celu(x, 1.0), lambda x: F.celu(x, 2.0)),
        ("glu", lambda x: F.glu(x, 1), lambda x: F.glu(x.flip(1), 1)),
    ):
        yield from over(KIND, name, ONE, first, {"changed": second}, wide=False)
    yield from over(
        KIND,
        "relu_scaled",
        ONE,
        lambda x: 2 * torch.relu(x),
        {"negative": lambda x: torch.relu(-2 * x)},
        {"inside": lambda x: torch.relu(2 * x)},
    )
    yield from over(
        KIND,
        "hardswish",
        ONE,
        lambda x: F.hardswish(x),
        {"silu": lambda x: F.silu(x)},
        {"spelled": lambda x: x * F.relu6(x + 3) / 6, "gate": lambda x: x * F.hardsigmoid(x)},
    )
