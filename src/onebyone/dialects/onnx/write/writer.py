"""Write a planned axis graph back into the ONNX model that it was read from.

A node whose forms are the native ones stays the same object. Everything else is expressed anew;
reshapes and transposes appear only where a form is demanded that nobody has.
"""

from __future__ import annotations

import onnx_ir as ir

from onebyone.axes.graph import Form, Node, Value
from onebyone.axes.positional import Kind
from onebyone.dialects.onnx.bodies import ONNX_DOMAINS
from onebyone.dialects.onnx.read.reader import Reader
from onebyone.dialects.onnx.write.build import Build, annotated
from onebyone.dialects.onnx.write.calls import drop_functions
from onebyone.dialects.onnx.write.constants import Constants
from onebyone.dialects.onnx.write.context import Context
from onebyone.dialects.onnx.write.dead import detach, replace_in_nested
from onebyone.dialects.onnx.write.express import EXPRESSIONS
from onebyone.dialects.onnx.write.sizes import SizeVectors
from onebyone.layout.plan import Plan
from onebyone.lower.holdings import Holdings


class Writer:
    """Builds the new node list of one graph; `reshaped`, `permuted` and `again` are its Builder."""

    def __init__(self, model: ir.Model, plan: Plan, reader: Reader) -> None:
        self._model, self._plan, self._reader = model, plan, reader
        self._output_names = {tensor.key.name for tensor in plan.graph.outputs}
        # Nodes that yield shapes, written where those are read.
        self._waiting: dict[Value, Node] = {}
        self._build = Build(model.graph, reader.opset, reader.speller.nodes)
        self._holdings: Holdings[ir.Value] = Holdings(plan, self)
        self._constants = Constants(plan, self._build, self._holdings, self._viewed)
        self._sizes = SizeVectors(self._build, self._holdings, self._constants)
        self._context = Context(self._build, self._holdings, self._constants, self._sizes)

    def run(self) -> None:
        """Replace the nodes of the model's graph."""
        graph, planned = self._model.graph, self._plan.graph
        for tensor in planned.inputs:
            view = planned.views[tensor]
            self._holdings.put(view.value, view.form, tensor.key)
        for node in planned.nodes:
            if node.kind is Kind.SIZES and not self._holdings.is_kept(node):
                self._waiting[node.results[0].value] = node
            else:
                self._write(node)
        outputs = [self._output(tensor.key) for tensor in planned.outputs]
        old = list(graph)
        graph.remove(old)
        for node in (*old, *self._reader.speller.nodes):
            if not self._build.has(node):
                detach(node)
        graph.extend(self._build.nodes)
        for place, value in enumerate(outputs):
            graph.outputs[place] = value
        self._constants.finish()
        self._import_domains()
        drop_functions(self._model, old)

    def _import_domains(self) -> None:
        """Of nodes out of a function's body, whose domains the model itself did not need."""
        imports = self._model.opset_imports
        for node in self._build.nodes:
            if node.domain not in imports and node.domain not in ONNX_DOMAINS:
                imports[node.domain] = self._reader.speller.opsets[node.domain]

    # ---- values -------------------------------------------------------------------------------

    def reshaped(self, value: Value, tensor: ir.Value, source: Form, form: Form) -> ir.Value:
        """A new Reshape."""
        return annotated(self._sizes.reshaped(value, tensor, source, form), value, form)

    def permuted(self, value: Value, tensor: ir.Value, order: list[int], form: Form) -> ir.Value:
        """A new Transpose."""
        made = self._build.op("Transpose", [tensor], {"perm": order}, like=value)
        return annotated(made, value, form)

    def again(self, native: ir.Node, tensor: ir.Value) -> ir.Value | None:
        """The original's own reshape or transpose, where it is not written yet."""
        if self._build.has(native):
            return None
        native.replace_input_with(0, tensor)
        for index, parameter in enumerate(native.inputs[1:], 1):
            if parameter is not None:
                native.replace_input_with(index, self._native(parameter))
        self._build.push(native)
        return native.outputs[0]

    def _get(self, value: Value, form: Form) -> ir.Value:
        """The ONNX value that holds ``value`` in ``form``, made where nobody has it."""
        if value.constant:
            return self._constants.get(value, form)
        if value in self._waiting:
            self._write_sizes(self._waiting.pop(value))
        return self._holdings.get(value, form)

    def _native(self, value: ir.Value, *, resolved: bool = False) -> ir.Value:
        """The value that now holds what the original model's ``value`` held.

        Args:
            value: of the original model.
            resolved: give a constant behind reshapes and transposes as an initializer.
        """
        tensor = self._reader.tensors[value]
        if tensor not in self._plan.graph.views:
            # No operation reads it: a constant, such as a Gemm's C where beta is 0, or an empty
            # operand of a Concat.
            if (producer := value.producer()) is not None and not self._build.has(producer):
                self._push_reading(producer)
            return value
        view = self._plan.graph.views[tensor]
        if view.value.constant and tensor is not view.value.tensor and not resolved:
            return self._viewed(value)
        return self._get(view.value, view.form)

    def _viewed(self, value: ir.Value) -> ir.Value:
        """A view of a constant, made by the nodes that made it."""
        producer = value.producer()
        assert producer is not None, "a view is made by a reshape or a transpose"
        if not self._build.has(producer):
            self._push_reading(producer)
        return value

    def _push_reading(self, node: ir.Node) -> None:
        """Append a node of the original that reads what its inputs have become."""
        for index, source in enumerate(node.inputs):
            if source is not None:
                node.replace_input_with(index, self._native(source))
        self._build.push(node)

    # ---- nodes --------------------------------------------------------------------------------

    def _write(self, node: Node) -> None:
        if not self._holdings.is_kept(node):
            variant = self._plan.forms.nodes[node]
            inputs = [
                None if use is None or form is None else self._get(use.value, form)
                for use, form in zip(node.operands, variant.reads, strict=True)
            ]
            results = EXPRESSIONS.write(self._context, node, variant, inputs)
            for use, form, result in zip(node.results, variant.writes, results, strict=True):
                self._holdings.put(use.value, form, annotated(result, use.value, form))
            return
        group = self._holdings.sharing(node)
        if node is group[-1]:
            self._keep(group)

    def _keep(self, group: list[Node]) -> None:
        """Keep the native nodes of axis nodes that share them."""
        for member in group:
            for use in member.inner:
                self._holdings.put(use.value, use.form, use.value.tensor.key)
        for native in dict.fromkeys(n for member in group for n in member.natives):
            self._keep_native(native, group)
        for member in group:
            for use in member.results:
                if use.value.tensor.key is not None:
                    self._holdings.put(use.value, use.form, use.value.tensor.key)

    def _keep_native(self, native: ir.Node, group: list[Node]) -> None:
        """Keep a native node, reading what its inputs have become."""
        together = {n for member in group for n in member.natives}
        # The weight of a layer is better an initializer than a view of one.
        resolved = any(member.kind is Kind.CONTRACT for member in group)
        for index, value in enumerate(native.inputs):
            if value is not None and value.producer() not in together:
                native.replace_input_with(index, self._native(value, resolved=resolved))
        for member in group:
            for use in member.operands[len(native.inputs) :]:
                # What a nested graph reads; it refers to the value itself.
                if (
                    use is not None
                    and use.value.tensor.key is not None
                    and member.kind is Kind.OPAQUE
                ):
                    self._capture(native, use.value, use.form)
        self._build.push(native)

    def _capture(self, native: ir.Node, value: Value, form: Form) -> None:
        captured = self._get(value, form)
        for tensor, view in self._plan.graph.views.items():
            if view.value is value and view.form == form and tensor.key is not captured:
                replace_in_nested(native, tensor.key, captured)

    def _write_sizes(self, node: Node) -> None:
        """The shape of a tensor that is no longer there in its native form."""
        use = node.results[0]
        contents = use.value.tensor.contents
        assert contents is not None
        vector = self._sizes.vector(contents)
        if not use.form:
            vector = self._build.op("Squeeze", [vector], like=use.value)
        self._holdings.put(use.value, use.form, annotated(vector, use.value, use.form))

    # ---- outputs ------------------------------------------------------------------------------

    def _keep_copy(self, old: ir.Value) -> bool:
        """Keep the node that copies a value of the same form to a graph output, where there is."""
        producer = old.producer()
        source = None if producer is None else next(iter(producer.inputs), None)
        if producer is None or source is None or self._build.has(producer):
            return False
        views = self._plan.graph.views
        a, b = (views.get(self._reader.tensors[v]) for v in (source, old))
        if a is None or b is None or (a.value, a.form) != (b.value, b.form):
            return False
        self._push_reading(producer)
        return True

    def _output(self, old: ir.Value) -> ir.Value:
        """The value of a graph output, under the output's own name, type and shape."""
        value = self._native(old)
        if value is old:
            return old
        taken = value.is_graph_input() or value.is_graph_output() or value.is_initializer()
        if taken and self._keep_copy(old):
            return old
        if taken or not self._build.has(value.producer()) or value.name in self._output_names:
            value = self._build.op("Identity", [value], name=old.name or "")
        name = old.name
        old.name = self._build.unique(f"{name}/original")
        value.name = name
        value.type, value.shape = old.type, old.shape
        value.doc_string = old.doc_string
        value.metadata_props.update(old.metadata_props)
        return value
