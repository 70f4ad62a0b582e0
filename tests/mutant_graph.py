"""An ONNX model that is easy to break: nodes, constants and shapes by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import onnx
from onnx import helper, numpy_helper

Node: TypeAlias = Any
Array: TypeAlias = np.ndarray[Any, Any]


class Graph:
    """A copy of a model, with constants as arrays and the shapes that inference finds."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = onnx.ModelProto()
        self.model.CopyFrom(model)
        graph = self.model.graph
        self.nodes = graph.node
        self.constants: dict[str, Array] = {
            t.name: numpy_helper.to_array(t) for t in graph.initializer
        }
        for node in graph.node:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                self.constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
            elif node.op_type == "Constant" and node.attribute[0].name.startswith("value_"):
                value = helper.get_attribute_value(node.attribute[0])
                real = "float" in node.attribute[0].name
                self.constants[node.output[0]] = np.array(value, "f4" if real else "i8")
        self.shapes: dict[str, tuple[int, ...]] = {}
        self._real: set[str] = set()
        inferred = onnx.shape_inference.infer_shapes(self.model, data_prop=True).graph
        for value in (*inferred.input, *inferred.value_info, *inferred.output):
            tensor = value.type.tensor_type
            if tensor.elem_type in (1, 10, 11, 16):
                self._real.add(value.name)
            if tensor.HasField("shape"):
                self.shapes[value.name] = tuple(d.dim_value or -1 for d in tensor.shape.dim)
        for name, array in self.constants.items():
            self.shapes[name] = array.shape
        self._fresh = 0

    # Reading.

    def ops(self, *names: str) -> list[Node]:
        return [n for n in self.nodes if n.op_type in names]

    def shape0(self, node: Node) -> tuple[int, ...]:
        return self.shapes.get(node.input[0], ())

    def is_real(self, name: str) -> bool:
        return name in self._real

    def layers(self) -> list[tuple[Node, int]]:
        """Nodes with a constant weight, and the position of the weight."""
        found = []
        for node in self.ops("MatMul", "Gemm", "Conv"):
            found += [(node, i) for i in (0, 1) if self._is_weight(node.input[i])][:1]
        return found

    def weights(self, least: int = 2) -> list[str]:
        names = [node.input[i] for node, i in self.layers()]
        return sorted({n for n in names if self.constants[n].size >= least})

    def _is_weight(self, name: str) -> bool:
        constant = self.constants.get(name)
        return constant is not None and constant.ndim > 1 and constant.dtype.kind == "f"

    def biases(self) -> list[tuple[Node, int]]:
        """Constant vectors that are added, and are not all zero."""
        found = [
            (n, 2) for n in self.ops("Gemm", "Conv", "LayerNormalization")
            if len(n.input) > 2 and self._counts(n.input[2])
        ]  # fmt: skip
        for node in self.ops("Add"):
            found += [
                (node, i) for i, x in enumerate(node.input)
                if self._counts(x) and self.constants[x].size > 1
            ]  # fmt: skip
        return found

    def _counts(self, name: str) -> bool:
        constant = self.constants.get(name)
        return constant is not None and constant.dtype.kind == "f" and bool(np.any(constant))

    def scaled(self, node: Node) -> bool:
        """Whether a norm's result matters: its scale is not all zero."""
        return node.input[1] not in self.constants or bool(np.any(self.constants[node.input[1]]))

    def origin(self, name: str) -> str:
        """The value behind reshapes and transposes."""
        producers = {o: n for n in self.nodes for o in n.output}
        while name in producers and producers[name].op_type in (
            "Reshape",
            "Transpose",
            "Unsqueeze",
        ):
            name = producers[name].input[0]
        return name

    def kernel(self, node: Node) -> Sequence[int]:
        return self.shapes.get(node.input[1], (1, 1))[2:]

    def moves(self, node: Node) -> bool:
        """Whether a transpose changes the order of its elements."""
        shape = self.shape0(node)
        perm = self.attribute(node, "perm", list(range(len(shape)))[::-1])
        kept = [a for a in perm if shape[a] != 1]
        return kept != sorted(kept)

    def attribute(self, node: Node, name: str, default: Any) -> Any:
        for attribute in node.attribute:
            if attribute.name == name:
                return helper.get_attribute_value(attribute)
        return default

    # Writing.

    def set_attribute(self, node: Node, name: str, value: Any) -> None:
        self.drop_attribute(node, name)
        node.attribute.append(helper.make_attribute(name, value))

    def drop_attribute(self, node: Node, name: str) -> None:
        for i in reversed(range(len(node.attribute))):
            if node.attribute[i].name == name:
                del node.attribute[i]

    def set_constant(self, name: str, value: Array) -> None:
        """Change a constant for all of its readers."""
        tensor = numpy_helper.from_array(np.ascontiguousarray(value), name)
        for old in self.model.graph.initializer:
            if old.name == name:
                old.CopyFrom(tensor)
        for node in self.nodes:
            if node.op_type == "Constant" and node.output[0] == name:
                del node.attribute[:]
                node.attribute.append(helper.make_attribute("value", tensor))

    def add_constant(self, value: Array) -> str:
        self._fresh += 1
        name = f"mutant_{self._fresh}"
        self.model.graph.initializer.append(
            numpy_helper.from_array(np.ascontiguousarray(value), name)
        )
        return name

    def rename_output(self, node: Node) -> str:
        """Give a node's first output a new name; returns the old one, free to be made again."""
        old = node.output[0]
        node.output[0] = f"{old}_before"
        return old

    def read_instead(self, old: str, new: str) -> None:
        for node in self.nodes:
            for i, name in enumerate(node.input):
                if name == old:
                    node.input[i] = new

    def replace_value(self, old: str, new: str) -> None:
        """Make every reader of ``old``, the graph's outputs too, read ``new``."""
        producer = next(n for n in self.nodes if old in n.output)
        self.replace_node(
            producer, helper.make_node("Identity", [new], [old], f"{producer.name}_i")
        )

    def replace_node(self, node: Node, new: Node) -> None:
        at = self._index(node)
        del self.nodes[at]
        self.nodes.insert(at, new)

    def insert_before(self, node: Node, new: Node) -> None:
        self.nodes.insert(self._index(node), new)

    def insert_after(self, node: Node, new: Node) -> None:
        self.nodes.insert(self._index(node) + 1, new)

    def prepend(self, new: list[Node]) -> None:
        for node in reversed(new):
            self.nodes.insert(0, node)

    def _index(self, node: Node) -> int:
        return next(i for i, n in enumerate(self.nodes) if n is node or n == node)
