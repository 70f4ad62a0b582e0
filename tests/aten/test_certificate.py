"""The certificate of programs: correct ones, wrong ones, and programs against ONNX files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch
from torch import nn
from torch.export import ExportedProgram

import onebyone
from onebyone.certify.certificate import Certificate, Verdict
from onebyone.cli import run as command
from onebyone.dialects.aten.run.form import canonical_form
from tests import zoo
from tests.aten import mutants
from tests.aten.programs import export, program, relative_bound, run
from tests.mutants import KINDS as ONNX_KINDS
from tests.mutants import mutants as onnx_mutants

LAYERS = ("weights", "structure", "field", "rounding")
MODELS = ("bert", "convnext", "encoder-layer", "gpt2", "llama", "nhwc-flatten", "swin", "vgg",
          "vit", "qwen2vl-vision")  # fmt: skip

# As a matrix product the patch embedding reads all features at once; see test_models.
FACTORED = ("qwen2vl-vision", "linear")

# Files into which the exporter multiplied a batch norm: their weights are nowhere in the program.
FOLDED = {"resnet", "segformer"}

EXPORTED = tuple(name for name in zoo._EXPORTED if name not in FOLDED)


def verdicts(certificate: Certificate) -> dict[str, tuple[str, str]]:
    return {layer.name: (str(layer.verdict), layer.summary) for layer in certificate.layers}


@pytest.mark.parametrize("to", ["conv", "linear"])
@pytest.mark.parametrize("name", MODELS)
def test_our_conversions_are_proved_in_all_layers(name: str, to: str) -> None:
    original, _, _ = program(name)
    result = onebyone.convert(original, to=to, check=name in ("vit", "vgg"))
    certificate = result.certificate or onebyone.verify(original, result.model)
    said = verdicts(certificate)
    assert certificate.exit_code == 0, said
    layers = [n for n in LAYERS if n != "structure" or (name, to) != FACTORED]
    assert all(said[layer][0] == "proved" for layer in layers), said


@pytest.mark.parametrize("name", EXPORTED)
def test_a_program_equals_its_export_over_the_reals(name: str) -> None:
    """Also where the forms differ: masks, rotations, windows, dynamic sizes."""
    if not zoo.available(name):
        pytest.skip(f"{name} needs a package that is not installed")
    certificate = onebyone.verify(program(name)[0], zoo.path(name))
    said = verdicts(certificate)
    assert certificate.exit_code == 0, said
    assert said["field"][0] == said["rounding"][0] == "proved", said
    assert said["weights"][0] != "differs", said


@pytest.mark.parametrize("name", sorted(FOLDED))
def test_folded_batch_norms_are_proved_up_to_their_rounding(name: str) -> None:
    certificate = onebyone.verify(program(name)[0], zoo.path(name))
    said = verdicts(certificate)
    assert certificate.exit_code == 0, said
    assert "constants that follow from the first model's" in said["field"][1]
    assert said["rounding"][0] == "proved", said


def test_an_onnx_file_can_come_first() -> None:
    for name in ("encoder-layer", "llama"):
        certificate = onebyone.verify(zoo.path(name), program(name)[0])
        assert certificate["field"].verdict is Verdict.PROVED, verdicts(certificate)
        assert certificate["rounding"].verdict is Verdict.PROVED, verdicts(certificate)


def agree(a: ExportedProgram, b: ExportedProgram, name: str) -> bool:
    """Both programs on the zoo's own inputs, as far as two orders of evaluation can."""
    _, args, kwargs = program(name)
    pairs = zip(run(a, *args, **kwargs), run(b, *args, **kwargs), strict=True)
    bound = relative_bound(a)
    return all(float((x - y).abs().max()) <= bound * float(x.abs().max()) for x, y in pairs)


# (model, every n-th kind, beginning with): together they cover all kinds that have a site.
SHARES = [
    ("bert", 3, 0), ("gpt2", 3, 1), ("llama", 3, 2), ("swin", 6, 5),
    ("encoder-layer", 1, 0), ("vgg", 1, 0), ("convnext", 1, 0), ("nhwc-flatten", 1, 0),
]  # fmt: skip


