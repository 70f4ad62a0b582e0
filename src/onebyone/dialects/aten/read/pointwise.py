"""Operators that work element by element, along lines, or reduce."""

from __future__ import annotations

from collections.abc import Hashable

import torch
from torch import fx

from onebyone.axes import meanings
from onebyone.axes.parts import synthetic
from onebyone.axes.positional import Operation, Regroup, Unknown
from onebyone.dialects.aten.read.arguments import IRRELEVANT, Arguments
from onebyone.dialects.aten.read.reader import Handler, Key, Reader, Reading, rank_of
from onebyone.dialects.aten.read.window import window
from onebyone.dialects.aten.values import (
    dtype_name,
    fake,
    integers,
    is_tensor,
    op_key,
    op_name,
    shape_of,
)

# ATen operator -> (function by the name that every dialect shares, its operands in order).
_ONE: tuple[str, ...] = ("self",)
_TWO: tuple[str, ...] = ("self", "other")
_NAMED: dict[str, tuple[str, tuple[str, ...]]] = {
    name: (name, _ONE)
    for name in (
        "abs acos acosh asin asinh atan atanh ceil celu cos cosh elu erf erfc exp expm1 floor "
        "gelu hardshrink hardsigmoid hardswish hardtanh isfinite isinf isnan leaky_relu log log10 "
        "log1p log2 log_sigmoid mish nan_to_num neg reciprocal relu relu6 round rsqrt selu sigmoid "
        "sign signbit sin sinh softplus softshrink sqrt square tan tanh threshold trunc"
    ).split()
}
_RENAMED: dict[str, tuple[str, tuple[str, ...]]] = {
    "__and__": ("and", _TWO),
    "__or__": ("or", _TWO),
    "add": ("add", _TWO),
    "addcdiv": ("addcdiv", ("self", "tensor1", "tensor2")),
    "_prelu_kernel": ("prelu", ("self", "weight")),
    "addcmul": ("addcmul", ("self", "tensor1", "tensor2")),
    "atan2": ("atan2", _TWO),
    "bitwise_and": ("and", _TWO),
    "bitwise_not": ("not", _ONE),
    "bitwise_or": ("or", _TWO),
    "bitwise_xor": ("xor", _TWO),
    "clamp": ("clip", ("self", "min", "max")),
    "clamp_max": ("min", ("self", "max")),
    "clamp_min": ("max", ("self", "min")),
    "div": ("div", _TWO),
    "eq": ("equal", _TWO),
    "floor_divide": ("floor_divide", _TWO),
    "fmod": ("fmod", _TWO),
    "full_like": ("full_like", _ONE),
    "ge": ("ge", _TWO),
    "gt": ("greater", _TWO),
    "le": ("le", _TWO),
    "lerp": ("lerp", ("self", "end", "weight")),
    "logical_and": ("and", _TWO),
    "logical_not": ("not", _ONE),
    "logical_or": ("or", _TWO),
    "logical_xor": ("xor", _TWO),
    "lt": ("less", _TWO),
    "masked_fill": ("where", ("mask", "value", "self")),
    "maximum": ("max", _TWO),
    "minimum": ("min", _TWO),
    "mul": ("mul", _TWO),
    "ne": ("ne", _TWO),
    "ones_like": ("ones_like", _ONE),
    "pow": ("pow", ("self", "exponent")),
    "remainder": ("mod", _TWO),
    "rsub": ("sub", ("other", "self")),
    "silu": ("swish", _ONE),
    "sub": ("sub", _TWO),
    "where": ("where", ("condition", "self", "other")),
    "zeros_like": ("zeros_like", _ONE),
}
POINTWISE: dict[Key, tuple[str, tuple[str, ...]]] = {
    ("aten", name): row for name, row in (_NAMED | _RENAMED).items()
}

# The logical operators mean the bitwise ones on anything but booleans.
_BITWISE = frozenset({"and", "not", "or", "xor"})

REDUCE: dict[str, str] = {
    "all": "all",
    "amax": "max",
    "amin": "min",
    "any": "any",
    "logsumexp": "logsumexp",
    "max": "max",
    "mean": "mean",
    "min": "min",
    "prod": "prod",
    "std": "std",
    "sum": "sum",
    "var": "var",
}


_SOFTMAX = ("_softmax", "_log_softmax", "softmax", "log_softmax")
_GLOBAL_POOL = (
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "_adaptive_avg_pool2d",
)

