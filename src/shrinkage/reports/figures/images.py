"""Pixels of the input, by how much weight leaves them."""

from collections.abc import Sequence

import plotly.graph_objects as go

from shrinkage.reports.figures.style import figure, lean


def pixels(values: Sequence[Sequence[float | None]], *, colour: str) -> go.Figure:
    """Σ|w| per pixel; pixels that are None (all weights exactly zero) stay empty."""
    trace = go.Heatmap(
        z=[lean(row) for row in values],
        zmin=0,
        colorscale=[[0, "rgba(128,128,128,0.25)"], [1, colour]],
        xgap=1,
        ygap=1,
        hovertemplate="row %{y}, column %{x}: Σ|w| = %{z:.3g}",
        hoverongaps=False,
        showscale=False,
    )
    return figure([trace], "", "").update_layout(
        xaxis={"showgrid": False, "showticklabels": False, "constrain": "domain"},
        yaxis={
            "autorange": "reversed",
            "scaleanchor": "x",
            "constrain": "domain",
            "showgrid": False,
            "showticklabels": False,
        },
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
    )
