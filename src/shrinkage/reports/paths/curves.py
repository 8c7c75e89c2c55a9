"""Sections that follow the path: score and loss along λ, and against the weights left."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import log10
from typing import Any

from shrinkage.lesson.estimates import mean, sd
from shrinkage.reports.figures import (
    QUIET,
    Dots,
    Line,
    colour,
    dots,
    lines,
    log_axis,
    unzip,
    upright,
)
from shrinkage.reports.paths.track import Measure, PartName, Track
from shrinkage.reports.paths.words import family_label, lam
from shrinkage.reports.sections.base import Plot, Section
from shrinkage.runs import Family

COLOURS = {"fit": colour("l1"), "refit": "#c2489b"}
_DASHES: dict[PartName, str] = {"train": "dot", "validation": "dash", "test": "solid"}
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
    parts: list[PartName] = ["train", "validation"]
    parts += ["test"] if track.held_out == "test" else []
    series = [line for part in parts if (line := _line(track, family, part, measure)).x]
    if not series:
        return None
    series += _dense_level(track, measure)
    name = _name(track, measure)
    held = [v for line in series[1:] for v in line.y if v is not None]
    log_y = _is_wide(measure, held)
    made = lines(series, y=name, log_y=log_y, percent=name == "accuracy")
    caption = f"{family_label(family).capitalize()}: {name} against λ{_about_bands(track, series)}"
    if log_y:
        made.update_layout(yaxis=log_axis(held) | {"range": _decades(held)})
        caption += "; training loss leaves the figure where it is smaller"
    elif measure == "score":
        made.update_layout(yaxis_rangemode="normal")
    return Plot(caption, upright(made, track.marked))


def _about_bands(track: Track, series: Sequence[Line]) -> str:
    has_bands = any(half for line in series for half in line.band or ())
    return f"; band: ± one sd over {track.chains}" if has_bands else ""


def _decades(values: list[float]) -> list[float]:
    return [log10(min(values)) - 0.25, log10(max(values)) + 0.1]


def _is_wide(measure: Measure, values: Sequence[float]) -> bool:
    """Whether losses need a logarithmic axis."""
    return measure == "loss" and min(values) > 0 and max(values) > _WIDE * min(values)


def _dense_level(track: Track, measure: Measure) -> list[Line]:
    """The held-out level of the dense network; nothing where there is none."""
    dense = mean(track.results(0.0, "fit", track.held_out, measure))
    return [] if dense is None else [Line(_DENSE, QUIET, [0], [dense], level=True)]


def _line(track: Track, family: Family, part: PartName, measure: Measure) -> Line:
    found = [(s, track.results(s, family, part, measure)) for s in track.scales]
    scales, values = unzip((scale, row) for scale, row in found if row)
    held = part == track.held_out
    return Line(
        {"train": "training"}.get(part, part),
        COLOURS[family],
        scales,
        [mean(row) for row in values],
        chosen=_ring(track, family, scales) if held else None,
        dash=_DASHES[part] if track.held_out == "test" or part == "train" else "solid",
        band=[sd(row) for row in values] if held else None,
    )


def _ring(track: Track, family: Family, scales: list[float]) -> int | None:
    """Where the choice stands among these scales; None before it, and where it is no such fit."""
    chosen = track.chosen
    if chosen is None or not chosen.final or chosen.family != family:
        return None
    return scales.index(chosen.scale) if chosen.scale in scales else None


def _bars(measure: Measure, values: Sequence[Mapping[int, float]]) -> list[float | None] | None:
    """One standard deviation over seeds, of scores."""
    return [sd(row) for row in values] if measure == "score" else None


def against(track: Track) -> Section:
    """Held-out score and loss against the weights left, magnitude pruning beside them."""
    bars = f"; bars: ± one sd over {track.chains}" if track.seeds > 1 else ""
    part = track.held_out.capitalize()
    words = {"score": bars, "loss": ""}
    plots = [
        Plot(f"{part} {_name(track, measure)} against weights left{words[measure]}", made)
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
        log_y=_is_wide(measure, values),
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
    series += _dense_level(track, "score")
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
    scales, values = [scale for scale, _, _ in rows], [row for _, _, row in rows]
    return Dots(
        family_label(family),
        COLOURS[family],
        [left for _, left, _ in rows],
        [mean(row) for row in values],
        [f"λ = {lam(scale)}" for scale in scales],
        joined=True,
        chosen=_ring(track, family, scales),
        error=_bars(measure, values),
    )


def _dense(track: Track, measure: Measure) -> Dots:
    values = track.results(0.0, "fit", track.held_out, measure)
    left = [float(track.nonzeros(0.0) or 0)] if values else []
    return Dots(
        "dense network", QUIET, left, [mean(values)] if values else [], ["λ = 0"] * len(left)
    )


def _stable(track: Track, measure: Measure) -> Dots:
    """The networks of the stable features, which are no point of the path."""
    stops = [stop for stop in track.stops if stop.apart]
    values = [track.results(s.scale, s.family, track.held_out, measure) for s in stops]
    return Dots(
        family_label("stable"),
        colour("l2"),
        [track.nonzeros(stop.scale, stop.family) or 0.0 for stop in stops],
        [mean(row) for row in values],
        [f"used at λ ≥ {lam(stop.scale)}" for stop in stops],
        chosen=_ring(track, "stable", [stop.scale for stop in stops]),
        error=_bars(measure, values),
    )


def _pruned(track: Track, measure: Measure) -> Dots:
    """Pruned networks beside the points they have their numbers of weights from."""
    found = [(track.mean(s, track.kept), track.pruned(s, measure)) for s in track.scales]
    kept, values = unzip((left, row) for left, row in found if left and row)
    return Dots(
        "magnitude pruning",
        colour("magnitude"),
        kept,
        [mean(row) for row in values],
        [f"{left:,.0f} weights kept" for left in kept],
        open_=True,
        joined=True,
        error=_bars(measure, values),
    )
