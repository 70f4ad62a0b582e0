"""Real consumers of converted programs; ``pip install 'onebyone[consumers]'`` brings them."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch.utils import _pytree as pytree

import onebyone
from tests.aten.programs import assert_close, program, run


@pytest.mark.parametrize("name", ["encoder-layer", "vit"])
def test_coremltools_finds_convolutions_only(name: str) -> None:
    """Its MIL program holds conv and no linear, and fewer transposes than the original's."""
    ct = pytest.importorskip("coremltools", reason="needs onebyone[consumers]")
    original, _, _ = program(name)

    def count(exported: torch.export.ExportedProgram) -> Counter[str]:
        model = ct.convert(
            exported.run_decompositions({}),
            convert_to="mlprogram",
            minimum_deployment_target=ct.target.iOS17,
            skip_model_load=True,
        )
        functions = model.get_spec().mlProgram.functions.values()
        blocks = [b for f in functions for b in f.block_specializations.values()]
        return Counter(operation.type for block in blocks for operation in block.operations)

    before, after = count(original), count(onebyone.convert(original, to="conv").model)
    assert before["linear"] > 0
    assert after["linear"] == 0
    assert after["conv"] == before["conv"] + before["linear"]
    assert after["transpose"] < before["transpose"]


@pytest.mark.parametrize("name", ["convnext", "encoder-layer", "vit"])
def test_executorch_runs_it(name: str) -> None:
    """XNNPACK lowers the program, and the runtime gives the original's output."""
    pytest.importorskip("executorch", reason="needs onebyone[consumers]")
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower
    from executorch.runtime import Runtime

    original, args, kwargs = program(name)
    converted = onebyone.convert(original, to="conv").model
    edge = to_edge_transform_and_lower(converted, partitioner=[XnnpackPartitioner()])
    buffer = edge.to_executorch().buffer
    inputs = [x for x in pytree.tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
    outputs = Runtime.get().load_program(buffer).load_method("forward").execute(inputs)
    assert_close(list(outputs), run(original, *args, **kwargs), original)
