"""Fused attention as its parts: it stays fused where the plan leaves all of them as they are."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import fx

from onebyone.axes.positional import Apply, Kind, Operation, Position, Tensor, Unknown
from onebyone.axes.sizes import Size
from onebyone.dialects.aten.lift import (
    Arguments,
    Handler,
    Reader,
    axis_labels,
    rank_of,
    synthetic,
)
from onebyone.dialects.aten.values import Number, dtype_name, fake, shape_of


def attention(reader: Reader, node: fx.Node, given: Arguments) -> Unknown | list[Operation]:
    """``softmax(q' @ k'^T + mask) @ v``, each factor scaled by the root of the scale.

    Rows that are masked completely give 0, as PyTorch has it.
    """
    if given.get("dropout_p"):
        return Unknown("attention with dropout")
    if given.get("is_causal"):
        return Unknown("attention with its own causal mask")
    if given.get("enable_gqa"):
        return Unknown("attention with grouped queries")
    names = ("query", "key", "value", "attn_mask")
    q, k, v, mask = (reader.operand(node, name, given) for name in names)
    assert q is not None and k is not None and v is not None
    if {rank_of(t) for t in (q, k, v)} != {rank_of(q)}:
        return Unknown("attention whose operands have different ranks")
    return _Parts(reader, node, q.dtype).run(q, k, v, mask, given.get("scale"))


class _Parts:
    def __init__(self, reader: Reader, node: fx.Node, dtype: str) -> None:
        self.reader, self.node, self.dtype = reader, node, dtype
        self.found: list[Operation] = []

    def run(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float | None
    ) -> list[Operation]:
        rank = rank_of(q)
        lead = tuple((f"b{i}",) for i in range(rank - 2))
        out = shape_of(fake(self.node))
        assert q.shape is not None and k.shape is not None
        shape = (*out[:-1], k.shape[-2])
        root = self._root(q, scale)
        q, k = self._scaled(q, root), self._scaled(k, root)
        m, n, e, d = ("m",), ("n",), ("e",), ("d",)
        scores = self._contract(
            "scores", (q, k), ((*lead, m, e), (*lead, n, e)), (*lead, m, n), shape
        )
        if mask is not None:
            scores = self._pointwise("add", (scores, self._bias(mask)), shape, "masked")
        labels = axis_labels(rank)
        soft = Apply(Kind.ALONG, "softmax", (labels,), (labels,), along=labels[-1])
        weights = self._step(soft, (scores,), synthetic(q, shape, f"{self.node.name}.softmax"))
        if mask is not None:
            empty = self._pointwise("isnan", (weights,), shape, "empty", "bool")
            zero = self._number(0.0)
            weights = self._pointwise("where", (empty, zero, weights), shape, "weights")
        meaning = Apply(
            Kind.CONTRACT,
            "contract",
            ((*lead, m, n), (*lead, n, d)),
            ((*lead, m, d),),
        )
        self._step(meaning, (weights, v), self.reader.tensor(self.node))
        return self.found

    def _root(self, q: Tensor, scale: float | None) -> float:
        """The root of the scale in the arithmetic of the exporter to ONNX: float32.

        A double keeps its own root: one of float32 is wrong from the ninth digit on.
        """
        assert q.shape is not None
        width = q.shape[-1].known
        if fake(self.node).dtype == torch.float64 and (scale is not None or width is not None):
            return math.sqrt(scale if scale is not None else 1 / math.sqrt(width or 1))
        if scale is not None or width is None:
            return float(np.float32(math.sqrt(scale if scale is not None else 1.0)))
        return float(np.sqrt(np.float32(1.0) / np.sqrt(np.float32(width))))

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
        top = len(shape)
        labels = tuple(
            tuple((f"d{top - rank_of(t) + i}",) for i in range(rank_of(t))) for t in operands
        )
        meaning = Apply(Kind.POINTWISE, fn, labels, (axis_labels(top),))
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
        meaning = Apply(Kind.CONTRACT, "contract", labels, (result,))
        target = synthetic(operands[0], shape, f"{self.node.name}.{part}")
        return self._step(meaning, operands, target)

    def _step(self, meaning: Apply, inputs: tuple[Tensor, ...], target: Tensor) -> Tensor:
        native = self.reader.natives[self.node]
        self.found.append(Operation(native, meaning, inputs, (target,)))
        return target


TABLE: dict[str, Handler] = {"scaled_dot_product_attention": attention}
