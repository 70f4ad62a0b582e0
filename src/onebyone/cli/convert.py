"""``onebyone convert``: write the model in the other form."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from onebyone.cli import _shared
from onebyone.errors import InputError


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
    strict: Annotated[
        bool, typer.Option("--strict", help="Write nothing unless the result is proved.")
    ] = False,
    seed: _shared.Seed = None,
    seconds: _shared.Seconds = 120.0,
    memory: _shared.Memory = None,
    all_layers: _shared.AllLayers = False,
) -> None:
    """Turn every fully connected layer into a 1x1 (or kxk) convolution, or the reverse.

    The output appears complete or not at all; the input is never changed.
    """
    import onebyone
    from onebyone.certify.certificate import DiffersError, UndecidedError
    from onebyone.certify.render import show
    from onebyone.cli import _render
    from onebyone.dialects.registry import dialect_of, entry_of

    if entry_of(model) is not entry_of(output):
        raise InputError(f"{output}: the result of {model.name} is a file of the same kind")
    dialect_of(output).check_output(output, [model])
    _shared.check_report(report, [model, output])
    if strict and not check:
        raise InputError("--strict proves the result, --no-check does not look: give one of them")
    sizes, bytes_ = _shared.dims(dim), _shared.memory_size(memory)
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
        try:
            certificate = result.save(
                output,
                check=check,
                progress=tell,
                strict=strict,
                seed=seed,
                seconds=seconds,
                memory=bytes_,
            )
        except (DiffersError, UndecidedError) as error:
            show(error.certificate, console)
            raise
    _render.show_layers(result.report, console, every_layer=all_layers)
    _render.show_counts(result.report, console)
    _render.show_cost(result.report, console)
    if certificate is not None:
        show(certificate, console)
        if certificate.exit_code:
            console.print("written, not proved")
    proofs = None if certificate is None else certificate.to_dict()
    _shared.write_report(report, {**result.report.to_dict(), "certificate": proofs})
