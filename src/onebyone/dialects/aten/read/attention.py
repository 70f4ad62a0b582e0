"""Fused attention as its parts: it stays fused where the plan leaves all of them as they are."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import fx

from onebyone.axes import meanings
from onebyone.axes import meanings_axis as mean
from onebyone.axes.meanings import axis_labels
from onebyone.axes.parts import synthetic
from onebyone.axes.positional import Apply, Operation, Position, Regroup, Tensor, Unknown
from onebyone.axes.sizes import ONE, Size
from onebyone.dialects.aten.read.arguments import Arguments
from onebyone.dialects.aten.read.reader import Handler, Key, Reader, Reading, rank_of
from onebyone.dialects.aten.values import Number, dtype_name, fake, op_name, shape_of


def attention(reader: Reader, node: fx.Node, given: Arguments) -> Unknown | list[Operation]:
    """``softmax(q' @ k'^T + mask) @ v``, each factor scaled by the root of the scale.

    Rows that are masked completely give 0, as PyTorch has it. The causal mask is a value of its
    own, and grouped queries read keys and values that are repeated.
    """
    if given.get("dropout_p"):
        return Unknown("attention with dropout")
    names = ("query", "key", "value", "attn_mask")
    q, k, v, mask = (reader.operand(node, name, given) for name in names)
    assert q is not None and k is not None and v is not None
    if {rank_of(t) for t in (q, k, v)} != {rank_of(q)}:
        return Unknown("attention whose operands have different ranks")
    groups = _groups(q, k, v) if given.get("enable_gqa") else ONE
    if groups is None:
        return Unknown("attention whose queries are grouped by a number computed at run time")
    assert q.shape is not None and k.shape is not None
    rows, columns = q.shape[-2], k.shape[-2]
    masks = bool(given.get("is_causal")) and not columns.is_one
    if masks and rows.is_one:
        return Unknown("attention with a causal mask of one row")
    parts = _Parts(reader, node, q.dtype)
    if not groups.is_one:
        k, v = parts.repeated(k, groups, "key"), parts.repeated(v, groups, "value")
    return parts.run(q, k, v, mask, given.get("scale"), masks=masks)


def _groups(q: Tensor, k: Tensor, v: Tensor) -> Size | None:
    """How many heads of the query share a head of the key, one after the other."""
    assert q.shape is not None and k.shape is not None and v.shape is not None
    if rank_of(q) < 3 or k.shape[-3] != v.shape[-3]:
        return None
    return q.shape[-3].divided_by(k.shape[-3])


def triangle(reader: Reader, node: fx.Node, given: Arguments) -> Reading | Unknown:
    """A triangle of ones is a causal mask."""
    source, lower = given["self"], op_name(node) == "tril"
    ones = op_name(source) == "ones" or (op_name(source) == "full" and source.args[1] == 1)
    shape = shape_of(fake(node))
    known = fake(node).dtype == torch.bool and len(shape) == 2 and given["diagonal"] == 0
    if not ones or not known or any(size.is_one for size in shape):
        return Unknown("a triangle of other than ones")
    rows, columns = shape if lower else shape[::-1]
    return Reading(mean.causal(rows, columns, lower=lower))


class _Parts:
    def __init__(self, reader: Reader, node: fx.Node, dtype: str) -> None:
        self.reader, self.node, self.dtype = reader, node, dtype
        self.found: list[Operation] = []

    def run(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        mask: Tensor | None,
        scale: float | None,
        *,
        masks: bool,
    ) -> list[Operation]:
        rank = rank_of(q)
        lead = tuple((f"b{i}",) for i in range(rank - 2))
        out = shape_of(fake(self.node))
        assert q.shape is not None and k.shape is not None
        shape = (*out[:-1], k.shape[-2])
        root = self._root(q, scale)
        # Of a negative scale the query takes the sign.
        q = self._scaled(q, -root if scale is not None and scale < 0 else root)
        k = self._scaled(k, root)
        m, n, e, d = ("m",), ("n",), ("e",), ("d",)
        scores = self._contract(
            "scores", (q, k), ((*lead, m, e), (*lead, n, e)), (*lead, m, n), shape
        )
        if masks:
            triangle = self._triangle(shape[-2], shape[-1])
            scores = self._pointwise("add", (scores, self._bias(triangle)), shape, "causal")
        if mask is not None:
            scores = self._pointwise("add", (scores, self._bias(mask)), shape, "masked")
        soft = meanings.along("softmax", rank, [-1])
        weights = self._step(soft, (scores,), synthetic(q, shape, f"{self.node.name}.softmax"))
        if mask is not None:
            empty = self._pointwise("isnan", (weights,), shape, "empty", "bool")
            zero = self._number(0.0)
            weights = self._pointwise("where", (empty, zero, weights), shape, "weights")
        meaning = meanings.contract(((*lead, m, n), (*lead, n, d)), (*lead, m, d))
        self._step(meaning, (weights, v), self.reader.tensor(self.node))
        return self.found

    def _root(self, q: Tensor, scale: float | None) -> float:
        """The root of the scale's magnitude in the arithmetic of the exporter to ONNX: float32.

        A double keeps its own root: one of float32 is wrong from the ninth digit on.
        """
        assert q.shape is not None
        width = q.shape[-1].known
        if fake(self.node).dtype == torch.float64 and (scale is not None or width is not None):
            return math.sqrt(abs(scale) if scale is not None else 1 / math.sqrt(width or 1))
        if scale is not None or width is None:
            return float(np.float32(math.sqrt(abs(scale) if scale is not None else 1.0)))
        return float(np.sqrt(np.float32(1.0) / np.sqrt(np.float32(width))))

    def repeated(self, tensor: Tensor, groups: Size, part: str) -> Tensor:
        """Each head as often as queries share it: head ``h * groups + g`` is head ``h``."""
        assert tensor.shape is not None
        *lead, heads, tokens, width = tensor.shape
        labels = axis_labels(len(tensor.shape))
        group: Position = ("group",)
        meaning = mean.expand(labels, (*labels[:-2], group, *labels[-2:]), {"group": groups})
        shape = (*lead, heads, groups, tokens, width)
        name = f"{self.node.name}.{part}"
        grouped = self._step(meaning, (tensor,), synthetic(tensor, shape, f"{name}.grouped"))
        flat = synthetic(tensor, (*lead, heads * groups, tokens, width), name)
        self.found.append(Operation(None, Regroup(), (grouped,), (flat,)))
        return flat

    def _triangle(self, rows: Size, columns: Size) -> Tensor:
        """The causal mask; elements of the model where exporters would compute it."""
        name = f"{self.node.name}.triangle"
        if self.reader.folds and rows.known is not None and columns.known is not None:
            elements = torch.ones(rows.known, columns.known, dtype=torch.bool).tril()
            return Tensor(elements, (rows, columns), "bool", True, name)
        target = Tensor(None, (rows, columns), "bool", name=name)
        return self._step(mean.causal(rows, columns), (), target)

    def _bias(self, mask: Tensor) -> Tensor:
        """A mask of booleans as one to add."""
        if mask.dtype != "bool":
            return mask
        assert mask.shape is not None
        if mask.constant and self.reader.folds:
            dtype = fake(self.node).dtype
            kept = self.reader.elements(mask)
            bias = torch.zeros(kept.shape, dtype=dtype).masked_fill(~kept, -math.inf)
            return Tensor(bias, mask.shape, dtype_name(dtype), True, f"{self.node.name}.bias")
        operands = (mask, self._number(0.0), self._number(-math.inf))
        return self._pointwise("where", operands, mask.shape, "bias")

    def _number(self, value: float) -> Tensor:
        number = Number(value, fake(self.node).dtype)
        return Tensor(number, (), dtype_name(number.dtype), True, f"{self.node.name}.{value}")

    def _scaled(self, tensor: Tensor, factor: float) -> Tensor:
        if factor == 1.0:
            return tensor
        assert tensor.shape is not None
        operands = (tensor, self._number(factor))
        return self._pointwise("mul", operands, tensor.shape, f"{tensor.name}.scaled")

    def _pointwise(
        self,
        fn: str,
        operands: tuple[Tensor, ...],
        shape: tuple[Size, ...],
        part: str,
        dtype: str = "",
    ) -> Tensor:
        meaning = meanings.pointwise(fn, [rank_of(t) for t in operands])
        like = next(t for t in operands if t.shape != () or t is operands[-1])
        target = synthetic(like, shape, f"{self.node.name}.{part}", dtype or self.dtype)
        return self._step(meaning, operands, target)

    def _contract(
        self,
        part: str,
        operands: tuple[Tensor, Tensor],
        labels: tuple[tuple[Position, ...], tuple[Position, ...]],
        result: tuple[Position, ...],
        shape: tuple[Size, ...],
    ) -> Tensor:
        meaning = meanings.contract(labels, result)
        target = synthetic(operands[0], shape, f"{self.node.name}.{part}")
        return self._step(meaning, operands, target)

    def _step(self, meaning: Apply, inputs: tuple[Tensor, ...], target: Tensor) -> Tensor:
        native = self.reader.natives[self.node]
        self.found.append(Operation(native, meaning, inputs, (target,)))
        return target


TABLE: dict[Key, Handler] = {
    ("aten", "scaled_dot_product_attention"): attention,
    ("aten", "tril"): triangle,
    ("aten", "triu"): triangle,
}
