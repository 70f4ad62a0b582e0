"""Specimens of ONNX Runtime's own operators, by domain and name."""

# ruff: noqa: E501  (tables: a line is a row)

from __future__ import annotations

from typing import Any

import numpy as np

from tests.tables.onnx_nodes import OnnxNode, s
from tests.tables.operands import Operand, f, idx, k, near, w

MS = "com.microsoft"
NCHWC = "com.microsoft.nchwc"
X = f(2, 3, 4)
SKIP = f(2, 3, 4, seed=1)
IMAGE = f(1, 4, 5, 6)
BLOCKS = f(1, 32, 5, 6)
_ROW = (w(4), w(4, seed=2), w(4, seed=3))
_TABLES = (w(5, 4), w(6, 4), w(2, 4), w(4), w(4, seed=4))


def _i32(*shape: int, high: int, seed: int = 0) -> Operand:
    return idx(*shape, high=high, seed=seed).as_type(np.int32)


def _ms(op: str, *operands: Operand | None, **given: Any) -> OnnxNode:
    return s(op, *operands, domain=MS, **given)


def _nc(op: str, *operands: Operand | None, **given: Any) -> OnnxNode:
    return s(op, *operands, domain=NCHWC, **given)


def _conv(**given: Any) -> list[OnnxNode]:
    return [
        _ms("FusedConv", IMAGE, w(2, 4, 3, 2), w(2), **given),
        _ms("FusedConv", IMAGE, w(2, 4, 1, 1), **given),
    ]


_ACTIVATED = [
    {"activation": "Relu"},
    {"activation": "Tanh"},
    {"activation": "Sigmoid"},
    {"activation": "LeakyRelu", "activation_params": [0.3]},
    {"activation": "Clip", "activation_params": [-0.5, 1.5]},
    {"activation": "HardSigmoid", "activation_params": [0.3, 0.4]},
]
_GEMM = [
    {"activation": "Relu"},
    {"activation": "Tanh"},
    {"activation": "Sigmoid"},
    {"activation": "Softplus"},
    {"activation": "Softsign"},
    {"activation": "LeakyRelu", "activation_alpha": 0.3},
    {"activation": "Elu", "activation_alpha": 0.7},
    {"activation": "ThresholdedRelu", "activation_alpha": 0.7},
    {"activation": "HardSigmoid", "activation_alpha": 0.3, "activation_beta": 0.4},
    {"activation": "Selu", "activation_alpha": 1.5, "activation_gamma": 1.2},
]

