"""Why a model could not be run in an arithmetic."""

from __future__ import annotations


class UnsupportedError(Exception):
    """An interpreter does not understand an operator or this use of it."""


class ExecutionError(Exception):
    """A node could not be computed: the model does not fit these inputs, or is invalid."""


class OverBudgetError(Exception):
    """The time that the caller allowed is over."""
