"""Models cut into functions at random: they mean the same, and convert as the whole does."""

from __future__ import annotations

import random

import onnx
import onnx_ir as ir
import pytest
from onnx import helper

import onebyone
from tests import zoo
from tests.onnx.bodies import hashes, proved

MODELS = ("encoder-layer", "bert", "convnext", "swin")


def outlined(model: onnx.ModelProto, longest: int, seed: int) -> onnx.ModelProto:
    """The model with runs of up to ``longest`` nodes as calls of functions of its own."""
    rng = random.Random(seed)
    result = onnx.ModelProto()
    result.CopyFrom(model)
    result.ir_version = max(model.ir_version, 8)
    nodes = list(model.graph.node)
    runs: list[list[onnx.NodeProto]] = []
    while nodes:
        length = rng.randint(1, longest)
        runs.append(nodes[:length])
        nodes = nodes[length:]
    del result.graph.node[:]
    wanted = {value.name for value in model.graph.output}
    for number, run in reversed(list(enumerate(runs))):
        made = {name for node in run for name in node.output}
        read = dict.fromkeys(n for node in run for n in node.input if n and n not in made)
        used = [n for node in run for n in node.output if n in wanted]
        wanted |= {*read}
        calls = run
        if len(run) > 1:
            name = f"F{number}"
            result.functions.append(
                helper.make_function("cut", name, list(read), used, run, list(model.opset_import))
            )
            calls = [helper.make_node(name, list(read), used, name, domain="cut")]
        for node in reversed(calls):
            result.graph.node.insert(0, node)
    result.opset_import.append(helper.make_opsetid("cut", 1))
    return result


@pytest.mark.parametrize("longest", [4, 12, 40])
@pytest.mark.parametrize("name", MODELS)
def test_a_model_cut_into_functions(name: str, longest: int) -> None:
    model = onnx.load(zoo.path(name))
    cut = outlined(model, longest, seed=longest)
    assert len(cut.functions) > 1
    assert hashes(cut) == hashes(model)
    for to in ("conv", "linear"):
        done = onebyone.convert(cut, to)
        result = ir.to_proto(done.model)
        onnx.checker.check_model(result)
        assert hashes(result) == hashes(model)
        if to == "conv":
            whole = onebyone.plan(model, to)
            assert done.report.count("converted") == whole.count("converted")
            assert done.report.count("kept") == whole.count("kept")


def test_a_cut_model_is_proved() -> None:
    model = onnx.load(zoo.path("bert"))
    for to in ("conv", "linear"):
        proved(model, ir.to_proto(onebyone.convert(outlined(model, 12, seed=1), to).model))
