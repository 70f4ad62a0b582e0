"""ONNX models in and out: checked when they come, streamed and complete when they go.

`load` keeps every large weight in its file; `save` copies those that did not change by ranges and
evaluates the others one at a time. Memory is one tensor, not one model.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import google.protobuf.message
import onnx
import onnx_ir as ir

from onebyone.dialects.onnx.files import check, wire
from onebyone.dialects.onnx.files.save import check_output, save, skeleton
from onebyone.dialects.onnx.files.stored import StoredTensor, external_tensor
from onebyone.errors import InputError

__all__ = ["StoredTensor", "as_model", "check_output", "load", "save", "skeleton"]

_CURE = "give a file that an ONNX exporter wrote"


def as_model(model: str | os.PathLike[str] | onnx.ModelProto | ir.Model) -> ir.Model:
    """A model to rewrite, whatever it came as; the caller's object is never altered.

    Args:
        model: a path, an ``onnx.ModelProto`` with its data inside, or an ``onnx_ir.Model``.
            Tensors are shared with the result, graphs and nodes are not.

    Raises:
        InputError: as for `load`; or the object is none of these.
    """
    if isinstance(model, ir.Model):
        return model.clone()
    if isinstance(model, onnx.ModelProto):
        for tensor in check.all_tensors(model):
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                raise InputError(
                    f"tensor {tensor.name} is external data of an unknown folder; "
                    "give the path of the model instead"
                )
        # The checks may touch declared shapes; tensors are only referred to by the result.
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        check.check_model(copy)
        return _deserialize(copy)
    if isinstance(model, (str, os.PathLike)):  # pyright: ignore[reportUnnecessaryIsInstance]
        return load(model)
    raise InputError(
        f"{type(model).__name__} is no model: give a path, an onnx.ModelProto or an onnx_ir.Model"
    )


def load(path: str | os.PathLike[str]) -> ir.Model:
    """Read a model file and check it, leaving its large weights where they are.

    Args:
        path: an ONNX file in protobuf form, with or without external data.

    Returns:
        The model; its large initializers are `StoredTensor`.

    Raises:
        InputError: the file is missing, no regular file, truncated, no ONNX model, of an unknown
            opset, refers to data outside its folder or beyond its files, or claims what is not
            there; one line that says which.
    """
    path = Path(path)
    try:
        model, ranges = _read(path)
        stored = _stored(model, ranges, path)
        check.check_model(model, [model.graph.initializer[i].name for i in ranges])
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    result = _deserialize(model)
    _attach(result, stored)
    return result


def _read(path: Path) -> tuple[onnx.ModelProto, dict[int, wire.Range]]:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise InputError(f"is a directory; {_CURE}")
        if not stat.S_ISREG(status.st_mode):
            raise InputError(f"is no regular file; {_CURE}")
        if status.st_size == 0:
            raise InputError(f"the file is empty; {_CURE}")
        return wire.read(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot be read: {reason}") from None
    except (wire.WireError, google.protobuf.message.DecodeError) as error:
        raise InputError(f"this is no ONNX model, or a truncated one ({error}); {_CURE}") from None


def _stored(
    model: onnx.ModelProto, ranges: dict[int, wire.Range], path: Path
) -> dict[int, StoredTensor]:
    """Resolve what lies in files; external tensors elsewhere than in initializers are read in."""
    result: dict[int, StoredTensor] = {}
    home = Path(os.path.realpath(path))
    for position, tensor in enumerate(model.graph.initializer):
        where = ranges.get(position)
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            check.check_tensor(tensor)
            result[position] = external_tensor(tensor, path)
        elif where is not None:
            check.check_tensor(tensor, has_data=False)
            weight = StoredTensor(
                home,
                where.offset,
                ir.DataType(tensor.data_type),
                tuple(tensor.dims),
                external=False,
                name=tensor.name,
                doc_string=tensor.doc_string or None,
            )
            if weight.nbytes != where.length:
                raise InputError(
                    f"tensor {tensor.name}: shape {list(tensor.dims)} of {weight.dtype} takes "
                    f"{weight.nbytes} bytes, but {where.length} are there"
                )
            result[position] = weight
    for position in [p for p, t in result.items() if t.nbytes < wire.LARGE]:
        _read_in(model.graph.initializer[position], result.pop(position))
    # protobuf makes a new object at each access, unless the last one is still there.
    initializers = list(model.graph.initializer)
    resolved = {id(t) for t in initializers}
    for tensor in check.all_tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL and id(tensor) not in resolved:
            check.check_tensor(tensor)
            _read_in(tensor, external_tensor(tensor, path))
    return result


def _read_in(tensor: onnx.TensorProto, stored: StoredTensor) -> None:
    tensor.raw_data = stored.tobytes()
    tensor.ClearField("external_data")
    tensor.ClearField("data_location")


def _attach(model: ir.Model, stored: dict[int, StoredTensor]) -> None:
    initializers = list(model.graph.initializers.values())
    for position, tensor in stored.items():
        tensor.metadata_props.update(initializers[position].const_value.metadata_props)  # pyright: ignore[reportOptionalMemberAccess]
        initializers[position].const_value = tensor


def _deserialize(model: onnx.ModelProto) -> ir.Model:
    try:
        return ir.serde.deserialize_model(model)
    except (ir.serde.SerdeError, ValueError, TypeError, KeyError, RecursionError) as error:
        cause = error.__cause__ or error
        raise InputError(f"this is no valid ONNX model: {cause}") from None
