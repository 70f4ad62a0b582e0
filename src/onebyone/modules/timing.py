"""Time both forms of a layer on the inputs that an example brings, and keep the faster."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from onebyone.modules.census import Place
from onebyone.modules.example import call, quiet, watch

_BUDGET = 0.05  # seconds of measuring for one layer, beside the warm-up
_ROUNDS = (5, 25)
# A swap has to gain more than the noise of a shared machine between two equal programs.
_GAIN = 0.95


@dataclass(frozen=True)
class Timing:
    """Seconds of one forward pass in evaluation mode, summed over the calls of the example.

    Attributes:
        before: (minimum, median) of the form that the layer had.
        after: (minimum, median) of the form that it would get.
        kept: ``after`` where the swap was kept, else ``before``.
        reason: why, in words.
    """

    before: tuple[float, float]
    after: tuple[float, float]
    kept: str = "before"
    reason: str = ""

    @property
    def faster(self) -> bool:
        """Whether the swap gains by the minimum and by the median."""
        return all(b < _GAIN * a for a, b in zip(self.before, self.after, strict=True))


def keep_faster(
    model: nn.Module, swaps: Sequence[tuple[Place, nn.Module]], example: Any
) -> list[tuple[Place, nn.Module]]:
    """Keep the swaps that are faster on the example, none at all if the whole model is not.

    Both times are left on each layer, in the attribute ``onebyone_timing``.
    """
    partner = {id(place.module): swapped for place, swapped in swaps}
    timings: dict[int, Timing] = {}

    def seen(module: nn.Module, x: Tensor) -> None:
        # `forward` itself: the hooks of a layer must not run more often than it is called.
        old, new = module, partner[id(module)]
        measured = compare(lambda: old.forward(x), lambda: new.forward(x), x.device)
        past = timings.get(id(module), Timing((0.0, 0.0), (0.0, 0.0)))
        timings[id(module)] = Timing(
            _add(past.before, measured.before), _add(past.after, measured.after)
        )

    watch(model, [place.module for place, _ in swaps], example, seen)
    kept: list[tuple[Place, nn.Module]] = []
    for place, swapped in swaps:
        timing = timings.get(id(place.module))
        if timing is None:
            reason = "the example does not reach it"
            timing = Timing((0.0, 0.0), (0.0, 0.0))
        elif timing.faster:
            kept.append((place, swapped))
            timing, reason = replace(timing, kept="after"), "faster on the example"
        else:
            reason = "not faster on the example"
        _note(place, swapped, replace(timing, reason=reason))
    if kept and not _whole_is_faster(model, kept, example):
        for place, swapped in kept:
            _note(
                place,
                swapped,
                replace(
                    timings[id(place.module)],
                    kept="before",
                    reason="faster by itself, the whole model is not",
                ),
            )
        return []
    return kept


def compare(before: Callable[[], Any], after: Callable[[], Any], device: torch.device) -> Timing:
    """Time two calls in turn, so that whatever else the machine does falls on both.

    Args:
        before: the first call.
        after: the second call.
        device: where they run; it is waited for.
    """
    for run in (before, after, before, after):
        first = _seconds(run, device)
    low, high = _ROUNDS
    rounds = min(high, max(low, int(_BUDGET / max(2 * first, 1e-6))))
    pairs = [(_seconds(before, device), _seconds(after, device)) for _ in range(rounds)]
    olds, news = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    return Timing((min(olds), median(olds)), (min(news), median(news)))


def _seconds(run: Callable[[], Any], device: torch.device) -> float:
    _wait(device)
    start = time.perf_counter()
    run()
    _wait(device)
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def _whole_is_faster(
    model: nn.Module, kept: Sequence[tuple[Place, nn.Module]], example: Any
) -> bool:
    if any(place.module is model for place, _ in kept):
        return True

    def run(new: bool) -> None:
        for place, swapped in kept:
            for parent, attribute in place.parents:
                parent._modules[attribute] = swapped if new else place.module  # pyright: ignore[reportPrivateUsage]
        call(model, example)

    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    with quiet(model):
        timing = compare(lambda: run(False), lambda: run(True), device)
        run(False)
    return all(b < a for a, b in zip(timing.before, timing.after, strict=True))


def _note(place: Place, swapped: nn.Module, timing: Timing) -> None:
    vars(place.module)["onebyone_timing"] = timing
    vars(swapped)["onebyone_timing"] = timing


def _add(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    return (a[0] + b[0], a[1] + b[1])
