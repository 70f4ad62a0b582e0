"""Which tensor of a checkpoint is which parameter of a model, in whatever form each of them is.

Decided by the modules of the model: a layer at path ``p`` may come as ``p.weight`` (its original
form, or flattened), ``p.linear.weight`` or ``p.conv.weight`` (the child of a swapped layer).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import cast

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from onebyone.errors import InputError
from onebyone.identity import WeightMap, conv_weight_map, fc_weight_map
from onebyone.modules.forms import (
    CONVOLUTIONS,
    Style,
    base_class,
    geometry_of,
    transformers_conv1d,
)
from onebyone.modules.swapped_layer import CHANNEL_BIAS, Swapped

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Move:
    """One tensor of the checkpoint.

    Attributes:
        source: its name in the checkpoint.
        target: its name in the model.
        weight_map: from the checkpoint's shape to the model's; None where it stays as it is.
    """

    source: str
    target: str
    weight_map: WeightMap | None


@dataclass(frozen=True)
class _Door:
    """A name under which a checkpoint may hold the parameter ``target``.

    ``fit`` maps the tensor of a given shape: a WeightMap, None to take it as it is, or a
    sentence with the shape that was expected.
    """

    target: str
    fit: Callable[[Shape], WeightMap | str | None]


def fit(shapes: Mapping[str, Shape], like: nn.Module) -> list[Move]:
    """Fit the tensors of a checkpoint, by name and shape, to the parameters of ``like``.

    Args:
        shapes: the shape of each tensor of the checkpoint, by name.
        like: the model; its values are not read.

    Returns:
        One move for each tensor, in the order of ``shapes``.

    Raises:
        InputError: names that the model does not have, parameters that the checkpoint lacks,
            or shapes that do not fit; the message lists all of them.
    """
    doors, needed = _doors(like)
    moves: list[Move] = []
    taken: dict[str, str] = {}
    unknown: list[str] = []
    wrong: list[str] = []
    twice: list[str] = []
    for name, shape in shapes.items():
        door = doors.get(name)
        if door is None:
            unknown.append(name)
            continue
        if door.target in taken:
            twice.append(f"{taken[door.target]} and {name}")
            continue
        taken[door.target] = name
        weight_map = door.fit(shape)
        if isinstance(weight_map, str):
            wrong.append(f"{name} is {shape}, not {weight_map}")
        else:
            moves.append(Move(name, door.target, weight_map))
    missing = [group[0] for group in needed if not taken.keys() & set(group)]
    problems = {
        "not in the model": unknown,
        "not in the checkpoint": missing,
        "of another shape": wrong,
        "given twice": twice,
    }
    if any(problems.values()):
        parts = [f"{what}: {', '.join(names)}" for what, names in problems.items() if names]
        raise InputError(f"the checkpoint does not fit {type(like).__name__}; " + "; ".join(parts))
    return moves


def _doors(like: nn.Module) -> tuple[dict[str, _Door], list[list[str]]]:
    """All doors by name, and the groups of (tied) targets of which one must be there."""
    doors: dict[str, _Door] = {}
    groups: dict[int, list[str]] = {}
    inner: set[str] = set()
    for path, module in like.named_modules(remove_duplicate=False):
        if path in inner:
            continue
        prefix = f"{path}." if path else ""
        if isinstance(module, Swapped) and module.is_plain:
            inner |= {prefix + name for name, _ in module.named_children()}
            for target, parameter, ways in _swapped_doors(module, prefix):
                doors |= ways
                groups.setdefault(id(parameter), []).append(target)
            continue
        layer = _layer_doors(module, prefix)
        for name, parameter in module._parameters.items():  # pyright: ignore[reportPrivateUsage]
            if parameter is None:
                continue
            doors |= layer.get(name) or {prefix + name: _same(prefix + name, parameter)}
            groups.setdefault(id(parameter), []).append(prefix + name)
        optional = module._non_persistent_buffers_set  # pyright: ignore[reportPrivateUsage]
        for name, buffer in module._buffers.items():  # pyright: ignore[reportPrivateUsage]
            if buffer is None:
                continue
            doors[prefix + name] = _same(prefix + name, buffer)
            if name not in optional:
                groups.setdefault(id(buffer), []).append(prefix + name)
    return doors, list(groups.values())


def _swapped_doors(layer: Swapped, prefix: str) -> Iterator[tuple[str, Tensor, dict[str, _Door]]]:
    for old, child_name, weight_map in layer.swap.names:
        target = prefix + child_name
        parameter = cast("Tensor", layer.get_parameter(child_name))
        doors = {target: _same(target, parameter)}
        if weight_map is None:
            doors[prefix + old] = _same(target, parameter)
        else:
            flat = _reshapes(weight_map)
            doors[prefix + old] = _Door(target, _by_shape(weight_map, flat))
        yield target, parameter, doors
    # Buffers of the user's on the old layer stay on the swapped one.
    for name, buffer in layer.named_buffers(recurse=False):
        yield prefix + name, buffer, {prefix + name: _same(prefix + name, buffer)}


def _layer_doors(module: nn.Module, prefix: str) -> dict[str, dict[str, _Door]]:
    """The doors of weight and bias of a layer in its original form; empty for other modules."""
    base = base_class(module)
    parameters = module._parameters  # pyright: ignore[reportPrivateUsage]
    weight, bias = parameters.get("weight"), parameters.get("bias")
    if base is None or weight is None or is_lazy(weight):
        return {}
    shape = tuple(weight.shape)
    target = prefix + "weight"
    maps: dict[Style, WeightMap] = {}
    if base in CONVOLUTIONS:
        maps[Style.LINEAR] = fc_weight_map(geometry_of(module))
        keep = bool(module.transposed)
    elif base is transformers_conv1d():
        maps[Style.LINEAR] = WeightMap(shape, shape, (1, 0), shape[::-1])
        maps[Style.CONV] = conv_weight_map(shape[0], shape[1], transposed=True)
        keep = True
    else:
        maps[Style.CONV] = conv_weight_map(shape[1], shape[0])
        keep = False
    as_is = WeightMap(shape, shape, tuple(range(len(shape))), shape)
    doors = {target: _Door(target, _by_shape(as_is, not keep))}
    for style, weight_map in maps.items():
        doors[f"{prefix}{style}.weight"] = _Door(target, _by_shape(weight_map.inverse, False))
    by_parameter = {"weight": doors}
    if bias is not None:
        to = prefix + "bias"
        names = ("bias", "linear.bias", "conv.bias", CHANNEL_BIAS)
        by_parameter["bias"] = {prefix + name: _same(to, bias) for name in names}
    return by_parameter


def _reshapes(weight_map: WeightMap) -> bool:
    """True where the map only reshapes, with the output channels first."""
    return weight_map.order == tuple(range(len(weight_map.order)))


def _same(target: str, parameter: Tensor) -> _Door:
    if is_lazy(parameter):
        return _Door(target, lambda shape: None)
    wanted = tuple(parameter.shape)
    return _Door(target, lambda shape: None if shape == wanted else str(wanted))


def _by_shape(weight_map: WeightMap, flat: bool) -> Callable[[Shape], WeightMap | str | None]:
    """Accept the old shape, and where ``flat`` the same rows written for the other form.

    Those are ``(out, in)`` and ``(out, in, 1, ...)``, and any kernel for a layer that is an
    nn.Linear in its original form: it reads the flattened window, channels first.
    """

    def fits(shape: Shape) -> WeightMap | str | None:
        old, new = weight_map.old, weight_map.new
        if shape == old:
            return weight_map
        same = len(shape) >= 2 and shape[0] == old[0] and prod(shape) == prod(old)
        if flat and same and (len(old) == 2 or all(size == 1 for size in shape[2:])):
            return WeightMap(shape, shape, tuple(range(len(shape))), new)
        return str(old)

    return fits
