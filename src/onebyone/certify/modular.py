"""A prime field as an `Arithmetic`: what is not rational is a keyed hash of its operands.

Equal operands give equal values, and unequal ones give unrelated values. Functions are chosen so
that exact identities of the reals hold where networks use them:

* ``x / y`` is ``x * y**-1`` and ``mean`` is ``sum * n**-1``;
* the maximum is a function of the set of its operands (`onebyone.certify.extrema`);
* ``softmax`` is ``h(x - mean) / sum(h(x - mean))``: it does not see a constant added to all, and
  a quotient of exponentials and their sum is one;
* odd functions are odd, ``exp(-x)`` is ``1 / exp(x)``, and the logistic function follows from it.

Comparisons are in `onebyone.certify.predicates`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from onebyone.certify.closed import closed_form
from onebyone.certify.conversions import Rounded, Types
from onebyone.certify.embedding import Leeway
from onebyone.certify.predicates import BOOL
from onebyone.certify.residues import key_of, mix, square_root
from onebyone.certify.ring import few
from onebyone.kernels.arithmetic import Array, Tensor
from onebyone.kernels.element import REAL, Element, Height
from onebyone.kernels.functions import FUNCTIONS, INTEGRAL

_WORD = (1 << 64) - 1
_ODD = frozenset(
    {"Asin", "Asinh", "Atan", "Atanh", "Erf", "Round", "Sin", "Sinh", "Tan", "Tanh", "Trunc"}
)
# Their values are integers, which they leave as they are.
_WHOLE = frozenset({"Ceil", "Floor", "Round", "Trunc"})
_EVEN = frozenset({"Cos", "Cosh"})


@dataclass(frozen=True)
class Exponential:
    """How an element came to be: as ``exp`` of another."""

    of: Element


@dataclass(frozen=True)
class Exponentials:
    """How an element came to be: as a sum of ``exp`` of another along axes."""

    of: Element
    axes: tuple[int, ...]


@dataclass(frozen=True)
class Softmax:
    """How an element came to be: as the softmax of another along an axis."""

    of: Element
    axis: int


class Field(Types):
    """Integers modulo ``prime``, with hashes keyed by ``seed``.

    Attributes:
        stands_for: what constants were read as, where leeway allows it: number -> closed form.
        conditions: on what an equality rests.
        roots: whole numbers whose roots were asked for.
    """

    def __init__(
        self, prime: int, seed: int = 0, leeway: Leeway | None = None, among: int = 0
    ) -> None:
        super().__init__(prime, seed, leeway, among)
        self.stands_for: dict[float, str] = {}
        self.conditions: set[str] = set()
        self.roots: set[int] = set()

    def constant(self, values: Array | float | int) -> Element:
        plain = super().constant(values)
        if not self.leeway.rounded or plain.size != 1 or plain.dtype != REAL:
            return plain
        form = closed_form(float(np.asarray(values).reshape(())))
        if form is None:
            return plain
        self.stands_for[float(np.asarray(values).reshape(()))] = form.text
        exact = form.build(self, super().constant)
        return replace(exact, residue=exact.residue.reshape(plain.shape), real=plain.real)

    # Functions.

    def function(self, name: str, *xs: Tensor) -> Element:
        elements = [self.of(x) for x in xs]
        args = [e.real for e in elements if e.real is not None]
        real = None
        if len(args) == len(elements):
            with np.errstate(all="ignore"):
                real = np.power(*args) if name == "Pow" else FUNCTIONS[name](args[0])
            if name in INTEGRAL or (name == "Sqrt" and _exact_root(real, args[0])):
                return self.constant(real)
        elif (
            name in _WHOLE
            and isinstance(elements[0].made, Rounded)
            and "int" in elements[0].made.name
        ):
            return elements[0]
        else:
            self.used.add("Exp" if name == "Sigmoid" else name)
        out = replace(self._function(name, elements), real=few(real))
        return replace(out, made=Rounded("integers")) if name in _WHOLE else out

    def _function(self, name: str, elements: list[Element]) -> Element:
        x = elements[0]
        self.expose(*elements)
        height = self.after_hash(*(e.height for e in elements))
        if name == "Sqrt" and x.real is not None and x.size == 1:
            return self._root(x, height)
        if len(elements) > 1:
            out = self.hashed(name, x.residue)
            for other in elements[1:]:
                out = self.hashed(name, self.reduce(out + other.residue))
            return Element(out, None, height)
        if name == "Sign":
            return Element(self._sign_of(x), None, height)
        if name == "Sigmoid":
            grown = self._function("Exp", [x])
            return self.div(grown, self.add(grown, self.constant(1.0)))
        if name == "Exp":
            grown = self.hashed(name, np.abs(x.residue))
            out = np.where(x.residue < 0, self.inverted(grown), grown)
            out = np.where(x.residue == 0, 1.0, out)
            return Element(out, None, height, made=Exponential(x))
        if name == "Log" and isinstance(x.made, Softmax):
            return self.log_softmax(x.made.of, x.made.axis)
        if name == "Log" and isinstance(x.made, Exponentials):
            return self.log_sum_exp(x.made.of, x.made.axes)
        if name == "Ceil":
            return self.neg(self._function("Floor", [self.neg(x)]))
        if name in _ODD:
            return Element(np.sign(x.residue) * self.hashed(name, np.abs(x.residue)), None, height)
        inside = np.abs(x.residue) if name in _EVEN else x.residue
        return Element(self.hashed(name, inside), None, height)

    def _sign_of(self, x: Element) -> Array:
        """``[x > 0] - [x < 0]``."""
        return self.sign(x.residue, x.scale)

    def _root(self, x: Element, height: Height) -> Element:
        """The root of a number: where the field has one that has a root itself, that.

        Such roots multiply as roots do, so a root of a root, squared, is the root.
        """
        number = float(np.reshape(x.real, ()))  # pyright: ignore[reportArgumentType, reportCallIssue]
        if number.is_integer() and number > 1:
            self.roots.add(int(number))
        root = square_root(int(self.canonical(x.residue).reshape(())), self.prime)
        if root is None:
            return Element(self.hashed("Sqrt", x.residue), None, height)
        return Element(self.reduce(np.full(x.shape, float(root))), None, height)

    def opaque(
        self,
        name: str,
        fn: Callable[..., Array],
        *xs: Tensor,
        core: Sequence[int] = (),
        shape: tuple[int, ...] = (),
        dtype: np.dtype[Any] = REAL,
    ) -> Tensor:
        elements = [self.of(x) for x in xs]
        reals = [e.real for e in elements]
        if all(r is not None for r in reals):
            with np.errstate(all="ignore"):
                out = np.asarray(fn(*reals))
            return self.constant(out) if dtype == REAL else out.astype(dtype)
        self.used.add(name)
        elements = [self.of(self.settled(e)) for e in elements]
        self.expose(*elements)
        key = self.key(name)
        seen = np.zeros((), np.uint64)
        for place, element in enumerate(elements):
            inside = self._digest(element.residue, core[place] if core else 0)
            seen = mix(seen + inside, key + place & _WORD)
        count = int(np.prod(shape, dtype=np.int64))
        results = mix(seen[..., None] + np.arange(count, dtype=np.uint64), key)
        out = self.to_residue(results).reshape((*seen.shape, *shape))
        return replace(
            self.made_of_hash(out, *(e.height for e in elements), dtype=dtype), bounded=True
        )

    def _digest(self, x: Array, whole: int) -> Array:
        """One word for all elements of the last ``whole`` axes, in their order."""
        lead = x.shape[: x.ndim - whole]
        flat = self.canonical(x).reshape(*lead, -1)
        key = self.key("digest")
        places = mix(np.arange(flat.shape[-1], dtype=np.uint64), key)
        return mix(flat + places, key).sum(axis=-1, dtype=np.uint64)

    def total(self, x: Tensor, axes: tuple[int, ...]) -> Element:
        out = super().total(x, axes)
        made = self.of(x).made
        return (
            replace(out, made=Exponentials(made.of, axes)) if isinstance(made, Exponential) else out
        )

    def divided(self, x: Element, y: Element) -> Element | None:
        """Exponentials by their own sum along an axis are a softmax."""
        over, under = x.made, y.made
        if not isinstance(over, Exponential) or not isinstance(under, Exponentials):
            return None
        if over.of is not under.of or len(under.axes) != 1 or x.ndim != y.ndim:
            return None
        return self.softmax(over.of, under.axes[0])

    def _shown(self, e: Element, axes: tuple[int, ...]) -> bool:
        """Whether every line has an element that is not hidden; with leeway that is a condition."""
        if e.finite is None or bool(e.finite.any(axis=axes).all()):
            return True
        if self.leeway.hidden:
            self.conditions.add("no row of an attention mask is masked completely")
        return self.leeway.hidden

    def _centred(self, e: Element, axes: tuple[int, ...]) -> tuple[Element, Element]:
        plain = Element(e.residue, None, e.height)
        middle = self.mean(plain, axes)
        return self.sub(plain, middle), middle

    def softmax(self, x: Tensor, axis: int) -> Element:
        self.used.add("Softmax")
        e, axis = self.of(x), axis % max(self.of(x).ndim, 1)
        self._shown(e, (axis,))
        centred, _ = self._centred(e, (axis,))
        grown = self.made_of_hash(self.hashed("Softmax", centred.residue), centred.height)
        return replace(self.div(grown, super().total(grown, (axis,))), made=Softmax(e, axis))

    def log_softmax(self, x: Tensor, axis: int) -> Element:
        return self.sub(
            Element(self.of(x).residue, None, self.of(x).height), self.log_sum_exp(x, (axis,))
        )

    def log_sum_exp(self, x: Tensor, axes: tuple[int, ...]) -> Element:
        self.used.update(("Exp", "Log"))
        self._shown(self.of(x), axes)
        centred, middle = self._centred(self.of(x), axes)
        grown = self.made_of_hash(self.hashed("Softmax", centred.residue), centred.height)
        summed = super().total(grown, axes)
        logarithm = self.made_of_hash(self.hashed("Log", summed.residue), summed.height)
        return self.add(middle, logarithm)

    def special(self, name: str, fn: Callable[[Array], Array], x: Tensor) -> Tensor:
        e = self.of(x)
        if e.real is not None:
            return fn(e.real)
        if isinstance(e.made, Softmax) and self._shown(e.made.of, (e.made.axis,)):
            return np.zeros(e.shape, bool)
        return self.opaque(name, fn, e, dtype=BOOL)

    def fingerprint(self, x: Tensor) -> int:
        """A number that depends on the elements of ``x`` and not on their order."""
        words = mix(self.canonical(self.of(x).residue), key_of("fingerprint", self.prime, 0))
        return int(words.sum(dtype=np.uint64))

    # Types and places.


def _exact_root(root: Array, square: Array) -> bool:
    """Whether ``root`` is the exact square root: few bits, so that squaring does not round."""
    short = root.astype(np.float32).astype(np.float64)
    return bool(np.all(short == root) and np.all(root * root == square))
