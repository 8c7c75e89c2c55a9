"""Measures along the strength λ, a line per column."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from shrinkage.reports.figures.style import QUIET, error_bars, faint, figure, lean, ring
from shrinkage.reports.figures.ticks import axis


@dataclass(frozen=True)
class Line:
    """One column's means along the strengths; ``chosen``: an index.

    ``error``: half-widths, drawn as bars; ``band``: half-widths, drawn as a band.
    ``level``: a column without λ, drawn across the figure at its first ``y``.
    """

    label: str
    colour: str
    x: Sequence[float]
    y: Sequence[float | None]
    error: Sequence[float | None] | None = None
    chosen: int | None = None
    dash: str = "solid"
    level: bool = False
    band: Sequence[float | None] | None = None


def lines(
    series: Sequence[Line],
    *,
    y: str,
    x: str = "strength λ",
    log_x: bool = True,
    log_y: bool = False,
    percent: bool = False,
) -> go.Figure:
    """A line per column with a ring on the chosen try; levels where there is no λ."""
    span = _span(series)
    traces: list[Any] = [band for line in series for band in _band(line, log_y=log_y)]
    for line in series:
        traces += _level(line, span) if line.level else _line(line)
    up = [value for line in series for value in line.y]
    shape = {"exponentformat": "none", "tickformat": "~%" if percent else "", "rangemode": "tozero"}
    return figure(traces, x, y).update_layout(
        xaxis=axis(span, log=log_x, type="linear"), yaxis=axis(up, log=log_y, **shape)
    )


def _span(series: Sequence[Line]) -> tuple[float, float]:
    """The smallest and the largest λ of all lines."""
    inner = [point for line in series if not line.level for point in line.x if point > 0]
    return (min(inner), max(inner)) if inner else (1e-4, 1e-1)


def differences(series: Sequence[Line], *, y: str, top: float | None = None) -> go.Figure:
    """Differences to the unregularized network along λ; the level 0 is that network.

    ``top``: the upper end of the axis where the largest differences would hide the others.
    """
    made = lines(series, y=y)
    level = {"color": QUIET, "width": 1.5, "dash": "dash"}
    inside = [(v, e) for line in series for v, e in _known(line) if top is None or v <= top]
    low = min((v - (e or 0) for v, e in inside), default=0.0)
    return made.update_layout(
        yaxis={"rangemode": "normal"}
        if top is None
        else {"range": [min(low, -0.1 * top) - 0.1 * top, top]},
        shapes=[
            {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 0, "y1": 0, "line": level}
        ],
    )


def _known(line: Line) -> list[tuple[float, float | None]]:
    errors = line.error or [None] * len(line.y)
    pairs = zip(line.y, errors, strict=True)
    return [(value, error) for value, error in pairs if value is not None]


def _band(line: Line, *, log_y: bool) -> list[Any]:
    """The area of mean ± half-width; on a logarithmic axis it ends at a tenth of the mean."""
    if line.band is None or not any(line.band):
        return []
    rows = list(_limits(line, log_y=log_y))
    return [
        go.Scatter(
            x=lean([x for x, _, _ in rows] + [x for x, _, _ in reversed(rows)]),
            y=lean([low for _, low, _ in rows] + [high for _, _, high in reversed(rows)]),
            mode="lines",
            line={"width": 0},
            fill="toself",
            fillcolor=faint(line.colour),
            hoverinfo="skip",
            showlegend=False,
            legendgroup=line.label,
        )
    ]


def _limits(line: Line, *, log_y: bool) -> Iterator[tuple[float, float, float]]:
    """The ends of a band at each λ."""
    for x, y, half in zip(line.x, line.y, line.band or (), strict=True):
        if y is not None and half is not None:
            yield x, y - half if y - half > 0 or not log_y else y / 10, y + half


def _line(line: Line) -> list[Any]:
    traces = [
        go.Scatter(
            x=lean(line.x),
            y=lean(line.y),
            name=line.label,
            legendgroup=line.label,
            mode="lines+markers",
            error_y=error_bars(line.error, thickness=1.2, width=3),
            line={"color": line.colour, "width": 2, "dash": line.dash},
            marker={"color": line.colour, "size": 5},
            hovertemplate="λ = %{x:.2g}: %{y:.4g}",
        )
    ]
    if line.chosen is not None and 0 <= line.chosen < len(line.x):
        x, y = line.x[line.chosen], line.y[line.chosen]
        traces.append(ring(x, y, line.colour, size=13, legendgroup=line.label))
    return traces


def _level(line: Line, span: tuple[float, float]) -> list[Any]:
    return [
        go.Scatter(
            x=lean(span),
            y=lean([line.y[0], line.y[0]]),
            name=line.label,
            mode="lines",
            line={"color": line.colour, "width": 2, "dash": "dash"},
            hovertemplate="%{y:.4g}",
        )
    ]
