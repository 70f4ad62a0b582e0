"""torch.compile, torch.export, vmap and autocast on swapped models."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import onebyone
from tests.torch.nets import build

SWAPS = {"linear": onebyone.to_linear, "conv": onebyone.to_conv}


@pytest.mark.parametrize("to", SWAPS)
@pytest.mark.parametrize("name", ["mlpconv", "pointnet", "convnext"])
def test_compile_in_one_graph(name: str, to: str) -> None:
    model, inputs = build(name)
    swapped = SWAPS[to](model)
    torch.compiler.reset()
    compiled = torch.compile(swapped, backend="aot_eager", fullgraph=True)
    first, second = (_logits(network(*inputs.values())) for network in (swapped, compiled))
    assert first.abs().max() > 0
    assert torch.allclose(first, second, rtol=1e-5, atol=1e-5)
    second.sum().backward()


@pytest.mark.parametrize("to", SWAPS)
@pytest.mark.parametrize("name", ["mlpconv", "pointnet", "vit"])
def test_export_with_a_free_batch(name: str, to: str) -> None:
    model, inputs = build(name)
    swapped = SWAPS[to](model)
    (key, x), *_ = inputs.items()
    free = {key: {0: torch.export.Dim("batch")}}
    if name == "mlpconv":
        exported = torch.export.export(swapped, (x,), dynamic_shapes=tuple(free.values()))
    else:
        exported = torch.export.export(swapped, (), {key: x}, dynamic_shapes=free)
    run = exported.module()
    for batch in (x, torch.cat([x, x])):
        call = {"args": (batch,)} if name == "mlpconv" else {"kwargs": {key: batch}}
        got, want = (
            _logits(m(*call.get("args", ()), **call.get("kwargs", {}))) for m in (run, swapped)
        )
        assert torch.allclose(got, want, rtol=1e-5, atol=1e-5)
    assert set(exported.state_dict) >= {n for n, _ in swapped.named_parameters()}
    targets = [str(node.target) for node in exported.graph.nodes]
    plain = sum(type(module) is torch.nn.Linear for module in swapped.modules())
    assert targets.count("aten.linear.default") >= plain - (name == "mlpconv" and to == "linear")


def _logits(result: Any) -> torch.Tensor:
    return result if isinstance(result, torch.Tensor) else result.logits


@pytest.mark.parametrize("to", SWAPS)
def test_autocast_gives_the_dtype_that_the_layer_gave(to: str) -> None:
    model, inputs = build("mlpconv")
    swapped = SWAPS[to](model)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        x = y = inputs["x"]
        for old, new in zip(model, swapped, strict=True):
            x, y = old(x), new(y)
            assert x.dtype == y.dtype, old
        assert (x.double() - y.double()).abs().max() <= 8 * 2.0**-8 * x.double().abs().max()


def test_vmap_over_models() -> None:
    layer = onebyone.to_linear(torch.nn.Conv2d(3, 4, 2, stride=2))
    x = torch.randn(5, 2, 3, 4, 4)
    assert torch.allclose(torch.vmap(layer)(x), torch.stack([layer(v) for v in x]), atol=1e-6)
