"""``onebyone plan``: the layout that a conversion would choose, without writing anything."""

from __future__ import annotations

from onebyone.cli import _shared


def plan(
    model: _shared.Model,
    to: _shared.ToOption = _shared.To.CONV,
    target: _shared.TargetOption = None,
    only: _shared.Only = None,
    skip: _shared.Skip = None,
    dim: _shared.Dim = None,
    report: _shared.ReportFile = None,
    all_layers: _shared.AllLayers = False,
) -> None:
    """Print the plan: layout moves before and after, their bytes, the lower bound, each region."""
    import onebyone
    from onebyone.cli import _render

    _shared.check_report(report, [model])
    with _shared.working(f"planning {model.name}"):
        planned = onebyone.plan(
            model,
            to.value,
            target=target,
            only=tuple(only or ()),
            skip=tuple(skip or ()),
            dims=_shared.dims(dim),
        )
    console = _shared.console()
    _render.show_layers(planned, console, every_layer=all_layers)
    _render.show_moves(planned, console)
    _render.show_cost(planned, console)
    _shared.write_report(report, planned.to_dict())
