"""Specimens of ATen operators: arguments that the schema does not give away.

An overload without a line is called with what its schema asks for: reals, integers and booleans of
a common shape, numbers, axes. What the eager operator refuses is left out.
"""

# ruff: noqa: E501  (tables: a line is a row)

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from tests.tables.aten_nodes import AtenNode, aten, c, eager
from tests.tables.operands import Operand, b, f, idx, k, n, near, pos, up, w

F, I32, BOOL = np.float32, np.int32, np.bool_
SHAPE = (2, 3, 4)
X = f(*SHAPE)
Y = f(*SHAPE, seed=3)
Z = f(*SHAPE, seed=8)
LINE = f(2, 4, 6)
IMAGE = f(1, 4, 5, 6)
BLOCK = f(1, 2, 4, 4, 4)
MASK = b(*SHAPE)
_SPECIAL = Operand(np.array([[0, np.inf, -np.inf], [np.nan, 1, -1]], F))


def _conv(rank: int, transposed: bool = False) -> list[dict[str, Any]]:
    x = (LINE, IMAGE, BLOCK)[rank - 1]
    channels = x.values.shape[1]
    one, two = (1,) * rank, (2,) * rank
    first = (channels, 6) if transposed else (6, channels)
    depth = (channels, 1)
    found: list[dict[str, Any]] = [
        {"input": x, "weight": w(*first, *one), "bias": w(6)},
        {"input": x, "weight": w(*first, *two), "bias": w(6), "stride": [2] * rank},
        {"input": x, "weight": w(*depth, *two), "groups": channels, "padding": [1] * rank},
        {"input": x, "weight": w(*first, *two), "dilation": [2] * rank},
    ]
    return found


def _pool(rank: int) -> list[dict[str, Any]]:
    x = (LINE, IMAGE, BLOCK)[rank - 1]
    return [
        {"self": x, "kernel_size": [2] * rank, "stride": [2] * rank},
        {"self": x, "kernel_size": [3] * rank, "stride": [2] * rank, "padding": [1] * rank},
        {"self": x, "kernel_size": [2] * rank, "stride": [2] * rank, "ceil_mode": True},
    ]


_Q = {"query": f(2, 2, 3, 4), "key": f(2, 2, 5, 4), "value": f(2, 2, 5, 4, seed=4)}
_STATS = {"running_mean": w(4, seed=3), "running_var": up(4)}
_AFFINE = {"weight": w(4), "bias": w(4, seed=2)}

# No place of these lies near the middle between two elements.
_GRID = Operand(np.linspace(-1.4137, 1.3931, 48, dtype=F).reshape(2, 4, 3, 2), free=False)
_SPACE = Operand(np.linspace(-1.3127, 1.2931, 24, dtype=F).reshape(1, 2, 2, 2, 3))
_LAYER = {"dropout": 0.0, "train": False}


def _recurrent(gates: int, *states: Operand) -> list[dict[str, Any]]:
    """Layers of width 4 with 2 hidden elements: one, and two in both directions without biases."""
    rows = 2 * gates
    first = [w(rows, 4), w(rows, 2), w(rows, seed=2), w(rows, seed=3)]
    pairs = [
        p
        for i, width in enumerate((4, 4, 4, 4))
        for p in (w(rows, width, seed=i), w(rows, 2, seed=i + 5))
    ]
    hx = list(states) if len(states) > 1 else states[0]
    four = [Operand(np.concatenate([one.values * (i + 1) for i in range(4)])) for one in states]
    many = four if len(four) > 1 else four[0]
    given = {"input": f(3, 2, 4), "hx": hx, "params": first, "has_biases": True, "num_layers": 1}
    return [
        {**given, **_LAYER, "bidirectional": False, "batch_first": False},
        {**given, **_LAYER, "input": f(2, 3, 4), "bidirectional": False, "batch_first": True},
        {
            "input": f(3, 2, 4), "hx": many, "params": pairs, "has_biases": False, "num_layers": 2,
            **_LAYER, "bidirectional": True, "batch_first": False,
        },
    ]  # fmt: skip


