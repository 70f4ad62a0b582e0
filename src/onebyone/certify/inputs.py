"""What the layers give the models: ports paired, sizes fixed, values drawn, and the truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from onebyone.certify.drawing import draw, draws
from onebyone.certify.modular import Field
from onebyone.certify.ports import Ports, Shapes, SignatureError, check_given, pair, renamed
from onebyone.certify.sizes import shapes
from onebyone.dialects.protocol import Embed, Model, Observer
from onebyone.kernels.arithmetic import Arithmetic, Array, Float64, Tensor

__all__ = [
    "Ports", "Shapes", "SignatureError", "check_given", "draw", "draws", "embedded", "pair",
    "renamed", "shapes", "truth",
]  # fmt: skip


def embedded(ar: Arithmetic, values: Mapping[str, Array], seed: int) -> dict[str, Tensor]:
    """The inputs in an arithmetic: exact numbers in float64, a random point in a field.

    Args:
        ar: the arithmetic.
        values: arrays by name; integers and booleans are exact in any arithmetic.
        seed: of the random point.
    """
    rng = np.random.default_rng(seed)
    out: dict[str, Tensor] = {}
    for name, value in values.items():
        if value.dtype.kind in "biu":
            out[name] = value
        elif isinstance(ar, Field):
            out[name] = ar.random(value.shape, rng)
        else:
            out[name] = ar.constant(value.astype(np.float64))
    return out


def truth(
    model: Model,
    values: Mapping[str, Array],
    *,
    deadline: float | None = None,
    observe: Observer | None = None,
    embed: Callable[[Arithmetic], Embed] | None = None,
) -> dict[str, Array]:
    """The outputs in float64, by name; ``embed`` says how constants enter, exactly by default."""
    ar = Float64()
    how = None if embed is None else embed(ar)
    given = embedded(ar, values, 0)
    outputs = model.run(ar, given, deadline=deadline, observe=observe, embed=how)
    return {name: np.asarray(value) for name, value in outputs.items()}
