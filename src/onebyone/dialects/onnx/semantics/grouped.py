"""``GroupQueryAttention`` of ONNX Runtime: a cache of keys, of which each sequence fills a part."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from onebyone.dialects.onnx.semantics.attention import scale_of
from onebyone.dialects.onnx.semantics.base import Call, Result, Table
from onebyone.kernels import attention, places
from onebyone.kernels.arithmetic import Arithmetic, Array, Tensor
from onebyone.kernels.errors import UnsupportedError
from onebyone.kernels.operands import ints, move

# Operands beyond the sink of each head, and what the kernel does not do for floats.
_PLAIN = {
    "k_quant_type": "NONE", "v_quant_type": "NONE", "kv_cache_bit_width": 0, "qk_output": 0,
    "sliding_window_cache": 0,
}  # fmt: skip


def _grouped(
    ar: Arithmetic,
    call: Call,
    query: Any,
    key: Any,
    value: Any,
    past_key: Any,
    past_value: Any,
    last: Any,
    total: Any,
    cos: Any = None,
    sin: Any = None,
    positions: Any = None,
    bias: Any = None,
    sink: Any = None,
    *rest: Any,
) -> Result:
    if any(call.get(name, plain) != plain for name, plain in _PLAIN.items()):
        raise UnsupportedError("GroupQueryAttention of quantized or sliding caches")
    if not call.get("causal", 1) or call.outputs > 3 or any(one is not None for one in rest):
        raise UnsupportedError("GroupQueryAttention with norms, scales or scores")
    heads, groups = int(call.given("num_heads")), int(call.given("kv_num_heads"))
    if key is None:
        width = query.shape[2] // (heads + 2 * groups)
        sizes = [heads * width, groups * width, groups * width]
        query, key, value = places.split(ar, query, axis=2, sizes=sizes)
    q, k, v = (
        attention.split_heads(ar, one, count=count)
        for one, count in ((query, heads), (key, groups), (value, groups))
    )
    length = q.shape[2]
    lengths = [n + 1 for n in ints(ar, last, "a length")]
    longest = ints(ar, total, "a length")[0]
    pasts = _pasts(lengths, length, longest, past_key)
    if call.flag("do_rotary"):
        where = np.add.outer(_starts(ar, positions, pasts), np.arange(length))
        q, k = (_turned(ar, call, one, where, cos, sin) for one in (q, k))
    room = max(longest, 0 if past_key is None else past_key.shape[2])
    k, v = (_present(ar, old, new, pasts, room) for old, new in ((past_key, k), (past_value, v)))
    window = int(call.get("local_window_size", -1))
    if not window:
        raise UnsupportedError("GroupQueryAttention that sees no key")
    seen = np.stack(
        [attention.causal(length, room, past=past, window=max(window, 0)) for past in pasts]
    )[:, None]
    hiding = attention.hidden(ar, seen, value=-math.inf)
    out = attention.attention(
        ar, q, k, v,
        scale=scale_of(call, q.shape[3]),
        added=[hiding] if bias is None else [_roomy(ar, bias, room), hiding],
        softcap=float(call.get("softcap", 0.0)), sink=_sink(ar, call, sink),
    )  # fmt: skip
    return (attention.merged_heads(ar, out), k, v)[: call.outputs]


def _pasts(lengths: list[int], length: int, longest: int, past: Any) -> list[int]:
    """How many keys each sequence had before these ``length`` ones."""
    if length == longest:
        if any(n != length for n in lengths):
            raise UnsupportedError("GroupQueryAttention of padded prompts")
        return [0] * len(lengths)
    pasts = [n - length for n in lengths]
    if past is None or min(pasts) < 0 or max(pasts) > past.shape[2]:
        raise ValueError(f"sequences of {lengths} keys, {length} of them new")
    return pasts


def _starts(ar: Arithmetic, positions: Any, pasts: list[int]) -> list[int]:
    """The position of each sequence's first new key.

    The runtime counts on from the first of all; where that would be another, this refuses.
    """
    if positions is None:
        return pasts
    known = np.reshape(ints(ar, positions, "a position"), positions.shape)
    if np.any(known != known.flat[0] + np.arange(known.shape[-1])):
        raise UnsupportedError("GroupQueryAttention of positions that do not run on")
    return [int(known.flat[0])] * len(pasts)


def _turned(ar: Arithmetic, call: Call, x: Tensor, positions: Array, cos: Any, sin: Any) -> Tensor:
    angles = (places.take(ar, one, positions, axis=0) for one in (cos, sin))
    interleaved = call.flag("rotary_interleaved")
    c, s = (move(ar, lambda a: a[:, None], one) for one in angles)
    return attention.rotated(ar, x, c, s, interleaved=interleaved, width=2 * cos.shape[1])


def _present(ar: Arithmetic, old: Any, new: Tensor, pasts: list[int], room: int) -> Tensor:
    """Each sequence's old keys, its new ones behind them, and zeros."""
    length = new.shape[2]

    def fill(*parts: Array) -> Array:
        fresh = parts[-1]
        out = np.zeros((*fresh.shape[:2], room, fresh.shape[3]), fresh.dtype)
        for row, past in enumerate(pasts):
            if past:
                out[row, :, :past] = parts[0][row, :, :past]
            out[row, :, past : past + length] = fresh[row]
        return out

    return ar.move(fill, new) if old is None else ar.move(fill, old, new)


def _roomy(ar: Arithmetic, bias: Any, room: int) -> Tensor:
    """A bias of the keys that there are, with zeros for the rest of the room."""
    missing = room - bias.shape[3]
    pads = [(0, 0), (0, 0), (0, 0), (0, missing)]
    return places.pad(ar, bias, ar.constant(0.0), pads=pads) if missing else bias


def _sink(ar: Arithmetic, call: Call, sink: Any) -> Tensor | None:
    smooth = call.flag("smooth_softmax")
    if sink is not None:
        return ar.move(lambda a: a.reshape(1, -1, 1, 1), sink)
    return ar.constant(np.zeros((1, 1, 1, 1))) if smooth else None


TABLE: Table = {("com.microsoft", "GroupQueryAttention"): _grouped}
