"""What a converted program keeps: signature, names, symbols, mutations, structure of outputs."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import onebyone
from onebyone.dialects.aten.run.form import canonical_form
from tests.aten.programs import assert_close, export, program, run


class Nested(nn.Module):
    """Nested inputs and outputs, a buffer that counts, a tied weight, an unknown operator."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 6)
        self.second = nn.Linear(6, 6)
        self.second.weight = self.first.weight
        self.register_buffer("count", torch.zeros(()))

    def forward(self, pair: tuple[torch.Tensor, dict[str, torch.Tensor]]) -> dict[str, object]:
        x, more = pair
        self.count.add_(1)
        y = self.second(torch.relu(self.first(x))) + more["shift"]
        return {"sum": y.cumsum(1), "parts": [y.unbind(1)[0], y.sort(1).values]}


def _nested() -> tuple[torch.export.ExportedProgram, tuple[object, ...]]:
    torch.manual_seed(0)
    args = ((torch.randn(2, 5, 6), {"shift": torch.randn(6)}),)
    return export(Nested().eval(), args), args


@pytest.mark.parametrize("to", ["conv", "linear"])
def test_signature_mutation_and_nesting_are_kept(to: str) -> None:
    original, args = _nested()
    result = onebyone.convert(original, to=to).model
    before, after = original.graph_signature, result.graph_signature
    assert [s.target for s in after.input_specs] == [s.target for s in before.input_specs]
    assert [s.kind for s in after.input_specs] == [s.kind for s in before.input_specs]
    assert list(after.user_inputs) == list(before.user_inputs)
    assert list(after.buffers_to_mutate.values()) == ["count"]
    assert result.call_spec == original.call_spec
    assert_close(run(result, *args), run(original, *args), original)
    seen, theirs = float(result.state_dict["count"]), float(original.state_dict["count"])
    run(result, *args)
    run(result, *args)
    assert float(result.state_dict["count"]) == seen + 2
    assert float(original.state_dict["count"]) == theirs


def test_the_original_is_not_changed() -> None:
    original, _ = _nested()
    code, state = original.graph_module.code, copy.deepcopy(dict(original.state_dict))
    onebyone.convert(original, to="conv")
    assert original.graph_module.code == code
    assert all(torch.equal(state[k], v) for k, v in original.state_dict.items())


def test_parameters_are_recorded_as_they_were_moved() -> None:
    original, _, _ = program("nhwc-flatten")
    result = onebyone.convert(original, to="conv")
    assert result.report.weights
    for weight in result.report.weights:
        source = original.state_dict[weight.name]
        moved = source.reshape(weight.atoms).permute(weight.order).reshape(weight.after)
        assert torch.equal(result.model.state_dict[weight.name], moved)
        shared = result.model.state_dict[weight.name].data_ptr() == source.data_ptr()
        assert shared == (weight.storage == "view")


@pytest.mark.parametrize(
    "name", ["bert-dynamic", "gpt2-dynamic", "llama-dynamic", "qwen2-dynamic", "vit-dynamic"]
)
def test_symbolic_sizes(name: str) -> None:
    original, _, example = program(name)
    result = onebyone.convert(original, to="conv")
    assert result.report.after is not None
    assert result.report.after.fc_layers == 0
    assert result.model.range_constraints == original.range_constraints
    assert canonical_form(result.model).outputs == canonical_form(original).outputs
    for batch, length in ((2, 12), (3, 7), (5, 20)):
        inputs = {
            key: torch.randn(batch, *value.shape[1:])
            if value.is_floating_point()
            else torch.ones(batch, length, dtype=value.dtype)
            for key, value in example.items()
        }
        assert_close(run(result.model, **inputs), run(original, **inputs), original)


@pytest.mark.parametrize("name", ["convnext", "vgg", "vit"])
@pytest.mark.parametrize("to", ["conv", "linear"])
def test_core_operators(name: str, to: str) -> None:
    original, args, kwargs = program(name)
    core = original.run_decompositions()
    result = onebyone.convert(core, to=to)
    assert all(layer.status != "kept" for layer in result.report.layers if layer.case)
    assert result.report.after is not None
    if to == "conv":
        assert result.report.after.fc_layers == 0
    assert_close(run(result.model, *args, **kwargs), run(original, *args, **kwargs), original)
    assert canonical_form(result.model).outputs == canonical_form(core).outputs


@pytest.mark.parametrize("skip", [(), ("project",)])
def test_a_repeated_parameter_is_one_weight(skip: tuple[str, ...]) -> None:
    """Core ATen writes a layer behind a transposed view as a product with copies of its weight."""

    class Transposed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.project = nn.Linear(8, 6)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.project(x.transpose(1, 2).reshape(3, 4, 2, 8).transpose(1, 2))

    torch.manual_seed(0)
    args = (torch.randn(3, 8, 8),)
    original = export(Transposed().eval(), args)
    core = original.run_decompositions()
    assert any("bmm" in str(node.target) for node in core.graph.nodes)
    for to in ("conv", "linear"):
        result = onebyone.convert(core, to=to, skip=skip)
        left = [str(node.target) for node in result.model.graph.nodes]
        assert any("bmm" in target for target in left) == bool(skip)
        assert_close(run(result.model, *args), run(original, *args), original)
        assert canonical_form(result.model).outputs == canonical_form(core).outputs


