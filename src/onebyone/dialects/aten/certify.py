"""Certify a program against another one, or against the ONNX model that it was exported to."""

from __future__ import annotations

import os
import time
from typing import Any

from onebyone.axes.canonical import Canonical
from onebyone.certify.certificate import Certificate, Layer, Verdict
from onebyone.dialects.aten.files import as_program
from onebyone.dialects.aten.hash import canonical_form
from onebyone.dialects.which import is_program


def verify(a: Any, b: Any) -> Certificate:
    """Compare the canonical forms of two models, at least one of which is a program.

    Inputs and outputs are matched by position. The other layers of a certificate read ONNX models
    only, and say so.

    Raises:
        InputError: a model cannot be read.
    """
    first, second = _form(a), _form(b)
    why = "this layer reads ONNX models only"
    rest = {name: Layer(name, Verdict.UNDECIDED, why) for name in ("weights", "field", "rounding")}
    structure = _structure(first, second)
    return Certificate(
        _label(a), _label(b), (rest["weights"], structure, rest["field"], rest["rounding"])
    )


def _form(model: Any) -> Canonical:
    if is_program(model):
        return canonical_form(as_program(model))
    from onebyone.dialects.onnx.files import as_model
    from onebyone.dialects.onnx.hash import canonical_form as onnx_form

    return onnx_form(as_model(model), by_position=True)


def _structure(first: Canonical, second: Canonical) -> Layer:
    start = time.monotonic()
    shared = len(first.names.keys() & second.names.keys())
    assumed = sorted({*first.assumed, *second.assumed})
    evidence: dict[str, Any] = {
        "outputs": [list(first.outputs), list(second.outputs)],
        "values": [len(first.names), len(second.names)],
        "values_in_both": shared,
        "taken_as_they_are": sorted({*first.opaque, *second.opaque}),
        "assumed": assumed,
    }
    if first.outputs and first.outputs == second.outputs:
        verdict = Verdict.PROVED
        text = f"{len(first.outputs)} outputs have the same canonical form, {shared} values in all"
        text += f"; assumed: {', '.join(assumed)}" if assumed else ""
    else:
        verdict = Verdict.UNDECIDED
        missing = [name for key, name in second.names.items() if key not in first.names]
        text = f"the forms part at {missing[0] if missing else 'the outputs'}"
    return Layer("structure", verdict, text, evidence, None, time.monotonic() - start)


def _label(model: Any) -> str:
    return str(model) if isinstance(model, (str, os.PathLike)) else "model"
