"""Shapes of programs that models outside the zoo have: attention with its own mask, odd sizes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import onebyone
from onebyone.dialects.aten.run.form import canonical_form
from tests.aten.programs import assert_close, export, run


class Grouped(nn.Module):
    """Attention as `transformers` calls it: causal inside, four queries to two keys."""

    def __init__(self, causal: bool, keys: int) -> None:
        super().__init__()
        self.query, self.out = nn.Linear(16, 16), nn.Linear(16, 16)
        self.key, self.value = nn.Linear(16, 4 * keys), nn.Linear(16, 4 * keys)
        self.causal, self.keys = causal, keys

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, t, _ = x.shape
        heads = [m(x).view(b, t, -1, 4).transpose(1, 2) for m in (self.query, self.key, self.value)]
        out = nn.functional.scaled_dot_product_attention(
            *heads, is_causal=self.causal, enable_gqa=self.keys != 4
        )
        return self.out(out.transpose(1, 2).reshape(b, t, 16))


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize(("causal", "keys"), [(True, 4), (False, 2), (True, 2), (True, 1)])
def test_attention_with_its_own_mask_and_grouped_queries(
    causal: bool, keys: int, dynamic: bool
) -> None:
    torch.manual_seed(0)
    args = (torch.randn(2, 6, 16),)
    free = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    original = export(Grouped(causal, keys).eval(), args, shapes=(free,) if dynamic else None)
    result = onebyone.convert(original, to="conv")
    assert result.report.after is not None
    assert result.report.after.fc_layers == 0
    # One for the attention, one in front and one behind, where the program begins and ends.
    assert len(result.report.moves) <= 3
    for batch, length in ((2, 6), (3, 4), (1, 9)) if dynamic else ((2, 6),):
        inputs = (torch.randn(batch, length, 16),)
        assert_close(run(result.model, *inputs), run(original, *inputs), original)
    assert canonical_form(result.model).outputs == canonical_form(original).outputs
    back = onebyone.convert(result.model, to="linear")
    assert canonical_form(back.model).outputs == canonical_form(original).outputs
    assert_close(run(back.model, *args), run(original, *args), original)


def test_fused_attention_stays_where_nothing_changes() -> None:
    torch.manual_seed(0)
    original = export(Grouped(causal=True, keys=2).eval(), (torch.randn(2, 6, 16),))
    model = onebyone.convert(original, to="linear").model
    assert any("scaled_dot_product" in str(node.target) for node in model.graph.nodes)


class Odd(nn.Module):
    """Means over single positions, a pad of a symbolic axis, a power with a number as base."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(6, 6)
        self.shrink = nn.Conv2d(6, 4, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = nn.functional.pad(self.project(x)[:, 1:], [0, 0, 0, 1])
        y = y * torch.pow(2.0, y[:, :1])
        image = y.mean(1, keepdim=True).transpose(1, 2)[:, :, :, None]
        return self.shrink(self.pool(image)).flatten(1)


@pytest.mark.parametrize("to", ["conv", "linear"])
def test_single_positions_pads_and_numbers(to: str) -> None:
    torch.manual_seed(0)
    free = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    original = export(Odd().eval(), (torch.randn(2, 5, 6),), shapes=(free,))
    result = onebyone.convert(original, to=to).model
    assert canonical_form(result).outputs == canonical_form(original).outputs
    for batch, length in ((2, 5), (3, 4), (1, 9)):
        inputs = (torch.randn(batch, length, 6),)
        assert_close(run(result, *inputs), run(original, *inputs), original)


def test_a_transposed_patch_keeps_its_bias() -> None:
    """As a matrix product its columns are channels and places; the bias has the channels alone."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(6, 4, 1), nn.ReLU(), nn.ConvTranspose2d(4, 3, 2, 2))
    args = (torch.randn(2, 6, 5, 4),)
    original = export(module.eval(), args)
    result = onebyone.convert(original, to="linear")
    assert {layer.after for layer in result.report.layers} == {"linear"}
    assert_close(run(result.model, *args), run(original, *args), original)


def test_a_scaled_product_means_the_same_spelled_out() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.project = nn.Linear(8, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.project(x)
            return torch.baddbmm(x, y, y.transpose(1, 2), beta=0.7, alpha=0.3)

    torch.manual_seed(0)
    original = export(Scaled().eval(), (torch.randn(2, 8, 8),))
    result = onebyone.convert(original, to="conv").model
    assert canonical_form(result).outputs == canonical_form(original).outputs


class Many(nn.Module):
    """Operators that the table has a line for, between two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 6), nn.Linear(6, 6)
        self.slopes = nn.PReLU(6, init=0.2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(x)
        y = torch.addcmul(torch.lerp(y, x, 0.3), y, x, value=0.5)
        y = self.slopes(y.transpose(1, 2)).transpose(1, 2)
        variance, mean = torch.var_mean(y, 1, keepdim=True)
        y = (y - mean) * variance + y.std(1, keepdim=True) + y.max(1, keepdim=True).values
        y = nn.functional.normalize(y, dim=-1) + nn.functional.softshrink(y, 0.1)
        y = y.repeat(1, 2, 1).repeat_interleave(2, 1) + nn.functional.elu(y, 0.7).tile(4, 1)
        return self.last(y)


@pytest.mark.parametrize("core", [False, True])
@pytest.mark.parametrize("to", ["conv", "linear"])
def test_many_operators_are_understood(to: str, core: bool) -> None:
    torch.manual_seed(0)
    args = (torch.randn(2, 4, 6),)
    original = export(Many().eval(), args)
    if core:
        original = original.run_decompositions()
    result = onebyone.convert(original, to=to)
    assert len(result.report.moves) <= 2
    assert canonical_form(original).opaque == []
    assert_close(run(result.model, *args), run(original, *args), original)
    assert canonical_form(result.model).outputs == canonical_form(original).outputs


def test_a_weight_of_a_parametrization_is_converted() -> None:
    torch.manual_seed(0)
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(6, 4))
    args = (torch.randn(2, 5, 6),)
    original = export(nn.Sequential(layer, nn.ReLU(), nn.Linear(4, 3)).eval(), args)
    result = onebyone.convert(original, to="conv")
    assert result.report.after is not None
    assert result.report.after.fc_layers == 0
    assert_close(run(result.model, *args), run(original, *args), original)


