"""Equal canonical forms of files that differ would be a lie, whatever the one detail is."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper as h

from onebyone.certify import structure
from onebyone.certify.certificate import Verdict
from onebyone.dialects.onnx.run.model import OnnxModel
from tests.certify.alike import PAIRS, differ, ints, model


def verdict(first: onnx.ModelProto, second: onnx.ModelProto) -> Verdict:
    return structure.check(OnnxModel(first), OnnxModel(second)).verdict


@pytest.mark.parametrize("name", PAIRS)
def test_files_that_differ_are_not_proved_equal(name: str) -> None:
    first, second = PAIRS[name]
    assert differ(first, second), "a pair that does not differ proves nothing"
    assert verdict(first, second) is not Verdict.PROVED
    assert verdict(first, first) is Verdict.PROVED


def defaults(operator: str, **given: Any) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """An operand that is a constant, and one that a caller may set to something else."""
    line = (operator, ",".join(["x", *given]), "out")
    return model(line, **given), model(line, defaults=given)


@pytest.mark.parametrize(
    ("operator", "given"),
    [
        ("Reshape", {"c": ints(4, -1)}),
        ("ReduceSum", {"c": ints(0)}),
        ("Clip", {"c": np.float32(0)}),
        ("Dropout", {"r": np.array(0.5, np.float32), "t": np.array(False)}),
        ("Expand", {"c": ints(1, 4)}),
    ],
)
def test_a_default_is_no_constant(operator: str, given: dict[str, Any]) -> None:
    given = {name: np.asarray(value) for name, value in given.items()}
    first, second = defaults(operator, **given)
    assert verdict(first, second) is not Verdict.PROVED
    assert verdict(second, second) is Verdict.PROVED


def test_slopes_of_opset_6_go_by_channel() -> None:
    slopes = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    old, new = (
        model(("PRelu", "x,w", "out"), inputs={"x": (1, 4, 4)}, opset=opset, w=slopes)
        for opset in (6, 9)
    )
    assert verdict(old, new) is not Verdict.PROVED


def test_the_domain_has_versions_by_its_long_name_too() -> None:
    pool = {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [0, 0, 1, 1], "ceil_mode": 1}
    line = ("AveragePool", "x", "out", pool)
    old, new, short = (
        model(line, inputs={"x": (1, 1, 5, 5)}, opset=opset, domain=domain)
        for opset, domain in ((10, "ai.onnx"), (19, "ai.onnx"), (19, ""))
    )
    assert verdict(old, new) is not Verdict.PROVED
    assert verdict(short, new) is Verdict.PROVED


def test_parts_of_sizes_computed_at_run_time_are_no_equal_parts() -> None:
    inputs = {"x": (2,), "y": (4, 2)}
    equal = model(("Split", "y", "a,out", {"num_outputs": 2}), inputs=inputs)
    lines = [("Cast", "x", "k", {"to": onnx.TensorProto.INT64}), ("Split", "y,k", "a,out")]
    assert verdict(equal, model(*lines, inputs=inputs)) is not Verdict.PROVED


def test_two_opsets_of_one_domain_are_not_understood() -> None:
    proto = model(("Neg", "x", "out"))
    proto.opset_import.append(h.make_opsetid("ai.onnx", 11))
    finding = structure.check(OnnxModel(ir.from_proto(proto)), OnnxModel(ir.from_proto(proto)))
    assert finding.verdict is Verdict.UNDECIDED and "two opsets" in finding.summary


def test_sizes_are_the_same_however_they_are_computed() -> None:
    """What is exact stays equal: soundness costs no right pair."""
    whole = model(("Shape", "x", "out"))
    ways = [
        model(("Shape", "x", "s"), ("Add", "s,c", "a"), ("Sub", "a,c", "out"), c=ints(0, 0)),
        model(("Shape", "x", "s"), ("Mul", "s,c", "a"), ("Div", "a,c", "out"), c=ints(6, 1)),
        model(
            ("Shape", "x", "s"),
            ("Unsqueeze", "s,z", "u"),
            ("Concat", "u,u", "v", {"axis": 0}),
            ("Gather", "v,i", "out", {"axis": 0}),
            z=ints(0),
            i=np.int64(1),
        ),
        model(("Transpose", "x", "t"), ("Shape", "t", "s"), ("Gather", "s,i", "out"), i=ints(1, 0)),
    ]
    for way in ways:
        assert not differ(whole, way)
        assert verdict(whole, way) is Verdict.PROVED


def test_a_table_that_is_read_up_to_a_size_is_understood() -> None:
    """Adding it says that it is long enough, and whoever adds it elsewhere says the same."""
    table = np.arange(8, dtype=np.float32).reshape(8, 1)

    def embedded(bound: str) -> onnx.ModelProto:
        lines = [
            ("Shape", bound, "s", {"end": 1}),
            ("Slice", "t,z,s", "e"),
            ("Add", "x,e", "a"),
            ("Relu", "a", "r"),
            ("Transpose", "r", "out"),
        ]
        return model(*lines, inputs={"x": ("n", 4), "y": ("n",)}, t=table, z=ints(0))

    assert verdict(embedded("x"), embedded("y")) is Verdict.PROVED


def test_the_files_stay_as_they_are() -> None:
    """The strict reading forgets shapes that the file declares, and only while it reads."""
    proto = model(("NonZero", "x", "z"), ("Shape", "z", "out"), said={"z": (2, "count")})
    opened = OnnxModel(proto)
    opened.form()
    value = next(v for node in opened.model.graph for v in node.outputs if v.name == "z")
    assert str(value.shape) == "[2,count]"
