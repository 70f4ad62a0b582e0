"""What is known to be wrong, and what is no fault but a limit. Strict: what is mended must go.

A line is the row, the kind of fault, and the place: the number of the specimen and the variant, or
how it begins, before a star. The kinds are those of `tests.tables.engine`.
"""

from __future__ import annotations

from collections.abc import Mapping

Line = tuple[str, str, str]


def _by_line(causes: Mapping[str, tuple[Line, ...]]) -> dict[Line, str]:
    return {line: cause for cause, lines in causes.items() for line in lines}


# Faults: the place in the code and what is wrong there.
_FAULTS: dict[str, tuple[Line, ...]] = {}

# No faults: the runtime's own ways, and what the certificate says openly that it does not know.
_LIMITS: dict[str, tuple[Line, ...]] = {
    "the certificate says openly that it does not know": (
        ("onnx Hardmax", "unproved", "2 order (2, 0, 1) field"),
        ("onnx NonZero", "unproved", "0 order (1, 0) field"),
        ("onnx Scatter", "unproved", "0 order (2, 0, 1) field"),
        ("onnx Slice", "unproved", "5 order (2, 0, 1) field"),
        ("onnx Split", "unproved", "0 order (2, 0, 1) symbolic structure"),
        ("aten _fused_rms_norm", "unproved", "0 order (2, 0, 1) field"),
        ("aten _fused_rms_norm", "unproved", "1 order (2, 0, 1) field"),
        ("aten _native_batch_norm_legit_no_training", "unproved", "0 order (0, 2, 3, 1) field"),
        ("aten _native_batch_norm_legit_no_training", "unproved", "1 order (1, 0) field"),
        ("aten arange", "unproved", "1 layers field"),
        ("aten arange", "unproved", "2 layers field"),
        ("aten atan2", "unproved", "0 order (2, 0, 1) field"),
        ("aten atan2", "unproved", "1 order (2, 0, 1) field"),
        ("aten linalg_vector_norm", "unproved", "2 order (2, 0, 1) field"),
        ("aten max", "unproved", "0 order (2, 0, 1) field"),
        ("aten max", "unproved", "1 order (2, 0, 1) field"),
        ("aten max_pool2d_with_indices", "unproved", "0 order (0, 2, 3, 1) field"),
        ("aten max_pool2d_with_indices", "unproved", "1 order (0, 2, 3, 1) field"),
        ("aten max_pool2d_with_indices", "unproved", "2 order (0, 2, 3, 1) field"),
        ("aten max_pool3d_with_indices", "unproved", "0 order (0, 2, 3, 4, 1) field"),
        ("aten max_pool3d_with_indices", "unproved", "1 order (0, 2, 3, 4, 1) field"),
        ("aten max_pool3d_with_indices", "unproved", "2 order (0, 2, 3, 4, 1) field"),
        ("aten min", "unproved", "0 order (2, 0, 1) field"),
        ("aten min", "unproved", "1 order (2, 0, 1) field"),
        ("aten native_group_norm", "unproved", "0 order (0, 2, 3, 1) field"),
        ("aten native_layer_norm", "unproved", "0 order (2, 0, 1) field"),
        ("aten native_layer_norm", "unproved", "1 order (2, 0, 1) field"),
        ("aten remainder", "unproved", "0 order (2, 0, 1) field"),
        ("aten round", "unproved", "2 order (2, 0, 1) field"),
        ("aten upsample_nearest2d", "unproved", "1 order (0, 2, 3, 1) field"),
    ),
    "the bits of floating-point numbers are none of the numbers that the certificate speaks of": (
        ("aten view", "unproved", "3 layers field"),
        ("aten view", "unproved", "4 layers field"),
    ),
    "a start that is a tensor would decide a size": (("aten narrow", "refused", "2 *"),),
    "the runtime leaves dilations out of auto_pad; the standard does not": (
        ("onnx LpPool", "misread", "5 auto_pad=SAME*"),
        ("onnx MaxPool", "misread", "6 *"),
    ),
    "the runtime rounds numbers halfway between two as they come out in float32": (
        ("onnx com.microsoft.QLinearAveragePool", "misread", "*"),
        ("onnx com.microsoft.QLinearConcat", "misread", "*"),
        ("onnx com.microsoft.QLinearGlobalAveragePool", "misread", "*"),
    ),
    "the runtime adds the zero point before it rounds halves to even numbers": (
        ("onnx com.microsoft.QLinearAdd", "misread", "0 *"),
        ("onnx com.microsoft.QLinearMul", "misread", "0 4 for 6"),
    ),
    "the runtime rounds logarithms of integers its own way": (
        ("onnx ReduceLogSumExp", "misread", "8 operand 1 [0]-1"),
    ),
    "the standard allows the axes 0 and 1": (
        ("onnx ReverseSequence", "misread", "1 time_axis=-1"),
    ),
    "the standard leaves the order open": (
        ("onnx TopK", "misread", "0 sorted=0"),
        ("onnx TopK", "misread", "1 sorted=0"),
    ),
}

