"""An ONNX file is untrusted input: each attack gives one clear line, soon, and reads no more."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnx import helper as h

from onebyone.dialects.onnx.files import check, wire
from onebyone.dialects.onnx.files import load as files
from onebyone.errors import InputError
from tests import zoo
from tests.onnx import small

# Any of these must be refused in far less than this; the slowest parses a few megabytes.
SECONDS = 10


def refused(path: Path, fact: str) -> str:
    start = time.monotonic()
    with pytest.raises(InputError, match=fact) as caught:
        files.load(path)
    assert time.monotonic() - start < SECONDS
    text = str(caught.value)
    assert text.isprintable()
    assert len(text) <= 1000
    return text


def write(folder: Path, proto: onnx.ModelProto) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


# --- no model at all


def test_missing_directory_empty_device(tmp_path: Path) -> None:
    refused(tmp_path / "none.onnx", "No such file")
    refused(tmp_path, "is a directory")
    (tmp_path / "empty.onnx").touch()
    refused(tmp_path / "empty.onnx", "is empty")
    refused(Path("/dev/zero"), "no regular file")
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "no regular file")
    refused(Path("a\0b"), "cannot be read")
    refused(tmp_path / ("n" * 300), "cannot be read")
    (tmp_path / "loop").symlink_to("loop")
    refused(tmp_path / "loop", "cannot be read")


@pytest.mark.parametrize(
    "content",
    [
        b"hello world\n",
        b"\x89PNG\r\n\x1a\n" + b"\0" * 99,
        b"PK\x03\x04" + b"x" * 500,
        b"\xff" * 99,
        b"\0" * 4096,
        b"{}",
        "模型".encode() * 50,
    ],
)
def test_other_files(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    refused(tmp_path / "model.onnx", "no ONNX model")


def test_truncated_at_every_kind_of_place(tmp_path: Path) -> None:
    """A real model cut anywhere is refused (a cut between two fields must be noticed as well)."""
    data = zoo.path("nhwc-flatten").read_bytes()
    rng = np.random.default_rng(0)
    cuts = {*rng.integers(1, len(data), 60).tolist(), *range(1, 40), len(data) - 1}
    path = tmp_path / "model.onnx"
    survived = []
    for cut in sorted(cuts):
        path.write_bytes(data[:cut])
        try:
            files.load(path)
        except InputError as error:
            assert str(error).isprintable()
        else:
            survived.append(cut)
    assert survived == []


def test_graph_of_nothing_and_missing_opset(tmp_path: Path) -> None:
    proto = small.fc()
    del proto.graph.output[:]
    refused(write(tmp_path, proto), "no ONNX model: it holds no graph")
    proto = small.fc()
    del proto.opset_import[:]
    refused(write(tmp_path, proto), "imports no operator set")


@pytest.mark.parametrize("version", [0, -1, 999, 2**60])
def test_unknown_opset(version: int, tmp_path: Path) -> None:
    proto = small.fc()
    proto.opset_import[0].version = version
    refused(write(tmp_path, proto), f"opset {version} is unknown")


def test_unknown_ir_version_and_domain(tmp_path: Path) -> None:
    proto = small.fc()
    proto.ir_version = 77
    refused(write(tmp_path, proto), "IR version 77 is unknown")
    proto = small.fc()
    proto.graph.node[0].domain = "nowhere"
    refused(write(tmp_path, proto), "domain 'nowhere' has no opset_import")


# --- external data


@pytest.mark.parametrize(
    ("location", "fact"),
    [
        ("/etc/passwd", "leaves the model's folder"),
        ("../secret.bin", "leaves the model's folder"),
        ("sub/../../secret.bin", "leaves the model's folder"),
        ("link.bin", "links out of the model's folder"),
        ("folder/secret.bin", "links out of the model's folder"),
        ("device", "links out of the model's folder|no regular file"),
        ("pipe", "no regular file"),
        (".", "no regular file"),
        ("", "names no file"),
        ("a\0b", "names no file"),
        ("none.bin", "No such file"),
        ("data.bin/x", "Not a directory"),
        ("loop.bin", "Too many levels|No such file|links out"),
        ("n" * 5000, "too long|No such file"),
        ("model.onnx", "should reach byte"),
    ],
)
def test_locations(location: str, fact: str, tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(b"\1" * 20_000)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    (folder / "folder").symlink_to(tmp_path)
    (folder / "device").symlink_to("/dev/zero")
    (folder / "loop.bin").symlink_to("loop.bin")
    os.mkfifo(folder / "pipe")
    path = small.external(folder, lambda e: e.update(location=location))
    refused(path, fact)


@pytest.mark.parametrize(
    ("entries", "fact"),
    [
        ({"offset": "-1"}, "is no number of bytes"),
        ({"offset": "1e3"}, "is no number of bytes"),
        ({"offset": "9" * 40}, "is no number of bytes"),
        ({"offset": "17"}, "should reach byte"),
        ({"offset": str(2**62)}, "should reach byte"),
        ({"length": "0"}, "has length 0"),
        ({"length": str(2**62)}, "has length"),
        ({"length": "-8192"}, "is no number of bytes"),
        ({"length": "٣"}, "is no number of bytes"),
    ],
)
def test_offsets_and_lengths(entries: dict[str, str], fact: str, tmp_path: Path) -> None:
    refused(small.external(tmp_path, lambda e: e.update(entries)), fact)


def test_missing_length_and_offset_are_fine(tmp_path: Path) -> None:
    """Both are optional in the format."""

    def change(entries: dict[str, str]) -> None:
        del entries["length"], entries["offset"]

    model = files.load(small.external(tmp_path, change))
    assert model.graph.initializers["w"].const_value.nbytes == 64 * 32 * 4  # pyright: ignore


def test_a_download_cache_of_links_is_fine(tmp_path: Path) -> None:
    """Model and data both links into one folder, as download caches lay them out."""
    store, snapshot = tmp_path / "blobs", tmp_path / "snapshots"
    store.mkdir()
    snapshot.mkdir()
    small.external(store)
    for name in ("model.onnx", "data.bin"):
        (snapshot / name).symlink_to(store / name)
    assert files.load(snapshot / "model.onnx").graph.initializers["w"].const_value is not None


def test_external_data_of_a_proto_needs_a_path(tmp_path: Path) -> None:
    proto = onnx.load(small.external(tmp_path), load_external_data=False)
    with pytest.raises(InputError, match="give the path of the model"):
        files.as_model(proto)


# --- tensors that lie


def edit(tensor: TensorProto, **fields: object) -> None:
    for name, new in fields.items():
        if name == "dims":
            tensor.ClearField("dims")
            tensor.dims.extend(new)  # pyright: ignore
        else:
            setattr(tensor, name, new)


TENSORS = {
    "negative dimension": {"dims": [-64, -32]},
    "overflows": {"dims": [2**40, 2**40]},
    "takes 4000000000000 bytes": {"dims": [10**6, 10**6]},
    "takes 8196 bytes": {"dims": [2049]},
    "element type 99 is unknown": {"data_type": 99},
    "element type 0 is unknown": {"data_type": 0},
    "strings cannot stand": {"data_type": TensorProto.STRING},
}


@pytest.mark.parametrize("fact", TENSORS)
@pytest.mark.parametrize("where", ["initializer", "small initializer", "attribute", "body"])
def test_tensors(fact: str, where: str, tmp_path: Path) -> None:
    size = 2 if where == "small initializer" else 64 * 32
    fields = TENSORS[fact]
    tensor = TensorProto(name="w", data_type=1, dims=[size], raw_data=b"\0" * 4 * size)
    edit(tensor, **fields)
    proto = small.model([h.make_node("Identity", ["w"], ["y"])])
    constant = h.make_node("Constant", [], ["w"])
    constant.attribute.add(name="value", type=onnx.AttributeProto.TENSOR).t.CopyFrom(tensor)
    if where == "attribute":
        proto.graph.node.insert(0, constant)
    elif where == "body":
        body = h.make_graph([constant], "b", [], [small.value("w", None)])
        node = h.make_node("If", ["c"], ["w"], then_branch=body, else_branch=body)
        proto.graph.node.insert(0, node)
        proto.graph.initializer.append(h.make_tensor("c", TensorProto.BOOL, [], [True]))
    else:
        proto.graph.initializer.append(tensor)
    refused(write(tmp_path, proto), fact)


def test_typed_data_of_the_wrong_length(tmp_path: Path) -> None:
    proto = small.model([h.make_node("Identity", ["w"], ["y"])])
    proto.graph.initializer.add(name="w", data_type=1, dims=[10**12])
    refused(write(tmp_path, proto), "takes 1000000000000 values, but 0 are there")
    proto.graph.initializer[0].float_data.extend([1.0] * 7)
    refused(write(tmp_path, proto), "but 7 are there")


def test_declared_shapes(tmp_path: Path) -> None:
    for dims, fact in (([-7, 64], "negative dimension -7"), ([2**40, 2**40], "overflows")):
        proto = small.fc()
        for dim, size in zip(proto.graph.input[0].type.tensor_type.shape.dim, dims, strict=True):
            dim.dim_value = size
        refused(write(tmp_path, proto), fact)


def test_minus_one_is_an_unknown_size(tmp_path: Path) -> None:
    """PP-OCR's classifier declares its input so, and runtimes take it."""
    proto = small.fc()
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = -1
    shape = files.load(write(tmp_path, proto)).graph.inputs[0].shape
    assert shape is not None
    assert not isinstance(shape[0], int)
    assert shape[1] == 64


