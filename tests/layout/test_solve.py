"""Laws of the solver, and of moves between orders."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onebyone.layout import solve as solver
from onebyone.layout.form_rules import block_form, permuted
from onebyone.layout.solve import Choice, Problem, Variant, solve

# States are numbers here, costs small integers: sums are exact.
_STATES = st.integers(0, 2)


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """A few nodes in a row: each reads values before it and writes one or two of its own."""
    problem = Problem()
    values = 0
    for _ in range(draw(st.integers(1, 2))):
        problem.given[values] = draw(_STATES)
        values += 1
    for _ in range(draw(st.integers(1, 5))):
        reads = draw(st.lists(st.integers(0, values - 1), min_size=1, max_size=3))
        operands = tuple(draw(st.sampled_from([v, v, v, None])) for v in reads)
        results = tuple(range(values, values + draw(st.integers(0, 2))))
        values += len(results)
        variants = [
            Variant(
                "",
                tuple(draw(st.one_of(st.none(), _STATES)) for _ in operands),
                tuple(draw(_STATES) for _ in results),
                float(draw(st.integers(0, 5))),
            )
            for _ in range(draw(st.integers(1, 3)))
        ]
        problem.choices.append(Choice(variants, operands, results))
    for value in range(values):
        problem.price[value] = float(draw(st.integers(0, 6)))
    return problem


def total(problem: Problem, picked: Sequence[int]) -> float:
    """The cost by its definition: variants, and each state in which a value is read, unwritten."""
    have: dict[int, set[Any]] = {value: {state} for value, state in problem.given.items()}
    cost = 0.0
    for choice, k in zip(problem.choices, picked, strict=True):
        variant = choice.variants[k]
        cost += variant.cost
        for value, state in zip(choice.operands, variant.reads, strict=True):
            if value is not None and state is not None and state not in have[value]:
                have[value].add(state)
                cost += problem.price[value]
        for value, state in zip(choice.results, variant.writes, strict=True):
            have[value] = {state}
    return cost


def brute_force(problem: Problem) -> float:
    ranges = [range(len(choice.variants)) for choice in problem.choices]
    return min(total(problem, picked) for picked in itertools.product(*ranges))


@given(problems())
@settings(max_examples=150, deadline=None)
def test_the_solution_is_the_best_there_is(problem: Problem) -> None:
    solution = solve(problem)
    best = brute_force(problem)
    assert total(problem, solution.picked) == solution.cost
    assert solution.cost == best
    # HiGHS works in floating point, to 1e-6.
    assert solution.cost - 1e-5 <= solution.bound <= solution.cost


@given(problems())
@settings(max_examples=100, deadline=None)
def test_local_search_is_a_solution_and_never_better(problem: Problem) -> None:
    search = solver._LocalSearch(problem)  # pyright: ignore[reportPrivateUsage]
    picked = search.run()
    assert search.total(picked) == total(problem, picked)
    assert solve(problem).cost <= search.total(picked)


def test_without_time_the_local_search_stands_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two nodes that each would like the other's state: the gap is told."""
    problem = Problem(price={0: 4.0, 1: 4.0}, given={0: "a"})
    first = Choice([Variant("", ("a",), ("a",), 0.0), Variant("", ("a",), ("b",), 1.0)], (0,), (1,))
    last = Choice([Variant("", ("b",), ())], (1,), ())
    problem.choices += [first, last]
    monkeypatch.setattr(solver, "_milp", lambda problem, seconds: (None, 0.25))
    solution = solve(problem)
    assert solution.cost == total(problem, solution.picked) == 1.0
    assert solution.bound == 0.25
    assert solution.gap == 0.75


orders = st.integers(1, 5).flatmap(
    lambda n: st.tuples(*(st.permutations(range(n)) for _ in range(3)))
)


def move(array: Any, sizes: Sequence[int], source: Sequence[int], target: Sequence[int]) -> Any:
    """An array in one order of axes brought into another as the writer does it: in blocks."""
    form = block_form(tuple(source), tuple(target))
    result = permuted(form, tuple(target))
    assert result is not None
    shape = [math.prod(sizes[axis] for axis in group) for group in form]
    return array.reshape(shape).transpose([form.index(group) for group in result]).reshape(-1)


@given(orders)
def test_moves_form_a_group(found: tuple[list[int], ...]) -> None:
    """Closed under composition, with a neutral element and inverses, and each is what it says."""
    first, second, third = found
    sizes = [2, 3, 5, 7, 4][: len(first)]
    start = np.arange(math.prod(sizes))
    there = move(start, sizes, first, second)
    plain = start.reshape([sizes[a] for a in first]).transpose([first.index(a) for a in second])
    np.testing.assert_array_equal(there, plain.reshape(-1))
    np.testing.assert_array_equal(move(start, sizes, first, first), start)
    np.testing.assert_array_equal(move(there, sizes, second, first), start)
    np.testing.assert_array_equal(
        move(there, sizes, second, third), move(start, sizes, first, third)
    )


@given(orders)
def test_blocks_are_as_coarse_as_can_be(found: tuple[list[int], ...]) -> None:
    source, target, _ = found
    form = block_form(tuple(source), tuple(target))
    assert [axis for group in form for axis in group] == source
    follows = dict(itertools.pairwise(target))
    assert all(follows.get(a[-1]) != b[0] for a, b in itertools.pairwise(form))
