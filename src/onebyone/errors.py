"""The errors that a user meets: each names the thing, the fact and the cure."""

from __future__ import annotations

from onebyone.text import printable


class OnebyoneError(Exception):
    """Base of every error that this package raises on purpose.

    The message is one line a user can act on; the command line prints it without a traceback.
    Names out of a model may stand in it: what could steer a terminal is escaped here, once.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message, limit=1000))


class InputError(OnebyoneError):
    """The input (a file, a model, an option) cannot be used; exit code 3 in ``verify``, else 1."""


class OutputError(OnebyoneError):
    """The result cannot be written where the user asked for it."""


class UnmeasuredSizeError(OnebyoneError):
    """A symbolic size is needed, and no tensor at hand has it as a dimension."""


class InexpressibleError(OnebyoneError):
    """A node cannot be written in the forms that were planned for it.

    A plan asks for no such thing: this is a fault of this package, said instead of guessed over.
    """
