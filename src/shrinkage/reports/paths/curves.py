"""Sections that follow the path: score and loss along λ, and against the weights left."""

from dataclasses import replace
from math import log10
from typing import Any

from shrinkage.lesson.estimates import mean, sd
from shrinkage.reports.figures import QUIET, Dots, Line, colour, dots, lines, log_axis, upright
from shrinkage.reports.paths.track import Measure, Part, Track
from shrinkage.reports.paths.wording import family_label, lam
from shrinkage.reports.sections.base import Plot, Section
from shrinkage.runs import Family

COLOURS = {"fit": colour("l1"), "refit": "#c2489b"}
_DASHES: dict[Part, str] = {"train": "dot", "validation": "dash", "test": "solid"}
_DENSE = "dense network, λ = 0"
_WIDE = 4.0
"""Losses that differ by more than this factor are drawn on a logarithmic axis."""


def along(track: Track) -> Section:
    """Score and loss along λ, of the penalised fits and of their refits."""
    plots = [
        plot
        for measure in ("score", "loss")
        for family in track.families
        if (plot := _along(track, family, measure)) is not None
    ]
    return Section("along", "Along the strength λ", (), plots, pairs=True)


def _along(track: Track, family: Family, measure: Measure) -> Plot | None:
    parts: list[Part] = ["train", "validation"]
    parts += ["test"] if track.held_out == "test" else []
    series = [line for part in parts if (line := _line(track, family, part, measure)).x]
    if not series:
        return None
    dense = mean(track.results(0.0, "fit", track.held_out, measure))
    if dense is not None:
        series.append(Line(_DENSE, QUIET, [0], [dense], level=True))
    name = _name(track, measure)
    held = [v for line in series[1:] for v in line.y if v is not None]
    log_y = measure == "loss" and min(held) > 0 and max(held) > _WIDE * min(held)
    made = lines(series, y=name, log_y=log_y, percent=name == "accuracy")
    bands = (
        f"; band: ± one sd over {track.chains}"
        if any(v for line in series for v in line.band or ())
        else ""
    )
    caption = f"{family_label(family).capitalize()}: {name} against λ{bands}"
    if log_y:
        made.update_layout(yaxis=log_axis(held) | {"range": _decades(held)})
        caption += "; training loss leaves the figure where it is smaller"
    elif measure == "score":
        made.update_layout(yaxis_rangemode="normal")
    return Plot(caption, upright(made, track.marked))


def _decades(values: list[float]) -> list[float]:
    return [log10(min(values)) - 0.25, log10(max(values)) + 0.1]


def _line(track: Track, family: Family, part: Part, measure: Measure) -> Line:
    found = [(s, track.results(s, family, part, measure)) for s in track.scales]
    rows = [(scale, values) for scale, values in found if values]
    held = part == track.held_out
    chosen = track.chosen
    at = [k for k, (scale, _) in enumerate(rows) if chosen is not None and scale == chosen.scale]
    mine = held and chosen is not None and chosen.final and chosen.family == family
    return Line(
        {"train": "training"}.get(part, part),
        COLOURS[family],
        [scale for scale, _ in rows],
        [mean(values) for _, values in rows],
        chosen=at[0] if at and mine else None,
        dash=_DASHES[part] if track.held_out == "test" or part == "train" else "solid",
        band=[sd(values) for _, values in rows] if held else None,
    )


def against(track: Track) -> Section:
    """Held-out score and loss against the weights left, magnitude pruning beside them."""
    bars = f"; bars: ± one sd over {track.chains}" if track.seeds > 1 else ""
    part = track.held_out.capitalize()
    words = {"score": bars, "loss": ""}
    plots = [
        Plot(
            f"{part} {_name(track, measure)} against weights left{words[measure]}",
            made,
        )
        for measure in ("score", "loss")
        if (made := _against(track, measure)) is not None
    ]
    claims = ("pruning",) if track.cut else ()
    return Section("against", "Against the weights left", claims, plots, _note(track), pairs=True)


