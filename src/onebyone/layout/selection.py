"""Which layers keep their form, and why: the dialect's reasons, the target's and the user's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase

from onebyone.axes.graph import AxisGraph, Node
from onebyone.errors import InputError
from onebyone.layout.classes import Classes
from onebyone.layout.targets import Target


def kept_layers(
    graph: AxisGraph,
    names: Mapping[Node, str],
    target: Target,
    only: Sequence[str],
    skip: Sequence[str],
    *,
    reason_of: Callable[[Node], str | None],
    case_of: Callable[[Node], str],
) -> dict[Node, str]:
    """The layers that keep their form, each with the first reason that holds.

    Args:
        graph: the model.
        names: the name of each FC layer.
        target: may refuse layers by name and by class.
        only: patterns; layers that match none of them are kept.
        skip: patterns; layers that match one of them are kept.
        reason_of: why the dialect cannot convert a layer, None where it can.
        case_of: the case of a layer: ``pointwise``, ``patch`` or ``whole``.

    Raises:
        InputError: a pattern matches no layer.
    """
    for pattern in (*only, *skip):
        if not any(fnmatchcase(name, pattern) for name in names.values()):
            raise InputError(
                f"no layer's name matches {pattern!r}; `onebyone inspect` lists the names"
            )
    kept: dict[Node, str] = {}
    classes = Classes(graph)
    for node, name in names.items():
        reason = reason_of(node)
        refused = next((p for p in target.refuse if fnmatchcase(name, p)), None)
        if reason is None and refused is not None:
            reason = f"the target refuses {refused!r}"
        if reason is None and target.refuse_classes:
            own = (*sorted(classes.of(node)), case_of(node))
            word = next((c for c in own if c in target.refuse_classes), None)
            reason = None if word is None else f"the target refuses layers of the class {word}"
        if reason is None and any(fnmatchcase(name, p) for p in skip):
            reason = "skipped by name"
        if reason is None and only and not any(fnmatchcase(name, p) for p in only):
            reason = "not selected by name"
        if reason is not None:
            kept[node] = reason
    return kept
