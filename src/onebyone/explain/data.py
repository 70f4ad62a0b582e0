"""Everything that the page computes from: worked examples, verdicts, maps, a user's layer."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onebyone import __version__
from onebyone.explain import worked
from onebyone.explain.receptive import NETWORKS, padding_map
from onebyone.identity import Geometry, Refusal, classify

# Part 6 lets a reader choose these; the table of verdicts holds every combination.
_SIZE = 6
_PADDINGS = (0, 1)
_DILATIONS = (1, 2)
_CHANNELS = 4
_GROUPS = (1, 2, 4)

# A window over a large layer keeps the page small: cells of float32, four thirds of that in text.
_KERNELS, _POSITIONS, _CELLS, _LONGEST = 8, 36, 24_576, 4096


def page_data(model: str | Path | None = None, layer: str | None = None) -> dict[str, Any]:
    """Compute the page's data.

    Args:
        model: an ONNX file whose layer fills parts 1, 2, 3 and 7, or None.
        layer: the layer's name; None takes the first FC layer of ``model``.

    Returns:
        Plain JSON data; arrays as `worked.pack` writes them.

    Raises:
        InputError: ``model`` or ``layer`` cannot be used.
    """
    # Imported here: they load onnxruntime, which a reader of `NETWORKS` does not need.
    from onebyone.explain.mutants import mutant_table

    data: dict[str, Any] = {
        "version": __version__,
        "layer": None if model is None else user_layer(model, layer),
        "pixels": worked.pixels(),
        "twice": worked.twice(),
        "views": worked.four_views(),
        "ffn": worked.feed_forward(),
        "flatten": worked.flatten_order(),
        "geometry": verdicts(),
        "padding": [padding_map(name) for name in NETWORKS],
        "sum": worked.long_sum(),
        "runtime": runtime_bits(),
        "mutants": mutant_table(),
    }
    return data


def verdicts() -> dict[str, Any]:
    """What `identity.classify` says of every geometry that part 6 offers.

    Returns:
        ``table``: ``"kernel,stride,padding,dilation"`` to a case or a reason, for a square map.
    """
    table: dict[str, dict[str, str]] = {}
    sizes = range(1, _SIZE + 1)
    for kernel, stride, padding, dilation in product(sizes, sizes, _PADDINGS, _DILATIONS):
        if dilation * (kernel - 1) + 1 > _SIZE + 2 * padding:
            continue
        verdict = classify(
            Geometry(
                in_channels=_CHANNELS,
                out_channels=_CHANNELS,
                kernel=(kernel, kernel),
                stride=(stride, stride),
                padding=((padding, padding),) * 2,
                dilation=(dilation, dilation),
                input_size=(_SIZE, _SIZE),
            )
        )
        key = f"{kernel},{stride},{padding},{dilation}"
        if isinstance(verdict, Refusal):
            table[key] = {"refused": verdict.reason}
        else:
            table[key] = {"case": str(verdict.case)}
    return {
        "size": _SIZE,
        "paddings": list(_PADDINGS),
        "dilations": list(_DILATIONS),
        "channels": _CHANNELS,
        "groups": list(_GROUPS),
        "table": table,
    }


def runtime_bits() -> dict[str, int]:
    """Run one float32 layer in onnxruntime as MatMul and as Conv, and compare the bits.

    Returns:
        ``k``, ``values``, ``same`` (bit for bit) and ``ulps`` (the largest difference).
    """
    from onebyone.explain.onnx_models import run, single_layer

    rng = np.random.default_rng(116506)
    outputs, inputs, tokens = 64, 768, 32
    w = rng.standard_normal((outputs, inputs)).astype(np.float32)
    x = rng.standard_normal((tokens, inputs)).astype(np.float32)
    linear = run(single_layer(w, tokens, "linear"), x)
    conv = run(single_layer(w, tokens, "conv"), np.ascontiguousarray(x.T)[None, :, None, :])
    conv = np.ascontiguousarray(conv[0, :, 0, :].T)
    return {
        "k": inputs,
        "values": linear.size,
        "same": int(np.count_nonzero(linear.view(np.uint32) == conv.view(np.uint32))),
        "ulps": int(np.abs(_ordered(linear) - _ordered(conv)).max()),
    }


def _ordered(array: NDArray[np.float32]) -> NDArray[np.int64]:
    """Integers in the order of the floats, neighbours one apart."""
    bits = array.view(np.int32).astype(np.int64)
    return np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)


def user_layer(model: str | Path, layer: str | None) -> dict[str, Any]:
    """A layer of the user's model, cut to a window where it is large.

    Returns:
        The full sizes ``n``, ``k``, ``positions``; the window's ``w`` ``(n', k')``, ``b``, ``x``
        ``(p', k')`` and ``grid``; ``rest`` ``(p', n')``, what the channels outside the window add;
        ``y`` ``(p', n')``, the layer's results in float64.

    Raises:
        InputError: the model or the layer cannot be used.
    """
    from onebyone.explain.onnx_layer import layer_data

    shown = layer_data(model, layer)
    n, k = shown.weight.shape
    length = min(k, _LONGEST)
    rows, columns = _window(shown.grid, min(_POSITIONS, max(1, _CELLS // length)))
    chosen = (np.arange(rows)[:, None] * shown.grid[1] + np.arange(columns)).ravel()
    kernels = min(n, _KERNELS)
    w = shown.weight[:kernels].astype(np.float64)
    x = shown.activation[chosen].astype(np.float64)
    b = np.zeros(kernels) if shown.bias is None else shown.bias[:kernels].astype(np.float64)
    return {
        "model": Path(model).name,
        "name": shown.name,
        "op": shown.op,
        "case": shown.case,
        "stored": list(shown.stored),
        "dtype": str(shown.weight.dtype),
        "n": n,
        "k": k,
        "positions": len(shown.activation),
        "full_grid": list(shown.grid),
        "w": worked.pack(w[:, :length]),
        "b": worked.pack(b),
        "x": worked.pack(x[:, :length]),
        "grid": [rows, columns],
        "rest": (x[:, length:] @ w[:, length:].T).tolist(),
        "y": (x @ w.T + b).tolist(),
    }


def _window(grid: tuple[int, int], limit: int) -> tuple[int, int]:
    """The part of a grid that is shown: at most six columns, at most ``limit`` cells."""
    columns = min(grid[1], limit, 6 if grid[0] > 1 else 12)
    return max(1, min(grid[0], limit // columns, 6)), columns
