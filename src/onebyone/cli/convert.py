"""``onebyone convert``: write the model in the other form."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from onebyone.cli import _shared
from onebyone.errors import OutputError


def convert(
    model: _shared.Model,
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="The ONNX file to write.")],
    to: _shared.ToOption = _shared.To.CONV,
    target: _shared.TargetOption = None,
    only: _shared.Only = None,
    skip: _shared.Skip = None,
    dim: _shared.Dim = None,
    report: _shared.ReportFile = None,
    all_layers: _shared.AllLayers = False,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Certify the result before it is written.")
    ] = True,
) -> None:
    """Turn every fully connected layer into a 1x1 (or kxk) convolution, or the reverse.

    The output appears complete or not at all; the input is never changed.
    """
    import onebyone
    from onebyone.certify.render import show
    from onebyone.cli import _render
    from onebyone.dialects.onnx.files import check_output

    check_output(output, [model])
    _shared.check_report(report, [model, output])
    with _shared.working(f"converting {model.name}") as tell:
        result = onebyone.convert(
            model,
            to.value,
            target=target,
            only=tuple(only or ()),
            skip=tuple(skip or ()),
            dims=_shared.dims(dim),
            check=check,
            progress=lambda layer: tell(f"certifying: {layer}", 0, 0),
        )
        certificate = result.certificate
        if certificate is not None and certificate.exit_code == 1:
            witness = certificate.witness
            why = "" if witness is None else f" at {witness.second}: {witness.why}"
            raise OutputError(
                f"the result differs from {model}{why}; nothing was written. This is a bug in "
                "onebyone: please report it, and use --skip PATTERN to leave the layer alone"
            )
        tell(f"writing {output.name}", 0, 0)
        result.save(output)
    console = _shared.console()
    _render.show_layers(result.report, console, every_layer=all_layers)
    _render.show_counts(result.report, console)
    _render.show_cost(result.report, console)
    if certificate is not None:
        show(certificate, console)
    _shared.write_report(
        report,
        {
            **result.report.to_dict(),
            "certificate": None if certificate is None else certificate.to_dict(),
        },
    )
