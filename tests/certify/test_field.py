"""Equal expressions are proved equal, unequal ones are not, and the first difference is named."""

from __future__ import annotations

import numpy as np
import pytest

from onebyone.certify import field
from onebyone.certify.certificate import Finding, Verdict
from onebyone.certify.inputs import pair
from onebyone.certify.residues import pool
from onebyone.dialects.onnx.run.model import OnnxModel
from tests.certify.models import model, program, weight

X = "(float[2, 6, 8] x) => (float[2, 6, n] y)"
IMAGE = "(float[2, 4, 6, 6] x) => (float[2, a, b, c] y)"


def check(a: OnnxModel, b: OnnxModel, seconds: float = 60.0) -> Finding:
    return field.check(a, b, pair(a, b), {}, seconds=seconds)


def bodies(
    one: str, other: str, signature: str = X, opset: int = 20, **constants: object
) -> Finding:
    return check(
        program(signature, one, opset, **constants),  # pyright: ignore[reportArgumentType]
        program(signature, other, opset, **constants),  # pyright: ignore[reportArgumentType]
    )


W, B = weight(8, 8), weight(8, seed=1)
I64 = np.int64
NORM = """
    m = ReduceMean <axes = [-1]> (x)  d = Sub (x, m)  s = Mul (d, d)
    v = ReduceMean <axes = [-1]> (s)  e = Add (v, eps)  r = Sqrt (e)  i = Reciprocal (r)
    n = Mul (d, i)  g = Mul (b, n)  y = Add (b, g)
"""
# (form, another form of the same function, opset, constants)
EQUAL = {
    "bias order": ("m = MatMul (x, w) y = Add (m, b)", "m = MatMul (x, w) y = Add (b, m)", 20),
    "transposed product": (
        "y = MatMul (x, w)",
        "t = Transpose <perm = [0, 2, 1]> (x) v = Transpose (w)"
        "u = MatMul (v, t) y = Transpose <perm = [0, 2, 1]> (u)",
        20,
    ),
    "einsum": ("y = MatMul (x, w)", 'y = Einsum <equation = "bsk,kn->bsn"> (x, w)', 20),
    "distributed": (
        "a = Add (x, b) y = MatMul (a, w)",
        "m = MatMul (x, w) v = MatMul (b, w) y = Add (m, v)",
        20,
    ),
    "norm": ("y = LayerNormalization <epsilon = 0.001> (x, b, b)", NORM, 17),
    "relu": ("y = Relu (x)", "y = Max (x, zero)", 20),
    "clip": ("y = Relu (x)", "y = Clip (x, zero)", 20),
    "silu": ("s = Sigmoid (x) y = Mul (x, s)", "s = Sigmoid (x) y = Mul (s, x)", 20),
    "reciprocal root": (
        "e = Exp (x) s = Sqrt (e) y = Div (x, s)",
        "e = Exp (x) s = Pow (e, mhalf) y = Mul (x, s)",
        20,
    ),
    "key bias": (
        "y = Softmax (x)",
        "s = ReduceMean <axes = [-1]> (x) d = Add (x, s) y = Softmax (d)",
        17,
    ),
    "log softmax": ("y = LogSoftmax (x)", "s = Softmax (x) y = Log (s)", 20),
    "square": ("y = Pow (x, two)", "y = Mul (x, x)", 20),
    "root of a known square": ("y = Div (x, eight)", "r = Sqrt (c64) y = Div (x, r)", 20),
    "double cast": ("y = Identity (x)", "h = Cast <to = 11> (x) y = Cast <to = 1> (h)", 20),
}  # fmt: skip


@pytest.mark.parametrize("name", EQUAL)
def test_equal_forms_are_proved(name: str) -> None:
    one, other, opset = EQUAL[name]
    constants = {
        "w": W, "b": B, "zero": np.zeros((), "f4"), "two": np.array(2, "f4"),
        "mhalf": np.array(-0.5, "f4"), "eps": np.array(0.001, "f4"),
        "eight": np.array(8, "f4"), "c64": np.array(64, "f4"),
    }  # fmt: skip
    answer = bodies(one, other, opset=opset, **constants)
    assert answer.verdict is Verdict.PROVED, answer.summary
    assert answer.evidence["collision_bound"] < 1e-12
    assert len(answer.evidence["primes"]) >= 3


