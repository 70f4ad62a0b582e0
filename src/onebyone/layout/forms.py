"""Second stage of planning: how each order is cut into the positions of a tensor.

The first stage has fixed the orders and the moves; what is left costs reshapes, which move
nothing. The same solver chooses.
"""

from __future__ import annotations

from dataclasses import dataclass

from onebyone.axes.graph import AxisGraph, Node, order_of
from onebyone.layout.form_candidates import FormCandidates, Move, Place
from onebyone.layout.orders import Orders
from onebyone.layout.solve import Choice, Problem, Solution, Variant, solve


@dataclass(frozen=True)
class Formed:
    """The second stage's answer: a form variant for each node and each move."""

    nodes: dict[Node, Variant]
    moves: list[tuple[Move, Variant]]
    solution: Solution


def choose_forms(
    graph: AxisGraph,
    orders: Orders,
    picked: dict[Node, Variant],
    moves: list[Move],
    seconds: float,
) -> Formed:
    """Fewest reshapes, then fewest changed nodes.

    Args:
        graph: the model.
        orders: candidate orders, and what the dialect and the target say.
        picked: the first stage's variant of each node.
        moves: the transposes that the first stage left.
        seconds: time limit of the solver.
    """
    forms = FormCandidates(graph, orders, picked, moves)
    problem = Problem()
    numbers: dict[Place, int] = {}

    def number(place: Place | None) -> int | None:
        return None if place is None else numbers.setdefault(place, len(numbers))

    steps: list[Node | Move] = [*graph.nodes, *moves]
    options = [forms.offered[step] for step in steps]
    for step, offered in zip(steps, options, strict=True):
        places = forms.places(step)
        split = len(offered[0].reads)
        problem.choices.append(
            Choice(
                offered,
                tuple(number(p) for p in places[:split]),
                tuple(n for p in places[split:] if (n := number(p)) is not None),
            )
        )
    for tensor in graph.outputs:
        view = graph.views[tensor]
        if not view.value.constant:
            pin = Variant("output", (view.form,), ())
            place = number((view.value, order_of(view.form)))
            problem.choices.append(Choice([pin], (place,), ()))
    for place, n in numbers.items():
        problem.price[n] = orders.target.reshape
        if place[0].producer is None and place[1] == order_of(place[0].native):
            problem.given[n] = place[0].native
    solution = solve(problem, seconds=seconds)
    chosen = [offered[k] for offered, k in zip(options, solution.picked, strict=False)]
    count = len(graph.nodes)
    return Formed(
        nodes=dict(zip(graph.nodes, chosen[:count], strict=True)),
        moves=list(zip(moves, chosen[count:], strict=True)),
        solution=solution,
    )
