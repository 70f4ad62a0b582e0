"""A node of a program is written by what it means, or it keeps its layout."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from torch import fx

import onebyone
from onebyone.axes.meanings import axis_labels
from onebyone.axes.positional import Apply, Kind
from onebyone.dialects.aten.read import table
from onebyone.dialects.aten.read.arguments import Arguments
from onebyone.dialects.aten.read.pointwise import vector_norm
from onebyone.dialects.aten.read.reader import Reader, Reading
from onebyone.dialects.aten.values import Native, op_name
from onebyone.dialects.aten.write.build import Build
from onebyone.errors import InexpressibleError
from tests.aten.programs import export, run
from tests.lower import graphs

X = torch.randn(2, 3, 4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


class _Between(torch.nn.Module):
    """A function between two pointwise convolutions, so that it moves with them."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.first, self.last = torch.nn.Conv2d(3, 8, 1), torch.nn.Conv2d(8, 5, 1)
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.function(self.first(x)))


def _kinds(module: torch.nn.Module, **options: Any) -> Counter[str]:
    """Converted to rows of channels, and the same: which operators there are."""
    program = export(module.eval().double(), (X,))
    converted = onebyone.convert(program, "linear", **options).model
    for before, after in zip(run(program, X), run(converted, X), strict=True):
        torch.testing.assert_close(after, before)
    return Counter(op_name(n) for n in converted.graph.nodes if n.op == "call_function")


def test_a_kept_convolution_with_a_stride_stays_one() -> None:
    """Its input is subsampled elsewhere: what is left of it is a convolution, no product."""
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 1), torch.nn.ReLU(), torch.nn.Conv2d(8, 5, 1, stride=2)
    )
    kinds = _kinds(model, skip=["2"])
    assert (kinds["conv2d"], kinds["linear"]) == (1, 1)


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (lambda x: x.prod(1, keepdim=True).expand(-1, 8, -1, -1), "prod"),
        (lambda x: x.amax((2, 3), keepdim=True), "amax"),
        (lambda x: x.std((1, 2), keepdim=True) + x, "std"),
        (lambda x: torch.linalg.vector_norm(x, dim=1, keepdim=True) + x, "linalg_vector_norm"),
        (lambda x: x.argmax(1, keepdim=True).to(x.dtype) + x, "argmax"),
        (lambda x: x.cumsum(1), "cumsum"),
        (lambda x: x.log_softmax(1), "log_softmax"),
        (lambda x: x.flip(1, 3), "flip"),
        (lambda x: x.roll((1, 2), (1, 3)), "roll"),
        (lambda x: torch.nn.functional.pad(x, (1, 2, 0, 1)), "pad"),
        (lambda x: torch.nn.functional.group_norm(x, 4, x.new_ones(8), x.new_ones(8)), ""),
    ],
)  # fmt: skip
def test_functions_come_out_as_they_were(function: Any, name: str) -> None:
    kinds = _kinds(_Between(function))
    assert kinds["linear"] == 2
    assert not name or any(name in kind for kind in kinds)


def _any_norm(reader: Reader, node: fx.Node, given: Arguments) -> Any:
    """Norms of other orders, as a newcomer would add them."""
    if given["ord"] == 2:
        return vector_norm(reader, node, given)
    given.told("dim", "dtype", "keepdim")
    labels = axis_labels(4)
    result = (labels[0], ("gone",), *labels[2:])
    meaning = Apply(Kind.REDUCE, f"l{given['ord']:g}", (labels,), (result,))
    return Reading(meaning, "self")


@pytest.mark.parametrize(("order", "permutes"), [(1, 2), (3, 3)])
def test_a_norm_is_written_by_its_order_or_stays(
    order: int, permutes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the sum of absolute values the table has an expression, of the cubic norm it has none."""
    monkeypatch.setitem(table.TABLE, ("aten", "linalg_vector_norm"), _any_norm)
    norm = _Between(lambda x: torch.linalg.vector_norm(x, order, 1, keepdim=True) + x)
    kinds = _kinds(norm)
    assert kinds["linalg_vector_norm"] == 1
    assert kinds["permute"] + kinds["transpose"] == permutes


def test_an_argument_that_an_operator_lacks_is_refused() -> None:
    """A call would leave it out, and run along the axis that it had before."""
    labels = [("a",), ("b",)]
    node = graphs.node(Kind.ALONG, [((2, 3), labels)], labels, fn="turn", along=("b",))
    graph = export(torch.nn.ReLU(), (torch.ones(2, 3),)).graph
    relu = next(n for n in graph.nodes if n.op == "call_function")
    node.natives = (Native(relu, ("self",)),)
    with pytest.raises(InexpressibleError, match="relu has no argument dim"):
        Build(graph).clone(node, [None], {"dim": 0})
