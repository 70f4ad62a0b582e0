"""Two models that compute different things have different canonical hashes, whatever differs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import onnx
import onnx_ir as ir
import pytest
import torch
from onnx import TensorProto, helper

from onebyone.axes.positional import Unknown
from onebyone.certify import structure
from onebyone.certify.certificate import Verdict
from onebyone.dialects.aten.read.table import TABLE as ATEN
from onebyone.dialects.aten.run.form import canonical_form as aten_form
from onebyone.dialects.aten.run.model import ExportedModel
from onebyone.dialects.onnx.run.form import canonical_form as onnx_form

aten = torch.ops.aten
Call = Callable[[torch.Tensor], torch.Tensor]


class _Net(torch.nn.Module):
    def __init__(self, call: Call) -> None:
        super().__init__()
        self.call = call

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.call(x)


def _program(call: Call, dtype: torch.dtype = torch.float32) -> tuple[str, ...]:
    x = (torch.rand(4, 4, 3) * 9).to(dtype)
    program = torch.export.export(_Net(call).eval(), (x,), strict=False)
    return aten_form(program).outputs


def _picked(x: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    """The row of a number that is known at run time."""
    start: Any = place.long().item()
    torch._check(start >= 0)  # pyright: ignore[reportPrivateUsage]
    torch._check(start < 4)  # pyright: ignore[reportPrivateUsage]
    return x.narrow(0, start, 1)


# Each pair differs in one argument.
PAIRS: dict[str, tuple[Call, Call]] = {
    "div": (lambda x: x / 2.5, lambda x: aten.div(x, 2.5, rounding_mode="floor")),
    "div mode": (
        lambda x: aten.div(x, 2.5, rounding_mode="trunc"),
        lambda x: aten.div(x, 2.5, rounding_mode="floor"),
    ),
    "roll dims": (lambda x: x.roll((1, 2), (0, 1)), lambda x: x.roll((1, 2), (1, 0))),
    "roll shifts": (lambda x: x.roll((1, 2), (0, 1)), lambda x: x.roll((2, 1), (0, 1))),
    "roll flat": (lambda x: x.roll(1), lambda x: x.roll(2)),
    "roll twice": (lambda x: x.roll((1, 1), (0, 0)), lambda x: x.roll(1, 0)),
    "fmod": (lambda x: aten.fmod(x, 2.0), lambda x: aten.remainder(x, 2.0)),
    "gelu": (lambda x: aten.gelu(x), lambda x: aten.gelu(x, approximate="tanh")),
    "softmax": (lambda x: x.softmax(-1), lambda x: x.softmax(-1, dtype=torch.float64)),
    "cumsum": (lambda x: x.cumsum(0), lambda x: x.cumsum(1)),
    "mean": (lambda x: x.mean(-1), lambda x: x.mean(-1, dtype=torch.float64)),
    "alpha": (lambda x: aten.add(x, x.exp()), lambda x: aten.add(x, x.exp(), alpha=2)),
    "keepdim": (lambda x: x.argmax(-1), lambda x: x.argmax(-1, keepdim=True)),
    "round": (lambda x: x.round(), lambda x: x.round(decimals=1)),
    "clamp": (lambda x: x.clamp(min=2.0), lambda x: x.clamp(max=2.0)),
    "pad": (
        lambda x: aten.pad(x, [1, 1], "constant", 0.0),
        lambda x: aten.pad(x, [1, 1], "constant", 1.0),
    ),
    "pad mode": (lambda x: aten.pad(x, [1, 1]), lambda x: aten.pad(x, [1, 1], "reflect")),
    "var": (lambda x: x.var(-1, correction=0), lambda x: x.var(-1, correction=1)),
    "std": (lambda x: x.std(-1, unbiased=True), lambda x: x.std(-1, unbiased=False)),
    "var_mean": (
        lambda x: aten.var_mean(x, [-1], True)[0],
        lambda x: aten.var_mean(x, [-1], False)[0],
    ),
    "view": (lambda x: x, lambda x: x.view(torch.int32).view(torch.float32)),
    "a number beyond the floats": (
        lambda x: aten.constant_pad_nd(x.long(), [1, 1], 2**53),
        lambda x: aten.constant_pad_nd(x.long(), [1, 1], 2**53 + 1),
    ),
    "a size that depends on values": (
        lambda x: _picked(x, (x > 4.0).any()),
        lambda x: _picked(x, (x > 8.5).any()),
    ),
    "rms": (
        lambda x: aten.rms_norm(x, [3], None, 1e-2),
        lambda x: aten.rms_norm(x, [3], None, None),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PAIRS)
def test_every_argument_counts(name: str) -> None:
    first, second = PAIRS[name]
    assert _program(first) != _program(second)
    assert _program(first) == _program(first)


def test_the_lowest_number_is_minus_infinity_only_by_assumption() -> None:
    """In a row that is masked completely it is not."""
    x = torch.rand(4, 4)

    def masked(fill: float) -> ExportedModel:
        net = _Net(lambda x: torch.where(x > 0.5, x, fill).softmax(-1)).eval()
        return ExportedModel(torch.export.export(net, (x,), strict=False))

    lowest, infinite = masked(torch.finfo(torch.float32).min), masked(-math.inf)
    finding = structure.check(lowest, infinite)
    assert finding.verdict is Verdict.UNDECIDED and "masked completely" in finding.summary
    for same in (lowest, infinite):
        assert structure.check(same, same).verdict is Verdict.PROVED


def test_a_number_is_not_rounded_to_half() -> None:
    number = torch.tensor(0.1, dtype=torch.float16)
    exact = _program(lambda x: x * 0.1, torch.float16)
    assert exact != _program(lambda x: x * number.item(), torch.float16)


def test_the_usual_epsilon_of_a_half_is_that_of_float32() -> None:
    usual = _program(lambda x: aten.rms_norm(x, [3]), torch.float16)
    given = _program(
        lambda x: aten.rms_norm(x, [3], None, torch.finfo(torch.float32).eps), torch.float16
    )
    assert usual == given


def test_roll_may_name_its_axes_in_any_order() -> None:
    assert _program(lambda x: x.roll((1, 2), (0, 1))) == _program(lambda x: x.roll((2, 1), (1, 0)))


def _model(
    op: str, attributes: dict[str, Any], domain: str = "", dtype: int = TensorProto.FLOAT
) -> ir.Model:
    node = helper.make_node(op, ["x"], ["y"], domain=domain, **attributes)
    x = helper.make_tensor_value_info("x", dtype, ["n", 4, 3])
    y = onnx.ValueInfoProto(name="y")
    graph = helper.make_graph([node], "g", [x], [y])
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    return ir.from_proto(helper.make_model(graph, opset_imports=opsets))


def _onnx(op: str, domain: str = "", **attributes: Any) -> tuple[str, ...]:
    return onnx_form(_model(op, attributes, domain), by_position=True).outputs


def test_the_bounds_of_shape_count() -> None:
    assert len({_onnx("Shape"), _onnx("Shape", start=1), _onnx("Shape", end=1), _onnx("Size")}) == 4
    assert _onnx("Shape", start=1) == _onnx("Shape", start=-2)


def test_defaults_are_attributes() -> None:
    assert _onnx("HardSigmoid") == _onnx("HardSigmoid", alpha=0.2, beta=0.5)
    assert _onnx("HardSigmoid") != _onnx("HardSigmoid", alpha=0.3)
    assert _onnx("Gelu") == _onnx("Gelu", "com.microsoft")
    assert _onnx("Gelu", approximate="tanh") == _onnx("FastGelu", "com.microsoft") != _onnx("Gelu")
    assert _onnx("QuickGelu", "com.microsoft") != _onnx("QuickGelu", "com.microsoft", alpha=1.0)


def test_hard_sigmoids_of_two_dialects_are_two_functions() -> None:
    x = torch.rand(2, 4, 3)
    program = torch.export.export(_Net(lambda x: aten.hardsigmoid(x)).eval(), (x,), strict=False)
    model = _model("HardSigmoid", {})
    model.graph.inputs[0].shape = ir.Shape([2, 4, 3])
    assert aten_form(program).outputs != onnx_form(model, by_position=True).outputs


def test_powers_of_integers_are_those_of_a_runtime() -> None:
    """What is too large for its type wraps around in one and saturates in another."""
    x = torch.ones(2, 4, 3, dtype=torch.int32)
    net = _Net(lambda x: aten.pow(x, x)).eval()
    program = aten_form(torch.export.export(net, (x,), strict=False)).outputs
    ports = [helper.make_tensor_value_info("x", TensorProto.INT32, [2, 4, 3])]
    node = helper.make_node("Pow", ["x", "x"], ["y"])
    graph = helper.make_graph([node], "g", ports, [onnx.ValueInfoProto(name="y")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    assert onnx_form(ir.from_proto(model), by_position=True).outputs != program


def test_an_attribute_that_nobody_knows_is_named() -> None:
    from onebyone.dialects.onnx.read.table import TABLE, Reader

    model = _model("Softmax", {"temperature": 2.0})
    reading = Reader(model, TABLE).read().operations[0].meaning
    assert isinstance(reading, Unknown) and "temperature" in reading.reason
    assert ("aten", "softmax") in ATEN
