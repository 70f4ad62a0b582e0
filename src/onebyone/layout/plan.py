"""The layout plan: one variant a node, and the moves that remain. Pure data."""

from __future__ import annotations

from dataclasses import dataclass

from onebyone.axes.graph import AxisGraph, Form, Node, Order, Value, order_of
from onebyone.axes.natives import Natives
from onebyone.axes.sizes import Size, product
from onebyone.layout.calls import collapsed, settle, staying
from onebyone.layout.contraction import batch_axes
from onebyone.layout.cost import move_cost, size_in_bytes
from onebyone.layout.form_candidates import Move
from onebyone.layout.forms import Formed, choose_forms
from onebyone.layout.orders import Orders
from onebyone.layout.solve import Choice, Problem, Solution, Variant, solve
from onebyone.layout.targets import Target
from onebyone.layout.variants import native, variants
from onebyone.report import Region


@dataclass(frozen=True)
class Plan:
    """What to do with each node.

    Attributes:
        graph: the axis graph that is planned, calls that stay in one node.
        target: for which target.
        orders: the variant of each node as orders of axes.
        forms: the variant of each node and move as forms.
        solution: cost and bound of the first stage, in bytes moved.
        kept: FC layers that keep their form, with the reason.
    """

    graph: AxisGraph
    target: Target
    orders: dict[Node, Variant]
    forms: Formed
    solution: Solution
    kept: dict[Node, str]


def make_plan(
    graph: AxisGraph,
    target: Target,
    natives: Natives,
    kept: dict[Node, str],
    *,
    seconds: float = 20.0,
) -> Plan:
    """Choose orders, then forms.

    Args:
        graph: the model.
        target: costs and the wanted form.
        natives: answers questions about native nodes.
        kept: FC layers that must keep their form.
        seconds: time limit of the solver; a smaller gap may be left where it strikes.
    """
    stage = _stage(graph, target, natives, kept, seconds * 0.7)
    if graph.calls:
        stage = _with_calls(stage, target, natives, kept, seconds * 0.7)
    shown, picked = stage.graph, stage.picked
    settle(shown)
    moves = _moves(shown, picked)
    formed = choose_forms(shown, stage.orders, picked, moves, seconds * 0.3)
    for node in graph.nodes:
        if node not in picked:
            # Within a call that stays: it is as it was.
            forms = tuple(None if use is None else use.form for use in node.operands)
            written = tuple(use.form for use in node.results)
            formed.nodes[node] = Variant(native(node).tag, forms, written)
    return Plan(shown, target, picked, formed, stage.solution, kept)


@dataclass(frozen=True)
class _Stage:
    """The first stage: an order of axes for every value where it is written and read."""

    graph: AxisGraph
    orders: Orders
    picked: dict[Node, Variant]
    solution: Solution


def _stage(
    graph: AxisGraph, target: Target, natives: Natives, kept: dict[Node, str], seconds: float
) -> _Stage:
    orders = Orders(graph, target, batch_axes(graph), kept, natives)
    options = [variants(orders, node) for node in graph.nodes]
    solution = solve(_order_problem(graph, target, options), seconds=seconds, negligible=1.0)
    picked = {
        node: candidates[k]
        for node, candidates, k in zip(graph.nodes, options, solution.picked, strict=False)
    }
    return _Stage(graph, orders, picked, solution)


def _with_calls(
    free: _Stage, target: Target, natives: Natives, kept: dict[Node, str], seconds: float
) -> _Stage:
    """The cheapest plan in which calls stay; of equal ones that with the most calls."""
    sets = staying(
        free.graph,
        free.picked,
        changes=lambda node: not _keeps_form(node, free.picked[node], natives),
        price=lambda value: move_cost(value, target),
    )
    stages: list[_Stage] = []
    for calls in sets:
        shown = collapsed(free.graph, calls)
        undo = settle(shown)
        stages.append(_stage(shown, target, natives, kept, seconds))
        undo()
    # The first has the most calls; a solver's rounding is no reason to spell one out.
    return min(stages, key=lambda stage: round(stage.solution.cost))


def _keeps_form(node: Node, variant: Variant, natives: Natives) -> bool:
    """Whether a layer stays the convolution, or the matrix product, that it is."""
    if variant.tag == "conv":
        return natives.is_convolution(node)
    return variant.tag != "linear" or natives.is_linear(node)


def _order_problem(graph: AxisGraph, target: Target, options: list[list[Variant]]) -> Problem:
    problem = Problem()
    for node, candidates in zip(graph.nodes, options, strict=True):
        problem.choices.append(
            Choice(
                candidates,
                tuple(
                    None if use is None or use.value.constant else use.value.number
                    for use in node.operands
                ),
                tuple(use.value.number for use in node.results),
            )
        )
    for tensor in graph.outputs:
        view = graph.views[tensor]
        if not view.value.constant:
            pin = Variant("output", (order_of(view.form),), ())
            problem.choices.append(Choice([pin], (view.value.number,), ()))
    for value in graph.values:
        problem.price[value.number] = move_cost(value, target)
        if value.producer is None:
            problem.given[value.number] = order_of(value.native)
    return problem


def _moves(graph: AxisGraph, picked: dict[Node, Variant]) -> list[Move]:
    """Every order in which a value is read and not written, once each."""
    written = {
        use.value: order
        for node, variant in picked.items()
        for use, order in zip(node.results, variant.writes, strict=True)
    }
    wanted: dict[tuple[Value, tuple[int, ...]], None] = {}
    for node in graph.nodes:
        for use, order in zip(node.operands, picked[node].reads, strict=True):
            if use is not None and order is not None and not use.value.constant:
                wanted[(use.value, order)] = None
    for tensor in graph.outputs:
        view = graph.views[tensor]
        if not view.value.constant:
            wanted[(view.value, order_of(view.form))] = None
    moves: list[Move] = []
    for value, order in wanted:
        source = written.get(value, order_of(value.native))
        if source != order:
            moves.append(Move(value, source, order))
    return moves


def remaining_moves(plan: Plan) -> tuple[Region, ...]:
    """The moves of a plan, described for people."""
    regions: list[Region] = []
    readers: dict[tuple[Value, Order], set[str]] = {}
    for node, picked in plan.orders.items():
        for use, order in zip(node.operands, picked.reads, strict=True):
            if use is not None and order is not None:
                readers.setdefault((use.value, order), set()).add(node.fn)
    for move, variant in plan.forms.moves:
        sizes = move.value.sizes

        def shape(form: Form, sizes: tuple[Size, ...] = sizes) -> tuple[str, ...]:
            return tuple(str(product([sizes[axis] for axis in group])) for group in form)

        producer = move.value.producer
        before = "input" if producer is None else producer.fn
        after = sorted(readers.get((move.value, move.target), ()))
        regions.append(
            Region(
                value=move.value.tensor.name,
                between=f"{before} -> {', '.join(after) or 'output'}",
                source=shape(variant.reads[0]),
                target=shape(variant.writes[0]),
                bytes=size_in_bytes(move.value),
            )
        )
    return tuple(regions)


def transposes_before(graph: AxisGraph) -> list[int]:
    """Bytes of each native node that changes the order of a computed value's axes."""
    transposed: list[int] = []
    for relayout in graph.relayouts:
        if relayout.calls:
            continue  # a call hides it
        source, target = graph.views[relayout.source], graph.views[relayout.target]
        if order_of(source.form) != order_of(target.form) and not source.value.constant:
            transposed.append(size_in_bytes(source.value))
    return transposed