KNOWN = _by_line(_FAULTS)
LIMITS = _by_line(_LIMITS)

# Specimens that are read, and whose layout never moves: windows, one axis, reshapes across axes.
_STAYS = """
aten _adaptive_avg_pool2d: 1
aten _adaptive_avg_pool3d: 0 1
aten _fused_rms_norm: 0
aten _native_batch_norm_legit_no_training: 0 1
aten _safe_softmax: 0
aten _unsafe_view: 0
aten adaptive_avg_pool1d: 1
aten adaptive_avg_pool2d: 1
aten add: 1 2
aten arange: 0 1 2 3
aten avg_pool1d: 0 1 2
aten avg_pool2d: 0 1 2
aten avg_pool3d: 0 1 2
aten conv1d: 2 3 4
aten conv2d: 1 2 3 4 5
aten conv3d: 2 3
aten conv_transpose1d: 1 2 3
aten conv_transpose2d: 2 3
aten conv_transpose3d: 1 2 3
aten convolution: 1 2
aten copy: 0 1
aten dot: 0
aten embedding: 0
aten eye: 0 1
aten full: 0 1
aten gather: 0
aten group_norm: 1
aten index: 1 4 5
aten instance_norm: 0
aten linalg_vector_norm: 1 2 3
aten linspace: 0
aten matmul: 2 4
aten max: 0 1 4 5
aten max_pool1d: 0 1 2
aten max_pool2d: 0 1 2
aten max_pool2d_with_indices: 0 1 2
aten max_pool3d: 0 1 2
aten max_pool3d_with_indices: 0 1 2
aten min: 0 1 4 5
aten native_group_norm: 0
aten native_layer_norm: 0
aten new_full: 0
aten new_ones: 0
aten new_zeros: 0
aten ones: 0
aten pad: 2 3
aten ravel: 0 1
aten repeat_interleave: 2
aten reshape: 2
aten roll: 2 3
aten scalar_tensor: 0
aten scaled_dot_product_attention: 0 1 2 3 4 5
aten sort: 0 1
aten topk: 0
aten tril: 0 1
aten triu: 0 1
aten upsample_bicubic2d: 0 1
aten upsample_bilinear2d: 0 1
aten upsample_linear1d: 0 1
aten upsample_nearest1d: 0 1
aten upsample_nearest2d: 0 1 2
aten upsample_nearest3d: 0 1
aten upsample_trilinear3d: 0 1
aten var_mean: 0
aten view: 0 3 4
aten zeros: 0
onnx AveragePool: 0 1 2 3 4 5 6 7 8 9
onnx CastLike: 0 1
onnx Compress: 0 1
onnx Conv: 1 3 6
onnx ConvTranspose: 2 3
onnx DepthToSpace: 0 1
onnx DequantizeLinear: 0 1
onnx Einsum: 2 3
onnx EyeLike: 0 1
onnx Gather: 3
onnx GatherElements: 0
onnx GatherND: 1 2
onnx GlobalLpPool: 2
onnx GroupNormalization: 0 1 2
onnx Hardmax: 2
onnx InstanceNormalization: 0 1
onnx LRN: 0 1
onnx LogSoftmax: 2
onnx LpNormalization: 0 1
onnx LpPool: 0 1 2 3 4 5
onnx MatMul: 6 7
onnx MatMulInteger: 0
onnx MaxPool: 0 1 2 3 4 5 6 7
onnx MeanVarianceNormalization: 0 1
onnx NonZero: 0
onnx OneHot: 0 1
onnx ReduceL1: 4 6
onnx ReduceL2: 4 6
onnx ReduceLogSum: 4 6
onnx ReduceLogSumExp: 4 6
onnx ReduceSumSquare: 4 6
onnx Reshape: 2 4
onnx Resize: 0 1 2 3 4
onnx ReverseSequence: 0 1
onnx Scatter: 0
onnx ScatterElements: 0 1
onnx ScatterND: 0 1
onnx Softmax: 2
onnx SpaceToDepth: 0
onnx Tile: 0 1
onnx TopK: 0 1
onnx Trilu: 0 1
onnx Upsample: 0
onnx com.microsoft.BiasGelu: 0
onnx com.microsoft.FastGelu: 0
onnx com.microsoft.FusedMatMul: 0 1
"""

STAYS = {
    row: tuple(map(int, numbers.split()))
    for row, _, numbers in (line.partition(": ") for line in _STAYS.strip().splitlines())
}
