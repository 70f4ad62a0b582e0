"""Digests of converted models, to hold a redesign of the code against what it did before.

``python -m benchmarks.same_files --write before.json`` on one checkout, then
``python -m benchmarks.same_files --against before.json`` on another: every model of the zoo, both
directions, both dialects. ONNX files are compared byte for byte. Of a PyTorch program, whose
archive holds more than the program, the code, the signature and the bits of every tensor are.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import onebyone
from tests import zoo


def _onnx(model: Any, to: str) -> dict[str, Any]:
    start = time.perf_counter()
    done = onebyone.convert(model, to)
    seconds = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out.onnx"
        done.save(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    kinds = Counter(node.op_type for node in done.model.graph)
    return {"digest": digest, "seconds": seconds, "kinds": dict(sorted(kinds.items()))}


def _program(model: Any, to: str) -> dict[str, Any]:
    start = time.perf_counter()
    program = onebyone.convert(model, to).model
    seconds = time.perf_counter() - start
    digest = hashlib.sha256(program.graph_module.code.encode())
    digest.update(str(program.graph_signature).encode())
    for name, tensor in sorted({**program.state_dict, **program.constants}.items()):
        if hasattr(tensor, "detach"):
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            digest.update(tensor.detach().contiguous().reshape(-1).numpy().tobytes())
    kinds = Counter(str(n.target) for n in program.graph.nodes if n.op == "call_function")
    return {
        "digest": digest.hexdigest(),
        "seconds": seconds,
        "kinds": dict(sorted(kinds.items())),
        "code": program.graph_module.code,
    }


def measure(names: list[str]) -> dict[str, dict[str, Any]]:
    """For each model, dialect and direction: a digest, seconds, and nodes by kind."""
    from tests.aten import programs

    found: dict[str, dict[str, Any]] = {}
    for name in names:
        for to in ("conv", "linear"):
            found[f"{name} onnx {to}"] = _onnx(zoo.path(name), to)
            if name in zoo._EXPORTED:
                found[f"{name} aten {to}"] = _program(programs.program(name)[0], to)
        print(name, flush=True)
    return found


def _compare(before: dict[str, Any], after: dict[str, Any]) -> int:
    changed = 0
    for key, new in after.items():
        old = before.get(key)
        if old is None or old["digest"] == new["digest"]:
            continue
        changed += 1
        kinds = sorted({*old["kinds"], *new["kinds"]})
        moved = {
            kind: f"{old['kinds'].get(kind, 0)} -> {new['kinds'].get(kind, 0)}"
            for kind in kinds
            if old["kinds"].get(kind, 0) != new["kinds"].get(kind, 0)
        }
        print(f"differs: {key}: {moved or 'the same nodes by kind'}")
    total = (sum(x[key]["seconds"] for key in after if key in before) for x in (before, after))
    print(f"{len(after) - changed} of {len(after)} the same; seconds", *(f"{t:.1f}" for t in total))
    return changed


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="models of the zoo; all by default")
    parser.add_argument("--write", type=Path, help="where to write the digests")
    parser.add_argument("--against", type=Path, help="digests to compare with")
    given = parser.parse_args()
    found = measure(given.names or [name for name in zoo.names() if zoo.available(name)])
    if given.write:
        given.write.write_text(json.dumps(found, indent=1))
    if given.against and _compare(json.loads(given.against.read_text()), found):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
