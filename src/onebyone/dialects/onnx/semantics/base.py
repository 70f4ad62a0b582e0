"""What rows share: the call, and attributes and operands as kernels take them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeAlias

import numpy as np
import onnx
import onnx_ir as ir

from onebyone.kernels import precision
from onebyone.kernels.arithmetic import Arithmetic, Tensor, quiet
from onebyone.kernels.elementwise import Kernel
from onebyone.kernels.errors import UnsupportedError
from onebyone.kernels.operands import ints

Result: TypeAlias = Tensor | tuple[Tensor | None, ...]

# ``operator(arithmetic, call, *inputs)``
Operator: TypeAlias = Callable[..., Result]
Table: TypeAlias = dict[tuple[str, str], Operator]

# Attributes that change no result of inference, whatever the operator. What is broadcast without
# an axis is broadcast as in numpy; the order of TopK without "sorted" is any.
_WITHOUT_EFFECT = frozenset(
    "broadcast consumed_inputs is_test momentum sorted stash_type storage_order".split()
)


@dataclass(frozen=True)
class Call:
    """A node without its wiring.

    Attributes:
        op: operator type.
        version: opset version of its domain.
        attributes: attribute values as Python numbers, strings, tuples, tensors or graphs.
        outputs: number of outputs that the node names.
        unit: unit roundoff of the node's operands (0 where all are exact).
        domain: its domain, "" for ONNX's.
        units: unit roundoff of each operand.
        kinds: name of the type of each operand, "" where the file does not tell it.
        asked: attributes that were asked for. One that is given and that nobody asks for would
            be ignored.
    """

    op: str
    version: int
    attributes: dict[str, Any] = field(default_factory=dict)
    outputs: int = 1
    unit: float = 0.0
    domain: str = ""
    units: tuple[float, ...] = ()
    kinds: tuple[str, ...] = ()
    asked: set[str] = field(default_factory=set[str], init=False)

    def given(self, name: str) -> Any:
        """An attribute that has no default."""
        self.asked.add(name)
        return self.attributes[name]

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute by name, or a default."""
        self.asked.add(name)
        value = self.attributes.get(name)
        return default if value is None else value

    def float(self, name: str, default: float) -> float:
        """A float attribute; defaults are rounded to float32 as a written attribute would be."""
        return float(self.get(name, float(np.float32(default))))

    def flag(self, name: str) -> bool:
        """Whether an attribute is 1: what the runtime's own operators take for yes."""
        return self.get(name, 0) == 1

    def text(self, name: str, default: str) -> str:
        """A string attribute by name, or a default."""
        return str(self.get(name, default))


def apply(operator: Operator, ar: Arithmetic, call: Call, inputs: Sequence[Any]) -> Result:
    """The results of a node.

    Raises:
        UnsupportedError: the row does not understand this use of the operator, or never asked for
            an attribute that is given.
    """
    with quiet():
        result = operator(ar, call, *inputs)
    for name, value in call.attributes.items():
        ignored = name not in call.asked and name not in _WITHOUT_EFFECT
        if ignored and value != _default(call.domain, call.op, call.version, name):
            raise UnsupportedError(f"{call.op} with {name}")
    return result


@cache
def _default(domain: str, op: str, version: int, name: str) -> Any:
    """What the operator's schema says of an attribute that is absent."""
    try:
        attribute = onnx.defs.get_schema(op, version, domain).attributes[name]
    except (onnx.defs.SchemaError, KeyError):
        return None
    default = attribute.default_value
    return onnx.helper.get_attribute_value(default) if default.type else None


def row(kernel: Kernel, **floats: float) -> Operator:
    """An operator that is a kernel; ``floats`` are attributes of the same name, with defaults."""

    def run(ar: Arithmetic, call: Call, *inputs: Any) -> Tensor:
        facts = {name: call.float(name, default) for name, default in floats.items()}
        return kernel(ar, *inputs, **facts)

    return run


def operand_axes(ar: Arithmetic, call: Call, axes: Any) -> list[int] | None:
    """Axes from the attribute (older opsets) or the input; None where absent."""
    value = call.get("axes")
    if axes is not None:
        return ints(ar, axes, "axes")
    return None if value is None else list(value)


def tensor_value(ar: Arithmetic, tensor: ir.TensorProtocol) -> Tensor:
    """A constant as the arithmetic holds it."""
    array = precision.native(np.asarray(tensor.numpy()))
    return ar.constant(array) if array.dtype.kind == "f" else array


def unit_roundoff(dtype: ir.DataType | None) -> float:
    """Unit roundoff of an element type; 0 where it is exact or not known."""
    if dtype is None or dtype == ir.DataType.UNDEFINED:
        return 0.0
    return precision.unit_roundoff(dtype.numpy().name)
