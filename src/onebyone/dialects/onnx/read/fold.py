"""Values that depend on constants alone, computed: exporters differ in what they leave to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

# What a model computes from constants is small: positions, masks, tables.
_MOST = 1 << 24
_RANDOM = ("Bernoulli", "Multinomial", "RandomNormal", "RandomUniform")


class Folder:
    """Evaluates nodes whose operands are constants, in onnxruntime."""

    def __init__(self, opset: int) -> None:
        self._opset = opset
        self._found: dict[ir.Value, np.ndarray[Any, Any]] = {}

    def elements(self, value: ir.Value) -> np.ndarray[Any, Any] | None:
        """The elements of a constant, None where the value depends on an input."""
        if value in self._found:
            return self._found[value]
        tensor = None if value.is_graph_input() else ir.convenience.get_const_tensor(value)
        return None if tensor is None else tensor.numpy()

    def knows(self, value: ir.Value) -> bool:
        """Whether a value was computed here."""
        return value in self._found

    def copy(self, source: ir.Value, target: ir.Value) -> None:
        """Let ``target`` be known to hold what ``source`` holds, if that is known."""
        if (elements := self.elements(source)) is not None:
            self._found[target] = elements

    def fold(self, node: ir.Node) -> bool:
        """Compute a node; False where it is left to the model."""
        if node.domain not in ("", "ai.onnx") or node.op_type in _RANDOM or not node.inputs:
            return False
        if any(a.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for a in _own(node)):
            return False
        inputs: dict[str, np.ndarray[Any, Any]] = {}
        for place, value in enumerate(node.inputs):
            if value is None:
                continue
            found = self.elements(value)
            if found is None or found.size > _MOST:
                return False
            inputs[value.name or f"input {place}"] = found
        outputs = self._evaluated(node, inputs)
        if outputs is None or any(out.size > _MOST for out in outputs):
            return False
        for value, out in zip(node.outputs, outputs, strict=False):
            self._found[value] = out
            value.shape = ir.Shape(out.shape)
        return True

    def _evaluated(
        self, node: ir.Node, inputs: dict[str, np.ndarray[Any, Any]]
    ) -> list[np.ndarray[Any, Any]] | None:
        import onnx
        import onnxruntime as ort
        from onnx import helper

        proto = ir.to_proto(node)
        ports = [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
            )
            for name, array in inputs.items()
        ]
        results = [onnx.ValueInfoProto(name=v.name or "") for v in node.outputs if v.name]
        graph = helper.make_graph([proto], "constant", ports, results)
        opsets = [helper.make_opsetid("", self._opset)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        try:
            session = ort.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
            found = session.run(None, inputs)
        # The runtime lacks operators and types; what it cannot do stays in the model.
        except Exception:
            return None
        arrays = [out for out in found if isinstance(out, np.ndarray)]
        return arrays if len(arrays) == len(node.outputs) else None


def _own(node: ir.Node) -> list[ir.Attr]:
    return list(node.attributes.values())
