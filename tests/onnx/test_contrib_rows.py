"""Every specimen of the runtime's own operators is understood, as the runtime understands it."""

from __future__ import annotations

import pytest

from tests.onnx.agreement import disagreement
from tests.tables.onnx_contrib import CONTRIB


@pytest.mark.parametrize("row", CONTRIB, ids=".".join)
def test_a_row_agrees_with_the_runtime(row: tuple[str, str]) -> None:
    found = [disagreement(node) for node in CONTRIB[row]]
    assert not any(found), "\n".join(filter(None, found))
