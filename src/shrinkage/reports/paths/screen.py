"""The first screen: what λ does to the network, point by point of the path.

Numbers are means over seeds; the histogram and the first layer are of the first seed's networks.
"""

from statistics import fmean
from typing import Any

from numpy.typing import NDArray

from shrinkage.lesson.estimates import mean
from shrinkage.reports.first_layer import FirstLayer, Picture
from shrinkage.reports.panels import histogram
from shrinkage.reports.paths.track import Part, Stop, Track
from shrinkage.reports.paths.wording import family_label, lam, shown, spread
from shrinkage.reports.wording import count, num, percent, score
from shrinkage.runs import NetworkRecord, PathFitRecord, RunView, WeightsRecord

Json = dict[str, Any]
Weights = dict[str, NDArray[Any]]
_PARTS: tuple[Part, ...] = ("train", "validation", "test")
_MOST_LAYERS = 10
_ACROSS = 4
"""Pictures of the first layer in a row."""


def path_screen(track: Track) -> Json:
    """The points of the slider, the curves above it, and the scales that all points share."""
    layer = FirstLayer.of_run(track.config)
    firsts = [stop.fits[0] for stop in track.stops]
    edge = max((fit.weights.max_abs or 0.0 for fit in firsts), default=0.0) or 1.0
    hists: dict[int, list[int]] = {}
    pictures: dict[int, Picture] = {}
    for number, fit in enumerate(firsts):
        tensors = stored(track.view, fit.key)
        if tensors is None:
            continue
        hists[number] = histogram(track.config.plan, tensors, edge)
        picture = None if layer is None else layer.picture(tensors)
        if picture is not None:
            pictures[number] = picture
    layers = biggest_layers(track)
    points = []
    for number, stop in enumerate(track.stops):
        point = _point(track, stop, layers)
        if number in hists:
            point["hist"] = hists[number]
        if number in pictures and layer is not None:
            point["first"] = layer.encode(pictures[number], pictures.values())
        points.append(point)
    zeros = [fit.weights.zeros for fit in firsts]
    counts = [count for hist in hists.values() for count in hist]
    return {
        "points": points,
        "start": _start(track),
        "chosen": _chosen(track),
        "edge_text": num(edge, 2),
        "most": max([1, *zeros, *counts]),
        "layer": None
        if layer is None or not pictures
        else layer.describe(pictures.values()) | {"across": _ACROSS},
        "score": track.score,
        "held_out": track.held_out,
        "families": [family_label(family) for family in track.families],
        "parts": [part for part in _PARTS if part != "test" or track.held_out == "test"],
    }


def stored(view: RunView, key: str) -> Weights | None:
    """The weights of a network; None where there are none."""
    tensors = view.weights_left(key)
    return None if tensors is None else {name: t.float().numpy() for name, t in tensors.items()}


def biggest_layers(track: Track) -> list[str]:
    """The penalised parameters, in the network's order; of many the largest."""
    first = next((row[0] for row in track.rows.values()), None)
    known = [] if first is None else [layer for layer in first.layers if layer.size]
    ranked = sorted(known, key=lambda layer: -layer.size)[:_MOST_LAYERS]
    names = {layer.name for layer in ranked}
    return [layer.name for layer in known if layer.name in names]


def layer_of(fit: NetworkRecord, name: str) -> WeightsRecord | None:
    """What a fit says of one parameter."""
    return next((layer for layer in fit.layers if layer.name == name), None)


def _point(track: Track, stop: Stop, layers: list[str]) -> Json:
    loss = mean(track.results(stop.scale, stop.family, "train", "loss"))
    penalty = fmean(fit.penalty or 0.0 for fit in stop.fits)
    cost = None if loss is None else loss + penalty
    left = track.nonzeros(stop.scale, stop.family) or 0.0
    zeros = track.size - left
    used = track.features(stop.scale, stop.family)
    results = [[shown(track, stop, family, part) for part in _PARTS]
               for family in track.families]  # fmt: skip
    held = [row[_PARTS.index(track.held_out)] for row in results]
    first = next((values for values in held if values), {})
    return {
        "scale": lam(stop.scale),
        "name": "stable features" if stop.apart else "",
        "apart": stop.apart,
        "share": penalty / cost if cost and penalty else 0.0,
        "loss": num(loss),
        "penalty": num(penalty),
        "cost": num(cost),
        "left": left / track.size,
        "zeros": int(stop.fits[0].weights.zeros),
        "zeros_text": f"{zeros:,.0f}",
        "share_text": f"{percent(zeros / track.size)} of {track.size:,}",
        "inputs": None if used is None else f"{count(used)} of {track.config.spec.n_inputs:,}",
        "rest": _rest(track, stop),
        "layers": [_layer(stop, name) for name in layers],
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
    settled = sum(fit.settled for fit in fits)
    rounds = max(fit.rounds for fit in fits)
    unit = "round" if rounds == 1 else "rounds"
    seeds = f" in {settled} of {track.chains}" if len(stop.fits) > 1 else ""
    told = "settled" if settled else "not settled"
    return f"{told}{seeds if settled else ''} after {rounds} {unit} of training"


def _chosen(track: Track) -> Json | None:
    chosen, index = track.chosen, track.chosen_stop
    if chosen is None or index is None:
        return None
    families = [*track.families]
    return {
        "index": index,
        "family": len(families) - 1
        if track.stops[index].apart
        else families.index(chosen.family)
        if chosen.family in families
        else None,
        "final": chosen.final,
    }


def _start(track: Track) -> int:
    return track.chosen_stop or 0
