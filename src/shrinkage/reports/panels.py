"""The first screen: what one λ does, column by column, in the networks of the first seed.

Everything the slider shows is counted here, from the stored weights; the page only draws it.
"""

from shrinkage.reports.facts import Facts
from shrinkage.reports.figures import colour
from shrinkage.reports.networks import Pictures, cost_parts
from shrinkage.reports.words import num, percent, score, strength
from shrinkage.runs import FailedFitRecord, FitRecord, TrialRecord
from shrinkage.runs.knobs import knob
from shrinkage.runs.records import Json

PANELS = ("none", "l1_term", "l1", "l2")


def first_screen(facts: Facts) -> Json:
    """Panels, strengths, and the scales they share."""
    names = [name for name in PANELS if name in facts.columns] or facts.names[:4]
    shown = {name: _shown(facts, name) for name in names}
    fits = [fit for tries in shown.values() for fit in tries if isinstance(fit, FitRecord)]
    pictures = Pictures.of(facts.view, facts.config, ((fit.key, fit.key, fit) for fit in fits))
    panels = [_panel(facts, name, tries, pictures) for name, tries in shown.items()]
    strengths = _strengths(facts, names)
    return {
        "strengths": strengths,
        "start": _start(facts, names, panels, len(strengths)),
        "panels": panels,
        "edge": pictures.edge,
        "edge_text": num(pictures.edge, 2),
        "most": pictures.most,
        "layer": pictures.described,
    }


def _strengths(facts: Facts, names: list[str]) -> list[float]:
    return next((list(facts.columns[n].knobs) for n in names if _moves(facts, n)), [])


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
    fullest = _fullest(panels, count)
    return best if best in fullest else fullest[len(fullest) // 2]


def _fullest(panels: list[Json], count: int) -> list[int]:
    """The λ that most panels have; the middle one where there is nothing yet."""
    tries = [panel["tries"] for panel in panels if panel["moves"]]
    filled = [sum("missing" not in row[index] for row in tries) for index in range(count)]
    if not any(filled):
        return [max(0, (count - 1) // 2)]
    return [index for index, number in enumerate(filled) if number == max(filled)]


def _panel(facts: Facts, name: str, tries: list[TrialRecord | None], pictures: Pictures) -> Json:
    column = facts.columns[name]
    symbols = {"L1": "Σ|w|", "L2": "Σw²"}
    return {
        "name": name,
        "label": column.label,
        "colour": colour(name, facts.names),
        "moves": _moves(facts, name),
        "sum": symbols.get(column.penalty or "", ""),
        "chosen": facts.chosen(name),
        "tries": [_try(facts, fit, pictures) for fit in tries],
    }


def _try(facts: Facts, fit: TrialRecord | None, pictures: Pictures) -> Json:
    if isinstance(fit, FailedFitRecord):
        return {"missing": " ".join(fit.failed.split())[:160]}
    if not isinstance(fit, FitRecord):
        return {"missing": "not run yet"}
    total = fit.weights
    return {
        "knob": knob(facts.columns[fit.column].knob).before + strength(fit.knob),
        **cost_parts(fit.train.loss, fit.penalty, fit.penalty_share or 0.0),
        "zeros": total.zeros,
        "zeros_text": f"{total.zeros:,}",
        "share_text": f"{percent(total.zeros / total.size)} of {total.size:,}",
        "score": score(facts.score, facts.held(fit).score),
        "train_score": score(facts.score, fit.train.score),
        **pictures.of_network(fit.key),
    }
