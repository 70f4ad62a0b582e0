"""Blocks of random graphs: each takes a value and appends something that reads it."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tests.onnx.random_builder import DTYPES, Builder, Val, numpy_type

Block = Callable[[Builder, Val], Val | None]


def summed(b: Builder, x: Val, length: int) -> tuple[Val, float]:
    """``x`` tame enough for a sum of ``length`` products with a weight, and the sum's bound."""
    x = b.tame(x, 4.0 * length)
    return x, x.bound * 2 * length + 4


def biased(b: Builder, x: Val, channels: int, place: int) -> Val:
    """Perhaps an Add of a bias over the axis at ``place``, on either side, in several shapes."""
    if b.chance(0.35):
        return x
    tail = x.rank - place - 1
    shape = b.pick([(channels,), (1, channels)]) + (1,) * tail
    if b.chance(0.15):
        shape = b.pick([(1,) * x.rank, (), (1,), (channels, *(1,) * tail)])
    if b.chance(0.1) and all(b.fixed(d) for d in x.shape):
        shape = x.shape  # one bias for every position: not a bias of a layer
    if len(shape) > x.rank:
        shape = shape[len(shape) - x.rank :]
    pair = [x.name, b.weight(shape)]
    return Val(
        b.one("Add", pair if b.chance(0.5) else pair[::-1]), x.shape, "f", x.bound + 2, x.exact
    )


def matmul(b: Builder, x: Val) -> Val | None:
    if x.rank < 1 or not b.fixed(x.shape[-1]):
        return None
    k, n = x.shape[-1], b.width()
    x, bound = summed(b, x, k)
    if b.chance(0.1):
        return Val(b.one("MatMul", [x.name, b.weight((k,))]), x.shape[:-1], "f", bound, x.exact)
    lead = x.shape[:-2] if x.rank > 2 and all(map(b.fixed, x.shape[:-2])) else ()
    batch = b.pick([(), (), (), (1,), lead, tuple(b.pick([1, d]) for d in lead)])
    shape = (*x.shape[:-1], n)
    if x.rank < 2 and batch:
        shape = (*batch, n)
    if len(batch) > max(x.rank - 2, 0):
        shape = ((1,) * (len(batch) + 2 - max(x.rank, 2))) + (shape if x.rank > 1 else (n,))
        if x.rank == 1:
            shape = (*batch, n)
    y = Val(b.one("MatMul", [x.name, b.weight((*batch, k, n))]), shape, "f", bound, x.exact)
    return biased(b, y, n, y.rank - 1)


def matmul_left(b: Builder, x: Val) -> Val | None:
    """The weight on the left: ``w @ x``."""
    if x.rank < 2 or not b.fixed(x.shape[-2]):
        return None
    k, n = x.shape[-2], b.width()
    x, bound = summed(b, x, k)
    if b.chance(0.15):
        shape = (*x.shape[:-2], x.shape[-1])
        return Val(b.one("MatMul", [b.weight((k,)), x.name]), shape, "f", bound, x.exact)
    y = Val(
        b.one("MatMul", [b.weight((n, k)), x.name]),
        (*x.shape[:-2], n, x.shape[-1]),
        "f",
        bound,
        x.exact,
    )
    return biased(b, y, n, y.rank - 2)


def gemm(b: Builder, x: Val) -> Val | None:
    if x.rank < 2:
        return None
    if x.rank > 2:
        x = b.reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))
    trans_a, trans_b = b.chance(0.3), b.chance(0.5)
    k, m = (x.shape[0], x.shape[1]) if trans_a else (x.shape[1], x.shape[0])
    if not b.fixed(k):
        return None
    n = b.width()
    x, bound = summed(b, x, k)
    inputs = [x.name, b.weight((n, k) if trans_b else (k, n))]
    if b.chance(0.8):
        shapes = [(n,), (n,), (1, n), (), (1,), (1, 1)]
        shapes += [(m, n), (m, 1)] if b.fixed(m) else []
        inputs.append(b.weight(b.pick(shapes)))
    elif b.opset < 11:
        inputs.append(b.weight((n,)))
    attrs = {}
    if b.chance(0.3):
        attrs["alpha"] = b.pick([0.5, 2.0, -1.0])
    if b.chance(0.3):
        attrs["beta"] = b.pick([0.5, 2.0, 0.0])
    flags = {}
    if trans_a or b.chance(0.2):
        flags["transA"] = int(trans_a)
    if trans_b or b.chance(0.2):
        flags["transB"] = int(trans_b)
    return Val(b.one("Gemm", inputs, **attrs, **flags), (m, n), "f", 2 * bound + 8, x.exact)


