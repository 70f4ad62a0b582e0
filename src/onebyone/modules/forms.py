"""What a torch layer is: an FC layer in which form, or why it is left alone.

Only the layer itself is judged here; what its model adds (tied weights, a parent that reads the
weight without calling the layer) is judged in `census`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import StrEnum
from math import prod
from typing import cast

from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import is_parametrized

from onebyone.identity import (
    Case,
    Geometry,
    Refusal,
    WeightMap,
    classify,
    conv_weight_map,
    fc_weight_map,
)


class Style(StrEnum):
    """How a fully connected layer is written."""

    CONV = "conv"
    LINEAR = "linear"


@dataclass(frozen=True)
class SwapPlan:
    """A layer that can be swapped.

    Attributes:
        case: which windows of its input the layer reads.
        weight_map: from its weight, in the layer's shape, to the other style's:
            ``(out, in, *kernel)`` for a convolution, ``(out, in)`` for an ``nn.Linear``.
    """

    case: Case
    weight_map: WeightMap


CONVOLUTIONS: tuple[type[nn.Module], ...] = (
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)
_QUANTIZED = ("torch.ao.nn.", "torch.nn.quantized", "torch.nn.intrinsic", "torchao.")
_BARE = set(vars(nn.Module()))
# Attributes of nn.Module that hold hooks on the state dict of a single layer.
_STATE_HOOKS = (
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)


def transformers_conv1d() -> type[nn.Module] | None:
    """The class ``transformers.pytorch_utils.Conv1D``, or None while transformers is not loaded.

    It is an FC layer whose weight is ``(in, out)``; no model can hold one before that import.
    """
    pytorch_utils = sys.modules.get("transformers.pytorch_utils")
    return None if pytorch_utils is None else cast("type[nn.Module]", pytorch_utils.Conv1D)


def base_class(module: nn.Module) -> type[nn.Module] | None:
    """The class of this table that ``module`` is an instance of, or None."""
    conv1d = transformers_conv1d()
    known = (*CONVOLUTIONS, nn.Linear) if conv1d is None else (*CONVOLUTIONS, nn.Linear, conv1d)
    return next((cls for cls in known if isinstance(module, cls)), None)


def is_quantized_class(module: nn.Module) -> bool:
    """True for the quantized layers of torch.ao and torchao, which are no ``nn.Linear``."""
    home = type(module).__module__ + "."
    return home.startswith(_QUANTIZED) and hasattr(module, "weight")


def style_of(module: nn.Module) -> Style | None:
    """The style of a layer of torch or transformers, or None for anything else."""
    base = base_class(module)
    if base is None:
        return None
    return Style.CONV if base in CONVOLUTIONS else Style.LINEAR


def plan_linear(module: nn.Module, sizes: tuple[int, ...] | None = None) -> SwapPlan | Refusal:
    """Say how ``module`` becomes an ``nn.Linear``.

    Args:
        module: a convolution, or transformers' ``Conv1D``.
        sizes: spatial input sizes where an example has shown them, else None.
    """
    refusal = _refuse_layer(module)
    if refusal is not None:
        return refusal
    if base_class(module) is transformers_conv1d():
        size_in, size_out = cast("tuple[int, int]", tuple(_weight(module).shape))
        old = (size_in, size_out)
        return SwapPlan(Case.POINTWISE, WeightMap(old, old, (1, 0), (size_out, size_in)))
    geometry = geometry_of(module, sizes)
    verdict = classify(geometry)
    if isinstance(verdict, Refusal):
        return _hint(geometry, verdict)
    return _viewable(module, SwapPlan(verdict.case, fc_weight_map(geometry)))


def plan_conv(module: nn.Module) -> SwapPlan | Refusal:
    """Say how ``module``, an ``nn.Linear`` or transformers' ``Conv1D``, becomes a convolution."""
    refusal = _refuse_layer(module)
    if refusal is not None:
        return refusal
    shape = tuple(_weight(module).shape)
    if base_class(module) is transformers_conv1d():
        plan = SwapPlan(Case.POINTWISE, conv_weight_map(shape[0], shape[1], transposed=True))
    else:
        plan = SwapPlan(Case.POINTWISE, conv_weight_map(shape[1], shape[0]))
    return _viewable(module, plan)


