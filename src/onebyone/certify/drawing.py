"""Values for the inputs: draws of several kinds, so that no branch and no tie is left to luck."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from onebyone.certify.ports import Ports, Shapes
from onebyone.dialects.protocol import Model, Port
from onebyone.errors import InputError
from onebyone.kernels.arithmetic import Array

# Numbers that a draw knows of the models, at most: the smallest; and draws that they are dealt to.
_POOL = 256
_TURNS = 4
_NEIGHBOURS = 30
_LARGE = 2.0**14
# Elements of a constant whose rows are compared, and rows that may differ; more show anyway.
_COMPARED = 1 << 22
_ROWS = 32
# A vector of at most this many integers may be the parts that an axis is cut into.
_PARTS = 8

Generator = np.random.Generator


@dataclass(frozen=True)
class Context:
    """What a draw knows of an input.

    Attributes:
        dtype: its element type.
        size: its shape.
        bound: number of rows of the table that it indexes; None where it indexes none.
        pool: numbers that it might be compared with: the models' scalars.
        axes: sizes of the inputs' axes.
        turn: of several draws that share the numbers among them.
        seed: of the order that they are dealt in.
    """

    dtype: np.dtype[Any]
    size: tuple[int, ...]
    bound: int | None
    pool: Array
    axes: tuple[int, ...]
    turn: int = 0
    seed: int = 0


Rule = Callable[[Generator, Context], Array]


def _normal(scale: float = 1.0) -> Rule:
    return lambda rng, c: rng.standard_normal(c.size) * scale


_NORMAL = _normal()


def _one_sided(scale: float) -> Rule:
    return lambda rng, c: np.abs(rng.standard_normal(c.size)) * scale


def _small(scale: float) -> Rule:
    return lambda rng, c: rng.standard_normal(c.size) * max(scale, _least(c.dtype))


def _least(dtype: np.dtype[Any]) -> float:
    """A number whose fourth power its type still holds: underflow is no rounding."""
    return float(ml_dtypes.finfo(dtype).tiny) ** 0.25


def _fill(value: float) -> Rule:
    return lambda rng, c: np.full(c.size, value)


def _ties(rng: Generator, c: Context) -> Array:
    """Few numbers, half of them halves, which rounding takes either way."""
    return rng.integers(-5, 6, c.size) / 2


def _constants(rng: Generator, c: Context) -> Array:
    """The models' numbers and what lies next to them, in the input's own precision."""
    # A "to the end" of a slice, or the number behind a mask, is nothing that data comes near to.
    pool = c.pool[c.pool <= _LARGE]
    itself = np.concatenate([pool, -pool, [0.0]])
    near = np.concatenate([itself, itself + 1, itself - 1, itself + 0.5, itself - 0.5])
    exact = np.unique(near.astype(c.dtype))
    away = exact[exact != 0]
    around = [np.nextafter(away, exact.dtype.type(s)) for s in (-np.inf, np.inf)]
    beside_zero = np.array([_least(c.dtype), -_least(c.dtype)]).astype(c.dtype)
    every = np.concatenate([exact, *around, beside_zero]).astype(np.float64)
    # The sign of a zero is no matter of real numbers.
    beside = _dealt(every[np.isfinite(every)] + 0.0, c)
    known = _dealt(np.unique(itself.astype(c.dtype).astype(np.float64)) + 0.0, c)
    return np.where(rng.integers(0, 2, c.size) == 0, known, beside)


def _dealt(numbers: Array, c: Context) -> Array:
    """The numbers in an order of their own, the next ones at each turn, until all had theirs."""
    count = int(np.prod(c.size, dtype=np.int64))
    order = np.random.default_rng((c.seed, len(numbers), count)).permutation(numbers)
    return np.resize(np.roll(order, -c.turn * count), c.size)


def _index(rng: Generator, c: Context) -> Array:
    """A row of the table that is indexed; a mask of 0 and 1 elsewhere."""
    if c.bound is not None:
        return rng.integers(0, max(c.bound, 1), c.size)
    return rng.integers(0, 2, c.size)


def _shown(rng: Generator, c: Context) -> Array:
    return _index(rng, c) if c.bound is not None else np.ones(c.size, np.int64)


def _visible(drawn: Array, c: Context) -> Array:
    """A mask that hides a whole row leaves nothing to compare: of those each tool makes its own."""
    if c.bound is None and drawn.ndim > 1:
        drawn[..., :1] = 1
    return drawn


def _limits(c: Context) -> tuple[int, int]:
    info = np.iinfo(c.dtype)
    return int(info.min), int(info.max)


def _near_constants(rng: Generator, c: Context, reach: int, signed: bool) -> Array:
    """Whole numbers of the models ± 1, and others up to ``reach``.

    With ``signed`` an index may count from the end of its table.
    """
    low, high = _limits(c)
    if c.bound is not None:
        low, high = (max(low, -c.bound) if signed else 0), min(high, c.bound - 1)
    whole = np.array([*c.pool[c.pool < 2.0**52], *c.axes]).astype(np.int64)
    near = np.concatenate([whole, -whole, [0]])
    near = np.unique(np.concatenate([near - 1, near, near + 1]))
    near = near[(near >= low) & (near <= high) & (np.abs(near) <= max(reach, 1))]
    wide = rng.integers(max(low, -reach), min(high, reach), c.size, endpoint=True)
    if not near.size:
        return wide
    return np.where(rng.integers(0, 2, c.size) == 0, wide, _dealt(near, c))


def _numbers(rng: Generator, c: Context) -> Array:
    """The models' whole numbers ± 1, one after the other."""
    low, high = _limits(c)
    if c.bound is not None:
        low, high = 0, min(high, c.bound - 1)
    whole = np.array([*c.pool[c.pool < 2.0**62], *c.axes]).astype(np.int64)
    near = np.concatenate([whole, -whole, [0]])
    near = np.unique(np.concatenate([near - 1, near, near + 1]))
    near = near[(near >= low) & (near <= high)]
    return _dealt(near, c) if near.size else _index(rng, c)


