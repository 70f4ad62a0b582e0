"""The whole certificate: correct conversions, wrong ones, and what other tools make."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import onebyone
from onebyone.certify.certificate import Certificate, Finding, Verdict, Witness
from onebyone.errors import InputError
from onebyone.kernels.functions import FUNCTIONS
from tests import zoo
from tests.certify.models import model, weight
from tests.mutants import KINDS, Mutant, mutants

# Small models whose verdicts together take seconds; benchmarks/mutants.py has the whole table.
MODELS = ("bert", "gpt2", "swin", "convnext", "vgg")
TRANSFORMED = [
    (name, to) for name in (*zoo.FAMILIES, "bert-dynamic", "vgg") for to in ("conv", "linear")
]


def convert(name: str, to: str) -> onnx.ModelProto:
    import onnx_ir as ir

    return ir.to_proto(onebyone.convert(zoo.path(name), to=to).model)


@pytest.mark.parametrize(("name", "to"), TRANSFORMED)
def test_our_conversions_are_proved_and_never_called_different(name: str, to: str) -> None:
    certificate = onebyone.verify(zoo.path(name), convert(name, to))
    said = {layer.name: (layer.verdict, layer.summary) for layer in certificate.layers}
    assert certificate.exit_code == 0, said
    assert certificate["structure"].verdict is Verdict.PROVED, said
    assert certificate["field"].verdict is Verdict.PROVED, said
    assert certificate["weights"].verdict is Verdict.PROVED, said
    assert certificate["rounding"].verdict is Verdict.PROVED, said


@pytest.mark.parametrize("name", ["bert", "gpt2", "segformer"])
def test_what_other_tools_made_is_proved(name: str, tmp_path: Path) -> None:
    onnxsim = pytest.importorskip("onnxsim")
    onnxslim = pytest.importorskip("onnxslim")
    proto = onnx.load(zoo.path(name))
    fused, _ = onnxsim.simplify(proto, extra_optimizers=["fuse_matmul_into_conv"])
    for result in (fused, onnxslim.slim(onnx.load(zoo.path(name)))):
        certificate = onebyone.verify(proto, result)
        assert certificate.exit_code == 0, certificate.to_json()


def chosen(name: str) -> list[Mutant]:
    """A share of the kinds for each model, so that together they cover all."""
    place = MODELS.index(name)
    return [
        mutant
        for mutant in mutants(convert(name, "linear" if name == "vgg" else "conv"))
        if (list(KINDS).index(mutant.kind) + place) % 4 in (0, len(MODELS) - 1)
    ]


@pytest.mark.parametrize("name", MODELS)
def test_no_mutant_that_changes_the_function_is_accepted(name: str) -> None:
    original = onnx.load(zoo.path(name))
    tally: Counter[int] = Counter()
    for mutant in chosen(name):
        certificate = onebyone.verify(original, mutant.model)
        tally[certificate.exit_code] += 1
        proofs = [certificate[layer].verdict for layer in ("structure", "field")]
        if Verdict.PROVED in proofs:
            # An equivalent mutant: another witness must find no difference either.
            assert agree(original, mutant.model), (mutant.kind, mutant.what)
        elif certificate.exit_code == 1:
            assert certificate.witness is not None
    assert tally[1] >= 2
    # Nearly all are called different; the benchmark counts over many more.
    assert tally[2] <= 1, tally


def agree(a: onnx.ModelProto, b: onnx.ModelProto) -> bool:
    """Both models in ONNX Runtime on inputs of the zoo's own kind, to a part in 10^5."""
    import onnxruntime as ort

    sessions = [ort.InferenceSession(m.SerializeToString()) for m in (a, b)]
    for seed in (11, 12):
        feed: dict[str, Any] = {}
        rng = np.random.default_rng(seed)
        for i in sessions[0].get_inputs():
            shape = [n if isinstance(n, int) else 64 for n in i.shape]
            if i.type == "tensor(float)":
                feed[i.name] = rng.standard_normal(shape).astype("f4")
            else:
                feed[i.name] = np.ones(shape, "i8")
        for x, y in zip(*(s.run(None, feed) for s in sessions), strict=True):
            if x.shape != y.shape or np.max(np.abs(x - y)) > 1e-5 * np.max(np.abs(x)):
                return False
    return True


