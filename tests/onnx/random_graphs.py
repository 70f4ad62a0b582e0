"""Random valid ONNX graphs against the engine: ``python -m tests.onnx.random_graphs --count N``."""

from __future__ import annotations

import argparse
import collections
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper as h

from tests.onnx.graph_check import TARGETS, Case, check
from tests.onnx.random_blocks import permuted_flatten
from tests.onnx.random_builder import BATCH, DTYPES, SEQ, Builder, Val
from tests.onnx.random_moves import BLOCKS

OPSETS = (9, 11, 12, 13, 17, 18, 20, 21, 23)
# All sizes equal, to provoke confusions; sizes of 1; and a mixture.
SIZES = ((4,), (1, 4), (2, 4), (1, 2, 4, 6), (2, 4, 8), (2, 3, 4))
_INPUTS = ("2d", "3d", "3d", "4d", "4d", "1d", "5d")


def random_case(seed: int) -> Case:
    """The graph of a seed."""
    rng = np.random.default_rng(seed)
    dtype = str(rng.choice(["float32"] * 8 + ["float16", "bfloat16", "float64"]))
    opset = int(rng.choice(OPSETS))
    if dtype == "bfloat16":
        opset = max(opset, 13)
    dynamic = bool(rng.random() < 0.25)
    sizes = SIZES[int(rng.integers(len(SIZES)))]
    if dynamic:
        sizes = tuple(s for s in sizes if s not in (BATCH, SEQ, 6)) or (4,)
    b = Builder(rng, opset, dtype, sizes, dynamic)
    form = str(rng.choice(_INPUTS))
    rank = int(form[0])
    shape = [b.width() for _ in range(rank)]
    if dynamic:
        shape[0] = BATCH
        if rank == 3:
            shape[1] = SEQ
        elif rank > 3 and b.chance(0.5):
            shape[-1] = SEQ
    elif b.chance(0.4):
        shape[0] = 1
    b.input(shape)
    wanted = int(rng.integers(2, 10))
    made = 0
    for _ in range(60):
        if made >= wanted:
            break
        floats = [v for v in b.pool if v.kind == "f"]
        x = floats[-1] if b.chance(0.75) else b.pick(floats)
        block = b.pick(BLOCKS) if b.chance(0.95) else permuted_flatten
        marks = len(b.nodes), len(b.inputs), dict(b.initializers), dict(b.feeds), list(b.pool)
        y = block(b, x)
        if y is None or y.size > 4096 or y.rank > 6:
            b.pool = marks[4]
            b.feeds, b.initializers = marks[3], marks[2]
            del b.nodes[marks[0] :], b.inputs[marks[1] :]
            known = {o for n in b.nodes for o in n.output} | set(b.initializers)
            b.weights = [w for w in b.weights if w[0] in known]
            b.extra_outputs = [v for v in b.extra_outputs if v.name in known]
            continue
        b.pool.append(y)
        made += 1
    return Case(seed, finished(b), b.feeds, _is_exact(b))


def _is_exact(b: Builder) -> dict[str, bool]:
    exact = {v.name: v.exact for v in (*b.pool, *b.extra_outputs)}
    return {**exact, **{f"{name}.copy": flag for name, flag in exact.items()}}


def finished(b: Builder) -> onnx.ModelProto:
    """The model, with awkward outputs: inner values, inputs, weights, copies."""
    outputs: dict[str, Val] = {b.pool[-1].name: b.pool[-1]}
    for v in b.extra_outputs:
        outputs[v.name] = v
    for v in b.pool:
        if b.chance(0.12):
            outputs[v.name] = v
    if b.weights and b.chance(0.08):
        name, shape = b.pick(b.weights)
        outputs[name] = Val(name, shape)
    infos = []
    for v in outputs.values():
        dims: list[Any] = [b._symbol(d) if b.dynamic else d for d in v.shape]
        if b.dynamic:
            dims = [d if isinstance(d, str) or b.fixed(d) else None for d in dims]
        code = {"f": DTYPES[b.dtype], "b": onnx.TensorProto.BOOL, "i": onnx.TensorProto.INT64}
        infos.append(h.make_tensor_value_info(v.name, code[v.kind], dims))
    inputs = list(b.inputs)
    if b.weights and b.chance(0.08):  # an initializer that the caller may override
        name, shape = b.pick(b.weights)
        if name in b.initializers:
            inputs.append(h.make_tensor_value_info(name, DTYPES[b.dtype], list(shape)))
    if b.chance(0.1) and b.nodes:  # a dead node
        b.nodes.append(h.make_node("Neg", [b.pool[0].name], ["dead"], name="dead"))
    graph = h.make_graph(b.nodes, "random", inputs, infos, list(b.initializers.values()))
    imports = [h.make_opsetid("", b.opset)]
    imports += [h.make_opsetid("own", 1)] if b.functions else []
    return h.make_model(
        graph, opset_imports=imports, ir_version=10, functions=b.functions, producer_name="random"
    )


def main() -> int:
    """Run many seeds; write each failing model to ``--out``, made small."""
    from tests.onnx.shrink import shrink

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--out", type=Path, default=Path("out/random"))
    parser.add_argument("--no-shrink", action="store_true")
    parser.add_argument("--ignore", nargs="*", default=(), help="kinds of problems")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    seen: collections.Counter[str] = collections.Counter()
    stats: collections.Counter[str] = collections.Counter()
    end = time.monotonic() + options.seconds
    for seed in range(options.seed, options.seed + options.count):
        if time.monotonic() > end:
            break
        try:
            case = random_case(seed)
        except Exception:
            print(f"seed {seed}: the generator failed\n{traceback.format_exc()}", flush=True)
            continue
        for to in TARGETS:
            problem = check(case, to, stats)
            if problem is None or problem.kind in options.ignore:
                continue
            seen[problem.kind] += 1
            print(f"seed {seed} to {to}: {problem.kind}: {problem.text}", flush=True)
            if not options.no_shrink and seen[problem.key] < 3:
                seen[problem.key] += 1
                small = shrink(case, to, problem)
                path = options.out / f"{problem.kind}-{seed}-{to}.onnx"
                onnx.save(small.model, path)
                print(onnx.printer.to_text(small.model.graph), flush=True)
            break
        stats["graphs"] += 1
    print(dict(stats), {k: v for k, v in seen.items() if ":" not in k}, flush=True)
    return 1 if seen else 0


if __name__ == "__main__":
    sys.exit(main())
