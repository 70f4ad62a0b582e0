"""The models of the zoo as programs: converted both ways, equal, with few moves left."""

from __future__ import annotations

import copy

import pytest

import onebyone
from onebyone.dialects.aten.run.form import canonical_form
from tests import zoo
from tests.aten.programs import assert_close, program, run

# Moves that remain for --to conv. As in the ONNX dialect, but for Swin (8 there) and the tower of
# Qwen2-VL (4 there): the exporter to ONNX computes their position tables and rotations, which
# depend on constants alone; a program keeps them, and moves them.
MOVES = {
    "bert": 4,
    "convnext": 0,
    "crepe": 0,
    "encoder-layer": 3,
    "gpt2": 4,
    "llama": 4,
    "minilm": 8,
    "nhwc-flatten": 0,
    "qwen2": 4,
    "qwen2vl-vision": 6,
    "resnet": 0,
    "segformer": 2,
    "swin": 12,
    "vgg": 0,
    "vit": 2,
}


def _need(name: str) -> None:
    if not zoo.available(name):
        pytest.skip(f"{name} needs a package that is not installed")


@pytest.mark.parametrize("name", MOVES)
def test_to_conv(name: str) -> None:
    _need(name)
    original, args, kwargs = program(name)
    result = onebyone.convert(original, to="conv")
    report = result.report
    assert report.after is not None
    assert report.after.fc_layers == 0
    assert all(layer.status != "kept" for layer in report.layers if layer.case)
    assert len(report.moves) <= MOVES[name]
    assert report.after.transposes == len(report.moves)
    assert report.after.transposes <= report.before.transposes
    assert_close(run(result.model, *args, **kwargs), run(original, *args, **kwargs), original)
    assert canonical_form(result.model).outputs == canonical_form(original).outputs


# As a matrix product the patch embedding reads 96 features at once, as a convolution 3 x 2 x 4 x 4
# of them: the canonical forms number the axes of the input differently, and prove nothing.
_FACTORED = {"qwen2vl-vision"}


@pytest.mark.parametrize("name", ["bert", "convnext", "crepe", "qwen2vl-vision", "resnet", "vit"])
def test_to_linear(name: str) -> None:
    _need(name)
    original, args, kwargs = program(name)
    result = onebyone.convert(original, to="linear")
    forms = {layer.after.partition(" ")[0] for layer in result.report.layers if layer.case}
    assert forms <= {"linear", "addmm"}
    assert_close(run(result.model, *args, **kwargs), run(original, *args, **kwargs), original)
    if name not in _FACTORED:
        assert canonical_form(result.model).outputs == canonical_form(original).outputs


@pytest.mark.parametrize("name", ["bert", "convnext"])
def test_round_trip_keeps_every_weight(name: str) -> None:
    original, _, _ = program(name)
    conv = onebyone.convert(original, to="conv")
    back = onebyone.convert(onebyone.convert(conv.model, to="linear").model, to="conv").model
    assert conv.report.weights
    for key, tensor in conv.model.state_dict.items():
        first, last = tensor.numpy(force=True), back.state_dict[key].numpy(force=True)
        assert first.tobytes() == last.tobytes()


# Their masks are inputs.
MASKED = ("bert", "gpt2", "minilm")


@pytest.mark.parametrize("name", ["bert", "convnext", "gpt2", "minilm", "vit"])
def test_a_program_equals_its_export(name: str) -> None:
    """What the exporter to ONNX made of a program is certified against the program."""
    _need(name)
    original, _, _ = program(name)
    certificate = onebyone.verify(original, zoo.path(name))
    structure = certificate["structure"]
    if name in MASKED:
        # A program gives 0 for a row that is masked completely, its export another number.
        assert "only if no row of an attention mask is masked completely" in structure.summary
    else:
        assert structure.verdict == "proved", structure.summary
    assert structure.evidence["taken_as_they_are"] == []


def test_a_wrong_export_is_not_proved() -> None:
    """A square weight, transposed, parts the program from its export."""
    original, _, _ = program("bert")
    wrong = copy.copy(original)
    state = dict(original.state_dict)
    query = "encoder.layer.0.attention.self.query.weight"
    state[query] = state[query].detach().t().contiguous()
    wrong._state_dict = state
    assert onebyone.verify(wrong, zoo.path("bert"))["structure"].verdict == "undecided"
