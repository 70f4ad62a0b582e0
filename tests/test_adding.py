"""The how-to for a new operator, executed as it is written, on a copy of the package."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "adding-an-operator.md").read_text(encoding="utf-8")
_BLOCK = re.compile(r"^```diff\n--- (\S+)\n(.*?)^```", re.M | re.S)

ONNX = """
import numpy as np
import onebyone
from onnx import helper as h, numpy_helper


def model(threshold):
    rng = np.random.default_rng(0)
    weights = {n: rng.standard_normal((8, 8)).astype(np.float32) for n in "ac"}
    nodes = [
        h.make_node("MatMul", ["x", "a"], ["p"]),
        h.make_node("Binarizer", ["p"], ["q"], domain="ai.onnx.ml", threshold=threshold),
        h.make_node("MatMul", ["q", "c"], ["y"]),
    ]
    ports = [h.make_tensor_value_info(n, 1, [2, 5, 8]) for n in "xy"]
    constants = [numpy_helper.from_array(a, n) for n, a in weights.items()]
    graph = h.make_graph(nodes, "g", ports[:1], ports[1:], constants)
    opsets = [h.make_opsetid("", 18), h.make_opsetid("ai.onnx.ml", 3)]
    return h.make_model(graph, opset_imports=opsets, ir_version=9)


done = onebyone.convert(model(0.25), "conv", check=True)
ops = [node.op_type for node in done.model.graph]
# Its layout moved: no transpose stands between it and the convolutions around it.
assert ops[ops.index("Binarizer") - 1 :][:3] == ["Conv", "Binarizer", "Conv"], ops
assert [f.verdict for f in done.certificate.layers] == ["proved"] * 4, done.certificate
assert onebyone.verify(model(0.25), model(0.5)).exit_code == 1
"""

ATEN = """
import torch
import onebyone


class Twice(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = (torch.nn.Linear(8, 8) for _ in range(3))

    def forward(self, x):
        return self.c(torch.logaddexp(self.a(x), self.b(x)))


torch.manual_seed(0)
program = torch.export.export(Twice().eval(), (torch.randn(2, 5, 8),))
done = onebyone.convert(program, "conv", check=True)
ops = [str(n.target) for n in done.model.graph.nodes if n.op == "call_function"]
place = ops.index("aten.logaddexp.default")
assert ops[place - 1].startswith("aten.conv") and ops[place + 1].startswith("aten.conv"), ops
assert [f.verdict for f in done.certificate.layers] == ["proved"] * 4, done.certificate
"""


def applied(folder: Path) -> int:
    """Copy the package and add what the page adds; returns the number of lines."""
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    count = 0
    blocks = _BLOCK.findall(TEXT)
    assert len(blocks) == 6
    for name, body in blocks:
        file = folder / name
        source = file.read_text(encoding="utf-8")
        lines = body.splitlines()
        before = "".join(line[1:] + "\n" for line in lines if not line.startswith("+"))
        after = "".join(line[1:] + "\n" for line in lines)
        assert source.count("\n" + before) == 1, f"{name} has not one line like this:\n{before}"
        file.write_text(source.replace("\n" + before, "\n" + after), encoding="utf-8")
        count += sum(line.startswith("+") for line in lines)
    return count


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tree")
    assert applied(folder) <= 16
    return folder


@pytest.mark.parametrize("script", [ONNX, ATEN], ids=["onnx", "aten"])
def test_the_page_does_what_it_says(script: str, tree: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(tree / "src")}
    check = tmp_path / "check.py"
    header = f"import onebyone\nassert onebyone.__file__.startswith({str(tree)!r})\n"
    check.write_text(header + textwrap.dedent(script), encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", check], env=environment, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr[-2000:]


@pytest.mark.parametrize("script", [ONNX, ATEN], ids=["onnx", "aten"])
def test_without_the_rows_it_is_not_understood(script: str, tmp_path: Path) -> None:
    """The page adds something: without it the layout stops at the operator."""
    check = tmp_path / "check.py"
    check.write_text(textwrap.dedent(script), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", check], env=environment, capture_output=True, text=True
    )
    assert "AssertionError" in ran.stderr


def test_a_target_is_a_file_and_a_command_a_file_and_a_line(tmp_path: Path) -> None:
    package = tmp_path / "src" / "onebyone"
    shutil.copytree(ROOT / "src" / "onebyone", package)
    (package / "layout" / "shipped" / "my-npu.toml").write_text('base = "conv"\n')
    (package / "cli" / "hello.py").write_text(
        'def hello() -> None:\n    """Say hello."""\n    print("hello")\n'
    )
    commands = package / "cli" / "__init__.py"
    text = commands.read_text(encoding="utf-8")
    line = '    "inspect": "onebyone.cli.inspect",\n'
    added = text.replace(line, line + '    "hello": "onebyone.cli.hello",\n')
    commands.write_text(added, encoding="utf-8")
    check = (
        "from onebyone import cli\n"
        "from onebyone.layout.find_target import find_target\n"
        "assert find_target('my-npu').form == 'conv'\n"
        "assert cli.run(['hello']) == 0\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", check],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "src")},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0 and "hello" in ran.stdout, ran.stderr