def _reaching(reach: int, *, signed: bool = False, below: bool = True) -> Rule:
    def rule(rng: Generator, c: Context) -> Array:
        drawn = _near_constants(rng, c, reach, signed)
        return drawn if below else np.abs(drawn)

    return rule


def _parts(rng: Generator, c: Context) -> Array:
    """Parts that an axis could be cut into, for a short vector of integers."""
    axes = [n for n in c.axes if n >= (c.size[0] if c.size else 1)]
    if len(c.size) != 1 or not 1 <= c.size[0] <= _PARTS or not axes:
        return _index(rng, c)
    cuts = np.sort(rng.choice(np.arange(1, max(axes)), c.size[0] - 1, replace=False))
    return np.diff([0, *cuts, max(axes)])


def _coin(rng: Generator, c: Context) -> Array:
    return rng.integers(0, 2, c.size)


@dataclass(frozen=True)
class Kind:
    """One way to draw.

    Attributes:
        name: in words, for the report.
        floats: how real numbers are drawn.
        integers: how integers are, the next one where a model does not run with the first.
        booleans: how booleans are.
        default: what becomes of inputs that have a default: they keep it (None), or real numbers
            (``f``) or integers and booleans (``i``) get another value.
        turn: of several draws that share the numbers among them.
        lenient: whether the second model may refuse what the first takes.
        extreme: whether numbers may leave the range of their type on the way.
    """

    name: str
    floats: Rule
    integers: tuple[Rule, ...]
    booleans: Rule = _coin
    default: str | None = None
    turn: int = 0
    lenient: bool = False
    extreme: bool = False


# From the widest range to the narrowest.
_FEW = _reaching(7, below=False)
_WIDE = (_reaching(1 << 40), _reaching(1 << 15), _reaching(255, below=False), _FEW, _index, _parts)
_FROM_THE_END = (_reaching(1 << 40, signed=True), _reaching(1 << 15, signed=True))