def test_sparse_initializer(tmp_path: Path) -> None:
    proto = small.fc()
    proto.graph.sparse_initializer.add(dims=[10**9, 10**9]).values.name = "s"
    refused(write(tmp_path, proto), "sparse initializer s")


# --- graphs that lie


def node(op: str, reads: list[str], writes: list[str], **attributes: object) -> onnx.NodeProto:
    return h.make_node(op, reads, writes, name=f"make_{writes[0]}", **attributes)


GRAPHS: dict[str, list[onnx.NodeProto]] = {
    "cycle through node make_a": [node("Add", ["x", "y"], ["a"]), node("Relu", ["a"], ["y"])],
    "cycle through node make_y": [node("Relu", ["y"], ["y"])],
    "reads nothing, which is defined nowhere": [node("Relu", ["nothing"], ["y"])],
    "defines y, which is defined already": [node("Relu", ["x"], ["y"]), node("Neg", ["x"], ["y"])],
    "output y is defined nowhere": [node("Relu", ["x"], ["z"])],
    "ill-typed graph: node make_y": [
        node("Constant", [], ["i"], value_int=1),
        node("Add", ["x", "i"], ["y"]),
    ],
    r"ill-typed graph: node make_y \(MatMul\)": [node("MatMul", ["x", "x"], ["y"])],
    r"ill-typed graph: node make_y \(Transpose\)": [node("Transpose", ["x"], ["y"], perm=[0, 7])],
    r"ill-typed graph: node make_y \(Relu\)": [node("Relu", ["x", "x", "x"], ["y"])],
}


