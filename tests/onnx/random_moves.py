"""More blocks: layout, elementwise operators, norms, reductions, indexing, opaque operators."""

from __future__ import annotations

import math

import numpy as np
import onnx
from onnx import helper as h

from tests.onnx.random_blocks import FLOAT_BLOCKS, Block, small
from tests.onnx.random_builder import BATCH, DTYPES, EXACT, SEQ, Builder, Val, numpy_type


def moved(x: Val, name: str, shape: tuple[int, ...]) -> Val:
    return Val(name, shape, x.kind, x.bound, x.exact)


def transpose(b: Builder, x: Val) -> Val | None:
    if x.rank < 2:
        return None
    if b.chance(0.15):
        return moved(x, b.one("Transpose", [x.name]), x.shape[::-1])
    perm = [int(p) for p in b.rng.permutation(x.rank)]
    return moved(x, b.one("Transpose", [x.name], perm=perm), tuple(x.shape[p] for p in perm))


def regroup(b: Builder, x: Val) -> Val | None:
    """Split or merge positions, or reshape to anything."""
    if x.rank == 0:
        return b.reshape(x, (1,) * int(b.rng.integers(1, 4)))
    place = int(b.rng.integers(x.rank))
    size = x.shape[place]
    roll = b.rng.random()
    if roll < 0.4 and x.rank < 6:
        base = [p for p in range(1, size + 1) if size % p == 0]
        part = b.pick(base)
        return b.reshape(x, (*x.shape[:place], part, size // part, *x.shape[place + 1 :]))
    if roll < 0.8 and place + 1 < x.rank:
        merged = size * x.shape[place + 1]
        return b.reshape(x, (*x.shape[:place], merged, *x.shape[place + 2 :]))
    if b.dynamic:
        return None
    shape = list(x.shape)
    b.rng.shuffle(shape)
    return b.reshape(x, shape)


def regroup_other(b: Builder, x: Val) -> Val | None:
    roll = b.rng.random()
    if roll < 0.25:
        axis = int(b.rng.integers(-x.rank, x.rank + 1))
        cut = axis + x.rank if axis < 0 else axis
        shape = (math.prod(x.shape[:cut]), math.prod(x.shape[cut:]))
        if b.opset < 11 and axis < 0:
            return None
        return moved(x, b.one("Flatten", [x.name], axis=axis), shape)
    if roll < 0.5:
        ones = [i for i, d in enumerate(x.shape) if d == 1]
        gone = [i for i in ones if b.chance(0.7)]
        if not gone:
            return None
        shape = tuple(d for i, d in enumerate(x.shape) if i not in gone)
        if gone == ones and b.chance(0.3) and not b.dynamic:
            return moved(x, b.one("Squeeze", [x.name]), shape)
        low = x.rank if b.opset >= 11 and b.chance(0.3) else 0
        return moved(x, b.axes("Squeeze", x.name, [i - low for i in gone], 13), shape)
    if roll < 0.85:
        if x.rank > 5:
            return None
        axis = int(b.rng.integers(x.rank + 1))
        shape = (*x.shape[:axis], 1, *x.shape[axis:])
        low = x.rank + 1 if b.opset >= 11 and b.chance(0.3) else 0
        return moved(x, b.axes("Unsqueeze", x.name, [axis - low], 13), shape)
    return moved(x, b.one("Identity", [x.name]), x.shape)


def unary(b: Builder, x: Val) -> Val | None:
    exact = ["Relu", "Neg", "Abs", "LeakyRelu", "Dropout"] + (["Sign", "Floor"] if x.exact else [])
    fuzzy = ["Tanh", "Sigmoid", "Erf", "Softplus", "HardSigmoid"]
    fuzzy += (["Gelu"] if b.opset >= 20 else []) + (["HardSwish"] if b.opset >= 14 else [])
    name = b.pick(exact * 2 + fuzzy)
    if name in fuzzy:
        x = b.tame(x, 2.0**60)
        return Val(b.one(name, [x.name]), x.shape, "f", max(x.bound, 1.0), False)
    attrs = {"alpha": 0.5} if name == "LeakyRelu" else {}
    x = b.tame(x, 4.0)
    exact_now = (x.exact and name != "LeakyRelu") or (x.exact and x.bound < 64)
    return Val(b.one(name, [x.name], **attrs), x.shape, "f", x.bound, exact_now)


def binary(b: Builder, x: Val) -> Val | None:
    """An elementwise operator with a constant or another value, broadcast in any way."""
    x = b.tame(x, 16.0)
    others = [v for v in b.pool if v.kind == "f" and fits(x, v)]
    if others and b.chance(0.5):
        y = b.tame(b.pick(others), 16.0)
        shape = tuple(np.broadcast_shapes(x.shape, y.shape))
        if math.prod(shape) > 4096 or len(shape) > 6:
            return None
    else:
        rank = int(b.rng.integers(0, x.rank + 1))
        own = [d if b.fixed(d) and b.chance(0.6) else 1 for d in x.shape[x.rank - rank :]]
        if b.chance(0.1) and x.rank < 5:
            own = [1] * (x.rank + 1 - rank) + own
        y = Val(b.weight(own), tuple(own), "f", 2.0)
        shape = tuple(np.broadcast_shapes(x.shape, y.shape))
    pair = [x, y] if b.chance(0.5) else [y, x]
    names = [v.name for v in pair]
    exact = x.exact and y.exact
    op = b.pick(["Add", "Add", "Sub", "Mul", "Mul", "Max", "Min", "Sum", "Where", "Div", "PRelu"])
    if op == "Mul":
        if x.bound * y.bound > EXACT[b.dtype]:
            return None
        return Val(b.one(op, names), shape, "f", x.bound * y.bound, exact)
    if op == "Div":
        name = b.one("Div", [x.name, b.bare(2.0)])
        return Val(name, x.shape, "f", x.bound, x.exact and x.bound < 64)
    if op == "PRelu":
        if x.bound * 2 > EXACT[b.dtype]:
            return None
        slope = [d if b.fixed(d) and b.chance(0.5) else 1 for d in x.shape[-1:]]
        return Val(b.one(op, [x.name, b.weight(slope)]), x.shape, "f", 2 * x.bound, x.exact)
    if op == "Where":
        if not exact:
            return None
        test = b.one(b.pick(["Greater", "Less"]), [x.name, b.bare(0.0)])
        return Val(b.one("Where", [test, *names]), shape, "f", max(x.bound, y.bound), True)
    if op in ("Sum", "Max", "Min") and b.chance(0.3):
        names.append(x.name)
    return Val(b.one(op, names), shape, "f", 3 * max(x.bound, y.bound), exact)


def fits(x: Val, y: Val) -> bool:
    try:
        np.broadcast_shapes(x.shape, y.shape)
    except ValueError:
        return False
    return True


def norm(b: Builder, x: Val) -> Val | None:
    kinds = ["spelled", "rms"]
    kinds += ["layer"] if b.opset >= 17 else []
    kinds += ["batch", "instance"] if x.rank >= 3 and b.fixed(x.shape[1]) else []
    kinds += ["group"] if x.rank >= 3 and b.opset >= 21 and b.fixed(x.shape[1]) else []
    kinds += ["rmsop"] if b.opset >= 23 else []
    kind = b.pick(kinds)
    x = b.tame(x, 2.0**60)
    if x.rank < 1:
        return None
    out = Val("", x.shape, "f", 16.0, False)
    if kind in ("layer", "rmsop"):
        start = int(b.rng.integers(x.rank)) if b.chance(0.3) else x.rank - 1
        shape = x.shape[start:]
        if not all(map(b.fixed, shape)):
            return None
        inputs = [x.name, b.weight(shape)]
        if kind == "layer" and b.chance(0.6):
            inputs.append(b.weight(shape))
        op = "LayerNormalization" if kind == "layer" else "RMSNormalization"
        axis = b.pick([start, start - x.rank])
        return moved(out, b.one(op, inputs, axis=axis, epsilon=1.0), x.shape)
    if kind in ("spelled", "rms"):
        axis = b.pick([-1, -1, x.rank - 1, int(b.rng.integers(x.rank))])
        if b.opset < 11 and axis < 0:
            axis += x.rank
        y = x.name
        if kind == "spelled":
            y = b.one("Sub", [y, b.axes("ReduceMean", y, [axis], 18)])
        square = b.one("Mul", [y, y]) if b.chance(0.5) else b.one("Pow", [y, b.bare(2.0)])
        spread = b.one("Add", [b.axes("ReduceMean", square, [axis], 18), b.bare(1.0)])
        y = b.one("Div", [y, b.one("Sqrt", [spread])])
        if axis in (-1, x.rank - 1) and b.fixed(x.shape[-1]):
            y = b.one("Mul", [y, b.weight(x.shape[-1:])])
        return moved(out, y, x.shape)
    c = x.shape[1]
    scale, shift = b.weight((c,)), b.weight((c,))
    if kind == "batch":
        mean = b.weight((c,))
        spread = b.constant(b.integers((c,), 1, 3))
        name = b.one("BatchNormalization", [x.name, scale, shift, mean, spread], epsilon=1.0)
    elif kind == "instance":
        name = b.one("InstanceNormalization", [x.name, scale, shift], epsilon=1.0)
    else:
        groups = b.pick([g for g in range(1, c + 1) if c % g == 0])
        inputs = [x.name, scale, shift]
        name = b.one("GroupNormalization", inputs, num_groups=groups, epsilon=1.0)
    return moved(out, name, x.shape)


def softmax(b: Builder, x: Val) -> Val | None:
    if x.rank < 1:
        return None
    x = b.tame(x, 2.0**60)
    op = b.pick(["Softmax", "Softmax", "LogSoftmax"])
    axis = int(b.rng.integers(-x.rank if b.opset >= 11 else 0, x.rank))
    attrs = {} if b.chance(0.2) and (x.rank > 1 or b.opset >= 13) else {"axis": axis}
    return Val(b.one(op, [x.name], **attrs), x.shape, "f", 1.0, False)


def reduce(b: Builder, x: Val) -> Val | None:
    if x.rank < 1:
        return None
    op = b.pick(
        ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceSumSquare"]
    )
    count = int(b.rng.integers(1, x.rank + 1))
    axes = sorted(int(a) for a in b.rng.choice(x.rank, count, replace=False))
    keep = b.chance(0.5)
    everything = b.chance(0.1)
    if everything:
        axes = list(range(x.rank))
    length = math.prod(x.shape[a] for a in axes)
    x = b.tame(x, 4.0 * length)
    if op == "ReduceSumSquare":
        x = small(b, x, math.sqrt(EXACT[b.dtype] / length))
    bound = x.bound * (length if op in ("ReduceSum", "ReduceL1") else 1)
    bound = x.bound**2 * length if op == "ReduceSumSquare" else bound
    exact = x.exact and op != "ReduceMean"
    shape = tuple(1 if i in axes else d for i, d in enumerate(x.shape) if keep or i not in axes)
    if everything:
        return Val(b.one(op, [x.name], keepdims=int(keep)), shape, "f", bound, exact)
    if b.chance(0.5) and b.opset >= 11:
        axes = [a - x.rank for a in axes]
    since = 13 if op == "ReduceSum" else 18
    return Val(b.axes(op, x.name, axes, since, keepdims=int(keep)), shape, "f", bound, exact)


def arg(b: Builder, x: Val) -> Val | None:
    if x.rank < 1 or not x.exact:
        return None
    axis, keep = int(b.rng.integers(x.rank)), b.chance(0.5)
    shape = tuple(1 if i == axis else d for i, d in enumerate(x.shape) if keep or i != axis)
    op = b.pick(["ArgMax", "ArgMin"])
    name = b.one(op, [x.name], axis=axis, keepdims=int(keep))
    if b.chance(0.3):
        b.extra_outputs.append(Val(name, shape, "i", x.shape[axis]))
    cast = b.one("Cast", [name], to=DTYPES[b.dtype])
    return Val(cast, shape, "f", float(x.shape[axis]), True)


def slices(b: Builder, x: Val) -> Val | None:
    places = [i for i, d in enumerate(x.shape) if b.fixed(d)]
    if not places:
        return None
    axes = [int(a) for a in b.rng.permutation(places)[: b.pick([1, 1, 2, 3])]]
    starts, ends, steps, shape = [], [], [], list(x.shape)
    for axis in axes:
        size = x.shape[axis]
        step = b.pick([1, 1, 1, 2, -1, -2]) if b.opset >= 10 else 1
        low = int(b.rng.integers(size))
        high = int(b.rng.integers(low + 1, size + 1))
        if step > 0:
            start, end = b.pick([low, low - size]), b.pick([high, high - size or size, 2**31 - 1])
            if end == 2**31 - 1:
                high = size
            if end < 0:
                high = end + size
        else:
            start, end = b.pick([high - 1, -1, 2**31 - 1]), b.pick([-(2**31), -(2**63) + 1])
            low, high = 0, size if start != high - 1 else high
        count = len(range(low, high, abs(step)))
        if count < 1:
            return None
        shape[axis] = count
        starts.append(start)
        ends.append(end)
        steps.append(step)
    if b.opset < 10:
        return moved(x, b.one("Slice", [x.name], starts=starts, ends=ends, axes=axes), tuple(shape))
    named = [a - x.rank if b.chance(0.3) else a for a in axes]
    inputs = [x.name, b.ints(starts), b.ints(ends), b.ints(named)]
    if any(s != 1 for s in steps) or b.chance(0.5):
        inputs.append(b.ints(steps))
    return moved(x, b.one("Slice", inputs), tuple(shape))


def split(b: Builder, x: Val) -> Val | None:
    places = [i for i, d in enumerate(x.shape) if b.fixed(d) and d > 1]
    if not places:
        return None
    axis = b.pick(places)
    size = x.shape[axis]
    even = b.opset >= 18 and b.chance(0.4)
    if even:
        count = b.pick([2, min(3, size)])
        each = -(-size // count)
        sizes = [min(each, size - i * each) for i in range(count)]
        if sizes[-1] < 1:
            return None
        names = b.op("Split", [x.name], count, axis=axis, num_outputs=count)
    else:
        cut = int(b.rng.integers(1, size))
        sizes = [cut, size - cut]
        if b.opset >= 13:
            names = b.op("Split", [x.name, b.ints(sizes)], 2, axis=axis)
        else:
            names = b.op("Split", [x.name], 2, axis=axis, split=sizes)
    for name, part in zip(names, sizes, strict=True):
        b.pool.append(moved(x, name, (*x.shape[:axis], part, *x.shape[axis + 1 :])))
    return b.pool.pop()


def concat(b: Builder, x: Val) -> Val | None:
    if x.rank < 1:
        return None
    axis = int(b.rng.integers(x.rank))
    if not b.fixed(x.shape[axis]):
        return None
    rest = (*x.shape[:axis], *x.shape[axis + 1 :])

    def alike(v: Val) -> bool:
        same = v.rank == x.rank and (*v.shape[:axis], *v.shape[axis + 1 :]) == rest
        return same and v.kind == x.kind and b.fixed(v.shape[axis])

    parts = [x, b.pick([v for v in b.pool if alike(v)] or [x])]
    if b.chance(0.4) and all(map(b.fixed, rest)) and x.kind == "f":
        shape = (*x.shape[:axis], b.pick([1, 2]), *x.shape[axis + 1 :])
        parts.append(Val(b.weight(shape), shape, "f", 2.0))
    b.rng.shuffle(parts)  # pyright: ignore[reportArgumentType]
    shape = (*x.shape[:axis], sum(p.shape[axis] for p in parts), *x.shape[axis + 1 :])
    if math.prod(shape) > 4096:
        return None
    if b.opset >= 11 and b.chance(0.3):
        axis -= x.rank
    name = b.one("Concat", [p.name for p in parts], axis=axis)
    return Val(name, shape, x.kind, max(p.bound for p in parts), all(p.exact for p in parts))


def pad(b: Builder, x: Val) -> Val | None:
    places = [i for i, d in enumerate(x.shape) if b.fixed(d)]
    if not places or x.kind != "f":
        return None
    mode = b.pick(["constant", "constant", "edge", "reflect"])
    begin, end = [0] * x.rank, [0] * x.rank
    for axis in places:
        if b.chance(0.5) and (mode != "reflect" or x.shape[axis] > 2):
            begin[axis], end[axis] = int(b.rng.integers(3)), int(b.rng.integers(3))
    shape = tuple(d + p + q for d, p, q in zip(x.shape, begin, end, strict=True))
    if math.prod(shape) > 4096:
        return None
    if b.opset < 11:
        return moved(x, b.one("Pad", [x.name], mode=mode, pads=[*begin, *end]), shape)
    inputs = [x.name]
    if b.opset >= 18 and b.chance(0.4):
        axes = [int(a) for a in b.rng.permutation(x.rank)]
        chosen = [begin[a] for a in axes] + [end[a] for a in axes]
        fill = b.bare(1.0) if b.chance(0.5) else ""
        inputs += [b.ints(chosen), fill, b.ints(axes)]
    else:
        inputs += [b.ints([*begin, *end])] + ([b.bare(1.0)] if b.chance(0.5) else [])
    return moved(x, b.one("Pad", inputs, mode=mode), shape)


def gather(b: Builder, x: Val) -> Val | None:
    places = [i for i, d in enumerate(x.shape) if b.fixed(d)]
    if not places:
        return None
    axis = b.pick(places)
    form = b.pick([(), (2,), (1,), (2, 2), (4,)])
    size = x.shape[axis]
    low = -size if b.opset >= 11 else 0
    indices = b.constant(b.rng.integers(low, size, form))
    shape = (*x.shape[:axis], *form, *x.shape[axis + 1 :])
    if math.prod(shape) > 4096 or len(shape) > 6:
        return None
    if b.chance(0.3) and b.opset >= 11:
        axis -= x.rank
    return moved(x, b.one("Gather", [x.name, indices], axis=axis), shape)


def embed(b: Builder, x: Val) -> Val | None:
    """A table looked up by an input of integers."""
    shape = b.pick([(SEQ,), (BATCH, SEQ)]) if b.dynamic else b.pick([(2, 4), (4,), (1, 4)])
    ids = b.input(shape, "i", 3)
    c = b.width()
    name = b.one("Gather", [b.weight((4, c)), ids.name])
    return Val(name, (*shape, c), "f", 2.0, True)


def expand(b: Builder, x: Val) -> Val | None:
    if b.dynamic or x.rank < 1:
        return None
    shape = [b.pick([d, 2]) if d == 1 else d for d in x.shape]
    if b.chance(0.3) and x.rank < 5:
        shape = [b.pick([1, 2]), *shape]
    if math.prod(shape) > 4096:
        return None
    # A 1 in the wanted shape leaves a size as it is.
    extra = len(shape) - x.rank
    told = [
        1 if i >= extra and d == x.shape[i - extra] and b.chance(0.3) else d
        for i, d in enumerate(shape)
    ]
    return moved(x, b.one("Expand", [x.name, b.ints(told)]), tuple(shape))


def cumsum(b: Builder, x: Val) -> Val | None:
    if x.rank < 1 or b.opset < 11 or b.dtype in ("float16", "bfloat16"):
        return None
    axis = int(b.rng.integers(-x.rank, x.rank))
    x = b.tame(x, 4.0 * x.shape[axis])
    where = b.constant(np.asarray(axis, np.int64).reshape(b.pick([(), (1,)])))
    attrs = {"exclusive": 1} if b.chance(0.3) else {}
    attrs |= {"reverse": 1} if b.chance(0.3) else {}
    name = b.one("CumSum", [x.name, where], **attrs)
    return Val(name, x.shape, "f", x.bound * x.shape[axis], x.exact)


def opaque(b: Builder, x: Val) -> Val | None:
    """Operators that the engine leaves alone."""
    roll = b.rng.random()
    if roll < 0.3 and x.rank in (3, 4, 5) and all(d >= 2 for d in x.shape[2:]):
        if not all(map(b.fixed, x.shape)) or b.dtype != "float32":
            return None
        spatial = x.rank - 2
        shape = (*x.shape[:2], *(d - 1 for d in x.shape[2:]))
        return moved(x, b.one("MaxPool", [x.name], kernel_shape=[2] * spatial), shape)
    if roll < 0.6 and x.rank >= 2 and b.opset >= 14:
        return moved(x, b.one("Trilu", [x.name], upper=int(b.chance(0.5))), x.shape)
    if x.rank == 4 and x.shape[1] % 4 == 0 and b.fixed(x.shape[1]):
        n, c, p, q = x.shape
        return moved(x, b.one("DepthToSpace", [x.name], blocksize=2), (n, c // 4, 2 * p, 2 * q))
    if x.rank >= 1 and x.exact and b.opset >= 11 and b.fixed(x.shape[-1]):
        values, _ = b.op("TopK", [x.name, b.ints([1])], 2, axis=-1)
        return moved(x, values, (*x.shape[:-1], 1))
    return None


def branch(b: Builder, x: Val) -> Val | None:
    """An If whose bodies read outer values."""
    if b.opset < 11:
        return None
    flag = b.input((), "b")
    inner = [b.name("n") for _ in range(2)]
    info = h.make_empty_tensor_value_info
    bodies = {
        f"{side}_branch": h.make_graph(
            [h.make_node(op, [x.name], [name], name=f"{op}_{name}")], side, [], [info(name)]
        )
        for side, op, name in zip(("then", "else"), ("Neg", "Abs"), inner, strict=True)
    }
    return moved(x, b.one("If", [flag.name], **bodies), x.shape)


def loop(b: Builder, x: Val) -> Val | None:
    """A Loop of two turns that adds an outer value to its state."""
    if b.opset < 11 or b.dtype == "bfloat16":
        return None
    x = b.tame(x, 16)
    i, go, state, out, on = (b.name("l") for _ in range(5))
    code = DTYPES[b.dtype]
    dims = [b._symbol(d) if b.dynamic else d for d in x.shape]
    dims = [None] * x.rank if b.dynamic else dims
    body = h.make_graph(
        [
            h.make_node("Add", [state, x.name], [out], name=f"add_{out}"),
            h.make_node("Identity", [go], [on], name=f"go_{on}"),
        ],
        "body",
        [
            h.make_tensor_value_info(i, onnx.TensorProto.INT64, []),
            h.make_tensor_value_info(go, onnx.TensorProto.BOOL, []),
            h.make_tensor_value_info(state, code, dims),
        ],
        [
            h.make_tensor_value_info(on, onnx.TensorProto.BOOL, []),
            h.make_tensor_value_info(out, code, dims),
        ],
    )
    turns = b.constant(np.asarray(2, np.int64))
    name = b.one("Loop", [turns, "", x.name], body=body)
    return Val(name, x.shape, "f", 3 * x.bound, x.exact)


def function(b: Builder, x: Val) -> Val | None:
    """A call of a function of the model's own: max(x, x) + x."""
    if b.opset < 15:
        return None
    if not b.functions:
        nodes = [h.make_node("Relu", ["a"], ["r"]), h.make_node("Add", ["r", "a"], ["o"])]
        imports = [h.make_opsetid("", b.opset)]
        b.functions.append(h.make_function("own", "ReluPlus", ["a"], ["o"], nodes, imports))
    x = b.tame(x, 4)
    return Val(b.one("ReluPlus", [x.name], domain="own"), x.shape, "f", 2 * x.bound, x.exact)


MOVES: tuple[Block, ...] = (
    transpose, transpose, regroup, regroup, regroup_other, unary, binary, binary, norm, softmax,
    reduce, arg, slices, split, concat, pad, gather, embed, expand, cumsum, opaque, branch, loop,
    function,
)  # fmt: skip
BLOCKS: tuple[Block, ...] = (*FLOAT_BLOCKS, *MOVES)
assert numpy_type("float32") == np.float32
