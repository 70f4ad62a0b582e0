"""A swapped layer: the same interface as the old layer, a plain layer of the other form inside.

The child (``linear`` or ``conv``) is an ordinary ``nn.Linear`` or ``nn.Conv2d``, so that
quantizers, adapters and other walkers find it. Around it the old layer's interface stays: the
shapes of input and output, ``weight``, ``bias``, every attribute, the hooks, and the state dict,
which keeps the names and shapes of the old layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from onebyone.identity import Case, WeightMap
from onebyone.modules.forms import Style, extra_attributes, mapped, view

# What nn.Module keeps in an instance and a swapped layer takes over as it is: the very same
# dictionaries, so that a handle of a hook still removes it.
_KEPT = (
    "training",
    "_buffers",
    "_non_persistent_buffers_set",
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_is_full_backward_hook",
)


# Where a bias is kept that is not one number a row of the FC layer.
CHANNEL_BIAS = "channel_bias.bias"


@dataclass(frozen=True)
class Swap:
    """What a swapped layer was, and how its parameters correspond.

    Attributes:
        original: class of the old layer.
        style: how the layer is written now.
        case: which windows the old layer read.
        weight_map: from the old weight to the child's.
        bias_path: where the bias is kept, ``linear.bias`` for one, or None without a bias.
    """

    original: type[nn.Module]
    style: Style
    case: Case
    weight_map: WeightMap
    bias_path: str | None

    @property
    def names(self) -> tuple[tuple[str, str, WeightMap | None], ...]:
        """(old name, name in the child, map) of each parameter, in the old order."""
        weight = ("weight", f"{self.style.value}.weight", self.weight_map)
        return (weight,) if self.bias_path is None else (weight, ("bias", self.bias_path, None))


class Swapped(nn.Module):
    """Base of the swapped layers; built by `onebyone.to_linear` and `onebyone.to_conv`.

    Args:
        old: the layer to replace; its attributes, buffers and hooks are taken over.
        swap: how its parameters correspond.
        weight: the parameter of the child, already in its shape.
        bias: the old layer's bias, or None.
    """

    swap: Swap

    def __init__(
        self, old: nn.Module, swap: Swap, weight: nn.Parameter, bias: nn.Parameter | None
    ) -> None:
        super().__init__()
        vars(self).update(extra_attributes(old))
        _take_over(old, self)
        self.swap = swap
        child_bias = bias if swap.bias_path != CHANNEL_BIAS else None
        child = _plain_child(swap, child_bias is not None)
        child.register_parameter("weight", weight)
        child.register_parameter("bias", child_bias)
        child.train(old.training)
        self.add_module(swap.style.value, child)
        if bias is not None and child_bias is None:
            self.add_module("channel_bias", ChannelBias(bias))
        self.register_state_dict_post_hook(_as_original)

    @property
    def child(self) -> nn.Module:
        """The plain layer inside, or what a quantizer or an adapter has put in its place."""
        return cast("nn.Module", self._modules[self.swap.style.value])

    @property
    def weight(self) -> Tensor:
        """The weight in the shape of the old layer, a view that shares memory and gradient.

        Once a quantizer has replaced the weight, its own: code that asks for its dtype or device
        still runs.
        """
        weight = cast("Tensor", self.child.weight)
        if is_subclass(weight) or tuple(weight.shape) != self.swap.weight_map.new:
            return weight
        return _as_old(weight, self.swap.weight_map.inverse)

    @property
    def bias(self) -> Tensor | None:
        """The bias of the old layer, the parameter itself."""
        if self.swap.bias_path is None:
            return None
        return cast("Tensor", self.get_submodule(self.swap.bias_path.rpartition(".")[0]).bias)

    @property
    def is_plain(self) -> bool:
        """True while the child is the plain layer that it was built with, without hooks."""
        return is_plain(self.child)

    def restore(self, weight: nn.Parameter) -> nn.Module:
        """Build the old layer anew with ``weight``, its own; hooks and buffers move back to it."""
        old = self.swap.original.__new__(self.swap.original)
        nn.Module.__init__(old)
        kept = {k: v for k, v in extra_attributes(self).items() if k != "swap"}
        vars(old).update(kept)
        _take_over(self, old)
        old.register_parameter("weight", weight)
        old.register_parameter("bias", cast("nn.Parameter | None", self.bias))
        return old

    def extra_repr(self) -> str:
        """Name the class that this layer stands for, and its case."""
        return f"{self.swap.original.__name__}, {self.swap.case.value}"

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Accept the old layer's names and shapes beside this layer's own."""
        for old_name, child_name, weight_map in self.swap.names:
            if prefix + old_name not in state_dict:
                continue
            tensor = cast("Tensor", state_dict.pop(prefix + old_name))
            if weight_map is not None:
                if tuple(tensor.shape) != weight_map.old:
                    error_msgs.append(
                        f"size mismatch for {prefix}{old_name}: the checkpoint has "
                        f"{tuple(tensor.shape)}, the model {weight_map.old}"
                    )
                    continue
                tensor = mapped(tensor, weight_map)
            state_dict[prefix + child_name] = tensor
        rest = (local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
        super()._load_from_state_dict(state_dict, prefix, *rest)


class ChannelBias(nn.Module):
    """One bias a channel, where a row of the FC layer is only one position of a channel."""

    def __init__(self, bias: nn.Parameter) -> None:
        super().__init__()
        self.bias = bias

    def forward(self, value: Tensor) -> Tensor:
        """Add the bias along axis 1 of ``(B, N, ...)``."""
        return value + self.bias.to(value.dtype).view(-1, *[1] * (value.dim() - 2))


def is_plain(child: nn.Module) -> bool:
    """True for an ``nn.Linear`` or ``nn.Conv2d`` that nobody has replaced, hooked or quantized."""
    if type(child) not in (nn.Linear, nn.Conv2d) or "forward" in vars(child):
        return False
    hooks = child._forward_hooks or child._forward_pre_hooks or child._backward_hooks  # pyright: ignore[reportPrivateUsage]
    return not hooks and not is_subclass(cast("Tensor", child.weight))


def is_subclass(tensor: Tensor) -> bool:
    """True for a tensor that stands for others, as a quantized weight does."""
    # torch knows those that it can trace into by this method; its own fake tensors have none.
    return hasattr(tensor, "__tensor_flatten__")


def view_parameter(parameter: nn.Parameter, weight_map: WeightMap) -> nn.Parameter:
    """A parameter of another shape on the same memory, with its gradient and attributes."""
    viewed = nn.Parameter(view(parameter.detach(), weight_map), parameter.requires_grad)
    vars(viewed).update(vars(parameter))
    if parameter.grad is not None:
        viewed.grad = mapped(parameter.grad, weight_map)
    return viewed


def _as_old(weight: Tensor, weight_map: WeightMap) -> Tensor:
    viewed = view(weight, weight_map)
    # Training loops read `layer.weight.grad`; a view has none of its own.
    if weight.grad is not None:
        viewed.grad = mapped(weight.grad, weight_map)
    return viewed


def _take_over(source: nn.Module, target: nn.Module) -> None:
    for name in _KEPT:
        vars(target)[name] = vars(source)[name]


def _plain_child(swap: Swap, bias: bool) -> nn.Module:
    # On the meta device: nothing is allocated or initialised, the parameters come from the old.
    out_features, in_features = swap.weight_map.new[:2]
    if swap.style is Style.LINEAR:
        return nn.Linear(in_features, out_features, bias=bias, device="meta")
    return nn.Conv2d(in_features, out_features, 1, bias=bias, device="meta")


def _as_original(module: nn.Module, state_dict: dict[str, Any], prefix: str, _: Any) -> None:
    """State-dict hook: the old names and shapes, unless the child is no longer a plain layer."""
    for old_name, child_name, weight_map in cast("Swapped", module).swap.names:
        tensor = state_dict.get(prefix + child_name)
        if not isinstance(tensor, Tensor) or is_subclass(tensor):
            continue
        if weight_map is not None:
            if tuple(tensor.shape) != weight_map.new or not tensor.is_floating_point():
                continue
            tensor = mapped(tensor, weight_map.inverse)
        del state_dict[prefix + child_name]
        state_dict[prefix + old_name] = tensor
    for name, _buffer in module.named_buffers(recurse=False):
        if prefix + name in state_dict:  # buffers come after parameters
            state_dict[prefix + name] = state_dict.pop(prefix + name)


class LinearAsConv(Swapped):
    """An FC layer as a 1x1 ``nn.Conv2d``, token layout ``(B, K, 1, S)``.

    ``(K,)`` and ``(S, K)`` run as ``(1, K, 1, S)``, ``(B, S, K)`` as ``(B, K, 1, S)``,
    ``(B, H, W, K)`` as ``(B, K, H, W)``; more axes are merged into S. The result is contiguous,
    as ``nn.Linear`` gives it.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer to ``(..., K)``; returns ``(..., N)``."""
        features = self.swap.weight_map.new[1]
        if x.dim() == 0 or x.size(-1) != features:
            raise RuntimeError(f"{tuple(x.shape)} does not end in the {features} features read")
        y = self.child(_image(x))
        return y.movedim(1, -1).reshape(*x.shape[:-1], y.size(1)).contiguous()


def _image(x: Tensor) -> Tensor:
    """View ``(..., K)`` as an image ``(B, K, H, W)`` of its tokens."""
    if x.numel() == 0:
        # A convolution takes an empty batch, but no empty axis.
        return x.reshape(0, x.size(-1), 1, 1)
    if x.dim() < 3:
        tokens = x.reshape(1, 1, -1, x.size(-1))
    elif x.dim() == 4:
        tokens = x
    else:
        tokens = x.reshape(x.size(0), 1, -1, x.size(-1))
    return tokens.movedim(-1, 1)


class Conv1DAsLinear(Swapped):
    """transformers' ``Conv1D``, an FC layer with weight ``(in, out)``, as an ``nn.Linear``."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer to ``(..., K)``; returns ``(..., N)``."""
        return self.child(x)


def channels_last(x: Tensor) -> bool:
    """True where a convolution of ``x``, ``(B, C, *S)``, returns its result channels last."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    if x.dim() not in formats or x.is_contiguous():
        return False
    return x.is_contiguous(memory_format=formats[x.dim()])
