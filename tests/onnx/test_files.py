"""Files in and out: nothing lost, nothing half-written, nothing loaded that need not be."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onebyone import atomic
from onebyone.dialects.onnx.files import check, save, stream, wire
from onebyone.dialects.onnx.files import load as files
from onebyone.errors import InputError, OutputError
from tests import zoo
from tests.onnx import small


def run(path: Path, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    return ort.InferenceSession(path).run(None, inputs)


@pytest.mark.parametrize("name", ["bert-dynamic", "swin", "crepe", "ppocr-cls"])
@pytest.mark.parametrize("external", [False, True])
def test_round_trip_keeps_everything(name: str, external: bool, tmp_path: Path) -> None:
    """Same outputs bit for bit, same weights, and the proto differs only in where they lie."""
    if not zoo.available(name):
        pytest.skip(f"{name}: its package is not installed")
    source, target = zoo.path(name), tmp_path / "out.onnx"
    model = files.load(source)
    files.save(model, target, external=external)
    inputs = zoo.inputs(name)
    for before, after in zip(run(source, inputs), run(target, inputs), strict=True):
        assert before.size
        np.testing.assert_array_equal(before, after)
    onnx.checker.check_model(str(target))
    before, after = onnx.load(source), onnx.load(target)
    assert [n.SerializeToString() for n in before.graph.node] == [
        n.SerializeToString() for n in after.graph.node
    ]
    weights = {t.name: onnx.numpy_helper.to_array(t).tobytes() for t in before.graph.initializer}
    assert weights == {
        t.name: onnx.numpy_helper.to_array(t).tobytes() for t in after.graph.initializer
    }
    assert before.metadata_props == after.metadata_props
    assert list(tmp_path.glob(".*")) == []


def test_large_weights_stay_in_the_file_and_small_ones_do_not() -> None:
    model = files.load(zoo.path("vit"))
    tensors = [v.const_value for v in model.graph.initializers.values()]
    assert all(isinstance(t, files.StoredTensor) == (t.nbytes >= wire.LARGE) for t in tensors)
    assert any(isinstance(t, files.StoredTensor) for t in tensors)


def test_external_stays_external_and_inline_stays_inline(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    source = small.external(tmp_path / "in")
    files.save(files.load(source), tmp_path / "out.onnx")
    assert (tmp_path / "out.onnx.data").exists()
    files.save(files.load(tmp_path / "out.onnx"), tmp_path / "one.onnx", external=False)
    assert not (tmp_path / "one.onnx.data").exists()
    x = {"x": np.random.default_rng(0).standard_normal((2, 64)).astype(np.float32)}
    expected = run(source, x)[0]
    for path in (tmp_path / "out.onnx", tmp_path / "one.onnx"):
        np.testing.assert_array_equal(run(path, x)[0], expected)


def test_over_two_gigabytes_goes_external(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(save, "_INLINE_LIMIT", 1000)
    files.save(ir.from_proto(small.fc()), tmp_path / "out.onnx")
    assert (tmp_path / "out.onnx.data").stat().st_size == 64 * 32 * 4


@pytest.mark.parametrize(
    "dtype",
    ["FLOAT", "FLOAT16", "BFLOAT16", "DOUBLE", "INT8", "UINT8", "INT64", "BOOL", "INT4", "UINT4"],
)
@pytest.mark.parametrize("external", [False, True])
def test_element_types_survive(dtype: str, external: bool, tmp_path: Path) -> None:
    kind = ir.DataType[dtype]
    raw = np.random.default_rng(0).integers(0, 2, 4096 * kind.bitwidth // 8, np.uint8).tobytes()
    tensor = onnx.TensorProto(name="w", data_type=kind.value, dims=[64, 64], raw_data=raw)
    proto = small.model([onnx.helper.make_node("Identity", ["w"], ["y"])], opset=21)
    proto.ir_version = 10
    proto.graph.initializer.append(tensor)
    proto.graph.output[0].CopyFrom(small.value("y", [64, 64], kind.value))
    (tmp_path / "in.onnx").write_bytes(proto.SerializeToString())
    files.save(files.load(tmp_path / "in.onnx"), tmp_path / "out.onnx", external=external)
    stored = files.load(tmp_path / "out.onnx").graph.initializers["w"].const_value
    assert isinstance(stored, files.StoredTensor)
    assert stored.tobytes() == raw
    expected = ir.serde.TensorProtoTensor(tensor).numpy()
    assert stored.numpy().dtype == expected.dtype
    np.testing.assert_array_equal(stored.numpy(), expected)


def test_lazy_weights_are_evaluated_when_written(tmp_path: Path) -> None:
    proto = small.fc()
    weight = onnx.numpy_helper.to_array(proto.graph.initializer[0])
    model = ir.from_proto(proto)
    calls: list[int] = []

    def turned() -> ir.TensorProtocol:
        calls.append(1)
        return ir.tensor(weight.T)

    model.graph.initializers["w"].const_value = ir.LazyTensor(
        turned, dtype=ir.DataType.FLOAT, shape=ir.Shape([32, 64]), name="w"
    )
    assert calls == []
    files.save(model, tmp_path / "out.onnx")
    assert calls == [1]
    saved = files.load(tmp_path / "out.onnx").graph.initializers["w"].const_value
    assert saved is not None
    np.testing.assert_array_equal(saved.numpy(), weight.T)


@given(
    shape=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    data=st.data(),
    dtype=st.sampled_from(["f4", "f2", "f8", "i1"]),
)
@settings(deadline=None, max_examples=60)
def test_tiled_copy_equals_numpys(shape: list[int], data: st.DataObject, dtype: str) -> None:
    """The cache-friendly copy against `numpy.ascontiguousarray`, with tiles small enough to cut."""
    order = data.draw(st.permutations(range(len(shape))))
    array = (
        (np.arange(np.prod(shape)) % 120).reshape(shape).astype("f8").astype(dtype).transpose(order)
    )
    tile, stream._TILE = stream._TILE, 3
    try:
        result = stream.contiguous(array)
    finally:
        stream._TILE = tile
    assert result.flags.c_contiguous
    np.testing.assert_array_equal(result, array)


def test_as_model_shares_tensors_and_leaves_the_object_alone() -> None:
    proto = small.fc()
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = -1
    before = proto.SerializeToString()
    model = files.as_model(proto)
    model.graph.node(0).name = "changed"
    assert proto.SerializeToString() == before
    again = files.as_model(model)
    again.graph.node(0).name = "twice"
    assert model.graph.node(0).name == "changed"
    tensors = [m.graph.initializers["w"].const_value for m in (model, again)]
    assert tensors[0] is tensors[1]


def test_unsorted_nodes_are_sorted() -> None:
    nodes = [
        onnx.helper.make_node("Relu", ["a"], ["y"]),
        onnx.helper.make_node("Neg", ["x"], ["a"]),
    ]
    assert [n.op_type for n in files.as_model(small.model(nodes)).graph] == ["Neg", "Relu"]


@pytest.mark.parametrize(
    ("prepare", "fact"),
    [
        (lambda d: d / "in.onnx", "is the input itself"),
        (lambda d: d / "sub" / ".." / "in.onnx", "is the input itself"),
        (lambda d: d / "link.onnx", "is the input itself"),
        (lambda d: d / "hard.onnx", "is the input itself"),
        (lambda d: d / "sub", "is a directory"),
        (lambda d: d / "none" / "out.onnx", "does not exist"),
        (lambda d: Path("/dev/null"), "no regular file"),
        (lambda d: d / ("n" * 300), "cannot be written"),
    ],
)
def test_bad_outputs_are_refused(prepare, fact: str, tmp_path: Path) -> None:
    source = tmp_path / "in.onnx"
    source.write_bytes(small.fc().SerializeToString())
    (tmp_path / "sub").mkdir()
    (tmp_path / "link.onnx").symlink_to(source)
    (tmp_path / "hard.onnx").hardlink_to(source)
    before = source.read_bytes()
    with pytest.raises(OutputError, match=fact):
        files.check_output(prepare(tmp_path), [source])
    with pytest.raises(OutputError, match=fact):
        files.save(files.load(source), prepare(tmp_path), inputs=[source])
    assert source.read_bytes() == before
    assert not list(tmp_path.glob(f".*{atomic._SUFFIX}"))


def test_the_data_of_the_input_is_no_output(tmp_path: Path) -> None:
    source = small.external(tmp_path)
    with pytest.raises(OutputError, match="is the input itself"):
        files.save(files.load(source), tmp_path / "data.bin")


def test_an_unwritable_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(atomic.os, "open", refuse)
    with pytest.raises(OutputError, match="cannot be written: Permission denied"):
        files.check_output(tmp_path / "out.onnx", [])


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "out.onnx"
    target.write_bytes(b"old")

    def full(*args: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.os, "write", full)
    with pytest.raises(OutputError, match="No space left"):
        files.save(ir.from_proto(small.fc()), target)
    assert target.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["out.onnx"]


def test_replacing_external_data_keeps_one_data_file(tmp_path: Path) -> None:
    target = tmp_path / "out.onnx"
    x = {"x": np.ones((2, 64), np.float32)}
    seen = []
    for seed in range(3):
        files.save(ir.from_proto(small.fc(seed)), target, external=True)
        assert len(list(tmp_path.glob("*data"))) == 1
        seen.append(run(target, x)[0].tobytes())
    assert len(set(seen)) == 3


def test_a_foreign_data_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "out.onnx.data").write_bytes(b"mine")
    files.save(ir.from_proto(small.fc()), tmp_path / "out.onnx", external=True)
    assert (tmp_path / "out.onnx.data").read_bytes() == b"mine"
    assert len(run(tmp_path / "out.onnx", {"x": np.ones((2, 64), np.float32)})) == 1


STEPS = ("write", "sync", "publish", "close")


def write_until(
    target: Path, kind: str, moment: int, stop: Callable[[], object], patch: pytest.MonkeyPatch
) -> None:
    """Save the second version, calling ``stop`` instead of the writer's step number ``moment``."""
    count = itertools.count(1)

    def stopping(real: Callable[..., object]) -> Callable[..., object]:
        def step(*args: object) -> object:
            if next(count) == moment:
                stop()
            return real(*args)

        return step

    # Cleaning up is what Ctrl-C leads to, and stopped by a kill only.
    for name in STEPS if stop is die else STEPS[:-1]:
        patch.setattr(atomic.Temporary, name, stopping(getattr(atomic.Temporary, name)))
    files.save(ir.from_proto(small.fc(1)), target, external=kind == "external")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def press_ctrl_c() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("how", [die, press_ctrl_c])
