"""Functions, relations and connectives by name: the name is the identity of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import special

# Unary functions that no identity below takes apart; the name is the function's identity.
FUNCTIONS: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "Acos": np.arccos,
    "Acosh": np.arccosh,
    "Asin": np.arcsin,
    "Asinh": np.arcsinh,
    "Atan": np.arctan,
    "Atanh": np.arctanh,
    "Ceil": np.ceil,
    "Cos": np.cos,
    "Cosh": np.cosh,
    "Erf": special.erf,
    "Exp": np.exp,
    "Floor": np.floor,
    "Log": np.log,
    "Round": np.rint,
    "Sigmoid": special.expit,
    "Sign": np.sign,
    "Sin": np.sin,
    "Sinh": np.sinh,
    "Sqrt": np.sqrt,
    "Tan": np.tan,
    "Tanh": np.tanh,
    "Trunc": np.trunc,
}

# How two numbers compare.
Relation: TypeAlias = Literal["<", "<=", ">", ">=", "==", "!="]
# Relations as numpy computes them.
RELATIONS: dict[Relation, Callable[..., NDArray[Any]]] = {
    "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal,
    "==": np.equal, "!=": np.not_equal,
}  # fmt: skip
# How truths combine.
Connective: TypeAlias = Literal["and", "or", "xor", "not"]
# Connectives as numpy computes them.
CONNECTIVES: dict[Connective, Callable[..., NDArray[Any]]] = {
    "and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor, "not": np.logical_not,
}  # fmt: skip

# Functions of real numbers whose values are integers: exact wherever the argument is known.
INTEGRAL = frozenset({"Ceil", "Floor", "Round", "Sign", "Trunc"})
