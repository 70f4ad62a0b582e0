"""Specimens of Fourier transforms.

Where `onesided` is not written, onnx infers a shape that the runtime does not have.
"""

from __future__ import annotations

from tests.tables.onnx_nodes import OnnxNode, s
from tests.tables.operands import f, k, w

SPECTRAL: dict[tuple[str, str], list[OnnxNode]] = {
    ("", "DFT"): [
        s("DFT", f(2, 5, 3, 1), k(5), k(1)),
        s("DFT", f(2, 5, 6, 2), k(4), k(2), inverse=1),
        s("DFT", f(2, 6, 1), k(8), k(-2), onesided=1),
        s("DFT", f(2, 6, 2), axis=1, opset=17, inverse=0, onesided=0),
    ],
    ("", "STFT"): [
        s("STFT", f(2, 12, 1), k(3), w(5), onesided=1),
        s("STFT", f(2, 12, 1), k(2), w(4), k(4), onesided=0),
        s("STFT", f(2, 12, 1), k(4), None, k(6), onesided=1),
    ],
}
