"""The certificate on a terminal: four lines, and a fifth where the models part."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from onebyone.certify.certificate import Certificate, Verdict

_STYLES = {Verdict.PROVED: "green", Verdict.DIFFERS: "bold red", Verdict.UNDECIDED: "yellow"}
_VERDICTS = {
    Verdict.PROVED: "the same function of real numbers",
    Verdict.DIFFERS: "not the same function",
    Verdict.UNDECIDED: "undecided",
}


def show(certificate: Certificate, console: Console) -> None:
    """Print the layers, one line each, and the verdict."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="ellipsis", no_wrap=not _wide(certificate, console))
    table.add_column(no_wrap=True, justify="right")
    for layer in certificate.layers:
        table.add_row(
            layer.name,
            Text(layer.verdict, _STYLES[layer.verdict]),
            Text(layer.summary),
            f"{layer.seconds:.1f} s",
        )
    console.print(table)
    verdict = certificate.verdict
    console.print(Text(_VERDICTS[verdict], _STYLES[verdict]))
    witness = certificate.witness
    if witness is not None:
        console.print(Text(f"first difference: {witness.second} (in the first: {witness.first})"))
        console.print(Text(witness.why))


def _wide(certificate: Certificate, console: Console) -> bool:
    """Whether summaries may wrap: only where a terminal is not there to cut them for."""
    return not console.is_terminal or certificate.verdict is not Verdict.PROVED