def geometry_of(module: nn.Module, sizes: tuple[int, ...] | None = None) -> Geometry:
    """The geometry of a torch convolution, with the input ``sizes`` where they are known."""
    conv = cast("nn.Conv2d", module)
    kernel = tuple(conv.kernel_size)
    dilation = tuple(conv.dilation)
    if conv.padding == "same":
        total = [step * (size - 1) for step, size in zip(dilation, kernel, strict=True)]
        padding = tuple((size // 2, size - size // 2) for size in total)
    elif conv.padding == "valid":
        padding = ((0, 0),) * len(kernel)
    else:
        padding = tuple((int(size), int(size)) for size in conv.padding)
    return Geometry(
        in_channels=conv.in_channels,
        out_channels=conv.out_channels,
        kernel=kernel,
        stride=tuple(conv.stride),
        padding=padding,
        dilation=dilation,
        groups=conv.groups,
        transposed=bool(conv.transposed),
        output_padding=tuple(conv.output_padding) if conv.transposed else (),
        # A transposed convolution of one input position is an FC layer for that size only, and
        # torch layers take any size; an ordinary one falls back to overlapping windows.
        input_size=() if conv.transposed or sizes is None else _fitting(sizes, kernel),
    )


def _fitting(sizes: tuple[int, ...], kernel: tuple[int, ...]) -> tuple[int | None, ...]:
    """Only sizes equal to the kernel: torch cuts a rest off, and so does the swapped layer."""
    return tuple(size if size == k else None for size, k in zip(sizes, kernel, strict=True))


def _hint(geometry: Geometry, refusal: Refusal) -> Refusal:
    unpadded = not any(any(pair) for pair in geometry.padding)
    if geometry.transposed or not unpadded or any(step != 1 for step in geometry.dilation):
        return refusal
    window = "x".join(str(size) for size in geometry.kernel)
    return Refusal(
        f"{refusal.reason} (an FC layer only if its input is exactly {window}: "
        "pass example_input to show it)"
    )


def _weight(module: nn.Module) -> Tensor:
    return cast("Tensor", module.weight)


def _refuse_layer(module: nn.Module) -> Refusal | None:
    """Refuse a layer that does more than its class, or keeps its weight elsewhere."""
    reason = _behaviour(module) or _storage(module)
    return None if reason is None else Refusal(reason)


def _behaviour(module: nn.Module) -> str | None:
    base = base_class(module)
    if base is None:
        kind = "quantized module" if is_quantized_class(module) else "no FC layer or convolution"
        return f"{type(module).__name__}: {kind}"
    if is_parametrized(module):
        return (
            "parametrized: its weight is computed at each call; call "
            "torch.nn.utils.parametrize.remove_parametrizations(layer, 'weight') first"
        )
    weight = module._parameters.get("weight")  # pyright: ignore[reportPrivateUsage]
    if weight is not None and is_lazy(weight):
        return "lazy: its shape is not known yet; run the model once first"
    if weight is None:
        return (
            "its weight is computed by a hook (weight_norm, spectral_norm, pruning); fold it in "
            "first, as with torch.nn.utils.remove_weight_norm(layer)"
        )
    for method in ("forward", "_conv_forward", "__call__"):
        if getattr(type(module), method, None) is not getattr(base, method, None):
            return f"{type(module).__name__} computes its own {method}"
    if "forward" in vars(module):
        return "its forward is replaced on the instance"
    if any(vars(module).get(name) for name in _STATE_HOOKS):
        return "it carries state-dict hooks of its own"
    if module._modules or set(module._parameters) - {"weight", "bias"}:  # pyright: ignore[reportPrivateUsage]
        return "it holds parameters or modules beside weight and bias"
    return None


def _storage(module: nn.Module) -> str | None:
    parameters = module._parameters  # pyright: ignore[reportPrivateUsage]
    weight, bias = parameters.get("weight"), parameters.get("bias")
    assert weight is not None
    for parameter in (weight, bias):
        if parameter is None:
            continue
        if type(parameter) is not nn.Parameter:
            return f"its weight is a {type(parameter).__name__}: quantized or distributed"
        if not (parameter.is_floating_point() or parameter.is_complex()):
            return f"its weight is {parameter.dtype}: quantized"
        if parameter._backward_hooks or parameter._post_accumulate_grad_hooks:  # pyright: ignore
            return "its parameters carry gradient hooks, which would see another shape"
    if prod(weight.shape) == 0:
        return f"its weight has no elements: shape {tuple(weight.shape)}"
    return None


def _viewable(module: nn.Module, plan: SwapPlan) -> SwapPlan | Refusal:
    try:
        view(_weight(module).detach(), plan.weight_map)
    except RuntimeError:
        return Refusal(
            f"its weight, strides {_weight(module).stride()}, cannot be read as "
            f"{plan.weight_map.new} without a copy (channels-last? swap before "
            "model.to(memory_format=torch.channels_last); grouped and transposed never can)"
        )
    return plan


def view(tensor: Tensor, weight_map: WeightMap) -> Tensor:
    """Read ``tensor``, of shape ``weight_map.old``, as ``weight_map.new`` without a copy.

    Raises:
        RuntimeError: its strides do not allow that.
    """
    return tensor.view(weight_map.split).permute(weight_map.order).view(weight_map.new)


def mapped(tensor: Tensor, weight_map: WeightMap) -> Tensor:
    """``tensor``, of shape ``weight_map.old``, as ``weight_map.new``; copied only where it must."""
    return tensor.reshape(weight_map.split).permute(weight_map.order).reshape(weight_map.new)


def extra_attributes(module: nn.Module) -> dict[str, object]:
    """The instance attributes that nn.Module itself does not define (sizes, the user's own)."""
    return {name: value for name, value in vars(module).items() if name not in _BARE}