def test_a_weight_that_is_unpacked_from_integers_is_kept() -> None:
    """A backend looks for the dequantization next to the layer."""

    class Quantized(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("packed", torch.randint(-128, 127, (4, 6), dtype=torch.int8))
            self.register_buffer("table", torch.randn(4, 256))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            places = self.packed.to(torch.int64) + 128
            return nn.functional.linear(x, torch.gather(self.table, 1, places))

    torch.manual_seed(0)
    original = export(Quantized().eval(), (torch.randn(2, 5, 6),))
    layers = onebyone.plan(original, "conv").layers
    assert [layer.reason for layer in layers] == ["its weight is unpacked at run time, by gather"]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_epsilon_is_what_the_type_adds(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.Linear(8, 4)).to(dtype)
    original = export(module.eval(), (torch.randn(2, 5, 6, dtype=dtype),))
    result = onebyone.convert(original, to="conv").model
    assert canonical_form(result).outputs == canonical_form(original).outputs


def test_an_instance_norm_in_core_operators_is_no_training() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.InstanceNorm2d(4), nn.Flatten(), nn.Linear(36, 5))
    args = (torch.randn(2, 3, 3, 3),)
    core = export(module.eval(), args).run_decompositions()
    result = onebyone.convert(core, to="conv")
    assert result.report.after is not None
    assert result.report.after.fc_layers == 0
    assert_close(run(result.model, *args), run(core, *args), core)


def test_an_empty_part_joins_nothing() -> None:
    """Rotations of part of a head write so where the part is the whole; no move comes of it."""

    class Part(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(6, 6), nn.Linear(6, 6)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.first(x)
            return self.last(torch.cat([torch.relu(y[..., :6]), y[..., 6:]], -1))

    torch.manual_seed(0)
    args = (torch.randn(2, 5, 6),)
    original = export(Part().eval(), args)
    result = onebyone.convert(original, to="conv")
    assert len(result.report.moves) == 2
    assert_close(run(result.model, *args), run(original, *args), original)
    assert canonical_form(result.model).outputs == canonical_form(original).outputs
