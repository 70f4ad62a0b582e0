"""The layer ``structure``: equal canonical forms mean equal functions, at any size.

The canonical form (`onebyone.axes.canonical`) hashes each value without its layout. Equal output
hashes prove the models equal over the reals, at every size from 1 on at which the first runs,
unless the second may fail there. Unequal ones prove nothing by themselves, so this layer never says
that models differ: it says where the forms part, and other layers bring witnesses.
"""

from __future__ import annotations

import time
from typing import Any

from onebyone.certify import locate
from onebyone.certify.certificate import Finding, Verdict
from onebyone.dialects.protocol import CanonicalForm, Model


def check(a: Model, b: Model) -> Finding:
    """Compare the canonical forms of two models."""
    start = time.monotonic()
    try:
        by_position = a.positional or b.positional
        first, second = (model.form(by_position=by_position) for model in (a, b))
    # Whatever a strange file does to the lift, the other layers can still answer.
    except Exception as error:
        text = f"the canonical form could not be computed: {type(error).__name__}: {error}"
        return Finding("structure", Verdict.UNDECIDED, text, seconds=time.monotonic() - start)
    layer = _compare(a, b, first, second)
    return Finding(
        layer.name, layer.verdict, layer.summary, layer.evidence, None, time.monotonic() - start
    )


def _compare(a: Model, b: Model, first: CanonicalForm, second: CanonicalForm) -> Finding:
    shared = len(set(first.values.values()) & set(second.values.values()))
    evidence: dict[str, Any] = {
        "outputs": [list(first.outputs), list(second.outputs)],
        "values": [len(set(form.values.values())) for form in (first, second)],
        "values_in_both": shared,
        "taken_as_they_are": sorted({*first.opaque, *second.opaque}),
        "assumed": _assumed(first, second),
    }
    if not first.outputs:
        return Finding("structure", Verdict.UNDECIDED, "the models have no outputs", evidence)
    if first.outputs == second.outputs:
        added = [op for key, op in second.fallible.items() if key not in first.fallible]
        if added:
            text = "the outputs have the same canonical form; the second model may fail where the "
            text += f"first runs: it also computes {', '.join(sorted({*added}))}"
            return Finding("structure", Verdict.UNDECIDED, text, evidence)
        text = f"{len(first.outputs)} outputs have the same canonical form, {shared} values in all"
        if evidence["assumed"]:
            text += f"; only if {' and '.join(evidence['assumed'])}"
            return Finding("structure", Verdict.UNDECIDED, text, evidence)
        return Finding("structure", Verdict.PROVED, text, evidence)
    names = [(p.name, q.name) for p, q in zip(a.inputs, b.inputs, strict=False)]
    where = locate.first_difference(
        locate.Run(first.steps, first.values, [p.name for p in a.outputs]),
        locate.Run(second.steps, second.values, [p.name for p in b.outputs]),
        names,
    )
    evidence["first_difference"] = {"first": where.first, "second": where.second}
    text = f"the forms part at {where.second} (in the first model: {where.first})"
    if evidence["taken_as_they_are"]:
        text += f"; not understood: {', '.join(evidence['taken_as_they_are'])}"
    return Finding("structure", Verdict.UNDECIDED, text, evidence)


def _assumed(first: CanonicalForm, second: CanonicalForm) -> list[str]:
    """What must be so for equal hashes to mean the same, where the models are not written alike."""
    both = {*first.assumed, *second.assumed}
    return sorted(text for text in both if first.assumed.get(text) != second.assumed.get(text))