def einsum(b: Builder, x: Val) -> Val | None:
    if b.opset < 12 or not 1 <= x.rank <= 4:
        return None
    letters = "abcd"[: x.rank]
    count = int(b.rng.integers(1, x.rank + 1)) if b.chance(0.8) else 0
    gone = [c for c in letters if b.chance(0.4)][:count]
    sizes = dict(zip(letters, x.shape, strict=True))
    if not all(b.fixed(sizes[c]) for c in gone):
        return None
    shared = [c for c in letters if c not in gone and b.fixed(sizes[c]) and b.chance(0.2)]
    new = list("xy"[: int(b.rng.integers(0, 3))])
    for c in new:
        sizes[c] = b.width()
    weight = [*gone, *shared, *new]
    b.rng.shuffle(weight)
    kept = [c for c in letters if c not in gone] + new
    if b.chance(0.6):
        b.rng.shuffle(kept)
    shape = tuple(sizes[c] for c in kept)
    length = math.prod(sizes[c] for c in gone)
    if math.prod(shape) > 4096 or math.prod(sizes[c] for c in weight) > 4096 or not weight:
        return None
    x, bound = summed(b, x, length)
    first = letters
    tail = "".join(kept)
    lead = letters[0]
    if b.chance(0.3) and lead not in weight and tail.startswith(lead):
        first, tail = "..." + letters[1:], "..." + tail[1:]
    w = b.weight(tuple(sizes[c] for c in weight))
    if b.chance(0.5):
        equation = f"{first},{''.join(weight)}->{tail}"
        name = b.one("Einsum", [x.name, w], equation=equation)
    else:
        equation = f"{''.join(weight)},{first}->{tail}"
        name = b.one("Einsum", [w, x.name], equation=equation)
    return Val(name, shape, "f", bound, x.exact)


