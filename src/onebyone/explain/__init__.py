"""Why a 1x1 convolution is a fully connected layer: one offline page that computes.

>>> from onebyone import explain
>>> explain.write("explain.html", lang="en")
"""

from __future__ import annotations

from pathlib import Path

from onebyone.errors import InputError
from onebyone.explain.page import LANGUAGES, render

__all__ = ["write"]


def write(
    path: str | Path,
    *,
    lang: str = "en",
    model: str | Path | None = None,
    layer: str | None = None,
) -> Path:
    """Write the page: one self-contained HTML file that makes no request.

    Args:
        path: the file to write; an existing file is replaced, never half written.
        lang: the language shown first, ``"en"`` or ``"zh"``; the page holds both.
        model: an ONNX file whose layer fills the page instead of the worked example.
        layer: name of a node of ``model``, of its output or of its weight; None takes the first
            FC layer.

    Returns:
        The absolute path of the page.

    Raises:
        InputError: unknown language, unusable model, unknown layer, or a layer without a model.
        OutputError: ``path`` cannot be written.
    """
    # Imported here: they load onnx and onnxruntime.
    from onebyone.explain.data import page_data
    from onebyone.files import check_output, write_text

    if lang not in LANGUAGES:
        raise InputError(f"language '{lang}' is unknown: use {' or '.join(LANGUAGES)}")
    if layer is not None and model is None:
        raise InputError(f"layer '{layer}' of which model? Name an ONNX file before --layer")
    check_output(path, [] if model is None else [model])
    write_text(path, render(page_data(model, layer), lang))
    return Path(path).absolute()