FUSED: dict[tuple[str, str], list[OnnxNode]] = {
    (MS, "DequantizeLinear"): [_ms("DequantizeLinear", _i32(3, 4, high=9).as_type(np.uint8), k(0.5, np.float32), k(3, np.uint8))],
    (MS, "EmbedLayerNormalization"): [
        _ms("EmbedLayerNormalization", _i32(2, 3, high=5), _i32(2, 3, high=2), *_TABLES, epsilon=0.1, outputs=3, kinds=(1, 6, 1)),
        _ms("EmbedLayerNormalization", _i32(2, 3, high=5), None, *_TABLES[:2], None, *_TABLES[3:], outputs=2, kinds=(1, 6)),
        _ms("EmbedLayerNormalization", _i32(2, 3, high=5), _i32(2, 3, high=2), *_TABLES, _i32(2, 3, high=2, seed=3), outputs=3, kinds=(1, 6, 1)),
        _ms("EmbedLayerNormalization", _i32(2, 3, high=5), _i32(2, 3, high=2), *_TABLES, None, _i32(2, 3, high=6, seed=3), outputs=2, kinds=(1, 6)),
    ],
    (MS, "ExpandDims"): [_ms("ExpandDims", X, k(1, np.int32)), _ms("ExpandDims", X, k(-1, np.int32))],
    (MS, "FusedConv"): [
        _ms("FusedConv", IMAGE, w(2, 4, 3, 2), w(2)),
        _ms("FusedConv", IMAGE, w(4, 1, 3, 2), w(4), activation="Relu", group=4, strides=[2, 1], pads=[1, 0, 1, 1], dilations=[1, 2]),
        _ms("FusedConv", IMAGE, w(2, 4, 1, 1), w(2), f(1, 2, 5, 6, seed=2), activation="Relu"),
        *(node for given in _ACTIVATED for node in _conv(**given)),
    ],
    (MS, "FusedGemm"): [
        _ms("FusedGemm", f(3, 3), w(3, 3), w(3), activation="Relu", alpha=0.5, beta=0.25, transA=0, transB=1),
        *(_ms("FusedGemm", f(3, 4), w(4, 5), w(5), **given) for given in _GEMM),
    ],
    (MS, "GatherND"): [_ms("GatherND", X, k([[0, 1], [1, 2]]))],
    (MS, "GridSample"): [_ms("GridSample", f(2, 3, 4, 5), near(2, 3, 2, 2), mode="bilinear", padding_mode="border", align_corners=1)],
    (MS, "Inverse"): [_ms("Inverse", Operand((np.eye(3) * 3 + np.arange(9).reshape(3, 3) / 9).astype(np.float32)))],
    (MS, "Pad"): [_ms("Pad", f(3, 4), k([1, 0, 0, 2]), k(0.5, np.float32)), _ms("Pad", f(3, 4), k([1, 0, 0, 2]), mode="reflect")],
    (MS, "Range"): [_ms("Range", k(1, np.float32), k(9, np.float32), k(3, np.float32)), _ms("Range", k(1), k(5), kinds=(7,))],
    (MS, "SkipLayerNormalization"): [
        _ms("SkipLayerNormalization", X, SKIP, *_ROW, epsilon=0.1),
        _ms("SkipLayerNormalization", X, SKIP, w(4)),
        _ms("SkipLayerNormalization", X, f(1, 3, 4, seed=1), *_ROW[:2]),
        _ms("SkipLayerNormalization", X, f(3, 4, seed=1), *_ROW),
    ],
    (MS, "SkipSimplifiedLayerNormalization"): [
        _ms("SkipSimplifiedLayerNormalization", X, SKIP, *_ROW[:2], epsilon=0.1),
        _ms("SkipSimplifiedLayerNormalization", X, SKIP, w(4)),
    ],
    (MS, "TransposeMatMul"): [_ms("TransposeMatMul", f(3, 3), w(3, 3), alpha=0.5, transA=0, transB=1)],
    (MS, "Trilu"): [_ms("Trilu", X), _ms("Trilu", X, k(1), upper=0)],
    (NCHWC, "AveragePool"): [
        _nc("AveragePool", BLOCKS, kernel_shape=[2, 3], strides=[1, 2], pads=[1, 0, 0, 1]),
        _nc("AveragePool", BLOCKS, kernel_shape=[2, 3], pads=[1, 0, 0, 1], count_include_pad=1),
    ],
    (NCHWC, "Conv"): [
        _nc("Conv", BLOCKS, w(32, 32, 3, 2), w(32), activation="Relu", pads=[1, 0, 0, 1], strides=[1, 2]),
        _nc("Conv", IMAGE, w(16, 4, 3, 2), w(16), dilations=[2, 1]),
        _nc("Conv", BLOCKS, w(32, 1, 3, 2), group=32, activation="HardSigmoid", activation_params=[0.3, 0.4]),
        _nc("Conv", BLOCKS, w(32, 16, 1, 1), w(32), group=2),
        _nc("Conv", BLOCKS, w(16, 32, 1, 1), w(16), f(1, 16, 5, 6, seed=3), activation="Relu"),
    ],
    (NCHWC, "GlobalAveragePool"): [_nc("GlobalAveragePool", BLOCKS)],
    (NCHWC, "GlobalMaxPool"): [_nc("GlobalMaxPool", BLOCKS)],
    (NCHWC, "MaxPool"): [_nc("MaxPool", BLOCKS, kernel_shape=[2, 3], strides=[1, 2], pads=[1, 0, 0, 1])],
    (NCHWC, "ReorderInput"): [_nc("ReorderInput", f(1, 20, 2, 3)), _nc("ReorderInput", f(1, 2, 3, 20), channels_last=1)],
    (NCHWC, "ReorderOutput"): [_nc("ReorderOutput", f(1, 32, 2, 3), channels=20), _nc("ReorderOutput", f(1, 32, 2, 3), channels=28, channels_last=1)],
    (NCHWC, "Upsample"): [
        _nc("Upsample", BLOCKS, scales=[1, 1, 2, 3], vary={"scales": [[1, 1, 3, 2]]}),
        _nc("Upsample", BLOCKS, scales=[1, 1, 2, 3], mode="linear", coordinate_transformation_mode="half_pixel"),
    ],
}  # fmt: skip

