"""The front door: inspect a model, plan its layout, convert it."""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onebyone.dialects.registry import is_program, need_torch
from onebyone.errors import InputError
from onebyone.layout.find_target import find_target
from onebyone.layout.targets import Target
from onebyone.report import Report

if TYPE_CHECKING:
    import onnx
    import onnx_ir
    from torch.export import ExportedProgram

    from onebyone.certify.certificate import Certificate

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

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model: the complete file appears at once, or none.

        Raises:
            OutputError: the path cannot be written, or is a file that the model still reads.
        """
        if is_program(self.model):
            from onebyone.dialects.aten.files import save
        else:
            from onebyone.dialects.onnx.files.load import save

        save(self.model, path)


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
        planned = _planned(model, to, target, only, skip, dims)
        planned.emit()
        report = _timed(planned.report(), start)
    if not check:
        return Conversion(planned.model, report)
    from onebyone.certify.verify import verify

    original = model if is_program(model) else _own(model, dims)
    certificate = verify(original, planned.model, largest=CHECKED_BYTES, progress=progress)
    return Conversion(planned.model, report, certificate)


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
        return _timed(_planned(model, to, target, only, skip, dims).report(), start)


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


def _planned(
    model: Model,
    to: str,
    target: str | os.PathLike[str] | Target | None,
    only: Sequence[str],
    skip: Sequence[str],
    dims: Mapping[str, int] | None,
) -> Any:
    if is_program(model):
        return _planned_program(model, to, target, only, skip, dims)
    from onebyone.dialects.onnx.dialect import Planned

    chosen = find_target(target if target is not None else to)
    return Planned(_own(model, dims), chosen, only, skip)


def _planned_program(
    model: Any,
    to: str,
    target: str | os.PathLike[str] | Target | None,
    only: Sequence[str],
    skip: Sequence[str],
    dims: Mapping[str, int] | None,
) -> Any:
    need_torch()
    from onebyone.dialects.aten.dialect import Planned
    from onebyone.dialects.aten.files import as_program

    if dims:
        raise InputError("sizes of a PyTorch program are fixed at torch.export.export, not here")
    # PyTorch reads the factors of a product through strides.
    usual = {"linear": "linear-strided"}.get(to, to)
    chosen = find_target(target if target is not None else usual)
    return Planned(as_program(model), chosen, only, skip)


def _own(model: Any, dims: Mapping[str, int] | None) -> onnx_ir.Model:
    """A copy of the model that may be changed, with its dimensions fixed."""
    from onebyone.dialects.onnx.files.dims import fix_dims
    from onebyone.dialects.onnx.files.load import as_model

    own = as_model(model)
    if dims:
        fix_dims(own, dims)
    return own


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