USUAL = Kind("usual", _NORMAL, (_index, _fill(1), _fill(0), _FEW, _parts))
# A mistake behind a mask may be a division of nothing by nothing, whose result no error bound can
# judge; with nothing hidden it shows.
SHOWN = Kind("nothing hidden", _NORMAL, (_shown, *USUAL.integers), _fill(1))
WHOLE = Kind("whole range", _NORMAL, _WIDE, extreme=True)
KINDS: tuple[Kind, ...] = (
    USUAL,
    SHOWN,
    WHOLE,
    # Kernels of one runtime, too, take such an index or do not.
    Kind("from the end", _NORMAL, _FROM_THE_END, lenient=True, extreme=True),
    *(
        Kind(
            "the models' constants",
            _constants,
            (_numbers, _reaching(1 << 14), *_WIDE[2:]),
            turn=turn,
            extreme=True,
        )
        for turn in range(_TURNS)
    ),
    Kind("ties", _ties, (_reaching(3), *_WIDE[2:]), _fill(0)),
    Kind("zeros", _fill(0), (_fill(0), *_WIDE[3:]), _fill(0)),
    Kind("large", _one_sided(256.0), _WIDE[1:], extreme=True),
    Kind("large negative", _one_sided(-256.0), _WIDE[2:], extreme=True),
    Kind("small", _small(2.0**-10), (_parts, *_WIDE[3:]), extreme=True),
    Kind("tiny", _small(2.0**-16), (_parts, *_WIDE[3:]), extreme=True),
    Kind("other defaults", _NORMAL, USUAL.integers, default="f"),
    Kind("other whole defaults", _NORMAL, USUAL.integers, default="i"),
)


@dataclass(frozen=True)
class Knowledge:
    """What draws know of two models.

    Attributes:
        bounds: input that indexes a table of the first -> the table's rows.
        pool: magnitudes of the numbers that the models hold.
    """

    bounds: Mapping[str, int]
    pool: Array

    @staticmethod
    def of(a: Model, b: Model) -> Knowledge:
        """Look through both models."""
        rows = _changed_rows(a, b)
        numbers = {abs(float(n)) for n in (*a.numbers(), *b.numbers(), 1.0)} - rows
        known = np.array([*sorted(rows), *sorted(numbers)])
        return Knowledge(a.index_bounds(), np.sort(known[np.isfinite(known)][:_POOL]))


def _changed_rows(a: Model, b: Model) -> set[float]:
    """Rows in which two constants of one name differ: an index that shows it is one of these."""
    first = {c.name: c for c in a.constants() if 1 < c.size <= _COMPARED and c.shape}
    rows: set[float] = set()
    for other in b.constants():
        mine = first.get(other.name)
        if mine is None or (mine.shape, mine.dtype) != (other.shape, other.dtype):
            continue
        unequal = (mine.read() != other.read()).reshape(mine.shape[0], -1).any(axis=1)
        rows |= {float(n) for n in np.flatnonzero(unequal)[:_ROWS]}
    return rows if len(rows) <= _ROWS else set()


def draw(
    a: Model,
    b: Model,
    ports: Ports,
    shape: Shapes,
    given: Mapping[str, Array],
    seed: int,
    *,
    kind: Kind = USUAL,
    attempt: int = 0,
    known: Knowledge | None = None,
) -> dict[str, Array]:
    """Values for the inputs of the first model.

    Args:
        a: the first model; an index stays inside its tables.
        b: the second model.
        ports: their inputs and outputs, paired.
        shape: a size for each input.
        given: inputs from the user, by name; they are taken as they are.
        seed: of everything that is drawn.
        kind: of the draw.
        attempt: which of the kind's rules for integers is used.
        known: what `Knowledge.of` finds of the models, where it is at hand.

    Raises:
        InputError: an input has a type that cannot be drawn.
    """
    known = known or Knowledge.of(a, b)
    rng = np.random.default_rng((seed, KINDS.index(kind), attempt))
    axes = tuple(sorted({n for size in shape.sizes.values() for n in size}))
    values: dict[str, Array] = {}
    for p, _ in ports.inputs:
        if p.name in given:
            values[p.name] = given[p.name]
            continue
        dtype = _dtype(p)
        if p.default is not None and kind.default != ("f" if dtype.kind in "fV" else "i"):
            continue
        context = Context(
            dtype, shape.sizes[p.name], known.bounds.get(p.name), known.pool, axes, kind.turn, seed
        )
        values[p.name] = _value(rng, context, kind, attempt, p)
    return values


