"""Writing a model: streamed weights, one rename at the end."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import onnx
import onnx_ir as ir

from onebyone import atomic, files
from onebyone.dialects.onnx.files import wire
from onebyone.dialects.onnx.files.stored import StoredTensor
from onebyone.dialects.onnx.files.stream import write_tensor
from onebyone.errors import OutputError

# A protobuf message must stay below 2 GiB; the rest of the model needs some of it.
_INLINE_LIMIT = 2_000_000_000
# Lets a runtime map large weights, and a file system share their blocks.
_ALIGNMENT = 4096
# More bytes than this are left to the kernel's own write-back, as `cp` leaves them: a disk that
# writes 400 MB/s would hold the user up for longer than all the rest takes.
_SYNC_LIMIT = 1 << 28


def check_output(
    path: str | os.PathLike[str], inputs: Iterable[str | os.PathLike[str]] = ()
) -> Path:
    """As `onebyone.files.check_output`; a killed run may have left data files, too."""
    return files.check_output(path, inputs, _locations)


def save(
    model: ir.Model,
    path: str | os.PathLike[str],
    *,
    external: bool | None = None,
    inputs: Iterable[str | os.PathLike[str]] = (),
    accept: Callable[[Path], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a model so that the complete file appears at once, or none.

    Args:
        model: unchanged afterwards.
        path: the file; an existing one is replaced.
        external: put weights into a data file beside it; None: where the weights that did not
            change came from one, or where the model would exceed 2 GB.
        inputs: files that must not be overwritten, besides those that the model still reads.
        accept: called with the complete file under a temporary name, just before it appears under
            its own; what it raises leaves everything as it was.
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
    try:
        with ThreadPoolExecutor(2) as pool:
            work = _Work(target, weights, total, pool, accept, progress)
            (_save_external if external else _save_inline)(model, work)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from None


def skeleton(model: ir.Model) -> onnx.ModelProto:
    """The model as a proto whose large weights are references to nothing: cheap, for analyses."""
    with _without_data(model, dict.fromkeys(_weights(model), ("", 0))):
        return ir.serde.serialize_model(model)


@dataclass
class _Work:
    """What one `save` has to do."""

    target: Path
    weights: dict[str, ir.TensorProtocol]
    total: int
    pool: Executor
    accept: Callable[[Path], None] | None
    progress: Callable[[int, int], None] | None
    done: int = 0

    def write(self, name: str, file: atomic.Temporary) -> None:
        write_tensor(self.weights[name], file, self.pool)
        self.done += self.weights[name].nbytes
        if self.progress is not None:
            self.progress(self.done, self.total)

    def publish(self, file: atomic.Temporary) -> None:
        self.sync(file)
        if self.accept is not None:
            self.accept(file.path)
        file.publish(self.target)
        _sync_folder(self.target.parent)

    def sync(self, file: atomic.Temporary) -> None:
        if self.total <= _SYNC_LIMIT:
            file.sync()


def _save_inline(model: ir.Model, work: _Work) -> None:
    with _without_data(model, dict.fromkeys(work.weights, ("", 0))):
        proto = ir.serde.serialize_model(model)
    lengths: dict[int, int] = {}
    for position, tensor in enumerate(proto.graph.initializer):
        if tensor.name in work.weights:
            tensor.ClearField("data_location")
            tensor.ClearField("external_data")
            lengths[position] = work.weights[tensor.name].nbytes
    with atomic.temporary(work.target) as file:
        for piece in wire.pieces(proto, lengths):
            if isinstance(piece, int):
                work.write(proto.graph.initializer[piece].name, file)
            else:
                file.write(piece)
        work.publish(file)


def _save_external(model: ir.Model, work: _Work) -> None:
    target = work.target
    in_use = {weight.path for weight in work.weights.values() if isinstance(weight, StoredTensor)}
    old = _own_data(target) - in_use
    data_path = _free_data_path(target)
    places: dict[str, tuple[str, int]] = {}
    position = 0
    for name, weight in work.weights.items():
        if weight.nbytes >= _ALIGNMENT:
            position += -position % _ALIGNMENT
        places[name] = (data_path.name, position)
        position += weight.nbytes
    with _without_data(model, places):
        proto = ir.serde.serialize_model(model)
    with contextlib.ExitStack() as stack:
        data = stack.enter_context(atomic.temporary(data_path))
        for name, (_, offset) in places.items():
            os.lseek(data.fd, offset, os.SEEK_SET)
            work.write(name, data)
        work.sync(data)
        # Should this run be killed around its two renames, the next one finds in the names of
        # these temporaries which data files may have no model.
        for path in old:
            stack.enter_context(atomic.temporary(target, atomic.identity(path.stat())))
        file = stack.enter_context(atomic.temporary(target, data.identity()))
        stack.callback(_remove_unused, target, {data_path, *old})
        file.write(proto.SerializeToString())
        data.publish(data_path)
        work.publish(file)


def _remove_unused(target: Path, data: set[Path]) -> None:
    used = _locations(target)
    for path in data:
        if path.name not in used:
            path.unlink(missing_ok=True)


def _weights(model: ir.Model) -> dict[str, ir.TensorProtocol]:
    """The initializers of the main graph that are worth streaming, by name."""
    weights: dict[str, ir.TensorProtocol] = {}
    for name, value in model.graph.initializers.items():
        tensor = value.const_value
        if tensor is None or tensor.dtype == ir.DataType.STRING:
            continue
        if tensor.nbytes >= wire.LARGE or isinstance(tensor, (StoredTensor, ir.LazyTensor)):
            weights[name] = tensor
    return weights


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


def _free_data_path(target: Path) -> Path:
    """A data file beside the model that does not exist: the present one may still be in use."""
    for number in range(1000):
        path = target.with_name(f"{target.name}.{number}.data" if number else f"{target.name}.data")
        if not os.path.lexists(path):
            return path
    raise OutputError(
        f"{target.parent} holds too many files named {target.name}.*.data; remove some"
    )


def _own_data(target: Path) -> set[Path]:
    """The data files of the present model that an earlier `save` named."""
    pattern = re.compile(rf"{re.escape(target.name)}\.(\d+\.)?data")
    names = (name for name in _locations(target) if pattern.fullmatch(name))
    return {path for path in map(target.with_name, names) if path.is_file()}


def _locations(path: Path) -> set[str]:
    """The data files that a model refers to; none if it is no model."""
    try:
        model, _ = wire.read(path)
    except Exception:  # Whatever is there, it is no model that refers to data.
        return set()
    return {
        entry.value
        for tensor in model.graph.initializer
        for entry in tensor.external_data
        if entry.key == "location"
    }


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
