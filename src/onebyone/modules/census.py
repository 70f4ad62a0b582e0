"""The layers of a model: where each one is registered, and who else relies on its weight."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from torch import nn

from onebyone.identity import Refusal
from onebyone.modules.forms import SwapPlan, base_class, is_quantized_class
from onebyone.modules.swapped_layer import Swapped


@dataclass
class Place:
    """One layer of the model.

    Attributes:
        module: the layer.
        name: its first dotted name, empty for the root.
        parents: (parent, attribute) wherever it is registered; more than one where it is shared.
        blocked: why its model forbids to swap it, or None.
    """

    module: nn.Module
    name: str
    parents: list[tuple[nn.Module, str]] = field(default_factory=list)
    blocked: str | None = None


def census(model: nn.Module) -> list[Place]:
    """List every layer that is an FC layer or a convolution, or was one, in registration order."""
    places: dict[int, Place] = {}
    for name, parent, attribute, module in _walk(model):
        if id(module) not in places:
            places[id(module)] = Place(module, name)
        if parent is not None:
            places[id(module)].parents.append((parent, attribute))
    for module in model.modules():
        _block_read_weights(module, places)
        _block_outside_references(module, places)
    return list(places.values())


def _walk(model: nn.Module) -> Iterator[tuple[str, nn.Module | None, str, nn.Module]]:
    """Every registration of a layer, each parent visited once, swapped layers not entered."""
    seen: set[int] = set()
    stack: list[tuple[str, nn.Module | None, str, nn.Module]] = [("", None, "", model)]
    while stack:
        name, parent, attribute, module = stack.pop()
        swapped = isinstance(module, Swapped)
        if swapped or base_class(module) is not None or is_quantized_class(module):
            yield name, parent, attribute, module
            if swapped or base_class(module) is not None:
                continue
        if id(module) in seen:
            continue
        seen.add(id(module))
        prefix = f"{name}." if name else ""
        stack += [
            (prefix + child, module, child, value)
            for child, value in reversed(module._modules.items())  # pyright: ignore[reportPrivateUsage]
            if value is not None
        ]


def _block_read_weights(module: nn.Module, places: dict[int, Place]) -> None:
    if isinstance(module, nn.MultiheadAttention) and id(module.out_proj) in places:
        places[
            id(module.out_proj)
        ].blocked = "nn.MultiheadAttention reads its weight without calling it"


def _block_outside_references(module: nn.Module, places: dict[int, Place]) -> None:
    """Block a layer kept in a plain attribute too: only registered places can be swapped."""
    for attribute, value in vars(module).items():
        if attribute in ("_modules", "_parameters", "_buffers"):
            continue
        if isinstance(value, dict):
            members = list(value.values())
        else:
            members = list(value) if isinstance(value, list | tuple | set) else [value]
        for item in members:
            if isinstance(item, nn.Module) and id(item) in places:
                places[
                    id(item)
                ].blocked = (
                    f"{type(module).__name__}.{attribute} holds it too, outside the module tree"
                )


def keep_ties(model: nn.Module, plans: dict[int, SwapPlan | Refusal]) -> None:
    """Refuse layers whose parameter is tied to one that would not take the same new shape.

    Two parameters on the same memory would train apart, so a tied weight is swapped in all its
    layers, by the same map, or in none.

    Args:
        model: the model that holds the layers.
        plans: by ``id`` of the layer; changed in place.
    """
    users: dict[int, list[tuple[str, nn.Module, str]]] = {}
    owner = {id(swap.child): swap for swap in model.modules() if isinstance(swap, Swapped)}
    for name, module in model.named_modules():
        module = owner.get(id(module), module)
        for key, parameter in module._parameters.items():  # pyright: ignore[reportPrivateUsage]
            if parameter is not None:
                users.setdefault(id(parameter), []).append((name, module, key))
    tied = [group for group in users.values() if len(group) > 1]
    changed = True
    while changed:
        changed = False
        for group in tied:
            for _, module, key in group:
                plan = plans.get(id(module))
                if key != "weight" or not isinstance(plan, SwapPlan):
                    continue
                other = _differs(group, plan, plans)
                if other is not None:
                    plans[id(module)] = Refusal(
                        f"its weight is tied to {other}, which keeps its shape; "
                        "as two parameters they would train apart"
                    )
                    changed = True


def _differs(
    group: list[tuple[str, nn.Module, str]], plan: SwapPlan, plans: dict[int, SwapPlan | Refusal]
) -> str | None:
    for name, module, key in group:
        other = plans.get(id(module))
        same = isinstance(other, SwapPlan) and other.weight_map == plan.weight_map
        if key != "weight" or not same:
            return f"{name}.{key}".removeprefix(".")
    return None
