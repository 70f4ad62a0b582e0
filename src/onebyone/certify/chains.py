"""Where a model scales and shifts channels by constants, one step after the other."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from onebyone.certify.inputs import truth
from onebyone.dialects.protocol import Constant, Model, Step
from onebyone.kernels.arithmetic import Array, Tensor

# Steps that a chain has at most.
_LONGEST = 8


@dataclass(frozen=True)
class Chain:
    """Steps that only read what the one before gives, and constants.

    Attributes:
        start: name of the value that they begin with.
        end: name of the value that they give.
        steps: the steps.
        channels: size of the axis along which constants differ.
        shape: of a start that has that axis alone: ones elsewhere.
        weights: constants that the step before the chain multiplies by.
        vectors: constants that it adds, one for each channel.
    """

    start: str
    end: str
    steps: tuple[Step, ...]
    channels: int
    shape: tuple[int, ...]
    weights: tuple[Constant, ...]
    vectors: tuple[Constant, ...]


def constant_values(model: Model) -> list[str]:
    """Names of values that follow from constants alone, the constants left out."""
    held = {c.name for c in model.constants()}
    names: list[str] = []
    for step in model.steps():
        inputs = [name for name in step.inputs if name]
        if inputs and all(name in held for name in inputs):
            held.update(step.outputs)
            names += [name for name in step.outputs if name]
        elif not inputs:
            held.update(step.outputs)
    return names


def chains(model: Model, unused: Collection[str], values: Mapping[str, Array]) -> Iterator[Chain]:
    """Chains that read a constant of ``unused``, or stand behind a step that does; long ones first.

    Args:
        model: the model.
        unused: names of constants.
        values: inputs of the model, for the shapes of its values.
    """
    constants = {c.name: c for c in model.constants()}
    held = {*constants, *constant_values(model)}
    readers: dict[str, list[Step]] = {}
    for step in model.steps():
        for name in dict.fromkeys(step.inputs):
            readers.setdefault(name, []).append(step)
    results = {port.name for port in model.outputs}
    sizes: dict[str, tuple[int, ...]] = {name: v.shape for name, v in values.items()}

    def observe(step: Step, made: list[Tensor | None]) -> None:
        for name, result in zip(step.outputs, made, strict=False):
            if result is not None:
                sizes[name] = tuple(result.shape)

    truth(model, values, observe=observe)
    for step in model.steps():
        read = [constants[name] for name in step.inputs if name in constants]
        data = [name for name in step.inputs if name and name not in held]
        if len(data) != 1 or not any(c.name in unused for c in read):
            continue
        behind = tuple(c for c in read if c.size > 1 and c.dtype.startswith(("float", "bfloat")))
        starts = [(step.outputs[0], behind, _following(step.outputs[0], readers, held, results))]
        starts.append((data[0], (), [step, *starts[0][2]][:_LONGEST]))
        for start, given, following in starts:
            for length in range(len(following), 0, -1):
                yield from _along(start, following[:length], given, sizes)


def _following(
    name: str, readers: Mapping[str, list[Step]], held: Collection[str], results: Collection[str]
) -> list[Step]:
    """The steps behind a value that nothing else reads."""
    steps: list[Step] = []
    while len(steps) < _LONGEST and name not in results:
        users = readers.get(name, [])
        if len(users) != 1:
            break
        others = [n for n in users[0].inputs if n and n != name]
        if not all(n in held for n in others) or users[0].inputs.count(name) != 1:
            break
        steps.append(users[0])
        name = users[0].outputs[0]
    return steps


def _along(
    start: str, steps: list[Step], given: tuple[Constant, ...], sizes: Mapping[str, tuple[int, ...]]
) -> Iterator[Chain]:
    shape = sizes.get(start, ())
    if not steps or sizes.get(steps[-1].outputs[0]) != shape:
        return
    for axis in dict.fromkeys((1, len(shape) - 1)):
        if not 0 <= axis < len(shape) or shape[axis] < 2:
            continue
        count = shape[axis]
        alone = tuple(count if a == axis else 1 for a in range(len(shape)))
        vectors = tuple(c for c in given if c.size == count)
        weights = tuple(c for c in given if c.size > count or len(c.shape) > 1)
        end = steps[-1].outputs[0]
        yield Chain(start, end, tuple(steps), count, alone, weights, vectors)
