"""Part 8: wrong rewrites of a small network, and which check catches which."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from onebyone.certify.verify import verify
from onebyone.explain.onnx_models import Array, IrModel, SmallNet, run

# What samplers in this field often call equal: a relative and an absolute 1e-5.
_TOLERANCE = 1e-5


def _net(rng: np.random.Generator) -> SmallNet:
    def normal(*shape: int) -> Array:
        return rng.standard_normal(shape).astype(np.float32)

    return SmallNet(normal(3, 3), normal(3), normal(5, 3, 4, 4) / np.float32(4), normal(5))


def _flipped(weight: Array) -> Array:
    bits = weight.copy().view(np.uint32)
    bits[0, 0] ^= 1
    return bits.view(np.float32)


def _swapped_rows(weight: Array) -> Array:
    return weight[[1, 0, *range(2, len(weight))]]


def _swap_hidden(net: SmallNet) -> SmallNet:
    order = [1, 0, 2]
    return net.changed(mix=net.mix[order], mix_bias=net.mix_bias[order], head=net.head[:, order])


# name -> the rewrite that was made by mistake; the first and the last are no mistakes
MUTATIONS: dict[str, Callable[[SmallNet], SmallNet]] = {
    "correct": lambda net: net,
    "transposed_weight": lambda net: net.changed(mix=net.mix.T),
    "flatten_hwc": lambda net: net.changed(flatten="HWC"),
    "swapped_hw": lambda net: net.changed(head=net.head.swapaxes(2, 3)),
    "dropped_bias": lambda net: net.changed(head_bias=np.zeros_like(net.head_bias)),
    "doubled_bias": lambda net: net.changed(mix_bias=2 * net.mix_bias),
    "bias_after_relu": lambda net: net.changed(bias_first=False),
    "off_by_one": lambda net: net.changed(head=np.roll(net.head, 1, axis=3)),
    "swapped_classes": lambda net: net.changed(head=_swapped_rows(net.head)),
    "softmax_axis": lambda net: net.changed(softmax_axis=0),
    "flipped_bit": lambda net: net.changed(mix=_flipped(net.mix)),
    "swapped_hidden": _swap_hidden,
}
# These compute the same function as the original.
EQUIVALENT = ("correct", "swapped_hidden")
# The layers that can prove two models equal.
_PROOFS = ("structure", "field")


@cache
def mutant_table(seed: int = 8) -> dict[str, Any]:
    """Check every rewrite of `MUTATIONS` of one small network with every layer.

    Args:
        seed: of the network's weights and of the sampled input.

    Returns:
        ``layers``: the names of the checks; ``rows``: for each rewrite its name, whether it is
        ``equivalent``, the ``outcome`` (``proved``, ``differs``, ``undecided``), and for each layer
        the ``verdict`` (of the same three; ``sampled`` says ``passed``) and ``evidence``, one line.
    """
    rng = np.random.default_rng(seed)
    net = _net(rng)
    original = net.as_convolutions()
    x = rng.standard_normal((1, *net.head.shape[1:])).astype(np.float32)
    rows: list[dict[str, Any]] = []
    for name, mutate in MUTATIONS.items():
        rewritten = mutate(net).as_fc_layers()
        layers = _certificate(original, rewritten)
        verdicts = {check["verdict"] for check in layers.values()}
        if "differs" in verdicts:
            outcome = "differs"
        else:
            proofs = {layers[layer]["verdict"] for layer in _PROOFS}
            outcome = "proved" if "proved" in proofs else "undecided"
        layers["sampled"] = _sampled(run(original, x), run(rewritten, x))
        rows.append(
            {
                "name": name,
                "equivalent": name in EQUIVALENT,
                "outcome": outcome,
                "layers": layers,
            }
        )
    return {"layers": list(rows[0]["layers"]), "rows": rows}


def _certificate(original: IrModel, rewritten: IrModel) -> dict[str, dict[str, str]]:
    layers = verify(original, rewritten).layers
    return {layer.name: _says(str(layer.verdict), layer.summary) for layer in layers}


def _sampled(a: Array, b: Array) -> dict[str, str]:
    worst = float(np.abs(a.astype(np.float64) - b).max())
    same = np.allclose(a, b, rtol=_TOLERANCE, atol=_TOLERANCE)
    return _says("passed" if same else "differs", f"largest difference {worst:.1e}")


def _says(verdict: str, evidence: str) -> dict[str, str]:
    return {"verdict": verdict, "evidence": evidence}
