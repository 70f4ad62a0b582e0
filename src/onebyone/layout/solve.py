"""Choose one variant a node so that variants and conversions between states cost least.

A *state* is how a value is laid out: an order of its axes in the first stage of planning, a form
(an order cut into positions) in the second. A value that is read in a state in which its producer
does not write it must be converted, once for each such state. This is a facility-location
problem; HiGHS solves it exactly through ``scipy.optimize.milp``, and a local search gives a start
and a fallback.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

State = Hashable


@dataclass(frozen=True)
class Variant:
    """One way to run a node.

    Attributes:
        tag: its name, for the writer.
        reads: the state demanded of each operand; None where any state will do.
        writes: the state of each result.
        cost: its own cost.
        detail: data for the writer.
    """

    tag: str
    reads: tuple[Any, ...]
    writes: tuple[Any, ...]
    cost: float = 0.0
    detail: Any = None


@dataclass
class Choice:
    """A node of the problem: its variants, and the values it reads and writes (by number).

    Operands that cost nothing to convert (constants) are None.
    """

    variants: list[Variant]
    operands: tuple[int | None, ...]
    results: tuple[int, ...]


@dataclass
class Problem:
    """Nodes, the given states of inputs, and the price of converting each value."""

    choices: list[Choice] = field(default_factory=list[Choice])
    given: dict[int, State] = field(default_factory=dict[int, State])
    price: dict[int, float] = field(default_factory=dict[int, float])


@dataclass(frozen=True)
class Solution:
    """The variant of each node, the total cost, and a lower bound on any solution's cost."""

    picked: tuple[int, ...]
    cost: float
    bound: float

    @property
    def gap(self) -> float:
        """Relative distance to the bound; 0 where the solution is proven optimal."""
        return 0.0 if self.cost <= self.bound else (self.cost - self.bound) / max(self.cost, 1e-12)


def solve(problem: Problem, *, seconds: float = 10.0, negligible: float = 0.0) -> Solution:
    """The best solution found within about ``seconds``; exact unless the limit strikes.

    A start that costs ``negligible`` or less is taken as it is: it breaks ties, no more.
    """
    start = time.monotonic()
    local = _LocalSearch(problem)
    best = local.run()
    cost = local.total(best)
    if cost <= negligible:
        return Solution(tuple(best), cost, cost)
    left = max(seconds - (time.monotonic() - start), 0.1)
    exact, bound = _milp(problem, left)
    if exact is not None and (exact_cost := local.total(exact)) <= cost + 1e-9:
        best, cost = exact, exact_cost
    return Solution(tuple(best), cost, min(bound, cost))