def _against(track: Track, measure: Measure) -> Any:
    """Everything that was measured, against nonzero weights; None of nothing."""
    clouds = [_cloud(track, family, measure) for family in track.families]
    clouds += [_stable(track, measure), _pruned(track, measure), _dense(track, measure)]
    clouds = [cloud for cloud in clouds if cloud.x]
    if not clouds:
        return None
    name = _name(track, measure)
    values = [y for cloud in clouds for y in cloud.y if y is not None]
    return dots(
        clouds,
        x="weights that are not zero",
        y=name,
        log_x=True,
        log_y=measure == "loss" and min(values) > 0 and max(values) > _WIDE * min(values),
        percent_y=name == "accuracy",
    )


def _name(track: Track, measure: Measure) -> str:
    return track.score if measure == "score" else "loss"


def score_along(track: Track) -> Any:
    """Held-out score of fits and refits along λ, in one figure."""
    found = [
        replace(
            _line(track, family, track.held_out, "score"), label=family_label(family), dash="solid"
        )
        for family in track.families
    ]
    series = [line for line in found if line.x]
    dense = mean(track.results(0.0, "fit", track.held_out, "score"))
    if dense is not None:
        series.append(Line(_DENSE, QUIET, [0], [dense], level=True))
    name = f"{track.held_out} {track.score}"
    made = lines(series, y=name, percent=track.score == "accuracy")
    return upright(made.update_layout(yaxis_rangemode="normal"), track.marked)


def score_against_weights(track: Track) -> Any:
    """Held-out score against nonzero weights; empty where nothing has been fit."""
    made = _against(track, "score")
    return lines([], y=track.score) if made is None else made


def _note(track: Track) -> str:
    if not track.cut:
        return ""
    return (
        '<p class="note">Magnitude pruning goes on from the same dense networks: step by step to '
        "the weights that a point of the path has left, the largest ones, trained for as many "
        "epochs as that point.</p>"
    )


def _cloud(track: Track, family: Family, measure: Measure) -> Dots:
    found = [
        (scale, track.nonzeros(scale), track.results(scale, family, track.held_out, measure))
        for scale in track.scales
    ]
    rows = [(scale, left, values) for scale, left, values in found if left and values]
    chosen = track.chosen
    at = [k for k, (scale, _, _) in enumerate(rows) if chosen is not None and scale == chosen.scale]
    mine = chosen is not None and chosen.final and chosen.family == family
    return Dots(
        family_label(family),
        COLOURS[family],
        [left for _, left, _ in rows],
        [mean(values) for _, _, values in rows],
        [f"λ = {lam(scale)}" for scale, _, _ in rows],
        joined=True,
        chosen=at[0] if at and mine else None,
        error=[sd(values) for _, _, values in rows] if measure == "score" else None,
    )


def _dense(track: Track, measure: Measure) -> Dots:
    values = track.results(0.0, "fit", track.held_out, measure)
    left = [float(track.nonzeros(0.0) or 0)] if values else []
    return Dots(
        "dense network", QUIET, left, [mean(values)] if values else [], ["λ = 0"] * len(left)
    )


def _stable(track: Track, measure: Measure) -> Dots:
    """The networks of the stable features, which are no point of the path."""
    apart = [number for number, stop in enumerate(track.stops) if stop.apart]
    found = [(track.stops[number], track.chosen_stop == number) for number in apart]
    values = [track.results(s.scale, s.family, track.held_out, measure) for s, _ in found]
    final = track.chosen is not None and track.chosen.final
    return Dots(
        family_label("stable"),
        colour("l2"),
        [track.nonzeros(stop.scale, stop.family) or 0.0 for stop, _ in found],
        [mean(row) for row in values],
        [f"used at λ ≥ {lam(stop.scale)}" for stop, _ in found],
        chosen=0 if final and any(mine for _, mine in found) else None,
        error=[sd(row) for row in values] if measure == "score" else None,
    )


def _pruned(track: Track, measure: Measure) -> Dots:
    """Pruned networks beside the points they have their numbers of weights from."""
    found = [
        (scale, track.mean(scale, track.kept), track.pruned(scale, measure))
        for scale in track.scales
    ]
    rows = [(left, values) for _, left, values in found if left and values]
    return Dots(
        "magnitude pruning",
        colour("magnitude"),
        [left for left, _ in rows],
        [mean(values) for _, values in rows],
        [f"{left:,.0f} weights kept" for left, _ in rows],
        open_=True,
        joined=True,
        error=[sd(values) for _, values in rows] if measure == "score" else None,
    )
