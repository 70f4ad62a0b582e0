"""What tools compute with weights is proved up to derived roundings, and nothing beside it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

import onebyone
from onebyone.certify.certificate import Certificate, Verdict
from tests.certify.models import model, weight

IMAGE = "(float[2, 3, 6, 6] x) => (float[2, 8, 6, 6] y)"
CONV = "Conv <pads = [1, 1, 1, 1]> (x, w, b)"
RNG = np.random.default_rng(5)
W, B = weight(8, 3, 3, 3), weight(8, seed=1)
SCALE, SHIFT, MEAN = (weight(8, seed=n) for n in (2, 3, 4))
VARIANCE = RNG.uniform(0.5, 2.0, 8).astype("f4")


def normed() -> onnx.ModelProto:
    body = f"c = {CONV} y = BatchNormalization <epsilon = 0.001> (c, s, t, m, v)"
    return model(IMAGE, body, opset=17, w=W, b=B, s=SCALE, t=SHIFT, m=MEAN, v=VARIANCE)


def folded(ulps: int = 0) -> onnx.ModelProto:
    """The same by one convolution; one of its weights is off by so many units in the last place."""
    root = SCALE.astype("f8") / np.sqrt(VARIANCE.astype("f8") + np.float32(0.001))
    w = (W * root[:, None, None, None]).astype("f4")
    b = ((B - MEAN.astype("f8")) * root + SHIFT).astype("f4")
    for _ in range(ulps):
        w[1, 2, 0, 1] = np.nextafter(w[1, 2, 0, 1], np.float32(9))
    return model(IMAGE, f"y = {CONV}", opset=17, w=w, b=b)


def said(certificate: Certificate) -> str:
    return certificate["field"].summary


def test_a_folded_batch_norm_is_proved_and_its_constants_are_listed() -> None:
    certificate = onebyone.verify(normed(), folded())
    assert certificate.exit_code == 0, said(certificate)
    told = "up to the rounding of 2 constants that follow from the first model's (b, w; largest"
    assert told in said(certificate)


@pytest.mark.parametrize("ulps", [60, 1000])
def test_a_weight_that_is_merely_near_is_not_proved(ulps: int) -> None:
    certificate = onebyone.verify(normed(), folded(ulps))
    assert certificate["field"].verdict is not Verdict.PROVED


@pytest.mark.parametrize("body", ["y = Mul (x, w)", "r = Relu (x) y = Add (r, w)"])
def test_a_constant_that_nobody_computed_was_not_rounded(body: str) -> None:
    signature = "(float[2, 4, 8] x) => (float[2, 4, 8] y)"
    other = B.copy()
    other[3] = np.nextafter(other[3], np.float32(9))
    certificate = onebyone.verify(model(signature, body, w=B), model(signature, body, w=other))
    assert certificate["field"].verdict is not Verdict.PROVED
    assert certificate.exit_code != 0


def test_a_product_behind_an_activation_is_not_a_rounding_of_the_weight() -> None:
    """Nothing scales the weight, so one with its last bit flipped is another."""
    signature = "(float[2, 4, 8] x) => (float[2, 4, 6] y)"
    w = weight(8, 6)
    other = w.copy()
    other[3, 3] = np.nextafter(other[3, 3], np.float32(9))
    body = "m = MatMul (x, w) y = Relu (m)"
    certificate = onebyone.verify(model(signature, body, w=w), model(signature, body, w=other))
    assert certificate["field"].verdict is not Verdict.PROVED
