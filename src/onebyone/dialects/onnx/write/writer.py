"""Write a planned axis graph back into the ONNX model that it was read from.

A node whose forms are the native ones stays the same object. Everything else is expressed anew;
reshapes and transposes appear only where a form is demanded that nobody has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx_ir as ir

from onebyone.axes.graph import AxisGraph, Form, Node, Value, order_of, sharing_natives
from onebyone.axes.positional import Kind
from onebyone.axes.sizes import product
from onebyone.dialects.onnx.bodies import ONNX_DOMAINS
from onebyone.dialects.onnx.read.reader import Reader
from onebyone.dialects.onnx.write.calls import drop_functions
from onebyone.dialects.onnx.write.constants import Constants
from onebyone.dialects.onnx.write.dead import detach
from onebyone.dialects.onnx.write.express import express
from onebyone.dialects.onnx.write.sizes import SizeVectors
from onebyone.layout.plan import Plan

_RULE = "onebyone.rule"
_SOURCE = "onebyone.from"


class Emitter:
    """Builds the new node list of one graph."""

    def __init__(self, model: ir.Model, plan: Plan, reader: Reader) -> None:
        self.model, self.plan, self.reader = model, plan, reader
        self.graph: AxisGraph = plan.graph
        self.opset = reader.opset
        self.nodes: list[ir.Node] = []
        self.have: dict[Value, dict[Form, ir.Value]] = {}
        self._names = {v.name for n in model.graph for v in n.outputs if v.name}
        self._names |= {v.name for v in model.graph.inputs if v.name}
        self._names |= set(model.graph.initializers)
        bodies = reader.speller.nodes
        self._names |= {v.name for n in bodies for v in n.outputs if v.name}
        self._output_names = {tensor.key.name for tensor in plan.graph.outputs}
        self._node_names = {n.name for n in (*model.graph, *bodies) if n.name}
        self._pushed: set[ir.Node] = set()
        self._waiting: dict[Value, Node] = {}
        self._groups = sharing_natives(self.graph)
        self._relayouts: dict[tuple[Value, Form], list[tuple[ir.Node, Form]]] = {}
        for relayout in self.graph.relayouts:
            if relayout.native is None:
                continue  # between the parts of a native node
            source, target = self.graph.views[relayout.source], self.graph.views[relayout.target]
            self._relayouts.setdefault((target.value, target.form), []).append(
                (relayout.native, source.form)
            )
        self._moves = {(move.value, move.target): variant for move, variant in plan.forms.moves}
        self.constants = Constants(self)
        self.sizes = SizeVectors(self)

    def run(self) -> None:
        """Replace the nodes of the model's graph."""
        graph = self.model.graph
        for tensor in self.graph.inputs:
            view = self.graph.views[tensor]
            self.have[view.value] = {view.form: tensor.key}
        for node in self.graph.nodes:
            if node.kind is Kind.SIZES and not self.is_kept(node):
                self._waiting[node.results[0].value] = node
            else:
                self._emit(node)
        outputs = [self._output(tensor.key) for tensor in self.graph.outputs]
        old = list(graph)
        graph.remove(old)
        for node in (*old, *self.reader.speller.nodes):
            if node not in self._pushed:
                detach(node)
        graph.extend(self.nodes)
        for place, value in enumerate(outputs):
            graph.outputs[place] = value
        self.constants.finish()
        drop_functions(self.model, old)

    # ---- values -------------------------------------------------------------------------------

    def get(self, value: Value, form: Form) -> ir.Value:
        """The ONNX value that holds ``value`` in ``form``, made where nobody has it."""
        if value.constant:
            return self.constants.get(value, form)
        if value in self._waiting:
            self._sizes(self._waiting.pop(value))
        held = self.have.setdefault(value, {})
        if form not in held:
            native = self._native_relayout(value, form)
            held[form] = native if native is not None else self._made(value, form)
        return held[form]

    def native(self, value: ir.Value, *, resolved: bool = False) -> ir.Value:
        """The value that now holds what the original model's ``value`` held.

        Args:
            value: of the original model.
            resolved: give a constant behind reshapes and transposes as an initializer.
        """
        tensor = self.reader.tensors[value]
        if tensor not in self.graph.views:
            # A constant that no operation reads, such as a Gemm's C where beta is 0.
            if (producer := value.producer()) is not None and producer not in self._pushed:
                self.push(producer)
            return value
        view = self.graph.views[tensor]
        if view.value.constant and tensor is not view.value.tensor and not resolved:
            return self._as_it_was(value)
        return self.get(view.value, view.form)

    def native_view(self, value: Value, form: Form) -> ir.Value | None:
        """The original's own view of a constant in a form, where there is one."""
        for native, _ in self._relayouts.get((value, form), ()):
            return self._as_it_was(native.outputs[0])
        return None

    def _as_it_was(self, value: ir.Value) -> ir.Value:
        """A view of a constant, made by the nodes that made it."""
        producer = value.producer()
        assert producer is not None, "a view is made by a reshape or a transpose"
        if producer not in self._pushed:
            for index, source in enumerate(producer.inputs):
                if source is not None:
                    producer.replace_input_with(index, self.native(source))
            self.push(producer)
        return value

    def put(self, value: Value, form: Form, held: ir.Value) -> None:
        """Record that ``held`` holds ``value`` in ``form``."""
        self.have.setdefault(value, {})[form] = held

    def _native_relayout(self, value: Value, form: Form) -> ir.Value | None:
        """The original's own reshape or transpose, where its source is at hand."""
        for native, source in self._relayouts.get((value, form), ()):
            if source in self.have[value] and native not in self._pushed:
                native.replace_input_with(0, self.have[value][source])
                for index, parameter in enumerate(native.inputs[1:], 1):
                    if parameter is not None:
                        native.replace_input_with(index, self.native(parameter))
                self.push(native)
                return native.outputs[0]
        return None

    def _made(self, value: Value, form: Form) -> ir.Value:
        order = order_of(form)
        held = self.have[value]
        same = [f for f in held if order_of(f) == order]
        if same:
            source = same[0]
            return self.reshape(value, source, form)
        variant = self._moves.get((value, order))
        if variant is None:
            source = tuple((axis,) for axis in order_of(next(iter(held))))
            target: Form = tuple((axis,) for axis in order)
        else:
            source, target = variant.reads[0], variant.writes[0]
        if target != form and target not in held:
            held[target] = self._transposed(value, source, target)
            return self.get(value, form)
        return held[target] if target in held else self._transposed(value, source, target)

    def _transposed(self, value: Value, source: Form, target: Form) -> ir.Value:
        held = self.get(value, source)
        native = self._native_relayout(value, target)
        if native is not None:
            return native
        places = list(range(len(source)))
        perm: list[int] = []
        for group in target:
            place = next(p for p in places if source[p] == group)
            places.remove(place)
            perm.append(place)
        found = self.op("Transpose", [held], {"perm": perm}, like=value)
        return self.shaped(found, value, target)

    def reshape(self, value: Value, source: Form, form: Form) -> ir.Value:
        """A reshape between two forms of the same order."""
        shape = self.sizes.reshape(value, source, form)
        found = self.op("Reshape", [self.have[value][source], shape], {}, like=value)
        return self.shaped(found, value, form)

    # ---- nodes --------------------------------------------------------------------------------

    def op(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        attributes: Mapping[str, object],
        *,
        like: Value | None = None,
        rule: str = "layout",
        name: str = "",
    ) -> ir.Value:
        """Append a new node with one output."""
        base = name or (like.tensor.name if like is not None else "") or op_type
        node = ir.node(op_type, list(inputs), dict(attributes))  # pyright: ignore[reportArgumentType]
        self.adopt(node, name or f"{base}/{op_type}", rule, like.tensor.name if like else base)
        node.outputs[0].name = self.unique(f"{base}/{op_type}")
        return node.outputs[0]

    def adopt(self, node: ir.Node, name: str, rule: str, source: str) -> None:
        """Append a node that this tool made; it records the rule and where it came from."""
        node.name = name
        while node.name in self._node_names:
            node.name += "_"
        self._node_names.add(node.name)
        node.metadata_props[_RULE] = rule
        node.metadata_props[_SOURCE] = source
        self.push(node)

    def push(self, node: ir.Node) -> None:
        """Append a node to the new graph."""
        self._pushed.add(node)
        self.nodes.append(node)
        if node.domain not in self.model.opset_imports and node.domain not in ONNX_DOMAINS:
            # A node of a function's body.
            self.model.opset_imports[node.domain] = self.reader.speller.opsets[node.domain]

    def unique(self, name: str) -> str:
        """A value name that nobody has."""
        found, count = name, 1
        while found in self._names:
            count += 1
            found = f"{name}_{count}"
        self._names.add(found)
        return found

    def shaped(self, held: ir.Value, value: Value, form: Form) -> ir.Value:
        """Annotate a value with its type and shape."""
        dims = [product([value.sizes[axis] for axis in group]) for group in form]
        held.shape = ir.Shape([str(d) if d.known is None else d.known for d in dims])
        dtype = value.tensor.key.dtype if value.tensor.key is not None else None
        if dtype is None and value.tensor.dtype:
            dtype = ir.DataType[value.tensor.dtype.upper()]
        if dtype is not None:
            held.type = ir.TensorType(dtype)
        return held

    def is_kept(self, node: Node) -> bool:
        """Whether the native nodes of an axis node stay as they are."""
        for member in self._groups[node]:
            variant = self.plan.forms.nodes[member]
            for use, form in zip(member.operands, variant.reads, strict=True):
                if use is not None and form is not None and form != use.form:
                    return False
            for use, form in zip(member.results, variant.writes, strict=True):
                if form != use.form:
                    return False
            if variant.tag in ("conv", "linear", "spelled"):
                # The forms may be those of the native node, the operator is not.
                return False
            if member.kind is Kind.SIZES:
                source = member.operands[0]
                assert source is not None
                if source.form not in self.have.get(source.value, {}):
                    return False
        return True

    def _emit(self, node: Node) -> None:
        if not self.is_kept(node):
            variant = self.plan.forms.nodes[node]
            inputs = [
                None if use is None or form is None else self.get(use.value, form)
                for use, form in zip(node.operands, variant.reads, strict=True)
            ]
            held = express(self, node, variant, inputs)
            for use, form, value in zip(node.results, variant.writes, held, strict=True):
                self.put(use.value, form, self.shaped(value, use.value, form))
            return
        group = self._groups[node]
        if node is group[-1]:
            for member in group:
                for use in member.inner:
                    self.put(use.value, use.form, use.value.tensor.key)
            for native in dict.fromkeys(n for member in group for n in member.natives):
                self._keep(native, group)
            for member in group:
                for use in member.results:
                    if use.value.tensor.key is not None:
                        self.put(use.value, use.form, use.value.tensor.key)

    def _keep(self, native: ir.Node, group: list[Node]) -> None:
        """Keep a native node, reading what its inputs have become."""
        own = {n for member in group for n in member.natives}
        # The weight of a layer is better an initializer than a view of one.
        resolved = any(member.kind is Kind.CONTRACT for member in group)
        for index, value in enumerate(native.inputs):
            if value is not None and value.producer() not in own:
                native.replace_input_with(index, self.native(value, resolved=resolved))
        for member in group:
            for use in member.operands[len(native.inputs) :]:
                # What a nested graph reads; it refers to the value itself.
                if (
                    use is not None
                    and use.value.tensor.key is not None
                    and member.kind is Kind.OPAQUE
                ):
                    self._captured(native, use.value, use.form)
        self.push(native)

    def _captured(self, native: ir.Node, value: Value, form: Form) -> None:
        held = self.get(value, form)
        for tensor, view in self.graph.views.items():
            if view.value is value and view.form == form and tensor.key is not held:
                replace_in_nested(native, tensor.key, held)

    def _sizes(self, node: Node) -> None:
        """The shape of a tensor that is no longer there in its native form."""
        use = node.results[0]
        contents = use.value.tensor.contents
        assert contents is not None
        held = self.sizes.vector(contents)
        if not use.form:
            held = self.op("Squeeze", [held], {}, like=use.value)
        self.put(use.value, use.form, self.shaped(held, use.value, use.form))

    def _kept_copy(self, old: ir.Value) -> bool:
        """Keep the node that copies a value of the same form to a graph output, where there is."""
        producer = old.producer()
        source = None if producer is None else next(iter(producer.inputs), None)
        if producer is None or source is None or producer in self._pushed:
            return False
        a, b = (self.graph.views.get(self.reader.tensors[v]) for v in (source, old))
        if a is None or b is None or (a.value, a.form) != (b.value, b.form):
            return False
        for index, value in enumerate(producer.inputs):
            if value is not None:
                producer.replace_input_with(index, self.native(value))
        self.push(producer)
        return True

    def _output(self, old: ir.Value) -> ir.Value:
        """The value of a graph output, under the output's own name, type and shape."""
        held = self.native(old)
        if held is old:
            return old
        taken = held.is_graph_input() or held.is_graph_output() or held.is_initializer()
        if taken and self._kept_copy(old):
            return old
        if taken or held.producer() not in self._pushed or held.name in self._output_names:
            held = self.op("Identity", [held], {}, name=old.name or "")
        name = old.name
        old.name = self.unique(f"{name}/original")
        held.name = name
        held.type, held.shape = old.type, old.shape
        held.doc_string = old.doc_string
        held.metadata_props.update(old.metadata_props)
        return held


def replace_in_nested(node: ir.Node, old: ir.Value, new: ir.Value) -> None:
    """Let the nested graphs of ``node`` read ``new`` where they read ``old``."""
    from onebyone.dialects.onnx.read.reader import nested_graphs

    for graph in nested_graphs(node):
        for inner in ir.traversal.RecursiveGraphIterator(graph):
            for index, value in enumerate(inner.inputs):
                if value is old:
                    inner.replace_input_with(index, new)
