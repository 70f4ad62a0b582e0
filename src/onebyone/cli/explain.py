"""``onebyone explain``: write the page and open it."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer


def explain(
    model: Annotated[
        Path | None, typer.Argument(help="An ONNX file whose layer fills the page.")
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option("--layer", help="The layer: a node's name. Default: the first FC layer."),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The HTML file to write.")] = Path(
        "onebyone-explain.html"
    ),
    lang: Annotated[str, typer.Option("--lang", help="Language shown first: en or zh.")] = "en",
    open_page: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in the browser.")
    ] = True,
) -> None:
    """Explain why a 1x1 convolution is a fully connected layer, on a page that computes.

    The page is one self-contained HTML file: it needs no network.
    """
    # Imported here, so that the other commands start without it.
    from onebyone.explain import write

    page = write(output, lang=lang, model=model, layer=layer)
    typer.echo(f"wrote {page}")
    if open_page and not webbrowser.open(page.as_uri()):
        typer.echo(f"no browser found: open {page.as_uri()} by hand")
