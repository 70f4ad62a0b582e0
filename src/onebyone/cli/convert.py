"""``onebyone convert``: write the model in the other form."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from onebyone.cli import _shared
from onebyone.errors import InputError, OutputError

if TYPE_CHECKING:
    from onebyone.certify.certificate import Certificate


def convert(
    model: _shared.Model,
    output: Annotated[
        Path, typer.Argument(metavar="OUTPUT", help="The file to write, of the same kind.")
    ],
    to: _shared.ToOption = _shared.To.CONV,
    target: _shared.TargetOption = None,
    only: _shared.Only = None,
    skip: _shared.Skip = None,
    dim: _shared.Dim = None,
    report: _shared.ReportFile = None,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Certify the result before it is kept.")
    ] = True,
    all_layers: _shared.AllLayers = False,
) -> None:
    """Turn every fully connected layer into a 1x1 (or kxk) convolution, or the reverse.

    The output appears complete or not at all; the input is never changed.
    """
    import onebyone
    from onebyone.cli import _render
    from onebyone.dialects.onnx.files.load import check_output
    from onebyone.dialects.registry import is_program

    if is_program(model) != is_program(output):
        raise InputError(f"{output}: the result of {model.name} is a file of the same kind")
    check_output(output, [model])
    _shared.check_report(report, [model, output])
    sizes = _shared.dims(dim)
    console = _shared.console()
    with _shared.working(f"converting {model.name}") as tell:
        result = onebyone.convert(
            model,
            to.value,
            target=target,
            only=tuple(only or ()),
            skip=tuple(skip or ()),
            dims=sizes,
        )
        certificates: list[Certificate] = []
        if is_program(model):
            from onebyone.dialects.aten.files import save
        else:
            from onebyone.dialects.onnx.files.load import save
        save(
            result.model,
            output,
            inputs=[model],
            accept=(lambda path: certificates.append(_certify(model, sizes, path, tell)))
            if check
            else None,
            progress=lambda done, total: tell(f"writing {output.name}", done, total),
        )
    _render.show_layers(result.report, console, every_layer=all_layers)
    _render.show_counts(result.report, console)
    _render.show_cost(result.report, console)
    for certificate in certificates:
        _show(certificate)
    found = certificates[0].to_dict() if certificates else None
    _shared.write_report(report, {**result.report.to_dict(), "certificate": found})


def _certify(
    model: Path, sizes: dict[str, int], written: Any, tell: Callable[[str, int, int], None]
) -> Certificate:
    """Certify the written file against the original; a difference keeps it from appearing."""
    from onebyone.api import CHECKED_BYTES
    from onebyone.certify.verify import verify
    from onebyone.dialects.onnx.files.dims import fix_dims
    from onebyone.dialects.onnx.files.load import as_model
    from onebyone.dialects.registry import is_program

    original = model
    if not is_program(model):
        original = as_model(model)
        fix_dims(original, sizes)
    certificate = verify(
        original,
        written,
        largest=CHECKED_BYTES,
        progress=lambda layer: tell(f"certifying: {layer}", 0, 0),
    )
    if certificate.exit_code == 1:
        _show(certificate)
        raise OutputError(
            "the result differs from the original, so nothing was written; please report this"
        )
    return certificate


def _show(certificate: Certificate) -> None:
    from onebyone.certify.render import show

    show(certificate, _shared.console())