def test_convolutions_are_the_products_that_they_are() -> None:
    w = weight(5, 4, 2, 2)
    one = program(IMAGE, "y = Conv <strides = [2, 2]> (x, w)", w=w)
    shape, out = np.array([2, 4, 3, 2, 3, 2], I64), np.array([2, 3, 3, 16], I64)
    other = program(
        IMAGE,
        "r = Reshape (x, shape) t = Transpose <perm = [0, 2, 4, 1, 3, 5]> (r)"
        "f = Reshape (t, out) m = MatMul (f, v) y = Transpose <perm = [0, 3, 1, 2]> (m)",
        shape=shape, out=out, v=w.reshape(5, 16).T,
    )  # fmt: skip
    assert check(one, other).verdict is Verdict.PROVED
    wrong = program(
        IMAGE,
        "r = Reshape (x, shape) t = Transpose <perm = [0, 2, 4, 1, 5, 3]> (r)"
        "f = Reshape (t, out) m = MatMul (f, v) y = Transpose <perm = [0, 3, 1, 2]> (m)",
        shape=shape, out=out, v=w.reshape(5, 16).T,
    )  # fmt: skip
    answer = check(one, wrong)
    assert answer.verdict is Verdict.DIFFERS


def test_the_first_differing_node_is_named_in_both() -> None:
    one = "m = MatMul (x, w) a = Tanh (m) s = Softmax <axis = 2> (a) y = Relu (s)"
    other = "m = MatMul (x, w) a = Tanh (m) s = Softmax <axis = 1> (a) y = Relu (s)"
    answer = bodies(one, other, w=W)
    assert answer.verdict is Verdict.DIFFERS
    assert answer.witness is not None
    assert (answer.witness.first, answer.witness.second) == ("Softmax 's'", "Softmax 's'")
    assert "axis=1" in answer.witness.why
    assert "axis=2" in answer.witness.why


def test_a_difference_behind_a_comparison_is_not_proved_away() -> None:
    """An argmax keeps little of its operand; the operand itself is compared."""
    signature = "(float[1, 8] x) => (int64[1] y)"
    other = W.copy()
    other[3, 5] = np.nextafter(other[3, 5], np.float32(9))
    body = "m = MatMul (x, w) y = ArgMax <axis = 1, keepdims = 0> (m)"
    answer = check(program(signature, body, w=W), program(signature, body, w=other))
    assert answer.verdict is not Verdict.PROVED


def test_a_rounded_constant_stands_for_its_number_and_is_listed() -> None:
    spelled = "h = Mul (x, c) e = Erf (h) f = Add (e, unit) g = Mul (x, f) y = Mul (g, half)"

    def answer(root: float) -> Finding:
        values = (("c", root), ("unit", 1), ("half", 0.5))
        return bodies("y = Gelu (x)", spelled, **{k: np.array(v, "f4") for k, v in values})

    exact = answer(0.5**0.5)
    assert exact.verdict is Verdict.PROVED
    assert "1 constants: 0.707106769 is 1/sqrt(2)" in exact.summary
    # The next float32 but one is merely near.
    near = np.nextafter(np.nextafter(np.float32(0.5**0.5), np.float32(1)), np.float32(1))
    assert answer(float(near)).verdict is Verdict.UNDECIDED


def test_a_positive_factor_passes_an_extremum_and_a_negative_one_does_not() -> None:
    for factor, verdict in ((2.0, Verdict.PROVED), (-2.0, Verdict.DIFFERS)):
        c = {"c": np.array(factor, "f4")}
        answer = bodies("d = Mul (x, c) y = Relu (d)", "r = Relu (x) y = Mul (r, c)", **c)
        assert answer.verdict is verdict, answer.summary
    answer = bodies("d = Add (x, x) y = Relu (d)", "r = Relu (x) y = Add (r, r)")
    assert answer.verdict is Verdict.PROVED


