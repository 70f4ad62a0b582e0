"""``verify``: certify that two models are the same function."""

from __future__ import annotations

import os
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from onebyone.certify import field, rounding, structure, weights
from onebyone.certify.certificate import Certificate, Finding, Verdict, Witness
from onebyone.certify.inputs import Ports, SignatureError, check_given, pair
from onebyone.dialects.protocol import Model
from onebyone.dialects.registry import opened
from onebyone.errors import InputError
from onebyone.kernels.arithmetic import Array

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir
    from torch.export import ExportedProgram

    ModelLike = str | os.PathLike[str] | onnx.ModelProto | ir.Model | ExportedProgram

# Called with the name of a layer when it starts.
Progress = Callable[[str], None]


def verify(
    a: ModelLike,
    b: ModelLike,
    *,
    inputs: Mapping[str, Array] | str | os.PathLike[str] | None = None,
    seed: int = 0,
    seconds: float = 120.0,
    largest: int | None = None,
    progress: Progress | None = None,
) -> Certificate:
    """Certify that model ``b`` is the function that model ``a`` is, whoever made it.

    Four layers answer independently: ``weights`` (every constant of ``b`` is one of ``a``'s, bit
    for bit, moved), ``structure`` (equal canonical forms), ``field`` (equal values at random points
    of prime fields) and ``rounding`` (errors of both in their runtime against float64 truth). Each
    says ``proved``, ``differs`` with a witness, or ``undecided`` with what it did not understand.

    Args:
        a: the original: a path, an ``onnx.ModelProto``, an ``onnx_ir.Model`` or an
            ``ExportedProgram``.
        b: the model to certify, in any of these forms; see `onebyone.certify.inputs.pair` for how
            inputs and outputs of a program and an ONNX model go together.
        inputs: arrays by input name of ``a``, or the path of an ``.npz`` that holds them. They
            replace drawn inputs in ``rounding``, and give ``field`` its shapes and integers.
        seed: of everything that is drawn.
        seconds: budget of the ``field`` layer; beyond it that layer is undecided.
        largest: bytes of weights beyond which ``field`` and ``rounding``, which run the models,
            are left undecided; None: no limit.
        progress: called with each layer's name as it starts.

    Returns:
        The certificate; ``exit_code`` is 0 if the models are proved equal, 1 if they differ, 2 if
        neither is known.

    Raises:
        InputError: a model or the inputs cannot be used.
    """
    first, second = opened(a), opened(b)
    given = read_inputs(inputs)
    check_given(given, first)
    tell = progress or (lambda name: None)
    tell("weights")
    constants = weights.check(first, second)
    tell("structure")
    form = structure.check(first, second)
    try:
        ports = pair(first, second)
    except SignatureError as error:
        rest = _unlike(str(error))
    else:
        if largest is not None and first.weight_bytes > largest:
            rest = _too_large(largest)
        else:
            rest = _run(first, second, ports, given, seed, seconds, constants.folded, tell)
    return Certificate(first.label, second.label, (constants.layer, form, *rest))


def _run(
    first: Model,
    second: Model,
    ports: Ports,
    given: Mapping[str, Array],
    seed: int,
    seconds: float,
    folded: Mapping[str, float],
    tell: Progress,
) -> tuple[Finding, Finding]:
    tell("field")
    values = field.check(first, second, ports, given, seed=seed, seconds=seconds, folded=folded)
    tell("rounding")
    errors = rounding.check(first, second, ports, given, seed=seed)
    return _reconciled(values, errors, (first, second)), errors


def _reconciled(values: Finding, errors: Finding, models: tuple[Model, Model]) -> Finding:
    """``field``, withdrawn where the real runtime contradicts it.

    Where the first model's runtime disagrees with its own float64 truth, the interpreter does not
    describe it: nothing that rests on the interpreter is proved. A difference in float64 that is
    larger than the runtime's own errors, and that the runtime does not show on the same inputs, is
    a mistake of the interpreter, too, and none of the second model.
    """
    runtimes = " and ".join(dict.fromkeys(model.runtime for model in models))
    if values.verdict is Verdict.PROVED and errors.evidence.get("contradicts"):
        why = f"the interpreter does not describe {runtimes}; {errors.summary}"
        return replace(values, verdict=Verdict.UNDECIDED, summary=why)
    if values.verdict is not Verdict.DIFFERS or errors.verdict is Verdict.DIFFERS:
        return values
    if errors.verdict is Verdict.UNDECIDED and not errors.evidence.get("contradicts"):
        return values
    bounds = [entry["bound"] for entry in errors.evidence["outputs"].values()]
    gap = values.evidence.get("float64_difference", 0.0)
    if not gap > 2 * max(bounds, default=float("inf")):
        return values
    text = f"the interpreter finds outputs {gap:.1e} apart and {runtimes} does not; please report"
    return replace(values, verdict=Verdict.UNDECIDED, summary=text, witness=None)


def _too_large(largest: int) -> tuple[Finding, Finding]:
    """Running a model of many gigabytes is the user's decision."""
    why = f"the weights exceed {largest / 1e9:.3g} GB; `onebyone verify` runs the models"
    field_, rounding_ = (Finding(name, Verdict.UNDECIDED, why) for name in ("field", "rounding"))
    return field_, rounding_


def _unlike(why: str) -> tuple[Finding, Finding]:
    """Models with other inputs or outputs differ before anything is computed."""
    start = time.monotonic()
    witness = Witness("signature", "inputs and outputs", "inputs and outputs", why)
    return tuple(  # pyright: ignore[reportReturnType]
        Finding(name, Verdict.DIFFERS, why, {}, witness, time.monotonic() - start)
        for name in ("field", "rounding")
    )


def read_inputs(inputs: Mapping[str, Array] | str | os.PathLike[str] | None) -> dict[str, Array]:
    """Arrays by name, from a mapping or an ``.npz`` file.

    Raises:
        InputError: the file is missing or holds no arrays.
    """
    if inputs is None:
        return {}
    if not isinstance(inputs, (str, os.PathLike)):
        return {name: np.asarray(value) for name, value in inputs.items()}
    path = Path(inputs)
    cure = "write it with numpy.savez(path, name=array)"
    try:
        loaded: Any = np.load(path, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise InputError(f"{path}: holds one array without a name; {cure}")
        return {name: loaded[name] for name in loaded.files}
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); {cure}") from None
    except (ValueError, EOFError, zipfile.BadZipFile, KeyError):
        raise InputError(f"{path}: is no .npz file of plain arrays; {cure}") from None