class _LocalSearch:
    """Coordinate descent from the cheapest variant of each node, forwards and backwards."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.writer: dict[int, tuple[int, int]] = {}
        self.readers: dict[int, list[tuple[int, int]]] = {}
        for number, choice in enumerate(problem.choices):
            for place, value in enumerate(choice.results):
                self.writer[value] = (number, place)
            for place, value in enumerate(choice.operands):
                if value is not None:
                    self.readers.setdefault(value, []).append((number, place))

    def total(self, picked: Sequence[int]) -> float:
        """The cost of a solution."""
        choices = self.problem.choices
        cost = sum(choice.variants[k].cost for choice, k in zip(choices, picked, strict=True))
        for value, readers in self.readers.items():
            wanted = {choices[n].variants[picked[n]].reads[place] for n, place in readers}
            cost += self.problem.price[value] * len(wanted - {None, self._written(value, picked)})
        return cost

    def run(self) -> list[int]:
        choices = self.problem.choices
        picked = [
            min(range(len(c.variants)), key=lambda k, c=c: c.variants[k].cost) for c in choices
        ]
        order = list(range(len(choices)))
        for _ in range(12):
            changed = False
            for number in order:
                if len(choices[number].variants) > 1:
                    changed = self._improve(number, picked) or changed
            if not changed:
                break
            order.reverse()
        return picked

    def _written(self, value: int, picked: Sequence[int]) -> State:
        if value in self.writer:
            number, place = self.writer[value]
            return self.problem.choices[number].variants[picked[number]].writes[place]
        return self.problem.given[value]

    def _improve(self, number: int, picked: list[int]) -> bool:
        choice = self.problem.choices[number]
        values = {v for v in (*choice.operands, *choice.results) if v is not None}
        others: dict[int, Counter[State]] = {}
        for value in values:
            counts: Counter[State] = Counter()
            for reader, place in self.readers.get(value, ()):
                if reader != number:
                    variant = self.problem.choices[reader].variants[picked[reader]]
                    counts[variant.reads[place]] += 1
            others[value] = counts
        best, best_cost = picked[number], float("inf")
        for k in (picked[number], *range(len(choice.variants))):
            cost = self._local(number, k, picked, others)
            if cost < best_cost - 1e-12:
                best, best_cost = k, cost
        changed = best != picked[number]
        picked[number] = best
        return changed

    def _local(
        self, number: int, k: int, picked: list[int], others: dict[int, Counter[State]]
    ) -> float:
        choice = self.problem.choices[number]
        variant = choice.variants[k]
        cost = variant.cost
        for value, counts in others.items():
            wanted = set(counts)
            wanted.update(
                variant.reads[place] for place, v in enumerate(choice.operands) if v == value
            )
            if value in choice.results:
                written = variant.writes[choice.results.index(value)]
            else:
                written = self._written(value, picked)
            cost += self.problem.price[value] * len(wanted - {None, written})
        return cost


def _milp(problem: Problem, seconds: float) -> tuple[list[int] | None, float]:
    """The exact solution and a lower bound; None where the limit struck before any was found."""
    import numpy as np
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array

    offsets: list[int] = []
    costs: list[float] = []
    for choice in problem.choices:
        offsets.append(len(costs))
        costs += [variant.cost for variant in choice.variants]
    binaries = len(costs)
    written: dict[tuple[int, State], list[int]] = {}
    for offset, choice in zip(offsets, problem.choices, strict=True):
        for place, value in enumerate(choice.results):
            for k, variant in enumerate(choice.variants):
                written.setdefault((value, variant.writes[place]), []).append(offset + k)
    rows: list[int] = []
    columns: list[int] = []
    entries: list[float] = []
    low: list[float] = []
    high: list[float] = []

    def row(terms: list[tuple[int, float]], lower: float, upper: float) -> None:
        for column, entry in terms:
            rows.append(len(low))
            columns.append(column)
            entries.append(entry)
        low.append(lower)
        high.append(upper)

    moves: dict[tuple[int, State], int] = {}
    for offset, choice in zip(offsets, problem.choices, strict=True):
        row([(offset + k, 1.0) for k in range(len(choice.variants))], 1.0, 1.0)
        for place, value in enumerate(choice.operands):
            if value is None:
                continue
            by_state: dict[State, list[int]] = {}
            for k, variant in enumerate(choice.variants):
                if variant.reads[place] is not None:
                    by_state.setdefault(variant.reads[place], []).append(offset + k)
            for state, readers in by_state.items():
                if problem.given.get(value) == state:
                    continue
                key = (value, state)
                if key not in moves:
                    moves[key] = len(costs)
                    costs.append(problem.price[value])
                terms = [(column, 1.0) for column in readers]
                terms += [(column, -1.0) for column in written.get(key, ())]
                row([*terms, (moves[key], -1.0)], -np.inf, 0.0)
    count = len(costs)
    integrality = np.zeros(count)
    integrality[:binaries] = 1
    result = milp(
        np.asarray(costs),
        integrality=integrality,
        bounds=Bounds(0.0, 1.0),
        constraints=LinearConstraint(
            csr_array((entries, (rows, columns)), shape=(len(low), count)),
            np.asarray(low),  # pyright: ignore[reportArgumentType]
            np.asarray(high),  # pyright: ignore[reportArgumentType]
        ),
        options={"time_limit": seconds, "mip_rel_gap": 0.0},
    )
    bound = getattr(result, "mip_dual_bound", None)
    lower = 0.0 if bound is None else float(bound)
    if result.x is None:
        return None, lower
    picked = [
        int(np.argmax(result.x[offset : offset + len(choice.variants)]))
        for offset, choice in zip(offsets, problem.choices, strict=True)
    ]
    return picked, lower
