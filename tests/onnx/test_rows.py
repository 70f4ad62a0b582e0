"""Specimens of operators with many attributes are understood, as the runtime understands them."""

from __future__ import annotations

import pytest

from tests.onnx.agreement import disagreement
from tests.tables.onnx_contrib import CONTRIB
from tests.tables.onnx_more import MORE
from tests.tables.onnx_quantized import QUANTIZED
from tests.tables.onnx_spectral import SPECTRAL

NODES = {**CONTRIB, **QUANTIZED, **SPECTRAL, **{("", op): nodes for op, nodes in MORE.items()}}


@pytest.mark.parametrize("row", NODES, ids=".".join)
def test_a_row_agrees_with_the_runtime(row: tuple[str, str]) -> None:
    found = [disagreement(node) for node in NODES[row]]
    assert not any(found), "\n".join(filter(None, found))