def _value(rng: Generator, c: Context, kind: Kind, attempt: int, port: Port) -> Array:
    if c.dtype.kind in "iu":
        rule = kind.integers[min(attempt, len(kind.integers) - 1)]
        drawn = _visible(np.clip(np.asarray(rule(rng, c)), *_limits(c)), c)
    elif c.dtype.kind == "b":
        drawn = _visible(kind.booleans(rng, c), c)
    elif c.dtype.kind in "fV":
        drawn = np.asarray(kind.floats(rng, c))
        if port.default is not None:
            # A default may be a whole weight, whose scale keeps the model in its range.
            drawn = port.default() * (1.0 + 0.5 * drawn) + 0.25 * drawn
    else:
        raise InputError(f"input {port.name} is {port.dtype}; give its value with --inputs")
    with np.errstate(over="ignore"):
        return np.asarray(drawn, c.dtype)


def _dtype(port: Port) -> np.dtype[Any]:
    try:
        return np.dtype(getattr(ml_dtypes, port.dtype, port.dtype))
    except TypeError:
        raise InputError(
            f"input {port.name} is {port.dtype}, which cannot be drawn; give it with --inputs"
        ) from None


def draws(
    a: Model, b: Model, ports: Ports, shape: Shapes, given: Mapping[str, Array], seed: int
) -> list[dict[str, Array]]:
    """The usual draw, and where it drew masks the same with nothing hidden."""
    hidden, shown = (draw(a, b, ports, shape, given, seed, kind=kind) for kind in KINDS[:2])
    masks = any(v.dtype.kind in "biu" and n not in given for n, v in hidden.items())
    return [hidden, shown] if masks else [hidden]


def distinct(
    a: Model,
    b: Model,
    ports: Ports,
    shape: Shapes,
    given: Mapping[str, Array],
    seed: int,
    kinds: Sequence[Kind] = KINDS,
    known: Knowledge | None = None,
) -> Iterator[tuple[Kind, Iterator[dict[str, Array]]]]:
    """For each kind that says something new of these inputs its draws, the widest first."""
    known = known or Knowledge.of(a, b)
    open_ = [(p, _dtype(p).kind) for p, _ in ports.inputs if p.name not in given]
    free = [(p, kind) for p, kind in open_ if p.default is None]
    fewest = min((np.prod(shape.sizes[p.name]) for p, _ in free), default=0)
    needed = _NEIGHBOURS * len(known.pool)
    seen: set[tuple[int, ...]] = set()
    for kind in kinds:
        if kind.default is None:
            by_type = {"fV": kind.floats, "iu": kind.integers[0], "b": kind.booleans}
            rules = tuple(
                id(rule) for types, rule in by_type.items() if any(k in types for _, k in free)
            )
            rules = (*rules, kind.turn)
            if kind is not USUAL and (not free or rules in seen or kind.turn * fewest > needed):
                continue
            seen.add(rules)
        elif not any(
            p.default is not None and (k in "fV") == (kind.default == "f") for p, k in open_
        ):
            continue
        attempts = len(kind.integers) if any(k in "iu" for _, k in open_) else 1
        yield (
            kind,
            (
                draw(a, b, ports, shape, given, seed, kind=kind, attempt=n, known=known)
                for n in range(attempts)
            ),
        )
