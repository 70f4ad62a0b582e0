"""What a pair really is: both sides run without onebyone, on all feeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import ml_dtypes
import numpy as np
import onnx
import onnxruntime as ort
from onnx.reference import ReferenceEvaluator

from tests.adversary.feeds import draw, ports
from tests.adversary.pairs import Feed, Label, Pair, Program, Side

# A gap is a difference in units of the output's epsilon, relative to the largest value that is
# seen. Sums of up to 64 products in another order, and
# quotients of such sums, stay below the first; between the two a
# pair says nothing and is refused.
ROUNDING = 64.0
CLEAR = 256.0
# A pair whose first side runs on fewer feeds than this is not decided by them.
LEAST = 4

ort.set_default_logger_severity(4)


class BadPairError(Exception):
    """A pair that decides nothing: its construction must be mended."""


class _Runner(Protocol):
    def __call__(self, feed: Feed) -> list[np.ndarray]: ...


def _ort(model: onnx.ModelProto) -> _Runner:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return lambda feed: [np.asarray(v) for v in session.run(None, dict(feed))]


def _reference(model: onnx.ModelProto) -> _Runner:
    evaluator = ReferenceEvaluator(model)

    def run(feed: Feed) -> list[np.ndarray]:
        with np.errstate(all="ignore"):
            return [np.asarray(v) for v in evaluator.run(None, dict(feed))]  # pyright: ignore

    return run


def _eager(program: Program) -> _Runner:
    import torch

    torch.set_num_threads(1)
    function = program.function
    if program.decomposed:
        from tests.adversary.programs import exported

        function = exported(program).module()

    def run(feed: Feed) -> list[np.ndarray]:
        tensors = [torch.from_numpy(np.ascontiguousarray(v)) for v in feed.values()]
        with torch.no_grad():
            result = function(*tensors)
        results = result if isinstance(result, tuple | list) else (result,)
        return [_numpy(r) for r in results]

    return run


def _numpy(tensor: Any) -> np.ndarray:
    import torch

    if tensor.dtype == torch.bfloat16:
        return tensor.float().numpy().astype(ml_dtypes.bfloat16)
    return tensor.detach().numpy()


def runners(pair: Pair) -> tuple[_Runner, _Runner]:
    """Something that runs each side; the same runtime for both files.

    Raises:
        BadPairError: no runtime loads a side.
    """
    sides = (pair.first, pair.second)
    if all(isinstance(s, Program) for s in sides):
        return _eager(pair.first), _eager(pair.second)  # pyright: ignore
    reasons: list[str] = []
    for load in (_ort, _reference):
        try:
            made = [_eager(s) if isinstance(s, Program) else load(s) for s in sides]
            if load is _reference:
                made[0](next(iter(draw(pair))))
        except Exception as error:
            reasons.append(str(error)[:200])
        else:
            return made[0], made[1]
    raise BadPairError(f"{pair.name}: no runtime loads both sides: {reasons}")


def gap(first: np.ndarray, second: np.ndarray, scale: float, exact: bool = False) -> float:
    """How far two outputs are apart, in epsilons of their type; infinite if not of one kind."""
    if first.dtype != second.dtype or first.shape != second.shape:
        return np.inf
    if first.dtype.kind not in "fV" or first.size == 0:
        return 0.0 if np.array_equal(first, second) else np.inf
    eps = float(ml_dtypes.finfo(first.dtype).eps)
    a, b = first.astype(np.float64), second.astype(np.float64)
    if not np.array_equal(np.isnan(a), np.isnan(b)):
        return np.inf
    same = (a == b) | np.isnan(a)
    if same.all():
        return 0.0
    if exact or not (np.isfinite(a[~same]).all() and np.isfinite(b[~same]).all()):
        return np.inf
    finite = np.abs(np.concatenate([a[np.isfinite(a)], b[np.isfinite(b)]]))
    apart = float(np.abs(a[~same] - b[~same]).max())
    return apart / (eps * max(scale, float(finite.max()), 1e-30))


def _magnitude(feed: Feed) -> float:
    floats = [v.astype(np.float64) for v in feed.values() if v.dtype.kind in "fV" and v.size]
    return max((float(np.abs(v).max()) for v in floats), default=0.0)


def _renamed(feed: Feed, names: Mapping[str, str]) -> Feed:
    return {names.get(k, k): v for k, v in feed.items()}


def gaps(pair: Pair) -> list[float]:
    """The gap on every feed that the first side runs on.

    A feed on which only the first side runs counts as infinite; one on which only the second side
    runs is out of the first's domain, and shows nothing unless the pair is said to be equal.

    Raises:
        BadPairError: of an equal pair, the second side runs where the first does not.
    """
    first, second = runners(pair)
    names = _pairing(pair.first, pair.second)
    found: list[float] = []
    for feed in draw(pair):
        a, b = _try(first, feed), _try(second, _renamed(feed, names))
        if isinstance(a, str):
            if not isinstance(b, str) and pair.expected == "equal":
                raise BadPairError(f"{pair.name}: only the second side runs: {a[:300]}")
            continue
        if isinstance(b, str) or len(a) != len(b):
            found.append(np.inf)
            continue
        scale = _magnitude(feed)
        found.append(max(gap(p, q, scale, pair.exact) for p, q in zip(a, b, strict=True)))
    return found


def _pairing(first: Side, second: Side) -> dict[str, str]:
    """Inputs go by name where the names are the same, by position otherwise."""
    mine, other = [p[0] for p in ports(first)], [p[0] for p in ports(second)]
    if set(mine) == set(other):
        return {}
    return dict(zip(mine, other, strict=True))


def _try(run: _Runner, feed: Feed) -> list[np.ndarray] | str:
    try:
        return run(feed)
    except Exception as error:
        return str(error) or type(error).__name__


def label(pair: Pair) -> Label:
    """What the pair is, from runs of both sides.

    Raises:
        BadPairError: the runs do not decide, see `ROUNDING` and `CLEAR`.
    """
    found: Sequence[float] = gaps(pair)
    if len(found) < LEAST:
        raise BadPairError(f"{pair.name}: the first side runs on {len(found)} feeds only")
    worst = max(found)
    if worst > CLEAR:
        return "differ"
    if worst <= ROUNDING:
        return "equal"
    raise BadPairError(f"{pair.name}: {worst:.3g} epsilons apart, neither rounding nor more")


def check(pair: Pair) -> None:
    """Compare what the construction says with the truth.

    Raises:
        BadPairError: they disagree, or the truth does not decide.
    """
    found = label(pair)
    if found != pair.expected:
        raise BadPairError(f"{pair.name}: made to be {pair.expected!r}, but found {found!r}")
