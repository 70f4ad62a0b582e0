"""The command line: one file a command, each with a function of the command's name.

Exit codes: 0 success, 1 an error in one line on stderr, 2 wrong usage, 130 interrupted; ``verify``
has its own for what it found, and 3 for bad input and wrong usage.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from onebyone.errors import OnebyoneError
from onebyone.text import printable

# command -> the module with the function of that name; help lists them in this order
_COMMANDS: dict[str, str] = {
    "inspect": "onebyone.cli.inspect",
    "convert": "onebyone.cli.convert",
    "plan": "onebyone.cli.plan",
    "verify": "onebyone.cli.verify",
    "explain": "onebyone.cli.explain",
    "checkpoint": "onebyone.cli.checkpoint",
}

# verify's codes 1 and 2 are verdicts, so that an error needs another one
_ERROR_CODE = {"verify": 3}


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave with its exit code.

    Args:
        arguments: without the program's name; None: those of the process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    sys.exit(run(words))


def run(words: Sequence[str]) -> int:
    """Run one command line; no exception but a request to exit leaves this function.

    Args:
        words: the arguments, without the program's name.

    Returns:
        The exit code.
    """
    # A polite kill cleans up as Ctrl-C does.
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGTERM, _terminate)
    words = list(words) or ["--help"]
    command = words[0] if words[0] in _COMMANDS else ""
    code = _ERROR_CODE.get(command, 1)
    try:
        result = typer.main.get_command(app()).main(
            words, prog_name="onebyone", standalone_mode=False
        )
        sys.stdout.flush()
    except OnebyoneError as error:
        return _fail(str(error), code)
    except BrokenPipeError:
        # The reader left (as `head` does). Without this, Python complains at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted", 128 + signal.SIGINT)
    except typer.Exit as error:
        return error.exit_code
    except MemoryError:
        return _fail("out of memory; free some, or give a smaller model", code)
    except Exception as error:
        if (show := getattr(error, "format_message", None)) is not None:
            usage = " ".join(["see: onebyone", *filter(None, [command]), "--help"])
            return _fail(f"{show()} ({usage})", _ERROR_CODE.get(command, 2))
        if os.environ.get("ONEBYONE_TRACEBACK"):
            raise
        what = f"{type(error).__name__}: {error}"
        hint = "this is a bug in onebyone: please report it (ONEBYONE_TRACEBACK=1 shows where)"
        return _fail(f"{what}; {hint}", code)
    return result if isinstance(result, int) else 0


def _version(wanted: bool) -> None:
    if wanted:
        from onebyone import __version__

        typer.echo(f"onebyone {__version__}")
        raise typer.Exit


def app() -> typer.Typer:
    """The application with every command of the table."""
    result = typer.Typer(
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        help="Turn fully connected layers into 1x1 convolutions and back, with a proof.",
    )
    result.callback()(_options)
    for name, module in _COMMANDS.items():
        result.command(name)(getattr(importlib.import_module(module), name))
    return result


def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit.", callback=_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Options of the program itself."""


def _fail(message: str, code: int) -> int:
    with contextlib.suppress(OSError):
        print(f"onebyone: {printable(message, 1000)}", file=sys.stderr, flush=True)
    return code


def _terminate(number: int, frame: object) -> NoReturn:
    raise SystemExit(128 + number)
