"""`only_if_faster` keeps the faster form; times are made up here, benchmarks measure them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import onebyone
from onebyone.errors import InputError
from onebyone.modules import timing
from onebyone.modules.timing import Timing


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.Dropout(), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 5, 6)
    )


def answer(monkeypatch: pytest.MonkeyPatch, *pairs: tuple[float, float]) -> list[int]:
    """Let the measurements give ``pairs`` of (before, after) in turn, and count them."""
    calls: list[int] = []

    def compare(before: Callable[[], Any], after: Callable[[], Any], _: torch.device) -> Timing:
        before(), after()
        old, new = pairs[len(calls)]
        calls.append(1)
        return Timing((old, old), (new, new))

    monkeypatch.setattr(timing, "compare", compare)
    return calls


def test_the_winner_of_each_layer_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = answer(monkeypatch, (2.0, 1.0), (1.0, 2.0), (3.0, 1.0), (6.0, 4.0))
    model, x = net(), torch.randn(2, 3, 6, 6)
    swapped = onebyone.to_linear(model, only_if_faster=x)
    rows = onebyone.layers(swapped)
    assert [row.swapped for row in rows] == [True, False, True]
    assert [row.timing.kept for row in rows if row.timing] == ["after", "before", "after"]
    assert rows[0].timing and rows[0].timing.before == (2.0, 2.0)
    assert rows[0].timing.after == (1.0, 1.0)
    assert rows[2].case == "whole"
    assert len(calls) == 4
    assert "2000.000 -> 1000.000 ms" in str(rows[0])
    assert torch.allclose(swapped.eval()(x), model.eval()(x), atol=1e-5)


def test_nothing_is_kept_where_the_whole_model_is_slower(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, (2.0, 1.0), (2.0, 1.0), (2.0, 1.0), (6.0, 6.1))
    swapped = onebyone.to_linear(net(), only_if_faster=torch.randn(2, 3, 6, 6))
    rows = onebyone.layers(swapped)
    assert not any(row.swapped for row in rows)
    assert "whole model is not" in str(rows[0])


def test_a_gain_within_the_noise_is_no_gain(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, (1.0, 0.97))
    layer = nn.Conv2d(3, 4, 1)
    assert type(onebyone.to_linear(layer, only_if_faster=torch.randn(1, 3, 4, 4))) is nn.Conv2d


def test_calls_of_a_shared_layer_are_summed_and_unreached_ones_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(4, 4)
            self.unused = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.a(self.a(x))

    answer(monkeypatch, (1.0, 1.5), (3.0, 1.0), (2.0, 1.0))
    swapped = onebyone.to_conv(Model(), only_if_faster={"x": torch.randn(2, 4)})
    rows = onebyone.layers(swapped)
    assert [row.swapped for row in rows] == [True, False]
    assert rows[0].timing and rows[0].timing.before == (4.0, 4.0)
    assert "does not reach" in str(swapped.unused.onebyone_timing.reason)


def test_measuring_leaves_no_trace() -> None:
    model, x = net(), torch.randn(2, 3, 6, 6)
    model[0].register_forward_hook(lambda *_: None)
    model[3].eval()
    modes = [module.training for module in model.modules()]
    running = model[3].running_mean.clone()
    torch.manual_seed(3)
    state = torch.get_rng_state()
    onebyone.to_linear(model, inplace=True, only_if_faster=x)
    assert torch.equal(torch.get_rng_state(), state)
    assert [m.training for m in model.modules() if not list(m.children())][1] is modes[2]
    assert torch.equal(model[3].running_mean, running)
    assert not model[3].training and model.training
    assert len(model[0]._forward_hooks) == 1
    assert not model[0]._forward_pre_hooks


def test_an_example_that_does_not_run() -> None:
    for keyword in ("only_if_faster", "example_input"):
        with pytest.raises(InputError, match="does not run on the example input"):
            onebyone.to_linear(net(), **{keyword: torch.randn(2, 5, 6, 6)})
