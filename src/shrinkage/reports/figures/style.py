"""What all figures share: a colour per column, quiet axes, lean JSON.

Figures carry no colour of text, grid or background: the page sets those from its own light or
dark theme. The colours of the columns are readable on both.
"""

import json
from collections.abc import Iterable, Sequence
from math import floor, isfinite, log10
from types import MappingProxyType
from typing import Any, TypeVar

import plotly.graph_objects as go

X = TypeVar("X")
Y = TypeVar("Y")
COLOURS = MappingProxyType(
    {
        "none": "#7d8590",
        "l1_term": "#b07a10",
        "l1": "#2f6fde",
        "l2": "#15925a",
        "elastic_net": "#8456d8",
        "group_l1": "#0891a8",
        "dropout": "#a0674b",
        "magnitude": "#7d8a1c",
        "weight_decay": "#4b8b7c",
        "early_stopping": "#5b6ee1",
        "label_smoothing": "#c2489b",
    }
)
_OTHERS = ("#c2489b", "#5b6ee1", "#b5543c", "#4b8b7c", "#94702e", "#8d6cab")
_APART = ("#2f6fde", "#15925a", "#c2489b", "#b07a10", "#8456d8", "#0891a8", "#b5543c", "#7d8a1c",
          "#5d646d", "#4b8b7c")  # fmt: skip
"""Neighbours are easy to tell apart."""
ZERO = "#e5383b"
LOSS = "#64748b"
PENALTY = "#ea7317"
QUIET = "#8a9099"
DASHED = MappingProxyType({"color": QUIET, "width": 1.5, "dash": "dash"})


def colour(name: str, names: Sequence[str] = ()) -> str:
    """The colour of a column; for a column of the user's own, by its place among ``names``.

    >>> colour("l1")
    '#2f6fde'
    """
    if name in COLOURS:
        return COLOURS[name]
    strangers = [n for n in names if n not in COLOURS]
    return _OTHERS[(strangers.index(name) if name in strangers else 0) % len(_OTHERS)]


def palette(count: int) -> list[str]:
    """``count`` colours for things that have none of their own; they repeat after ten.

    >>> palette(2)
    ['#2f6fde', '#15925a']
    """
    return [_APART[k % len(_APART)] for k in range(count)]


def faint(colour: str) -> str:
    """A colour as the tint of an area."""
    red, green, blue = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.15)"


def lean(values: Iterable[float | None]) -> list[float | None]:
    """Four significant digits; None where not finite.

    >>> lean([1.23456, float("nan"), 0.0])
    [1.235, None, 0.0]
    """
    return [_rounded(v) for v in values]


def _rounded(value: float | None) -> float | None:
    if value is None or not isfinite(value):
        return None
    return round(value, 3 - floor(log10(abs(value)))) if value else 0.0


def figure(traces: Sequence[Any], x: str, y: str, **layout: Any) -> go.Figure:
    """A figure with titles on its axes and everything else left to the page."""
    result = go.Figure(data=list(traces))
    result.update_layout(
        template=go.layout.Template(),
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 56, "r": 12, "t": 8, "b": 44},
        showlegend=False,
        hovermode="closest",
        xaxis={"title": {"text": x, "standoff": 8}, "automargin": True, "zeroline": False},
        yaxis={"title": {"text": y, "standoff": 8}, "automargin": True, "zeroline": False},
    )
    result.update_layout(**layout)
    return result


def ring(x: float | None, y: float | None, colour: str, *, size: int, **more: Any) -> go.Scatter:
    """The mark of a choice, around a point."""
    return go.Scatter(
        x=lean([x]),
        y=lean([y]),
        mode="markers",
        showlegend=False,
        hoverinfo="skip",
        marker={
            "symbol": "circle-open",
            "size": size,
            "color": colour,
            "line": {"width": 2.5, "color": colour},
        },
        **more,
    )


def error_bars(half_widths: Sequence[float | None] | None, **style: float) -> dict[str, Any] | None:
    """Bars of these half-widths; None where no point has any."""
    if half_widths is None or not any(half_widths):
        return None
    return {"type": "data", "array": lean(half_widths), **style}


def unzip(points: Iterable[tuple[X, Y]]) -> tuple[list[X], list[Y]]:
    """Points as their coordinates.

    >>> unzip([(1, "a"), (2, "b")])
    ([1, 2], ['a', 'b'])
    """
    rows = list(points)
    return [x for x, _ in rows], [y for _, y in rows]


def legend(made: go.Figure) -> list[tuple[str, str, str]]:
    """(label, colour, shape) of what a figure shows; the page writes the legend beside it.

    Shapes: ``"box"``, ``"dot"``, ``"ring"``, ``"solid"``, ``"dash"``, ``"dotted"``.
    """
    found = []
    for trace in made.data:
        if trace.showlegend is False or not trace.name:
            continue
        if trace.type == "bar":
            found.append((trace.name, trace.marker.color, "box"))
        elif "lines" in (trace.mode or ""):
            dashes = {"dash": "dash", "dot": "dotted"}
            found.append((trace.name, trace.line.color, dashes.get(trace.line.dash, "solid")))
        else:
            shape = "ring" if trace.marker.symbol == "circle-open" else "dot"
            found.append((trace.name, trace.marker.color, shape))
    return found


def to_json(made: go.Figure) -> str:
    """The figure as JSON that can stand inside a page's script element."""
    return in_script(made.to_plotly_json())


def in_script(value: object) -> str:
    """Strict JSON without ``<``, which a script element could mistake for its own end.

    >>> in_script("</script>")
    '"\\\\u003c/script>"'
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")