def test_what_is_derived_is_known_at_any_depth() -> None:
    """A product asks where a factor that is repeated comes from: here from far away."""

    class Deep(nn.Module):
        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            for _ in range(1200):
                x = x + 1.0
            return torch.bmm(y, x.unsqueeze(0).expand(3, -1, -1))

    original = export(Deep().eval(), (torch.randn(4, 5), torch.randn(3, 2, 4)))
    assert onebyone.convert(original, to="conv").report.layers == ()


def test_a_table_picked_by_constants_has_the_order_that_is_read() -> None:
    """A table of position biases: its parameter is stored transposed, and nothing moves."""

    class Biased(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.project = nn.Linear(5, 5)
            self.table = nn.Parameter(torch.randn(9, 4))
            self.register_buffer("places", torch.randint(0, 9, (3, 5)))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.project(x) + self.table[self.places].permute(2, 0, 1)

    torch.manual_seed(0)
    args = (torch.randn(4, 3, 5),)
    original = export(Biased().eval(), args)
    result = onebyone.convert(original, to="linear")
    assert result.report.moves == ()
    assert "table" in {weight.name for weight in result.report.weights}
    assert_close(run(result.model, *args), run(original, *args), original)


def test_sizes_and_index_tensors_are_hashed_without_names() -> None:
    """What a pinned operator reads counts, the names of the nodes do not."""

    class Masked(nn.Module):
        def __init__(self, offset: int) -> None:
            super().__init__()
            self.project = nn.Linear(6, 6)
            self.offset = offset

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.project(x)
            row, column = torch.arange(y.shape[0]), torch.arange(y.shape[1]) + self.offset
            return torch.softmax(y, 1) * y[row[:, None], column[None, :] - self.offset]

    torch.manual_seed(0)
    args = (torch.randn(3, 4, 6),)
    dynamic = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    original = export(Masked(0).eval(), args, shapes=(dynamic,))
    result = onebyone.convert(original, to="conv")
    assert canonical_form(result.model).outputs == canonical_form(original).outputs
    other = export(Masked(1).eval(), args, shapes=(dynamic,))
    other._state_dict = original.state_dict  # type: ignore[misc]
    assert canonical_form(other).outputs != canonical_form(original).outputs


def test_a_fully_masked_row_gives_zeros() -> None:
    """Attention is spelled out with PyTorch's own rule for rows without any key."""

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.project = nn.Linear(8, 8)

        def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            y = self.project(x).reshape(2, 5, 2, 4).transpose(1, 2)
            out = nn.functional.scaled_dot_product_attention(y, y, y, mask)
            return out.transpose(1, 2).reshape(2, 5, 8)

    torch.manual_seed(0)
    mask = torch.rand(2, 1, 5, 5) > 0.5
    mask[0, 0, 1] = False
    args = (torch.randn(2, 5, 8), mask)
    original = export(Attention().eval(), args)
    result = onebyone.convert(original, to="conv").model
    assert any("softmax" in str(node.target) for node in result.graph.nodes)
    assert_close(run(result, *args), run(original, *args), original)


@pytest.mark.parametrize(
    "module", [nn.Sequential(nn.Linear(4, 4), nn.Dropout()), nn.Sequential(nn.BatchNorm1d(4))]
)
def test_training_mode_is_refused(module: nn.Module) -> None:
    with pytest.raises(onebyone.InputError, match=r"training mode.*model.eval\(\)"):
        onebyone.convert(export(module.train(), (torch.randn(3, 4),)))


def test_only_and_skip_take_module_names() -> None:
    original, _, _ = program("vgg")
    report = onebyone.plan(original, "conv", only=("7",))
    status = {layer.name: layer.status for layer in report.layers if layer.case}
    assert status == {"7": "converted", "9": "kept", "11": "kept"}
    with pytest.raises(onebyone.InputError, match="no layer's name matches"):
        onebyone.plan(original, "conv", skip=("nothing",))


def test_no_unsqueeze_or_squeeze_is_written() -> None:
    original, _, _ = program("encoder-layer")
    for node in onebyone.convert(original, to="conv").model.graph.nodes:
        made = "onebyone.rule" in node.meta.get("custom", {})
        assert not (made and "squeeze" in str(node.target))


def test_a_transposed_factor_is_free_where_strides_are_read() -> None:
    original, _, _ = program("qwen2vl-vision")
    free = onebyone.plan(original, target="linear-strided")
    paid = onebyone.plan(original, target="linear")
    assert len(free.moves) < len(paid.moves)
