"""The layer ``structure``: equal canonical forms mean equal functions, at any size.

The canonical form (`onebyone.axes.canonical`) hashes each value without its layout. Equal output
hashes prove the models equal over the reals. Unequal ones prove nothing by themselves, so this
layer never says that models differ: it says where the forms part, and other layers bring witnesses.
"""

from __future__ import annotations

import time
from typing import Any

from onebyone.certify.certificate import Layer, Verdict
from onebyone.dialects.onnx.program import Form, Program


def check(a: Program, b: Program) -> Layer:
    """Compare the canonical forms of two models."""
    start = time.monotonic()
    try:
        first, second = a.form(), b.form()
    # Whatever a strange file does to the lift, the other layers can still answer.
    except Exception as error:
        text = f"the canonical form could not be computed: {type(error).__name__}: {error}"
        return Layer("structure", Verdict.UNDECIDED, text, seconds=time.monotonic() - start)
    layer = _compare(first, second)
    return Layer(
        layer.name, layer.verdict, layer.summary, layer.evidence, None, time.monotonic() - start
    )


def _compare(first: Form, second: Form) -> Layer:
    shared = len(first.values.keys() & second.values.keys())
    evidence: dict[str, Any] = {
        "outputs": [list(first.outputs), list(second.outputs)],
        "values": [len(first.values), len(second.values)],
        "values_in_both": shared,
        "taken_as_they_are": sorted({*first.opaque, *second.opaque}),
    }
    if not first.outputs:
        return Layer("structure", Verdict.UNDECIDED, "the models have no outputs", evidence)
    if first.outputs == second.outputs:
        text = f"{len(first.outputs)} outputs have the same canonical form, {shared} values in all"
        return Layer("structure", Verdict.PROVED, text, evidence)
    theirs, mine = _first_missing(second, first), _first_missing(first, second)
    evidence["first_difference"] = {"first": mine, "second": theirs}
    if theirs is None:
        text = "all values of the second model occur in the first, but not as these outputs"
    else:
        text = f"the forms part at {theirs}"
        text += f" (in the first model: {mine})" if mine else ""
    if evidence["taken_as_they_are"]:
        text += f"; not understood: {', '.join(evidence['taken_as_they_are'])}"
    return Layer("structure", Verdict.UNDECIDED, text, evidence)


def _first_missing(form: Form, other: Form) -> str | None:
    """The first value of ``form`` that ``other`` has not, by the node that makes it."""
    return next((node for key, node in form.values.items() if key not in other.values), None)
