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


# Name -> the kernel and its parameters in their order, with defaults.
_ACTIVATIONS: dict[str, tuple[Kernel, Mapping[str, float]]] = {
    "affine": (_affine, {"alpha": 1.0, "beta": 0.0}),
    "elu": (elementwise.elu, {"alpha": 1.0}),
    "hardsigmoid": (elementwise.hard_sigmoid, {"alpha": 0.2, "beta": 0.5}),
    "leakyrelu": (elementwise.leaky, {"alpha": 0.01}),
    "relu": (elementwise.positive, {}),
    "scaledtanh": (_scaled_tanh, {"alpha": 1.0, "beta": 1.0}),
    "selu": (elementwise.elu, {"alpha": 1.6732632, "gamma": 1.050701}),
    "sigmoid": (_function("Sigmoid"), {}),
    "softplus": (elementwise.softplus, {}),
    "softsign": (elementwise.softsign, {}),
    "tanh": (_function("Tanh"), {}),
    "thresholdedrelu": (_thresholded, {"alpha": 1.0}),
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
        UnsupportedError: there is no such activation.
    """
    names = parameters(name)
    kernel, defaults = _ACTIVATIONS[name.lower()]
    # Attributes hold float32.
    facts = {one: float(np.float32(given.get(one, defaults[one]))) for one in names}
    return kernel(ar, x, **facts)