@pytest.mark.parametrize(("name", "each", "first"), SHARES)
def test_no_wrong_program_is_accepted(
    name: str, each: int, first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = list(mutants.KINDS.items())[first::each]
    monkeypatch.setattr(mutants, "KINDS", dict(chosen))
    original, _, _ = program(name)
    tally: Counter[int] = Counter()
    for mutant in mutants.mutants(lambda: onebyone.convert(original, to="conv").model):
        certificate = onebyone.verify(original, mutant.program)
        what = (mutant.kind, mutant.what, verdicts(certificate))
        if mutant.kind == "flipped_bit":
            # The last bit of one weight: no output shows it, and it is listed.
            assert certificate.exit_code == 2, what
            assert certificate["weights"].evidence["changed"]
            continue
        tally[certificate.exit_code] += 1
        if certificate.exit_code == 0:
            assert agree(original, mutant.program, name), what
        elif certificate.exit_code == 1:
            assert certificate.witness is not None
            assert certificate.witness.why
    assert tally[1] >= 2
    # Gelu by the other formula behind a layer scale of 10^-6: less than rounding explains.
    assert tally[2] <= (name == "convnext"), tally


def test_no_wrong_export_is_accepted() -> None:
    original, _, _ = program("encoder-layer")
    tally: Counter[int] = Counter()
    for mutant in onnx_mutants(onnx.load(zoo.path("encoder-layer"))):
        certificate = onebyone.verify(original, mutant.model)
        tally[certificate.exit_code] += 1
        # The exporter gave the weight another name: its last bit may come from a computation.
        expected = 2 if mutant.kind == "flipped_bit" else 1
        assert certificate.exit_code == expected, (mutant.kind, mutant.what, verdicts(certificate))
    assert tally[1] >= 8
    assert tally[1] <= len(ONNX_KINDS)


class Counting(nn.Module):
    """A buffer that counts calls, and takes part in the result."""

    def __init__(self, step: int = 1, adds: bool = True) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.register_buffer("count", torch.zeros(()))
        self.step, self.adds = step, adds

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if self.step:
            self.count.add_(self.step)
        y = self.linear(x)
        return (y + self.count if self.adds else y), y * 2


def _counting(step: int = 1, adds: bool = True) -> ExportedProgram:
    torch.manual_seed(0)
    return export(Counting(step, adds).eval(), (torch.randn(3, 4),))


def test_buffers_that_change_are_inputs_and_outputs() -> None:
    original = _counting()
    assert onebyone.convert(original, check=True).certificate.exit_code == 0  # type: ignore[union-attr]
    assert onebyone.verify(original, _counting(step=2)).exit_code == 1
    # It starts at 0, but not every call starts so.
    assert onebyone.verify(original, _counting(adds=False)).exit_code == 1
    lost = onebyone.verify(original, _counting(step=0))
    assert lost.exit_code == 1
    assert "in the first" in lost.witness.why  # type: ignore[union-attr]


def test_results_are_told_apart_by_position() -> None:
    original = _counting()
    wrong = onebyone.convert(original).model
    output = next(iter(wrong.graph.find_nodes(op="output")))
    count, one, two = output.args[0]
    output.args = ((count, two, one),)
    assert onebyone.verify(original, wrong).exit_code == 1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_types(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    module = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True).to(dtype).eval()
    original = export(module, (torch.randn(2, 5, 16, dtype=dtype),))
    certificate = onebyone.convert(original, check=True).certificate
    assert certificate is not None
    said = verdicts(certificate)
    # PyTorch computes a norm of half precision in another order of casts than its parts have.
    assert all(said[name][0] == "proved" for name in LAYERS if name != "structure"), said


def test_a_double_s_file_has_single_attributes(tmp_path: Path) -> None:
    """The exporter rounds an epsilon to float32: no digits of a double, and no mistake."""
    pytest.importorskip("onnxscript")
    module = nn.LayerNorm(16, eps=1e-2).double().eval()
    args = (torch.randn(3, 16, dtype=torch.float64),)
    path = tmp_path / "double.onnx"
    torch.onnx.export(module, args, path, dynamo=True, verbose=False)
    said = verdicts(onebyone.verify(export(module, args), path))
    assert "differs" not in {verdict for verdict, _ in said.values()}, said


def test_nested_arguments_and_given_inputs() -> None:
    class Nested(nn.Module):
        def forward(self, pair: tuple[torch.Tensor, dict[str, torch.Tensor]]) -> torch.Tensor:
            x, more = pair
            return torch.relu(x) @ more["weight"]

    args = ((torch.randn(2, 3), {"weight": torch.randn(3, 4)}),)
    original = export(Nested().eval(), args)
    certificate = onebyone.verify(original, original)
    assert certificate.exit_code == 0
    assert certificate["rounding"].verdict is Verdict.PROVED
    assert len(certificate["field"].evidence["sizes"]) == 2


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    original, _, _ = program("encoder-layer")
    good, bad = tmp_path / "good.pt2", tmp_path / "bad.pt2"
    torch.export.save(original, good)
    wrong = mutants.Graph(onebyone.convert(original).model)
    assert mutants.dropped_bias(wrong)
    torch.export.save(wrong.program, bad)
    assert command(["convert", str(good), str(tmp_path / "out.pt2")]) == 0
    out = capsys.readouterr().out
    assert all(f"{layer:<10}proved" in out for layer in LAYERS)
    assert command(["verify", str(good), str(bad)]) == 1
    assert "first difference: conv2d" in capsys.readouterr().out
    assert command(["verify", str(good), str(zoo.path("encoder-layer"))]) == 0


class Calls(nn.Module):
    """A call of an operator that is not understood, which reads one of two operands twice."""

    def __init__(self, first: bool) -> None:
        super().__init__()
        self.first = first

    def forward(self, x: torch.Tensor, i: torch.Tensor, j: torch.Tensor) -> torch.Tensor:
        return x + torch.index_add(i, 0, j, i if self.first else j)


def test_an_operand_that_is_read_twice_has_places() -> None:
    """f(a, b, a) and f(a, b, b) have the same operands, each told once."""
    args = (torch.ones(3), torch.tensor([2, 0, 1]), torch.tensor([1, 2, 0]))
    left, right = (export(Calls(first).eval(), args) for first in (True, False))
    assert canonical_form(left).opaque == ["index_add"]
    assert canonical_form(left).outputs == canonical_form(left).outputs
    assert canonical_form(left).outputs != canonical_form(right).outputs


@pytest.mark.parametrize("copies", [0, 1, 2])
def test_repetitions_have_a_form(copies: int) -> None:
    """Also where nothing is left."""
    repeats = [lambda x: x.repeat(1, copies), lambda x: x.repeat_interleave(copies, 1)]
    repeats.append(lambda x: torch.tile(x, (copies, 1)))
    for repeat in repeats:
        found = export(Applied(repeat).eval(), (torch.randn(2, 3),))
        assert canonical_form(found).outputs


class Applied(nn.Module):
    def __init__(self, fn: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.fn = fn

    def forward(self, *args: torch.Tensor) -> torch.Tensor:
        return self.fn(*args)


def test_grouped_attention_of_no_tokens() -> None:
    """What has no elements has no axes that its parts could share."""

    def attend(q: torch.Tensor) -> torch.Tensor:
        k = q[:, :1]
        return nn.functional.scaled_dot_product_attention(q, k, k, enable_gqa=True)

    empty = export(Applied(attend).eval(), (torch.randn(1, 2, 0, 4),))
    assert (
        onebyone.verify(empty, onebyone.convert(empty).model)["structure"].verdict is Verdict.PROVED
    )


def test_attention_of_a_negative_scale() -> None:
    def scaled(scale: float) -> ExportedProgram:
        def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
            return nn.functional.scaled_dot_product_attention(q, k, v, scale=scale)

        return export(Applied(attend).eval(), tuple(torch.randn(3, 1, 2, 4, 8).unbind()))

    forms = {scale: canonical_form(scaled(scale)).outputs for scale in (-0.3, 0.3)}
    assert forms[-0.3] == canonical_form(scaled(-0.3)).outputs != forms[0.3]
    assert not canonical_form(scaled(-0.3)).opaque
