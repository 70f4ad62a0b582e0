"""Sampling in programs: the same as in their exports, whatever the mode."""

from __future__ import annotations

import io
import warnings

import onnx
import pytest
import torch
from torch import nn
from torch.export import ExportedProgram

import onebyone

X, PLACES = torch.randn(1, 2, 5, 4), torch.rand(1, 3, 6, 2) * 2 - 1


class Sample(nn.Module):
    """Reads an image at places that are an input."""

    def __init__(self, mode: str, padding: str) -> None:
        super().__init__()
        self.mode, self.padding = mode, padding

    def forward(self, x: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        return nn.functional.grid_sample(x, places, self.mode, self.padding, align_corners=False)


def exported(model: nn.Module) -> ExportedProgram:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.export(model.eval(), (X, PLACES))


def written(model: nn.Module) -> onnx.ModelProto:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = io.BytesIO()
        torch.onnx.export(
            model.eval(), (X, PLACES), file, dynamo=False, opset_version=16,
            input_names=["x", "places"],
        )  # fmt: skip
    return onnx.load_from_string(file.getvalue())


@pytest.mark.parametrize(("mode", "padding"), [("bilinear", "zeros"), ("bicubic", "border")])
def test_samples_of_a_program_are_those_of_its_file(mode: str, padding: str) -> None:
    program, file = exported(Sample(mode, padding)), written(Sample(mode, padding))
    assert onebyone.verify(program, file).exit_code == 0
    other = written(Sample(mode, "reflection"))
    assert onebyone.verify(program, other).exit_code != 0