def test_an_identity_that_hashes_do_not_know_is_undecided() -> None:
    answer = bodies(
        "s = Sin (x) y = Mul (s, s)",
        "c = Cos (x) d = Mul (c, c) y = Sub (unit, d)",
        unit=np.array(1, "f4"),
    )
    assert answer.verdict is Verdict.UNDECIDED


def test_other_functions_that_truly_differ_are_a_difference() -> None:
    answer = bodies("y = Gelu (x)", 'y = Gelu <approximate = "tanh"> (x)')
    assert answer.verdict is Verdict.DIFFERS


def test_what_is_not_understood_is_said() -> None:
    strange = OnnxModel(model(X, "y = acme.Magic (x)", header=', "acme" : 1'))
    answer = check(strange, strange)
    assert answer.verdict is Verdict.UNDECIDED
    assert "acme.Magic" in answer.summary


def test_outputs_without_elements_prove_nothing() -> None:
    empty = program("(float[0, 8] x) => (float[0, 8] y)", "y = MatMul (x, w)", w=W)
    answer = check(empty, empty)
    assert answer.verdict is Verdict.UNDECIDED
    assert "no elements" in answer.summary


def test_the_budget_is_kept() -> None:
    heavy = program("(float[1, 2048] x) => (float[1, 2048] y)", "y = MatMul (x, w)",
                    w=weight(2048, 2048))  # fmt: skip
    answer = check(heavy, heavy, seconds=0.0)
    assert answer.verdict is Verdict.UNDECIDED
    assert "budget" in answer.summary


def test_dynamic_sizes_are_found_that_both_run() -> None:
    signature = "(float[n, 3, h, h] x) => (float[a, b, c, d] y)"
    body = "p = MaxPool <kernel_shape = [32, 32], strides = [32, 32]> (x) y = Relu (p)"
    one = program(signature, body)
    answer = check(one, one)
    assert answer.verdict is Verdict.PROVED
    assert answer.evidence["symbols"]["h"] % 32 == 0


def test_rows_of_a_table_that_no_drawn_index_reads_are_compared() -> None:
    signature = "(int64[1, 2] x) => (float[a, b, c] y)"
    table = weight(5000, 4)
    swapped = table.copy()
    swapped[[7, 4711]] = swapped[[4711, 7]]
    one, other = (program(signature, "y = Gather (t, x)", t=t) for t in (table, swapped))
    assert check(one, one).verdict is Verdict.PROVED
    answer = check(one, other)
    assert answer.verdict is not Verdict.PROVED
    turned = program(signature, "y = Gather <axis = 0> (u, x) u = Transpose (t)", t=table.T)
    turned.model.graph.sort()
    assert check(one, turned).verdict is Verdict.PROVED


def test_a_branch_that_an_input_chooses_is_not_proved_by_the_other() -> None:
    text = """
        t = If (c) <then_branch = p () => (float[3] v) { v = Neg (x) },
                    else_branch = q () => (float[3] w) { w = %s (x) }>
        y = Identity (t)
    """
    signature = "(float[3] x, bool c) => (float[3] y)"
    for on in (True, False):
        one, other = (program(signature, text % op) for op in ("Abs", "Relu"))
        answer = field.check(one, other, pair(one, other), {"c": np.array(on)})
        assert answer.verdict is not Verdict.PROVED


FLOATS = "(float[3, 4] x, float[3, 4] z) => (float[3, 4] y)"
WHOLE = "(int64[3, 4] x, int64[3, 4] z) => (bool[3, 4] y)"
FOUR, FIVE = np.array(4, I64), np.array(5, I64)


