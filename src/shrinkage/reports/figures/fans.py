"""Many lines along the strength λ, one per feature: some named, the others quiet."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from shrinkage.reports.figures.style import QUIET, figure, lean, palette
from shrinkage.reports.figures.ticks import log_axis


def fan(
    x: Sequence[float], rows: Mapping[str, Sequence[float | None]], *, y: str, named: int
) -> go.Figure:
    """``rows``: name → a value per strength; the first ``named`` have colours and a legend."""
    colours = [*palette(min(named, len(rows))), *[QUIET] * max(0, len(rows) - named)]
    traces = [
        go.Scatter(
            x=lean(x),
            y=lean(values),
            name=name,
            mode="lines",
            line={"color": colour, "width": 1.8 if number < named else 0.8},
            opacity=1 if number < named else 0.6,
            showlegend=None if number < named else False,
            hovertemplate=f"{name}<br>λ = %{{x:.3g}}: %{{y:.3g}}",
        )
        for number, ((name, values), colour) in enumerate(zip(rows.items(), colours, strict=True))
    ]
    made = figure([*traces[named:], *traces[:named]], "strength λ", y)
    return made.update_layout(xaxis=log_axis(x))


def upright(made: go.Figure, at: float | None) -> go.Figure:
    """The figure with a dotted upright line at a strength; unchanged for None and 0."""
    if at:
        made.add_shape(
            type="line", x0=at, x1=at, yref="paper", y0=0, y1=1,
            line={"color": QUIET, "width": 1.2, "dash": "dot"}, layer="below",
        )  # fmt: skip
    return made
