"""Dots: weights one by one, or fits one by one, with the line that is expected."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import plotly.graph_objects as go

from shrinkage.reports.figures.style import QUIET, error_bars, figure, lean, ring, unzip
from shrinkage.reports.figures.ticks import axis


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
        ring(cloud.x[cloud.chosen], cloud.y[cloud.chosen], cloud.colour, size=14)
        for cloud in clouds
        if cloud.chosen is not None and cloud.chosen < len(cloud.x)
    ]
    traces += [_expected(*line) for line in expected]
    drawn = [(cloud.x, cloud.y) for cloud in clouds] + [(xs, ys) for _, xs, ys in expected]
    across, up = map(chain.from_iterable, unzip(drawn))
    return figure(traces, x, y).update_layout(
        xaxis=axis(across, log=log_x, type="linear"),
        yaxis=axis(up, log=log_y, type="linear", tickformat="~%" if percent_y else ""),
    )


def _expected(label: str, x: Sequence[float | None], y: Sequence[float | None]) -> Any:
    return go.Scatter(
        x=lean(x),
        y=lean(y),
        name=label,
        mode="lines",
        connectgaps=False,
        line={"color": QUIET, "width": 1.5, "dash": "dash"},
        hoverinfo="skip",
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
        error_y=error_bars(cloud.error, thickness=1, width=0),
        hovertemplate=("%{text}<br>" if cloud.text else "") + "%{x:.3g}, %{y:.3g}",
        showlegend=True if single else None,
    )
