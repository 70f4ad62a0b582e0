"""Why a 1x1 convolution is a fully connected layer: one offline page that computes.

>>> from onebyone import explain
>>> explain.write("explain.html", lang="en")
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from onebyone.errors import InputError, OutputError
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
    # Imported here: the data needs numpy, and a user's layer onnxruntime.
    from onebyone.explain.data import page_data

    if lang not in LANGUAGES:
        raise InputError(f"language '{lang}' is unknown: use {' or '.join(LANGUAGES)}")
    if layer is not None and model is None:
        raise InputError(f"layer '{layer}' of which model? Name an ONNX file before --layer")
    target = Path(path).absolute()
    if target.is_dir():
        raise OutputError(f"{target} is a directory: name a file, such as {target}/explain.html")
    if model is not None and target == Path(model).absolute():
        raise OutputError(f"{target} is the model itself: name another file")
    html = render(page_data(model, layer), lang)
    _replace(target, html)
    return target


def _replace(target: Path, text: str) -> None:
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".new")
        new = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            new.chmod(0o644)
            new.replace(target)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror or error}") from error