@pytest.mark.parametrize(
    ("one", "other", "signature", "equal"),
    [
        ("y = Greater (x, z)", "y = Less (z, x)", WHOLE, True),
        ("y = Greater (x, z)", "y = GreaterOrEqual (x, z)", WHOLE, False),
        ("y = Greater (x, four)", "y = GreaterOrEqual (x, five)", WHOLE, True),
        ("y = Greater (x, four)", "y = Greater (x, five)", WHOLE, False),
        ("a = Greater (x, z) y = And (a, a)", "y = Greater (x, z)", WHOLE, True),
        ("c = Greater (x, z) y = Where (c, x, z)", "y = Max (x, z)", FLOATS, True),
        (
            "c = Greater (x, z) y = Where (c, x, z)",
            "c = GreaterOrEqual (x, z) y = Where (c, x, z)", FLOATS, True,
        ),
        (
            "c = Greater (x, z) y = Where (c, x, unit)",
            "c = GreaterOrEqual (x, z) y = Where (c, x, unit)", FLOATS, False,
        ),
        ("c = IsNaN (x) y = Where (c, unit, x)", "y = Identity (x)", FLOATS, False),
        ("f = Floor (x) y = Floor (f)", "y = Floor (x)", FLOATS, True),
        ("f = Floor (x) y = Ceil (x)", "y = Floor (x)", FLOATS, False),
        ("h = Cast <to = 10> (x) y = Cast <to = 1> (h)", "y = Identity (x)", FLOATS, False),
        ("a = Max (x, z) y = Max (a, unit)", "y = Max (unit, x, z)", FLOATS, True),
        ("a = Relu (x) y = Clip (a, zero, six)", "y = Clip (x, zero, six)", FLOATS, True),
        ("a = Min (x, six) y = Max (a, zero)", "y = Clip (x, zero, six)", FLOATS, True),
    ],
)  # fmt: skip
def test_choices_and_predicates(one: str, other: str, signature: str, equal: bool) -> None:
    constants = {
        "four": FOUR, "five": FIVE, "unit": np.array(1, "f4"), "zero": np.array(0, "f4"),
        "six": np.array(6, "f4"),
    }  # fmt: skip
    used = {k: v for k, v in constants.items() if k in (one + other).replace("(", " ")}
    answer = bodies(one, other, signature, **used)
    assert (answer.verdict is Verdict.PROVED) == equal, answer.summary


def test_every_row_of_a_table_of_integers_is_seen() -> None:
    signature = "(int64[2, 3] i) => (int64[2, 3] y)"
    table = np.arange(500)
    other = table.copy()
    other[311] = 7
    body = "y = Gather (w, i)"
    one = program(signature, body, w=table)
    assert check(one, program(signature, body, w=table.copy())).verdict is Verdict.PROVED
    assert check(one, program(signature, body, w=other)).verdict is not Verdict.PROVED


def test_a_product_of_all_primes_is_undecided() -> None:
    """It is zero modulo each of them, and so is the difference to nothing."""
    signature = "(float[2] x) => (float[2] y)"
    primes = pool().astype("f4")
    product = program(signature, "p = ReduceProd (w) y = Mul (x, p)", 13, w=primes)
    nothing = program(signature, "y = Mul (x, n)", 13, n=np.zeros(1, "f4"))
    answer = check(product, nothing)
    assert answer.verdict is Verdict.UNDECIDED
    assert "draws of primes" in answer.summary


def test_a_root_of_a_root_squared_is_the_root() -> None:
    scores = "a = Mul (x, c) b = Mul (z, c) t = Transpose <perm = [1, 0]> (b) y = MatMul (a, t)"
    whole = "t = Transpose <perm = [1, 0]> (z) m = MatMul (x, t) y = Mul (m, c)"
    signature = "(float[3, 4] x, float[3, 4] z) => (float[3, 3] y)"
    one = program(signature, scores, c=np.array(12**-0.25, "f4"))
    answer = check(one, program(signature, whole, c=np.array(12**-0.5, "f4")))
    assert answer.verdict is Verdict.PROVED, answer.summary
    assert "1/sqrt(12)" in answer.summary


def test_a_number_that_hides_scores_may_do_nothing_else() -> None:
    """Minus infinity and the lowest number are one mask, and two outputs."""
    lowest = np.array(np.finfo("f4").min, "f4")
    hidden = np.array([[0, 1, 0, 0]], bool)
    mask = "m = Where (h, f, x) y = Softmax (m)"
    shown = "y = Where (h, f, x)"
    signature = "(float[3, 4] x) => (float[3, 4] y)"
    for body, verdict in ((mask, Verdict.PROVED), (shown, Verdict.UNDECIDED)):
        one = program(signature, body, h=hidden, f=np.array(-np.inf, "f4"))
        answer = check(one, program(signature, body, h=hidden, f=lowest))
        assert answer.verdict is verdict, answer.summary