def test_equivalent_mutants_are_proved_equivalent() -> None:
    """A key bias shifts all of a row's scores alike, and softmax does not see it."""
    signature = "(float[2, 5, 8] x) => (float[2, 5, 5] y)"
    body = (
        "{} t = Transpose <perm = [0, 2, 1]> (k) q = MatMul (x, wq)"
        "s = MatMul (q, t) y = Softmax (s)"
    )
    constants = {"wk": weight(8, 8), "wq": weight(8, 8, seed=1), "bk": weight(8)}
    full = model(signature, body.format("m = MatMul (x, wk) k = Add (m, bk)"), **constants)
    less = model(signature, body.format("k = MatMul (x, wk)"), **constants)
    assert onebyone.verify(full, less)["field"].verdict is Verdict.PROVED
    # The same bias on the queries does count.
    wrong = body.format("k = MatMul (x, wk)").replace(
        "q = MatMul (x, wq)", "p = MatMul (x, wq) q = Add (p, bk)"
    )
    assert onebyone.verify(full, model(signature, wrong, **constants)).exit_code == 1


SQUARE = "(float[4, 8] x) => (float[4, 8] y)"


def test_the_runtime_overrules_the_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    """What rests on an interpreter that computes something else is no proof."""
    first = model(SQUARE, "s = Sin (x) m = MatMul (s, v) y = MatMul (m, w)",
                  v=weight(8, 8), w=weight(8, 8, seed=1))  # fmt: skip
    second = model(SQUARE, "s = Sin (x) m = MatMul (v, w) y = MatMul (s, m)",
                   v=weight(8, 8), w=weight(8, 8, seed=1))  # fmt: skip
    assert onebyone.verify(first, second).exit_code == 0
    monkeypatch.setitem(FUNCTIONS, "Sin", np.cos)
    certificate = onebyone.verify(first, second)
    assert certificate.exit_code == 2
    assert certificate["rounding"].evidence["contradicts"]
    assert "does not describe" in certificate["field"].summary
    # A difference that the runtime shows by itself is one all the same.
    third = model(SQUARE, "s = Cos (x) m = MatMul (v, w) y = MatMul (s, m)",
                  v=weight(8, 8), w=weight(8, 8, seed=1))  # fmt: skip
    assert onebyone.verify(first, third).exit_code == 1


def test_rounding_speaks_where_the_interpreter_cannot() -> None:
    """A quantizer elsewhere must not switch it off."""
    signature = "(float[4, 8] x, float[9] q) => (float[4, 8] y, float[9] z)"
    body = "i = QuantizeLinear (q, s) z = DequantizeLinear (i, s) y = {} (x)"
    one, other = (
        model(signature, body.format(op), s=np.array(0.1, "f4")) for op in ("Sin", "Tanh")
    )
    assert onebyone.verify(one, other).exit_code == 1
    assert onebyone.verify(one, one)["rounding"].verdict is not Verdict.DIFFERS


@pytest.mark.parametrize("change", ["mask", "delta"])
def test_a_constant_that_folding_changed_is_no_difference(change: str) -> None:
    w, few = weight(32, 32), np.zeros((32, 32), "f4")
    few[3, 4] = 0.5
    folds = {"mask": ("Mul", 1 - few * 2), "delta": ("Add", few)}
    op, other = folds[change]
    first = model("(float[4, 32] x) => (float[4, 32] y)", f"m = {op} (w, d) y = MatMul (x, m)",
                  w=w, d=other.astype("f4"))  # fmt: skip
    folded = w * other if op == "Mul" else w + other
    second = model("(float[4, 32] x) => (float[4, 32] y)", "y = MatMul (x, w)",
                   w=folded.astype("f4"))  # fmt: skip
    certificate = onebyone.verify(first, second)
    assert certificate["weights"].verdict is Verdict.UNDECIDED
    assert "w" in certificate["weights"].evidence["changed"]
    assert certificate.exit_code != 1, certificate.to_json()


