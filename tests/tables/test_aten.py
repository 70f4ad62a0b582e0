"""Every row of the ATen tables: read, moved, written, run, certified; arguments told apart."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from onebyone.dialects.aten.read.table import TABLE
from onebyone.dialects.aten.semantics import OPERATORS
from tests.tables import rows
from tests.tables.aten_bench import AtenBench, settings
from tests.tables.aten_nodes import retyped, variants
from tests.tables.aten_specimens import overloads, specimens
from tests.tables.known import KNOWN, LIMITS, STAYS

# Keys are names of operators, or names with their space.
_READ = {key[-1] if isinstance(key, tuple) else key for key in TABLE}
_RUN = {key[-1] if isinstance(key, tuple) else key for key in OPERATORS}
# A check of a tensor's type yields nothing that could be compared.
ROWS = sorted((_READ | _RUN) - {"_assert_tensor_metadata"})
BENCH = AtenBench()

# Overloads without a specimen: lists of anything, kernels of other devices, and operators that
# yield as many elements as a tensor says.
LEFT = {
    "addmm": {"dtype"},
    "atleast_1d": {"Sequence"},
    "baddbmm": {"dtype"},
    "bmm": {"dtype"},
    "copy": {"Dict_Tensor"},
    "einsum": {"sublist"},
    "gru": {"data"},
    "index": {"Tensor_hacked_twin"},
    "linspace": {"Scalar_Tensor", "Tensor_Scalar", "Tensor_Tensor"},
    "lstm": {"data"},
    "mm": {"dtype"},
    "repeat_interleave": {"Tensor", "self_Tensor"},
    "rnn_relu": {"data"},
    "rnn_tanh": {"data"},
    "split": {"default"},
    "to": {"device"},
    "where": {"default"},
}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tensors this small are slower on several threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _name(row: str) -> str:
    return f"aten {row}"


@pytest.mark.parametrize("row", ROWS, ids=_name)
def test_what_changes_the_output_changes_the_form(row: str) -> None:
    nodes = specimens(row)
    assert nodes, "a row without a specimen: add one to aten_specimens.py"
    assert set(overloads(row)) - {node.overload for node in nodes} == LEFT.get(row, set())
    faults = rows.families(BENCH, nodes, variants)
    assert not (said := rows.judged(_name(row), faults, "family", KNOWN, LIMITS)), "\n".join(said)


@pytest.mark.parametrize("row", ROWS, ids=_name)
def test_a_row_can_move(row: str) -> None:
    faults, stay = rows.moves(BENCH, specimens(row), settings, variants, retyped)
    assert not (said := rows.judged(_name(row), faults, "move", KNOWN, LIMITS)), "\n".join(said)
    if row in _READ:
        assert tuple(stay) == STAYS.get(_name(row), ()), "the specimens whose layout never moves"
