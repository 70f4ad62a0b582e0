"""The generator makes what it says; a sample of its pairs fools nobody."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import numpy as np
import pytest

from tests.adversary import collect, feeds, run, truth
from tests.adversary.pairs import Pair, model, vary

# One of so many pairs of a family is certified in the suite; all of them by command.
EACH = 36


def sample(each: int) -> list[Pair]:
    """Every ``each``-th pair of each family."""
    return [p for kind in collect.modules() for p in collect.family(kind)[::each]]


def one(name: str, first: str, second: str, expected: truth.Label) -> Pair:
    """A pair of bodies over one float input."""
    sign = "float[3,4] x => float[3,4] y"
    return Pair(name, "own", model(sign, first), model(sign, second), expected)


def test_there_are_enough_pairs() -> None:
    pairs = collect.everything()
    assert len(pairs) >= 500
    assert sum(p.expected == "equal" for p in pairs) >= 150
    assert sum(p.is_program for p in pairs) >= 100


def test_a_name_is_used_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = one("twice", "y = Neg(x)", "y = Neg(x)", "equal")
    monkeypatch.setattr(collect, "family", lambda kind: (pair,))
    with pytest.raises(ValueError, match="twice"):
        collect.everything.__wrapped__()


@pytest.mark.parametrize("pair", sample(6), ids=lambda p: p.id)
def test_labels_are_the_truth(pair: Pair) -> None:
    truth.check(pair)


def test_a_wrong_label_is_found() -> None:
    with pytest.raises(truth.BadPairError, match="made to be 'equal', but found 'differ'"):
        truth.check(one("a", "y = Ceil(x)", "y = Floor(x)", "equal"))
    with pytest.raises(truth.BadPairError, match="made to be 'differ', but found 'equal'"):
        truth.check(one("b", "y = Relu(x)", "y = Max(x, '0')", "differ"))


def test_what_is_neither_rounding_nor_more_is_refused() -> None:
    near = "y = Mul(x, '1.000008')"
    with pytest.raises(truth.BadPairError, match="neither rounding nor more"):
        truth.check(one("a", "y = Mul(x, '1')", near, "differ"))


def test_a_pair_whose_first_side_never_runs_is_refused() -> None:
    bad = "y = Reshape(x, '[5, 5]i')"
    with pytest.raises(truth.BadPairError, match="runs on 0 feeds"):
        truth.check(one("a", bad, bad, "equal"))


def test_nan_beside_a_number_is_a_difference() -> None:
    truth.check(one("a", "y = Identity(x)", "r = Sqrt(x); y = Mul(r, r)", "differ"))


def test_feeds_meet_constants_ties_and_whole_ranges() -> None:
    sign = "int64[2,6] a, float[n,4] x, bool[3] c => float[n,4] y"
    same = model(sign, "b = Equal(a, '777i'); y = Add(x, '2.5')")
    drawn = list(feeds.draw(Pair("a", "own", same, same, "equal")))
    whole = np.concatenate([f["a"].reshape(-1) for f in drawn])
    assert {776, 777, 778, -777, 2**63 - 1, -(2**63), 2**53 + 1} <= set(whole.tolist())
    assert {f["x"].shape[0] for f in drawn} >= {1, 2, 3, 5}
    reals = np.concatenate([f["x"].reshape(-1) for f in drawn])
    near = reals[np.abs(reals - 2.5) < 1e-5]
    assert {True, False} == set((near == 2.5).tolist())
    assert {bool(f["c"].all()) for f in drawn} == {bool((~f["c"]).all()) for f in drawn}


def test_a_difference_of_one_bit_is_seen_where_results_are_exact() -> None:
    weight = np.ones((4, 4), np.float32)
    near = np.nextafter(weight, np.float32(2))
    made = {"constants": {"w": weight}}
    other = ("y = MatMul(x, w)", {"constants": {"w": near}})
    (pair,) = vary(
        "own", "bit", "float[3,4] x => float[3,4] y", "y = MatMul(x, w)",
        made=made, differ={"bit": other}, exact=True,
    )  # fmt: skip
    truth.check(pair)
    with pytest.raises(truth.BadPairError):
        truth.check(dataclasses.replace(pair, exact=False))


def test_the_table_lists_what_is_wrong() -> None:
    rows = [
        run.Answer("lie", "k", "differ", 0, ""), run.Answer("alarm", "k", "equal", 1, ""),
        run.Answer("open", "k", "equal", 2, ""), run.Answer("dead", "k", "equal", run.DIED, ""),
    ]  # fmt: skip
    text = run.table(rows)
    assert "wrong: 3" in text and "differ→0   k/lie" in text and "equal→died k/dead" in text
    assert "undecided among equal: 1\n  equal→2    k/open" in text


def test_a_false_proof_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    from onebyone.certify import certificate

    monkeypatch.setattr(certificate.Certificate, "exit_code", property(lambda self: 0))
    assert run.answer(one("a", "y = Neg(x)", "y = Abs(x)", "differ")).wrong


class Deadly:
    """What ends the process that receives it."""

    def __reduce__(self) -> tuple[Any, tuple[int]]:
        return os._exit, (1,)


def test_a_process_that_dies_stops_no_other() -> None:
    bad = dataclasses.replace(one("bad", "y = Neg(x)", "y = Neg(x)", "equal"), feeds=[Deadly()])
    good = one("good", "y = Neg(x)", "y = Abs(x)", "differ")
    codes = {a.name: a.code for a in run.answers([bad, good])}
    assert codes == {"bad": run.DIED, "good": 1}


def test_a_sample_fools_nobody() -> None:
    found = list(run.answers(sample(EACH), jobs=2))
    assert not [a for a in found if a.wrong], run.table(found)