def conv(b: Builder, x: Val) -> Val | None:
    """A convolution: pointwise, patch, whole, overlapping; with groups, strides, padding."""
    if not 3 <= x.rank <= 5 or not b.fixed(x.shape[1]) or b.dtype == "float64":
        return None
    spatial, c = x.shape[2:], x.shape[1]
    group = b.pick([g for g in range(1, c + 1) if c % g == 0])
    if b.chance(0.6):
        group = 1
    n = group * b.pick([1, 1, 2, b.width()])
    kernel, stride, pads, dilation = [], [], [0] * 2 * len(spatial), []
    for axis, size in enumerate(spatial):
        cases = ["point", "point", "stride"]
        if b.fixed(size):
            cases += ["patch", "whole", "whole", "overlap", "pad"]
        case = b.pick(cases)
        patch = b.pick([p for p in range(1, size + 1) if size % p == 0]) if b.fixed(size) else 1
        k, s, d = 1, 1, 1
        if case == "stride":
            s = 2
        elif case == "patch":
            k = s = patch
        elif case == "whole":
            k, s = size, b.pick([1, 1, 2, size])
        elif case == "overlap" and size > 2:
            k, d = 2, b.pick([1, 1, 2])
            s = b.pick([1, 2])
        elif case == "pad":
            k = b.pick([1, min(3, size)])
            pads[axis], pads[axis + len(spatial)] = b.pick([(0, 1), (1, 1), (1, 0)])
        kernel.append(k)
        stride.append(s)
        dilation.append(d)
    ends = [pads[i] + pads[i + len(spatial)] for i in range(len(spatial))]
    out = [
        (size + e - d * (k - 1) - 1) // s + 1
        for size, e, d, k, s in zip(spatial, ends, dilation, kernel, stride, strict=True)
    ]
    if any(o < 1 for o in out):
        return None
    x, bound = summed(b, x, math.prod(kernel) * c // group)
    inputs = [x.name, b.weight((n, c // group, *kernel))]
    if b.chance(0.5):
        inputs.append(b.weight((n,)))
    attrs: dict[str, object] = {}
    if group > 1 or b.chance(0.3):
        attrs["group"] = group
    if any(s > 1 for s in stride) or b.chance(0.3):
        attrs["strides"] = stride
    if any(pads):
        attrs["pads"] = pads
    elif b.chance(0.15):
        attrs["auto_pad"] = "VALID"
    if any(d > 1 for d in dilation):
        attrs["dilations"] = dilation
    if b.chance(0.5):
        attrs["kernel_shape"] = kernel
    shape = (x.shape[0], n, *out)
    y = Val(b.one("Conv", inputs, **attrs), shape, "f", bound, x.exact)
    return biased(b, y, n, 1) if b.chance(0.5) else y


def conv_transpose(b: Builder, x: Val) -> Val | None:
    if not 3 <= x.rank <= 5 or not b.fixed(x.shape[1]) or b.dtype != "float32":
        return None
    c = x.shape[1]
    group = b.pick([g for g in range(1, c + 1) if c % g == 0]) if b.chance(0.4) else 1
    n = b.width()
    kernel = [b.pick([1, 2, 3]) for _ in x.shape[2:]]
    stride = [k if b.chance(0.85) else b.pick([1, 2]) for k in kernel]
    out = [(d - 1) * s + k for d, s, k in zip(x.shape[2:], stride, kernel, strict=True)]
    shape = (x.shape[0], n * group, *out)
    if math.prod(shape) > 4096:
        return None
    x, bound = summed(b, x, c * math.prod(kernel))
    inputs = [x.name, b.weight((c, n, *kernel))]
    if b.chance(0.5):
        inputs.append(b.weight((n * group,)))
    name = b.one("ConvTranspose", inputs, strides=stride, group=group, kernel_shape=kernel)
    return Val(name, shape, "f", bound, x.exact)


def to_image(b: Builder, x: Val) -> Val | None:
    """Shape a value for the convolutions."""
    if x.rank < 1 or x.rank > 5:
        return None
    shape = x.shape
    if x.rank == 1:
        shape = (1, x.shape[0], 1)
    elif x.rank == 2:
        shape = (*x.shape, 1)
    elif x.rank == 3:
        shape = b.pick([(*x.shape, 1), (x.shape[0], x.shape[1], 1, x.shape[2]), x.shape])
    if x.rank == 4 and x.shape[2] == 1 and b.chance(0.5):
        shape = (*x.shape[:2], x.shape[3])
    return b.reshape(x, shape) if shape != x.shape else None


def product(b: Builder, x: Val) -> Val | None:
    """Two computed factors: x · xᵀ and the like."""
    if x.rank < 2 or x.kind != "f":
        return None
    others = [v for v in b.pool if v.kind == "f" and v.rank >= 2 and v.shape[-1] == x.shape[-1]]
    y = b.pick([x, *others])
    x, y = b.tame(x, 1.0), y
    limit = EXACT_ROOT[b.dtype] / math.sqrt(x.shape[-1])
    x, y = small(b, x, limit), small(b, y, limit)
    perm = [*range(y.rank - 2), y.rank - 1, y.rank - 2]
    try:
        lead = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    except ValueError:
        return None
    shape = (*lead, x.shape[-2], y.shape[-2])
    if math.prod(shape) > 4096:
        return None
    turned = b.one("Transpose", [y.name], perm=perm)
    bound = x.bound * y.bound * x.shape[-1]
    return Val(b.one("MatMul", [x.name, turned]), shape, "f", bound, x.exact and y.exact)


EXACT_ROOT = {"float32": 1024.0, "float16": 24.0, "bfloat16": 8.0, "float64": 2.0**20}


def small(b: Builder, x: Val, limit: float) -> Val:
    limit = max(limit, 1.0)
    if x.bound <= limit:
        return x
    if x.exact:
        sign = Val(b.one("Sign", [x.name]), x.shape, "f", 1.0, True)
        return sign if limit < 4 else b.tame(x, 2.0**60)
    return b.tame(x, 2.0**60)


def attention(b: Builder, x: Val) -> Val | None:
    """Self-attention spelled out, with heads split in one of the usual ways."""
    if x.rank != 3 or not b.fixed(x.shape[2]):
        return None
    n, s, c = x.shape
    heads = b.pick([h for h in (1, 2, 4) if c % h == 0])
    d = c // heads
    kv = b.pick([h for h in (1, 2, 4) if heads % h == 0]) if b.chance(0.3) else heads
    x, bound = summed(b, x, c)
    fused = kv == heads and b.chance(0.3)
    if fused:
        y = b.one("MatMul", [x.name, b.weight((c, 3 * c))])
        if b.opset >= 13:
            parts = b.op("Split", [y, b.ints([c, c, c])], 3, axis=2)
        else:
            parts = b.op("Split", [y], 3, axis=2, split=[c, c, c])
    else:
        parts = [b.one("MatMul", [x.name, b.weight((c, w))]) for w in (c, kv * d, kv * d)]
    values = [
        Val(p, (n, s, w), "f", bound, x.exact)
        for p, w in zip(parts, (c, kv * d, kv * d), strict=True)
    ]
    values = [biased(b, v, v.shape[2], 2) for v in values]
    split = [b.reshape(v, (n, s, h, d)) for v, h in zip(values, (heads, kv, kv), strict=True)]
    q = b.one("Transpose", [split[0].name], perm=[0, 2, 1, 3])
    key_order = [0, 2, 3, 1] if kv == heads and b.chance(0.6) else [0, 2, 1, 3]
    k = b.one("Transpose", [split[1].name], perm=key_order)
    v = b.one("Transpose", [split[2].name], perm=[0, 2, 1, 3])
    if kv != heads and b.dynamic:
        return None
    if kv != heads:
        repeat = heads // kv
        k, v = (_repeat_heads(b, t, (n, kv, s, d), repeat) for t in (k, v))
    if key_order == [0, 2, 1, 3]:
        k = b.one("Transpose", [k], perm=[0, 1, 3, 2])
    scores = b.one("MatMul", [q, k])
    scores = b.one(*b.pick([("Div", [scores, b.scalar(2.0)]), ("Mul", [scores, b.scalar(0.125)])]))
    if b.chance(0.5) and b.fixed(s):
        mask = np.where(np.tril(np.ones((s, s))) > 0, 0.0, -1000.0)
        mask = mask.astype(numpy_type(b.dtype)).reshape(b.pick([(s, s), (1, 1, s, s), (1, s, s)]))
        scores = b.one("Add", [scores, b.constant(mask)])
    p = b.one("Softmax", [scores], axis=3 if b.opset < 13 else b.pick([3, -1]))
    o = b.one("Transpose", [b.one("MatMul", [p, v])], perm=[0, 2, 1, 3])
    merged = b.reshape(Val(o, (n, s, heads, d), "f", bound, False), (n, s, c))
    y = Val(b.one("MatMul", [merged.name, b.weight((c, c))]), (n, s, c), "f", bound * c, False)
    return biased(b, y, c, 2)


def _repeat_heads(b: Builder, t: str, shape: tuple[int, ...], repeat: int) -> str:
    n, kv, s, d = shape
    t = b.axes("Unsqueeze", t, [2], 13)
    t = b.one("Expand", [t, b.ints([n, kv, repeat, s, d])])
    return b.reshape(Val(t, (n, kv, repeat, s, d)), (n, kv * repeat, s, d)).name


def rope(b: Builder, x: Val) -> Val | None:
    """x * cos + rotate(x) * sin over the last axis."""
    if x.rank < 2 or x.shape[-1] % 2 or not b.fixed(x.shape[-1]) or not b.fixed(x.shape[-2]):
        return None
    x = b.tame(x, 16)
    half = x.shape[-1] // 2
    axis = b.pick([-1, x.rank - 1])
    if b.opset >= 10:
        end = b.pick([x.shape[-1], 2**63 - 1, 2**31 - 1])
        low = b.one("Slice", [x.name, b.ints([0]), b.ints([half]), b.ints([axis])])
        high = b.one("Slice", [x.name, b.ints([-half]), b.ints([end]), b.ints([axis])])
    else:
        low = b.one("Slice", [x.name], starts=[0], ends=[half], axes=[axis])
        high = b.one("Slice", [x.name], starts=[half], ends=[2**31 - 1], axes=[axis])
    turned = b.one("Concat", [b.one("Neg", [high]), low], axis=axis)
    table = x.shape[-2:]
    left = b.one("Mul", [x.name, b.weight(table)])
    right = b.one("Mul", [turned, b.weight(table)])
    return Val(b.one("Add", [left, right]), x.shape, "f", 4 * x.bound, x.exact)


def windows(b: Builder, x: Val) -> Val | None:
    """Window partition, or patchify, or pixel shuffle: reshape, transpose, reshape."""
    if x.rank != 4 or not all(b.fixed(d) for d in x.shape[1:]):
        return None
    n, p, q, r = x.shape
    if b.chance(0.5):  # channels last: (n, h, w, c) -> (n * h/2 * w/2, 2, 2, c)
        if p % 2 or q % 2:
            return None
        split = b.reshape(x, (n, p // 2, 2, q // 2, 2, r))
        perm, shape = [0, 1, 3, 2, 4, 5], (n * p * q // 4, 4, r)
    elif b.chance(0.5):  # pixel shuffle
        if p % 4:
            return None
        split = b.reshape(x, (n, p // 4, 2, 2, q, r))
        perm, shape = [0, 1, 4, 2, 5, 3], (n, p // 4, 2 * q, 2 * r)
    else:  # patchify: (n, c, h, w) -> (n, patches, c * 2 * 2)
        if q % 2 or r % 2:
            return None
        split = b.reshape(x, (n, p, q // 2, 2, r // 2, 2))
        perm = b.pick([[0, 2, 4, 1, 3, 5], [0, 2, 4, 3, 5, 1]])
        shape = (n, q * r // 4, 4 * p)
    moved = Val(
        b.one("Transpose", [split.name], perm=perm),
        tuple(split.shape[i] for i in perm),
        x.kind,
        x.bound,
        x.exact,
    )
    return b.reshape(moved, shape)


def permuted_flatten(b: Builder, x: Val) -> Val | None:
    """Transpose, flatten, FC."""
    if x.rank < 3 or not all(map(b.fixed, x.shape[1:])) or x.size > 512:
        return None
    perm = [0, *(1 + int(p) for p in b.rng.permutation(x.rank - 1))]
    shape = tuple(x.shape[p] for p in perm)
    y = Val(b.one("Transpose", [x.name], perm=perm), shape, "f", x.bound, x.exact)
    k = math.prod(shape[1:])
    if b.chance(0.4):
        flat = Val(b.one("Flatten", [y.name], axis=1), (shape[0], k), "f", x.bound, x.exact)
    else:
        flat = b.reshape(y, (shape[0], k))
    return b.pick([gemm, matmul])(b, flat)


FLOAT_BLOCKS: tuple[Block, ...] = (
    matmul, matmul, matmul_left, gemm, einsum, einsum, conv, conv, conv, conv_transpose,
    product, attention, rope, windows, permuted_flatten, to_image,
)  # fmt: skip

__all__ = ["DTYPES", "FLOAT_BLOCKS", "Block"]
