"""The command line as a user meets it: outputs, one-line errors, exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

import onebyone
from onebyone import cli
from onebyone.dialects.onnx.files import save
from tests import zoo
from tests.onnx import small

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "200"}


def onebyone_command(*words: str | Path) -> subprocess.Popen[str]:
    code = "from onebyone.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )


def fails(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str]:
    """Run a command that must fail: one printable line on stderr, nothing on stdout."""
    code = cli.run([str(word) for word in words])
    out, err = capsys.readouterr()
    assert code != 0
    assert out == ""
    assert err.startswith("onebyone: ")
    assert err.count("\n") == 1
    assert err.strip().isprintable()
    assert "bug" not in err
    return code, err


def outputs(path: Path, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    return ort.InferenceSession(path).run(None, inputs)


def test_inspect_lists_layers(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    assert cli.run(["inspect", str(zoo.path("vgg")), "--report", str(report)]) == 0
    out = capsys.readouterr().out
    assert "Gemm" in out
    assert "--to conv" in out
    assert "windows overlap" in out or "padding" in out
    data = json.loads(report.read_text())
    assert set(data) == {"conv", "linear"}
    cases = {layer["case"] for layer in data["conv"]["layers"] if layer["status"] == "converted"}
    assert "whole" in cases


@pytest.mark.parametrize("to", ["conv", "linear"])
def test_convert_writes_and_reports(
    to: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    source, out, report = zoo.path("vit"), tmp_path / "out.onnx", tmp_path / "report.json"
    words = ["convert", str(source), str(out), "--to", to, "--report", str(report)]
    assert cli.run(words) == 0
    printed = capsys.readouterr().out
    assert "Transpose" in printed
    for layer in ("weights", "structure", "field", "rounding"):
        assert [line.split()[1] for line in printed.splitlines() if line.startswith(layer)] == [
            "proved"
        ]
    data = json.loads(report.read_text())
    kinds = [node.op_type for node in onnx.load(out).graph.node]
    for field, kind in (("transposes", "Transpose"), ("convolutions", "Conv")):
        assert data["after"][field] == kinds.count(kind)
    if to == "conv":
        assert data["after"]["fc_layers"] == 0
    inputs = zoo.inputs("vit")
    for a, b in zip(outputs(source, inputs), outputs(out, inputs), strict=True):
        # 48 to 96 products are added in another order: a few of the last bits.
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.onnx", "report.json"]


def test_plan_writes_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.run(["plan", str(zoo.path("bert")), "--to", "conv"]) == 0
    out = capsys.readouterr().out
    assert "layout moves" in out
    assert "lower bound" in out
    assert list(tmp_path.iterdir()) == []


def test_only_and_skip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, report = zoo.path("vgg"), tmp_path / "report.json"
    names = [n.name for n in onnx.load(source).graph.node if n.op_type == "Gemm"]
    for option, kept in (("--only", names[1:]), ("--skip", names[:1])):
        words = [
            "convert",
            source,
            tmp_path / "o.onnx",
            option,
            names[0],
            "--report",
            report,
            "--no-check",
        ]
        assert cli.run(list(map(str, words))) == 0
        layers = json.loads(report.read_text())["layers"]
        assert [x["name"] for x in layers if x["name"] in names and x["status"] == "kept"] == kept
    capsys.readouterr()
    code, err = fails(capsys, "convert", source, tmp_path / "p.onnx", "--only", "nowhere*")
    assert code == 1
    assert "nowhere*" in err
    assert not (tmp_path / "p.onnx").exists()


def test_dims_are_fixed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = zoo.path("bert-dynamic"), tmp_path / "out.onnx"
    words = ["convert", str(source), str(out), "--dim", "batch=3", "--dim", "seq=7"]
    assert cli.run(words) == 0
    assert [i.shape for i in ort.InferenceSession(out).get_inputs()] == [[3, 7], [3, 7]]
    inputs = zoo.inputs("bert-dynamic", batch=3, seq=7)
    for a, b in zip(outputs(source, inputs), outputs(out, inputs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    capsys.readouterr()
    _, err = fails(capsys, "convert", source, tmp_path / "p.onnx", "--dim", "batsh=3")
    assert "batsh" in err
    assert "did you mean batch?" in err
    for wrong in ("batch", "batch=", "batch=x", "=3", "batch=-1", "batch=1.5"):
        fails(capsys, "convert", source, tmp_path / "p.onnx", "--dim", wrong)
    fails(capsys, "convert", source, tmp_path / "p.onnx", "--dim", "batch=0")
    assert not (tmp_path / "p.onnx").exists()


@pytest.mark.parametrize("kind", ["inline", "external"])
def test_a_wrong_result_is_not_kept(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A conversion with one changed weight: the certificate says so, and no file appears."""
    source = zoo.path("nhwc-flatten")
    real = onebyone.convert

    def wrong(*args: Any, **options: Any) -> onebyone.Conversion:
        result = real(*args, **options)
        for value in result.model.graph.initializers.values():
            weight = value.const_value.numpy().copy()
            if weight.ndim == 4:
                weight[0, 0, 0, 0] += 1
                value.const_value = ir.tensor(weight, name=value.name)
        return result

    monkeypatch.setattr("onebyone.convert", wrong, raising=False)
    if kind == "external":
        monkeypatch.setattr(save, "_INLINE_LIMIT", 1000)
    words = ["convert", str(source), str(tmp_path / "out.onnx")]
    assert cli.run(words) == 1
    out, err = capsys.readouterr()
    assert "differs" in out
    assert err == (
        "onebyone: the result differs from the original, so nothing was written; "
        "please report this\n"
    )
    assert list(tmp_path.iterdir()) == []
    assert cli.run([*words, "--no-check"]) == 0
    assert (tmp_path / "out.onnx").exists()
    capsys.readouterr()


