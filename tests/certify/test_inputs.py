"""Drawn inputs: values that decide a branch, a tie or a row of a table are met, not hoped for."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

import onebyone
from onebyone.certify.certificate import Certificate, Verdict
from onebyone.certify.drawing import KINDS, USUAL, distinct, draw
from onebyone.certify.inputs import pair, shapes
from tests.certify.models import Array, model, program, weight

ROWS = np.arange(40, dtype=np.float32).reshape(10, 4)


def verify(signature: str, one: str, other: str, **constants: Array) -> Certificate:
    a, b = (model(signature, body, **constants) for body in (one, other))
    return onebyone.verify(a, b)


IDS = "(int64[2, 6] ids) => (float[2, 6, 4] y)"
# (signature, body of the first, body of the second, constants): different at few values only.
RARE: dict[str, tuple[str, str, str, dict[str, Array]]] = {
    "every row of a table": (
        IDS, "y = Gather (e, ids)", "i = Clip (ids, lo, hi) y = Gather (e, i)",
        {"e": ROWS, "lo": np.array(0), "hi": np.array(8)},
    ),
    "an index compared with a number": (
        "(int64[2, 6] ids) => (float[2, 6] y)",
        "c = Equal (ids, p) f = Where (c, t, z) g = Gather (e, ids) y = Add (f, g)",
        "c = Equal (ids, q) f = Where (c, t, z) g = Gather (e, ids) y = Add (f, g)",
        {"e": ROWS[:, 0], "p": np.array(3), "q": np.array(4), "t": np.array(-9, "f4"),
         "z": np.array(0, "f4")},
    ),
    "negative integers": (
        "(int32[9] n) => (int32[9] y)", "y = Identity (n)", "y = Abs (n)", {},
    ),
    "integers beyond a byte": (
        "(int32[9] n) => (int32[9] y)", "y = Identity (n)", "y = Min (n, t)",
        {"t": np.array(255, np.int32)},
    ),
    "a border of Floor": (
        "(float[3, 4] x) => (float[3, 4] y)",
        "r = Floor (x) c = Less (r, w) y = Where (c, x, z)",
        "r = Floor (x) c = LessOrEqual (r, w) y = Where (c, x, z)",
        {"w": np.array(64, "f4"), "z": np.array(0, "f4")},
    ),
    "a border below zero": (
        "(float[3, 4] x) => (float[3, 4] y)",
        "b = Add (x, h) r = Relu (b) c = Greater (r, z) y = Where (c, x, z)",
        "b = Add (x, h) r = Relu (b) c = GreaterOrEqual (r, z) y = Where (c, x, z)",
        {"h": np.array(50, "f4"), "z": np.array(0, "f4")},
    ),
    "equal to zero": (
        "(float[3, 4] x) => (float[3, 4] y)",
        "c = Equal (x, z) y = Where (c, f, x)", "c = Equal (x, z) y = Where (c, g, x)",
        {"z": np.array(0, "f4"), "f": np.array(-9, "f4"), "g": np.array(-5, "f4")},
    ),
    "ties": (
        "(float[3, 4] x) => (int64[3, 1] y)",
        "r = Relu (x) y = ArgMax <axis = 1, select_last_index = 0> (r)",
        "r = Relu (x) y = ArgMax <axis = 1, select_last_index = 1> (r)", {},
    ),
    "a branch far away": (
        "(float[3, 4] x) => (float[3, 4] y)",
        "s = ReduceSum <keepdims = 0> (x) c = Greater (s, k) e = Exp (x) y = Where (c, x, e)",
        "s = ReduceSum <keepdims = 0> (x) c = Greater (s, k) e = Tanh (x) y = Where (c, x, e)",
        {"k": np.array(-501, "f4")},
    ),
    "a small scale": (
        "(float[4, 9] x) => (float[4, 9] y)",
        "q = Mul (x, x) v = ReduceMean <keepdims = 1> (q, a) e = Add (v, t) s = Sqrt (e)"
        " y = Div (x, s)",
        "q = Mul (x, x) v = ReduceMean <keepdims = 1> (q, a) s = Sqrt (v) e = Add (s, t)"
        " y = Div (x, e)",
        {"a": np.array([1]), "t": np.array(1e-9, "f4")},
    ),
    "parts of an axis": (
        "(float[6, 4] x, int64[2] s) => (float[p, q] y)",
        "a, b = Split <axis = 0> (x, s) y = Slice (a, z, e)",
        "a, b = Split <axis = 0> (x, s) y = Identity (a)", {"z": np.array([0]), "e": np.array([3])},
    ),
    "a flag": (
        "(float[3] x, bool c) => (float[3] y)",
        "y = Where (c, x, x)", "n = Neg (x) y = Where (c, x, n)", {},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", RARE)
def test_a_difference_at_few_values_is_found(case: str) -> None:
    signature, one, other, constants = RARE[case]
    certificate = verify(signature, one, other, **constants)
    assert certificate.exit_code == 1, certificate.to_json()
    # The same pair, equal, stays equal: the draws are no difference of their own.
    assert verify(signature, one, one, **constants).exit_code == 0


def with_default(body: str) -> onnx.ModelProto:
    return model("(float[3, 4] x, float[1] s) => (float[3, 4] y)", body, s=np.zeros(1, "f4"))


def test_an_input_with_a_default_is_given_other_values() -> None:
    one, other = with_default("y = Add (x, s)"), with_default("y = Identity (x)")
    certificate = onebyone.verify(one, other)
    assert certificate.exit_code == 1
    assert onebyone.verify(one, one).exit_code == 0
    assert certificate["rounding"].evidence["draw"] == "other defaults"


def test_a_default_that_became_a_constant_is_no_other_signature() -> None:
    constant = model("(float[3, 4] x) => (float[3, 4] y)", "y = Add (x, s)", s=np.full(1, 2, "f4"))
    kept = model("(float[3, 4] x, float[1] s) => (float[3, 4] y)", "y = Add (x, s)",
                 s=np.full(1, 2, "f4"))  # fmt: skip
    assert onebyone.verify(kept, constant).exit_code == 0


def test_masks_never_hide_a_whole_row() -> None:
    one = program("(int64[3, 8] mask, bool[3, 8] shown) => (int64[3, 8] y)", "y = Neg (mask)")
    ports = pair(one, one)
    shape = next(shapes(ports, {}))
    for kind, attempts in distinct(one, one, ports, shape, {}, 5):
        for values in attempts:
            assert values["mask"].any(axis=1).all(), kind.name
            assert values["shown"].any(axis=1).all(), kind.name


def test_each_draw_is_repeated_by_its_seed_and_no_other() -> None:
    one = program("(float[3, 8] x, int64[9] n) => (float[3, 8] y)", "y = Relu (x)")
    ports = pair(one, one)
    shape = next(shapes(ports, {}))
    for kind in KINDS:
        first, again, other = (
            draw(one, one, ports, shape, {}, seed, kind=kind) for seed in (1, 1, 2)
        )
        assert all(np.array_equal(first[n], again[n]) for n in first)
        if kind.name != "zeros":
            assert not all(np.array_equal(first[n], other[n]) for n in first)


def test_given_inputs_are_taken_as_they_are() -> None:
    one = program("(float[3, 8] x, float[2] z) => (float[3, 8] y)", "y = Relu (x)")
    ports = pair(one, one)
    given = {"x": weight(3, 8)}
    for _, attempts in distinct(one, one, ports, next(shapes(ports, given)), given, 0):
        assert np.array_equal(next(attempts)["x"], given["x"])
    given["z"] = weight(2)
    kinds = [kind for kind, _ in distinct(one, one, ports, next(shapes(ports, given)), given, 0)]
    assert kinds == [USUAL]


def test_nothing_finite_against_a_number_is_a_difference() -> None:
    certificate = verify(
        "(float[8] x) => (float[8] y)", "s = Sqrt (x) y = Mul (s, s)", "y = Relu (x)"
    )
    assert certificate.exit_code != 0
    assert certificate["rounding"].verdict is not Verdict.PROVED


FREE = "(float[n, past, 4] x, float[m, new, 4] z, float[k, {}] t) => (float[a, b, 4] y)"
JOIN = "c = Concat <axis = 1> (x, z) u = Unsqueeze (t, two) y = Add (c, u)"


def test_relations_between_symbols_are_found() -> None:
    signature = FREE.format("total")
    constants = {"two": np.array([2])}
    one = model(signature, JOIN, **constants)
    certificate = onebyone.verify(one, one)
    found = certificate["rounding"]
    assert found.verdict is Verdict.PROVED, found.summary
    assert "total = past + new" in found.evidence["relations"]
    for sizes, _ in found.evidence["draws"]:
        assert sizes["t"][1] == sizes["x"][1] + sizes["z"][1]
    assert any(sizes["x"][1] != sizes["z"][1] for sizes, _ in found.evidence["draws"])
    swapped = model(signature, JOIN.replace("(x, z)", "(z, x)"), **constants)
    assert onebyone.verify(one, swapped).exit_code == 1


# (signature, body of the first, body of the second, constants): alike at some sizes only.
SIZES: dict[str, tuple[str, str, str, dict[str, Array]]] = {
    "height and width swapped": (
        "(float[n, 3, h, w] x) => (float[n, 3, a, b] y)",
        "t = Transpose <perm = [0, 1, 3, 2]> (x) y = Relu (t)", "y = Relu (x)", {},
    ),
    "a batch that is fixed": (
        "(float[n, 7, 8] x) => (float[n, 7, 8] y)",
        "y = Relu (x)", "r = Reshape (x, s) y = Relu (r)", {"s": np.array([2, 7, 8])},
    ),
    "a length up to a constant": (
        "(float[n, s] x) => (float[n, a] y)",
        "c = Slice (x, z, e, o) y = Relu (c)", "y = Relu (x)",
        {"z": np.array([0]), "e": np.array([77]), "o": np.array([1])},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SIZES)
def test_a_difference_at_few_sizes_is_found(case: str) -> None:
    signature, one, other, constants = SIZES[case]
    assert verify(signature, one, other, **constants).exit_code == 1
    assert verify(signature, one, one, **constants).exit_code == 0


def test_a_declared_shape_that_the_run_contradicts_is_noted() -> None:
    one = model("(float[n, 4] x) => (float[1, 4] y)", "y = Relu (x)")
    found = onebyone.verify(one, one)["rounding"]
    assert "y is declared [1, 4] and has [2, 4]" in found.evidence["declared"]["second"]
