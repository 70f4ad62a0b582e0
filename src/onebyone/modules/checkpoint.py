"""`convert_checkpoint`: carry a checkpoint from one form of a model to another."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, overload

import torch
from torch import Tensor, nn

from onebyone.errors import InputError, OutputError
from onebyone.modules.fitting import Move, fit
from onebyone.modules.forms import mapped
from onebyone.modules.safefile import (
    Shards,
    atomic,
    read_index,
    read_safetensors,
    write_shards,
    write_state_dict,
)

_TORCH = (".pt", ".pth", ".bin", ".ckpt")
_SAFE = ".safetensors"
_INDEX = ".index.json"


@overload
def convert_checkpoint(
    source: Mapping[str, Tensor] | str | Path, destination: None = None, *, like: nn.Module
) -> dict[str, Tensor]: ...
@overload
def convert_checkpoint(
    source: Mapping[str, Tensor] | str | Path, destination: str | Path, *, like: nn.Module
) -> None: ...
def convert_checkpoint(
    source: Mapping[str, Tensor] | str | Path,
    destination: str | Path | None = None,
    *,
    like: nn.Module,
) -> dict[str, Tensor] | None:
    """Convert a checkpoint to the names and shapes of the parameters of ``like``.

    ``like`` may be a model before or after `onebyone.to_linear` or `onebyone.to_conv` (its
    parameters by their own names, such as ``proj.linear.weight``), or a model that writes a
    layer as ``nn.Linear`` where the checkpoint's wrote a convolution, or the reverse. Elements
    are moved, never computed with: converting back gives the same bytes.

    Args:
        source: a state dict, a ``.safetensors`` file, the ``.safetensors.index.json`` of a
            sharded one, or a torch file (``.pt``, ``.pth``, ``.bin``, ``.ckpt``) that holds a
            flat state dict and loads with ``weights_only=True``.
        destination: the file to write, of the same kind (a state dict or a torch file may also
            become ``.safetensors``). Shards keep their file names, beside the new index;
            safetensors files are converted one tensor at a time.
        like: a model with the wanted structure; its values are not read, so it may be on the
            meta device.

    Returns:
        The converted state dict where ``destination`` is None, else None.

    Raises:
        InputError: the checkpoint cannot be read or does not fit; all names are listed.
        OutputError: ``destination`` is the source or cannot be written.
    """
    if not isinstance(like, nn.Module):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InputError(f"like is a {type(like).__name__}: pass a torch.nn.Module")
    if isinstance(source, Mapping):
        state = _tensors(source, "the state dict")
    else:
        path = Path(source)
        shards = _shards(path)
        if shards is not None:
            if destination is not None:
                return _convert_shards(shards, path, Path(destination), like)
            state = {}
            for file in shards.files:
                state |= file.tensors()
        else:
            state = _load_torch(path)
        if destination is not None:
            _check_destination(path, Path(destination), (*_TORCH, _SAFE))
    converted = _convert_state(state, like)
    if destination is None:
        return converted
    target = Path(destination)
    if target.name.endswith(_SAFE):
        write_state_dict(target, converted)
    elif target.suffix in _TORCH:
        with atomic(target) as parts:
            torch.save(converted, parts[0])
    else:
        raise OutputError(f"{target}: should end in {_SAFE} or {', '.join(_TORCH)}")
    return None


def _shards(path: Path) -> Shards | None:
    """Open a safetensors checkpoint; None for a torch file."""
    if not path.is_file():
        what = "is a directory" if path.is_dir() else "does not exist"
        raise InputError(f"{path} {what}: pass a checkpoint file or its {_INDEX}")
    if path.name.endswith(_INDEX):
        return read_index(path)
    if path.suffix == _SAFE:
        return Shards([read_safetensors(path)], None)
    if path.suffix in _TORCH:
        return None
    raise InputError(f"{path}: a checkpoint ends in {_SAFE}, {_INDEX} or {', '.join(_TORCH)}")


def _convert_shards(shards: Shards, source: Path, destination: Path, like: nn.Module) -> None:
    _check_destination(source, destination, (_SAFE,) if shards.index is None else (_INDEX,))
    if shards.index is not None and source.parent.resolve() == destination.parent.resolve():
        raise OutputError(
            f"{destination}: the shards keep their names; choose another directory than the source"
        )
    moves = fit(shards.shapes(), like)
    names = {move.source: (move.target, move.weight_map) for move in moves}
    write_shards(shards, names, destination)


def _check_destination(source: Path, destination: Path, suffixes: tuple[str, ...]) -> None:
    if not destination.name.endswith(suffixes):
        raise OutputError(
            f"{destination}: from {source.name} it should end in {' or '.join(suffixes)}"
        )
    if source.resolve() == destination.resolve():
        raise OutputError(f"{destination} is the source itself: choose another name")


def _convert_state(state: Mapping[str, Tensor], like: nn.Module) -> dict[str, Tensor]:
    moves = fit({name: tuple(tensor.shape) for name, tensor in state.items()}, like)
    converted: dict[str, Tensor] = OrderedDict()
    done: dict[tuple[Any, ...], Tensor] = {}
    for move in moves:
        converted[move.target] = _moved(state[move.source], move, done)
    metadata = getattr(state, "_metadata", None)
    if metadata is not None:
        vars(converted)["_metadata"] = metadata
    return converted


def _moved(tensor: Tensor, move: Move, done: dict[tuple[Any, ...], Tensor]) -> Tensor:
    if move.weight_map is None:
        return tensor
    # Names on the same memory stay on the same memory, also where the map has to copy.
    key = (tensor.data_ptr(), tensor.stride(), tensor.dtype, move.weight_map)
    if tensor.device.type == "meta" or key not in done:
        done[key] = mapped(tensor, move.weight_map).contiguous()
    return done[key]


def _tensors(state: Mapping[Any, Any], what: str) -> Mapping[str, Tensor]:
    other = [str(name) for name, value in state.items() if not isinstance(value, Tensor)]
    if other or not state:
        listed = ", ".join(other[:8]) if other else "nothing"
        raise InputError(
            f"{what} holds {listed} beside tensors: pass the flat state dict inside it, "
            "as torch.load(...)['state_dict']"
        )
    return state


def _load_torch(path: Path) -> Mapping[str, Tensor]:
    try:
        try:
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError:
            # Files of the older, not zipped format cannot be mapped.
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{path} does not load with weights_only=True ({first}): save its state dict alone"
        ) from error
    if not isinstance(state, Mapping):
        raise InputError(f"{path} holds a {type(state).__name__}: save its state dict alone")
    return _tensors(state, str(path))
