"""Activations that attributes name: of fused operators and of recurrent ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from onebyone.kernels import elementwise
from onebyone.kernels.arithmetic import Arithmetic, Tensor
from onebyone.kernels.elementwise import Kernel
from onebyone.kernels.errors import UnsupportedError


def _affine(ar: Arithmetic, x: Tensor, *, alpha: float, beta: float) -> Tensor:
    return ar.add(elementwise.scaled(ar, x, factor=alpha), ar.constant(beta))


def _scaled_tanh(ar: Arithmetic, x: Tensor, *, alpha: float, beta: float) -> Tensor:
    inner = ar.function("Tanh", elementwise.scaled(ar, x, factor=beta))
    return elementwise.scaled(ar, inner, factor=alpha)


def _thresholded(ar: Arithmetic, x: Tensor, *, alpha: float) -> Tensor:
    return elementwise.threshold(ar, x, bound=alpha)


def _function(name: str) -> Kernel:
    return lambda ar, x: ar.function(name, x)


# Name -> the kernel and its parameters in their order, with defaults where standard and runtime
# have the same.
_ACTIVATIONS: dict[str, tuple[Kernel, Mapping[str, float | None]]] = {
    "affine": (_affine, {"alpha": None, "beta": None}),
    "elu": (elementwise.elu, {"alpha": 1.0}),
    "hardsigmoid": (elementwise.hard_sigmoid, {"alpha": 0.2, "beta": 0.5}),
    "leakyrelu": (elementwise.leaky, {"alpha": 0.01}),
    "relu": (elementwise.positive, {}),
    "scaledtanh": (_scaled_tanh, {"alpha": None, "beta": None}),
    "selu": (elementwise.elu, {"alpha": 1.6732632, "gamma": 1.050701}),
    "sigmoid": (_function("Sigmoid"), {}),
    "softplus": (elementwise.softplus, {}),
    "softsign": (elementwise.softsign, {}),
    "tanh": (_function("Tanh"), {}),
    "thresholdedrelu": (_thresholded, {"alpha": None}),
}


def parameters(name: str) -> tuple[str, ...]:
    """The names of an activation's parameters, in their order.

    Raises:
        UnsupportedError: there is no such activation.
    """
    if name.lower() not in _ACTIVATIONS:
        raise UnsupportedError(f"the activation {name!r}")
    return tuple(_ACTIVATIONS[name.lower()][1])


def activated(ar: Arithmetic, x: Any, name: str, given: Mapping[str, float]) -> Tensor:
    """``x`` behind an activation; parameters that are not given have their defaults.

    Raises:
        UnsupportedError: there is no such activation, or a parameter is missing.
    """
    names = parameters(name)
    kernel, defaults = _ACTIVATIONS[name.lower()]
    facts = {**defaults, **{one: given[one] for one in names if one in given}}
    known = {one: value for one, value in facts.items() if value is not None}
    if len(known) < len(facts):
        raise UnsupportedError(
            f"the activation {name!r} without {', '.join(facts.keys() - known.keys())}"
        )
    # Attributes hold float32.
    return kernel(ar, x, **{one: float(np.float32(value)) for one, value in known.items()})
