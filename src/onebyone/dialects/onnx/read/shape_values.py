"""The elements of small integer tensors, as sizes: Shape -> Gather -> Concat -> Reshape arithmetic.

Shapes computed at run time are followed symbolically, so that a reshape to ``[batch, -1, 12, 64]``
is understood as fully as one to integers.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence

import onnx_ir as ir

from onebyone.axes.sizes import Size, product
from onebyone.dialects.onnx.read import attributes as at

# More elements than any shape, pad or axes vector has.
_LIMIT = 64

Contents = tuple[Size, ...]


def plus(a: Size, b: Size) -> Size:
    """The sum: a size of the same symbols where possible, else a symbol of its own."""
    if a.coefficient == 0:
        return b
    if b.coefficient == 0:
        return a
    if a.symbols == b.symbols:
        total = a.coefficient + b.coefficient
        return Size(total, a.symbols if total else ())
    return Size(1, ("(" + "+".join(sorted((str(a), str(b)))) + ")",))


def minus(a: Size, b: Size) -> Size:
    """The difference ``a - b``."""
    return plus(a, Size(-b.coefficient, b.symbols))


def floor_divide(a: Size, b: Size) -> Size:
    """The quotient rounded down: exact where it is, else a symbol of its own."""
    if b.coefficient == 0:
        return Size(1, (f"({a}//{b})",))
    exact = a.divided_by(b)
    if exact is not None:
        return exact
    if a.known is not None and b.known is not None:
        return Size(a.known // b.known)
    return Size(1, (f"({a}//{b})",))


def constant_contents(value: ir.Value) -> Contents | None:
    """The elements of a constant integer tensor, None where it is large or no integer."""
    tensor = ir.convenience.get_const_tensor(value)
    if tensor is None or tensor.dtype not in (ir.DataType.INT64, ir.DataType.INT32):
        return None
    dims = tensor.shape.numpy()
    if len(dims) > 1 or (dims and dims[0] > _LIMIT):
        return None
    return tuple(Size(int(x)) for x in tensor.numpy().reshape(-1))


class Evaluator:
    """Computes contents node by node, in graph order."""

    def __init__(self, shape: Callable[[ir.Value], tuple[Size, ...] | None]) -> None:
        self._shape = shape
        self._found: dict[ir.Value, Contents | None] = {}
        self._rank: dict[ir.Value, int] = {}

    def get(self, value: ir.Value | None) -> Contents | None:
        """The contents of a tensor, or None where they are not sizes."""
        if value is None:
            return None
        if value not in self._found:
            self._found[value] = constant_contents(value)
        return self._found[value]

    def put(self, value: ir.Value, contents: Contents | None) -> None:
        """Record the contents of a tensor."""
        self._found[value] = contents

    def visit(self, node: ir.Node) -> None:
        """Compute the contents of a node's outputs."""
        if node.domain not in ("", "ai.onnx"):
            return
        rule = _RULES.get(node.op_type)
        if rule is None:
            return
        outputs = rule(self, node)
        for value, contents in zip(node.outputs, outputs, strict=False):
            if contents is not None and len(contents) <= _LIMIT:
                self._found[value] = contents

    def integer(self, value: ir.Value | None) -> int | None:
        """The single integer that a tensor holds, or None."""
        contents = self.get(value)
        return contents[0].known if contents is not None and len(contents) == 1 else None

    def integers(self, value: ir.Value | None) -> list[int] | None:
        """The integers that a tensor holds, or None where one is not known."""
        contents = self.get(value)
        if contents is None:
            return None
        known = [size.known for size in contents]
        return [k for k in known if k is not None] if None not in known else None

    def shape(self, value: ir.Value) -> tuple[Size, ...] | None:
        """The shape of a tensor."""
        return self._shape(value)


Outputs = Sequence[Contents | None]
_Rule = Callable[[Evaluator, ir.Node], Outputs]


def _shape(ev: Evaluator, node: ir.Node) -> Outputs:
    source = node.inputs[0]
    shape = ev.shape(source) if source is not None else None
    if shape is None:
        return [None]
    return [shape[slice(at.integer(node, "start", 0), at.optional_integer(node, "end"))]]


def _size(ev: Evaluator, node: ir.Node) -> Outputs:
    source = node.inputs[0]
    shape = ev.shape(source) if source is not None else None
    return [None if shape is None else (product(shape),)]


def _same(ev: Evaluator, node: ir.Node) -> Outputs:
    return [ev.get(node.inputs[0])]


def _cast(ev: Evaluator, node: ir.Node) -> Outputs:
    to = at.integer(node, "to", 0)
    integral = to in (ir.DataType.INT64, ir.DataType.INT32)
    return [ev.get(node.inputs[0]) if integral else None]


def _gather(ev: Evaluator, node: ir.Node) -> Outputs:
    data, indices = ev.get(node.inputs[0]), ev.integers(node.inputs[1])
    source = node.inputs[0]
    if data is None or indices is None or source is None or at.integer(node, "axis", 0):
        return [None]
    if any(not -len(data) <= i < len(data) for i in indices):
        return [None]
    return [tuple(data[i] for i in indices)]


