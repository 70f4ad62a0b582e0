"""Writing a model: streamed weights, one rename at the end."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from onebyone.dialects.onnx import _atomic, _wire
from onebyone.dialects.onnx._stored import StoredTensor
from onebyone.errors import OutputError

# A protobuf message must stay below 2 GiB; the rest of the model needs some of it.
_INLINE_LIMIT = 2_000_000_000
# Lets a runtime map large weights, and a file system share their blocks.
_ALIGNMENT = 4096
# Bytes of a transposed weight that are brought into order at a time.
_CHUNK = 1 << 23
# Side of a tile, elements: 256 x 256 of 4 bytes fit a second-level cache.
_TILE = 256
# More bytes than this are left to the kernel's own write-back, as `cp` leaves them: a disk that
# writes 400 MB/s would hold the user up for longer than all the rest takes.
_SYNC_LIMIT = 1 << 28


def check_output(path: str | os.PathLike[str], inputs: Iterable[str | os.PathLike[str]]) -> Path:
    """Refuse an output before any work is done; remove what a killed run left in its folder.

    Args:
        path: where the result shall go.
        inputs: files that must not be overwritten.

    Returns:
        The path with symbolic links resolved.

    Raises:
        OutputError: it is an input, a directory, no regular file, or not writable.
    """
    target = Path(os.path.realpath(path))
    for source in inputs:
        if target == Path(os.path.realpath(source)) or _same_file(target, source):
            raise OutputError(f"{path} is the input itself; give another output path")
    if target.is_dir():
        raise OutputError(f"{path} is a directory; give the name of a file in it")
    if target.exists() and not stat.S_ISREG(target.stat().st_mode):
        raise OutputError(f"{path} is no regular file; give the name of a file")
    if not target.parent.is_dir():
        raise OutputError(f"{path}: the folder {target.parent} does not exist; create it first")
    _atomic.remove_stale(target.parent, _locations)
    try:
        with _atomic.temporary(target):
            pass
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from None
    return target


def save(
    model: ir.Model,
    path: str | os.PathLike[str],
    *,
    external: bool | None = None,
    inputs: Iterable[str | os.PathLike[str]] = (),
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a model so that the complete file appears at once, or none.

    Args:
        model: unchanged afterwards.
        path: the file; an existing one is replaced.
        external: put weights into a data file beside it; None: where the weights that did not
            change came from one, or where the model would exceed 2 GB.
        inputs: files that must not be overwritten, besides those that the model still reads.
        progress: told (bytes written, bytes in all) after each weight.

    Raises:
        OutputError: the path cannot be written, is an input, or the disk is full.
    """
    weights = _weights(model)
    sources = {t.path for t in weights.values() if isinstance(t, StoredTensor)}
    target = check_output(path, [*inputs, *sources])
    total = sum(t.nbytes for t in weights.values())
    if external is None:
        kept_outside = any(isinstance(t, StoredTensor) and t.external for t in weights.values())
        external = kept_outside or total > _INLINE_LIMIT
    if shutil.disk_usage(target.parent).free < total:
        raise OutputError(f"{path}: the disk has no room for {total:,} bytes")
    report = _Progress(total, progress)
    try:
        if external:
            _save_external(model, weights, target, report)
        else:
            _save_inline(model, weights, target, report)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from None


class _Progress:
    def __init__(self, total: int, tell: Callable[[int, int], None] | None) -> None:
        self.total, self.done, self.tell = total, 0, tell

    def add(self, count: int) -> None:
        self.done += count
        if self.tell is not None:
            self.tell(self.done, self.total)


def _save_inline(
    model: ir.Model, weights: dict[str, ir.TensorProtocol], target: Path, report: _Progress
) -> None:
    with _without_data(model, dict.fromkeys(weights, ("", 0))):
        proto = ir.serde.serialize_model(model)
    lengths: dict[int, int] = {}
    for position, tensor in enumerate(proto.graph.initializer):
        if tensor.name in weights:
            tensor.ClearField("data_location")
            tensor.ClearField("external_data")
            lengths[position] = weights[tensor.name].nbytes
    with _atomic.temporary(target) as file:
        for piece in _wire.pieces(proto, lengths):
            if isinstance(piece, int):
                weight = weights[proto.graph.initializer[piece].name]
                _write(weight, file)
                report.add(weight.nbytes)
            else:
                file.write(piece)
        if report.total <= _SYNC_LIMIT:
            file.sync()
        file.publish(target)
    _sync_folder(target.parent)


def _save_external(
    model: ir.Model, weights: dict[str, ir.TensorProtocol], target: Path, report: _Progress
) -> None:
    old = _locations(target)
    data_path = _free_data_path(target)
    places: dict[str, tuple[str, int]] = {}
    position = 0
    for name, weight in weights.items():
        if weight.nbytes >= _ALIGNMENT:
            position += -position % _ALIGNMENT
        places[name] = (data_path.name, position)
        position += weight.nbytes
    with _without_data(model, places):
        proto = ir.serde.serialize_model(model)
    with _atomic.temporary(data_path) as data:
        for name, weight in weights.items():
            os.lseek(data.fd, places[name][1], os.SEEK_SET)
            _write(weight, data)
            report.add(weight.nbytes)
        if report.total <= _SYNC_LIMIT:
            data.sync()
        # Should this run be killed between the two renames, the next one finds in the name of
        # the temporary which data file has no model.
        with _atomic.temporary(target, data.identity()) as file:
            file.write(proto.SerializeToString())
            file.sync()
            data.publish(data_path)
            file.publish(target)
    _sync_folder(target.parent)
    in_use = {weight.path for weight in weights.values() if isinstance(weight, StoredTensor)}
    for name in old:
        if _is_own_data(target, name) and target.with_name(name) not in in_use:
            target.with_name(name).unlink(missing_ok=True)


