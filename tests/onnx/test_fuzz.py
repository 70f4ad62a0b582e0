"""A bounded number of mutants; ``python -m tests.fuzz`` runs for as long as it is told."""

from __future__ import annotations

import collections
import logging

import pytest

from tests import fuzz

BATCHES, EACH = 6, 20


@pytest.mark.parametrize("batch", range(BATCHES))
def test_mutants(batch: int) -> None:
    logging.disable(logging.WARNING)
    try:
        outcomes = [fuzz.check(seed) for seed in range(batch * EACH, (batch + 1) * EACH)]
    finally:
        logging.disable(logging.NOTSET)
    assert [o.failure for o in outcomes if o.failure is not None] == []
    kinds = collections.Counter(outcome.kind for outcome in outcomes)
    # A generator whose models nobody runs would test nothing.
    assert kinds["compared"] >= EACH // 10, kinds


def test_the_comparison_sees_a_wrong_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a conversion that swaps two weights' rows, mutants fail."""
    real = fuzz.onebyone.convert

    def wrong(*args: object, **options: object) -> object:
        result = real(*args, **options)  # pyright: ignore
        for value in result.model.graph.initializers.values():
            array = value.const_value.numpy()
            if array.ndim == 4 and array.shape[0] > 1:
                value.const_value = fuzz.ir.tensor(array[::-1].copy(), name=value.name)
        return result

    monkeypatch.setattr(fuzz.onebyone, "convert", wrong, raising=False)
    assert any(fuzz.check(seed).failure for seed in range(8))
