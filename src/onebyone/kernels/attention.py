"""Attention over heads, and rotary embeddings.

Heads are ``(batch, heads, length, width)``. Masks are added to the scores, as numbers that hide.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onebyone.kernels import elementwise, places, products
from onebyone.kernels.arithmetic import Arithmetic, Array, Tensor
from onebyone.kernels.operands import data, move


def split_heads(ar: Arithmetic, x: Tensor, *, count: int) -> Tensor:
    """(B, S, heads * width) as (B, heads, S, width)."""
    batch, length, width = x.shape
    shape = (batch, length, count, width // count)
    return ar.move(lambda a: a.reshape(shape).swapaxes(1, 2), x)


def merged_heads(ar: Arithmetic, x: Tensor) -> Tensor:
    """(B, heads, S, width) as (B, S, heads * width)."""
    batch, count, length, width = x.shape
    return ar.move(lambda a: a.swapaxes(1, 2).reshape(batch, length, count * width), x)


def attention(
    ar: Arithmetic,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    scale: float,
    added: Sequence[Tensor] = (),
    softcap: float = 0.0,
    sink: Tensor | None = None,
) -> Tensor:
    """``softmax(scale * q k' + added) v``.

    Args:
        ar: the arithmetic.
        q: queries.
        k: keys, of as many heads or of a divisor of them.
        v: values, likewise.
        scale: of the scores.
        added: to the scores, as they broadcast.
        softcap: scores are ``softcap * tanh(scores / softcap)``, where it is above 0.
        sink: scores of a key that is worth nothing; they broadcast against (B, heads, S, 1).
    """
    times = q.shape[1] // k.shape[1]
    if times > 1:
        k, v = (places.repeated(ar, x, times=times, axis=1) for x in (k, v))
    scores = elementwise.scaled(ar, ar.matmul(q, products.swapped(ar, k)), factor=scale)
    if softcap > 0:
        cap = ar.constant(softcap)
        scores = ar.mul(cap, ar.function("Tanh", ar.div(scores, cap)))
    for one in added:
        scores = ar.add(scores, one)
    if sink is None:
        return ar.matmul(ar.softmax(scores, 3), v)
    beside = places.expanded(ar, sink, shape=(*scores.shape[:3], 1))
    weights = ar.softmax(places.concatenated(ar, scores, beside, axis=3), 3)
    return ar.matmul(places.cut(ar, weights, axis=3, index=slice(0, -1)), v)


def hidden(ar: Arithmetic, visible: Any, *, value: float) -> Tensor:
    """What is added to scores: 0 where a condition holds, ``value`` elsewhere."""
    return data(ar, elementwise.where(ar, visible, ar.constant(0.0), ar.constant(value)))


def causal(queries: int, keys: int, *, past: int, window: int = 0) -> Array:
    """Which keys each query may see: the ``past`` ones, and up to its own; (queries, keys).

    With a ``window`` each sees at most that many keys.
    """
    distance = past + np.arange(queries)[:, None] - np.arange(keys)
    return (distance >= 0) & ((distance < window) if window else True)


def rotated(
    ar: Arithmetic, x: Tensor, cos: Tensor, sin: Tensor, *, interleaved: bool, width: int
) -> Tensor:
    """Pairs of elements of the last axis turned by angles.

    Args:
        ar: the arithmetic.
        x: heads.
        cos: cosines that broadcast against half of ``width`` last elements.
        sin: sines, likewise.
        interleaved: pairs are neighbours, not the halves.
        width: how many of the elements are turned.
    """
    half = width // 2
    first = slice(0, width, 2) if interleaved else slice(0, half)
    second = slice(1, width, 2) if interleaved else slice(half, width)
    a, b = (places.cut(ar, x, axis=-1, index=index) for index in (first, second))
    turned = (ar.sub(ar.mul(cos, a), ar.mul(sin, b)), ar.add(ar.mul(sin, a), ar.mul(cos, b)))

    def joined(p: Array, q: Array, whole: Array) -> Array:
        both = np.stack((p, q), -1).reshape(*p.shape[:-1], -1) if interleaved else None
        pair = np.concatenate((p, q), -1) if both is None else both
        return np.concatenate((pair, whole[..., width:]), -1)

    return move(ar, joined, *turned, x)
