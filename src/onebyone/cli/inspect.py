"""``onebyone inspect``: the fully connected layers of a model, and what would become of them."""

from __future__ import annotations

from onebyone.cli import _shared


def inspect(
    model: _shared.Model,
    dim: _shared.Dim = None,
    report: _shared.ReportFile = None,
    all_layers: _shared.AllLayers = False,
) -> None:
    """List every layer that is a fully connected layer, in whatever form.

    For each direction it says what would become of the layer, or why it would stay.
    """
    import onebyone
    from onebyone.cli import _render

    _shared.check_report(report, [model])
    sizes = _shared.dims(dim)
    with _shared.working(f"reading {model.name}"):
        conv, linear = (onebyone.inspect(model, to, dims=sizes) for to in ("conv", "linear"))
    console = _shared.console()
    _render.show_inspection(conv, linear, console, every_layer=all_layers)
    _render.show_counts(conv, console)
    _shared.write_report(report, {"conv": conv.to_dict(), "linear": linear.to_dict()})