def bad_models(folder: Path) -> dict[str, Path]:
    folder.mkdir(exist_ok=True)
    (folder / "text.onnx").write_text("hello\n")
    (folder / "empty.onnx").touch()
    data = zoo.path("vgg").read_bytes()
    (folder / "cut.onnx").write_bytes(data[: len(data) // 2])
    (folder / "ext").mkdir(exist_ok=True)
    (small.external(folder / "ext").parent / "data.bin").unlink()
    future = small.fc()
    future.opset_import[0].version = 999
    (folder / "future.onnx").write_bytes(future.SerializeToString())
    nowhere = small.fc()
    nowhere.graph.node[0].domain = "nowhere"
    (folder / "nowhere.onnx").write_bytes(nowhere.SerializeToString())
    evil = small.fc(name="w\x1b[31m\n")
    evil.graph.initializer[0].dims[0] = -5
    (folder / "evil.onnx").write_bytes(evil.SerializeToString())
    names = ("text", "empty", "cut", "future", "nowhere", "evil", "missing")
    found = {name: folder / f"{name}.onnx" for name in names}
    return {**found, "directory": folder, "no data": folder / "ext" / "model.onnx"}


BAD = ("text", "empty", "cut", "future", "nowhere", "evil", "missing", "directory", "no data")


@pytest.mark.parametrize("bad", BAD)
def test_bad_models(bad: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, a non-zero code, nothing written, for each command."""
    path = bad_models(tmp_path / "in")[bad]
    (tmp_path / "out").mkdir()
    for words in (
        ["convert", path, tmp_path / "out" / "o.onnx", "--report", tmp_path / "out" / "r.json"],
        ["inspect", path, "--report", tmp_path / "out" / "r.json"],
        ["plan", path],
    ):
        code, err = fails(capsys, *words)
        assert code == 1
        assert str(path) in err
    assert list((tmp_path / "out").iterdir()) == []


def test_bad_outputs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "in.onnx"
    source.write_bytes(small.fc().SerializeToString())
    before = source.read_bytes()
    for output, fact in (
        (source, "is the input itself"),
        (tmp_path, "is a directory"),
        (tmp_path / "no" / "out.onnx", "does not exist"),
        (Path("/dev/full"), "no regular file"),
    ):
        code, err = fails(capsys, "convert", source, output)
        assert code == 1
        assert fact in err
    for report in (source, tmp_path / "out.onnx"):
        fails(capsys, "convert", source, tmp_path / "out.onnx", "--report", report)
    assert source.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["in.onnx"]


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        ["convert"],
        ["convert", "a.onnx"],
        ["convert", "a.onnx", "b.onnx", "c.onnx"],
        ["convert", "a.onnx", "b.onnx", "--to", "sideways"],
        ["inspect", "--nonsense"],
    ],
)
def test_wrong_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert fails(capsys, *words)[0] == 2


def test_unknown_target(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "o.onnx"
    _, err = fails(capsys, "convert", zoo.path("vgg"), out, "--target", "toaster")
    assert "toaster" in err
    fails(capsys, "convert", zoo.path("vgg"), out, "--target", tmp_path / "none.toml")
    assert list(tmp_path.iterdir()) == []


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out == f"onebyone {onebyone.__version__}\n"
    for words in ([], ["--help"]):
        assert cli.run(words) == 0
        out = capsys.readouterr().out
        assert all(command in out for command in cli._COMMANDS)


def test_a_bug_is_one_line_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise ZeroDivisionError("x\x1b[31m\ny")

    monkeypatch.setattr("onebyone.plan", broken, raising=False)
    assert cli.run(["plan", "x.onnx"]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "ZeroDivisionError" in err
    assert "please report" in err


def test_reader_that_leaves() -> None:
    """``onebyone inspect ... | head -1``: no complaint."""
    process = onebyone_command("inspect", zoo.path("vgg"))
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read()
    process.wait(60)
    assert err == ""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(how: signal.Signals, tmp_path: Path) -> None:
    """Stopped while it works: its code, one line at most, no file."""
    source = tmp_path / "in.onnx"
    source.write_bytes(small.fc().SerializeToString())
    out = tmp_path / "out"
    out.mkdir()
    code = (
        # A shell that runs its children in the background has them ignore Ctrl-C.
        "import signal, sys, time, onebyone\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "def slow(*a, **k): print('here', flush=True); time.sleep(60)\n"
        "onebyone.convert = slow\n"
        "from onebyone.cli import main; main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "convert", str(source), str(out / "o.onnx")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    process.send_signal(how)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + how
    assert err in ("onebyone: interrupted\n", "")
    assert list(out.iterdir()) == []


def test_import_is_light() -> None:
    """``import onebyone`` brings in neither numpy nor any framework, and takes under 0.3 s."""
    code = (
        "import sys, time; start = time.perf_counter(); import onebyone\n"
        "print(time.perf_counter() - start)\n"
        "print([m for m in ('torch', 'onnx', 'onnx_ir', 'onnxruntime', 'scipy', 'rich') "
        "if m in sys.modules])"
    )
    seconds = []
    for _ in range(3):
        out = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env=ENVIRONMENT,
        ).stdout.splitlines()
        seconds.append(float(out[0]))
        assert out[1] == "[]"
    assert min(seconds) < 0.3


def test_help_is_light() -> None:
    """Help needs no model library."""
    code = (
        "import sys\nfrom onebyone import cli\ncode = cli.run(['convert', '--help'])\n"
        "print(code, [m for m in ('torch', 'onnx', 'onnx_ir', 'scipy') if m in sys.modules])"
    )
    start = time.monotonic()
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=ENVIRONMENT
    )
    assert out.stdout.splitlines()[-1] == "0 []"
    assert time.monotonic() - start < 20