HINTS: dict[str, list[dict[str, Any]]] = {
    "_adaptive_avg_pool2d": [{"self": IMAGE, "output_size": [1, 1]}, {"self": IMAGE, "output_size": [2, 3]}],
    "_adaptive_avg_pool3d": [{"self": BLOCK, "output_size": [1, 1, 1]}, {"self": BLOCK, "output_size": [2, 2, 4]}],
    "_fused_rms_norm": [{"input": X, "normalized_shape": [4], "weight": w(4), "eps": 0.1}, {"input": X, "normalized_shape": [3, 4], "weight": None, "eps": None}],
    "_log_softmax": [{"self": X, "dim": 1, "half_to_float": False}],
    "_native_batch_norm_legit_no_training": [{"input": IMAGE, **_AFFINE, **_STATS, "momentum": 0.1, "eps": 0.1}, {"input": f(3, 4), **_AFFINE, **_STATS, "momentum": 0.1, "eps": 1e-5}],
    "_prelu_kernel": [{"self": X, "weight": w(1, 3, 1)}, {"self": X, "weight": w(1, 1, 1)}],
    "_safe_softmax": [{"self": X, "dim": 1}],
    "_softmax": [{"self": X, "dim": 1, "half_to_float": False}],
    "_unsafe_view": [{"self": X, "size": [2, 12]}, {"self": X, "size": [2, 3, 2, 2]}],
    "acos": [{"self": near(*SHAPE)}],
    "acosh": [{"self": pos(*SHAPE)}],
    "adaptive_avg_pool1d": [{"self": LINE, "output_size": [1]}, {"self": LINE, "output_size": [3]}],
    "adaptive_avg_pool2d": [{"self": IMAGE, "output_size": [1, 1]}, {"self": IMAGE, "output_size": [2, 3]}, {"self": f(4, 5, 6), "output_size": [1, 1]}],
    "adaptive_avg_pool3d": [{"self": BLOCK, "output_size": [1, 1, 1]}],
    "add.Tensor": [{"self": X, "other": Y}, {"self": X, "other": Y, "alpha": 2}, {"self": X, "other": 0.75, "alpha": 3}, {"self": X, "other": w(4)}, {"self": n(*SHAPE), "other": 2}],
    "addmm": [{"self": w(3), "mat1": f(2, 4), "mat2": w(4, 3)}, {"self": f(2, 3), "mat1": f(2, 4), "mat2": w(4, 3), "beta": 0.5, "alpha": 2}],
    "arange.start_step": [{"start": 0, "end": 9, "step": 2}],
    "arange": [{"end": 5}],
    "asin": [{"self": near(*SHAPE)}],
    "atanh": [{"self": near(*SHAPE)}],
    "baddbmm": [{"self": f(2, 3, 5), "batch1": X, "batch2": f(2, 4, 5)}, {"self": w(3, 5), "batch1": X, "batch2": f(2, 4, 5), "beta": 0.5, "alpha": 2}],
    "batch_norm": [{"input": IMAGE, **_AFFINE, **_STATS, "training": False, "momentum": 0.1, "eps": 0.1, "cudnn_enabled": False}],
    "bmm": [{"self": X, "mat2": f(2, 4, 5)}, {"self": X, "mat2": w(2, 4, 5)}],
    "col2im": [{"self": f(2, 12, 16), "output_size": [5, 6], "kernel_size": [2, 3], "dilation": [1, 1], "padding": [0, 0], "stride": [1, 1]}, {"self": f(12, 24), "output_size": [5, 6], "kernel_size": [2, 2], "dilation": [1, 2], "padding": [0, 1], "stride": [1, 1]}],
    "grid_sampler": [{"input": f(2, 3, 4, 5), "grid": _GRID, "interpolation_mode": 0, "padding_mode": 0, "align_corners": False}],
    "grid_sampler_2d": [{"input": f(2, 3, 4, 5), "grid": _GRID, "interpolation_mode": mode, "padding_mode": 1, "align_corners": False} for mode in (0, 1, 2)],
    "grid_sampler_3d": [{"input": f(1, 2, 3, 4, 2), "grid": _SPACE, "interpolation_mode": 0, "padding_mode": 0, "align_corners": True}],
    "im2col": [{"self": f(2, 3, 5, 6), "kernel_size": [2, 3], "dilation": [1, 1], "padding": [0, 1], "stride": [2, 1]}, {"self": f(3, 5, 6), "kernel_size": [2, 2], "dilation": [2, 1], "padding": [0, 0], "stride": [1, 1]}],
    "gru.input": _recurrent(3, f(1, 2, 2)),
    "lstm.input": _recurrent(4, f(1, 2, 2), f(1, 2, 2, seed=7)),
    "rnn_relu.input": _recurrent(1, f(1, 2, 2)),
    "rnn_tanh.input": _recurrent(1, f(1, 2, 2)),
    "cat": [{"tensors": [X, Y], "dim": 1}, {"tensors": [f(2, 1, 4), X, w(2, 2, 4)], "dim": -2}],
    "chunk": [{"self": X, "chunks": 2, "dim": -1}, {"self": X, "chunks": 2, "dim": 1}],
    "clamp": [{"self": X, "min": -1, "max": 2}, {"self": X, "min": 0.5}, {"self": X, "max": 0.5}, {"self": X, "min": 2, "max": -1}, {"self": n(*SHAPE), "min": -2, "max": 3}],
    "clamp.Tensor": [{"self": X, "min": w(4), "max": Y}],
    "split": [],
    "repeat_interleave.self_Tensor": [],
    "constant_pad_nd": [{"self": X, "pad": [1, 2]}, {"self": X, "pad": [0, 1, 2, 0], "value": 1.5}, {"self": X, "pad": [-1, 1]}],
    "conv1d": _conv(1), "conv2d": _conv(2), "conv3d": _conv(3),
    "conv1d.padding": [{"input": LINE, "weight": w(6, 4, 3), "padding": "same"}],
    "conv2d.padding": [{"input": IMAGE, "weight": w(6, 4, 3, 3), "padding": "same"}, {"input": IMAGE, "weight": w(6, 4, 1, 1), "padding": "same"}],
    "conv3d.padding": [{"input": BLOCK, "weight": w(6, 2, 1, 1, 1), "padding": "same"}],
    "conv_transpose1d": _conv(1, True),
    "conv_transpose2d.input": _conv(2, True),
    "conv_transpose3d.input": _conv(3, True),
    "convolution": [
        {"input": IMAGE, "weight": w(6, 4, 1, 1), "bias": w(6), "stride": [1, 1], "padding": [0, 0], "dilation": [1, 1], "transposed": False, "output_padding": [0, 0], "groups": 1},
        {"input": IMAGE, "weight": w(6, 4, 2, 2), "bias": None, "stride": [2, 2], "padding": [0, 0], "dilation": [1, 1], "transposed": False, "output_padding": [0, 0], "groups": 1},
        {"input": IMAGE, "weight": w(4, 3, 2, 2), "bias": None, "stride": [2, 2], "padding": [0, 0], "dilation": [1, 1], "transposed": True, "output_padding": [1, 0], "groups": 2},
    ],
    "copy": [{"self": X, "src": Y}, {"self": X, "src": f(4)}],
    "cumsum": [{"self": X, "dim": 1}, {"self": n(*SHAPE), "dim": -1}],
    "dot": [{"self": f(4), "tensor": f(4, seed=3)}],
    "einsum": [{"equation": "bij,bjk->bik", "tensors": [X, f(2, 4, 5)]}, {"equation": "bij,jk->bik", "tensors": [X, w(4, 5)]}],
    "embedding": [{"weight": w(5, 3), "indices": idx(2, 4, high=5)}],
    "expand": [{"self": f(3, 1), "size": [2, 3, 4]}, {"self": f(1, 3, 1), "size": [2, -1, 4]}],
    "expand_as": [{"self": f(3, 1), "other": X}],
    "eye": [{"n": 3}], "eye.m": [{"n": 3, "m": 4}],
    "flatten.using_ints": [{"self": X, "start_dim": 1}, {"self": f(2, 3, 2, 2), "start_dim": 1, "end_dim": 2}],
    "flip": [{"self": X, "dims": [1]}, {"self": X, "dims": [0, -1]}],
    "full": [{"size": [2, 3], "fill_value": 2.5}, {"size": [2, 3], "fill_value": 3}],
    "gather": [{"self": X, "dim": 1, "index": idx(2, 2, 4, high=2)}],
    "hstack": [{"tensors": [X, Y]}, {"tensors": [f(3), f(2, seed=1)]}],
    "narrow": [{"self": X, "dim": 1, "start": 1, "length": 2}, {"self": X, "dim": -1, "start": -3, "length": 2}],
    "narrow.Tensor": [{"self": X, "dim": 1, "start": k(1), "length": 2}],
    "take_along_dim": [{"self": X, "indices": idx(2, 2, 4, high=2), "dim": 1}, {"self": X, "indices": idx(1, 2, 1, high=2), "dim": 1}],
    "pixel_shuffle": [{"self": IMAGE, "upscale_factor": 2}],
    "group_norm": [{"input": IMAGE, "num_groups": 2, **_AFFINE}, {"input": f(2, 4, 3), "num_groups": 4, "eps": 0.2}],
    "index.Tensor": [
        {"self": X, "indices": [None, k([2, 0])]}, {"self": X, "indices": [k([1, 0]), None, k([1, 2])]},
        {"self": X, "indices": [k([[0, 1]])]}, {"self": X, "indices": [None, idx(2, high=3)]},
        {"self": X, "indices": [None, k([0, 2]), k([1, 3])]}, {"self": f(2), "indices": [k([1, 0, 1])]},
    ],
    "index_select": [{"self": X, "dim": 1, "index": k([2, 0])}, {"self": X, "dim": 1, "index": idx(2, high=3)}],
    "instance_norm": [{"input": IMAGE, **_AFFINE, "running_mean": None, "running_var": None, "use_input_stats": True, "momentum": 0.1, "eps": 0.1, "cudnn_enabled": False}],
    "isfinite": [{"self": _SPECIAL}], "isinf": [{"self": _SPECIAL}], "isnan": [{"self": _SPECIAL}],
    "nan_to_num": [{"self": _SPECIAL, "nan": 2.0}, {"self": _SPECIAL, "posinf": 5.0, "neginf": -6.0}],
    "layer_norm": [{"input": X, "normalized_shape": [4], "weight": w(4), "bias": w(4, seed=2)}, {"input": X, "normalized_shape": [3, 4], "eps": 0.3}],
    "linalg_vector_norm": [{"self": X, "ord": 2, "dim": [1]}, {"self": X, "ord": 1, "dim": [-1], "keepdim": True}, {"self": X, "ord": float("inf"), "dim": [1]}, {"self": X}],
    "linear": [{"input": X, "weight": w(5, 4), "bias": w(5)}, {"input": f(3, 4), "weight": w(4, 4)}],
    "linspace": [{"start": 0.0, "end": 2.0, "steps": 5}],
    "log": [{"self": pos(*SHAPE)}], "log10": [{"self": pos(*SHAPE)}], "log1p": [{"self": pos(*SHAPE)}], "log2": [{"self": pos(*SHAPE)}],
    "masked_fill.Scalar": [{"self": X, "mask": MASK, "value": -9.0}, {"self": X, "mask": k([True, False, True, True], BOOL), "value": 2}],
    "masked_fill.Tensor": [{"self": X, "mask": MASK, "value": k(-9.0, F)}],
    "matmul": [{"self": X, "other": w(4, 5)}, {"self": X, "other": f(2, 4, 3)}, {"self": f(4), "other": w(4, 3)}, {"self": X, "other": w(4)}, {"self": f(2, 1, 3, 4), "other": f(5, 4, 2)}],
    "mm": [{"self": f(2, 4), "mat2": w(4, 3)}, {"self": f(3, 3), "mat2": f(3, 3, seed=4)}],
    "movedim.int": [{"self": X, "source": 0, "destination": 2}], "movedim.intlist": [{"self": X, "source": [0, 1], "destination": [2, 0]}],
    "mv": [{"self": f(2, 4), "vec": w(4)}],
    "native_group_norm": [{"input": IMAGE, **_AFFINE, "N": 1, "C": 4, "HxW": 30, "group": 2, "eps": 0.1}],
    "native_layer_norm": [{"input": X, "normalized_shape": [4], "weight": w(4), "bias": w(4, seed=2), "eps": 0.1}, {"input": X, "normalized_shape": [3, 4], "weight": None, "bias": None, "eps": 1e-5}],
    "new_full": [{"self": X, "size": [2, 3], "fill_value": 2.5}],
    "new_ones": [{"self": X, "size": [2, 3]}], "new_zeros": [{"self": X, "size": [2, 3]}],
    "numpy_T": [{"self": f(2, 3)}, {"self": X}],
    "pad": [{"self": X, "pad": [1, 2], "mode": "constant"}, {"self": X, "pad": [1, 2], "value": 1.5}, {"self": X, "pad": [1, 2], "mode": "reflect"}, {"self": IMAGE, "pad": [1, 2, 0, 1], "mode": "replicate"}],
    "permute": [{"self": X, "dims": [0, 2, 1]}, {"self": X, "dims": [1, 2, 0]}],
    "pow.Tensor_Scalar": [{"self": pos(*SHAPE), "exponent": 2}, {"self": X, "exponent": 3}, {"self": pos(*SHAPE), "exponent": 0.5}, {"self": pos(*SHAPE), "exponent": -1}],
    "pow.Tensor_Tensor": [{"self": pos(*SHAPE), "exponent": w(4)}],
    "pow.Scalar": [{"self": 2.0, "exponent": X}],
    "prelu": [{"self": X, "weight": w(3)}, {"self": X, "weight": w(1)}],
    "repeat": [{"self": X, "repeats": [1, 2, 1]}, {"self": f(3, 2), "repeats": [2, 1, 3]}],
    "repeat_interleave.self_int": [{"self": X, "repeats": 2, "dim": 1}, {"self": X, "repeats": 2, "dim": -1}, {"self": f(3), "repeats": 3}],
    "reshape": [{"self": X, "shape": [2, 12]}, {"self": X, "shape": [6, -1]}, {"self": X, "shape": [4, 3, 2]}],
    "reshape_as": [{"self": X, "other": f(6, 4)}], "view_as": [{"self": X, "other": f(6, 4)}],
    "rms_norm": [{"input": X, "normalized_shape": [4], "weight": w(4), "eps": 0.1}, {"input": X, "normalized_shape": [3, 4]}],
    "roll": [{"self": X, "shifts": [1], "dims": [1]}, {"self": X, "shifts": [1, 2], "dims": [0, -1]}, {"self": X, "shifts": [2], "dims": []}, {"self": X, "shifts": [1, 1], "dims": [1, 1]}],
    "scalar_tensor": [{"s": 2.5}],
    "scaled_dot_product_attention": [dict(_Q), {**_Q, "scale": 0.3}, {**_Q, "attn_mask": w(3, 5)}, {**_Q, "attn_mask": k([[True, False, True, True, False]] * 3, BOOL)}, {**_Q, "is_causal": True}, {"query": f(2, 4, 3, 4), "key": f(2, 2, 5, 4), "value": f(2, 2, 5, 4, seed=4), "enable_gqa": True}],
    "select.int": [{"self": X, "dim": 1, "index": 2}, {"self": X, "dim": -1, "index": -2}],
    "slice.Tensor": [{"self": X, "dim": 1, "start": 1}, {"self": X, "dim": -1, "start": 0, "end": 3, "step": 2}, {"self": X, "dim": 2, "start": -2, "end": 9}],
    "split.Tensor": [{"self": X, "split_size": 2, "dim": 1}, {"self": X, "split_size": 2, "dim": -1}],
    "split.sizes": [{"self": X, "split_size": [1, 2], "dim": 1}],
    "split_with_sizes": [{"self": X, "split_sizes": [1, 3], "dim": -1}],
    "sort": [{"self": X, "dim": 1}], "sort.stable": [{"self": X, "stable": True, "dim": 1}],
    "squeeze.dim": [{"self": f(2, 1, 3, 1), "dim": 1}], "squeeze.dims": [{"self": f(2, 1, 3, 1), "dim": [1, 3]}], "squeeze": [{"self": f(2, 1, 3, 1)}],
    "stack": [{"tensors": [X, Y], "dim": 1}, {"tensors": [X, w(2, 3, 4)], "dim": -1}],
    "t": [{"self": f(2, 3)}],
    "tile": [{"self": X, "dims": [1, 2, 1]}, {"self": X, "dims": [2, 1]}],
    "topk": [{"self": X, "k": 2, "dim": 1}],
    "transpose.int": [{"self": X, "dim0": 0, "dim1": 2}], "swapaxes": [{"self": X, "axis0": 0, "axis1": 2}], "swapdims": [{"self": X, "dim0": 1, "dim1": 2}],
    "unflatten.int": [{"self": X, "dim": 2, "sizes": [2, 2]}, {"self": f(6, 2), "dim": 0, "sizes": [2, -1]}],
    "unsqueeze": [{"self": X, "dim": 1}, {"self": X, "dim": -1}],
    "upsample_bicubic2d.vec": [{"input": IMAGE, "output_size": [7, 9], "align_corners": False, "scale_factors": None}],
    "upsample_bilinear2d.vec": [{"input": IMAGE, "output_size": [7, 9], "align_corners": False, "scale_factors": None}],
    "upsample_nearest2d.vec": [{"input": IMAGE, "output_size": None, "scale_factors": [1.5, 2.0]}],
    "upsample_nearest3d.vec": [{"input": BLOCK, "output_size": None, "scale_factors": [1.5, 2.0, 1.0]}],
    "upsample_trilinear3d.vec": [{"input": BLOCK, "output_size": [7, 8, 5], "align_corners": False, "scale_factors": None}],
    "upsample_bicubic2d.default": [{"self": IMAGE, "output_size": [7, 9], "align_corners": False}],
    "upsample_bilinear2d": [{"self": IMAGE, "output_size": [7, 9], "align_corners": False}],
    "upsample_linear1d": [{"self": LINE, "output_size": [9], "align_corners": False}],
    "upsample_nearest1d": [{"self": LINE, "output_size": [9]}],
    "upsample_nearest2d": [{"self": IMAGE, "output_size": [7, 9]}, {"self": IMAGE, "output_size": [10, 12], "scales_h": 2.0, "scales_w": 2.0}],
    "upsample_nearest3d": [{"self": BLOCK, "output_size": [7, 8, 5]}],
    "upsample_trilinear3d": [{"self": BLOCK, "output_size": [7, 8, 5], "align_corners": False}],
    "var_mean.correction": [{"self": X, "dim": [1]}, {"self": X, "dim": [-1], "correction": 0, "keepdim": True}],
    "var.correction": [{"self": X, "dim": [1]}, {"self": X, "dim": [-1], "correction": 0, "keepdim": True}],
    "std.correction": [{"self": X, "dim": [1]}, {"self": X, "dim": [-1], "correction": 0, "keepdim": True}],
    "view": [{"self": X, "size": [2, 12]}, {"self": X, "size": [6, -1]}, {"self": X, "size": [2, 3, 2, 2]}],
    "where": [], "addmm.dtype": [], "baddbmm.dtype": [], "bmm.dtype": [], "mm.dtype": [],
    "where.self": [{"condition": MASK, "self": X, "other": Y}, {"condition": k([True, False, True, True], BOOL), "self": X, "other": f(2, 1, 4)}],
    "zeros": [{"size": [2, 3]}], "ones": [{"size": [2, 3]}],
}  # fmt: skip
HINTS |= {f"avg_pool{r}d": _pool(r) for r in (1, 2, 3)}
HINTS |= {f"max_pool{r}d": _pool(r) for r in (1, 2, 3)}
HINTS |= {f"max_pool{r}d_with_indices": _pool(r) for r in (2, 3)}

