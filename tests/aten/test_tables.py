"""The tables of the dialects, the writer and the reference stay in step."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import torch

from onebyone.axes import meanings_axis
from onebyone.dialects.aten import semantics as aten_semantics
from onebyone.dialects.aten.read import pointwise
from onebyone.dialects.aten.read import table as aten
from onebyone.dialects.aten.write import express, express_axis
from onebyone.dialects.onnx import semantics
from onebyone.dialects.onnx.read import pointwise as onnx_pointwise
from onebyone.dialects.onnx.read import table as onnx
from onebyone.dialects.onnx.write import express as onnx_express
from onebyone.dialects.onnx.write import express_axis as onnx_express_axis

# Functions that ONNX has no operator for, or that its operators write otherwise.
ATEN_ALONE = {
    "addcdiv", "addcmul", "all", "any", "argmax", "argmin", "atan2", "bitwiseand", "bitwisenot",
    "bitwiseor", "bitwisexor", "erfc", "expm1", "floor_divide", "fmod", "full_like", "hardshrink",
    "hardtanh", "isfinite", "leaky_relu", "lerp", "log10", "log1p", "log2", "log_sigmoid",
    "nan_to_num", "ne", "ones_like", "relu6", "rsqrt", "signbit", "softshrink", "square", "std",
    "threshold", "trunc", "var", "zeros_like",
}  # fmt: skip

# Operators of ONNX that the reference interpreter does not know: the field layer is undecided.
NO_REFERENCE = set(onnx.TABLE) - set(semantics.OPERATORS)

# Functions along axes that one dialect alone names.
ATEN_AXIS = {"causal", "flip", "roll"}


def test_functions_have_the_same_names() -> None:
    """One function, one name: a name of one dialect alone is listed here, with the reason."""
    ours = {fn for fn, _ in pointwise.POINTWISE.values()} | set(pointwise.REDUCE.values())
    theirs = set(onnx_pointwise.POINTWISE.values()) | set(onnx_pointwise.REDUCE.values())
    assert ours - theirs <= ATEN_ALONE
    assert not (ATEN_ALONE & theirs - {"bitwiseand", "bitwisenot", "bitwiseor", "bitwisexor"})


@pytest.mark.parametrize("key", aten.TABLE, ids="::".join)
def test_every_operator_exists(key: tuple[str, str]) -> None:
    space, name = key
    assert hasattr(getattr(torch.ops, space), name), f"torch has no operator {space}::{name}"


def test_what_is_read_along_axes_can_be_written() -> None:
    """Every AXIS function of the vocabulary has an expression in the emitters."""
    functions = _axis_functions(meanings_axis)
    assert functions <= set(express_axis.AXIS) | {"flip", "roll"}
    assert {"flip", "roll"} <= set(express_axis.AXIS)
    assert functions - ATEN_AXIS <= set(onnx_express_axis.AXIS)


def test_reductions_that_are_read_can_be_written() -> None:
    """All but those that have rows of their own: they take one axis, or are told a correction."""
    assert set(pointwise.REDUCE.values()) - set(express.REDUCE) == {"prod", "std", "var"}
    assert set(onnx_pointwise.REDUCE.values()) == set(onnx_express.REDUCE)


def test_the_reference_knows_what_the_dialect_reads() -> None:
    """The field layer evaluates native graphs: nearly all operators that are lifted."""
    assert len(NO_REFERENCE) <= 0.2 * len(onnx.TABLE), sorted(NO_REFERENCE)


def test_the_interpreter_of_programs_knows_what_the_dialect_reads() -> None:
    known = set(aten_semantics.OPERATORS)
    # An arc tangent of two arguments has no name in ONNX; a check yields nothing.
    assert set(aten.TABLE) - known <= {("aten", "_assert_tensor_metadata"), ("aten", "atan2")}


def _axis_functions(module: object) -> set[str]:
    """The names in ``Apply(Kind.AXIS, "name", ...)`` and ``_changed("name", ...)``."""
    tree = ast.parse(Path(module.__file__).read_text())  # type: ignore[attr-defined]
    found = set()
    for call in (n for n in ast.walk(tree) if isinstance(n, ast.Call) and len(n.args) > 1):
        for argument in call.args[:2]:
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                found.add(argument.value)
    assert found
    return found
