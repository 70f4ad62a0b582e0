"""`to_linear` and `to_conv`: swap the layers of a torch model, on the same memory."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, cast

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from onebyone.errors import InputError
from onebyone.identity import Refusal, WeightMap
from onebyone.modules.census import Place, census, keep_ties
from onebyone.modules.convolution import ConvAsLinear, ConvTransposeAsLinear
from onebyone.modules.example import input_sizes
from onebyone.modules.forms import (
    Style,
    SwapPlan,
    base_class,
    plan_conv,
    plan_linear,
    style_of,
    transformers_conv1d,
)
from onebyone.modules.swapped_layer import (
    CHANNEL_BIAS,
    Conv1DAsLinear,
    LinearAsConv,
    Swap,
    Swapped,
    view_parameter,
)
from onebyone.modules.timing import keep_faster

Filter = Callable[[nn.Module, str], bool]


def to_linear(
    model: nn.Module,
    filter_fn: Filter | None = None,
    inplace: bool = False,
    *,
    example_input: Any = None,
    only_if_faster: Any = None,
) -> nn.Module:
    """Swap every convolution that is a fully connected layer for an ``nn.Linear``.

    ``Conv1d/2d/3d`` with kernel 1 or kernel == stride, without padding, in any number of groups;
    transposed convolutions with kernel == stride; transformers' ``Conv1D``. What is left alone,
    and why, is told by `onebyone.layers`. Layers that `to_conv` made become the layers they were.

    Args:
        model: any module; a layer that is itself the root is returned swapped.
        filter_fn: called with ``(module, name)``; only layers for which it is true are swapped.
        inplace: change ``model`` itself, else a copy of its modules on the same memory.
        example_input: a tensor, a tuple of arguments or a dict of keyword arguments of the model.
            One forward pass shows the sizes, so that a kernel that covers its whole input
            (the head of VGG as a convolution) is found.
        only_if_faster: such an example too. Each swapped layer is timed on it, on its device, and
            the faster form is kept; `onebyone.layers` reports both times.

    Returns:
        The model with its layers swapped. Its parameters share memory with those of ``model``.

    Raises:
        InputError: ``model`` is no module, cannot be copied, or does not run on the example.
    """
    example = example_input if only_if_faster is None else only_if_faster
    return _swap(model, Style.LINEAR, filter_fn, inplace, example, only_if_faster is not None)


def to_conv(
    model: nn.Module,
    filter_fn: Filter | None = None,
    inplace: bool = False,
    *,
    only_if_faster: Any = None,
) -> nn.Module:
    """Swap every ``nn.Linear`` and transformers' ``Conv1D`` for a 1x1 ``nn.Conv2d``.

    The layers keep their interface, ``(..., K)`` to ``(..., N)``; the tokens run as
    ``(B, K, 1, S)``. Layers that `to_linear` made become the convolutions they were.

    Args:
        model: any module; a layer that is itself the root is returned swapped.
        filter_fn: called with ``(module, name)``; only layers for which it is true are swapped.
        inplace: change ``model`` itself, else a copy of its modules on the same memory.
        only_if_faster: a tensor, a tuple of arguments or a dict of keyword arguments of the
            model; see `to_linear`.

    Returns:
        The model with its layers swapped. Its parameters share memory with those of ``model``.

    Raises:
        InputError: ``model`` is no module, cannot be copied, or does not run on the example.
    """
    return _swap(model, Style.CONV, filter_fn, inplace, only_if_faster, only_if_faster is not None)


def _swap(
    model: nn.Module,
    style: Style,
    filter_fn: Filter | None,
    inplace: bool,
    example: Any,
    timed: bool,
) -> nn.Module:
    if not isinstance(model, nn.Module):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InputError(f"model is a {type(model).__name__}: pass a torch.nn.Module")
    if not inplace:
        model = alias_copy(model)
    places = census(model)
    sizes = {} if example is None else input_sizes(model, [p.module for p in places], example)
    chosen = [p for p in places if filter_fn is None or filter_fn(p.module, p.name)]
    plans: dict[int, SwapPlan | Refusal] = {
        id(place.module): plan(place, style, sizes.get(id(place.module))) for place in chosen
    }
    keep_ties(model, plans)
    views = _Views()
    swaps: list[tuple[Place, nn.Module]] = []
    for place in chosen:
        swapped = _build(place.module, style, plans[id(place.module)], views)
        if swapped is not None:
            swaps.append((place, swapped))
    if timed:
        swaps = keep_faster(model, swaps, example)
    for place, swapped in swaps:
        if place.module is model:
            return swapped
        for parent, attribute in place.parents:
            parent._modules[attribute] = swapped  # pyright: ignore[reportPrivateUsage]
    return model


def plan(place: Place, style: Style, sizes: tuple[int, ...] | None = None) -> SwapPlan | Refusal:
    """Say how a layer of a model is written in ``style``; a `Refusal` too where it is already."""
    if place.blocked is not None:
        return Refusal(place.blocked)
    module = place.module
    if isinstance(module, Swapped):
        if module.swap.style is style:
            return Refusal(f"it is in {style} form already")
        if not module.is_plain:
            return Refusal("the layer inside has been quantized, adapted or hooked")
        return SwapPlan(module.swap.case, module.swap.weight_map.inverse)
    if style is Style.CONV:
        if style_of(module) is Style.CONV:
            return Refusal("it is a convolution already")
        return plan_conv(module)
    if style_of(module) is Style.LINEAR and base_class(module) is not transformers_conv1d():
        return Refusal("it is an nn.Linear already")
    return plan_linear(module, sizes)


class _Views:
    """The new parameters, one for each old one and map, so that tied weights stay tied."""

    def __init__(self) -> None:
        self._made: dict[tuple[int, WeightMap], nn.Parameter] = {}
        self._old: list[nn.Parameter] = []  # kept alive: an id may not be given twice

    def of(self, parameter: nn.Parameter, weight_map: WeightMap) -> nn.Parameter:
        key = (id(parameter), weight_map)
        if key not in self._made:
            self._made[key] = view_parameter(parameter, weight_map)
            self._old.append(parameter)
        return self._made[key]


def _build(
    module: nn.Module, style: Style, swap_plan: SwapPlan | Refusal, views: _Views
) -> nn.Module | None:
    if isinstance(swap_plan, Refusal):
        return None
    if isinstance(module, Swapped):
        weight = cast("nn.Parameter", module.child.weight)
        restored = module.restore(views.of(weight, swap_plan.weight_map))
        if base_class(restored) is not transformers_conv1d():
            return restored
        # GPT-2's layer is neither form: from a Linear to a convolution it goes through itself.
        module, swap_plan = restored, plan(Place(restored, ""), style)
        if isinstance(swap_plan, Refusal):
            return restored
    weight = cast("nn.Parameter", module.weight)
    bias = cast("nn.Parameter | None", module.bias)
    kind, bias_path = LinearAsConv, f"{style}.bias"
    if style is Style.LINEAR and style_of(module) is Style.LINEAR:
        kind = Conv1DAsLinear
    elif style is Style.LINEAR:
        kind = ConvTransposeAsLinear if module.transposed else ConvAsLinear
    if bias is None:
        bias_path = None
    elif bias.shape[0] != swap_plan.weight_map.new[0]:
        bias_path = CHANNEL_BIAS
    swap = Swap(type(module), style, swap_plan.case, swap_plan.weight_map, bias_path)
    return kind(module, swap, views.of(weight, swap_plan.weight_map), bias)


def alias_copy(model: nn.Module) -> nn.Module:
    """Copy the modules of a model, not its tensors: new parameters on the same memory.

    Raises:
        InputError: the model holds something that cannot be copied.
    """
    memo: dict[int, Any] = {}
    for module in model.modules():
        attributes = vars(module)
        tables = (attributes, attributes["_parameters"], attributes["_buffers"])
        for value in (value for table in tables for value in table.values()):
            if isinstance(value, Tensor) and id(value) not in memo and not is_lazy(value):
                memo[id(value)] = _alias(value)
    try:
        return copy.deepcopy(model, memo)
    except Exception as error:
        raise InputError(
            f"{type(model).__name__} cannot be copied ({error}): pass inplace=True"
        ) from error


def _alias(tensor: Tensor) -> Tensor:
    if type(tensor) is not nn.Parameter:
        return tensor
    alias = nn.Parameter(tensor.detach(), requires_grad=False)
    vars(alias).update(vars(tensor))
    hooks = (tensor._backward_hooks or {}).values()  # pyright: ignore
    late = (tensor._post_accumulate_grad_hooks or {}).values()  # pyright: ignore
    if hooks or late:
        alias.requires_grad_()  # torch takes a hook only then
    for hook in hooks:
        alias.register_hook(hook)
    for hook in late:
        alias.register_post_accumulate_grad_hook(hook)
    return alias.requires_grad_(tensor.requires_grad)
