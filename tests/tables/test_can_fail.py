"""The tests of the tables see what they are there to see: rules are broken here, and it is found.

The last rows are added as ``docs/adding-an-operator.md`` says; they too must be read, moved and
written back as what they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from onebyone.axes import meanings
from onebyone.axes.positional import Apply
from onebyone.dialects.aten.read import table as aten
from onebyone.dialects.onnx.read import table as onnx
from tests.tables import aten_bench, aten_nodes, onnx_bench, onnx_nodes, rows
from tests.tables.aten_specimens import specimens as calls
from tests.tables.known import KNOWN
from tests.tables.onnx_bench import OnnxBench
from tests.tables.onnx_nodes import s
from tests.tables.onnx_specimens import specimens as nodes
from tests.tables.operands import f


def _keys(table: dict[Any, Any], domain: str, op: str) -> list[Any]:
    """The key of a row, by name or with its domain, as the table has them."""
    return [(domain, op)] if any(isinstance(key, tuple) for key in table) else [op]


def _without_attributes(handler: Callable[..., Any]) -> Callable[..., Any]:
    def read(*given: Any) -> Any:
        found = handler(*given)
        meaning = getattr(found, "meaning", found)
        assert isinstance(meaning, Apply)
        bare = replace(meaning, attrs=())
        if found is meaning:
            return bare
        found.meaning = bare
        return found

    return read


def _kinds(faults: Any) -> set[str]:
    return {fault.kind for fault in faults}


@pytest.mark.parametrize("op", ["LeakyRelu", "Elu", "Shrink", "Gelu", "ArgMax", "Pad", "CumSum"])
def test_a_forgotten_attribute_is_seen(op: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (key,) = _keys(onnx.TABLE, "", op)
    monkeypatch.setitem(onnx.TABLE, key, _without_attributes(onnx.TABLE[key]))
    faults = rows.families(OnnxBench(), nodes("", op)[-1:], onnx_nodes.variants)
    assert {"confused", "no form"} & _kinds(faults)


@pytest.mark.parametrize("op", ["leaky_relu", "gelu", "softplus", "slice", "constant_pad_nd"])
def test_a_forgotten_argument_is_seen(op: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (key,) = _keys(aten.TABLE, "aten", op)
    monkeypatch.setitem(aten.TABLE, key, _without_attributes(aten.TABLE[key]))
    faults = rows.families(aten_bench.AtenBench(), calls(op)[:1], aten_nodes.variants)
    assert {"confused", "no form"} & _kinds(faults)


def test_a_wrong_function_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sum that is read as a mean: written back it is another operator."""
    (key,) = _keys(onnx.TABLE, "", "ReduceSum")
    handler = onnx.TABLE[key]

    def read(*given: Any) -> Any:
        return replace(handler(*given), fn="mean")

    monkeypatch.setitem(onnx.TABLE, key, read)
    (mean,) = _keys(onnx.TABLE, "", "ReduceMean")
    assert mean in onnx.TABLE
    node = s("ReduceSum", f(2, 3, 4), axes=[1], opset=11)
    setting = next(iter(onnx_bench.settings(node)))
    form = OnnxBench().forms(node, setting.model)[1]
    other = next(iter(onnx_bench.settings(replace(node, op="ReduceMean"))))
    assert form == OnnxBench().forms(node, other.model)[1]


def _global_lp_pool(reader: Any, node: Any, given: Any) -> Any:
    rank = len(reader.shape(node.inputs[0]))
    return meanings.reduce(f"l{given.integer('p', 2)}", rank, range(2, rank), keep=True)


def _quick_gelu(reader: Any, node: Any, given: Any) -> Any:
    rank = len(reader.shape(node.inputs[0]))
    return meanings.pointwise("quickgelu", [rank], (given.number("alpha", 1.702),))


@pytest.mark.parametrize(
    ("domain", "op", "handler"),
    [("", "GlobalLpPool", _global_lp_pool), ("com.microsoft", "QuickGelu", _quick_gelu)],
)
def test_a_new_row_moves(
    domain: str, op: str, handler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in _keys(onnx.TABLE, domain, op):
        monkeypatch.setitem(onnx.TABLE, key, handler)
    node = s(op, f(2, 4, 3, 5), domain=domain, opset=21)
    faults, stay = rows.moves(
        OnnxBench(), [node], onnx_bench.settings, lambda node: (), lambda node: ()
    )
    faults = [fault for fault in faults if fault.kind != "unproved"]
    faults += [rows.Fault("stays", f"{n}", "its layout never moves") for n in stay]
    said = rows.judged(f"added {op}", faults, "", KNOWN)
    assert not said, "\n".join(said)
