"""Differences that are multiples of many primes, and constants that are products of some."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np

from tests.adversary.pairs import Pair, vary

KIND = "primes"
WIDE = "float[3,4] x => float[3,4] y"


def pairs() -> Iterator[Pair]:
    """All pairs of the family."""
    yield from _products()
    yield from _factors()


@cache
def primes() -> np.ndarray:
    """All primes of 20 and 21 bits."""
    sieve = np.ones(2**21, bool)
    sieve[:2] = False
    for n in range(2, int(2**10.5) + 1):
        if sieve[n]:
            sieve[n * n :: n] = False
    found = np.flatnonzero(sieve)
    return found[found >= 2**19]


def _near_one(values: np.ndarray) -> np.ndarray:
    """Each prime times a power of two, exact in float32, "
    "so that the running product stays near 1.
    """
    made, product = np.empty(len(values), np.float32), 1.0
    for i, value in enumerate(values.tolist()):
        scaled = value / 2.0**20
        scaled = scaled / 2 if product * scaled > 1 else scaled
        scaled = scaled * 2 if product * scaled < 0.5 else scaled
        made[i], product = scaled, product * scaled
    return made


def _products() -> Iterator[Pair]:
    """A difference that is a multiple of many primes."""
    rng = np.random.default_rng(20)
    head = "h = Add(x, '-10'); r = Relu(h); "
    for count in (1, 3, 12):
        for case in range(2):
            some = _near_one(rng.choice(primes(), count, replace=False))
            steps = "".join(f"m{i + 1} = Mul(m{i}, '{v!r}'); " for i, v in enumerate(some.tolist()))
            text = head.replace("r =", "m0 =") + steps + f"y = Add(x, m{count})"
            yield from vary(
                KIND, f"primes{count}.{case}", WIDE, text, differ={"gone": "y = Identity(x)"}
            )
    for name, values in (
        ("all", primes()), ("half", primes()[::2]), ("low", primes()[primes() < 2**20]),
        ("thousand", primes()[:1000]), ("hundred", primes()[-100:]),
    ):  # fmt: skip
        table = _near_one(values)
        for tag, product in (
            ("prod", "p = ReduceProd<keepdims=0>(w)"),
            ("rows", f"q = Reshape(w, '[-1, {_factor(len(table))}]i'); "
             "a = ReduceProd<keepdims=0>(q, '[0]i'); p = ReduceProd<keepdims=0>(a)"),
        ):  # fmt: skip
            if name not in ("all", "hundred") and tag == "rows":
                continue
            text = head + product + "; m = Mul(r, p); y = Add(x, m)"
            yield from vary(
                KIND, f"table.{name}.{tag}", WIDE, text, made={"constants": {"w": table}},
                differ={"gone": ("y = Identity(x)", {"constants": {}})},
            )  # fmt: skip
    table = _near_one(primes()[:3000]).reshape(60, 50)
    text = head + ("z, p = Loop('60i', '1z', '1') <body = b (int64 i, bool k, "
                   "float h) => (bool k2, "
                   "float h2, float o) { k2 = Identity(k); g = Gather(w, i); "
                   "q = ReduceProd<keepdims=0>(g); h2 = Mul(h, q); o = Identity(h2) }>; "
                   "")  # fmt: skip
    yield from vary(
        KIND, "primes_in_loop", WIDE, text + "m = Mul(r, z); y = Add(x, m)",
        made={"constants": {"w": table}},
        differ={"gone": ("y = Identity(x)", {"constants": {}})},
    )  # fmt: skip
    power = "p = Pow('0.9999956', '{}'); m = Mul(r, p); y = Add(x, m)"
    yield from vary(KIND, "power", WIDE, head + power.format(9),
                    differ={"gone": "y = Identity(x)",
                            "other": head + power.format(900000)})  # fmt: skip


def _factor(size: int) -> int:
    return next((n for n in range(400, 1, -1) if size % n == 0), 1)


def _factors() -> Iterator[Pair]:
    """One constant that is a product of primes: int64 and float64 hold three and two."""
    rng = np.random.default_rng(21)
    for case in range(3):
        p, q, r = (int(v) for v in rng.choice(primes()[primes() < 2**20], 3, replace=False))
        head = "c = Greater(a, '50i'); f = Cast<to=7>(c); "
        yield from vary(
            KIND, f"product64.{case}", "int64[2,4] a => int64[2,4] y",
            head + f"m = Mul(f, '{p * q * r}i'); y = Add(a, m)", ranges={"a": (0, 100)},
            differ={"gone": "y = Identity(a)", "two": head + f"m = Mul(f, '{p * q}i'); "
                    "y = Add(a, m)"},
        )  # fmt: skip
        yield from vary(
            KIND, f"product53.{case}", "double[2,4] x => double[2,4] y",
            f"r = Relu(x); m = Mul(r, '{p * q / 2.0**40!r}d'); y = Add(x, m)",
            differ={"gone": "y = Identity(x)"},
        )  # fmt: skip
        whole = f"r = Relu(x); m = Mul(r, '{float(p)}'); y = Add(x, m)"
        yield from vary(
            KIND, f"one_prime.{case}", WIDE, whole,
            differ={"gone": "y = Identity(x)",
                    "other": whole.replace(f"{float(p)}", f"{float(q)}")},
            equal={"folded": f"r = Relu(x); m = Mul(r, '{p}w'); y = Add(x, m)".replace(
                f"'{p}w'", "f").replace("r = Relu(x)", f"r = Relu(x); f = Cast<to=1>('{p}w')")},
        )  # fmt: skip
