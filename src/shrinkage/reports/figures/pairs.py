"""Two figures as one, for notebooks: what the page leaves to its own style is set here."""

import plotly.graph_objects as go
from plotly.subplots import make_subplots

_TEXT, _GRID = "#6b727c", "rgba(128,134,144,0.25)"
"""Readable on light and dark notebooks alike."""


def side_by_side(left: go.Figure, right: go.Figure, title: str) -> go.Figure:
    """Both figures with one legend under a title; a name in both has one entry."""
    made = make_subplots(rows=1, cols=2, horizontal_spacing=0.1)
    known: set[str] = set()
    for column, part in enumerate((left, right), start=1):
        for trace in part.data:
            again = trace.showlegend is False or trace.name in known
            trace.update(legendgroup=trace.name, showlegend=not again)
            made.add_trace(trace, row=1, col=column)
            if not again:
                known.add(trace.name)
        for axis, layout in (("xaxis", part.layout.xaxis), ("yaxis", part.layout.yaxis)):
            kept = {
                k: v for k, v in layout.to_plotly_json().items() if k not in ("anchor", "domain")
            }
            made.update_layout({f"{axis}{column if column > 1 else ''}": kept})
        for shape in part.layout.shapes:
            made.add_shape(shape, row=1, col=column, yref="y domain")
    made.update_xaxes(gridcolor=_GRID, linecolor=_GRID, zeroline=False)
    made.update_yaxes(gridcolor=_GRID, linecolor=_GRID, zeroline=False)
    return made.update_layout(
        template=go.layout.Template(),
        title={"text": _folded(title), "font": {"size": 13}, "x": 0.01, "xanchor": "left"},
        font={"color": _TEXT, "size": 12},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        legend={"orientation": "h", "y": -0.22},
        margin={"l": 60, "r": 20, "t": 92, "b": 60},
        height=430,
    )


def _folded(text: str, width: int = 110) -> str:
    """Text with a line break wherever a word would go beyond the width."""
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "<br>".join(lines)
