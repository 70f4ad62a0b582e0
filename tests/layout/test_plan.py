"""Plans are minimal, and proven so; other sizes and depths change nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

import onebyone
from onebyone.dialects.onnx.run.form import canonical_form
from onebyone.layout.find_target import SHIPPED
from onebyone.layout.target_files import parse_target
from onebyone.report import Report
from tests import deep, zoo
from tests.rounding import assert_close, relative_bound

# Every move costs 1 and nothing else does, except tokens as batch, which no target wants: the
# cost of the plan is its number of moves, and its bound the least number that there can be.
_COUNT = """
form = "conv"
[cost]
move = 0
move_overhead = 1
spelled_norm = 0
token_as_batch = 1000
"""
# Layers with attention, and moves at the boundary: an embedding's rows are tokens, and so are the
# rows that BERT and GPT-2 return. ViT reads an image and returns one row.
_LEAST = {"vit": (2, 0), "bert": (2, 2), "gpt2": (2, 2)}


@pytest.mark.parametrize("name", _LEAST)
def test_one_move_an_attention_and_the_boundary_is_proven_least(name: str) -> None:
    attentions, boundary = _LEAST[name]
    counted = onebyone.plan(
        zoo.path(name), target=parse_target(_COUNT, "count", "count.toml", SHIPPED)
    )
    # A bias that the model computes of constants alone is moved once, ahead: 0.01.
    assert attentions + boundary - 0.5 < counted.bound <= counted.cost
    planned = onebyone.plan(zoo.path(name))
    assert planned.gap == 0
    assert len(planned.moves) == len(counted.moves) == attentions + boundary


@pytest.mark.parametrize("target", ["conv", "conv-native-norm", "linear", "onnxruntime-cpu"])
@pytest.mark.parametrize("name", ["vit", "bert", "swin", "convnext", "llama-dynamic"])
def test_every_target_keeps_meaning_and_numbers(name: str, target: str, tmp_path: Path) -> None:
    source, out = zoo.path(name), tmp_path / "out.onnx"
    conversion = onebyone.convert(source, target=target)
    assert conversion.report.gap == 0
    assert conversion.report.bound <= conversion.report.cost
    conversion.save(out)
    original = ir.load(source)
    assert canonical_form(original).outputs == canonical_form(ir.load(out)).outputs
    inputs = zoo.inputs(name)
    results = [
        ort.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, inputs)
        for path in (out, source)
    ]
    assert_close(*results, relative_bound(source))


def test_native_norms_stay_native(tmp_path: Path) -> None:
    found = {
        target: [
            node.op_type for node in onebyone.convert(zoo.path("vit"), target=target).model.graph
        ].count("LayerNormalization")
        for target in ("conv", "conv-native-norm")
    }
    assert found == {"conv": 0, "conv-native-norm": 5}


@pytest.mark.parametrize("layers", [1, 12])
def test_depth_does_not_matter(layers: int) -> None:
    """One move an attention, and one on each side, however many layers there are."""
    report: Report = onebyone.plan(deep.encoder(layers))
    assert len(report.moves) == layers + 2
    assert report.gap == 0
    assert report.count("converted") == 6 * layers


def test_fixed_dimensions_give_the_static_plan(tmp_path: Path) -> None:
    """``--dim`` first, then the plan: as many moves as the static export, no symbol left."""
    fixed = onebyone.convert(zoo.path("gpt2-dynamic"), dims={"batch": 2, "seq": 12})
    static = onebyone.plan(zoo.path("gpt2"))
    assert fixed.report.count("converted") == static.count("converted")
    assert len(fixed.report.moves) <= len(static.moves) + 2
    fixed.save(tmp_path / "fixed.onnx")
    sizes = [v.shape for v in (*fixed.model.graph.inputs, *fixed.model.graph.outputs)]
    assert all(isinstance(d, int) for shape in sizes for d in shape)
    inputs = zoo.inputs("gpt2-dynamic", batch=2, seq=12)
    results = [
        ort.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, inputs)
        for path in (tmp_path / "fixed.onnx", zoo.path("gpt2-dynamic"))
    ]
    assert np.shape(results[0][0]) == (2, 12, 100)
    assert_close(*results, relative_bound(zoo.path("gpt2-dynamic")))
