"""The front door: inspect a model, plan its layout, convert it."""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onebyone.dialects.registry import dialect_of
from onebyone.errors import InputError
from onebyone.layout.find_target import find_target
from onebyone.layout.targets import Target
from onebyone.pipeline import plan_model
from onebyone.report import Report

if TYPE_CHECKING:
    import onnx
    import onnx_ir
    from torch.export import ExportedProgram

    from onebyone.certify.certificate import Certificate
    from onebyone.dialects.protocol import Dialect

    Model = str | os.PathLike[str] | onnx.ModelProto | onnx_ir.Model | ExportedProgram

_INTERNAL = (AssertionError, AttributeError, IndexError, KeyError, StopIteration, ValueError)
# Running a larger model twice, and in float64, is left to the user.
CHECKED_BYTES = 10**9


@dataclass(frozen=True)
class Conversion:
    """A converted model and the report of what was done.

    Attributes:
        model: the result: an ``onnx_ir.Model``, or an ``ExportedProgram`` if it was one.
        report: layers, counts, moves, seconds.
        certificate: what was proved of it; None where that was not asked for.
    """

    model: Any
    report: Report
    certificate: Certificate | None = None
    # What was converted, its dimensions fixed; and the file that it came from.
    _original: Any = field(default=None, repr=False, compare=False)
    _source: Path | None = field(default=None, repr=False, compare=False)

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        check: bool = False,
        strict: bool = False,
        seed: int | None = None,
        seconds: float = 120.0,
        memory: int | None = None,
        progress: Callable[[str, int, int], None] | None = None,
    ) -> Certificate | None:
        """Write the model: the complete file appears at once, or none.

        Args:
            path: where to; the file of the original is refused.
            check: certify the written file against the original before it appears; see `convert`.
            strict: with ``check``, let it appear only where it is proved.
            seed: of what the certificate draws; None: another one each time.
            seconds: budget of the certificate.
            memory: bytes that the certificate may take; see `onebyone.verify`.
            progress: told what is done now, the steps done and the steps in all (0: unknown).

        Returns:
            The certificate of the written file; None without ``check``.

        Raises:
            OutputError: the path cannot be written, is a file that the model still reads or that it
                was converted from; or the written file differs from the original (or, with
                ``strict``, is not proved).
        """
        from onebyone.certify.certificate import DiffersError, UndecidedError

        tell = progress or (lambda now, done, total: None)
        certificates: list[Certificate] = []

        def accept(written: Any) -> None:
            certificates.append(
                _certified(
                    self._original,
                    written,
                    lambda layer: tell(f"certifying: {layer}", 0, 0),
                    seed=seed,
                    seconds=seconds,
                    memory=memory,
                )
            )
            if certificates[0].exit_code == 1:
                raise DiffersError(certificates[0])
            if certificates[0].exit_code and strict:
                raise UndecidedError(certificates[0])

        name = Path(path).name
        dialect_of(self.model).save(
            self.model,
            path,
            inputs=() if self._source is None else (self._source,),
            accept=accept if check else None,
            progress=lambda done, total: tell(f"writing {name}", done, total),
        )
        return certificates[0] if certificates else None


def convert(
    model: Model,
    to: str = "conv",
    *,
    target: str | os.PathLike[str] | Target | None = None,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    dims: Mapping[str, int] | None = None,
    check: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Conversion:
    """Turn FC layers into 1x1 (or k x k) convolutions, or such convolutions into MatMul.

    Args:
        model: a path, an ``onnx.ModelProto``, an ``onnx_ir.Model`` or a
            ``torch.export.ExportedProgram``; it is not changed.
        to: ``conv`` or ``linear``.
        target: a target's name, a TOML file or a `Target`, instead of the default of ``to``.
        only: convert only layers whose name matches one of these patterns (``fnmatch``).
        skip: leave layers alone whose name matches one of these patterns.
        dims: sizes for symbolic dimensions, fixed before anything else.
        check: certify the result against the original; see `onebyone.verify`. Of a model with
            more than 1 GB of weights only constants and structure are checked.
        progress: told what is done now.

    Returns:
        The new model with its report. Names, types and shapes of the graph's inputs and outputs
        are those of the original.

    Raises:
        InputError: the model cannot be read, or an option does not fit it.
    """
    start = time.monotonic()
    with _understood():
        dialect, loaded, chosen = _loaded(model, to, target, dims)
        original = dialect.copy(loaded)
        converted, report = plan_model(dialect, loaded, chosen, only=only, skip=skip).write()
        report = _timed(report, start)
    certificate = _certified(original, converted, progress) if check else None
    source = Path(model) if isinstance(model, (str, os.PathLike)) else None
    return Conversion(converted, report, certificate, original, source)


def inspect(model: Model, to: str = "conv", *, dims: Mapping[str, int] | None = None) -> Report:
    """List every layer that is an FC layer, in which disguise, and what ``to`` would make of it.

    Args:
        model: as for `convert`; it is not changed.
        to: ``conv`` or ``linear``.
        dims: as for `convert`.

    Raises:
        InputError: the model cannot be read.
    """
    return plan(model, to, dims=dims)


def plan(
    model: Model,
    to: str = "conv",
    *,
    target: str | os.PathLike[str] | Target | None = None,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    dims: Mapping[str, int] | None = None,
) -> Report:
    """As `convert`, but nothing is written: the report has the moves that would remain."""
    start = time.monotonic()
    with _understood():
        dialect, loaded, chosen = _loaded(model, to, target, dims)
        planned = plan_model(dialect, loaded, chosen, only=only, skip=skip)
        return _timed(planned.report(), start)


@contextlib.contextmanager
def _understood() -> Generator[None]:
    """Models whose declared shapes contradict one another pass every check that is cheap.

    What then fails in the engine is the input's fault, or ours: the error says both.
    """
    try:
        yield
    except _INTERNAL as error:
        raise InputError(
            f"the model cannot be understood ({type(error).__name__}: {error}): its shapes "
            "contradict one another, or this is a bug; if onnxruntime runs it, please report it"
        ) from error


def _loaded(
    model: Model,
    to: str,
    target: str | os.PathLike[str] | Target | None,
    dims: Mapping[str, int] | None,
) -> tuple[Dialect[Any, Any], Any, Target]:
    """The dialect of a model, the model to work on, and the target."""
    dialect = dialect_of(model)
    usual = dialect.usual_targets.get(to, to)
    chosen = find_target(target if target is not None else usual)
    return dialect, dialect.load(model, dims or {}), chosen


def _certified(
    original: Any,
    model: Any,
    progress: Callable[[str], None] | None,
    *,
    seed: int | None = None,
    seconds: float = 120.0,
    memory: int | None = None,
) -> Certificate:
    """Certify a result, without running models that are very large."""
    from onebyone.certify.verify import verify

    return verify(
        original,
        model,
        seed=seed,
        seconds=seconds,
        memory=memory,
        largest=CHECKED_BYTES,
        progress=progress,
    )


def _timed(report: Report, start: float) -> Report:
    return replace(report, seconds=time.monotonic() - start, peak_memory=_peak_memory())


def _peak_memory() -> int:
    """Bytes of memory that this process held at most."""
    # Linux: getrusage would count the parent's memory at the fork, too.
    status = Path("/proc/self/status")
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = status.read_text().splitlines()
        return int(next(x for x in lines if x.startswith("VmHWM")).split()[1]) * 1024
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