_QKV = (f(2, 3, 8), f(2, 5, 8, seed=1), f(2, 5, 8, seed=2))
_SELF = (f(2, 3, 8), w(8, 24), w(24))
_CACHE = (f(2, 2, 2, 4, seed=7), f(2, 2, 2, 4, seed=8))


def _mask(*values: Any) -> Operand:
    return Operand(np.asarray(values, np.int32))


def _gqa(*operands: Operand | None, **given: Any) -> OnnxNode:
    """Rotary positions need wide heads."""
    heads = 2 if "do_rotary" in given else 4
    counts = {"num_heads": heads, "kv_num_heads": heads // 2}
    return _ms("GroupQueryAttention", *operands, outputs=3, **counts, **given)


def _mha(*operands: Operand | None, **given: Any) -> OnnxNode:
    return _ms("MultiHeadAttention", *operands, num_heads=2, **given)


def _prompt(batch: int, length: int) -> tuple[Operand, Operand]:
    return _steps(*[length - 1] * batch)


def _steps(*last: int) -> tuple[Operand, Operand]:
    """The last place of each sequence, and the length of the longest."""
    return k(last, np.int32), k(max(last) + 1, np.int32)


_GROUPS = (f(2, 3, 32), f(2, 3, 16, seed=1), f(2, 3, 16, seed=2))
_STEP = (f(2, 1, 32), f(2, 1, 16, seed=1), f(2, 1, 16, seed=2))
_KEPT = (f(2, 2, 4, 8, seed=3), f(2, 2, 4, 8, seed=4))
_WIDE = (f(2, 1, 4, 16, seed=3), f(2, 1, 4, 16, seed=4))
_TURNS = (w(9, 8), w(9, 8, seed=4))
ATTENTION: dict[tuple[str, str], list[OnnxNode]] = {
    (MS, "Attention"): [
        _ms("Attention", *_SELF, num_heads=2, scale=0.3, unidirectional=0, vary={"num_heads": [4], "unidirectional": [1]}),
        _ms("Attention", *_SELF, num_heads=2, unidirectional=1),
        _ms("Attention", f(2, 3, 8), w(8, 20), w(20), num_heads=2, qkv_hidden_sizes=[8, 8, 4]),
        _ms("Attention", *_SELF, _mask([1, 1, 0], [0, 1, 0]), num_heads=2, mask_filter_value=-3.0),
        _ms("Attention", *_SELF, _mask([1, 1, 0], [0, 0, 0]), num_heads=2, unidirectional=1),
        _ms("Attention", *_SELF, _mask(2, 3), num_heads=2),
        _ms("Attention", *_SELF, _mask(3, 3, 1, 0), num_heads=2, mask_filter_value=-3.0),
        _ms("Attention", *_SELF, _i32(2, 3, 3, high=2), num_heads=2, mask_filter_value=-3.0),
        _ms("Attention", *_SELF, None, f(2, 2, 2, 4, 4, seed=5), num_heads=2, outputs=2, unidirectional=1),
        _ms("Attention", *_SELF, _i32(2, 7, high=2), f(2, 2, 2, 4, 4, seed=5), num_heads=2, outputs=2, mask_filter_value=-3.0),
        _ms("Attention", *_SELF, None, None, f(1, 2, 3, 3, seed=5), num_heads=2),
    ],
    (MS, "MultiHeadAttention"): [
        _mha(*_QKV, scale=0.3, unidirectional=0),
        _mha(*_QKV, w(24)),
        _mha(f(2, 3, 8), f(2, 5, 8, seed=1), f(2, 5, 12, seed=2), w(28)),
        _mha(f(2, 3, 8), f(2, 2, 5, 4, seed=1), f(2, 2, 5, 4, seed=2)),
        _mha(*_QKV, None, _mask(4, 2)),
        _mha(*_QKV, w(24), _i32(2, 5, high=2), mask_filter_value=-3.0),
        _mha(*_QKV, None, _i32(2, 3, 5, high=2), mask_filter_value=-3.0),
        _mha(*_QKV, None, None, f(2, 1, 3, 5, seed=6)),
        _mha(*_QKV, None, None, f(1, 2, 3, 7, seed=6), *_CACHE, outputs=3),
        _mha(*(f(2, 3, 8, seed=i) for i in range(3)), w(24), None, None, *_CACHE, outputs=3, unidirectional=1),
        _mha(*(f(2, 3, 8, seed=i) for i in range(3)), None, _mask([1, 1, 0, 1, 1], [1, 0, 1, 1, 1]), None, *_CACHE, outputs=3, unidirectional=1, mask_filter_value=-3.0),
    ],
    (MS, "GroupQueryAttention"): [
        _gqa(*_GROUPS, None, None, *_prompt(2, 3), scale=0.3),
        _gqa(*_GROUPS, None, None, *_prompt(2, 3), softcap=2.0, local_window_size=2),
        _gqa(f(2, 3, 64), None, None, None, None, *_prompt(2, 3)),
        _gqa(*_GROUPS, None, None, *_prompt(2, 3), *_TURNS, do_rotary=1, rotary_interleaved=0),
        _gqa(*_GROUPS, None, None, *_prompt(2, 3), *_TURNS, do_rotary=1, rotary_interleaved=1),
        _gqa(*_STEP, *_KEPT, *_steps(4, 3), local_window_size=2),
        _gqa(*_STEP, *_WIDE, *_steps(4, 4), *_TURNS, do_rotary=1),
        _gqa(f(1, 2, 32), f(1, 2, 16, seed=1), f(1, 2, 16, seed=2), f(1, 1, 4, 16, seed=3), f(1, 1, 4, 16, seed=4), *_steps(5), *_TURNS, do_rotary=1),
        _gqa(*_GROUPS, None, None, *_prompt(2, 3), None, None, None, f(1, 4, 3, 3, seed=9)),
        _gqa(*_GROUPS, None, None, *_prompt(2, 3), *[None] * 4, w(4)),
        _gqa(*_GROUPS, None, None, *_prompt(2, 3), smooth_softmax=1),
        _gqa(*_GROUPS, None, None, *_prompt(2, 3), *_TURNS, k([[1, 2, 3], [1, 2, 3]]), do_rotary=1),
    ],
    (MS, "RotaryEmbedding"): [
        _ms("RotaryEmbedding", f(2, 3, 8), Operand(np.array([2])), w(9, 2), w(9, 2, seed=4), interleaved=0),
        _ms("RotaryEmbedding", f(2, 2, 3, 4), idx(2, 3, high=9), w(9, 2), w(9, 2, seed=4), interleaved=1),
        _ms("RotaryEmbedding", f(2, 3, 12), idx(2, 3, high=9), w(9, 2), w(9, 2, seed=4), num_heads=2, rotary_embedding_dim=4, interleaved=0),
    ],
}  # fmt: skip

CONTRIB = {**FUSED, **ATTENTION}
