"""``onebyone verify``: exit codes, the four lines, JSON, and one line for bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from onebyone import cli
from onebyone.certify import field, structure
from onebyone.certify.certificate import Finding, Verdict
from tests.certify.models import model, weight

SIGNATURE = "(float[2, 3] x) => (float[2, 4] y)"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    broken = weight(3, 4)
    broken[1, 1] = 3.0
    models = {
        "one": model(SIGNATURE, "y = MatMul (x, w)", w=weight(3, 4)),
        "same": model(SIGNATURE, "t = Transpose (v) y = MatMul (x, t)", v=weight(3, 4).T),
        "wrong": model(SIGNATURE, "y = MatMul (x, w)", w=broken),
        "odd": model(SIGNATURE, "y = acme.Magic (x, w)", header=', "acme" : 1', w=weight(3, 4)),
        "twin": model(SIGNATURE, "t = acme.Magic (x, w) y = Relu (t)", header=', "acme" : 1',
                      w=weight(3, 4)),
    }  # fmt: skip
    paths: dict[str, str] = {}
    for name, proto in models.items():
        path = tmp_path / f"{name}.onnx"
        onnx.save(proto, path)
        paths[name] = str(path)
    return paths


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def command(*arguments: str) -> tuple[int, str, str]:
        code = cli.run(["verify", *arguments])
        return code, *capsys.readouterr()

    return command


Run = Callable[..., tuple[int, str, str]]


def test_the_same_function_gives_four_lines_and_zero(
    files: dict[str, str], tmp_path: Path, run: Run
) -> None:
    report = tmp_path / "certificate.json"
    code, text, _ = run(files["one"], files["same"], "--json", str(report))
    assert code == 0
    lines = [line.split()[:2] for line in text.splitlines() if line.split()[1:2] == ["proved"]]
    assert lines == [[n, "proved"] for n in ("weights", "structure", "field", "rounding")]
    assert json.loads(report.read_text())["verdict"] == "proved"


def test_a_difference_gives_one_and_names_the_node(files: dict[str, str], run: Run) -> None:
    code, text, _ = run(files["one"], files["wrong"])
    assert code == 1
    assert "first difference: MatMul 'y'" in text
    assert "in the first model: MatMul 'y'" in text


def test_what_is_not_understood_gives_two_and_is_named(files: dict[str, str], run: Run) -> None:
    code, text, _ = run(files["odd"], files["twin"])
    assert code == 2
    assert "acme.Magic" in text


@pytest.mark.parametrize(
    "case", ["missing", "folder", "text", "npz", "npz name", "json folder", "json model"]
)
def test_bad_input_gives_three_and_one_line(
    files: dict[str, str], tmp_path: Path, case: str, run: Run
) -> None:
    text = tmp_path / "text.onnx"
    text.write_text("no model at all")
    npz = tmp_path / "x.npz"
    np.savez(npz, q=np.ones(3))
    one = files["one"]
    arguments = {
        "missing": [one, str(tmp_path / "none.onnx")],
        "folder": [str(tmp_path), one],
        "text": [one, str(text)],
        "npz": [one, one, "--inputs", str(text)],
        "npz name": [one, one, "--inputs", str(npz)],
        "json folder": [one, one, "--json", str(tmp_path / "none" / "c.json")],
        "json model": [one, one, "--json", one],
    }[case]
    before = Path(one).read_bytes()
    code, output, errors = run(*arguments)
    assert code == 3
    assert output == ""
    assert errors.startswith("onebyone: ")
    assert errors.count("\n") == 1
    assert Path(one).read_bytes() == before


def test_the_seed_is_printed_and_repeats_a_run(files: dict[str, str], run: Run) -> None:
    _, text, _ = run(files["one"], files["same"])
    assert text.splitlines()[-1].startswith("seed ")
    _, text, _ = run(files["one"], files["same"], "--seed", "17")
    assert text.splitlines()[-1] == "seed 17"


@pytest.mark.parametrize("size", ["", "2X", "-1G", "0"])
def test_a_size_of_memory_that_is_none_is_bad_input(
    files: dict[str, str], size: str, run: Run
) -> None:
    code, _, errors = run(files["one"], files["same"], "--memory", size)
    assert code == 3
    assert "--memory" in errors
    assert errors.count("\n") == 1


def test_a_budget_is_taken(files: dict[str, str], run: Run) -> None:
    words = ("--seconds", "100", "--memory", "4G")
    assert run(files["one"], files["same"], *words)[0] == 0


def test_convert_says_what_is_not_proved_and_strict_writes_nothing(
    files: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target = tmp_path / "new.onnx"
    words = ["convert", files["one"], str(target)]
    assert cli.run([*words, "--strict", "--seed", "5", "--seconds", "60"]) == 0
    assert "seed 5" in capsys.readouterr().out
    target.unlink()
    for layer in (structure, field):
        answer = Finding(layer.__name__.split(".")[-1], Verdict.UNDECIDED, "not known")
        monkeypatch.setattr(layer, "check", lambda *_, answer=answer, **__: answer)
    assert cli.run([*words, "--strict"]) == 1
    output, errors = capsys.readouterr()
    assert "not proved" in errors
    assert "not known" in output
    assert not target.exists()
    assert cli.run(words) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "written, not proved"
    assert target.exists()
    assert cli.run([*words, "--strict", "--no-check"]) == 1
