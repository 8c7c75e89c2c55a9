"""The first screen: what λ does to the network, point by point of the path.

Numbers are means over seeds; the histogram and the first layer are of the first seed's networks.
"""

from collections.abc import Sequence
from statistics import fmean

from shrinkage.lesson.estimates import mean
from shrinkage.reports.networks import Pictures, cost_parts
from shrinkage.reports.paths.track import PartName, Stop, Track
from shrinkage.reports.paths.words import family_label, lam, shown, spread
from shrinkage.reports.seed_figures import plus
from shrinkage.reports.words import count, num, percent, score
from shrinkage.runs import NetworkRecord, PathFitRecord, WeightsRecord
from shrinkage.runs.records import Json

_PARTS: tuple[PartName, ...] = ("train", "validation", "test")
_MOST_LAYERS = 10
_ACROSS = 4
"""Pictures of the first layer in a row."""


def path_screen(track: Track) -> Json:
    """The points of the slider, the curves above it, and the scales that all points share."""
    firsts = [stop.fits[0] for stop in track.stops]
    named = ((number, fit.key, fit) for number, fit in enumerate(firsts))
    pictures = Pictures.of(track.view, track.config, named)
    layers = biggest_layers(track)
    return {
        "points": [
            _point(track, stop, layers) | pictures.of_network(number)
            for number, stop in enumerate(track.stops)
        ],
        "start": track.chosen_stop or 0,
        "chosen": _chosen(track),
        "edge_text": num(pictures.edge, 2),
        "most": pictures.most,
        "layer": (pictures.described or {}) | {"across": _ACROSS} if pictures.firsts else None,
        "score": track.score,
        "held_out": track.held_out,
        "families": list(map(family_label, track.families)),
        "parts": [part for part in _PARTS if part != "test" or track.held_out == "test"],
    }


def parameters(track: Track) -> Sequence[WeightsRecord]:
    """The penalised parameters of the first network, in its order."""
    first = next((row[0] for row in track.rows.values()), None)
    return [] if first is None else [layer for layer in first.layers if layer.size]


def biggest_layers(track: Track) -> list[str]:
    """The penalised parameters, in the network's order; of many the largest."""
    known = parameters(track)
    ranked = sorted(known, key=lambda layer: -layer.size)[:_MOST_LAYERS]
    names = {layer.name for layer in ranked}
    return [layer.name for layer in known if layer.name in names]


def layer_of(fit: NetworkRecord, name: str) -> WeightsRecord | None:
    """What a fit says of one parameter."""
    return next((layer for layer in fit.layers if layer.name == name), None)


def _point(track: Track, stop: Stop, layers: list[str]) -> Json:
    left = track.nonzeros(stop.scale, stop.family) or 0.0
    zeros, used = track.size - left, track.features(stop.scale, stop.family)
    return {
        "scale": lam(stop.scale),
        "name": "stable features" if stop.apart else "",
        "apart": stop.apart,
        **_cost(track, stop),
        "left": left / track.size,
        "zeros": int(stop.fits[0].weights.zeros),
        "zeros_text": f"{zeros:,.0f}",
        "share_text": f"{percent(zeros / track.size)} of {track.size:,}",
        "inputs": None if used is None else f"{count(used)} of {track.config.spec.n_inputs:,}",
        "rest": _rest(track, stop),
        "layers": [_layer(stop, name) for name in layers],
        **_scores(track, stop),
    }


def _cost(track: Track, stop: Stop) -> Json:
    loss = mean(track.results(stop.scale, stop.family, "train", "loss"))
    penalty = fmean(fit.penalty or 0.0 for fit in stop.fits)
    cost = plus(loss, penalty)
    return cost_parts(loss, penalty, penalty / cost if cost and penalty else 0.0)


def _scores(track: Track, stop: Stop) -> Json:
    """Scores by family and part of the data; held-out ones also as numbers for the curves."""
    results = [[shown(track, stop, family, part) for part in _PARTS] for family in track.families]
    held = [row[_PARTS.index(track.held_out)] for row in results]
    first = next((values for values in held if values), {})
    return {
        "scores": [[spread(track, values) if values else "—" for values in row] for row in results],
        "score": score(track.score, mean(first)),
        "held": [mean(values) for values in held],
    }


def _layer(stop: Stop, name: str) -> Json:
    known = [layer for fit in stop.fits if (layer := layer_of(fit, name)) is not None]
    size = known[0].size if known else 0
    left = fmean(layer.nonzeros for layer in known) if known else 0.0
    return {
        "name": name,
        "share": round(left / size, 5) if size else 0.0,
        "text": f"{left:,.0f} of {size:,}",
    }


def _rest(track: Track, stop: Stop) -> str:
    """Whether the point has come to rest: its gap where it was solved, else how it settled."""
    if stop.apart:
        return "the densest networks without their other inputs, refit"
    fits = [fit for fit in stop.fits if isinstance(fit, PathFitRecord)]
    gaps = [fit.gap for fit in fits if fit.gap is not None]
    if len(gaps) == len(fits):
        return f"solved to a gap of {num(max(gaps), 2)}"
    if not stop.scale:
        given = track.config.weights is not None
        return "trained from the weights given" if given else "trained from random weights"
    return _settled(track, fits)


def _settled(track: Track, fits: Sequence[PathFitRecord]) -> str:
    """How many of the trained networks came to rest, and after how long."""
    settled = sum(fit.settled for fit in fits)
    rounds = max(fit.rounds for fit in fits)
    unit = "round" if rounds == 1 else "rounds"
    seeds = f" in {settled} of {track.chains}" if settled and len(fits) > 1 else ""
    told = "settled" if settled else "not settled"
    return f"{told}{seeds} after {rounds} {unit} of training"


def _chosen(track: Track) -> Json | None:
    chosen, index = track.chosen, track.chosen_stop
    if chosen is None or index is None:
        return None
    families = track.families
    family = families.index(chosen.family) if chosen.family in families else None
    if track.stops[index].apart:
        family = len(families) - 1
    return {"index": index, "family": family, "final": chosen.final}
