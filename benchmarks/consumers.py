"""What mobile compilers make of a program and of its conversion: operators, pieces, errors.

    python -m benchmarks.consumers vit bert convnext

Needs the extra `consumers`, or in another environment `litert`; columns of absent tools hold "-".
Nothing is timed: Core ML cannot run here, and a CPU says
little of an accelerator. What each tool counts is what its users look at first.
"""

from __future__ import annotations

import importlib.util
import logging
import sys
import warnings
from collections import Counter
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

import onebyone
from benchmarks.timing import table
from tests.aten.programs import program, run

_MODELS = ("bert", "convnext", "encoder-layer", "minilm", "segformer", "swin", "vit")


def coreml(exported: ExportedProgram) -> Counter[str]:
    """Operators of the MIL program that coremltools converts a program to."""
    import coremltools as ct

    model: Any = ct.convert(
        exported.run_decompositions({}),
        convert_to="mlprogram",
        minimum_deployment_target=ct.target.iOS17,
        skip_model_load=True,
    )
    functions = model.get_spec().mlProgram.functions.values()
    blocks = [b for f in functions for b in f.block_specializations.values()]
    return Counter(operation.type for block in blocks for operation in block.operations)


def xnnpack(exported: ExportedProgram) -> Any:
    """The program lowered for ExecuTorch's XNNPACK backend."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    return to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])


def delegates(edge: Any) -> int:
    """In how many pieces the backend takes a lowered program."""
    nodes = edge.exported_program().graph.nodes
    return sum("call_delegate" in str(node.target) for node in nodes)


def run_executorch(edge: Any, args: Any, kwargs: Any) -> list[torch.Tensor]:
    """Outputs of a lowered program in ExecuTorch's runtime."""
    from executorch.runtime import Runtime

    inputs = [x for x in pytree.tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
    # The runtime reads the buffer and does not own it: all three must live until the end.
    buffer = edge.to_executorch().buffer
    loaded = Runtime.get().load_program(buffer)
    method = loaded.load_method("forward")
    return [output.clone() for output in method.execute(inputs)]


def litert(exported: ExportedProgram, args: Any, kwargs: Any) -> Any:
    """The TFLite model that LiteRT converts a program to; calling it runs it."""
    import litert_torch

    return litert_torch.convert(exported.module(), args, kwargs, strict_export=False)


def litert_ops(model: Any) -> Counter[str]:
    """Operators of a TFLite model."""
    from ai_edge_litert.interpreter import Interpreter

    own = Interpreter(model_content=model.model_content())
    return Counter(str(details["op_name"]) for details in own._get_ops_details())


def _pair(before: object, after: object) -> str:
    return f"{before} → {after}"


def _error(actual: Any, expected: list[torch.Tensor]) -> str:
    leaves = [torch.as_tensor(x) for x in pytree.tree_leaves(actual)]
    worst = max(
        float((a - b).abs().max() / b.abs().max())
        for a, b in zip(leaves, expected, strict=True)
        if b.is_floating_point()
    )
    return f"{worst:.1e}"


def _row(name: str) -> list[str]:
    original, args, kwargs = program(name)
    pair = (original, onebyone.convert(original, to="conv").model)
    expected = run(original, *args, **kwargs)
    row = [name]
    if importlib.util.find_spec("coremltools"):
        a, b = (_tried(coreml, p) for p in pair)
        for op in ("linear", "conv", "transpose"):
            row.append(_pair(*(x if isinstance(x, str) else x[op] for x in (a, b))))
    else:
        row += ["-"] * 3
    if importlib.util.find_spec("executorch"):
        edges = [_tried(xnnpack, p) for p in pair]
        row.append(_pair(*(e if isinstance(e, str) else delegates(e) for e in edges)))
        found = _tried(run_executorch, edges[1], args, kwargs)
        row.append(found if isinstance(found, str) else _error(found, expected))
    else:
        row += ["-"] * 2
    if importlib.util.find_spec("litert_torch"):
        models = [_tried(litert, p, args, kwargs) for p in pair]
        for op in ("FULLY_CONNECTED", "CONV_2D", "TRANSPOSE", "RESHAPE"):
            row.append(_pair(*(m if isinstance(m, str) else litert_ops(m)[op] for m in models)))
        found = _tried(lambda: models[1](*args, **kwargs))
        row.append(found if isinstance(found, str) else _error(found, expected))
    else:
        row += ["-"] * 5
    return row


def _tried(step: Any, *args: Any) -> Any:
    """What a tool makes, or the name of the error with which it refuses."""
    try:
        return step(*args)
    # Every tool has errors of its own.
    except Exception as error:
        return type(error).__name__


def main() -> None:
    """Print the table."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    rows = [["model", "coreml linear", "conv", "transpose", "XNNPACK pieces", "error"]]
    rows[0] += ["LiteRT FULLY_CONNECTED", "CONV_2D", "TRANSPOSE", "RESHAPE", "error"]
    rows += [_row(name) for name in sys.argv[1:] or _MODELS]
    print(table(rows))


if __name__ == "__main__":
    main()
