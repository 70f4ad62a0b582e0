"""Every row of the ONNX tables: read, moved, written, run, certified; attributes told apart."""

from __future__ import annotations

import pytest

from onebyone.dialects.onnx.read.table import TABLE
from onebyone.dialects.onnx.semantics import OPERATORS
from tests.tables import rows
from tests.tables.known import KNOWN, LIMITS, STAYS
from tests.tables.onnx_bench import OnnxBench, settings
from tests.tables.onnx_nodes import retyped, variants
from tests.tables.onnx_specimens import specimens

# The reader's keys are names of operators, or names with their domains.
_READ = {key if isinstance(key, tuple) else ("", key) for key in TABLE}
ROWS = sorted(_READ | set(OPERATORS))
BENCH = OnnxBench()


def _name(row: tuple[str, str]) -> str:
    return f"onnx {row[0]}.{row[1]}" if row[0] else f"onnx {row[1]}"


@pytest.mark.parametrize("row", ROWS, ids=_name)
def test_what_changes_the_output_changes_the_form(row: tuple[str, str]) -> None:
    nodes = specimens(*row)
    assert nodes, "a row without a specimen: add one to onnx_specimens.py"
    faults = rows.families(BENCH, nodes, variants)
    assert not (said := rows.judged(_name(row), faults, "family", KNOWN, LIMITS)), "\n".join(said)


@pytest.mark.parametrize("row", ROWS, ids=_name)
def test_a_row_can_move(row: tuple[str, str]) -> None:
    faults, stay = rows.moves(BENCH, specimens(*row), settings, variants, retyped)
    assert not (said := rows.judged(_name(row), faults, "move", KNOWN, LIMITS)), "\n".join(said)
    if row in _READ:
        assert tuple(stay) == STAYS.get(_name(row), ()), "the specimens whose layout never moves"
