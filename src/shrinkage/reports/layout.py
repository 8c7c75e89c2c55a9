"""What all pages are made of: sections with claims and figures, the files of the page, plotly."""

import json
from collections.abc import Mapping
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

from plotly.offline import get_plotlyjs

from shrinkage.reports.claims.sentences import Claim
from shrinkage.reports.figures import legend, to_json
from shrinkage.reports.sections.base import Plot, Section

RELOAD = '<meta http-equiv="refresh" content="10">'
"""Reloads a page while its run goes on."""


@cache
def text(name: str) -> str:
    """A file of the page, such as ``"page.css"``."""
    return files("shrinkage.reports").joinpath(name).read_text(encoding="utf-8")


@cache
def _plotly() -> str:
    return str(get_plotlyjs())


def status(said: str) -> str:
    """A line that says how far a run has come."""
    return f'<p class="status" role="status">{escape(said)}</p>'


def _contents(sections: list[Section]) -> str:
    links = "".join(f'<a href="#{s.id}">{escape(s.title)}</a>' for s in sections)
    return f'<nav aria-label="contents">{links}</nav>'


def filled(sections: list[Section], judged: Mapping[str, tuple[str, Claim]]) -> dict[str, Any]:
    """The part of a page below its first screen; ``judged``: text of a claim, and what of it."""
    figures: dict[str, str] = {}
    body = "\n".join(_section(section, judged, figures) for section in sections)
    return {
        "contents": _contents(sections),
        "sections": body,
        "figures": "{" + ",".join(f"{json.dumps(k)}:{v}" for k, v in figures.items()) + "}",
        "plotly": _plotly() if figures else "",
        "figures_js": text("figures.js"),
        "drawing_js": text("drawing.js"),
    }


def _section(
    section: Section, judged: Mapping[str, tuple[str, Claim]], figures: dict[str, str]
) -> str:
    claims = "".join(_claim(*judged[name]) for name in section.claims)
    drawn = [
        (plot.tall, _plot(plot, f"{section.id}-{k}", figures))
        for k, plot in enumerate(section.plots)
    ]
    kind = "plots pairs" if section.pairs else "plots"
    rows = ["".join(html for tall, html in drawn if tall is wanted) for wanted in (False, True)]
    grids = "".join(f'<div class="{kind}">{row}</div>' for row in rows if row)
    return (
        f'<section id="{section.id}"><h2>{escape(section.title)}</h2>'
        f"{claims}{section.html}{grids}{section.below}</section>"
    )


def _claim(said: str, claim: Claim) -> str:
    kind = claim.verdict.replace(" ", "-")
    return (
        f'<div class="claim {kind}"><p class="said"><span class="verdict">{claim.verdict}</span>'
        f"{escape(said)}</p><p>{escape(claim.sentence)}</p></div>"
    )


def _plot(plot: Plot, name: str, figures: dict[str, str]) -> str:
    figures[name] = to_json(plot.figure)
    caption = escape(plot.caption)
    size = f' style="height:{plot.figure.layout.height}px"' if plot.tall else ""
    return (
        f"<figure><figcaption>{caption}{_legend(plot)}</figcaption>"
        f'<div class="canvas" id="{name}" role="img" aria-label="{escape(plot.caption)}"{size}>'
        "</div></figure>"
    )


def _legend(plot: Plot) -> str:
    entries = legend(plot.figure)
    items = "".join(
        f'<span><i class="{shape}" style="--colour:{colour}"></i>{escape(label)}</span>'
        for label, colour, shape in entries
    )
    return f'<span class="legend">{items}</span>' if len(entries) > 1 else ""