# Reductions that leave a single element as it is.
_IDENTITIES = ("all", "any", "logsumexp", "max", "mean", "min", "prod", "sum")


def pointwise(reader: Reader, node: fx.Node, given: Arguments) -> Reading | Unknown:
    """Element by element, with broadcasting aligned from the right."""
    fn, names = POINTWISE[op_key(node)]
    sums = fn in ("add", "sub")
    if sums and given.get("alpha", 1) != 1:
        return Unknown("a sum with a factor")
    dtypes = [fake(v).dtype for v in node.all_input_nodes if is_tensor(v)]
    if fn in _BITWISE and any(d != torch.bool for d in dtypes):
        fn = f"bitwise{fn}" if not op_name(node).startswith("logical") else f"logical {fn}"
    rest = {k: v for k, v in given.items() if k not in (*names, *IRRELEVANT) and v is not None}
    if sums:
        rest.pop("alpha", None)
    if any(isinstance(v, fx.Node) for v in rest.values()):
        return Unknown("an operand is a size that is computed at run time")
    tensors = [reader.operand(node, name, given) for name in names]
    ranks = [None if tensor is None else rank_of(tensor) for tensor in tensors]
    attrs: tuple[Hashable, ...] = tuple(
        (k, tuple(v) if isinstance(v, list) else v) for k, v in sorted(rest.items())
    )
    return Reading(meanings.pointwise(fn, ranks, attrs), *names)


def prelu(reader: Reader, node: fx.Node, given: Arguments) -> Reading:
    """A leaky ReLU with one slope for each channel, or for all."""
    slopes = fake(given["weight"])
    rank, single = fake(given["self"]).ndim, slopes.numel() == 1
    return Reading(meanings.prelu(rank, slopes.ndim, single=single), "self", "weight")


def vector_norm(reader: Reader, node: fx.Node, given: Arguments) -> Reading | Unknown:
    """The Euclidean norm along some axes."""
    source, axes = fake(given["self"]), integers(given.get("dim"))
    if given["ord"] != 2 or not axes or fake(node).dtype != source.dtype:
        return Unknown("a norm other than the Euclidean one along axes")
    if all(shape_of(source)[axis].is_one for axis in axes):
        return Unknown("a reduction over axes of size 1 alone")
    given.told("dtype")
    keep = bool(given.get("keepdim", False))
    return Reading(meanings.reduce("l2", source.ndim, axes, keep=keep), "self")


def var_mean(reader: Reader, node: fx.Node, given: Arguments) -> Unknown | list[Operation]:
    """Variance and mean as the two reductions that they are."""
    x = reader.operand(node, "self", given)
    axes = integers(given.get("dim"))
    assert x is not None and x.shape is not None
    if not axes or all(x.shape[axis].is_one for axis in axes):
        return Unknown("a reduction over axes of size 1 alone")
    keep, rank = bool(given.get("keepdim", False)), len(x.shape)
    variance = meanings.reduce("var", rank, axes, (_correction(given),), keep=keep)
    mean = meanings.reduce("mean", rank, axes, keep=keep)
    found: list[Operation] = []
    for item in (user for user in node.users if user.users):
        meaning = (variance, mean)[int(str(item.args[1]))]
        found.append(Operation(reader.natives[node], meaning, (x,), (reader.tensor(item),)))
    return found


def _correction(given: Arguments) -> float:
    """What a variance subtracts from the number of elements that it divides by."""
    if "correction" not in given:
        return 1.0 if given.get("unbiased", True) else 0.0
    return 1.0 if given["correction"] is None else float(given["correction"])


def cast(reader: Reader, node: fx.Node, given: Arguments) -> Reading | Unknown:
    """Another element type; the same type is the same tensor."""
    source, result = fake(node.all_input_nodes[0]), fake(node)
    if source.device != result.device:
        return Unknown("a copy to another device")
    given.told("dtype", "other")
    if source.dtype == result.dtype:
        return Reading(Regroup(), "self")
    attrs = (dtype_name(result.dtype),)
    return Reading(meanings.pointwise("cast", [source.ndim], attrs), "self")


def dropout(reader: Reader, node: fx.Node, given: Arguments) -> Reading | Unknown:
    """At inference dropout is the identity."""
    if given.get("train"):
        return Unknown("dropout in training mode")
    given.told("p")
    return Reading(Regroup(), "input")