@pytest.mark.parametrize("kind", ["inline", "external"])
def test_interrupted_at_any_moment(kind: str, how: Callable[[], object], tmp_path: Path) -> None:
    """Stop a writer before each of its steps: the old file or the new one, and no litter after."""
    x = {"x": np.ones((2, 64), np.float32)}
    outcomes: list[bytes] = []
    for moment in range(1, 16):
        target = tmp_path / str(moment) / "out.onnx"
        target.parent.mkdir()
        files.save(ir.from_proto(small.fc(0)), target, external=kind == "external")
        with pytest.MonkeyPatch.context() as patch:
            if how is press_ctrl_c:
                with contextlib.suppress(KeyboardInterrupt):
                    write_until(target, kind, moment, how, patch)
                assert not list(target.parent.glob(".*"))
            elif (child := os.fork()) == 0:
                try:
                    write_until(target, kind, moment, how, patch)
                finally:
                    os._exit(0)
            else:
                os.waitpid(child, 0)
        outcomes.append(run(target, x)[0].tobytes())
        files.check_output(target, [])  # what the next run does first
        left = sorted(p.name for p in target.parent.iterdir())
        assert len(left) == (2 if kind == "external" else 1), (moment, left)
        assert run(target, x)[0].tobytes() == outcomes[-1]
    # The old version up to some step, the new one from there on.
    assert len(set(outcomes)) == 2
    assert sum(a != b for a, b in itertools.pairwise(outcomes)) == 1