def test_scalars_that_became_an_attribute_count_as_rounded() -> None:
    """And whole numbers do not: a power of nearly two has no value at a negative number."""
    constants = {"w": weight(32, 32), "two": np.array(2, "f4")}
    first = model("(float[4, 32] x) => (float[4, 32] y)",
                  "p = Pow (x, two) a = Mul (p, c) b = Mul (a, d) y = MatMul (b, w)",
                  c=np.array(0.1, "f4"), d=np.array(0.7, "f4"), **constants)  # fmt: skip
    alpha = float(np.float32(0.1) * np.float32(0.7))

    def fused(alpha: float) -> onnx.ModelProto:
        body = f"p = Pow (x, two) y = Gemm <alpha = {alpha}> (p, w)"
        return model("(float[4, 32] x) => (float[4, 32] y)", body, **constants)

    assert onebyone.verify(first, fused(alpha)).exit_code != 1
    assert onebyone.verify(first, fused(alpha * 1.01)).exit_code == 1


def test_other_inputs_or_outputs_are_a_difference() -> None:
    one = model("(float[2, 3] x) => (float[2, 3] y)", "y = Relu (x)")
    for signature, word in (
        ("(float[2, 4] x) => (float[2, 4] y)", "shape"),
        ("(double[2, 3] x) => (double[2, 3] y)", "float64"),
        ("(float[2, 3] x, float[1] z) => (float[2, 3] y)", "inputs"),
    ):
        certificate = onebyone.verify(one, model(signature, "y = Relu (x)"))
        assert certificate.exit_code == 1
        assert certificate.witness is not None
        assert word in certificate.witness.why


def test_inputs_replace_drawn_ones() -> None:
    one = model("(float[n, 3] x) => (float[n, 3] y)", "y = Relu (x)")
    certificate = onebyone.verify(one, one, inputs={"x": np.ones((7, 3), "f4")})
    assert certificate["rounding"].evidence["sizes"] == {"x": [7, 3]}
    assert certificate["field"].evidence["sizes"] == {"x": [7, 3]}
    for bad, word in (
        ({"q": np.ones(3)}, "no input"),
        ({"x": np.ones((7, 3))}, "float32"),
        ({"x": np.ones((7, 4), "f4")}, "must be"),
    ):
        with pytest.raises(InputError, match=word):
            onebyone.verify(one, one, inputs=bad)


def test_sizes_that_the_files_write_as_sums_of_others_follow_them() -> None:
    """A decoder's mask is as long as its past and its new tokens together."""
    signature = "(float[n, past] x, float[n, new] z, float[n, {}] m) => (float[a, b] y)"
    proto = model(signature.format("total"), "c = Concat <axis = 1> (x, z) y = Add (c, m)")
    proto.graph.input[2].type.tensor_type.shape.dim[1].dim_param = "past + new"
    certificate = onebyone.verify(proto, proto)
    assert certificate["field"].verdict is Verdict.PROVED
    sizes = certificate["field"].evidence["sizes"]
    assert sizes["m"][1] == sizes["x"][1] + sizes["z"][1]


def test_the_certificate_is_data() -> None:
    one = model("(float[2, 3] x) => (float[2, 3] y)", "y = Relu (x)")
    certificate = onebyone.verify(one, one)
    data = json.loads(certificate.to_json())
    assert [layer["name"] for layer in data["layers"]] == [
        "weights",
        "structure",
        "field",
        "rounding",
    ]
    assert data["verdict"] == "proved"
    assert data["exit_code"] == 0
    assert len(data["not_proved"]) >= 3
    with pytest.raises(KeyError):
        certificate["magic"]


def test_verdicts_and_exit_codes() -> None:
    witness = Witness("input", "a", "b", "because")

    def certificate(*verdicts: Verdict) -> Certificate:
        names = ("weights", "structure", "field", "rounding")
        layers = tuple(
            Finding(n, v, "", witness=witness if v is Verdict.DIFFERS else None)
            for n, v in zip(names, verdicts, strict=True)
        )
        return Certificate("a", "b", layers)

    yes, no, open_ = Verdict.PROVED, Verdict.DIFFERS, Verdict.UNDECIDED
    assert certificate(open_, yes, open_, open_).exit_code == 0
    assert certificate(open_, open_, yes, open_).exit_code == 0
    assert certificate(yes, open_, open_, yes).exit_code == 2
    for place in range(4):
        verdicts = [yes] * 4
        verdicts[place] = no
        assert certificate(*verdicts).exit_code == 1
    with pytest.raises(ValueError, match="witness"):
        Finding("field", no, "")
