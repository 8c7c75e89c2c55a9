"""Sections about the networks along the path: survivors per layer, zeros, features, exchange."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shrinkage.reports.figures import (
    LOSS,
    PENALTY,
    ZERO,
    Dots,
    Line,
    dots,
    fan,
    lines,
    palette,
    upright,
)
from shrinkage.reports.first_layer import FirstLayer
from shrinkage.reports.networks import stored
from shrinkage.reports.paths.screen import biggest_layers, layer_of, parameters
from shrinkage.reports.paths.stability import order_of_leaving
from shrinkage.reports.paths.track import Track, share_left
from shrinkage.reports.paths.words import lam, penalty_sum
from shrinkage.reports.sections.base import Plot, Section
from shrinkage.runs import PathFitRecord

Numbers = NDArray[Any]
_NAMED = 8
"""Features with a colour of their own; the others stay grey."""


def survivors(track: Track) -> Section:
    """Weights left per parameter, and the share of exact zeros, along λ."""
    names = biggest_layers(track)
    more = len(parameters(track)) - len(names)
    note = f", the {len(names)} largest of {len(names) + more}" if more > 0 else ""
    plots = []
    if names and track.scales:
        counts = [
            Line(name, paint, track.scales, [_left(track, s, name) for s in track.scales])
            for name, paint in zip(names, palette(len(names)), strict=True)
        ]
        made = lines(counts, y="weights left", log_y=True)
        plots.append(Plot(f"Weights left per parameter against λ{note}", _marked(track, made)))
        zeros = Line(
            "exact zeros",
            ZERO,
            track.scales,
            [1 - (track.mean(s, share_left) or 0.0) for s in track.scales],
        )
        made = lines([zeros], y="exact zeros", percent=True)
        plots.append(Plot("Share of exact zeros among the penalised weights", _marked(track, made)))
    return Section("survivors", "What survives", (), plots, pairs=True)


def _left(track: Track, scale: float, name: str) -> float | None:
    """Weights left of one parameter; None where nothing is, which a logarithm cannot show."""

    def count(fit: PathFitRecord) -> float | None:
        layer = layer_of(fit, name)
        return None if layer is None else layer.nonzeros

    return track.mean(scale, count) or None


def _marked(track: Track, made: Any) -> Any:
    return upright(made, track.marked)


def features(track: Track) -> Section:
    """Weights of a table's columns along λ, and the number of inputs in use."""
    plots = []
    layer = FirstLayer.of_run(track.config)
    if layer is not None and layer.kind == "columns" and track.scales:
        plots += _feature_paths(track, layer)
    counts = [(s, count) for s in track.scales if (count := track.features(s)) is not None]
    if counts:
        line = Line("inputs in use", palette(1)[0], [s for s, _ in counts], [n for _, n in counts])
        of = track.config.spec.n_inputs
        made = lines([line], y="inputs in use")
        caption = f"Inputs on a path to an output, of {of:,}{_over(track)}"
        plots.append(Plot(caption, _marked(track, made)))
    plots += order_of_leaving(track)
    return Section("features", "Features", (), plots, pairs=True)


def _over(track: Track) -> str:
    return f", mean over {track.chains}" if track.seeds > 1 else ""


def _feature_paths(track: Track, layer: FirstLayer) -> list[Plot]:
    """The weights of each input column; those that stay longest have names and colours."""
    found = {}
    words, read = _reading(track, layer)
    for scale in track.scales:
        tensors = stored(track.view, track.rows[scale][0].key)
        if tensors is not None and layer.path in tensors:
            found[scale] = read(tensors[layer.path])
    if not found:
        return []
    table = np.stack(list(found.values()))
    stays = [(table[:, k] != 0).nonzero()[0].max(initial=-1) for k in range(table.shape[1])]
    reach = np.abs(table).max(axis=0)
    order = sorted(range(table.shape[1]), key=lambda k: (-stays[k], -reach[k]))
    rows = {layer.columns[k]: table[:, k].tolist() for k in order}
    named = min(_NAMED, len(rows))
    some = f"; named: the {named} of {len(rows)} that stay longest" if len(rows) > named else ""
    caption = f"{words} against λ, first seed{some}"
    axis = words.split(" ")[0].replace("C", "c", 1)  # Σ has a small letter, too, and keeps its own
    return [Plot(caption, _marked(track, fan(list(found), rows, y=axis, named=named)))]


def _reading(track: Track, layer: FirstLayer) -> tuple[str, Callable[[Numbers], Numbers]]:
    """What is drawn per column: the coefficient where there is one, else Σ|w|."""
    single = sum(1 for entry in track.config.plan if len(entry.shape) > 1) == 1
    classes = track.config.data.classes

    if single and layer.shape[0] == 1:
        return "Coefficient", lambda weight: weight[0]
    if single and layer.shape[0] == 2 and len(classes) == 2:
        return f"Coefficient of the log-odds of {classes[1]}", lambda weight: weight[1] - weight[0]
    return "Σ|w| per input column", lambda weight: np.abs(weight).sum(axis=0)


def exchange(track: Track) -> Section:
    """Training loss against what the penalty sums up, and both parts of the cost along λ."""
    plots = [_pareto(track), _parts(track)] if track.costs else []
    return Section("exchange", "λ is an exchange rate", ("compromise", "ends"), plots, pairs=True)


def _pareto(track: Track) -> Plot:
    symbol, chosen = penalty_sum(track), track.chosen
    scales = [s for s, _, _ in track.costs]
    at = chosen.scale if chosen is not None and chosen.final else None
    cloud = Dots(
        "points of the path",
        palette(1)[0],
        [p / s for s, _, p in track.costs],
        [loss for _, loss, _ in track.costs],
        [f"λ = {lam(s)}" for s in scales],
        joined=True,
        chosen=scales.index(at) if at in scales else None,
    )
    caption = f"Pareto curve: training loss against {symbol}; λ grows to the left"
    return Plot(caption, dots([cloud], x=symbol, y="training loss"))


def _parts(track: Track) -> Plot:
    scales = [s for s, _, _ in track.costs]
    parts = [
        Line("loss", LOSS, scales, [loss for _, loss, _ in track.costs]),
        Line("penalty", PENALTY, scales, [p for _, _, p in track.costs]),
    ]
    made = _marked(track, lines(parts, y="part of the cost"))
    return Plot("The two parts of the cost", made)