def test_a_living_writer_is_left_alone(tmp_path: Path) -> None:
    with atomic.temporary(tmp_path / "out.onnx") as file:
        files.check_output(tmp_path / "other.onnx", [])
        assert file.path.exists()
    assert not file.path.exists()


def test_copy_falls_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each way of copying a range alone, and the kernel's ways failing."""
    data = np.random.default_rng(0).bytes(100_000)
    (tmp_path / "source").write_bytes(data)

    def unsupported(*args: object) -> int:
        raise OSError(18, "Invalid cross-device link")

    for broken in ((), ("copy_file_range",), ("copy_file_range", "sendfile")):
        for name in broken:
            monkeypatch.setattr(stream.os, name, unsupported)
        with atomic.temporary(tmp_path / "target") as file:
            stream.copy_range(tmp_path / "source", 777, 90_000, file)
            file.publish(tmp_path / "target")
        assert (tmp_path / "target").read_bytes() == data[777:90_777]
    with (
        atomic.temporary(tmp_path / "target") as file,
        pytest.raises(OutputError, match="became shorter"),
    ):
        stream.copy_range(tmp_path / "source", 50_000, 90_000, file)


def test_streaming_memory(tmp_path: Path) -> None:
    """64 MB of weights, every one transposed, in less than 32 MB beyond what importing takes."""
    script = f"""
import numpy as np, onnx_ir as ir
from pathlib import Path
from onebyone.dialects.onnx.files import load as files
def peak():  # of this process alone, MB
    status = dict(l.split(":", 1) for l in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1024
files.save(files.load({str(tmp_path / "tiny.onnx")!r}), {str(tmp_path / "warm.onnx")!r})
start = peak()
model = files.load({str(tmp_path / "in.onnx")!r})
for value in model.graph.initializers.values():
    old = value.const_value
    value.const_value = ir.LazyTensor(lambda old=old: ir.tensor(old.numpy().T), dtype=old.dtype,
                                      shape=ir.Shape([1000, 1000]), name=old.name)
files.save(model, {str(tmp_path / "out.onnx")!r})
print(peak() - start)
"""
    (tmp_path / "tiny.onnx").write_bytes(small.fc().SerializeToString())
    weights = {
        f"w{i}": np.random.default_rng(i).standard_normal((1000, 1000)).astype(np.float32)
        for i in range(16)
    }
    nodes = [
        onnx.helper.make_node("MatMul", [f"x{i}" if i else "x", f"w{i}"], [f"x{i + 1}"])
        for i in range(16)
    ]
    proto = small.model(
        nodes, weights, [small.value("x", [1, 1000])], [small.value("x16", [1, 1000])]
    )
    (tmp_path / "in.onnx").write_bytes(proto.SerializeToString())
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    out = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
    )
    assert 0 < float(out.stdout) < 32
    saved = onnx.load(tmp_path / "out.onnx")
    np.testing.assert_array_equal(
        onnx.numpy_helper.to_array(saved.graph.initializer[7]), weights["w7"].T
    )


