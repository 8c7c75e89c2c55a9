"""The report: one self-contained page from a run folder, finished or not."""

import json
from functools import cache
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from plotly.offline import get_plotlyjs

from shrinkage.figures import in_script, legend, to_json
from shrinkage.reports.claims import CLAIMS, Claim, judge
from shrinkage.reports.facts import Facts
from shrinkage.reports.panels import first_screen
from shrinkage.reports.sections import SECTIONS, Plot, Section
from shrinkage.reports.sections.ending import train_examples
from shrinkage.runs import RunView

_RELOAD = '<meta http-equiv="refresh" content="10">'


def report_page(view: RunView) -> str:
    """The page as HTML text: opens without a network, and reloads itself until the run ends."""
    facts = Facts(view)
    sections = [build(facts) for build in SECTIONS]
    claims = judge(view)
    figures: dict[str, str] = {}
    body = "\n".join(_section(section, claims, figures) for section in sections)
    screen = first_screen(facts)
    return Template(_text("page.html")).substitute(
        refresh="" if facts.stage == "finished" else _RELOAD,
        title=escape(_title(facts)),
        subtitle=escape(_subtitle(facts)),
        status=_status(facts),
        style=_text("page.css"),
        contents=_contents(sections),
        panels="\n".join(_panel(panel, k) for k, panel in enumerate(screen["panels"])),
        layer_title=escape(screen["layer"]["title"]) if screen["layer"] else "",
        last=max(0, len(screen["strengths"]) - 1),
        start=screen["start"],
        sections=body,
        own="each at its best so far" if facts.stage == "fitting" else "each at its own choice",
        screen=in_script(screen | {"held_out": facts.held_out, "score": facts.score}),
        figures="{" + ",".join(f"{json.dumps(k)}:{v}" for k, v in figures.items()) + "}",
        page_js=_text("page.js"),
        plotly=_plotly() if figures else "",
        figures_js=_text("figures.js"),
    )


@cache
def _text(name: str) -> str:
    return files("shrinkage.reports").joinpath(name).read_text(encoding="utf-8")


@cache
def _plotly() -> str:
    return str(get_plotlyjs())


def _title(facts: Facts) -> str:
    return f"{facts.config['data']['name']}, {facts.config['model']['name']}"


def _subtitle(facts: Facts) -> str:
    n, seeds = train_examples(facts), facts.seeds
    unit = "seeds, the first one in these panels" if seeds > 1 else "seed"
    return f"{n:,} training examples · {facts.config['epochs']} epochs · {seeds} {unit}"


def _status(facts: Facts) -> str:
    match facts.stage:
        case "finished":
            return ""
        case "looking":
            text = (
                "running: all networks are fit and chosen; "
                f"figures are {facts.held_out} data; a closer look follows"
            )
        case _:
            text = (
                f"running: {len(facts.all_fits)} of {facts.planned} fits so far; "
                "figures are validation data, nothing is chosen yet"
            )
    return f'<p class="status" role="status">{escape(text)}</p>'


def _contents(sections: list[Section]) -> str:
    links = "".join(f'<a href="#{s.id}">{escape(s.title)}</a>' for s in sections)
    return f'<nav aria-label="contents">{links}</nav>'


def _panel(panel: dict[str, Any], number: int) -> str:
    return (
        f'<article class="panel" id="panel-{number}" style="--colour:{panel["colour"]}">'
        f'<h2><i class="dot"></i>{escape(panel["label"])} <span class="knob"></span></h2>'
        '<p class="missing" hidden></p><div class="filled">'
        '<div class="split" role="img"><i class="loss"></i><i class="penalty"></i></div>'
        '<p class="sum"></p>'
        '<div class="hist"></div>'
        '<dl class="big"><div><dt>exact zeros</dt><dd><b class="zeros"></b><span class="of"></span>'
        '</dd></div><div><dt class="held"></dt><dd><b class="score"></b><span class="train"></span>'
        "</dd></div></dl>"
        '<div class="first"></div></div></article>'
    )


def _section(section: Section, claims: dict[str, Claim], figures: dict[str, str]) -> str:
    judged = "".join(_claim(CLAIMS[name].text, claims[name]) for name in section.claims)
    drawn = [
        (plot.tall, _plot(plot, f"{section.id}-{k}", figures))
        for k, plot in enumerate(section.plots)
    ]
    kind = "plots pairs" if section.pairs else "plots"
    rows = ["".join(html for tall, html in drawn if tall is wanted) for wanted in (False, True)]
    grids = "".join(f'<div class="{kind}">{row}</div>' for row in rows if row)
    return (
        f'<section id="{section.id}"><h2>{escape(section.title)}</h2>'
        f"{judged}{section.html}{grids}</section>"
    )


def _claim(text: str, claim: Claim) -> str:
    kind = claim.verdict.replace(" ", "-")
    return (
        f'<div class="claim {kind}"><p class="said"><span class="verdict">{claim.verdict}</span>'
        f"{escape(text)}</p><p>{escape(claim.sentence)}</p></div>"
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
