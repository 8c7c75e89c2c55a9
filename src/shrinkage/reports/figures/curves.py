"""How training went: training and held-out loss, epoch by epoch."""

from collections.abc import Sequence

import plotly.graph_objects as go

from shrinkage.reports.figures.style import faint, figure, lean


def curves(
    epochs: Sequence[float],
    train: Sequence[float | None],
    held: Sequence[float | None],
    *,
    colour: str,
    held_name: str,
    top: float | None = None,
) -> go.Figure:
    """Training (dotted) and held-out loss with the gap between them filled.

    ``top``: the upper end of the axis, the same for figures that stand side by side.
    """
    traces = [
        go.Scatter(
            x=list(epochs),
            y=lean(train),
            name="train",
            mode="lines",
            line={"color": colour, "width": 2, "dash": "dot"},
        ),
        go.Scatter(
            x=list(epochs),
            y=lean(held),
            name=held_name,
            mode="lines",
            line={"color": colour, "width": 2},
            fill="tonexty",
            fillcolor=faint(colour),
        ),
    ]
    made = figure(traces, "epoch", "loss", hovermode="x unified")
    return made.update_layout(yaxis={"range": [0, top]} if top else {"rangemode": "tozero"})
