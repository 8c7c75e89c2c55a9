"""The first screen: what one λ does, column by column, in the networks of the first seed.

Everything the slider shows is counted here, from the stored weights; the page only draws it.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shrinkage.reports.facts import Facts
from shrinkage.reports.figures import colour
from shrinkage.reports.first_layer import FirstLayer, Picture
from shrinkage.reports.wording import num, percent, score, strength
from shrinkage.runs import FailedFitRecord, FitRecord, ParameterConfig, TrialRecord
from shrinkage.runs.knobs import knob

Json = dict[str, Any]
BINS = 60
PANELS = ("none", "l1_term", "l1", "l2")
_NOT_YET = {"missing": "not run yet"}


def first_screen(facts: Facts) -> Json:
    """Panels, strengths, and the scales they share."""
    names = [name for name in PANELS if name in facts.columns] or facts.names[:4]
    layer = FirstLayer.of_run(facts.config)
    shown = [(name, _shown(facts, name)) for name in names]
    fits = [fit for _, tries in shown for fit in tries if isinstance(fit, FitRecord)]
    known = [fit.weights.max_abs or 0.0 for fit in fits]
    edge = max(known, default=0.0) or 1.0
    weights = {fit.key: _weights(facts, fit.key) for fit in fits}
    pictures = {
        key: picture
        for key, tensors in weights.items()
        if tensors is not None
        and layer is not None
        and (picture := layer.picture(tensors)) is not None
    }
    panels = []
    for name, tries in shown:
        described = [_try(facts, fit, weights, edge, layer, pictures) for fit in tries]
        panels.append(_panel(facts, name, described))
    strengths = next((list(facts.columns[n].knobs) for n in names if _moves(facts, n)), [])
    most = max((max(t["hist"]) for p in panels for t in p["tries"] if "hist" in t), default=1)
    zeros = max((t["zeros"] for p in panels for t in p["tries"] if "zeros" in t), default=0)
    return {
        "strengths": strengths,
        "start": _start(facts, names, panels, len(strengths)),
        "panels": panels,
        "edge": edge,
        "edge_text": num(edge, 2),
        "most": max(most, zeros, 1),
        "layer": None if layer is None else layer.describe(pictures.values()),
    }


def _moves(facts: Facts, name: str) -> bool:
    return facts.columns[name].knob == "strength"


def _shown(facts: Facts, name: str) -> list[TrialRecord | None]:
    """The fits of the first seed that a panel can show; one where λ does not move it."""
    column = facts.columns[name]
    indices = range(len(column.knobs)) if _moves(facts, name) else [facts.chosen(name)]
    return [facts.all_fits.get(f"{name}/{index}/0") for index in indices]


def _start(facts: Facts, names: list[str], panels: list[Json], count: int) -> int:
    """The choice of exact L1; while nothing is chosen, the λ that most panels have."""
    moving = [facts.chosen(name) for name in reversed(names) if _moves(facts, name)]
    exact = facts.chosen(facts.exact_l1) if facts.exact_l1 in names else None
    best = next((index for index in (exact, *moving) if index is not None), None)
    if facts.stage != "fitting" and best is not None:
        return best
    tries = [panel["tries"] for panel in panels if panel["moves"]]
    filled = [sum("missing" not in row[index] for row in tries) for index in range(count)]
    if not any(filled):
        return max(0, (count - 1) // 2)
    most = [index for index in range(count) if filled[index] == max(filled)]
    return best if best in most else most[len(most) // 2]


def _panel(facts: Facts, name: str, tries: list[Json]) -> Json:
    column = facts.columns[name]
    symbols = {"L1": "Σ|w|", "L2": "Σw²"}
    return {
        "name": name,
        "label": column.label,
        "colour": colour(name, facts.names),
        "moves": _moves(facts, name),
        "sum": symbols.get(column.penalty or "", ""),
        "chosen": facts.chosen(name),
        "tries": tries,
    }


def _try(
    facts: Facts,
    fit: TrialRecord | None,
    weights: dict[str, dict[str, NDArray[Any]] | None],
    edge: float,
    layer: FirstLayer | None,
    pictures: dict[str, Picture],
) -> Json:
    if isinstance(fit, FailedFitRecord):
        return {"missing": " ".join(fit.failed.split())[:160]}
    if not isinstance(fit, FitRecord):
        return dict(_NOT_YET)
    held, total = facts.held(fit), fit.weights
    loss, penalty = fit.train.loss, fit.penalty
    cost = None if loss is None or penalty is None else loss + penalty
    result: Json = {
        "knob": knob(facts.columns[fit.column].knob).before + strength(fit.knob),
        "share": fit.penalty_share or 0.0,
        "loss": num(loss),
        "penalty": num(penalty),
        "cost": num(cost),
        "zeros": total.zeros,
        "zeros_text": f"{total.zeros:,}",
        "share_text": f"{percent(total.zeros / total.size)} of {total.size:,}",
        "score": score(facts.score, held.score),
        "train_score": score(facts.score, fit.train.score),
    }
    tensors = weights[fit.key]
    if tensors is not None:
        result["hist"] = histogram(facts.config.plan, tensors, edge)
    picture = pictures.get(fit.key)
    if picture is not None and layer is not None:
        result["first"] = layer.encode(picture, pictures.values())
    return result


def histogram(
    plan: Iterable[ParameterConfig], tensors: dict[str, NDArray[Any]], edge: float
) -> list[int]:
    """Counts of the penalised weights that are not exactly zero, in bins from −edge to edge."""
    counts = np.zeros(BINS, dtype=np.int64)
    for one in plan:
        if one.penalised and one.path in tensors:
            values = tensors[one.path].ravel()
            counts += np.histogram(values[values != 0], bins=BINS, range=(-edge, edge))[0]
    return [int(count) for count in counts]


def _weights(facts: Facts, key: str) -> dict[str, NDArray[Any]] | None:
    tensors = facts.view.weights_left(key)
    return None if tensors is None else {name: t.float().numpy() for name, t in tensors.items()}
