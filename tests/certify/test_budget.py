"""One budget of time and memory, and whatever a strange file does is an answer."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest

import onebyone
from onebyone.certify import structure, weights
from onebyone.certify.budget import within
from onebyone.certify.certificate import Verdict
from onebyone.kernels.errors import OverBudgetError
from tests.certify.models import model

ENDLESS = """
    going = Constant <value = bool {1}> ()
    y = Loop (, going, x) <body = body (int64 i, bool c, float[3] s) => (bool d, float[3] t) {
        d = Identity (c)
        t = Tanh (s)
    }>
"""


def test_what_takes_too_long_is_stopped_and_what_does_not_is_left_alone() -> None:
    def endless() -> None:
        for _ in itertools.count():
            try:
                time.sleep(0.001)
            except Exception:  # a layer that takes what it does not know for its own
                continue

    with pytest.raises(OverBudgetError):
        within(time.monotonic() + 0.2, endless)
    assert within(time.monotonic() + 60, lambda: 7) == 7
    with pytest.raises(OverBudgetError):
        within(time.monotonic() - 1, lambda: 7)
    with pytest.raises(KeyError):
        within(time.monotonic() + 60, lambda: {}["missing"])


def test_an_endless_loop_is_undecided() -> None:
    signature = "(float[3] x) => (float[3] y)"
    proto = model(signature, ENDLESS)
    certificate = onebyone.verify(proto, proto, seconds=4)
    for name in ("field", "rounding"):
        assert certificate[name].verdict is Verdict.UNDECIDED
        assert "budget" in certificate[name].summary or "longer" in certificate[name].summary
    # The next question is answered.
    one = model(signature, "y = Tanh (x)")
    assert onebyone.verify(one, one)["rounding"].verdict is Verdict.PROVED


def test_a_small_file_with_a_large_tensor_is_undecided() -> None:
    proto = model(
        "(float[1] x) => (float y)",
        "e = Expand (x, s) r = Relu (e) y = ReduceMax <keepdims = 0> (r)",
        s=np.array([1 << 30]),
    )  # fmt: skip
    certificate = onebyone.verify(proto, proto, memory=10**9, seconds=60)
    for name in ("field", "rounding"):
        assert certificate[name].verdict is Verdict.UNDECIDED
    assert "memory" in certificate["field"].summary


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (RecursionError("deep"), "nested"),
        (MemoryError(), "memory"),
        (KeyError("odd"), "KeyError: 'odd'; please report"),
    ],
)
def test_a_layer_that_fails_stops_no_other(
    monkeypatch: pytest.MonkeyPatch, error: Exception, text: str
) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(structure, "check", fails)
    monkeypatch.setattr(weights, "check", fails)
    one = model("(float[2, 3] x) => (float[2, 3] y)", "y = Relu (x)")
    certificate = onebyone.verify(one, one)
    for name in ("weights", "structure"):
        assert text in certificate[name].summary
    assert certificate["rounding"].verdict is Verdict.PROVED


def test_the_seed_is_new_each_time_and_repeats_a_run() -> None:
    one = model("(float[2, 3] x) => (float[2, 3] y)", "y = Sin (x)")
    seeds = {onebyone.verify(one, one).seed for _ in range(3)}
    assert len(seeds) == 3
    first, again = (onebyone.verify(one, one, seed=11) for _ in range(2))
    assert first.seed == again.seed == 11
    assert first["rounding"].evidence == again["rounding"].evidence
    other = onebyone.verify(one, one, seed=12)
    assert first["rounding"].evidence["outputs"] != other["rounding"].evidence["outputs"]


def test_progress_names_the_layer_and_what_is_left() -> None:
    told: list[str] = []
    one = model("(float[2, 3] x) => (float[2, 3] y)", "y = Relu (x)")
    onebyone.verify(one, one, seconds=50, progress=told.append)
    assert told[0].startswith("weights, then structure, field, rounding; ")
    assert all(text.endswith(" s left") for text in told)
