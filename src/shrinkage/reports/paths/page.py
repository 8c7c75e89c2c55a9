"""The report of a path: one self-contained page from its run folder, finished or not."""

from html import escape
from string import Template

from shrinkage.reports.figures import in_script
from shrinkage.reports.layout import RELOAD, filled, status, text
from shrinkage.reports.paths.claims import judged
from shrinkage.reports.paths.curves import against, along
from shrinkage.reports.paths.inside import exchange, features, survivors
from shrinkage.reports.paths.next_steps import coverage, making, next_steps, rows_to_copy
from shrinkage.reports.paths.rows import path_rows
from shrinkage.reports.paths.screen import path_screen
from shrinkage.reports.paths.stability import stability
from shrinkage.reports.paths.track import Track
from shrinkage.reports.paths.words import choice_sentence, dense_sentence, penalties, penalty_sum
from shrinkage.reports.sections.next_steps import train_examples
from shrinkage.runs import FailedMagnitudeRecord, MagnitudeRecord, RunView

_SECTIONS = (
    along, against, survivors, stability, features, exchange, rows_to_copy, coverage, making,
    next_steps
)  # fmt: skip


def path_page(view: RunView) -> str:
    """The page as HTML text: opens without a network, and reloads itself until the run ends."""
    track = Track(view)
    sections = [section for build in _SECTIONS if (section := build(track)).plots or section.html]
    screen = path_screen(track)
    return Template(text("paths/page.html")).substitute(
        refresh="" if track.stage == "finished" else RELOAD,
        title=escape(f"{track.config.data.name}, {track.config.model.name}"),
        subtitle=escape(_subtitle(track)),
        status=_status(track),
        choice=_unbroken(choice_sentence(track)),
        dense=_unbroken(dense_sentence(track)),
        sum=escape(penalty_sum(track)),
        rules=_rules(track),
        last=max(0, len(screen["points"]) - 1),
        start=screen["start"],
        layer_title=escape(screen["layer"]["title"]) if screen["layer"] else "",
        seeds=f", mean over {track.chains}" if track.seeds > 1 else "",
        beside="; at the right end of the stable features' networks"
        if any(stop.apart for stop in track.stops)
        else "",
        own="the choice" if track.stage != "fitting" else "the lowest so far",
        style=text("page.css") + text("paths/page.css"),
        screen=in_script(screen),
        rows=in_script(_tabbed(view)),
        page_js=text("paths/page.js"),
        **filled(sections, judged(track)),
    )


def _subtitle(track: Track) -> str:
    n, points = train_examples(track.config), len(track.rows)
    unit = "point" if points == 1 else "points"
    return f"{n:,} training examples · {points} {unit} · {track.chains}"


def _status(track: Track) -> str:
    match track.stage:
        case "finished":
            return ""
        case "testing":
            return status("running: the choice is made; the test set is being opened")
        case _:
            cut = len(track.view.records(MagnitudeRecord)) + len(
                track.view.records(FailedMagnitudeRecord)
            )
            pruning = f" and {cut} pruned networks beside them" if cut else ""
            return status(
                f"running: {len(track.all_fits)} of at most {track.planned} fits so far{pruning}; "
                "figures are validation data, nothing is chosen yet"
            )


def _unbroken(sentence: str) -> str:
    """Text whose figures stay together with their units."""
    return escape(sentence.replace(" %", "\u00a0%").replace(" ± ", "\u00a0±\u00a0"))


def _rules(track: Track) -> str:
    """What P(w) is, where the equation does not say it."""
    if penalty_sum(track) != "P(w)":
        return ""
    return f"<small>P: {escape(penalties(track))}</small>"


def _tabbed(view: RunView) -> str:
    """All rows in full precision, tabs between the cells."""
    rows = [row.to_json() for row in path_rows(view)]
    lines = [list(rows[0])] if rows else []
    lines += [["" if cell is None else str(cell) for cell in row.values()] for row in rows]
    return "\n".join("\t".join(line) for line in lines)
