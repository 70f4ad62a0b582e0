"""Real consumers of converted programs, which the extras `consumers` and `litert` bring."""

from __future__ import annotations

import pytest
import torch

import onebyone
from benchmarks import consumers
from tests.aten.programs import assert_close, program, run

_NEEDS = "needs the extra onebyone[consumers]"


@pytest.mark.parametrize("name", ["encoder-layer", "vit"])
def test_coremltools_finds_convolutions_only(name: str) -> None:
    """Its MIL program holds conv and no linear, and fewer transposes than the original's."""
    pytest.importorskip("coremltools", reason=_NEEDS)
    original, _, _ = program(name)
    before = consumers.coreml(original)
    after = consumers.coreml(onebyone.convert(original, to="conv").model)
    assert before["linear"] > 0
    assert after["linear"] == 0
    assert after["conv"] == before["conv"] + before["linear"]
    assert after["transpose"] < before["transpose"]


@pytest.mark.parametrize("name", ["bert", "convnext", "encoder-layer", "segformer", "vit"])
def test_executorch_runs_it(name: str) -> None:
    """XNNPACK takes it in no more pieces than the original, and gives the original's output."""
    pytest.importorskip("executorch", reason=_NEEDS)
    original, args, kwargs = program(name)
    edge = consumers.xnnpack(onebyone.convert(original, to="conv").model)
    assert 0 < consumers.delegates(edge) <= consumers.delegates(consumers.xnnpack(original))
    outputs = consumers.run_executorch(edge, args, kwargs)
    assert_close(outputs, run(original, *args, **kwargs), original)


@pytest.mark.parametrize("name", ["encoder-layer", "nhwc-flatten"])
def test_litert_runs_it(name: str) -> None:
    """LiteRT makes convolutions of it, no FC layer, and gives the original's output."""
    pytest.importorskip("litert_torch", reason="needs the extra onebyone[litert]")
    original, args, kwargs = program(name)
    model = consumers.litert(onebyone.convert(original, to="conv").model, args, kwargs)
    found = consumers.litert_ops(model)
    assert found["FULLY_CONNECTED"] == 0
    assert found["CONV_2D"] > 0
    expected = run(original, *args, **kwargs)
    outputs = [torch.as_tensor(x) for x in [model(*args, **kwargs)]]
    assert_close(outputs, expected, original)
