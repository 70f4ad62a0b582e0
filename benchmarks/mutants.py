"""The kill table: what each layer, and each peer, says of correct and of wrong rewrites.

    python -m benchmarks.mutants [--each N] [--models bert,vit,...] [--peers] [--json FILE]

Each model is converted both ways by ``onebyone.convert`` (and, where it can, by onnxsim's
``fuse_matmul_into_conv``): none of these may be called different. Then each kind of mistake is made
in the conversion to convolutions, and the wrong file is certified against the original. A mutant
that a layer proves equal is listed as equivalent, with the reason to check by hand: both files'
outputs in ONNX Runtime.

Peers: ``allclose`` with ``atol = rtol = 1e-5`` on one random input, and onnxsim's ``certify``
(needs z3-solver) with its own budget of work and at most 5 seconds a file.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from tests import zoo
from tests.mutants import mutants

import onebyone
from onebyone.certify.certificate import Certificate

MODELS = (*zoo.FAMILIES, "vgg", "nhwc-flatten", "bert-dynamic")
LAYERS = ("weights", "structure", "field", "rounding")
PEERS = ("allclose", "onnxsim")


@dataclass(frozen=True)
class Row:
    """One file certified against the original."""

    model: str
    kind: str
    what: str
    exit_code: int
    layers: dict[str, str]
    peers: dict[str, str]
    moved: float
    witness: str
    seconds: float


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=1, help="mutants of each kind and model")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    ort.set_default_logger_severity(4)
    rows: list[Row] = []
    for name in options.models.split(","):
        for row in _rows(name, options.each, options.peers):
            rows.append(row)
            print(f"{row.model:<14}{row.kind:<26}{row.exit_code}  {row.what}", flush=True)
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    _table(rows, options.peers)


def _rows(name: str, each: int, peers: bool) -> Any:
    original = onnx.load(zoo.path(name))
    conversions = {
        f"correct: {to}": ir.to_proto(onebyone.convert(original, to=to).model)
        for to in ("conv", "linear")
    }
    fused = _onnxsim(original)
    if fused is not None:
        conversions["correct: onnxsim"] = fused
    for kind, proto in conversions.items():
        yield _row(name, kind, "", original, proto, peers)
    for mutant in mutants(conversions["correct: conv"], each=each):
        yield _row(name, mutant.kind, mutant.what, original, mutant.model, peers)


def _onnxsim(model: onnx.ModelProto) -> onnx.ModelProto | None:
    import onnxsim

    try:
        return onnxsim.simplify(model, extra_optimizers=["fuse_matmul_into_conv"])[0]
    except Exception as error:  # a peer's failure is no result of ours
        print(f"onnxsim: {str(error)[:80]}")
        return None


def _row(
    name: str, kind: str, what: str, a: onnx.ModelProto, b: onnx.ModelProto, peers: bool
) -> Row:
    start = time.monotonic()
    certificate: Certificate = onebyone.verify(a, b)
    seconds = time.monotonic() - start
    witness = certificate.witness
    moved = _difference(a, b)
    said: dict[str, str] = {}
    if peers:
        said = {"allclose": "accepts" if moved <= 1.0 else "rejects", "onnxsim": _certify(a, b)}
    return Row(
        name, kind, what, certificate.exit_code,
        {layer.name: layer.verdict for layer in certificate.layers}, said, moved,
        "" if witness is None else f"{witness.second}: {witness.why}", seconds,
    )  # fmt: skip


def _difference(a: onnx.ModelProto, b: onnx.ModelProto) -> float:
    """The largest ``|x - y| / (1e-5 + 1e-5 |y|)`` on one random input; infinite if b fails."""
    rng = np.random.default_rng(5)
    feed: dict[str, Any] = {}
    try:
        one, other = (ort.InferenceSession(m.SerializeToString()) for m in (a, b))
        for i in one.get_inputs():
            shape = [n if isinstance(n, int) else 6 for n in i.shape]
            real = i.type == "tensor(float)"
            feed[i.name] = rng.standard_normal(shape).astype("f4") if real else np.ones(shape, "i8")
        pairs = list(zip(one.run(None, feed), other.run(None, feed), strict=True))
    except Exception:  # whatever the runtime calls it, the second file does not run
        return float("inf")
    if any(x.shape != y.shape for x, y in pairs):
        return float("inf")
    return max(float(np.max(np.abs(x - y) / (1e-5 + 1e-5 * np.abs(x)))) for x, y in pairs)


def _certify(a: onnx.ModelProto, b: onnx.ModelProto) -> str:
    from onnxsim.certify import certify

    try:
        report = certify(a, b, timeout_ms=5_000, total_timeout_ms=5_000)
    except Exception as error:  # a peer's failure is an answer too
        return f"error: {type(error).__name__}"
    if report.ok:
        return "accepts"
    states = Counter(report.outputs.values())
    return "rejects" if any("differ" in s or "refut" in s for s in states) else "unknown"


def _table(rows: list[Row], peers: bool) -> None:
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.kind].append(row)
    names = PEERS if peers else ()
    print(f"\n{'kind':<26}{'files':>6}" + "".join(f"{n:>12}" for n in (*LAYERS, "exit 1", *names)))
    for kind, found in groups.items():
        cells = [_cell(Counter(row.layers[layer] for row in found)) for layer in LAYERS]
        cells.append(str(sum(row.exit_code == 1 for row in found)))
        cells += [_cell(Counter(row.peers[peer] for row in found)) for peer in names]
        print(f"{kind:<26}{len(found):>6}" + "".join(f"{c:>12}" for c in cells))
    print("cells: proved / differs / undecided; of peers: accepts / rejects / unknown or error")
    correct = [r for r in rows if r.kind.startswith("correct")]
    wrong = [r for r in rows if not r.kind.startswith("correct")]
    equal = [r for r in wrong if "proved" in (r.layers["structure"], r.layers["field"])]
    changed = [r for r in wrong if r not in equal]
    print(f"\ncorrect files: {len(correct)}, called different: "
          f"{sum(r.exit_code == 1 for r in correct)}, proved: "
          f"{sum(r.exit_code == 0 for r in correct)}")  # fmt: skip
    print(f"mutants: {len(wrong)} of {len({r.kind for r in wrong})} kinds on "
          f"{len({r.model for r in wrong})} models; proved equivalent: {len(equal)}")  # fmt: skip
    if changed:
        killed = sum(r.exit_code == 1 for r in changed)
        print(f"the other {len(changed)}: exit 1 {killed} ({killed / len(changed):.1%}), exit 2 "
              f"{sum(r.exit_code == 2 for r in changed)}, exit 0 "
              f"{sum(r.exit_code == 0 for r in changed)}")  # fmt: skip
    print("\nequivalent mutants, with the difference of ONNX Runtime's outputs in units of 1e-5:")
    for row in equal:
        print(f"  {row.model:<14}{row.kind:<24}{row.moved:8.3f}  {row.what}")
    print("undecided mutants:")
    for row in changed:
        if row.exit_code == 2:
            print(f"  {row.model:<14}{row.kind:<24}{row.moved:8.3f}  {row.what}")


def _cell(counts: Counter[str]) -> str:
    yes = counts["proved"] + counts["accepts"]
    no = counts["differs"] + counts["rejects"]
    return f"{yes}/{no}/{sum(counts.values()) - yes - no}"


if __name__ == "__main__":
    main()
