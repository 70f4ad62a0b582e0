"""ONNX files at the level of protobuf's wire format, so that weights need not be parsed.

`read` splits a file into a small `ModelProto` and the byte ranges of its large weights; `pieces`
does the reverse. Neither ever holds a weight in memory. Source of the format:
https://protobuf.dev/programming-guides/encoding, field numbers from ``onnx.proto``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx

# Smaller weights stay in the proto: shapes, axes and scales are read by value anyway.
LARGE = 1024
# A file of two-byte messages would otherwise grow fifty-fold in memory when parsed.
MAX_ENTRIES = 2_000_000

_GRAPH = 7  # ModelProto.graph
_INITIALIZER = 5  # GraphProto.initializer
_RAW_DATA = 9  # TensorProto.raw_data
_BYTES = 2  # wire type: length-delimited


class WireError(Exception):
    """The bytes are no protobuf message, or no reasonable one."""


@dataclass(frozen=True)
class Range:
    """Where a weight lies in a file, in bytes."""

    offset: int
    length: int


@dataclass(frozen=True)
class _Field:
    number: int
    kind: int
    start: int  # of the tag
    body: int  # of the payload
    end: int


class _Source:
    """A file read through a small window: a mapping would count what it skips as memory."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.start = 0
        self.window = b""

    def byte(self, position: int) -> int:
        index = position - self.start
        if not 0 <= index < len(self.window):
            self.window = os.pread(self.fd, 1 << 14, position)
            self.start, index = position, 0
            if not self.window:
                raise WireError(f"the file ends at byte {position}")
        return self.window[index]

    def read(self, start: int, end: int) -> bytes:
        index = start - self.start
        if index >= 0 and end - self.start <= len(self.window):
            return self.window[index : end - self.start]
        return os.pread(self.fd, end - start, start)


def read(path: Path) -> tuple[onnx.ModelProto, dict[int, Range]]:
    """Parse all of a model file but its large weights.

    Args:
        path: a regular file that is not empty.

    Returns:
        The model, and for each position in ``graph.initializer`` whose ``raw_data`` was left out
        the range of those bytes in the file.

    Raises:
        WireError: the file is truncated or no protobuf message.
        google.protobuf.message.DecodeError: it is one, but no ``ModelProto``.
    """
    ranges: dict[int, Range] = {}
    count = 0
    model: list[bytes] = []
    with path.open("rb") as file:
        data = _Source(file.fileno())
        for field in _fields(data, 0, os.fstat(file.fileno()).st_size):
            if field.number != _GRAPH or field.kind != _BYTES:
                model.append(data.read(field.start, field.end))
                continue
            graph: list[bytes] = []
            for entry in _fields(data, field.body, field.end):
                if entry.number == _INITIALIZER and entry.kind == _BYTES:
                    tensor, weight = _without_raw_data(data, entry)
                    if weight is not None:
                        ranges[count] = weight
                    graph.append(_message(_INITIALIZER, tensor))
                    count += 1
                else:
                    graph.append(data.read(entry.start, entry.end))
            model.append(_message(_GRAPH, b"".join(graph)))
    return onnx.ModelProto.FromString(b"".join(model)), ranges


def _without_raw_data(data: _Source, entry: _Field) -> tuple[bytes, Range | None]:
    kept: list[bytes] = []
    raw: list[_Field] = []
    for field in _fields(data, entry.body, entry.end):
        if field.number == _RAW_DATA and field.kind == _BYTES:
            raw.append(field)
        else:
            kept.append(data.read(field.start, field.end))
    if len(raw) == 1 and raw[0].end - raw[0].body >= LARGE:
        return b"".join(kept), Range(raw[0].body, raw[0].end - raw[0].body)
    return data.read(entry.body, entry.end), None


def pieces(model: onnx.ModelProto, lengths: dict[int, int]) -> Iterator[bytes | int]:
    """The bytes of a model file, with a gap for each large weight.

    Args:
        model: its initializers named in ``lengths`` carry no data.
        lengths: position in ``graph.initializer`` -> bytes of its ``raw_data``.

    Yields:
        Bytes to write, or the position of the initializer whose data belongs here.
    """
    rest = onnx.ModelProto()
    rest.CopyFrom(model)
    rest.ClearField("graph")
    graph = onnx.GraphProto()
    graph.CopyFrom(model.graph)
    graph.ClearField("initializer")
    tensors = [t.SerializeToString() for t in model.graph.initializer]
    heads: list[bytes] = []
    total = graph.ByteSize()
    for position, tensor in enumerate(tensors):
        length = lengths.get(position)
        if length is None:
            heads.append(_message(_INITIALIZER, tensor))
            total += len(heads[-1])
            continue
        tag = _tag(_RAW_DATA) + _varint(length)
        size = len(tensor) + len(tag) + length
        heads.append(_tag(_INITIALIZER) + _varint(size) + tensor + tag)
        total += len(heads[-1]) + length
    yield rest.SerializeToString()
    yield _tag(_GRAPH) + _varint(total)
    yield graph.SerializeToString()
    for position, head in enumerate(heads):
        yield head
        if position in lengths:
            yield position


def _fields(data: _Source, start: int, end: int) -> Iterator[_Field]:
    position = start
    for _ in range(MAX_ENTRIES):
        if position == end:
            return
        tag, body = _read_varint(data, position, end)
        kind, stop = tag & 7, 0
        if kind == 0:
            stop = _read_varint(data, body, end)[1]
        elif kind == 1:
            stop = body + 8
        elif kind == _BYTES:
            length, body = _read_varint(data, body, end)
            stop = body + length
        elif kind == 5:
            stop = body + 4
        else:
            raise WireError(f"unknown wire type {kind} at byte {position}")
        if stop > end:
            raise WireError(f"a field at byte {position} ends beyond its message")
        yield _Field(tag >> 3, kind, position, body, stop)
        position = stop
    raise WireError(f"more than {MAX_ENTRIES:,} entries in one message")


def _read_varint(data: _Source, position: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while position < end and shift < 70:
        byte = data.byte(position)
        value |= (byte & 0x7F) << shift
        position += 1
        if byte < 0x80:
            return value, position
        shift += 7
    raise WireError(f"a number at byte {position} does not end")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _tag(number: int) -> bytes:
    return _varint(number << 3 | _BYTES)


def _message(number: int, body: bytes) -> bytes:
    return _tag(number) + _varint(len(body)) + body
