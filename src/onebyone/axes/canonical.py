"""The canonical form: a hash of each value that does not depend on layout or form.

Every axis has a name by its provenance: an input's axis by its position, an index by the set of
(operand, axis name) bound to it, a constant's own axis by its order among the constant's own axes.
A node's hash covers its function, the hashes of its operands (sorted where they commute), and the
whole binding of their axes to its indices. So equal hashes mean the same function of the reals,
axis for axis, for every input, up to the order of floating-point sums; names are unique within a
value by construction, which is what makes that sound. Unequal hashes mean nothing by themselves.

Constants are hashed as raw bytes, their axes in canonical order. Linear time, no solver.
"""

from __future__ import annotations

from collections.abc import Mapping

from onebyone.axes.graph import AxisGraph, Node, Use
from onebyone.axes.positional import Kind, Tensor
from onebyone.axes.primitives import PRIMITIVES
from onebyone.axes.sizes import product, words
from onebyone.axes.terms import (
    Canonical,
    Describe,
    Digest,
    Hasher,
    ReadConstant,
    digest,
    given,
)
from onebyone.identity import Geometry


def canonical(
    graph: AxisGraph,
    read: ReadConstant,
    describe: Describe,
    *,
    by_position: bool = False,
    names: Mapping[str, str] | None = None,
) -> Canonical:
    """Hash a graph.

    Args:
        graph: the model.
        read: gives the elements of a constant tensor.
        describe: what a pinned node computes: its native operator's name, and all the rest of it.
        by_position: tell inputs, outputs and symbolic sizes apart by their position instead of
            their name; equal hashes then mean the same function of inputs in that order.
        names: for each symbol that is no input's size a name that tells what computes it.
    """
    hasher = Hasher(graph, read, describe, by_position, names or {})
    heads: list[Digest] = []
    for place, tensor in enumerate(graph.inputs):
        value = graph.views[tensor].value
        hasher.symbols |= {word for size in value.sizes for word in words(size)}
        name = "" if by_position else tensor.name
        shape = None if tensor.shape is None else hasher.named(tensor.shape)
        head = digest("input", place, name, value.dtype, shape)
        hasher.name(value, head)
        heads.append(head)
    for node in graph.nodes:
        _visit(hasher, node)
    # An input that nothing reads must have its shape and type all the same; exporters may drop it.
    demanded = () if by_position else tuple(heads)
    hasher.out.outputs = tuple(_output(hasher, tensor, demanded) for tensor in graph.outputs)
    return hasher.out


def hashes_by_name(graph: AxisGraph, form: Canonical) -> dict[str, Digest]:
    """The hash behind each tensor's name; a value has one, in whatever layout a tensor has it.

    Args:
        graph: the model.
        form: its canonical form.
    """
    return {
        tensor.name: form.terms[view.value].digest
        for tensor, view in graph.views.items()
        if view.value in form.terms
    }


def _visit(hasher: Hasher, node: Node) -> None:
    if node.kind in (Kind.OPAQUE, Kind.WINDOW, Kind.SIZES):
        _pinned(hasher, node)
        return
    rule = PRIMITIVES.get(node.kind)
    assert rule is not None
    for number, use in enumerate(node.results):
        contents = hasher.contents(use)
        if contents is not None:
            hasher.name(use.value, hasher.told(contents, use.value.dtype))
        else:
            hasher.out.terms[use.value] = rule(hasher, node, number)
    if node.demanding or (node.fn == "gather" and not _finds(hasher, node)):
        hasher.out.fallible[hasher.term(node.results[0].value).digest] = node.fn
    _record(hasher, node)


def _pinned(hasher: Hasher, node: Node) -> None:
    window = next((a for a in node.attrs if isinstance(a, Geometry)), None)
    operator, what = hasher.described(node) if window is None else ("convolution", window)
    head = digest((operator, what), *(hasher.placed(use) for use in given(node.operands)))
    # Arithmetic with sizes that are known never fails.
    computes = any(use.value.tensor.contents is None for use in node.results)
    if node.kind is not Kind.SIZES and computes:
        hasher.out.fallible[head] = operator
        if node.kind is Kind.OPAQUE:
            hasher.out.opaque.append(operator)
    for number, use in enumerate(node.results):
        contents = hasher.contents(use)
        if contents is not None:
            hasher.name(use.value, hasher.told(contents, use.value.dtype))
        else:
            hasher.name(use.value, digest(head, number))
    _record(hasher, node)


def _finds(hasher: Hasher, node: Node) -> bool:
    """Whether a gather finds all that it looks for, whatever the inputs are."""
    picked = node.operands[1]
    contents = None if picked is None else picked.value.tensor.contents
    size = product([node.sizes[index] for group in node.axis_in[0] for index in group]).known
    most = 1 if size is None else size
    places = [] if contents is None else [place.known for place in contents]
    return bool(places) and all(p is not None and -most <= p < most for p in places)


def _record(hasher: Hasher, node: Node) -> None:
    for use in node.results:
        hasher.out.names.setdefault(hasher.out.terms[use.value].digest, use.value.tensor.name)


def _output(hasher: Hasher, tensor: Tensor, demanded: tuple[Digest, ...]) -> Digest:
    view = hasher.graph.views[tensor]
    name = "" if hasher.by_position else tensor.name
    return digest(name, hasher.placed(Use(view.value, (), view.form)), demanded)