def _weights(model: ir.Model) -> dict[str, ir.TensorProtocol]:
    """The initializers of the main graph that are worth streaming, by name."""
    found: dict[str, ir.TensorProtocol] = {}
    for name, value in model.graph.initializers.items():
        tensor = value.const_value
        if tensor is None or tensor.dtype == ir.DataType.STRING:
            continue
        if tensor.nbytes >= _wire.LARGE or isinstance(tensor, (StoredTensor, ir.LazyTensor)):
            found[name] = tensor
    return found


@contextlib.contextmanager
def _without_data(model: ir.Model, places: dict[str, tuple[str, int]]) -> Generator[None]:
    """Let the named initializers refer to (file, offset) while the model is serialized.

    A clone would do, but would lose what onnx-ir does not clone.
    """
    values = model.graph.initializers
    kept = {name: values[name].const_value for name in places}
    try:
        for name, (location, offset) in places.items():
            tensor = kept[name]
            assert tensor is not None
            values[name].const_value = ir.ExternalTensor(
                location,
                offset,
                tensor.nbytes,
                tensor.dtype,
                shape=ir.Shape(tensor.shape.numpy()),
                name=name,
                doc_string=tensor.doc_string,
                metadata_props=dict(tensor.metadata_props) or None,
            )
        yield
    finally:
        for name, tensor in kept.items():
            values[name].const_value = tensor


def _write(tensor: ir.TensorProtocol, file: _atomic.Temporary) -> None:
    if isinstance(tensor, ir.LazyTensor):
        tensor = tensor.raw()
    if isinstance(tensor, StoredTensor):
        _atomic.copy_range(tensor.path, tensor.offset, tensor.nbytes, file)
        return
    if tensor.dtype.bitwidth < 8:
        file.write(tensor.tobytes())
        return
    array = tensor.numpy()
    if array.dtype.byteorder == ">":
        array = array.astype(array.dtype.newbyteorder("<"))
    # While one block is written, the next two are brought into order.
    with ThreadPoolExecutor(2) as pool:
        pending: deque[Future[np.ndarray[Any, Any]]] = deque()
        for block in _blocks(array):
            pending.append(pool.submit(_contiguous, block))
            if len(pending) > 2:
                _write_array(pending.popleft().result(), file)
        for block in pending:
            _write_array(block.result(), file)


def _write_array(array: np.ndarray[Any, Any], file: _atomic.Temporary) -> None:
    file.write(array.view(np.uint8).reshape(-1).data)


def _blocks(array: np.ndarray[Any, Any]) -> Iterator[np.ndarray[Any, Any]]:
    """The array in pieces along its first axis that is longer than 1, so that a view is never
    brought into order as a whole.
    """
    array = array.reshape(1) if array.ndim == 0 else array
    while array.shape[0] == 1 and array.ndim > 1:
        array = array[0]
    rows = max(1, _CHUNK // max(1, array.nbytes // max(1, array.shape[0])))
    for start in range(0, array.shape[0], rows):
        yield array[start : start + rows]


def _contiguous(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """As `numpy.ascontiguousarray`, but 2 to 4 times faster for a large transposed view.

    numpy walks the result in order and so misses the cache at every element of the source. Here a
    tile is read in the source's order, and turned while it lies in the cache.
    """
    strides = [abs(s) if n > 1 else np.inf for s, n in zip(array.strides, array.shape, strict=True)]
    fastest = int(np.argmin(strides)) if strides else 0
    others = [axis for axis, size in enumerate(array.shape) if axis != fastest and size > 1]
    if array.flags.c_contiguous or not others or array.size < _TILE**2:
        return np.ascontiguousarray(array)
    outer = others[0]
    inner = max(1, array.size // (array.shape[fastest] * array.shape[outer]))
    result = np.empty(array.shape, array.dtype)
    index = [slice(None)] * array.ndim
    for start in range(0, array.shape[fastest], _TILE):
        index[fastest] = slice(start, start + _TILE)
        step = max(1, _TILE // inner)
        for begin in range(0, array.shape[outer], step):
            index[outer] = slice(begin, begin + step)
            tile = tuple(index)
            result[tile] = array[tile].copy(order="K")
    return result


def _free_data_path(target: Path) -> Path:
    """A data file beside the model that does not exist: the present one may still be in use."""
    for number in range(1000):
        path = target.with_name(f"{target.name}.{number}.data" if number else f"{target.name}.data")
        if not os.path.lexists(path):
            return path
    raise OutputError(
        f"{target.parent} holds too many files named {target.name}.*.data; remove some"
    )


def _is_own_data(target: Path, name: str) -> bool:
    middle = name.removeprefix(f"{target.name}.").removesuffix("data").removesuffix(".")
    return (
        name.startswith(f"{target.name}.")
        and name.endswith("data")
        and (middle == "" or middle.isdigit())
    )


def _locations(path: Path) -> set[str]:
    """The data files that a model refers to; none if it is no model."""
    try:
        model, _ = _wire.read(path)
    except Exception:  # Whatever is there, it is no model that refers to data.
        return set()
    return {
        entry.value
        for tensor in model.graph.initializer
        for entry in tensor.external_data
        if entry.key == "location"
    }


def _same_file(target: Path, source: str | os.PathLike[str]) -> bool:
    try:
        return target.samefile(source)
    except OSError:
        return False


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
