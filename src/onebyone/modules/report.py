"""`layers`: what each layer of a torch model is, and why it is left alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from onebyone.errors import InputError
from onebyone.identity import Refusal
from onebyone.modules.census import Place, census, keep_ties
from onebyone.modules.example import input_sizes
from onebyone.modules.forms import Style, SwapPlan, style_of
from onebyone.modules.swap import plan
from onebyone.modules.swapped_layer import Swapped
from onebyone.modules.timing import Timing


@dataclass(frozen=True)
class Layer:
    """One layer of a model.

    Attributes:
        name: dotted name in the model, empty for the root.
        kind: class of the layer; of the original layer where it is swapped.
        form: ``conv`` or ``linear``, what it is now; ``other`` for a quantized module.
        case: ``pointwise``, ``patch`` or ``whole``; None where it is no FC layer.
        weight: shape of the weight as the original layer has it.
        swapped: True where `onebyone.to_linear` or `onebyone.to_conv` made it.
        reason: why the other form is refused; None where it can be taken.
        timing: both times where ``only_if_faster`` decided, else None.
    """

    name: str
    kind: str
    form: str
    case: str | None
    weight: tuple[int, ...]
    swapped: bool
    reason: str | None
    timing: Timing | None

    def __str__(self) -> str:
        state = "swapped, now " + self.form if self.swapped else self.form
        parts = [self.name or "(root)", self.kind, str(self.weight), self.case or "-", state]
        if self.reason is not None:
            parts.append(f"kept: {self.reason}")
        if self.timing is not None and any(self.timing.before):
            before, after = self.timing.before[1] * 1e3, self.timing.after[1] * 1e3
            parts.append(f"{before:.3f} -> {after:.3f} ms, {self.timing.reason}")
        return "  ".join(parts)


def layers(model: nn.Module, example_input: object = None) -> list[Layer]:
    """List the fully connected layers and convolutions of a model, in registration order.

    Args:
        model: any module.
        example_input: a tensor, a tuple of arguments or a dict of keyword arguments; one forward
            pass then shows which kernels cover their whole input.

    Returns:
        One `Layer` each, shared ones once. ``str(layer)`` is one line.

    Raises:
        InputError: ``model`` is no module, or does not run on the example.
    """
    if not isinstance(model, nn.Module):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InputError(f"model is a {type(model).__name__}: pass a torch.nn.Module")
    places = census(model)
    sizes: dict[int, tuple[int, ...]] = {}
    if example_input is not None:
        sizes = input_sizes(model, [place.module for place in places], example_input)
    plans: dict[int, SwapPlan | Refusal] = {}
    # Ties are judged for one direction at a time, as the swap does.
    for target in (Style.LINEAR, Style.CONV):
        side = {
            id(place.module): plan(place, target, sizes.get(id(place.module)))
            for place in places
            if _other(place.module) is target
        }
        keep_ties(model, side)
        plans |= side
    return [_layer(place, plans.get(id(place.module))) for place in places]


def _other(module: nn.Module) -> Style:
    style = module.swap.style if isinstance(module, Swapped) else style_of(module)
    return Style.LINEAR if style is Style.CONV else Style.CONV


def _layer(place: Place, verdict: SwapPlan | Refusal | None) -> Layer:
    module = place.module
    swapped = isinstance(module, Swapped)
    style = module.swap.style if swapped else style_of(module)
    case = module.swap.case if swapped else None
    if not swapped and isinstance(verdict, SwapPlan):
        case = verdict.case
    elif style is Style.LINEAR and not swapped:
        case = "pointwise"
    kind = module.swap.original if swapped else type(module)
    weight = getattr(module, "weight", None) if not swapped else None
    shape = tuple(weight.shape) if isinstance(weight, Tensor) and not is_lazy(weight) else ()
    return Layer(
        name=place.name,
        kind=kind.__name__,
        form=str(style) if style is not None else "other",
        case=None if case is None else str(case),
        weight=module.swap.weight_map.old if swapped else shape,
        swapped=swapped,
        reason=verdict.reason if isinstance(verdict, Refusal) else None,
        timing=cast("Timing | None", vars(module).get("onebyone_timing")),
    )
