"""Norms, fused where the layout allows it, else as their primitives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import fx

from onebyone.axes.graph import Form, Node
from onebyone.axes.sizes import product
from onebyone.dialects.aten.values import Native, arguments, fake
from onebyone.layout.solve import Variant

if TYPE_CHECKING:
    from onebyone.dialects.aten.write.writer import Emitter

aten = torch.ops.aten

Inputs = Sequence[Any]


def fused_norm(emitter: Emitter, node: Node, variant: Variant, inputs: Inputs) -> fx.Node:
    """The fused operator at its new positions."""
    native: Native = node.natives[0]
    given = arguments(native.node)
    eps = given.get("eps")
    if node.fn == "batch_norm":
        names = ("input", "weight", "bias", "running_mean", "running_var")
        own = dict(zip(names, inputs, strict=True))
        own |= {"training": False, "momentum": 0.1, "eps": eps, "cudnn_enabled": True}
        return emitter.call(aten.batch_norm.default, own, origin=native.node)
    own = dict(zip(("input", "weight", "bias"), inputs, strict=False)) | {"eps": eps}
    if node.fn == "group_norm":
        own["num_groups"] = given.get("num_groups", given.get("group"))
        return emitter.call(aten.group_norm.default, own, origin=native.node)
    use = node.operands[0]
    assert use is not None
    along, form = set(node.along), variant.reads[0]
    first = next((n for n, g in enumerate(form) if g and use.indices[g[0]] in along), len(form) - 1)
    own["normalized_shape"] = [
        product([use.value.sizes[axis] for axis in group]).known for group in form[first:]
    ]
    target = aten.rms_norm.default if node.fn == "rms_norm" else aten.layer_norm.default
    for name in ("weight", "bias"):
        # A parameter may come in a form with positions of size 1 in front.
        held: Any = own.get(name)
        if held is not None and list(fake(held).shape) != own["normalized_shape"]:
            args = (held, own["normalized_shape"])
            own[name] = emitter.op(aten.reshape.default, args, origin=native.node)
    return emitter.call(target, own, origin=native.node)


def spell_norm(emitter: Emitter, node: Node, variant: Variant, inputs: Inputs) -> fx.Node:
    """``(x - mean) / sqrt(variance + epsilon) * scale + bias``; RMS has the mean square instead.

    As PyTorch has it, float16 and bfloat16 are normalised in float32.
    """
    use, x = node.operands[0], inputs[0]
    assert use is not None
    form: Form = variant.reads[0]
    native: Native = node.natives[0]
    along = set(node.along)
    axes = [n for n, group in enumerate(form) if group and use.indices[group[0]] in along]

    def step(target: Any, *args: Any) -> fx.Node:
        return emitter.op(target, args, origin=native.node, rule="norm")

    own = fake(x).dtype
    wide = own in (torch.float16, torch.bfloat16)
    if wide:
        x = step(aten.to.dtype, x, torch.float32)
    eps = arguments(native.node).get("eps")
    eps = torch.finfo(own).eps if eps is None else eps
    if node.fn == "layer_norm":
        # Mean and variance side by side: a backend that has neither is left once, not twice.
        given = {"self": x, "dim": axes, "correction": 0, "keepdim": True}
        spread = emitter.call(aten.var.correction, given, origin=native.node, rule="norm")
        x = step(aten.sub.Tensor, x, step(aten.mean.dim, x, axes, True))
    else:
        spread = step(aten.mean.dim, step(aten.mul.Tensor, x, x), axes, True)
    shifted = step(aten.add.Tensor, spread, eps)
    out = step(aten.mul.Tensor, x, step(aten.rsqrt.default, shifted))
    if wide:
        out = step(aten.to.dtype, out, own)
    for target, parameter in zip((aten.mul.Tensor, aten.add.Tensor), inputs[1:], strict=False):
        if parameter is not None:
            out = step(target, out, parameter)
    return out
