"""Bars: a group per layer or measure, a bar per column."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from shrinkage.reports.figures.style import error_bars, figure, lean


def bars(
    groups: Sequence[str],
    series: Mapping[str, tuple[str, Sequence[float | None]]],
    *,
    y: str,
    percent: bool = False,
) -> go.Figure:
    """``series``: label → (colour, a value per group)."""
    traces = [
        go.Bar(
            x=list(groups),
            y=lean(values),
            name=label,
            marker={"color": colour},
            hovertemplate=f"%{{x}}: %{{y:{'.1%' if percent else '.4g'}}}",
        )
        for label, (colour, values) in series.items()
    ]
    made = figure(traces, "", y, barmode="group", bargap=0.25)
    return made.update_layout(
        xaxis={"type": "category"},
        yaxis={"tickformat": "~%" if percent else "", "rangemode": "tozero"},
    )


def column_bars(
    rows: Sequence[tuple[str, str, float | None, float | None]], *, x: str
) -> go.Figure:
    """One horizontal bar per (label, colour, value, half-width of its error bar)."""
    errors = [error for *_, error in rows]
    trace = go.Bar(
        x=lean(value for _, _, value, _ in rows),
        y=[label for label, *_ in rows],
        orientation="h",
        marker={"color": [colour for _, colour, *_ in rows]},
        error_x=error_bars(errors, thickness=1.2, width=3),
        hovertemplate="%{y}: %{x:.4g}",
        showlegend=False,
    )
    return figure([trace], x, "").update_layout(yaxis={"autorange": "reversed", "type": "category"})


def row_bars(
    names: Sequence[str], values: Sequence[float | None], *, colour: str, x: str
) -> go.Figure:
    """One horizontal bar per name, the first on top."""
    trace = go.Bar(
        x=lean(values),
        y=list(names),
        orientation="h",
        marker={"color": colour},
        hovertemplate="%{y}: %{x:.4g}",
        showlegend=False,
    )
    return figure([trace], x, "").update_layout(
        yaxis={"autorange": "reversed", "type": "category", "tickfont": {"size": 11}, "dtick": 1},
        height=max(150, 17 * len(names) + 70),
    )
