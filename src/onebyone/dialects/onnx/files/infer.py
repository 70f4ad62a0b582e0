"""Shape inference by onnx, kept from growing without bound."""

from __future__ import annotations

from collections.abc import Iterator

import onnx

# Elements of a list of sizes that onnx may follow through Shape, Concat and Gather: doubling a
# list forty times is a file of one kilobyte, and would take a terabyte.
_MAX_LIST = 100_000
# How onnx calls a tensor whose elements were left out.
_ABSENT = "does not match the actual num elements 0"
_INTEGERS = (onnx.TensorProto.INT64, onnx.TensorProto.INT32)


def infer_shapes(
    model: onnx.ModelProto, *, strict: bool = False, values: bool = True
) -> onnx.ModelProto:
    """The model with the types and shapes that onnx infers, also through shape arithmetic.

    Args:
        model: without its large weights.
        strict: raise where an operator cannot be given the operands that it has.
        values: follow shapes through arithmetic; onnx does so without overflow.

    Raises:
        Exception: onnx's own, of several types.
    """
    plain = onnx.shape_inference.infer_shapes(model, check_type=strict, strict_mode=strict)
    # The lists inside of functions are not shown, so they are not followed.
    if not values or model.functions or any(length > _MAX_LIST for length in _lists(plain.graph)):
        return plain
    try:
        return onnx.shape_inference.infer_shapes(
            model, check_type=strict, strict_mode=strict, data_prop=True
        )
    except Exception as error:
        # Values are looked up in a table of integers that was left out for its size.
        if _ABSENT not in str(error):
            raise
        return plain


def _lists(graph: onnx.GraphProto) -> Iterator[int]:
    """Lengths of the integer vectors of a graph and its bodies."""
    for value in (*graph.value_info, *graph.output, *graph.input):
        tensor = value.type.tensor_type
        if tensor.elem_type in _INTEGERS and len(tensor.shape.dim) == 1:
            yield tensor.shape.dim[0].dim_value
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _lists(attribute.g)
            elif attribute.type == onnx.AttributeProto.GRAPHS:
                for body in attribute.graphs:
                    yield from _lists(body)
