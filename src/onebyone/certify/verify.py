"""``verify``: certify that two models are the same function."""

from __future__ import annotations

import os
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from onebyone.certify import field, rounding, structure, weights
from onebyone.certify.budget import machine_memory, memory_limit, within
from onebyone.certify.certificate import Certificate, Finding, Verdict, Witness
from onebyone.certify.inputs import Ports, SignatureError, check_given, pair
from onebyone.certify.narrowed import narrowed
from onebyone.dialects.protocol import Model
from onebyone.dialects.registry import opened
from onebyone.errors import InputError
from onebyone.kernels.arithmetic import Array
from onebyone.kernels.errors import OverBudgetError

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir
    from torch.export import ExportedProgram

    ModelLike = str | os.PathLike[str] | onnx.ModelProto | ir.Model | ExportedProgram

# Called with the layer that starts, what is left after it and the seconds that are left.
Progress = Callable[[str], None]

_LAYERS = ("weights", "structure", "field", "rounding")
# A run that takes a larger part of the memory in its runtime is too large for float64 and residues,
# which take twice as much for each value, and some values at a time.
_PART = 8


def verify(
    a: ModelLike,
    b: ModelLike,
    *,
    inputs: Mapping[str, Array] | str | os.PathLike[str] | None = None,
    seed: int | None = None,
    seconds: float = 120.0,
    memory: int | None = None,
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
        seed: of everything that is drawn; None: another one each time. The certificate has it.
        seconds: budget of all layers together; a layer that is stopped is undecided.
        memory: bytes that certifying may take beside what the process holds, and its runtime
            beside it; None: what there is.
        largest: bytes of weights beyond which ``field`` and ``rounding``, which run the models,
            are left undecided; None: no limit.
        progress: called as each layer starts, with its name, what is left and the time left.

    Returns:
        The certificate; ``exit_code`` is 0 if the models are proved equal, 1 if they differ, 2 if
        neither is known.

    Raises:
        InputError: a model or the inputs cannot be used.
    """
    start = time.monotonic()
    seed = int.from_bytes(os.urandom(4), "big") if seed is None else seed
    with memory_limit(memory):
        first, second = (_opened(model, start + seconds, seconds) for model in (a, b))
        given = read_inputs(inputs)
        check_given(given, first)
        run = _Run(first, second, given, seed, start + seconds, seconds, memory, progress)
        return Certificate(first.label, second.label, run.layers(largest), seed)


def _opened(model: ModelLike, deadline: float, seconds: float) -> Model:
    """A model read within the budget."""
    what = model if isinstance(model, (str, os.PathLike)) else "the model"
    try:
        return within(deadline, lambda: opened(model))
    except OverBudgetError:
        raise InputError(f"{what}: reading takes more than {seconds:.3g} s; allow more") from None
    except RecursionError:
        raise InputError(f"{what}: is nested too deeply to be read") from None


@dataclass
class _Run:
    """The layers, one after the other, within one budget."""

    first: Model
    second: Model
    given: Mapping[str, Array]
    seed: int
    deadline: float
    seconds: float
    memory: int | None
    progress: Progress | None

    def layers(self, largest: int | None) -> tuple[Finding, ...]:
        a, b = self.first, self.second
        found: list[weights.Weights] = []

        def constants(deadline: float) -> Finding:
            found.append(weights.check(a, b))
            return found[0].layer

        head = (
            self._layer("weights", constants, 0.5),
            self._layer("structure", lambda deadline: structure.check(a, b), 0.5),
        )
        try:
            ports = pair(a, b)
        except SignatureError as error:
            return (*head, *self._unlike(str(error)))
        if largest is not None and a.weight_bytes > largest:
            return (*head, *_too_large(largest))
        with rounding.Rounding(
            a, b, ports, self.given, seed=self.seed, deadline=self.deadline, memory=self.memory
        ) as measured:
            return (*head, *self._run_both(a, b, ports, measured, found))

    def _run_both(
        self,
        a: Model,
        b: Model,
        ports: Ports,
        measured: rounding.Rounding,
        found: list[weights.Weights],
    ) -> tuple[Finding, Finding]:
        """The layers that run the models: the runtime goes first, it is quick to say what fails."""
        ready = Finding("rounding", Verdict.UNDECIDED, "")
        early = self._layer("rounding", lambda deadline: measured.prepare() or ready, 0.5)
        most = (self.memory or machine_memory()) // _PART
        why = ""
        if measured.too_large:
            why = f"the first model takes more memory than {a.runtime} may have"
        elif measured.taken > most:
            why = (
                f"a run takes {measured.taken / 1e9:.2g} GB in {a.runtime}, and several times as "
                f"much in float64 or in residues; it may be {most / 1e9:.2g} GB"
            )
        elif early.evidence.get("late"):
            why = f"{a.runtime} alone takes longer than there is time"
        values = Finding("field", Verdict.UNDECIDED, why)
        if not why:
            values = self._layer(
                "field",
                lambda deadline: field.check(
                    a, b, ports, self.given,
                    seed=self.seed, seconds=deadline - time.monotonic(),
                    missing=found[0].folded if found else {},
                    unused=found[0].unused if found else (),
                    sizes=measured.usual(),
                ),
                0.75,
            )  # fmt: skip
        errors = early
        if early is ready:
            errors = self._layer("rounding", lambda deadline: measured.finding(why))
        return _reconciled(values, errors, (a, b)), errors

    def _unlike(self, why: str) -> tuple[Finding, Finding]:
        """Other inputs or outputs: a difference, and where only their precision is, how large."""
        a, b = self.first, self.second
        values, errors = _unlike(why)
        if not narrowed(a, b):
            return values, errors
        try:
            ports = pair(a, b, widths=True)
        except SignatureError:
            return values, errors
        with rounding.Rounding(
            a, b, ports, self.given, seed=self.seed, deadline=self.deadline, memory=self.memory
        ) as measured:
            found = self._layer(
                "rounding", lambda deadline: measured.prepare() or measured.finding()
            )
        return values, found if found.verdict is Verdict.DIFFERS else errors

    def _layer(self, name: str, work: Callable[[float], Finding], part: float = 1.0) -> Finding:
        """A layer's answer; whatever stops it stops no other layer.

        Args:
            name: the layer.
            work: what gives its answer, until a deadline.
            part: of the time that is left; the others shall have some, too.
        """
        start = time.monotonic()
        left = max(self.deadline - start, 0.0)
        if self.progress is not None:
            rest = _LAYERS[_LAYERS.index(name) + 1 :]
            then = f", then {', '.join(rest)}" if rest else ""
            self.progress(f"{name}{then}; {left:.0f} s left")
        share = start + part * left
        try:
            return within(share, lambda: work(share))
        except OverBudgetError:
            why = f"over the budget of {self.seconds:.3g} s for all layers"
            taken = time.monotonic() - start
            return Finding(name, Verdict.UNDECIDED, why, {"late": True}, seconds=taken)
        except MemoryError:
            why = "more memory is needed than there is"
        except RecursionError:
            why = "a model is nested too deeply"
        except InputError:
            raise
        # Whatever a strange file does to a layer, the others can still answer.
        except Exception as error:
            if os.environ.get("ONEBYONE_TRACEBACK"):
                raise
            text = " ".join(str(error).split())[:300]
            why = f"failed with {type(error).__name__}: {text}; please report it"
        return Finding(name, Verdict.UNDECIDED, why, seconds=time.monotonic() - start)


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
