"""Tensors that stay in their file until someone asks for their values."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from onebyone.errors import InputError


class StoredTensor(ir.TensorProtocol):
    """A tensor in a range of a file: inside the model file itself, or in external data.

    Its values are mapped anew at each call and unmapped when the array is dropped, so a model of
    any size costs the memory of the tensor in use.

    Attributes:
        path: the file, resolved.
        offset: of the first byte.
        external: whether the file is external data, not the model file.
    """

    def __init__(
        self,
        path: Path,
        offset: int,
        dtype: ir.DataType,
        shape: tuple[int, ...],
        *,
        external: bool,
        name: str | None = None,
        doc_string: str | None = None,
    ) -> None:
        self.path = path
        self.offset = offset
        self.external = external
        self.name = name
        self.doc_string = doc_string
        self.dtype = dtype
        self.shape = ir.Shape(shape)
        self.shape.freeze()
        self.metadata_props: MutableMapping[str, str] = {}
        self.meta: MutableMapping[str, Any] = {}

    @property
    def size(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Number of elements."""
        return math.prod(self.shape.numpy())

    @property
    def nbytes(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Size in the file, bytes; elements of less than a byte are packed."""
        return -(-self.size * self.dtype.bitwidth // 8)

    @property
    def raw(self) -> Path:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What holds the values."""
        return self.path

    def numpy(self) -> np.ndarray[Any, Any]:
        """The values, read-only, mapped from the file where the element type allows it."""
        if self.dtype.bitwidth < 8:
            packed = onnx.TensorProto(
                data_type=self.dtype.value, dims=self.shape.numpy(), raw_data=self.tobytes()
            )
            return ir.serde.TensorProtoTensor(packed).numpy()
        shape = tuple(self.shape.numpy())
        if self.size == 0:
            return np.empty(shape, self.dtype.numpy())
        return np.memmap(self.path, self.dtype.numpy(), "r", self.offset, shape)

    def tobytes(self) -> bytes:
        """The bytes as they lie in the file, little-endian."""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            data = file.read(self.nbytes)
        if len(data) != self.nbytes:
            raise InputError(f"{self.path} became shorter while it was read; convert a stable copy")
        return data

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __dlpack__(self, *, stream: Any = None) -> Any:
        return np.array(self.numpy()).__dlpack__()

    def __dlpack_device__(self) -> tuple[int, int]:
        return np.zeros(0).__dlpack_device__()

    def __repr__(self) -> str:
        kind = "external" if self.external else "inline"
        return f"StoredTensor({self.name!r}, {self.dtype}, {self.shape}, {kind})"


def external_tensor(tensor: onnx.TensorProto, model_path: Path) -> StoredTensor:
    """Resolve a tensor that refers to external data, checking everything that it claims.

    Args:
        tensor: its ``data_location`` is ``EXTERNAL``; its dimensions were checked before.
        model_path: the model file; data must lie in its folder. Where model and data are both
            symbolic links (as in a download cache), the folder of the real model counts as well.

    Raises:
        InputError: the file lies outside, is missing, is no regular file, or is too short.
    """
    what = f"tensor {tensor.name}: external data"
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    relative = Path(location)
    if not location or "\0" in location:
        raise InputError(f"{what} names no file; export the model again")
    if relative.is_absolute() or ".." in relative.parts:
        raise InputError(f"{what} {location!r} leaves the model's folder; move the file into it")
    path = Path(os.path.realpath(model_path.parent / relative))
    homes = {Path(os.path.realpath(model_path.parent)), Path(os.path.realpath(model_path)).parent}
    if not any(path.is_relative_to(home) for home in homes):
        raise InputError(f"{what} {location!r} links out of the model's folder; copy the file here")
    try:
        status = path.stat()
    except OSError as error:
        hint = "put it beside the model"
        raise InputError(f"{what} {location!r}: {error.strerror}; {hint}") from None
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{what} {location!r} is no regular file")
    dtype = ir.DataType(tensor.data_type)
    shape = tuple(tensor.dims)
    offset = _number(entries.get("offset", "0"), f"{what} {location!r}: offset")
    stored = StoredTensor(
        path,
        offset,
        dtype,
        shape,
        external=True,
        name=tensor.name,
        doc_string=tensor.doc_string or None,
    )
    length = _number(entries.get("length", str(stored.nbytes)), f"{what} {location!r}: length")
    if length != stored.nbytes:
        raise InputError(
            f"{what} {location!r} has length {length}, but shape {list(shape)} of {dtype} takes "
            f"{stored.nbytes} bytes"
        )
    if offset + length > status.st_size:
        raise InputError(
            f"{what} {location!r} should reach byte {offset + length}, but the file ends at "
            f"{status.st_size}; it is truncated or of another model"
        )
    return stored


def _number(text: str, what: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise InputError(f"{what} {text!r} is no number of bytes")
    return int(text)
