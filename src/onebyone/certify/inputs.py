"""What the layers give the models: ports paired, sizes fixed, values drawn, and the truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from onebyone.certify.drawing import draw, draws
from onebyone.certify.ports import Ports, Shapes, SignatureError, check_given, pair, renamed
from onebyone.certify.sizes import shapes
from onebyone.dialects.protocol import Embed, Model, Observer
from onebyone.kernels.arithmetic import Arithmetic, Array, Float64, Tensor

__all__ = [
    "Ports", "Shapes", "SignatureError", "check_given", "draw", "draws", "embedded", "pair",
    "renamed", "shapes", "truth",
]  # fmt: skip


def embedded(ar: Arithmetic, values: Mapping[str, Array]) -> dict[str, Tensor]:
    """The inputs as data of an arithmetic; integers and booleans as they are."""
    return {
        name: value if value.dtype.kind in "biu" else ar.constant(value.astype(np.float64))
        for name, value in values.items()
    }


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
    given = embedded(ar, values)
    outputs = model.run(ar, given, deadline=deadline, observe=observe, embed=how)
    return {name: np.asarray(value) for name, value in outputs.items()}