def softmax(reader: Reader, node: fx.Node, given: Arguments) -> Reading | Unknown | list[Operation]:
    """Softmax and its logarithm along one axis."""
    x = reader.operand(node, "self", given)
    assert x is not None
    rank, widens = rank_of(x), given.get("half_to_float")
    fn = "logsoftmax" if "log" in op_name(node) else "softmax"
    meaning = meanings.along(fn, rank, [given["dim"]] if rank else [])
    given.told("dim", "dtype")
    out = fake(node)
    if dtype_name(out.dtype) == x.dtype:
        return Reading(meaning, "self")
    if widens:
        return Unknown("a softmax that widens its input")
    native = reader.natives[node]
    wide = synthetic(x, x.shape, f"{node.name}.wide", dtype_name(out.dtype))
    to = meanings.pointwise("cast", [rank], (wide.dtype,))
    return [
        Operation(native, to, (x,), (wide,)),
        Operation(native, meaning, (wide,), (reader.tensor(node),)),
    ]


def cumsum(reader: Reader, node: fx.Node, given: Arguments) -> Reading | Unknown:
    """A running sum along one axis."""
    rank = fake(node).ndim
    if given.get("dtype") is not None or not rank:
        return Unknown("a running sum in another type")
    return Reading(meanings.along("cumsum", rank, [given["dim"]]), "self")


def reduce(reader: Reader, node: fx.Node, given: Arguments) -> Reading | Unknown:
    """Sums, means, extrema over some axes."""
    source = fake(node.all_input_nodes[0])
    result = fake(node)
    first = result[0] if isinstance(result, list | tuple) else result
    name = op_name(node)
    if name in ("mean", "sum", "prod") and first.dtype != source.dtype:
        return Unknown("a reduction into another type")
    if "other" in given:
        return Unknown("an extremum of two tensors")
    axes = given.get("dim")
    axes = list(range(source.ndim)) if axes is None or axes == [] else integers(axes)
    assert axes is not None
    given.told("dtype")
    keep = bool(given.get("keepdim", False))
    if all(shape_of(source)[axis].is_one for axis in axes):
        # An empty list of axes would mean all of them: there is no way to write it elsewhere.
        if REDUCE[name] in _IDENTITIES and first is result and first.dtype == source.dtype:
            return Reading(Regroup(), "self")
        return Unknown("a reduction over axes of size 1 alone")
    attrs: tuple[Hashable, ...] = ()
    if name in ("std", "var"):
        attrs = (_correction(given),)
    return Reading(meanings.reduce(REDUCE[name], source.ndim, axes, attrs, keep=keep), "self")


def arg(reader: Reader, node: fx.Node, given: Arguments) -> Reading | Unknown:
    """Place of the largest or smallest element along one axis."""
    source, axis = fake(node.all_input_nodes[0]), given.get("dim")
    if axis is None:
        return Unknown("a place among all elements, counted in row-major order")
    keep = bool(given.get("keepdim", False))
    return Reading(meanings.reduce(op_name(node), source.ndim, [axis], (0,), keep=keep), "self")


def global_pool(reader: Reader, node: fx.Node, given: Arguments) -> Reading | Unknown:
    """Adaptive average pooling to one position is a mean over the spatial axes."""
    source, spatial = fake(node.all_input_nodes[0]), integers(given["output_size"])
    if spatial is None or any(size != 1 for size in spatial):
        return window(reader, node, f"{op_name(node)} is no sum of products")
    count = len(spatial)
    axes = list(range(source.ndim - count, source.ndim))
    if all(shape_of(source)[axis].is_one for axis in axes):
        return Reading(Regroup(), "self")
    return Reading(meanings.reduce("mean", source.ndim, axes, keep=True), "self")


TABLE: dict[Key, Handler] = {
    **dict.fromkeys(POINTWISE, pointwise),
    **{("aten", name): reduce for name in REDUCE},
    **{("aten", name): softmax for name in _SOFTMAX},
    **{("aten", name): arg for name in ("argmax", "argmin")},
    **{("aten", name): cast for name in ("to", "_to_copy", "type_as")},
    **{("aten", name): global_pool for name in _GLOBAL_POOL},
    ("aten", "prelu"): prelu,
    ("aten", "cumsum"): cumsum,
    ("aten", "dropout"): dropout,
    ("aten", "linalg_vector_norm"): vector_norm,
    ("aten", "var_mean"): var_mean,
}
