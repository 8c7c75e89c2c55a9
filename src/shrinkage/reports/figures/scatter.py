"""Dots: weights one by one, or fits one by one, with the line that is expected."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import plotly.graph_objects as go

from shrinkage.reports.figures.style import QUIET, figure, lean
from shrinkage.reports.figures.ticks import log_axis


@dataclass(frozen=True)
class Dots:
    """A cloud of points; ``text``: one per dot, shown on hovering.

    ``joined``: with a line; ``error``: half-widths of bars.
    """

    label: str
    colour: str
    x: Sequence[float | None]
    y: Sequence[float | None]
    text: Sequence[str] = field(default=())
    joined: bool = False
    chosen: int | None = None
    open_: bool = False
    error: Sequence[float | None] | None = None


def dots(
    clouds: Sequence[Dots],
    *,
    x: str,
    y: str,
    expected: Sequence[tuple[str, Sequence[float | None], Sequence[float | None]]] = (),
    log_x: bool = False,
    log_y: bool = False,
    percent_y: bool = False,
) -> go.Figure:
    """Clouds, and dashed lines (label, x, y) where theory puts them."""
    traces: list[Any] = [_cloud(cloud, single=len(clouds) == 1) for cloud in clouds]
    traces += [
        _ring(cloud, cloud.chosen)
        for cloud in clouds
        if cloud.chosen is not None and cloud.chosen < len(cloud.x)
    ]
    for label, xs, ys in expected:
        traces.append(
            go.Scatter(
                x=lean(xs),
                y=lean(ys),
                name=label,
                mode="lines",
                connectgaps=False,
                line={"color": QUIET, "width": 1.5, "dash": "dash"},
                hoverinfo="skip",
            )
        )
    across = [v for c in clouds for v in c.x] + [v for _, xs, _ in expected for v in xs]
    up = [v for c in clouds for v in c.y] + [v for _, _, ys in expected for v in ys]
    return figure(traces, x, y).update_layout(
        xaxis=log_axis(across) if log_x else {"type": "linear"},
        yaxis=log_axis(up)
        if log_y
        else {"type": "linear", "tickformat": "~%" if percent_y else ""},
    )


def _cloud(cloud: Dots, *, single: bool) -> Any:
    marker: dict[str, Any] = {
        "color": cloud.colour,
        "size": 7 if cloud.joined or len(cloud.x) < 100 else 4,
        "opacity": 1 if cloud.joined else 0.65,
    }
    if cloud.open_:
        marker |= {"symbol": "circle-open", "size": 7}
    return go.Scatter(
        x=lean(cloud.x),
        y=lean(cloud.y),
        text=list(cloud.text) or None,
        name=cloud.label,
        mode="lines+markers" if cloud.joined else "markers",
        line={"color": cloud.colour, "width": 1.5},
        marker=marker,
        error_y=None
        if cloud.error is None or not any(cloud.error)
        else {"type": "data", "array": lean(cloud.error), "thickness": 1, "width": 0},
        hovertemplate=("%{text}<br>" if cloud.text else "") + "%{x:.3g}, %{y:.3g}",
        showlegend=True if single else None,
    )


def _ring(cloud: Dots, index: int) -> Any:
    return go.Scatter(
        x=lean([cloud.x[index]]),
        y=lean([cloud.y[index]]),
        mode="markers",
        showlegend=False,
        hoverinfo="skip",
        marker={
            "symbol": "circle-open",
            "size": 14,
            "color": cloud.colour,
            "line": {"width": 2.5, "color": cloud.colour},
        },
    )
