"""What an ONNX model must fulfil before anything trusts it: cheap, and without reading weights.

The checks that onnx's own checker makes are left to it where it can take a model without its
weights (shape and type inference); here is what it lacks or would read everything for.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Iterator
from typing import Any

import onnx
import onnx_ir as ir
from onnx import AttributeProto, GraphProto, NodeProto, TensorProto

from onebyone.dialects.onnx.files.infer import infer_shapes
from onebyone.errors import InputError

_INT64 = 2**63 - 1
# Nested calls of model-local functions multiply; more than this is a bomb, not a model.
_MAX_CALLS = 1_000_000

# Fields that hold the values of a tensor when raw_data does not, and how many values an element
# takes there (a complex number is two floats).
_TYPED: dict[int, tuple[str, int]] = {
    TensorProto.FLOAT: ("float_data", 1),
    TensorProto.COMPLEX64: ("float_data", 2),
    TensorProto.DOUBLE: ("double_data", 1),
    TensorProto.COMPLEX128: ("double_data", 2),
    TensorProto.INT64: ("int64_data", 1),
    TensorProto.UINT32: ("uint64_data", 1),
    TensorProto.UINT64: ("uint64_data", 1),
    TensorProto.STRING: ("string_data", 1),
}


def check_model(model: onnx.ModelProto, stored: Iterable[str] = ()) -> None:
    """Check opsets, tensors, names and types of a model.

    Args:
        model: parsed; its ``stored`` initializers carry no data. A size of -1 in a declared shape
            becomes an unknown one, and nodes that a runtime would have to sort are sorted.
        stored: names of initializers whose data stayed in the file, and was measured there.

    Raises:
        InputError: on the first thing that is wrong.
    """
    if not model.HasField("graph") or not model.graph.output:
        raise InputError("this is no ONNX model: it holds no graph with an output")
    opsets = _check_opsets(model)
    _check_functions(model)
    left_out = set(stored)
    for graph in _graphs(model):
        if graph.sparse_initializer:
            name = graph.sparse_initializer[0].values.name
            raise InputError(f"sparse initializer {name}: not supported; store it densely")
        _check_values([*graph.input, *graph.output, *graph.value_info])
        for tensor in graph.initializer:
            check_tensor(tensor, has_data=tensor.name not in left_out)
    for node in _nodes(model):
        if node.domain not in opsets and (node.domain or "ai.onnx") not in opsets:
            raise InputError(
                f"{label(node)}: domain {node.domain or 'ai.onnx'!r} has no opset_import; "
                "export the model again"
            )
        for tensor in _attribute_tensors(node):
            check_tensor(tensor)
    _check_scopes(model)
    for graph in list(_graphs(model)):
        _sort(graph)
    for function in model.functions:
        _sort(function)
    _check_types(model)


def label(node: NodeProto) -> str:
    """How an error names a node."""
    return f"node {node.name or next(iter(node.output), '?')} ({node.op_type})"


def check_tensor(tensor: TensorProto, *, has_data: bool = True) -> None:
    """Check that a tensor's type is known and that its data is as long as its shape says."""
    what = f"tensor {tensor.name}" if tensor.name else "an unnamed tensor"
    known = {int(t) for t in ir.DataType}
    if tensor.data_type not in known or tensor.data_type == TensorProto.UNDEFINED:
        raise InputError(f"{what}: element type {tensor.data_type} is unknown")
    dtype = ir.DataType(tensor.data_type)
    elements = _product(tensor.dims, what)
    elsewhere = not has_data or tensor.data_location == TensorProto.EXTERNAL
    if dtype == ir.DataType.STRING and (elsewhere or tensor.HasField("raw_data")):
        raise InputError(f"{what}: strings cannot stand in raw or external data")
    if elsewhere:
        return
    if tensor.HasField("raw_data"):
        expected, stored, unit = -(-elements * dtype.bitwidth // 8), len(tensor.raw_data), "bytes"
    else:
        name, each = _TYPED.get(tensor.data_type, ("int32_data", 1))
        expected, stored, unit = elements * each, len(getattr(tensor, name)), "values"
        if name == "int32_data" and dtype.bitwidth < 8:
            expected = -(-elements * dtype.bitwidth // 8)
    if expected != stored:
        raise InputError(
            f"{what}: shape {_shape(tensor.dims)} takes {expected} {unit}, but {stored} are there"
        )


def _product(dims: Iterable[int], what: str) -> int:
    elements = 1
    for size in dims:
        if size < 0:
            raise InputError(f"{what}: negative dimension {size}")
        elements *= size
        if elements > _INT64:
            raise InputError(f"{what}: the product of its dimensions overflows")
    return elements


def _shape(dims: Iterable[int]) -> str:
    sizes = list(dims)
    return str(sizes) if len(sizes) <= 8 else f"{str(sizes[:8])[:-1]}, ...]"


def _check_opsets(model: onnx.ModelProto) -> dict[str, int]:
    opsets = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    if not opsets:
        raise InputError("this is no ONNX model: it imports no operator set")
    newest = onnx.defs.onnx_opset_version()
    version = opsets.get("ai.onnx", 1)
    if not 1 <= version <= newest:
        cure = "upgrade the onnx package" if version > newest else "export the model again"
        raise InputError(f"opset {version} is unknown (newest known: {newest}); {cure}")
    if not 1 <= model.ir_version <= onnx.IR_VERSION:
        raise InputError(
            f"IR version {model.ir_version} is unknown (newest known: {onnx.IR_VERSION}); "
            "upgrade the onnx package or export the model again"
        )
    for function in model.functions:
        opsets |= {entry.domain or "ai.onnx": entry.version for entry in function.opset_import}
    return opsets


def _check_values(values: Iterable[onnx.ValueInfoProto]) -> None:
    for value in values:
        if not value.type.HasField("tensor_type"):
            continue
        dims = value.type.tensor_type.shape.dim
        for dim in dims:
            # Some exporters write -1 for a size that is not known, and runtimes take it so.
            if dim.HasField("dim_value") and dim.dim_value == -1:
                dim.ClearField("dim_value")
        _product((d.dim_value for d in dims if d.HasField("dim_value")), f"value {value.name}")


def _check_functions(model: onnx.ModelProto) -> None:
    """Refuse functions that call themselves, and calls that multiply without end."""
    functions = {(f.domain, f.name): f for f in model.functions}
    sizes: dict[tuple[str, str], int | None] = {}

    def size(key: tuple[str, str]) -> int:
        if key in sizes:
            known = sizes[key]
            if known is None:
                raise InputError(f"function {key[1]} calls itself")
            return known
        sizes[key] = None
        total = 1
        for node in _nested(functions[key].node):
            called = (node.domain, node.op_type)
            total += size(called) if called in functions else 1
            if total > _MAX_CALLS:
                raise InputError(f"function {key[1]} unfolds to more than {_MAX_CALLS:,} nodes")
        sizes[key] = total
        return total

    # A chain of calls deeper than this would exhaust the stack of whoever inlines it.
    if len(functions) > 500:
        raise InputError(f"{len(functions)} model-local functions; inline them first")
    for key in functions:
        size(key)


def _check_scopes(model: onnx.ModelProto) -> None:
    """Every name is defined once, and somewhere."""
    top = model.graph
    _check_scope(top.node, _names(top), [o.name for o in top.output], ())
    for function in model.functions:
        _check_scope(function.node, set(function.input), list(function.output), ())


def _check_scope(
    nodes: Iterable[NodeProto], defined: set[str], outputs: list[str], outer: tuple[set[str], ...]
) -> None:
    nodes = list(nodes)
    for node in nodes:
        for name in filter(None, node.output):
            if name in defined:
                raise InputError(f"{label(node)} defines {name}, which is defined already")
            defined.add(name)
    scopes = (defined, *outer)
    for node in nodes:
        for name in filter(None, node.input):
            if not any(name in scope for scope in scopes):
                raise InputError(f"{label(node)} reads {name}, which is defined nowhere")
        for body in _bodies(node):
            _check_scope(body.node, _names(body), [o.name for o in body.output], scopes)
    for name in outputs:
        if not any(name in scope for scope in scopes):
            raise InputError(f"output {name} is defined nowhere")


def _names(graph: GraphProto) -> set[str]:
    return {i.name for i in graph.input} | {i.name for i in graph.initializer}


def _sort(graph: GraphProto | onnx.FunctionProto) -> None:
    """Bring each node behind those that it reads from; a cycle has no such order."""
    nodes = list(graph.node)
    producer = {name: i for i, node in enumerate(nodes) for name in node.output if name}
    waits: list[set[int]] = []
    for i, node in enumerate(nodes):
        reads = {name for inner in _nested([node]) for name in inner.input}
        reads |= {o.name for inner in _nested([node]) for b in _bodies(inner) for o in b.output}
        wait = {producer[name] for name in reads if name in producer}
        if any(True for _ in _bodies(node)):
            # A body may name its own output as its node does.
            wait.discard(i)
        waits.append(wait)
    if all(max(wait, default=-1) < i for i, wait in enumerate(waits)):
        return
    readers: dict[int, list[int]] = {}
    for i, wait in enumerate(waits):
        for j in wait:
            readers.setdefault(j, []).append(i)
    ready = [i for i, wait in enumerate(waits) if not wait]
    heapq.heapify(ready)
    order: list[int] = []
    while ready:
        i = heapq.heappop(ready)
        order.append(i)
        for j in readers.get(i, ()):
            waits[j].discard(i)
            if not waits[j]:
                heapq.heappush(ready, j)
    if len(order) < len(nodes):
        stuck = next(node for i, node in enumerate(nodes) if waits[i])
        raise InputError(f"the graph has a cycle through {label(stuck)}: it cannot be run")
    copies = [onnx.NodeProto.FromString(nodes[i].SerializeToString()) for i in order]
    del graph.node[:]
    graph.node.extend(copies)


def _check_types(model: onnx.ModelProto) -> None:
    try:
        infer_shapes(model, strict=True)
    except Exception as error:
        text = str(error)
    else:
        return
    # No error in the model: a stale annotation (runtimes ignore it), a type that onnx could not
    # infer, or its own function operators where attributes are passed on to their bodies.
    harmless = ("existing shape", "instead is null")
    if any(words in text for words in harmless) or text.count("op_type:") > 1:
        return
    fault = re.search(r"\[(?:Type|Shape)InferenceError\]\s*(?!Inference error)(.*)", text, re.S)
    where = re.search(r"op_type:\s*([^,)]*)(?:,\s*node name:\s*([^)]*))?", text)
    node = f"node {where[2] or '?'} ({where[1]}): " if where else ""
    raise InputError(f"ill-typed graph: {node}{' '.join((fault[1] if fault else text).split())}")


def _graphs(model: onnx.ModelProto) -> Iterator[GraphProto]:
    yield model.graph
    for node in _nodes(model):
        yield from _bodies(node)


def _nodes(model: onnx.ModelProto) -> Iterator[NodeProto]:
    yield from _nested(model.graph.node)
    for function in model.functions:
        yield from _nested(function.node)


def _nested(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    for node in nodes:
        yield node
        for body in _bodies(node):
            yield from _nested(body.node)


def _bodies(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        elif attribute.type == AttributeProto.GRAPHS:
            yield from attribute.graphs


def _attribute_tensors(node: NodeProto) -> Iterator[TensorProto]:
    for attribute in node.attribute:
        if attribute.type == AttributeProto.TENSOR:
            yield attribute.t
        elif attribute.type == AttributeProto.TENSORS:
            yield from attribute.tensors
        elif attribute.type in (AttributeProto.SPARSE_TENSOR, AttributeProto.SPARSE_TENSORS):
            sparse: list[Any] = [attribute.sparse_tensor, *attribute.sparse_tensors]
            for entry in sparse:
                yield from (entry.values, entry.indices)


def all_tensors(model: onnx.ModelProto) -> Iterator[TensorProto]:
    """Every dense tensor of a model, in initializers and attributes, at any depth."""
    for graph in _graphs(model):
        yield from graph.initializer
    for node in _nodes(model):
        yield from _attribute_tensors(node)
