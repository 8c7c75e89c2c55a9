"""The first screen: what λ does to the network, point by point of the path.

Numbers are means over seeds; the histogram and the first layer are of the first seed's networks.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shrinkage.errors import RunError
from shrinkage.reports.first_layer import FirstLayer, Picture
from shrinkage.reports.panels import histogram
from shrinkage.reports.paths.track import Part, Point, Track, mean
from shrinkage.reports.paths.wording import count, family_label, lam, spread
from shrinkage.reports.wording import num, percent, score
from shrinkage.runs import RunView

Json = dict[str, Any]
Weights = dict[str, NDArray[Any]]
_PARTS: tuple[Part, ...] = ("train", "validation", "test")
_MOST_LAYERS = 10
_ACROSS = 4
"""Pictures of the first layer in a row."""


def path_screen(track: Track) -> Json:
    """The points of the slider, the curves above it, and the scales that all points share."""
    layer = FirstLayer.of(track.config)
    firsts = [row[0] for row in track.rows.values()]
    edge = max((fit["weights"]["max_abs"] or 0.0 for fit in firsts), default=0.0) or 1.0
    hists: dict[float, list[int]] = {}
    pictures: dict[float, Picture] = {}
    for scale, row in track.rows.items():
        tensors = stored(track.view, row[0]["key"])
        if tensors is None:
            continue
        hists[scale] = histogram(track.config, tensors, edge)
        picture = None if layer is None else layer.picture(tensors)
        if picture is not None:
            pictures[scale] = picture
    shown = biggest_layers(track)
    points = []
    for scale in track.rows:
        point = _point(track, scale, shown)
        if scale in hists:
            point["hist"] = hists[scale]
        if scale in pictures and layer is not None:
            point["first"] = layer.encode(pictures[scale], pictures.values())
        points.append(point)
    zeros = [fit["weights"]["zeros"] for fit in firsts]
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
    """The weights of a network; None where they are missing."""
    try:
        return {name: tensor.float().numpy() for name, tensor in view.weights(key).items()}
    except RunError:
        return None


def biggest_layers(track: Track) -> list[str]:
    """The penalised parameters, in the network's order; of many the largest."""
    layers: list[Point] = next((row[0]["layers"] for row in track.rows.values()), [])
    known = [layer for layer in layers if layer["size"]]
    ranked = sorted(known, key=lambda layer: -layer["size"])[:_MOST_LAYERS]
    names = {layer["name"] for layer in ranked}
    return [layer["name"] for layer in known if layer["name"] in names]


def layer_of(fit: Point, name: str) -> Point | None:
    """What a fit says of one parameter."""
    return next((layer for layer in fit["layers"] if layer["name"] == name), None)


def _point(track: Track, scale: float, layers: list[str]) -> Json:
    loss = mean(track.results(scale, "fit", "train", "loss"))
    penalty = track.mean(scale, lambda fit: fit["penalty"])
    cost = None if loss is None or penalty is None else loss + penalty
    left = track.nonzeros(scale) or 0.0
    zeros = track.size - left
    used = track.features(scale)
    held = track.held_out
    return {
        "scale": lam(scale),
        "share": penalty / cost if cost and penalty else 0.0,
        "loss": num(loss),
        "penalty": num(penalty),
        "cost": num(cost),
        "left": left / track.size,
        "zeros": _first_zeros(track, scale),
        "zeros_text": f"{zeros:,.0f}",
        "share_text": f"{percent(zeros / track.size)} of {track.size:,}",
        "inputs": None
        if used is None
        else f"{count(used)} of {track.config['spec']['n_inputs']:,}",
        "rest": _rest(track, scale),
        "layers": [_layer(track, scale, name) for name in layers],
        "scores": [
            [
                spread(track, values) if (values := _results(track, scale, family, part)) else "—"
                for part in _PARTS
            ]
            for family in track.families
        ],
        "score": score(track.score, mean(_results(track, scale, "fit", held))),
        "held": [mean(_results(track, scale, family, held)) for family in track.families],
    }


def _results(track: Track, scale: float, family: str, part: Part) -> dict[int, float]:
    if family != "fit" and not scale:
        return {}
    return track.results(scale, family, part, "score")


def _first_zeros(track: Track, scale: float) -> int:
    return int(track.rows[scale][0]["weights"]["zeros"])


def _layer(track: Track, scale: float, name: str) -> Json:
    known = [layer for fit in track.rows[scale] if (layer := layer_of(fit, name)) is not None]
    size = known[0]["size"] if known else 0
    left = float(np.mean([layer["nonzeros"] for layer in known])) if known else 0.0
    return {
        "name": name,
        "share": round(left / size, 5) if size else 0.0,
        "text": f"{left:,.0f} of {size:,}",
    }


def _rest(track: Track, scale: float) -> str:
    """Whether the point has come to rest: its gap where it was solved, else how it settled."""
    row = track.rows[scale]
    gaps = [fit["gap"] for fit in row if fit.get("gap") is not None]
    if len(gaps) == len(row):
        return f"solved to a gap of {num(max(gaps), 2)}"
    if not scale:
        return "trained from random weights"
    settled, rounds = sum(bool(fit["settled"]) for fit in row), max(fit["rounds"] for fit in row)
    unit = "round" if rounds == 1 else "rounds"
    seeds = f" in {settled} of {track.chains}" if len(row) > 1 else ""
    told = "settled" if settled else "not settled"
    return f"{told}{seeds if settled else ''} after {rounds} {unit} of training"


def _chosen(track: Track) -> Json | None:
    chosen = track.chosen
    if chosen is None:
        return None
    known = chosen.family in track.families
    return {
        "index": list(track.rows).index(chosen.scale),
        "family": track.families.index(chosen.family) if known else None,
        "final": chosen.final,
    }


def _start(track: Track) -> int:
    chosen = _chosen(track)
    return 0 if chosen is None else int(chosen["index"])