_SKIPPED = ("out", "names", "dimname", "generator", "qint", "quantized")


def overloads(op: str) -> Iterator[str]:
    """The overloads that yield new tensors and know no names of dimensions."""
    for name in getattr(aten, op).overloads():
        schema = getattr(getattr(aten, op), name)._schema
        kinds = " ".join(str(a.type) for a in schema.arguments)
        mutable = schema.is_mutable or any(a.is_out for a in schema.arguments)
        strange = "Dimname" in str(schema) or "Generator" in kinds
        if not mutable and not strange and any("Tensor" in str(r.type) for r in schema.returns):
            yield name


def specimens(op: str) -> list[AtenNode]:
    """The specimens of a row: those of the hints, and one of each other overload and type."""
    found: list[AtenNode] = []
    if not hasattr(aten, op):
        return found
    for overload in overloads(op):
        full = f"{op}.{overload}"
        hints = HINTS.get(full, HINTS.get(op) if overload == "default" else None)
        if hints is not None:
            nodes = [c(full, given) for given in hints]
            found += nodes
        else:
            found += _generic(full)
    return found


def _generic(full: str) -> Iterator[AtenNode]:
    seen = 0
    for make in (f, n, b):
        node = c(full, {})
        given = {}
        count = 0
        for argument in node.target._schema.arguments:
            kind, name = str(argument.type), argument.name
            if argument.has_default_value() and not (name in ("dim", "other") and count):
                continue
            if name == "dtype":
                given[name] = torch.float64 if make is f else torch.float32
            elif kind == "Tensor":
                given[name] = make(*SHAPE, seed=3 * count)
                count += 1
            elif kind == "number":
                given[name] = 2
            elif kind == "int" or (kind == "Optional[int]" and name == "dim"):
                given[name] = 1
            elif "List[int]" in kind:
                given[name] = [1]
            elif kind == "float":
                given[name] = 0.75
            elif kind == "bool":
                given[name] = False
            elif "str" in kind:
                given[name] = "floor" if name == "rounding_mode" else None
            elif argument.has_default_value():
                continue
            else:
                given[name] = None
        node = c(full, given)
        if make is b and seen == 2 and "logical" not in full:
            return
        if eager(node, node.feeds()[0]) is not None:
            seen += 1
            yield node
