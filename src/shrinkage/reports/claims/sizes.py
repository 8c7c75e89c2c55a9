"""Weights, activations and losses along λ."""

from collections.abc import Callable

from shrinkage.lesson import Calmer, Compromise, Smaller, Verdict, moves
from shrinkage.lesson.estimates import Difference, difference, mean
from shrinkage.reports.claims.sentences import (
    ONE_SEED,
    Claim,
    at,
    conclude,
    inseparable,
    of_first_seed,
)
from shrinkage.reports.facts import Facts, ReadFit, WeightMeasure, train_loss, weight
from shrinkage.reports.words import num, strength
from shrinkage.runs import ActivityRecord, FitRecord

OfLayer = Callable[[ActivityRecord], float | None]
_SIZES: dict[str, WeightMeasure] = {"Σ|w|": "l1", "‖w‖₂": "l2", "max|w|": "max_abs"}


def smaller(facts: Facts) -> Claim:
    """Do Σ|w|, ‖w‖₂ and max|w| fall from the smallest to the largest λ?"""
    parts = [_falls(facts, name) for name in facts.textbook]
    return conclude(
        parts, ending=ONE_SEED if facts.seeds == 1 else "", empty="no two strengths of L1 or L2 yet"
    )


def _falls(facts: Facts, name: str) -> tuple[Verdict, str]:
    paths = {key: facts.along(name, weight(key)) for key in _SIZES.values()}
    if any(len(path) < 2 for path in paths.values()):
        return "not measured", ""
    found = {key: difference(path[-1][1], path[0][1]) for key, path in paths.items()}
    judged = Smaller(**found)
    texts = []
    for symbol, key in _SIZES.items():
        path = paths[key]
        doubt = {"not seen": " (does not fall)", "undecided": f" ({_unclear(found[key])})"}
        ends = f"{num(mean(path[0][1]))} → {num(mean(path[-1][1]))}"
        texts.append(f"{symbol} {ends}{doubt.get(judged.verdicts[key], '')}{_detour(path)}")
    low, high = (strength(paths["l1"][at][0]) for at in (0, -1))
    span = f"λ from {low} to {high}"
    return judged.finding.verdict, f"{facts.label(name)}, {span}: {', '.join(texts)}"


def _unclear(found: Difference | None) -> str:
    return "" if found is None else inseparable(found, "the two values")


def _detour(path: list[tuple[float, dict[int, float]]]) -> str:
    """Says where a measure is clearly larger in between than at the smallest λ."""
    between = path[1:-1]
    if not between:
        return ""
    knob, values = max(between, key=lambda step: mean(step[1]) or 0.0)
    found = difference(values, path[0][1])
    if moves(found, +1, "treatments") != "seen":
        return ""
    return f" with a rise to {num(mean(values))} at {strength(knob)}"


def compromise(facts: Facts) -> Claim:
    """Does the training loss rise and the sum over the weights fall as λ grows?"""
    parts = [_exchange(facts, name) for name in facts.textbook]
    return conclude(
        parts,
        opening="from the smallest to the largest λ, ",
        ending=ONE_SEED if facts.seeds == 1 else "",
        empty="no two strengths of L1 or L2 yet",
    )


def _squares(fit: FitRecord) -> float | None:
    return None if fit.weights.l2 is None else fit.weights.l2**2


def penalty_sum(facts: Facts, name: str) -> tuple[str, ReadFit]:
    """What the penalty of a column multiplies with λ: its symbol and how to read it."""
    if facts.columns[name].penalty == "L2":
        return "Σw²", _squares
    return "Σ|w|", weight("l1")


def _exchange(facts: Facts, name: str) -> tuple[Verdict, str]:
    symbol, read = penalty_sum(facts, name)
    sizes, losses = facts.along(name, read), facts.along(name, train_loss)
    if len(sizes) < 2 or len(losses) < 2:
        return "not measured", ""
    size = difference(sizes[-1][1], sizes[0][1])
    loss = difference(losses[-1][1], losses[0][1])
    judged = Compromise(size, loss)
    doubt = {"not seen": " (does not rise)", "undecided": f" ({_unclear(loss)})"}
    return judged.finding.verdict, (
        f"{facts.label(name)} takes {symbol} {num(mean(sizes[0][1]))} → "
        f"{num(mean(sizes[-1][1]))} and training loss "
        f"{num(mean(losses[0][1]))} → {num(mean(losses[-1][1]))}"
        f"{doubt.get(judged.of_loss, '')}"
    )


def activations(facts: Facts) -> Claim:
    """Is the mean |activation| of the layers smaller than without a penalty?"""
    return _in_layers(facts, lambda layer: layer.mean_abs, "a smaller mean |activation|")


def overpowering(facts: Facts) -> Claim:
    """Does the strongest filter of each layer carry a smaller share than without a penalty?"""
    return _in_layers(
        facts, lambda layer: layer.strongest_share, "a smaller share of the strongest filter"
    )


def _in_layers(facts: Facts, read: OfLayer, words: str) -> Claim:
    parts = [_calmer(facts, name, read, words) for name in facts.textbook]
    return of_first_seed(parts, opening="against none, ")


def _calmer(facts: Facts, name: str, read: OfLayer, words: str) -> tuple[Verdict, str]:
    here = facts.trace(name)
    base = None if facts.base is None else facts.trace(facts.base)
    if here is None or base is None:
        return "not measured", ""
    before = {layer.name: read(layer) for layer in base.activity}
    pairs = [(read(layer), before.get(layer.name)) for layer in here.activity]
    known = [(a, b) for a, b in pairs if a is not None and b is not None]
    if not known:
        return "not measured", ""
    judged = Calmer(known)
    return judged.finding.verdict, (
        f"{at(facts, name)} has {words} in {judged.smaller} of {len(known)} layers"
    )
