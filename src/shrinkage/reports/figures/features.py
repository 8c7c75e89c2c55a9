"""Features along the strength λ: how often each is selected, and when it leaves."""

from collections.abc import Collection, Mapping, Sequence

import plotly.graph_objects as go

from shrinkage.reports.figures.style import QUIET, figure, lean
from shrinkage.reports.figures.ticks import log_axis

_PAINTS = ("#2f6fde", "#15925a", "#8456d8", "#0891a8", "#a0674b", "#b07a10", "#c2489b", "#7d8a1c")


def frequency_paths(
    scales: Sequence[float],
    share: Mapping[str, Sequence[float]],
    *,
    stable: Collection[str] = (),
    threshold: float | None = None,
    scale: float | None = None,
) -> go.Figure:
    """A line per feature: the share of half samples that use it at λ or a stronger one.

    Features in ``stable`` have colours and names, the others are grey; dashed lines show the
    ``threshold`` and the weakest ``scale`` that counts.
    """
    colours = {name: _PAINTS[k % len(_PAINTS)] for k, name in enumerate(stable)}
    ordered = sorted(share, key=lambda name: name in colours)  # the coloured ones on top
    traces = [
        go.Scatter(
            x=lean(scales),
            y=lean(share[name]),
            name=name,
            mode="lines",
            line={"color": colours.get(name, QUIET), "width": 2 if name in colours else 1},
            opacity=1.0 if name in colours else 0.4,
            showlegend=name in colours,
            hovertemplate=f"{name}<br>λ = %{{x:.2g}}: %{{y:.0%}}<extra></extra>",
        )
        for name in ordered
    ]
    across = {"xref": "paper", "x0": 0, "x1": 1, "y0": threshold, "y1": threshold}
    upright = {"yref": "paper", "y0": 0, "y1": 1, "x0": scale, "x1": scale}
    ends = [shape for shape, at in ((across, threshold), (upright, scale)) if at is not None]
    dashed = {"type": "line", "line": {"color": QUIET, "width": 1.5, "dash": "dash"}}
    shapes = [dashed | shape for shape in ends]
    return figure(traces, "strength λ", "selection frequency").update_layout(
        xaxis=log_axis(scales), yaxis={"tickformat": "~%", "range": [0, 1.03]}, shapes=shapes
    )


def leaving_order(
    names: Sequence[str], scales: Sequence[float | None], *, stable: Collection[str] = ()
) -> go.Figure:
    """The last λ at which each feature is used, as a line from the left; stable ones in colour."""
    known = [value for value in scales if value]
    least = min(known, default=1.0)
    paints = [_PAINTS[0] if name in stable else QUIET for name in names]
    trace = go.Scatter(
        x=lean(scales),
        y=list(names),
        mode="markers",
        marker={"color": paints, "size": 8},
        showlegend=False,
        hovertemplate="%{y}: up to λ = %{x:.3g}<extra></extra>",
    )
    stem = {"type": "line", "x0": least / 2}
    stems = [
        stem | {"x1": scale, "y0": name, "y1": name, "line": {"color": paint, "width": 2}}
        for name, scale, paint in zip(names, scales, paints, strict=True)
        if scale
    ]
    return figure([trace], "last λ at which it is used", "").update_layout(
        xaxis=log_axis(known),
        yaxis={"autorange": "reversed", "type": "category", "dtick": 1},
        shapes=stems,
        height=max(150, 17 * len(names) + 70),
    )
