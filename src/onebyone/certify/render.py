"""The certificate on a terminal: four lines, the verdict, and where the models part."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from onebyone.certify.certificate import Certificate, Verdict
from onebyone.text import printable

_STYLES = {Verdict.PROVED: "green", Verdict.DIFFERS: "bold red", Verdict.UNDECIDED: "yellow"}
_VERDICTS = {
    Verdict.PROVED: "the same function of real numbers",
    Verdict.DIFFERS: "not the same function",
    Verdict.UNDECIDED: "undecided",
}


def show(certificate: Certificate, console: Console) -> None:
    """Print one line a layer, the verdict, where the models differ the witness, and the seed.

    On a terminal a proof's lines are cut to its width; everything else is printed whole.
    """
    cut = console.is_terminal and certificate.verdict is Verdict.PROVED
    for layer in certificate.layers:
        line = Text.assemble(
            f"{layer.name:<10}",
            (f"{layer.verdict:<10}", _STYLES[layer.verdict]),
            f"{layer.seconds:6.1f} s  ",
            printable(layer.summary, 1000),
        )
        console.print(line, no_wrap=cut, overflow="ellipsis" if cut else "fold", soft_wrap=not cut)
    verdict = certificate.verdict
    lower = [x.evidence.get("lower_precision") for x in certificate.layers]
    named = "".join(f": lower precision, weights in {name}" for name in lower if name)
    console.print(Text(_VERDICTS[verdict] + named, _STYLES[verdict]))
    witness = certificate.witness
    if witness is not None:
        first, second = printable(witness.first), printable(witness.second)
        text = f"first difference: {second} (in the first model: {first})"
        console.print(Text(text), soft_wrap=True)
        console.print(Text(printable(witness.why, 1000)), soft_wrap=True)
    console.print(f"seed {certificate.seed}")
