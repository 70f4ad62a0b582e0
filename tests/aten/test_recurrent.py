"""Recurrent layers: one operator, torch's own decomposition of it, and its exports to ONNX."""

from __future__ import annotations

import io
import warnings
from typing import Any

import onnx
import pytest
import torch
from torch import nn
from torch.export import ExportedProgram

import onebyone

X = torch.linspace(-2, 2, 40).reshape(2, 5, 4)


class Outputs(nn.Module):
    """The sequences that a recurrent layer gives."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)[0]


def module(kind: str, **given: Any) -> Outputs:
    torch.manual_seed(0)
    return Outputs(getattr(nn, kind)(4, 3, batch_first=True, **given)).eval()


def exported(model: nn.Module) -> ExportedProgram:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.export(model, (X,))


def decomposed(program: ExportedProgram) -> ExportedProgram:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return program.run_decompositions()


def written(model: nn.Module) -> onnx.ModelProto:
    """The file of the exporter that keeps recurrent layers whole."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = io.BytesIO()
        torch.onnx.export(model, (X,), file, dynamo=False)
    return onnx.load_from_string(file.getvalue())


LAYERS = [
    ("LSTM", {}),
    ("LSTM", {"num_layers": 2, "bidirectional": True}),
    ("GRU", {"bias": False}),
    ("GRU", {"bidirectional": True}),
    ("RNN", {"nonlinearity": "relu"}),
    ("RNN", {"bidirectional": True}),
]


@pytest.mark.parametrize(("kind", "given"), LAYERS)
def test_a_layer_is_what_it_is_made_of(kind: str, given: dict[str, Any]) -> None:
    model = module(kind, **given)
    program = exported(model)
    assert onebyone.verify(program, decomposed(program)).exit_code == 0
    assert onebyone.verify(program, written(model)).exit_code == 0


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_gates_that_are_swapped_are_seen(kind: str) -> None:
    model, other = module(kind), module(kind)
    with torch.no_grad():
        for weight in other.layer.parameters():
            first, second = weight[:3].clone(), weight[3:6].clone()
            weight[:3], weight[3:6] = second, first
    assert onebyone.verify(exported(model), decomposed(exported(other))).exit_code == 1
    assert onebyone.verify(exported(model), written(other)).exit_code == 1


def test_a_projection_is_not_understood() -> None:
    program = exported(module("LSTM", proj_size=2))
    layers = {layer.name: layer for layer in onebyone.verify(program, decomposed(program)).layers}
    assert layers["field"].verdict.value == "undecided"
    assert "projections" in layers["field"].summary
