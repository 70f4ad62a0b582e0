"""Read and write safetensors files one tensor at a time, as bytes.

The safetensors library writes only from a dictionary of all tensors; this module keeps one in
memory. Order, offsets and metadata of the source file are kept, so that converting a file there
and back gives the same file. Source of the format: the README of the safetensors project.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from onebyone.errors import InputError, OutputError
from onebyone.identity import WeightMap

Names = Mapping[str, tuple[str, WeightMap | None]]
_CHUNK = 1 << 24
_METADATA = "__metadata__"
_DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.complex64: "C64",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint64: "U64",
    torch.uint32: "U32",
    torch.uint16: "U16",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


@dataclass(frozen=True)
class SafeFile:
    """A safetensors file.

    Attributes:
        path: the file.
        header: the header as it stands: name -> dtype, shape and offsets of the data.
        start: byte of the file at which the data begins.
    """

    path: Path
    header: dict[str, Any]
    start: int

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every tensor, in the order of the header."""
        return {k: tuple(v["shape"]) for k, v in self.header.items() if k != _METADATA}

    def tensors(self) -> dict[str, Tensor]:
        """Load every tensor."""
        with safe_open(self.path, "pt") as file:
            return {name: cast("Tensor", file.get_tensor(name)) for name in self.shapes()}


