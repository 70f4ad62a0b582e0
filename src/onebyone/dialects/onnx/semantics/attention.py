"""Attention as ONNX Runtime fuses it: projections, masks of all kinds, caches, rotations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from onebyone.dialects.onnx.semantics.base import Call, Result, Table
from onebyone.kernels import attention, elementwise, places, products
from onebyone.kernels.arithmetic import Arithmetic, Tensor
from onebyone.kernels.errors import UnsupportedError
from onebyone.kernels.operands import move


def scale_of(call: Call, width: int) -> float:
    """The scale of the scores, in the runtime's arithmetic: float32."""
    given = float(call.get("scale", 0.0))
    return given or float(np.float32(1.0) / np.sqrt(np.float32(width)))


def _parts(ar: Arithmetic, x: Tensor, sizes: list[int]) -> list[Tensor]:
    return list(places.split(ar, x, axis=-1, sizes=sizes))


def _with_past(ar: Arithmetic, past: Any, new: Tensor) -> Tensor:
    return new if past is None else places.concatenated(ar, past, new, axis=2)


def _ordered(ar: Arithmetic, mask: Any, *axes: int) -> Tensor:
    """A mask of numbers of keys or of truths with more axes, to broadcast against scores."""
    return move(ar, lambda a: np.expand_dims(a, axes), mask)


def _visible(ar: Arithmetic, mask: Any, batch: int, keys: int) -> Any:
    """Which keys a mask index leaves, to broadcast against (batch, heads, queries, keys)."""
    place = np.arange(keys, dtype=np.int32)
    if mask.ndim == 4:
        raise UnsupportedError("a mask of four axes")
    if mask.ndim == 1:
        ends, *starts = (mask,) if mask.shape == (batch,) else _halves(ar, mask, batch)
        before = elementwise.compare(ar, place, _ordered(ar, ends, 1, 2, 3), relation="<")
        if not starts:
            return before
        from_start = elementwise.compare(ar, place, _ordered(ar, starts[0], 1, 2, 3), relation=">=")
        return elementwise.logical(ar, before, from_start, name="and")
    mask = _ordered(ar, mask, *((1, 2) if mask.ndim == 2 else (1,)))
    return elementwise.compare(ar, mask, np.zeros((), mask.dtype), relation=">")


def _halves(ar: Arithmetic, mask: Any, batch: int) -> tuple[Tensor, Tensor]:
    if mask.shape != (2 * batch,):
        raise UnsupportedError(f"a mask index of shape {list(mask.shape)}")
    return tuple(move(ar, lambda a, i=i: a[i * batch : (i + 1) * batch], mask) for i in (0, 1))


def _added(
    ar: Arithmetic, call: Call, mask: Any, bias: Any, shape: tuple[int, int, int], past: Any
) -> list[Tensor]:
    """What is added to scores of a ``shape`` (batch, queries, keys): the bias, what hides keys."""
    batch, queries, keys = shape
    added = [] if bias is None else [bias]
    value = call.float("mask_filter_value", -10000.0)
    shown = None if mask is None else _visible(ar, mask, batch, keys)
    hiding = None if shown is None else attention.hidden(ar, shown, value=value)
    if call.flag("unidirectional"):
        before = 0 if past is None else past.shape[-2]
        if keys != before + queries:
            # The runtime lets the last query see all keys, whatever the others see.
            raise UnsupportedError(f"causal attention of {queries} queries to other {keys} keys")
        seen = attention.causal(queries, keys, past=before)
        rest = ar.constant(0.0) if hiding is None else hiding
        hiding = elementwise.where(ar, seen, rest, ar.constant(-math.inf))
    return added if hiding is None else [*added, hiding]


def _attention(
    ar: Arithmetic,
    call: Call,
    x: Any,
    weights: Any,
    bias: Any = None,
    mask: Any = None,
    past: Any = None,
    attention_bias: Any = None,
    past_length: Any = None,
) -> Result:
    if call.get("do_rotary", 0) or call.get("past_present_share_buffer", 0):
        raise UnsupportedError("Attention with rotary positions or a shared buffer")
    if past_length is not None:
        raise UnsupportedError("Attention with the length of its past")
    heads, width = int(call.given("num_heads")), weights.shape[1] // 3
    sizes = list(call.get("qkv_hidden_sizes") or [width] * 3)
    joint = products.matmul(ar, x, weights)
    joint = joint if bias is None else ar.add(joint, bias)
    q, k, v = (attention.split_heads(ar, one, count=heads) for one in _parts(ar, joint, sizes))
    if past is not None:
        before = [ar.move(lambda a, i=i: a[i], past) for i in (0, 1)]
        k, v = (_with_past(ar, old, new) for old, new in zip(before, (k, v), strict=True))
    shape = (q.shape[0], q.shape[2], k.shape[2])
    added = _added(ar, call, mask, attention_bias, shape, past)
    out = attention.attention(ar, q, k, v, scale=scale_of(call, q.shape[3]), added=added)
    out = attention.merged_heads(ar, out)
    return out if call.outputs == 1 else (out, places.stacked(ar, k, v, axis=0))


