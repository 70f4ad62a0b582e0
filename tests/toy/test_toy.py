"""A third dialect goes through the same engine: it converts, keeps weights, and is certified."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onebyone
from onebyone import cli
from onebyone.dialects import registry
from tests.toy.files import ToyModel, ToyNode, load, save

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one row that makes a dialect known."""
    row = registry.Entry("tests.toy.dialect", (".toy",), ("tests.toy.files.ToyModel",))
    monkeypatch.setattr(registry, "ENTRIES", (row, *registry.ENTRIES))


def _weights(**shapes: tuple[int, ...]) -> dict[str, Any]:
    return {name: RNG.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def attention() -> ToyModel:
    """A Transformer's attention and feed-forward block over 6 tokens of 8 channels, 2 heads."""
    names = ("q", "k", "v")
    nodes = [ToyNode("dot", ("x", f"w{n}"), f"{n}0") for n in names]
    nodes += [ToyNode("plus", (f"{n}0", f"b{n}"), f"{n}1") for n in names]
    nodes += [ToyNode("shape", (f"{n}1",), f"{n}2", {"sizes": [2, 6, 2, 4]}) for n in names]
    turns = {"q": [0, 2, 1, 3], "k": [0, 2, 3, 1], "v": [0, 2, 1, 3]}
    nodes += [ToyNode("swap", (f"{n}2",), f"{n}3", {"order": turns[n]}) for n in names]
    nodes += [
        ToyNode("dot", ("q3", "k3"), "scores"),
        ToyNode("times", ("scores", "half"), "scaled"),
        ToyNode("soften", ("scaled",), "weights", {"axis": 3}),
        ToyNode("dot", ("weights", "v3"), "mixed"),
        ToyNode("swap", ("mixed",), "back", {"order": [0, 2, 1, 3]}),
        ToyNode("shape", ("back",), "flat", {"sizes": [2, 6, 8]}),
        ToyNode("dot", ("flat", "wo"), "out"),
        ToyNode("plus", ("out", "x"), "sum"),
        ToyNode("dot", ("sum", "w1"), "up"),
        ToyNode("plus", ("up", "b1"), "up1"),
        ToyNode("relu", ("up1",), "act"),
        ToyNode("dot", ("act", "w2"), "down"),
        ToyNode("cut", ("down",), "first", {"axis": 1, "start": 0, "stop": 3}),
        ToyNode("mean", ("first",), "y", {"axes": [1], "keep": False}),
    ]
    square = dict.fromkeys(("wq", "wk", "wv", "wo"), (8, 8))
    constants = _weights(**square, bq=(8,), bk=(8,), bv=(8,), w1=(8, 16), b1=(16,), w2=(16, 8))
    constants["half"] = np.float32(0.5).reshape(())
    return ToyModel({"x": (2, 6, 8)}, constants, nodes, ("y",))


def classifier() -> ToyModel:
    """Patches, a 3x3 convolution that stays, a pointwise one, and a head."""
    conv = {"stride": [2, 2], "groups": 1}
    nodes = [
        ToyNode("conv", ("x", "patch", "b"), "p", conv),
        ToyNode("conv", ("p", "three"), "t", {"stride": [1, 1], "groups": 1}),
        ToyNode("relu", ("t",), "r"),
        ToyNode("conv", ("r", "one"), "o", {"stride": [1, 1], "groups": 1}),
        ToyNode("mean", ("o",), "m", {"axes": [2, 3], "keep": False}),
        ToyNode("dot", ("m", "head"), "y"),
    ]
    constants = _weights(
        patch=(4, 3, 2, 2), b=(4,), three=(5, 4, 3, 3), one=(6, 5, 1, 1), head=(6, 7)
    )
    return ToyModel({"x": (2, 3, 12, 10)}, constants, nodes, ("y",))


def plain(model: ToyModel, x: Any) -> Any:
    """The model in plain numpy, written without the package: float64."""
    values: dict[str, Any] = {
        **{k: v.astype(np.float64) for k, v in model.constants.items()},
        "x": x,
    }
    for node in model.nodes:
        a, *rest = (values[name] for name in node.inputs)
        f = node.facts
        match node.op:
            case "dot":
                out = a @ rest[0]
            case "plus":
                out = a + rest[0]
            case "times":
                out = a * rest[0]
            case "relu":
                out = np.maximum(a, 0)
            case "soften":
                e = np.exp(a - a.max(f["axis"], keepdims=True))
                out = e / e.sum(f["axis"], keepdims=True)
            case "mean":
                out = a.mean(tuple(f["axes"]), keepdims=f["keep"])
            case "cut":
                out = np.take(a, range(f["start"], f["stop"]), f["axis"])
            case "swap":
                out = a.transpose(f["order"])
            case "shape":
                out = a.reshape(f["sizes"])
            case _:
                w, (sh, sw) = rest[0], f["stride"]
                kh, kw = w.shape[2:]
                view = np.lib.stride_tricks.sliding_window_view(a, (kh, kw), (2, 3))
                out = np.einsum("bchwij,ncij->bnhw", view[:, :, ::sh, ::sw], w)
                out = out if len(rest) < 2 else out + rest[1].reshape(-1, 1, 1)
        values[node.output] = out
    return values[model.outputs[0]]


@pytest.mark.parametrize("to", ["conv", "linear"])
@pytest.mark.parametrize("make", [attention, classifier])
def test_it_converts_and_is_certified(make: Any, to: str, tmp_path: Path) -> None:
    model = make()
    save(model, tmp_path / "in.toy")
    done = onebyone.convert(tmp_path / "in.toy", to, check=True)
    layers = [layer for layer in done.report.layers if layer.case]
    assert layers and all(layer.status != "kept" for layer in layers)
    assert all(("conv" in layer.after) == (to == "conv") for layer in layers)
    certificate = done.certificate
    assert certificate is not None and certificate.exit_code == 0, certificate
    assert all(layer.verdict == "proved" for layer in certificate.layers)
    x = RNG.standard_normal(next(iter(model.inputs.values())))
    difference = np.abs(plain(done.model, x) - plain(model, x)).max()
    # float64 sums of at most 16 products in another order, through fewer than 32 operators.
    assert difference <= 32 * 16 * 2.0**-53 * np.abs(plain(model, x)).max() * 16


def test_attention_keeps_few_moves() -> None:
    """The layout goes through: one move for K, and the borders; six transposes before."""
    report = onebyone.convert(attention(), "conv").report
    assert report.moves_before == 4
    assert len(report.moves) <= 4 and report.after is not None and report.after.fc_layers == 0


def test_a_wrong_weight_is_found(tmp_path: Path) -> None:
    model = attention()
    wrong = onebyone.convert(model, "conv").model
    name = next(name for name in wrong.constants if name.startswith("w1"))
    wrong.constants[name] = wrong.constants[name].copy()
    wrong.constants[name].flat[3] += 1
    assert onebyone.verify(model, wrong).exit_code == 1


def test_the_command_line_takes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / "in.toy", tmp_path / "out.toy"
    save(classifier(), source)
    before = source.read_bytes()
    assert cli.run(["inspect", str(source)]) == 0
    assert "windows overlap" in capsys.readouterr().out
    assert cli.run(["convert", str(source), str(target), "--to", "linear"]) == 0
    assert cli.run(["verify", str(source), str(target)]) == 0
    assert cli.run(["convert", str(source), str(tmp_path / "out.onnx")]) == 1
    assert "file of the same kind" in capsys.readouterr().err
    assert source.read_bytes() == before
    ops = [node.op for node in load(target, {}).nodes]
    assert ops.count("conv") == 1 and ops.count("dot") == 3