def _slice(ev: Evaluator, node: ir.Node) -> Outputs:
    data = ev.get(node.inputs[0])
    if data is None or len(node.inputs) < 3:
        return [None]
    starts, ends = ev.integers(node.inputs[1]), ev.integers(node.inputs[2])
    steps = ev.integers(node.inputs[4]) if len(node.inputs) > 4 and node.inputs[4] else [1]
    if not starts or not ends or not steps or len(starts) != 1:
        return [None]
    return [data[slice(starts[0], ends[0], steps[0])]]


def _concat(ev: Evaluator, node: ir.Node) -> Outputs:
    parts = [ev.get(value) for value in node.inputs]
    if any(part is None for part in parts):
        return [None]
    return [tuple(size for part in parts if part is not None for size in part)]


def _pairwise(combine: Callable[[Size, Size], Size | None]) -> _Rule:
    def rule(ev: Evaluator, node: ir.Node) -> Outputs:
        if len(node.inputs) != 2:
            return [None]  # Max and Min take any number
        a, b = ev.get(node.inputs[0]), ev.get(node.inputs[1])
        if a is None or b is None:
            return [None]
        if len(a) != len(b):
            if 1 not in (len(a), len(b)):
                return [None]
            a, b = a * max(len(b), 1) if len(a) == 1 else a, b * len(a) if len(b) == 1 else b
        out = [combine(x, y) for x, y in zip(a, b, strict=True)]
        return [None if None in out else tuple(x for x in out if x is not None)]

    return rule


def _known(function: Callable[[int, int], int]) -> Callable[[Size, Size], Size | None]:
    def combine(a: Size, b: Size) -> Size | None:
        if a.known is None or b.known is None:
            return a if a == b else None
        return Size(function(a.known, b.known))

    return combine


def _equal(a: Size, b: Size) -> Size | None:
    if a == b:
        return Size(1)
    return None if a.known is None or b.known is None else Size(0)


def _not(ev: Evaluator, node: ir.Node) -> Outputs:
    data = ev.get(node.inputs[0])
    return [None if data is None else tuple(Size(int(s == Size(0))) for s in data)]


def _where(ev: Evaluator, node: ir.Node) -> Outputs:
    """Only where all three have as many elements: a body chooses one size from two."""
    condition, a, b = (ev.get(value) for value in node.inputs)
    if condition is None or a is None or b is None or len({*map(len, (condition, a, b))}) != 1:
        return [None]
    choices = zip(condition, a, b, strict=True)
    return [tuple(y if c == Size(0) else x for c, x, y in choices)]


def _mod(a: Size, b: Size) -> Size | None:
    if a.known is not None and b.known:
        return Size(a.known % b.known)
    return Size(0) if b.coefficient and a.divided_by(b) is not None else None


def _neg(ev: Evaluator, node: ir.Node) -> Outputs:
    data = ev.get(node.inputs[0])
    return [None if data is None else tuple(Size(-s.coefficient, s.symbols) for s in data)]


def _constant_of_shape(ev: Evaluator, node: ir.Node) -> Outputs:
    length = ev.integers(node.inputs[0])
    fill = node.attributes.get("value")
    if length is None or len(length) > 1 or fill is None:
        return [None]
    tensor = fill.as_tensor()
    count = length[0] if length else 1
    if tensor.dtype not in (ir.DataType.INT64, ir.DataType.INT32) or count > _LIMIT:
        return [None]
    return [(Size(int(tensor.numpy().reshape(-1)[0])),) * count]


def _reduce_prod(ev: Evaluator, node: ir.Node) -> Outputs:
    data = ev.get(node.inputs[0])
    return [None if data is None else (product(data),)]


def _range(ev: Evaluator, node: ir.Node) -> Outputs:
    bounds = [ev.integer(value) for value in node.inputs]
    if any(b is None for b in bounds):
        return [None]
    start, limit, delta = (b for b in bounds if b is not None)
    if delta == 0 or abs(limit - start) > _LIMIT * abs(delta):
        return [None]
    return [tuple(Size(i) for i in range(start, limit, delta))]


def _split(ev: Evaluator, node: ir.Node) -> Outputs:
    data = ev.get(node.inputs[0])
    if data is None:
        return [None] * len(node.outputs)
    sizes = ev.integers(node.inputs[1]) if len(node.inputs) > 1 else None
    if sizes is None:
        each = -(-len(data) // len(node.outputs))
        sizes = [min(each, len(data) - i * each) for i in range(len(node.outputs))]
    found: list[Contents | None] = []
    start = 0
    for size in sizes:
        found.append(data[start : start + size])
        start += size
    return found


_RULES: dict[str, _Rule] = {
    "Shape": _shape,
    "Size": _size,
    "Identity": _same,
    "Squeeze": _same,
    "Unsqueeze": _same,
    "Reshape": _same,
    "Flatten": _same,
    "Cast": _cast,
    "Gather": _gather,
    "Slice": _slice,
    "Concat": _concat,
    "Split": _split,
    "Add": _pairwise(plus),
    "Sub": _pairwise(minus),
    "Mul": _pairwise(operator.mul),
    "Div": _pairwise(floor_divide),
    "Mod": _pairwise(_mod),
    "Max": _pairwise(_known(max)),
    "Min": _pairwise(_known(min)),
    "Neg": _neg,
    "Equal": _pairwise(_equal),
    "And": _pairwise(operator.mul),
    "Not": _not,
    "Where": _where,
    "ConstantOfShape": _constant_of_shape,
    "ReduceProd": _reduce_prod,
    "Range": _range,
}