def test_load_is_fast_on_a_large_graph(tmp_path: Path) -> None:
    """Linear, not quadratic: 20,000 nodes in a few seconds (a quadratic pass takes minutes)."""
    nodes = [
        onnx.helper.make_node("Relu", [f"x{i}" if i else "x"], [f"x{i + 1}"]) for i in range(20_000)
    ]
    proto = small.model(nodes, outputs=[small.value("x20000", [2, 64])])
    (tmp_path / "in.onnx").write_bytes(proto.SerializeToString())
    start = time.monotonic()
    files.load(tmp_path / "in.onnx")
    assert time.monotonic() - start < 20


def test_errors_are_one_printable_line(tmp_path: Path) -> None:
    proto = small.fc(name="w\x1b[31m\n\u202e")
    proto.graph.initializer[0].dims[0] = -5
    (tmp_path / "in.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(InputError) as caught:
        files.load(tmp_path / "in.onnx")
    assert str(caught.value).isprintable()
    assert r"w\x1b[31m\n\u202e" in str(caught.value)


def test_external_weights_are_not_read_when_a_model_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["x", *(f"w{n}" for n in range(20))]
    node = onnx.helper.make_node("Sum", names, ["y"])
    arrays = {name: np.ones((4, 2, 64), np.float32) for name in names[1:]}
    file = tmp_path / "m.onnx"
    onnx.save(small.model([node], arrays), file, save_as_external_data=True, size_threshold=0)

    def read_in(*arguments: object) -> None:
        raise AssertionError("a weight was read")

    monkeypatch.setattr(files, "_read_in", read_in)
    # All at once: whether one is told from another must not hang on luck with addresses.
    every = check.all_tensors
    monkeypatch.setattr(check, "all_tensors", lambda proto: list(every(proto)))
    found = files.load(file)
    stored = [v.const_value for v in found.graph.initializers.values()]
    assert len(stored) == 20
    assert all(isinstance(tensor, files.StoredTensor) for tensor in stored)
