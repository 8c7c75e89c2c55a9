"""The table to copy, how the path was made, and what to type next."""

from collections.abc import Mapping
from html import escape

from shrinkage.lesson.estimates import mean
from shrinkage.reports.commands import retyped
from shrinkage.reports.paths.track import PartName, Stop, Track
from shrinkage.reports.paths.words import (
    family_label,
    lam,
    penalties,
    shown,
    spread,
    trained_all_the_same,
    trained_whole,
)
from shrinkage.reports.sections.base import Section, plan_table, table
from shrinkage.reports.sections.next_steps import (
    described,
    failures,
    studied,
    suggested,
    training_words,
    versions,
)
from shrinkage.reports.words import capital, count, num, percent

_NEIGHBOURS = 3
"""A narrower path reaches from so many points before the chosen one to as many after it."""
_WITHIN = 0.005


def rows_to_copy(track: Track) -> Section:
    """Every point of the path; the button copies it with tabs between the cells."""
    parts: list[PartName] = ["train", "validation"]
    parts += ["test"] if track.held_out == "test" else []
    head = ["λ", "weights left", "share left", "inputs used", "train loss"]
    head += [f"{part} {track.score}, {family_label(family)}"
             for part in parts[1:] for family in track.families]  # fmt: skip
    rows = [_row(track, stop, parts) for stop in track.stops]
    marked = track.chosen_stop if track.chosen is not None and track.chosen.final else None
    seeds = f"mean ± standard deviation over {track.chains}" if track.seeds > 1 else "one seed"
    button = '<button type="button" class="copy" data-copy="rows">copy the table</button>'
    note = f'<p class="note">{button} {escape(capital(seeds))}.</p>'
    html = table(head, rows, marked=marked) + note if rows else ""
    return Section("table", "All points", (), [], html)


def _row(track: Track, stop: Stop, parts: list[PartName]) -> list[str]:
    scale, own = stop.scale, stop.family
    left, used = track.nonzeros(scale, own) or 0.0, track.features(scale, own)
    cells = [
        f"stable features, {lam(scale)}" if stop.apart else lam(scale),
        f"{left:,.0f}",
        percent(left / track.size),
        count(used),
        num(mean(track.results(scale, own, "train", "loss"))),
    ]
    for part in parts[1:]:
        for family in track.families:
            values = shown(track, stop, family, part)
            cells.append(spread(track, values) if values else "—")
    return cells


def coverage(track: Track) -> Section:
    """Which parameters the path penalises, and why."""
    return Section("coverage", "What is penalised", (), [], plan_table(track.config.plan))


def making(track: Track) -> Section:
    """From run.json, nothing else."""
    rows = {
        **studied(track.config, track.tests),
        "penalty": f"λ × {penalties(track)}",
        "strengths": _strengths(track),
        "a point": _solver(track),
        "refit": _refit(track),
        "chains": track.chains,
        "failed fits": failures(list(track.failed)),
        "versions": versions(track.view),
    }
    return described(rows)


def _strengths(track: Track) -> str:
    scales, grid = track.decisions.scales, track.config.grid
    if not scales:
        return f"{grid.points} points, their ends not found yet"
    found = "given" if grid.weakest is not None and grid.strongest is not None else "found"
    text = f"{len(scales)} from {lam(min(scales))} to {lam(max(scales))}, ends {found}"
    bends = track.decisions.bends
    return text + (f", {len(bends)} more where the score falls steeply" if bends else "")


def _solver(track: Track) -> str:
    config = track.config
    if config.solver == "polish":
        return "solved by proximal Newton steps from the sparser point before it"
    words = training_words(config.training, config.epochs)
    most = config.most_rounds
    unit = "epoch" if config.point_epochs == 1 else "epochs"
    return (
        f"dense network: {words}; each point goes on from the one before for "
        f"{num(config.point_epochs)} {unit}, {f'up to {most} times' if most > 1 else 'once'}"
        + (f"; {inexact}" if (inexact := trained_all_the_same(track)) else "")
        + (f"; {whole}" if (whole := trained_whole(track)) else "")
    )


def _refit(track: Track) -> str:
    factor = track.config.refit
    if factor is None:
        return ""
    under = f"{num(factor)} times the penalty" if factor else "no penalty"
    return f"the weights left of each point, once more under {under}"


def next_steps(track: Track) -> Section:
    """Commands, or calls where the run was made in Python, that follow from this path."""
    ideas = []
    if (ends := _narrower(track)) is not None:
        ideas.append(("A narrower, finer path around the choice:", _call(
            track, {"from": lam(ends[0]), "to": lam(ends[1])},
            f"sh.path(…, weakest={lam(ends[0])}, strongest={lam(ends[1])})")))  # fmt: skip
    if track.seeds < 3:
        unit = "folds" if track.config.cut.folds else "seeds"
        ideas.append((f"More {unit}, so that the choice is surer:",
                      _call(track, {unit: "5"}, f"sh.path(…, {unit}=5)")))  # fmt: skip
    if track.stage == "finished":
        compact = f"shrinkage compact {_folder(track)}"
        ideas.append(("Cut the dead units out of the chosen network:", compact))
        if track.config.choose.within is None:
            ideas.append((f"Or of the one with the fewest weights within {_tolerance(track)} of "
                          f"the best {track.score}:", f"{compact} --within {_WITHIN}"))  # fmt: skip
        if track.config.data.columns:
            ideas.append(("Then ask it about new rows:",
                          f"shrinkage predict {_folder(track)} NEW.csv"))  # fmt: skip
    return suggested("What to type next", ideas)


def _tolerance(track: Track) -> str:
    return f"{100 * _WITHIN:g} points" if track.score == "accuracy" else f"{_WITHIN}"


def _folder(track: Track) -> str:
    text = str(track.view.folder)
    return f"'{text}'" if " " in text else text


def _narrower(track: Track) -> tuple[float, float] | None:
    """A few points to both sides of the choice; None where that is the whole path."""
    marked, scales = track.marked, track.scales
    if marked is None or len(scales) <= 2 * _NEIGHBOURS + 1:
        return None
    at = scales.index(marked) if marked in scales else 0
    return scales[max(0, at - _NEIGHBOURS)], scales[min(len(scales) - 1, at + _NEIGHBOURS)]


def _call(track: Track, options: Mapping[str, str], call: str) -> str:
    """The command of this run with options as said, or the call."""
    command = track.decisions.command
    return call if command is None else retyped(command, options)