@dataclass(frozen=True)
class Shards:
    """The files of a checkpoint.

    Attributes:
        files: one for each shard.
        index: the parsed index; None where the checkpoint is one file.
        ends_with_newline: whether the text of the index does.
    """

    files: list[SafeFile]
    index: dict[str, Any] | None
    ends_with_newline: bool = False

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every tensor of every file."""
        return {name: shape for file in self.files for name, shape in file.shapes().items()}


def read_safetensors(path: Path) -> SafeFile:
    """Read the header of a file, checked by the safetensors library.

    Raises:
        InputError: no valid safetensors file.
    """
    try:
        with safe_open(path, "pt"), path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            return SafeFile(path, json.loads(file.read(length)), 8 + length)
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path} is no readable safetensors file: {error}") from error


def read_index(path: Path) -> Shards:
    """Read a ``model.safetensors.index.json`` and the headers of its shards.

    Raises:
        InputError: no valid index, or shards that are missing or hold other names than it says.
    """
    try:
        text = path.read_text(encoding="utf-8")
        index = json.loads(text)
        weight_map = cast("dict[str, str]", index["weight_map"])
        names = list(dict.fromkeys(weight_map.values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is no index of safetensors shards: {error!r}") from error
    outside = [name for name in names if Path(name).name != name]
    if outside:
        raise InputError(f"{path} names a shard outside its directory: {outside[0]}")
    files = [read_safetensors(path.parent / name) for name in names]
    file_of = {name: file.path.name for file in files for name in file.shapes()}
    if file_of != weight_map:
        wrong = sorted(file_of.items() ^ weight_map.items())
        raise InputError(f"{path} does not say what its shards hold: {wrong[0][0]} differs")
    return Shards(files, index, text.endswith("\n"))


def write_shards(shards: Shards, names: Names, destination: Path) -> None:
    """Write every file of ``shards`` under new names; with an index, beside it.

    Args:
        shards: the files to read.
        names: old name -> new name, and the map of the elements or None.
        destination: the file to write: the index, where there is one.

    Raises:
        OutputError: the destination cannot be written; nothing is left behind then.
    """
    if shards.index is None:
        with atomic(destination) as parts:
            _convert_file(shards.files[0], names, parts[0])
        return
    index = dict(shards.index)
    index["weight_map"] = {names[k][0]: v for k, v in shards.index["weight_map"].items()}
    text = json.dumps(index, indent=2, ensure_ascii=False) + "\n" * shards.ends_with_newline
    with atomic(*(destination.parent / f.path.name for f in shards.files), destination) as parts:
        for file, part in zip(shards.files, parts, strict=False):
            _convert_file(file, names, part)
        parts[-1].write_text(text, encoding="utf-8")


def _convert_file(source: SafeFile, names: Names, destination: Path) -> None:
    header: dict[str, Any] = {}
    for name, entry in source.header.items():
        if name == _METADATA:
            header[name] = {_renamed(k, names): _renamed(v, names) for k, v in entry.items()}
            continue
        target, weight_map = names[name]
        shape = entry["shape"] if weight_map is None else list(weight_map.new)
        header[target] = {**entry, "shape": shape}
    entries = [(k, v) for k, v in source.header.items() if k != _METADATA]
    with source.path.open("rb") as reader, destination.open("wb") as writer:
        writer.write(_header_bytes(header))
        for name, entry in sorted(entries, key=lambda item: item[1]["data_offsets"]):
            begin, end = entry["data_offsets"]
            reader.seek(source.start + begin)
            weight_map = names[name][1]
            if weight_map is None or weight_map.order == tuple(range(len(weight_map.order))):
                _copy(reader, writer, end - begin)
            else:
                data = reader.read(end - begin)
                if len(data) % prod(weight_map.old):
                    raise InputError(f"{name} is {entry['dtype']}: its elements are no whole bytes")
                writer.write(move_bytes(data, weight_map))


def _renamed(text: str, names: Names) -> str:
    """Metadata may name tensors: the safetensors library notes tied names there."""
    return names[text][0] if text in names else text


def _copy(reader: BinaryIO, writer: BinaryIO, count: int) -> None:
    while count:
        block = reader.read(min(count, _CHUNK))
        writer.write(block)
        count -= len(block)


def move_bytes(data: bytes, weight_map: WeightMap) -> bytes:
    """Apply a weight map to the raw bytes of a tensor, of any dtype of whole bytes.

    Args:
        data: the elements of a tensor of shape ``weight_map.old``, row-major.
        weight_map: the map; the result has as many bytes.
    """
    size = len(data) // max(1, prod(weight_map.old))
    elements = np.frombuffer(data, dtype=np.dtype((np.void, size)))
    return elements.reshape(weight_map.split).transpose(weight_map.order).tobytes()


def _header_bytes(header: dict[str, Any]) -> bytes:
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def write_state_dict(destination: Path, state: Mapping[str, Tensor]) -> None:
    """Write tensors to one safetensors file; tied ones under each of their names.

    Raises:
        InputError: a dtype that the format does not know.
        OutputError: the destination cannot be written; nothing is left behind then.
    """
    header: dict[str, Any] = {_METADATA: {"format": "pt"}}
    offset = 0
    for name, tensor in state.items():
        if tensor.dtype not in _DTYPES:
            raise InputError(f"{name} is {tensor.dtype}, which safetensors does not know")
        end = offset + tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": _DTYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    with atomic(destination) as parts, parts[0].open("wb") as writer:
        writer.write(_header_bytes(header))
        for tensor in state.values():
            flat = tensor.detach().cpu().contiguous().reshape(-1)
            writer.write(flat.view(torch.uint8).numpy().tobytes())


@contextmanager
def atomic(*destinations: Path) -> Generator[list[Path]]:
    """Give a temporary path for each destination, renamed at the end, removed on any failure.

    Raises:
        OutputError: a destination cannot be written.
    """
    for path in destinations:
        if not path.parent.is_dir():
            raise OutputError(f"{path.parent} is no directory: create it, then write {path.name}")
    parts = [path.with_name(f".{path.name}.{os.getpid()}.part") for path in destinations]
    try:
        yield parts
        for part, path in zip(parts, destinations, strict=True):
            part.replace(path)
    except OSError as error:
        raise OutputError(f"{destinations[-1]} cannot be written: {error.strerror}") from error
    finally:
        for part in parts:
            part.unlink(missing_ok=True)
