"""Inputs that decide: many scales, ties, whole integer ranges, values at the graph's constants."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tests.adversary.pairs import Feed, Pair, Program, Side, seed

Shape = tuple[int | str, ...]
# Every symbol its own size, batch 1, sizes that are no multiples of one another.
_SIZES = ((1, 1, 1, 1, 1, 1), (2, 3, 5, 4, 7, 6), (5, 4, 3, 2, 6, 7), (3, 7, 2, 6, 5, 4))
_LIMIT = {"float16": 1e2, "bfloat16": 1e2}
Fill = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


def ports(side: Side) -> list[tuple[str, np.dtype[Any], Shape, bool]]:
    """Name, element type, shape of every input, and whether it may be left out."""
    if isinstance(side, Program):
        kinds = side.dtypes or ("float32",) * len(side.shapes)
        return [
            (f"x{i}", np.dtype(kind), shape, False)
            for i, (kind, shape) in enumerate(zip(kinds, side.shapes, strict=True))
        ]
    held = {t.name for t in side.graph.initializer}
    found = []
    for value in side.graph.input:
        kind = value.type.tensor_type
        dims = tuple(
            d.dim_value if d.HasField("dim_value") else d.dim_param or "?" for d in kind.shape.dim
        )
        dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type)
        found.append((value.name, np.dtype(dtype), dims, value.name in held))
    return found


def _numbers(graph: onnx.GraphProto) -> Iterator[np.ndarray]:
    yield from (numpy_helper.to_array(t) for t in graph.initializer)
    for node in graph.node:
        for attribute in node.attribute:
            value = helper.get_attribute_value(attribute)
            if isinstance(value, onnx.TensorProto):
                yield numpy_helper.to_array(value)
            elif isinstance(value, onnx.GraphProto):
                yield from _numbers(value)
            elif attribute.type in (1, 2, 6, 7):  # float, int, floats, ints
                yield np.asarray(value)


def constants(pair: Pair) -> tuple[np.ndarray, list[int]]:
    """Values of the small constants of both graphs, and the sizes of the large ones."""
    values: set[float] = set(pair.near)
    sizes: set[int] = set()
    for side in (pair.first, pair.second):
        if isinstance(side, Program):
            continue
        for array in _numbers(side.graph):
            sizes.update(n for n in array.shape if n > 1)
            if array.dtype.kind not in "USO" and array.size <= 16:
                values.update(float(v) for v in array.reshape(-1) if np.isfinite(v))
    return np.array(sorted(values)[:40] or [0.0]), sorted(sizes)[-4:]


def _floats(pool: np.ndarray, limit: float, eps: float) -> dict[str, Fill]:
    near = np.concatenate([pool, pool * (1 + 4 * eps), pool * (1 - 4 * eps), pool + 1, -pool])
    near = np.append(near[np.abs(near) <= max(limit, 100)], 0.0)
    return {
        "normal": lambda g, s: g.standard_normal(s),
        "tied": lambda g, s: g.integers(-2, 3, s),
        "near": lambda g, s: _spread(g, near, s),
        "small": lambda g, s: g.standard_normal(s) * 1e-3,
        "tiny": lambda g, s: g.standard_normal(s) * 1e-6,
        "integers": lambda g, s: g.integers(-8, 9, s),
        "zeros": lambda g, s: np.zeros(s),
        "large": lambda g, s: g.standard_normal(s) * limit,
        "halves": lambda g, s: g.integers(-9, 9, s) + 0.5,
        "positive": lambda g, s: np.abs(g.standard_normal(s)) + 0.1,
        "negative": lambda g, s: -np.abs(g.standard_normal(s)) - 0.1,
        "same": lambda g, s: np.full(s, g.standard_normal()),
        "unit": lambda g, s: g.random(s),
        "tens": lambda g, s: g.standard_normal(s) * 10,
        "sparse": lambda g, s: g.standard_normal(s) * (g.random(s) < 0.4),
        "balanced": _balanced,
        "constant": lambda g, s: np.full(s, g.choice(pool)),
    }


def _spread(g: np.random.Generator, values: np.ndarray, s: tuple[int, ...]) -> np.ndarray:
    """Each value as often as the others, in any order."""
    return np.resize(g.permutation(values), s)


def _balanced(g: np.random.Generator, s: tuple[int, ...]) -> np.ndarray:
    """Small integers whose sum is zero."""
    made = g.integers(-4, 5, s).astype(np.float64)
    if made.size:
        made.reshape(-1)[0] -= made.sum()
    return made


def _ones(g: np.random.Generator, s: tuple[int, ...]) -> np.ndarray:
    made = np.zeros(s)
    if made.size:
        made.reshape(-1)[int(g.integers(made.size))] = 1
    return made


_EXACT: dict[str, Fill] = {
    **{f"one{i}": _ones for i in range(12)},
    "ones": lambda g, s: np.ones(s),
    "zeros": lambda g, s: np.zeros(s),
}


def _integers(pool: np.ndarray, sizes: Sequence[int], dtype: np.dtype[Any]) -> dict[str, Fill]:
    info = np.iinfo(dtype)
    low, high = int(info.min), int(info.max)
    whole = pool[pool == np.round(pool)]
    whole = whole[np.abs(whole) < 2**53].astype(np.int64)
    near = np.unique(np.concatenate([[0, 1], whole, whole + 1, whole - 1, -whole]))
    edges = [low, low + 1, -1, 0, 1, high - 1, high]
    wide = [v for p in (31, 32, 53, 62) for v in (2**p - 1, 2**p, 2**p + 1, -(2**p), -(2**p) - 1)]
    made: dict[str, Fill] = {
        "small": lambda g, s: g.integers(-3, 4, s),
        "digits": lambda g, s: g.integers(0, 10, s),
        "near": lambda g, s: _spread(g, near, s),
        "whole": lambda g, s: g.integers(low, high, s, dtype=np.dtype(dtype), endpoint=True),
        "edges": lambda g, s: g.choice(np.array(edges, dtype=object), s),
        "wide": lambda g, s: g.choice(np.array([0, *wide], dtype=object), s),
        "two": lambda g, s: g.integers(0, 2, s),
        "bytes": lambda g, s: g.integers(-300, 300, s),
    }
    for size in sizes:
        made[f"below {size}"] = lambda g, s, size=size: _spread(g, np.arange(size), s)
        made[f"within {size}"] = lambda g, s, size=size: _spread(g, np.arange(-size, size), s)
        ends = np.array([0, 1, size - 2, size - 1, -size, 1 - size, -1])
        made[f"ends of {size}"] = lambda g, s, ends=ends: _spread(g, ends, s)
    return made


_BOOLS: dict[str, Fill] = {
    "any": lambda g, s: g.random(s) < 0.5,
    "true": lambda g, s: np.ones(s, bool),
    "false": lambda g, s: np.zeros(s, bool),
    "mostly": lambda g, s: g.random(s) < 0.8,
    "rarely": lambda g, s: g.random(s) < 0.2,
}


def _cast(values: np.ndarray, dtype: np.dtype[Any], limits: tuple[float, float] | None) -> Any:
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        low, high = (int(info.min), int(info.max)) if limits is None else map(int, limits)
        flat = [min(max(int(v), low), high) for v in values.reshape(-1)]
        return np.array(flat, dtype=dtype).reshape(values.shape)
    if limits is not None:
        values = np.clip(values, *limits)
    return np.asarray(values).astype(dtype)


def symbols(pair: Pair) -> list[dict[str, int]]:
    """Sizes of the symbols of the first model; one empty choice where there are none."""
    names = list(dict.fromkeys(
        d for _, _, shape, _ in ports(pair.first) for d in shape if isinstance(d, str)
    ))  # fmt: skip
    if not names:
        return [{}]
    usual = [dict(zip(names, sizes, strict=False)) for sizes in _SIZES]
    return [*({**usual[1], **own} for own in pair.sizes), *usual]


def draw(pair: Pair) -> Iterator[Feed]:
    """All feeds of a pair: its own, then drawn ones for every choice of sizes."""
    yield from pair.feeds
    pool, sizes = constants(pair)
    choices = symbols(pair)
    for number, choice in enumerate(choices):
        fills = []
        for name, dtype, shape, optional in ports(pair.first):
            fills.append((name, dtype, shape, optional, _fills(pair, dtype, pool, sizes)))
        most = max((len(f[4]) for f in fills), default=1)
        rounds = most * (4 - number) if number < 2 else min(most, 6)
        for i in range(rounds):
            rng = np.random.default_rng([seed(pair.name), number, i])
            feed = {}
            for at, (name, dtype, shape, optional, styles) in enumerate(fills):
                if optional and i % 3 == 0:
                    continue
                # The second input takes another style in every other round, so that values meet.
                step = i + (at * (i // most + number)) % len(styles)
                fill = next(itertools.islice(styles.values(), step % len(styles), None))
                real = tuple(choice[d] if isinstance(d, str) else d for d in shape)
                feed[name] = _cast(fill(rng, real), dtype, pair.ranges.get(name))
            yield feed


def _fills(
    pair: Pair, dtype: np.dtype[Any], pool: np.ndarray, sizes: Sequence[int]
) -> Mapping[str, Fill]:
    if dtype == np.bool_:
        return _BOOLS
    if dtype.kind in "iu":
        return _integers(pool, sizes, dtype)
    if pair.exact:
        return _EXACT
    limit = _LIMIT.get(str(dtype), 1e3) if pair.wide else 8.0
    return _floats(pool, limit, 2.0**-9 if str(dtype) in _LIMIT else 2.0**-23)
