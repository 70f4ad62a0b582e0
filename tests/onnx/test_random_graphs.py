"""A bounded number of random graphs; many more by ``python -m tests.onnx.random_graphs``."""

from __future__ import annotations

import collections

import numpy as np
import pytest

import onebyone
from tests.onnx.graph_check import TARGETS, check
from tests.onnx.random_blocks import attention, biased
from tests.onnx.random_builder import Builder, Val
from tests.onnx.random_graphs import finished, random_case
from tests.onnx.random_moves import norm

SEEDS = 72
BATCHES = 6
# A second conversion may pick another of two plans that cost the same.
IGNORED = ("renamed",)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_random_graphs(batch: int) -> None:
    stats: collections.Counter[str] = collections.Counter()
    for seed in range(batch, SEEDS, BATCHES):
        case = random_case(seed)
        for to in TARGETS:
            problem = check(case, to, stats)
            assert problem is None or problem.kind in IGNORED, (seed, to, problem)
    # Guards against a generator that makes nothing, and a hash that says nothing.
    assert stats["checked"] > 2 * stats["invalid"]
    assert stats["converted"] > 5
    assert stats["hash equal"] > 4 * stats["hash differs"]


def transformer(seed: int) -> Builder:
    """Attention and a feed-forward part, each with a norm and a residual."""
    b = Builder(np.random.default_rng(seed), 18, "float32", (8,))
    x = b.input((int(b.pick([1, 2])), 6, 8))
    for _ in range(2):
        a = None
        while a is None:
            a = attention(b, x)
        x = Val(b.one("Add", [a.name, x.name]), x.shape, "f", 1e9, False)
        b.pool.append(x)
        y = norm(b, x)
        assert y is not None
        up = Val(b.one("MatMul", [y.name, b.weight((8, 16))]), (*x.shape[:2], 16), "f", 1e9, False)
        up = biased(b, up, 16, 2)
        down = b.one("MatMul", [b.one("Sigmoid", [up.name]), b.weight((16, 8))])
        x = Val(b.one("Add", [down, x.name]), x.shape, "f", 1e9, False)
        b.pool.append(x)
    b.pool[:] = [x]
    b.weights.clear()
    return b


@pytest.mark.parametrize("seed", range(8))
def test_transformers_do_not_gain_moves(seed: int) -> None:
    report = onebyone.convert(finished(transformer(seed)), "conv").report
    assert report.after is not None
    before = report.before.transposes + report.before.reshapes
    after = report.after.transposes + report.after.reshapes
    assert after <= before
    assert report.count("converted") >= 8
