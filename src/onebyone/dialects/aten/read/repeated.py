"""Parameters that a product reads in copies, one for each example of a batch."""

from __future__ import annotations

from dataclasses import dataclass

from torch import fx

from onebyone.axes.meanings import contract
from onebyone.axes.positional import Operation, Position, Tensor
from onebyone.axes.sizes import Size, product
from onebyone.dialects.aten.read.arguments import Arguments
from onebyone.dialects.aten.read.reader import Reader
from onebyone.dialects.aten.values import Name, fake, op_name, shape_of


@dataclass(frozen=True)
class _Repeated:
    """A parameter that an operand of `bmm` repeats along the batch, whose sizes are ``lead``."""

    source: fx.Node
    lead: tuple[Size, ...]


def _repeated(reader: Reader, operand: fx.Node) -> _Repeated | None:
    """The parameter that an operand repeats: core ATen writes a product with one weight so."""
    held = operand
    while op_name(held) in ("clone", "reshape", "_unsafe_view", "view"):
        held = held.all_input_nodes[0]
    if op_name(held) != "expand":
        return None
    source = held.all_input_nodes[0]
    own, full, whole = (shape_of(fake(n)) for n in (source, held, operand))
    lead = full[:-2]
    plain = own[-2:] == full[-2:] == whole[1:] and product(lead) == whole[0]
    if not plain or any(not size.is_one for size in own[:-2]) or source not in reader.derived:
        return None
    return _Repeated(source, lead)


def with_repeated(
    reader: Reader, node: fx.Node, given: Arguments, names: tuple[Name, ...]
) -> list[Operation] | None:
    """A `bmm` with the parameter itself in place of its copies; None where none is repeated."""
    operands = [given[str(name)] for name in names]
    found = [_repeated(reader, operand) for operand in operands]
    leads = {repeated.lead for repeated in found if repeated is not None}
    if len(leads) != 1:
        return None
    lead = leads.pop()
    batch = tuple(f"b{i}" for i in range(len(lead)))
    inputs: list[Tensor] = []
    labels: list[tuple[Position, ...]] = []
    for operand, repeated, own in zip(
        operands, found, ((("m",), ("k",)), (("k",), ("n",))), strict=True
    ):
        source = operand if repeated is None else repeated.source
        inputs.append(reader.tensors[source])
        ones = fake(source).ndim - 2
        front = (batch,) if repeated is None else tuple((f"one{i}",) for i in range(ones))
        labels.append((*front, *own))
    native = reader.natives[node]
    native.names = names
    result = (batch, ("m",), ("n",))
    sizes = dict(zip(batch, lead, strict=True))
    meaning = contract(labels, result, sizes)
    return [Operation(native, meaning, tuple(inputs), (reader.tensor(node),))]
