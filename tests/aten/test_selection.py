"""What a target refuses holds for programs as for ONNX files."""

from __future__ import annotations

from dataclasses import replace

import torch

import onebyone
from onebyone.layout.find_target import find_target


def test_a_target_refuses_classes_of_layers() -> None:
    model = torch.nn.TransformerEncoderLayer(16, 2, 24, batch_first=True).eval()
    program = torch.export.export(model, (torch.randn(2, 5, 16),))
    target = replace(find_target("conv"), refuse_classes=("attention",))
    layers = onebyone.plan(program, target=target).layers
    kept = [layer.reason for layer in layers if layer.status == "kept"]
    assert kept == ["the target refuses layers of the class attention"] * 2
    assert sum(layer.status == "converted" for layer in layers) == 2
