"""Weights: one bit, what is pruned or folded, what is exchanged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.adversary.pairs import DTYPES, Pair, model, vary, weight

KIND = "constants"
ROWS = "float[4,8] x => float[4,8] y"
WIDE = "float[3,4] x => float[3,4] y"


def pairs() -> Iterator[Pair]:
    """All pairs of the family."""
    yield from _bits()
    yield from _pruned()
    yield from _folded()
    yield from _exchanged()
    yield from _stored()
    yield from _infinite()


def _held(**arrays: np.ndarray) -> dict[str, Any]:
    return {"constants": arrays}


def _bits() -> Iterator[Pair]:
    """The lowest bit of one element, which no tolerance may swallow."""
    for letter, kind in (("f", "float"), ("d", "double"), ("h", "float16")):
        for text, shape, size in (
            ("y = MatMul(x, w)", (8, 8), 8), ("y = Gemm<transB=1>(x, w)", (8, 8), 8),
            ("y = Mul(x, w)", (8,), 8), ("y = Add(x, w)", (8,), 8),
        ):  # fmt: skip
            held = weight(shape, 3, DTYPES[letter])
            for where in (0, held.size - 1):
                near = held.copy()
                flat = near.reshape(-1)
                flat[where] = np.nextafter(flat[where], DTYPES[letter](9))
                tag = text.split("(")[0][4:].split("<")[0]
                yield from vary(
                    KIND, f"bit.{kind}.{tag}", f"{kind}[4,{size}] x => {kind}[4,8] y", text,
                    made=_held(w=held), differ={f"at{where}": (text, _held(w=near))}, exact=True,
                    feeds=[{"x": (np.eye(4, 8, k) * np.ones((4, 8))).astype(DTYPES[letter])}
                           for k in range(-3, 8)],
                )  # fmt: skip
    conv = "y = Conv(x, w)"
    held = weight((2, 2, 3, 3), 5)
    near = held.copy()
    near[1, 1, 2, 2] = np.nextafter(near[1, 1, 2, 2], np.float32(9))
    feeds = []
    for at in range(50):
        one = np.zeros(50, np.float32)
        one[at] = 1
        feeds.append({"x": one.reshape(1, 2, 5, 5)})
    yield from vary(
        KIND, "bit.conv", "float[1,2,5,5] x => float[1,2,3,3] y", conv, made=_held(w=held),
        differ={"last": (conv, _held(w=near))}, exact=True, feeds=feeds,
    )  # fmt: skip


def _pruned() -> Iterator[Pair]:
    """Weights of which few elements change when they are folded."""
    held = weight((32, 32), 7)
    rng = np.random.default_rng(7)
    sign = "float[4,32] x => float[4,32] y"
    for share in (0.001, 0.03, 0.5):
        mask = (rng.random((32, 32)) >= share).astype(np.float32)
        mask[3, 5] = 0
        wrong = mask.copy()
        wrong[8, 9] = 1 - wrong[8, 9]
        text, after = "v = Mul(w, m); y = MatMul(x, v)", "y = MatMul(x, v)"
        yield from vary(
            KIND, f"mask{share}", sign, text, made=_held(w=held, m=mask),
            differ={"mask": (text, _held(w=held, m=wrong)),
                    "folded_wrong": (after, _held(v=held * wrong)),
                    "unmasked": (after, _held(v=held))},
            equal={"folded": (after, _held(v=held * mask)),
                   "where": ("c = Equal(m, '0'); v = Where(c, '0', w); y = MatMul(x, v)",
                             _held(w=held, m=mask))},
        )  # fmt: skip
        delta = np.where(mask == 0, weight((32, 32), 8), 0).astype(np.float32)
        near = (held + delta).astype(np.float32)
        off = near.copy()
        off[31, 31] *= np.float32(1.01)
        text = "v = Add(w, d); y = MatMul(x, v)"
        yield from vary(
            KIND, f"delta{share}", sign, text, made=_held(w=held, d=delta),
            differ={"element": (after, _held(v=off)), "forgotten": (after, _held(v=held)),
                    "subtracted": (after, _held(v=held - delta))},
            equal={"folded": (after, _held(v=near))},
        )  # fmt: skip
    low = "p = MatMul(a, b); s = Mul(p, '0.5'); v = Add(w, s); y = MatMul(x, v)"
    a, b = weight((8, 2), 1), weight((2, 8), 2)
    square = weight((8, 8), 4)
    merged = (square.astype(np.float64) + 0.5 * (a.astype(np.float64) @ b)).astype(np.float32)
    after = "y = MatMul(x, v)"
    yield from vary(
        KIND, "low_rank", ROWS, low, made=_held(w=square, a=a, b=b),
        differ={"unmerged": (after, _held(v=square)), "scale": (low.replace("0.5", "0.6"), {}),
                "near": (after, _held(v=(merged * 1.0005).astype(np.float32)))},
        equal={"merged": (after, _held(v=merged)), "apart": (
            "q = MatMul(x, a); r = MatMul(q, b); s = Mul(r, '0.5'); t = MatMul(x, w); "
            "y = Add(t, s)", {})},
    )  # fmt: skip


def _folded() -> Iterator[Pair]:
    """Scalars and affine maps that go into a weight, and some that are gone."""
    w = weight((8, 8), 11)
    for c, d in ((0.1, 0.7), (3.0, 1 / 3), (0.125, 2.0)):
        scaled = f"m = MatMul(x, w); s = Mul(m, '{c!r}'); y = Mul(s, '{d!r}')"
        product = float(np.float32(np.float64(np.float32(c)) * np.float64(np.float32(d))))
        into = (w * np.float64(product)).astype(np.float32)
        alpha = "y = com.microsoft.FusedMatMul<alpha={}>(x, w)"
        yield from vary(
            KIND, f"alpha{c:.2g}", ROWS, scaled, made=_held(w=w),
            differ={"alpha": alpha.format(product * 1.001), "one": alpha.format(c)},
            equal={"fused": alpha.format(repr(product)), "one_scalar":
                   f"m = MatMul(x, w); y = Mul(m, '{product!r}')",
                   "into_weight": ("y = MatMul(x, v)", _held(v=into))},
        )  # fmt: skip
    bias = weight((8,), 12)
    yield from vary(
        KIND, "bias", ROWS, "a = MatMul(x, w); b = Add(a, c); y = Add(b, d)",
        made=_held(w=w, c=bias, d=bias[::-1].copy()),
        differ={"one": ("a = MatMul(x, w); y = Add(a, c)", _held(w=w, c=bias)),
                "near": ("a = MatMul(x, w); y = Add(a, c)",
                         _held(w=w, c=(bias + bias[::-1]) * 1.01))},
        equal={"folded": ("a = MatMul(x, w); y = Add(a, c)", _held(w=w, c=bias + bias[::-1])),
               "gemm": ("a = Gemm(x, w, c); y = Add(a, d)", {})},
    )  # fmt: skip
    yield from vary(
        KIND, "two_layers", ROWS, "a = MatMul(x, w); y = MatMul(a, v)",
        made=_held(w=w, v=w.T * 0.5),
        differ={"order": "a = MatMul(x, v); y = MatMul(a, w)",
                "relu": "a = MatMul(x, w); r = Relu(a); "
                "y = MatMul(r, v)", "folded_wrong": ("y = MatMul(x, u)", _held(u=(w.T * 0.5) @ w))},
    )  # fmt: skip


def _exchanged() -> Iterator[Pair]:
    """Two constants in the wrong places; a square weight the wrong way round."""
    w, v = weight((8, 8), 13), weight((8, 8), 14)
    text = "a = MatMul(x, w); r = Tanh(a); y = MatMul(r, v)"
    yield from vary(
        KIND, "two_weights", ROWS, text, made=_held(w=w, v=v), wide=False,
        differ={"exchanged": (text, _held(w=v, v=w)), "same": (text, _held(w=w, v=w)),
                "transposed": (text, _held(w=w.T.copy(), v=v)),
                "rows": (text, _held(w=np.roll(w, 1, 0), v=v)),
                "halves": (text, _held(w=np.roll(w, 4, 1), v=v)), "sign": (text, _held(w=-w, v=v)),
                "one_row_each": (text, _held(w=np.roll(w, 1, 1), v=np.roll(v, 2, 0)))}
        | {"identity": (text, _held(w=w, v=np.eye(8, dtype=np.float32)))},
        equal={"permuted": (text, _held(w=np.roll(w, 1, 1), v=np.roll(v, 1, 0))),
               "gemm": (text.replace("MatMul(r, v)", "Gemm<transB=1>(r, v)"),
                        _held(w=w, v=v.T.copy())),
               "named": ("a = MatMul(x, p); r = Tanh(a); y = MatMul(r, q)", _held(q=v, p=w))},
    )  # fmt: skip


def _stored() -> Iterator[Pair]:
    """The same numbers, stored in other ways."""
    values = np.array([1, -2, 0.5, 4], np.float32)
    first = model(WIDE, "y = Add(x, w)", constants={"w": values})
    node = "w = Constant<value_floats=[1.0, -2.0, 0.5, 4.0]>(); y = Add(x, w)"
    tensor = "w = Constant<value=float[4] {1.0, -2.0, 0.5, 4.0}>(); y = Add(x, w)"
    other = node.replace("0.5", "0.25")
    yield Pair("stored.node", KIND, first, model(WIDE, node), "equal")
    yield Pair("stored.tensor", KIND, first, model(WIDE, tensor), "equal")
    yield Pair("stored.other", KIND, first, model(WIDE, other), "differ")
    typed = model(WIDE, "y = Add(x, w)", constants={"w": values})
    typed.graph.initializer[0].ClearField("raw_data")
    typed.graph.initializer[0].float_data.extend(values.tolist())
    yield Pair("stored.typed", KIND, first, typed, "equal")
    cast = model(WIDE, "w = Cast<to=1>(i); h = Mul(w, '0.5'); y = Add(x, h)",
                 constants={"i": np.array([2, -4, 1, 8])})  # fmt: skip
    yield Pair("stored.integers", KIND, first, cast, "equal")


def _infinite() -> Iterator[Pair]:
    """The lowest number of a type is not minus infinity."""
    lowest = float(np.finfo(np.float32).min)
    mask = "bool[2,5] keep, float[2,5] x => float[2,5] y"
    text = "m = Where(keep, x, '{}'); y = Softmax(m)"
    yield from vary(
        KIND, "masked_softmax", mask, text.format("-inf"),
        differ={"lowest": text.format(lowest), "big": text.format("-10000")},
    )  # fmt: skip
    yield from vary(
        KIND,
        "fill",
        mask,
        "y = Where(keep, x, '-inf')",
        differ={"lowest": f"y = Where(keep, x, '{lowest}')"},
    )
    yield from vary(KIND, "clip_inf", WIDE, "y = Clip(x, '-inf', 'inf')",
                    differ={"small": "y = Clip(x, '-500', '500')"},
                    equal={"gone": "y = Identity(x)"})  # fmt: skip
