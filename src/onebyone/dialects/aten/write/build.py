"""The new graph while it grows: nodes, names, what they yield, and where they came from."""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import fx
from torch._dispatch.python import enable_python_dispatcher

from onebyone.axes.graph import Node, Value
from onebyone.dialects.aten.values import (
    Native,
    arguments,
    fake,
    op_name,
    schema_of,
    spread,
    tags_of,
)
from onebyone.errors import InexpressibleError

aten = torch.ops.aten

# What a new node inherits from the one that it comes from.
_TRACE = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn")
# Their results depend on more than the types and shapes of their operands.
_UNTRACED = frozenset({torch.Tag.dynamic_output_shape, torch.Tag.data_dependent_output})


class Build:
    """Appends nodes, gives them names that nobody has, and traces what they yield.

    Attributes:
        graph: the new graph.
        copies: for each original node that was copied, the copy.
        mode: in which fake tensors live; None where the program has none.
    """

    def __init__(self, original: fx.Graph) -> None:
        self.graph = fx.Graph()
        self.copies: dict[fx.Node, fx.Node] = {}
        vals = [fake(node) for node in original.nodes]
        self.mode: Any = next((val.fake_mode for val in vals if hasattr(val, "fake_mode")), None)
        self._names = {node.name for node in original.nodes}

    def op(
        self,
        target: Any,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any] | None = None,
        *,
        like: Value | None = None,
        origin: fx.Node | None = None,
        rule: str = "layout",
    ) -> fx.Node:
        """Append a new node; it records the rule and where it came from.

        Args:
            target: the operator.
            args: of the call, in nodes of the new graph.
            kwargs: likewise.
            like: the value that it yields.
            origin: the original node that it stands for.
            rule: why it is there.
        """
        if origin is None and like is not None and isinstance(like.tensor.key, fx.Node):
            origin = like.tensor.key
        base = origin.name if origin is not None else like.tensor.name if like else "size"
        schema = schema_of(target)
        word = schema.name.partition("::")[2] if schema is not None else target.__name__
        name = self._unique(f"{base}_{word}")
        node = self.graph.create_node("call_function", target, args, dict(kwargs or {}), name)
        if origin is not None:
            node.meta.update({key: origin.meta[key] for key in _TRACE if key in origin.meta})
        node.meta["custom"] = {"onebyone.rule": rule, "onebyone.from": base}
        node.meta["val"] = self._traced(target, args, kwargs or {})
        return node

    def call(self, target: Any, given: Mapping[str, Any], **about: Any) -> fx.Node:
        """As `op`, with arguments by name."""
        args, kwargs = spread(target, given)
        return self.op(target, args, kwargs, **about)

    def instead(
        self, node: Node, target: Any, args: tuple[Any, ...], rule: str = "layout"
    ) -> fx.Node:
        """As `op`, in place of the native node of an axis node."""
        return self.op(target, args, origin=node.natives[0].node, rule=rule)

    def clone(
        self, node: Node, inputs: Iterable[Any], changed: Mapping[str, Any] | None = None
    ) -> list[fx.Node]:
        """The native node again, with other operands and some other arguments.

        Args:
            node: means the native operator, and nothing less.
            inputs: what its operands are now.
            changed: the other arguments, by name.

        Raises:
            InexpressibleError: the operator has no such argument.
        """
        native: Native = node.natives[0]
        given = arguments(native.node)
        for name, tensor in zip(native.names, inputs, strict=False):
            if isinstance(name, str):
                given[name] = tensor
            else:
                items = list(given[name[0]])
                items[name[1]] = tensor
                given[name[0]] = items
        given.update(changed or {})
        unknown = given.keys() - {a.name for a in schema_of(native.node.target).arguments}
        if unknown:
            raise InexpressibleError(f"{native.op} has no argument {', '.join(sorted(unknown))}")
        new = self.call(native.node.target, given, origin=native.node)
        return self.results(new, len(node.results), native.node)

    def results(self, new: fx.Node, count: int, origin: fx.Node) -> list[fx.Node]:
        """The nodes that hold what a node yields."""
        if not isinstance(fake(new), list | tuple):
            return [new]
        return [self.op(operator.getitem, (new, n), origin=origin) for n in range(count)]

    def copy(self, node: fx.Node, given: Mapping[fx.Node, Any]) -> fx.Node:
        """An original node again, with its name and metadata, reading ``given`` instead."""
        new = self.graph.node_copy(node, lambda source: given[source])
        # fx would rename what is called as a builtin of Python, such as ``input``.
        new.name = node.name
        self.copies[node] = new
        if schema_of(node.target) is not None and not _UNTRACED & tags_of(node.target):
            try:
                new.meta["val"] = self._traced(node.target, new.args, new.kwargs)
            except (RuntimeError, ValueError):
                if op_name(node) not in ("view", "_unsafe_view"):
                    raise
                # A view needs strides that its operand no longer has.
                new.target = aten.reshape.default
                new.meta["val"] = self._traced(new.target, new.args, new.kwargs)
        return new

    def _unique(self, name: str) -> str:
        """A name that no node has, in the old graph or the new one."""
        clean = "".join(c if c.isalnum() or c == "_" else "_" for c in name)
        unused, count = clean, 0
        while unused in self._names:
            count += 1
            unused = f"{clean}_{count}"
        self._names.add(unused)
        return unused

    def _traced(self, target: Any, args: Any, kwargs: Any) -> Any:
        """What a call yields, computed on fake tensors."""
        fakes, fake_kwargs = fx.map_arg((tuple(args), dict(kwargs)), lambda n: n.meta["val"])
        quiet: Any = contextlib.nullcontext()
        if self.mode is not None and self.mode.shape_env is not None:
            quiet = self.mode.shape_env.suppress_guards()
        # Through Python: some kernels in C++ take symbolic sizes for the numbers of the example.
        mode = self.mode or contextlib.nullcontext()
        with torch.no_grad(), quiet, mode, enable_python_dispatcher():
            return target(*fakes, **fake_kwargs)
