"""Each operator of the interpreter against PyTorch, in float64 and in a prime field."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.export import ExportedProgram
from torch.nn import functional as f

from onebyone.certify.inputs import embedded
from onebyone.certify.modular import Field
from onebyone.certify.residues import drawn_primes
from onebyone.dialects.aten.run.model import ExportedModel
from onebyone.dialects.aten.semantics import OPERATORS, Call, Given, apply
from onebyone.kernels.arithmetic import Float64
from onebyone.kernels.errors import UnsupportedError
from tests.aten.programs import export

PRIME = next(drawn_primes(0))

Function = Callable[..., Any]


def real(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def whole(*shape: int, high: int = 5) -> torch.Tensor:
    return torch.randint(1, high, shape)


X = (2, 3, 4)
IMAGE = (2, 4, 9, 7)


def unary(name: str, low: float | None = None) -> tuple[Function, Any]:
    fn = getattr(torch, name)
    return (lambda x: fn(x)), ((lambda: (real(*X).abs() + low,)) if low is not None else
                               (lambda: (real(*X),)))  # fmt: skip


def two(fn: Function, *shapes: tuple[int, ...]) -> tuple[Function, Any]:
    return fn, lambda: tuple(real(*shape) for shape in shapes)


def one(fn: Function, shape: tuple[int, ...] = X) -> tuple[Function, Any]:
    return two(fn, shape)


def attention(fn: Function, mask: Callable[[], torch.Tensor] | None = None) -> tuple[Any, Any]:
    def inputs() -> tuple[torch.Tensor, ...]:
        qkv = (real(2, 4, 5, 6), real(2, 4, 7, 6), real(2, 4, 7, 3))
        return qkv if mask is None else (*qkv, mask())

    return fn, inputs


def some_mask() -> torch.Tensor:
    mask = torch.rand(2, 1, 5, 7) > 0.4
    mask[0, 0, 2] = False
    return mask


SDPA = f.scaled_dot_product_attention

CASES: dict[str, tuple[Function, Any]] = {
    **{n: unary(n) for n in ("abs ceil cos erf erfc exp expm1 floor neg round sigmoid sign sin "
                             "sinh square tan tanh trunc relu isnan isinf atan asinh").split()},
    **{n: unary(n, 0.5) for n in "log log10 log1p log2 reciprocal rsqrt sqrt".split()},
    "acos": (torch.acos, lambda: (torch.rand(3, 4, dtype=torch.float64) - 0.5,)),
    "acosh": unary("acosh", 1.5),
    "gelu": one(f.gelu),
    "gelu tanh": one(lambda x: f.gelu(x, approximate="tanh")),
    "silu": one(f.silu),
    "mish": one(f.mish),
    "softplus": one(f.softplus),
    "softplus beta": one(lambda x: f.softplus(x, beta=2)),
    "softplus threshold": one(lambda x: f.softplus(x, beta=2, threshold=0.5)),
    "whole bounds": (lambda x: (f.hardtanh(x, -1.7, 2.9), f.relu6(x), f.threshold(x, 1.7, -2.9),
                                torch.addcmul(x, x, x, value=2), torch.add(x, x, alpha=3)),
                     lambda: (whole(*X) * 3 - 8,)),
    "sign of truth": one(lambda x: (x > 0).sign()),
    "bits": (lambda x: (x.view(torch.int32), x.view(torch.int64)), lambda: (whole(*X),)),
    "truth of no axes": one(lambda x: (torch.all(x > 0, dim=[]), torch.any(x > 0, dim=[0, 1]))),
    "swapdims": one(lambda x: (x.swapdims(0, 2), x.swapaxes(0, 1))),
    "elu": one(lambda x: f.elu(x, alpha=0.5)),
    "celu": one(lambda x: f.celu(x, alpha=0.5)),
    "selu": one(f.selu),
    "leaky_relu": one(lambda x: f.leaky_relu(x, 0.25)),
    "prelu": two(f.prelu, (2, 3, 4), (3,)),
    "hardtanh": one(lambda x: f.hardtanh(x, -0.5, 0.25)),
    "relu6": one(lambda x: f.relu6(x * 9)),
    "hardsigmoid": one(lambda x: f.hardsigmoid(x * 4)),
    "hardswish": one(lambda x: f.hardswish(x * 4)),
    "add": two(lambda a, b: a + b, X, (3, 1)),
    "add alpha": two(lambda a, b: torch.add(a, b, alpha=2), X, X),
    "sub alpha": two(lambda a, b: torch.sub(a, b, alpha=3), X, (4,)),
    "rsub": one(lambda x: 2 - x),
    "rsub alpha": two(lambda a, b: torch.rsub(a, b, alpha=2), X, X),
    "mul number": one(lambda x: x * 3),
    "div": two(lambda a, b: a / b, X, (1, 3, 1)),
    "div floor": two(lambda a, b: torch.div(a, b, rounding_mode="floor"), X, X),
    "div trunc": two(lambda a, b: torch.div(a, b, rounding_mode="trunc"), X, X),
    "div integers": (lambda a, b: (a / b, a // b, torch.div(-a, b, rounding_mode="trunc")),
                     lambda: (whole(3, 4, high=90), whole(3, 4))),
    "remainder": (lambda a, b: (a % b, torch.fmod(-a, b)),
                  lambda: (whole(3, 4, high=90), whole(3, 4))),
    "pow": one(lambda x: (x**2, x**3, x.abs() ** 0.5, (x.abs() + 1) ** -0.5, x.abs() ** 1.7)),
    "pow tensor": two(lambda a, b: torch.pow(a.abs(), b), X, X),
    "shrink": one(lambda x: (f.hardshrink(x), f.softshrink(x, 0.25), f.threshold(x, 0.1, 2.0))),
    "logsigmoid": one(f.logsigmoid),
    "lerp": two(lambda a, b, w: (torch.lerp(a, b, w), torch.lerp(a, b, 0.3)), X, X, X),
    "signs": one(lambda x: (torch.signbit(x), torch.isfinite(x / (x > 0)), -(x > 0).float())),
    "nan_to_num": one(lambda x: torch.nan_to_num(x / (x.sign() - 1), nan=3.0, posinf=2.0)),
    "repetitions": one(lambda x: (x.tile(2, 3), x.tile(2, 1, 1, 2), x.repeat_interleave(2, -1))),
    "addcmul": two(lambda a, b, c: torch.addcmul(a, b, c, value=0.5), X, X, X),
    "clamp": one(lambda x: (x.clamp(-0.5, 0.5), x.clamp(min=0.1), x.clamp(max=0.1))),
    "clamp tensor": two(lambda a, b: torch.clamp(a, min=b), X, X),
    "maximum": two(lambda a, b: (torch.maximum(a, b), torch.minimum(a, b)), X, (4,)),
    "compare": two(lambda a, b: (a > b, a >= b, a < b, a <= b, a == b, a != 0.0), X, X),
    "logical": two(lambda a, b: ((a > 0) & (b > 0), (a > 0) | (b > 0), ~(a > 0),
                                 torch.logical_xor(a, b > 0), torch.logical_not(a)), X, X),
    "where": two(lambda a, b: torch.where(a > 0, a, b), X, (3, 1)),
    "masked_fill": one(lambda x: x.masked_fill(x > 0, 2.5)),
    "casts": one(lambda x: ((x > 0).double() * 2, (x > 0).long().float())),
    "integers": (lambda a: (a + 1, a * a, a.float() / 3, -a, a.sum(0), a.cumsum(1)),
                 lambda: (whole(3, 4),)),
    "integers wrap": (
        lambda a: (a * a, a.sum(0, dtype=torch.int32), a.prod(0, dtype=torch.int32), -a),
        lambda: (torch.full((3, 2), 2**17 + 1, dtype=torch.int32),)),
    "integers of two types": (lambda a, b: (a + b, a // b, a * 3, torch.add(a, b, alpha=2)),
                              lambda: (whole(3, 4).int(), torch.tensor(2))),
    "div floor exact": two(lambda a: (torch.div(a * 0 + 1, 0.1, rounding_mode="floor"),
                                      (a * 0 + 1) // 0.1), X),
    "remainder of reals": two(lambda a, b: (a % b, torch.fmod(a, b)), X, X),
    "float8": one(lambda x: ((x * 9).to(torch.float8_e4m3fn).double(),
                             (x * 1e6).to(torch.float8_e5m2).double())),
    # Products.
    "matmul": two(torch.matmul, (2, 1, 3, 4), (5, 4, 6)),
    "matmul vectors": two(lambda a, b, m: (a @ b, m @ a, b @ m.mT), (4,), (4,), (3, 4)),
    "mm": two(torch.mm, (3, 4), (4, 5)),
    "bmm": two(torch.bmm, (2, 3, 4), (2, 4, 5)),
    "mv": two(torch.mv, (3, 4), (4,)),
    "linear": two(f.linear, (2, 3, 4), (5, 4), (5,)),
    "linear vector": two(f.linear, (2, 3, 4), (4,)),
    "addmm": two(lambda c, a, b: torch.addmm(c, a, b, beta=0.5, alpha=2), (5,), (3, 4), (4, 5)),
    "baddbmm": two(lambda c, a, b: torch.baddbmm(c, a, b, beta=2), (2, 3, 5), (2, 3, 4), (2, 4, 5)),
    "einsum": two(lambda a, b: torch.einsum("bhqd,bhkd->bhqk", a, b), (2, 3, 4, 5), (2, 3, 6, 5)),
    "einsum dots": two(lambda a, b: torch.einsum("...c,dc->...d", a, b), (2, 3, 4), (5, 4)),
    "conv2d": two(lambda x, w, b: f.conv2d(x, w, b, stride=(2, 1), padding=(1, 2),
                                           dilation=(1, 2)), IMAGE, (6, 4, 3, 2), (6,)),
    "conv2d groups": two(lambda x, w: f.conv2d(x, w, groups=2), IMAGE, (6, 2, 3, 3)),
    "conv2d same": two(lambda x, w: f.conv2d(x, w, padding="same"), IMAGE, (6, 4, 3, 2)),
    "conv2d single": two(lambda x, w: f.conv2d(x, w, padding="valid"), IMAGE[1:], (6, 4, 3, 2)),
    "conv1d": two(lambda x, w: f.conv1d(x, w, padding=1), (2, 4, 9), (6, 4, 3)),
    "conv3d": two(lambda x, w: f.conv3d(x, w, stride=2), (1, 2, 5, 6, 7), (3, 2, 2, 3, 2)),
    "conv_transpose2d": two(lambda x, w, b: f.conv_transpose2d(
        x, w, b, stride=(2, 3), padding=1, output_padding=1, groups=2, dilation=(2, 1)),
        IMAGE, (4, 3, 3, 2), (6,)),
    "conv_transpose1d": two(lambda x, w: f.conv_transpose1d(x, w, stride=2), (2, 4, 5), (4, 3, 3)),
    # Windows.
    "max_pool2d": one(lambda x: f.max_pool2d(x, (3, 2), stride=(2, 1), padding=1), IMAGE),
    "max_pool2d ceil": one(lambda x: f.max_pool2d(x, 2, ceil_mode=True), IMAGE),
    "max_pool2d dilation": one(lambda x: f.max_pool2d(x, 2, stride=1, dilation=(3, 2)), IMAGE),
    "max_pool1d": one(lambda x: f.max_pool1d(x, 3, padding=1), (2, 4, 9)),
    "avg_pool2d": one(lambda x: f.avg_pool2d(x, 3, stride=2, padding=1), IMAGE),
    "avg_pool2d no pad": one(lambda x: f.avg_pool2d(x, 3, 2, 1, count_include_pad=False), IMAGE),
    "avg_pool2d ceil": one(lambda x: f.avg_pool2d(x, (2, 3), 2, 1, ceil_mode=True), IMAGE),
    "avg_pool2d ceil no pad": one(
        lambda x: f.avg_pool2d(x, 2, 2, 1, ceil_mode=True, count_include_pad=False), IMAGE),
    "avg_pool1d": one(lambda x: f.avg_pool1d(x, 3), (4, 9)),
    "avg_pool2d divisor": one(lambda x: f.avg_pool2d(x, 3, 2, 1, divisor_override=5), IMAGE),
    "adaptive_avg_pool2d": one(lambda x: (f.adaptive_avg_pool2d(x, 1),
                                          f.adaptive_avg_pool2d(x, (4, 3))), IMAGE),
    "upsample": one(lambda x: (f.interpolate(x, size=(12, 11), mode="bilinear"),
                               f.interpolate(x, scale_factor=2, mode="nearest"),
                               f.interpolate(x, size=(12, 11), mode="bilinear",
                                             align_corners=True)), IMAGE),
    # Norms. An epsilon that float32 holds exactly.
    "layer_norm": two(lambda x, w, b: f.layer_norm(x, (3, 4), w, b, 2**-6), X, (3, 4), (3, 4)),
    "layer_norm plain": one(lambda x: f.layer_norm(x, (4,))),
    "group_norm": two(lambda x, w, b: f.group_norm(x, 2, w, b), IMAGE, (4,), (4,)),
    "instance_norm": one(f.instance_norm, IMAGE),
    "rms_norm": two(lambda x, w: f.rms_norm(x, (4,), w, 2**-6), X, (4,)),
    "rms_norm default": one(lambda x: f.rms_norm(x, (4,))),
    "batch_norm": (lambda x, m, v, w, b: f.batch_norm(x, m, v, w, b, eps=2**-6),
                   lambda: (real(*IMAGE), real(4), real(4).abs(), real(4), real(4))),
    # Reductions.
    "mean": one(lambda x: (x.mean(), x.mean(-1), x.mean((0, -2), keepdim=True))),
    "sum": one(lambda x: (x.sum(), x.sum(-2), x.sum((0, 2), keepdim=True))),
    "amax": one(lambda x: (x.amax(-1), x.amin((0, 1), keepdim=True), x.max(), x.min())),
    "max dim": one(lambda x: (*x.max(-1), *x.min(1, keepdim=True))),
    "arg": one(lambda x: (x.argmax(-2), x.argmin(0, keepdim=True), x.argmax())),
    "arg of all": one(lambda x: (x.argmax(keepdim=True), x.argmin(), x.argmax(dim=1))),
    "arg of nothing": one(lambda x: (x.sqrt().argmin(-1), x.sqrt().argmax(-1), *x.sqrt().min(0))),
    "prod of integers": (lambda a: (a.prod(0), a.prod(1, dtype=torch.float64), a.sum()),
                         lambda: (whole(3, 4),)),
    "norm first": one(lambda x: torch.linalg.vector_norm(x, ord=1, dim=(0, -1))),
    "prod": one(lambda x: (x.prod(1), x.prod(-1, keepdim=True))),
    "var": one(lambda x: (x.var(-1), x.var((0, 1), correction=0, keepdim=True), x.std(1))),
    "logsumexp": one(lambda x: torch.logsumexp(x, -1, keepdim=True)),
    "norm": one(lambda x: torch.linalg.vector_norm(x, dim=-1, keepdim=True)),
    "any": one(lambda x: ((x > 0).any(-1), (x > 0).all(0, keepdim=True), (x > 9).any())),
    "softmax": one(lambda x: (x.softmax(-2), x.log_softmax(0))),
    "cumsum": one(lambda x: x.cumsum(-2)),
    "sort": one(lambda x: (*x.sort(-1), *x.sort(1, descending=True))),
    "topk": one(lambda x: (*x.topk(2, 1), *x.topk(2, -1, largest=False))),
    # Places.
    "views": one(lambda x: (x.reshape(-1, 2), x.flatten(1), x.unflatten(-1, (2, -1)),
                            x.view(6, 4), x.ravel(), x.reshape(2, 1, 12).squeeze(1))),
    "squeeze": one(lambda x: (x.squeeze(), x.squeeze(-1), x.squeeze((0, -2)), x.unsqueeze(-1)),
                   (1, 3, 1, 2, 1)),
    "permutes": one(lambda x: (x.permute(2, 0, -2), x.transpose(-1, 0), x.mT, x.movedim(0, -1),
                               x.swapaxes(0, 1), x.movedim((0, 1), (1, 2)))),
    "t": one(lambda x: x.t(), (3, 4)),
    "expand": two(lambda a, b: (a.expand(2, -1, 4), a.expand_as(b), a.repeat(2, 1, 3)),
                  (3, 1), (5, 3, 4)),
    "cat": two(lambda a, b: (torch.cat([a, b], -1), torch.stack([a, a], -2)), X, (2, 3, 1)),
    "splits": one(lambda x: (*x.split(3, -1), *x.split([1, 2], 1), *x.chunk(3, -1), *x.unbind(1))),
    "slices": one(lambda x: (x[1:, ::2, -3:-1], x[:, -1], x[..., 2], x[:, 1:100], x[:, 5:]),
                  (3, 4, 5)),
    "index": (lambda x, i: (x[i], x[:, i], x[i, :, i], x.index_select(-1, i), x[:, None, i]),
              lambda: (real(3, 4, 3), torch.tensor([2, 0, -1, 1]).clamp(min=0))),
    "embedding": (lambda i, w: f.embedding(i, w), lambda: (whole(2, 3), real(7, 4))),
    "gather": (lambda x, i: x.gather(-1, i), lambda: (real(3, 5), whole(3, 2))),
    "pads": one(lambda x: (f.pad(x, (1, 2, 0, 3), value=1.5), f.pad(x, (-1, 2)),
                           f.pad(x, (1, 2), mode="reflect"), f.pad(x, (1, 2), mode="replicate"))),
    "pad circular": one(lambda x: f.pad(x, (1, 2), mode="circular")),
    "roll": one(lambda x: (x.roll(1), x.roll((1, -2), (0, -1)), x.flip((0, -1)))),
    "triangles": one(lambda x: (x.tril(), x.triu(1))),
    "factories": one(lambda x: (torch.arange(5), torch.arange(1.0, 2.0, 0.25), torch.full((2,), 3),
                                torch.full_like(x, 0.5), x.new_ones(2, 2), torch.zeros_like(x),
                                torch.eye(3), torch.linspace(0, 1, 5, dtype=torch.float64))),
    # Attention.
    "attention": attention(lambda q, k, v: SDPA(q, k, v)),
    "attention scale": attention(lambda q, k, v: SDPA(q, k, v, scale=0.3)),
    "attention causal": attention(lambda q, k, v: SDPA(q, k, v, is_causal=True)),
    "attention mask": attention(lambda q, k, v, m: SDPA(q, k, v, m), some_mask),
    "attention bias": attention(lambda q, k, v, m: SDPA(q, k, v, m), lambda: real(5, 7)),
    "attention groups": (lambda q, k, v: SDPA(q, k, v, enable_gqa=True),
                         lambda: (real(1, 6, 5, 4), real(1, 2, 7, 4), real(1, 2, 7, 4))),
}  # fmt: skip


# Decomposed they write into uninitialised memory, or compute statistics as training does.
WHOLE = {"instance_norm", "pad circular"}


class Of(nn.Module):
    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: torch.Tensor) -> Any:
        return self.function(*args)


@functools.cache
def exported(name: str) -> tuple[tuple[torch.Tensor, ...], list[ExportedProgram]]:
    """Arguments, and the program as exported and in core operators."""
    function, inputs = CASES[name]
    torch.manual_seed(len(name))
    args = inputs()
    program = export(Of(function).eval(), args)
    return args, [program] if name in WHOLE else [program, program.run_decompositions()]


@pytest.mark.parametrize("name", CASES)
def test_every_operator_computes_what_torch_computes(name: str) -> None:
    function = CASES[name][0]
    args, forms = exported(name)
    found = function(*args)
    expected = found if isinstance(found, tuple) else (found,)
    for form in forms:
        program = ExportedModel(form)
        values = {p.name: a.numpy() for p, a in zip(program.inputs, args, strict=True)}
        got = list(program.run(Float64(), embedded(Float64(), values)).values())
        assert len(got) == len(expected)
        for g, e in zip(got, expected, strict=True):
            assert g.shape == tuple(e.shape)
            if e.is_floating_point():
                # Float64 sums of at most 200 terms, in another order; float32 where torch has it.
                unit = 1e-12 if e.dtype == torch.float64 else 1e-6
                assert np.allclose(g, e.numpy(), rtol=unit, atol=unit, equal_nan=True)
            else:
                assert g.dtype == e.numpy().dtype
                assert np.array_equal(g, e.numpy())
        ar = Field(PRIME)
        try:
            rng = np.random.default_rng(0)
            real = {n: v for n, v in values.items() if v.dtype.kind not in "biu"}
            point = {n: ar.random(v.shape, rng) for n, v in real.items()}
            residues = program.run(ar, {**values, **point})
        except UnsupportedError as error:
            assert "depends on the data" in str(error)
            continue
        assert [r.shape for r in residues.values()] == [tuple(e.shape) for e in expected]


def test_the_cases_cover_the_table() -> None:
    """All but a few operators of the table occur in some case, as exported or decomposed."""
    seen: set[tuple[str, ...]] = set()
    for name in CASES:
        for form in exported(name)[1]:
            seen |= {
                tuple(node.target._schema.name.split("::"))
                for node in form.graph.nodes
                if hasattr(node.target, "_schema")
            }
    assert len(set(OPERATORS) - seen) < 0.3 * len(OPERATORS), sorted(set(OPERATORS) - seen)


def test_what_is_not_understood_is_named() -> None:
    program = ExportedModel(export(Of(lambda x: torch.fft.rfft(x).real).eval(), (real(4),)))
    with pytest.raises(UnsupportedError, match=r"aten\.fft_rfft"):
        program.run(Float64(), {program.inputs[0].name: np.ones(4)})


def test_an_argument_that_no_row_asks_for_is_refused() -> None:
    class Never:
        def __call__(self, call: Call) -> Any:
            return call.tensor("self")

    ar = Float64()
    given = Given({"self": np.ones(2), "mode": 1, "left_out": 0, "dtype": torch.float64})
    call = Call(ar, "op", given, (torch.float64,), torch.float64, frozenset(), lambda _, x: x)
    with pytest.raises(UnsupportedError, match="op with mode"):
        apply(Never(), call, {"left_out": 0})
    given.asked.add("mode")
    assert apply(Never(), call, {"left_out": 0}) is given["self"]


def test_a_norm_of_halves_takes_the_epsilon_of_single_precision() -> None:
    x = torch.full((1, 4), 1e-3, dtype=torch.float16)
    program = ExportedModel(export(Of(lambda x: f.rms_norm(x, (4,))).eval(), (x,)))
    values = {program.inputs[0].name: x.double().numpy()}
    (got,) = program.run(Float64(), values).values()
    assert np.allclose(got, f.rms_norm(x, (4,)).double().numpy(), rtol=2**-10)


def test_a_factor_is_a_number_of_the_type() -> None:
    x = torch.zeros(2)
    program = ExportedModel(export(Of(lambda x: torch.add(x, 1, alpha=0.1)).eval(), (x,)))
    (got,) = program.run(Float64(), {program.inputs[0].name: np.zeros(2)}).values()
    assert np.array_equal(got, np.full(2, np.float32(0.1), np.float64))
