"""The report: one self-contained page from a run folder, finished or not."""

from html import escape
from string import Template
from typing import Any

from shrinkage.reports.claims import CLAIMS, judge
from shrinkage.reports.facts import Facts
from shrinkage.reports.figures import in_script
from shrinkage.reports.layout import RELOAD, filled, status, text
from shrinkage.reports.panels import first_screen
from shrinkage.reports.sections import SECTIONS
from shrinkage.reports.sections.next_steps import epochs_of, train_examples
from shrinkage.runs import RunView


def report_page(view: RunView) -> str:
    """The page as HTML text: opens without a network, and reloads itself until the run ends."""
    facts = Facts(view)
    sections = [build(facts) for build in SECTIONS]
    judged = {name: (CLAIMS[name].text, claim) for name, claim in judge(view).items()}
    screen = first_screen(facts)
    return Template(text("page.html")).substitute(
        refresh="" if facts.stage == "finished" else RELOAD,
        title=escape(_title(facts)),
        subtitle=escape(_subtitle(facts)),
        status=_status(facts),
        style=text("page.css"),
        panels="\n".join(_panel(panel, k) for k, panel in enumerate(screen["panels"])),
        layer_title=escape(screen["layer"]["title"]) if screen["layer"] else "",
        last=max(0, len(screen["strengths"]) - 1),
        start=screen["start"],
        own="each at its best so far" if facts.stage == "fitting" else "each at its own choice",
        screen=in_script(screen | {"held_out": facts.held_out, "score": facts.score}),
        page_js=text("page.js"),
        **filled(sections, judged),
    )


def _title(facts: Facts) -> str:
    return f"{facts.config.data.name}, {facts.config.model.name}"


def _subtitle(facts: Facts) -> str:
    n, seeds = train_examples(facts.config), facts.seeds
    unit = "seeds, the first one in these panels" if seeds > 1 else "seed"
    return f"{n:,} training examples · {epochs_of(facts.config)} epochs · {seeds} {unit}"


def _status(facts: Facts) -> str:
    match facts.stage:
        case "finished":
            return ""
        case "looking":
            return status(
                "running: all networks are fit and chosen; "
                f"figures are {facts.held_out} data; a closer look follows"
            )
        case _:
            return status(
                f"running: {len(facts.all_fits)} of {facts.planned} fits so far; "
                "figures are validation data, nothing is chosen yet"
            )


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