@pytest.mark.parametrize("fact", GRAPHS)
def test_graphs(fact: str, tmp_path: Path) -> None:
    refused(write(tmp_path, small.model(GRAPHS[fact])), fact)


def nested(depth: int) -> bytes:
    """``If`` in ``If``, written by hand from the inside out: the library would recurse."""
    innermost = h.make_node("Relu", ["x"], ["y"]).SerializeToString()
    before: list[bytes] = [innermost]  # reversed
    after: list[bytes] = []
    length = len(innermost)

    def wrap(number: int, head: bytes = b"", tail: bytes = b"") -> None:
        """Put what there is into a field, ``head`` and ``tail`` around that field."""
        nonlocal length
        tag = head + wire._tag(number) + wire._varint(length)
        before.append(tag)
        after.append(tail)
        length += len(tag) + len(tail)

    output = wire._message(12, small.value("y", [2, 64]).SerializeToString())
    names = b"".join(wire._message(n, t) for n, t in ((1, b"c"), (2, b"y"), (4, b"If")))
    for _ in range(depth):
        wrap(1, tail=wire._message(2, b"g") + output)  # the graph that holds the node
        kind = b"\xa0\x01\x05"  # AttributeProto.type = GRAPH
        wrap(6, wire._message(1, b"then_branch"), kind)  # the attribute that holds the graph
        wrap(5, names)  # the node that holds the attribute
    proto = small.model([])
    proto.graph.initializer.append(h.make_tensor("c", TensorProto.BOOL, [], [True]))
    wrap(1, proto.graph.SerializeToString())
    proto.ClearField("graph")
    wrap(7, proto.SerializeToString())
    return b"".join([*reversed(before), *after])


def test_a_few_nested_subgraphs_are_fine(tmp_path: Path) -> None:
    """Guards the generator: at a small depth its file is a model."""
    path = tmp_path / "model.onnx"
    path.write_bytes(nested(3))
    model = onnx.load(path)
    depth, graph = 0, model.graph
    while graph.node[0].op_type == "If":
        graph, depth = graph.node[0].attribute[0].g, depth + 1
    assert depth == 3


