"""The FC layers of a model: which there are, in which disguise, why some stay, and their rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase

from onebyone.axes.graph import AxisGraph, Form, Node, Use, Value
from onebyone.axes.natives import Natives
from onebyone.axes.positional import Kind
from onebyone.axes.sizes import product
from onebyone.errors import InputError
from onebyone.layout.contraction import layer_case, roles_of
from onebyone.layout.plan import Plan
from onebyone.layout.targets import Target
from onebyone.lower.places import operand, shape
from onebyone.report import Layer, Status

# Through these a layer is still next to what stands behind them.
_FREE = (Kind.POINTWISE, Kind.ALONG, Kind.AXIS, Kind.REDUCE)


def is_layer(node: Node) -> bool:
    """Whether a node is an FC layer: a sum of products with a constant weight."""
    if node.kind is not Kind.CONTRACT:
        return False
    a, b = node.operands[0], node.operands[1]
    return a is not None and b is not None and a.value.derived != b.value.derived


def native_case(layer: Node) -> str:
    """The case of a layer in its native form: ``pointwise``, ``patch`` or ``whole``."""
    data = operand(layer, roles_of(layer).data)
    return layer_case(layer, data, data.form)


def kept_layers(
    graph: AxisGraph, natives: Natives, target: Target, only: Sequence[str], skip: Sequence[str]
) -> dict[Node, str]:
    """The layers that keep their form, each with the first reason that holds.

    Args:
        graph: the model.
        natives: the dialect's names of layers, and why it cannot convert one.
        target: may refuse layers by name and by class.
        only: patterns; layers that match none of them are kept.
        skip: patterns; layers that match one of them are kept.

    Raises:
        InputError: a pattern matches no layer.
    """
    names = {node: natives.name(node) for node in graph.nodes if is_layer(node)}
    for pattern in (*only, *skip):
        if not any(fnmatchcase(name, pattern) for name in names.values()):
            raise InputError(
                f"no layer's name matches {pattern!r}; `onebyone inspect` lists the names"
            )
    classes = Classes(graph)
    kept: dict[Node, str] = {}
    for node, name in names.items():
        reason = natives.must_keep(node, target.form) or _refused(node, name, target, classes)
        if reason is None and any(fnmatchcase(name, pattern) for pattern in skip):
            reason = "skipped by name"
        if reason is None and only and not any(fnmatchcase(name, pattern) for pattern in only):
            reason = "not selected by name"
        if reason is not None:
            kept[node] = reason
    return kept


def _refused(node: Node, name: str, target: Target, classes: Classes) -> str | None:
    """Why a target leaves a layer as it is."""
    pattern = next((p for p in target.refuse if fnmatchcase(name, p)), None)
    if pattern is not None:
        return f"the target refuses {pattern!r}"
    if not target.refuse_classes:
        return None
    words = (*sorted(classes.of(node)), native_case(node))
    word = next((w for w in words if w in target.refuse_classes), None)
    return None if word is None else f"the target refuses layers of the class {word}"


class Classes:
    """Answers for one graph which classes a layer belongs to, read off the graph, never off names.

    ``attention``: a projection: only element-wise functions and slices lie between it and a
    product of two computed values, before or behind. ``head``: the same between it and an output
    of the model, softmax and reductions allowed, sums of two computed values not. ``grouped``: its
    weight is block diagonal.
    """

    def __init__(self, graph: AxisGraph) -> None:
        self._consumers = graph.consumers()
        self._outputs = {graph.views[tensor].value for tensor in graph.outputs}

    def of(self, layer: Node) -> frozenset[str]:
        """The classes of an FC layer."""
        words: set[str] = set()
        roles = roles_of(layer)
        result = layer.results[0].value
        if roles.batch:
            words.add("grouped")
        near = (
            *self._walk(result, self._readers),
            *self._walk(operand(layer, roles.data).value, _writers),
        )
        if any(map(_is_product, near)):
            words.add("attention")
        if self._is_head(result):
            words.add("head")
        return frozenset(words)

    def _readers(self, value: Value) -> list[Node]:
        return [node for node, _ in self._consumers[value]]

    def _walk(self, start: Value, step: Callable[[Value], list[Node]]) -> Iterator[Node]:
        """The nodes before or behind a value, up to the first that is not free."""
        seen: set[Node] = set()
        stack = step(start)
        while stack:
            node = stack.pop()
            if node in seen:
                continue
            seen.add(node)
            yield node
            if node.kind in _FREE:
                uses = node.results if step == self._readers else node.operands
                stack += [n for use in uses if use for n in step(use.value)]

    def _is_head(self, value: Value) -> bool:
        stack, seen = [value], set[Value]()
        while stack:
            value = stack.pop()
            if value in self._outputs:
                return True
            if value in seen:
                continue
            seen.add(value)
            for node in self._readers(value):
                computed = sum(u is not None and not u.value.derived for u in node.operands)
                if node.kind in _FREE and computed == 1:
                    stack += [use.value for use in node.results]
        return False


def _writers(value: Value) -> list[Node]:
    return [] if value.producer is None else [value.producer]


def _is_product(node: Node) -> bool:
    if node.kind is not Kind.CONTRACT:
        return False
    a, b = node.operands[:2]
    return a is not None and b is not None and not a.value.derived and not b.value.derived


def describe(graph: AxisGraph, natives: Natives, plan: Plan) -> tuple[Layer, ...]:
    """A row for every layer in graph order, and for what only looks like one."""
    rows: list[Layer] = []
    for node in graph.nodes:
        rows += [_row(node, natives, plan)] if is_layer(node) else natives.not_layers(node)
    return tuple(rows)


def is_matrix_product(operator: str) -> bool:
    """Whether ``Layer.before`` or ``Layer.after`` of an FC layer is no convolution."""
    return "conv" not in operator.lower()


def _row(node: Node, natives: Natives, plan: Plan) -> Layer:
    part = roles_of(node)
    x, w, result = operand(node, part.data), operand(node, part.weight), node.results[0]
    variant = plan.forms.nodes[node]
    x_form, w_form = variant.reads[part.data], variant.reads[part.weight]
    operator = natives.operator(node)
    before = _disguise(operator, natives.is_convolution(node), w, w.form)
    after, case = before, layer_case(node, x, x.form)
    status: Status = "unchanged"
    reason = plan.kept.get(node)
    if reason is not None:
        status = "kept"
    elif variant.tag in ("conv", "linear"):
        status, convolves = "converted", variant.tag == "conv"
        after = _disguise(natives.written_as(variant.tag, len(w_form)), convolves, w, w_form)
        case = layer_case(node, x, x_form) if convolves else case
    return Layer(
        name=natives.name(node),
        op=operator,
        case=case,
        before=before,
        after=after,
        input_shape=_shape(x, x.form),
        output_shape=_shape(result, result.form),
        weight_shape=_shape(w, w.form),
        macs=product(node.sizes).known,
        status=status,
        reason=reason,
    )


def _disguise(operator: str, convolves: bool, weight: Use, form: Form) -> str:
    """Operator and kernel, as ``Conv 3x3``."""
    if not convolves:
        return operator
    return f"{operator} {'x'.join(str(size) for size in _shape(weight, form)[2:])}"


def _shape(use: Use, form: Form) -> tuple[int | str, ...]:
    sizes = shape(use.value, form)
    return tuple(str(size) if size.known is None else size.known for size in sizes)