def _multi_head_attention(
    ar: Arithmetic,
    call: Call,
    query: Any,
    key: Any = None,
    value: Any = None,
    bias: Any = None,
    mask: Any = None,
    attention_bias: Any = None,
    past_key: Any = None,
    past_value: Any = None,
    past_length: Any = None,
    indirection: Any = None,
) -> Result:
    if past_length is not None or indirection is not None or call.outputs > 3:
        raise UnsupportedError("MultiHeadAttention as a decoder has it")
    heads = int(call.given("num_heads"))
    q, k, v = _separate(ar, query, key, value)
    if bias is not None:
        sizes = [
            one.shape[-1] if one.ndim == 3 else one.shape[1] * one.shape[3] for one in (q, k, v)
        ]
        q, k, v = (
            _biased(ar, one, part, heads)
            for one, part in zip((q, k, v), _parts(ar, bias, sizes), strict=True)
        )
    q, k, v = (
        attention.split_heads(ar, one, count=heads) if one.ndim == 3 else one for one in (q, k, v)
    )
    k, v = _with_past(ar, past_key, k), _with_past(ar, past_value, v)
    shape = (q.shape[0], q.shape[2], k.shape[2])
    added = _added(ar, call, mask, attention_bias, shape, past_key)
    out = attention.attention(ar, q, k, v, scale=scale_of(call, q.shape[3]), added=added)
    return (attention.merged_heads(ar, out), k, v)[: call.outputs]


def _separate(ar: Arithmetic, query: Any, key: Any, value: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values: (B, S, heads * width), or (B, heads, S, width) as a cache is."""
    if query.ndim == 5:
        q, k, v = (_unpacked(ar, query, i) for i in range(3))
    elif key is not None and key.ndim == 5:
        q, k, v = query, _unpacked(ar, key, 0), _unpacked(ar, key, 1)
    elif key is None or value is None:
        raise UnsupportedError("MultiHeadAttention without keys or values")
    else:
        q, k, v = query, key, value
    return q, k, v


def _unpacked(ar: Arithmetic, x: Any, place: int) -> Tensor:
    """One part of (B, S, heads, parts, width)."""
    batch, length = x.shape[:2]
    return ar.move(lambda a: a[:, :, :, place].reshape(batch, length, -1), x)


def _biased(ar: Arithmetic, x: Any, bias: Any, heads: int) -> Tensor:
    if x.ndim == 4:
        bias = ar.move(lambda a: a.reshape(heads, 1, -1), bias)
    return ar.add(x, bias)


def _rotary_embedding(
    ar: Arithmetic, call: Call, x: Any, positions: Any, cos: Any, sin: Any
) -> Tensor:
    # The kernels read neither the scale nor how sequences are packed.
    if call.get("scale", 1.0) != 1.0 or call.get("is_packed_batching", 0):
        raise UnsupportedError("RotaryEmbedding with a scale or of packed sequences")
    width, heads = int(call.get("rotary_embedding_dim", 0)), int(call.get("num_heads", 0))
    if x.ndim == 3:
        heads = heads or x.shape[2] // (2 * cos.shape[1])
    parts = attention.split_heads(ar, x, count=heads) if x.ndim == 3 else x
    length = parts.shape[2]
    if positions.size == 1:
        # The first position; one token in one sequence has one, too.
        start = move(ar, lambda a: a.reshape(1, 1), positions)
        positions = elementwise.add(ar, start, np.arange(length, dtype=np.int64))
    cos, sin = (_ordered(ar, places.take(ar, one, positions, axis=0), 1) for one in (cos, sin))
    out = attention.rotated(
        ar, parts, cos, sin,
        interleaved=call.flag("interleaved"), width=width or parts.shape[3],
    )  # fmt: skip
    return attention.merged_heads(ar, out) if x.ndim == 3 else out


TABLE: Table = {
    ("com.microsoft", "Attention"): _attention,
    ("com.microsoft", "MultiHeadAttention"): _multi_head_attention,
    ("com.microsoft", "RotaryEmbedding"): _rotary_embedding,
}