def test_ten_thousand_nested_subgraphs(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(nested(10_000))
    refused(path, "no ONNX model, or a truncated one")


def test_many_tiny_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MAX_ENTRIES", 1000)
    proto = small.model([node("Relu", ["x"], ["y"])])
    graph = proto.graph.SerializeToString() + b"\x0a\x00" * 2000
    proto.ClearField("graph")
    path = tmp_path / "model.onnx"
    path.write_bytes(proto.SerializeToString() + wire._message(7, graph))
    refused(path, "more than 1,000 entries")


def function(name: str, body: list[onnx.NodeProto]) -> onnx.FunctionProto:
    opsets = [h.make_opsetid("", 18), h.make_opsetid("f", 1)]
    return h.make_function("f", name, ["x"], ["y"], body, opsets)


def call(name: str, reads: str = "x", writes: str = "y") -> onnx.NodeProto:
    return h.make_node(name, [reads], [writes], domain="f")


def test_functions_that_call_themselves(tmp_path: Path) -> None:
    functions = [function("a", [call("b")]), function("b", [call("a")])]
    proto = small.model([call("a")], functions=functions)
    proto.opset_import.add(domain="f", version=1)
    refused(write(tmp_path, proto), "calls itself")


def test_functions_that_multiply(tmp_path: Path) -> None:
    functions = [function("f0", [h.make_node("Relu", ["x"], ["y"])])]
    for i in range(40):
        twice = [call(f"f{i}", "x", "t"), call(f"f{i}", "t", "y")]
        functions.append(function(f"f{i + 1}", twice))
    proto = small.model([call("f40")], functions=functions)
    proto.opset_import.add(domain="f", version=1)
    refused(write(tmp_path, proto), "unfolds to more than")


@pytest.mark.parametrize(
    "name", ["\x1b]0;owned\x07", "a\nb\rc", "\x9b31m", "\u202egnp", "x" * 10**6]
)
def test_names(name: str, tmp_path: Path) -> None:
    text = refused(write(tmp_path, small.model([node("Relu", [name], ["y"])])), "defined nowhere")
    assert len(text) <= 1000


def test_names_that_are_no_text(tmp_path: Path) -> None:
    data = small.model([node("Relu", ["x"], ["y"])]).SerializeToString()
    path = tmp_path / "model.onnx"
    path.write_bytes(data.replace(b"make_y", b"m\xff\xfe_y!"))
    try:
        files.load(path)
    except InputError as error:
        assert str(error).isprintable()


# --- random damage


def flipped(data: bytes, rng: np.random.Generator) -> bytes:
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 8))):
        out[int(rng.integers(len(out)))] = int(rng.integers(256))
    return bytes(out)


def cut_out(data: bytes, rng: np.random.Generator) -> bytes:
    start = int(rng.integers(len(data)))
    return data[:start] + data[start + int(rng.integers(1, 64)) :]


def doubled(data: bytes, rng: np.random.Generator) -> bytes:
    start = int(rng.integers(len(data)))
    return data[:start] + data[start : start + int(rng.integers(1, 64))] + data[start:]


@pytest.mark.parametrize("damage", [flipped, cut_out, doubled])
def test_random_damage_loads_or_is_refused(
    damage: Callable[[bytes, np.random.Generator], bytes], tmp_path: Path
) -> None:
    """Damage to the structure (weights removed, so that it strikes there)."""
    proto = onnx.load(zoo.path("encoder-layer"))
    keep = [t for t in proto.graph.initializer if len(t.raw_data) < 200]
    proto.graph.input.extend(
        h.make_tensor_value_info(t.name, t.data_type, t.dims)
        for t in proto.graph.initializer
        if t not in keep
    )
    del proto.graph.initializer[:]
    proto.graph.initializer.extend(keep)
    data = proto.SerializeToString()
    rng = np.random.default_rng(0)
    path = tmp_path / "model.onnx"
    refusals = 0
    for _ in range(150):
        path.write_bytes(damage(data, rng))
        try:
            files.load(path)
        except InputError as error:
            refusals += 1
            assert str(error).isprintable()
    assert refusals > 30


def test_no_check_is_dead() -> None:
    """Every model of the zoo passes all checks."""
    for name in (n for n in zoo.names() if zoo.available(n)):
        check.check_model(onnx.load(zoo.path(name)))
