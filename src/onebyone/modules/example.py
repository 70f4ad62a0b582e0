"""Run a model on an example, to see what reaches each layer."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from onebyone.errors import InputError


@contextmanager
def quiet(model: nn.Module) -> Generator[None]:
    """Evaluation mode, no gradients; afterwards the modes and the random state are as before."""
    modes = [(module, module.training) for module in model.modules()]
    with torch.random.fork_rng(), torch.no_grad():
        model.eval()
        try:
            yield
        finally:
            for module, training in modes:
                module.training = training


def call(model: nn.Module, example: Any) -> Any:
    """Call ``model`` with a tensor, a tuple of arguments or a mapping of keyword arguments."""
    if isinstance(example, dict):
        return model(**example)
    # transformers' BatchEncoding is a mapping, though no dict.
    if hasattr(example, "keys") and not isinstance(example, Tensor):
        return model(**dict(example))
    return model(*example) if isinstance(example, tuple | list) else model(example)


def watch(
    model: nn.Module,
    layers: Sequence[nn.Module],
    example: Any,
    seen: Callable[[nn.Module, Tensor], None],
) -> None:
    """Run ``model`` once and tell ``seen`` of each input that reaches one of ``layers``.

    Raises:
        InputError: the model does not run on the example.
    """

    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = (*args, *kwargs.values())
        if given and isinstance(given[0], Tensor):
            seen(module, given[0])

    with ExitStack() as stack:
        for layer in layers:
            handle = layer.register_forward_pre_hook(hook, with_kwargs=True)
            stack.callback(handle.remove)
        with quiet(model):
            try:
                call(model, example)
            except Exception as error:
                raise InputError(
                    f"{type(model).__name__} does not run on the example input: "
                    f"{str(error).splitlines()[0] if str(error) else type(error).__name__}"
                ) from error


def input_sizes(
    model: nn.Module, layers: Sequence[nn.Module], example: Any
) -> dict[int, tuple[int, ...]]:
    """The spatial input sizes ``(*S)`` of each convolution, by ``id``; absent where calls differ.

    Raises:
        InputError: the model does not run on the example.
    """
    sizes: dict[int, set[tuple[int, ...]]] = {}

    def seen(module: nn.Module, x: Tensor) -> None:
        rank = len(getattr(module, "kernel_size", ()))
        if rank:
            sizes.setdefault(id(module), set()).add(tuple(x.shape[-rank:]))

    watch(model, layers, example, seen)
    return {key: next(iter(shapes)) for key, shapes in sizes.items() if len(shapes) == 1}
