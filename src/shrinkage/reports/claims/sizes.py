"""Weights, activations and losses along λ."""

from shrinkage.reports.claims.verdicts import (
    ONE_SEED,
    Claim,
    Verdict,
    at,
    conclude,
    described,
    worst,
)
from shrinkage.reports.facts import Facts, Reader, difference, mean, train_loss, weight
from shrinkage.reports.wording import num, strength

_SIZES = {"Σ|w|": "l1", "‖w‖₂": "l2", "max|w|": "max_abs"}


def smaller(facts: Facts) -> Claim:
    """Do Σ|w|, ‖w‖₂ and max|w| fall from the smallest to the largest λ?"""
    parts = [_falls(facts, name) for name in facts.textbook]
    return conclude(
        parts,
        ending=ONE_SEED if facts.seeds == 1 else "",
        empty="no two strengths of L1 or L2 yet",
    )


def _falls(facts: Facts, name: str) -> tuple[Verdict, str]:
    verdicts: list[Verdict] = []
    texts = []
    span = ""
    for symbol, key in _SIZES.items():
        path = facts.along(name, weight(key))
        if len(path) < 2:
            return "not measured", ""
        (low, first), (high, last) = path[0], path[-1]
        span = f"λ from {strength(low)} to {strength(high)}"
        verdict = described(difference(last, first), -1)
        verdicts.append(verdict)
        doubt = {"not seen": " (does not fall)", "undecided": " (cannot be told apart)"}
        ends = f"{num(mean(first.values()))} → {num(mean(last.values()))}"
        texts.append(f"{symbol} {ends}{doubt.get(verdict, '')}")
    return worst(verdicts), f"{facts.label(name)}, {span}: {', '.join(texts)}"


def compromise(facts: Facts) -> Claim:
    """Does the training loss rise and the sum over the weights fall as λ grows?"""
    parts = [_exchange(facts, name) for name in facts.textbook]
    return conclude(
        parts,
        opening="from the smallest to the largest λ, ",
        ending=ONE_SEED if facts.seeds == 1 else "",
        empty="no two strengths of L1 or L2 yet",
    )


def penalty_sum(facts: Facts, name: str) -> tuple[str, Reader]:
    """What the penalty of a column multiplies with λ: its symbol and how to read it."""
    if facts.columns[name]["penalty"] == "L2":
        return "Σw²", lambda fit: fit["weights"]["l2"] ** 2
    return "Σ|w|", weight("l1")


def _exchange(facts: Facts, name: str) -> tuple[Verdict, str]:
    symbol, read = penalty_sum(facts, name)
    sizes, losses = facts.along(name, read), facts.along(name, train_loss)
    if len(sizes) < 2 or len(losses) < 2:
        return "not measured", ""
    size = difference(sizes[-1][1], sizes[0][1])
    loss = difference(losses[-1][1], losses[0][1])
    verdicts = described(size, -1), described(loss, +1)
    doubt = {"not seen": " (does not rise)", "undecided": " (cannot be told apart)"}
    return worst(verdicts), (
        f"{facts.label(name)} takes {symbol} {num(mean(sizes[0][1].values()))} → "
        f"{num(mean(sizes[-1][1].values()))} and training loss "
        f"{num(mean(losses[0][1].values()))} → {num(mean(losses[-1][1].values()))}"
        f"{doubt.get(verdicts[1], '')}"
    )


def activations(facts: Facts) -> Claim:
    """Are the layers' activations smaller, and is the strongest filter's share smaller?"""
    parts = [_calmer(facts, name) for name in facts.textbook]
    return conclude(
        parts,
        opening="against none: ",
        ending="one network each, the first seed: no uncertainty",
        empty="the closer look at the chosen networks comes at the end of a run",
    )


def _calmer(facts: Facts, name: str) -> tuple[Verdict, str]:
    here = facts.trace(name)
    base = None if facts.base is None else facts.trace(facts.base)
    if here is None or base is None:
        return "not measured", ""
    before = {layer["name"]: layer for layer in base["activity"]}
    pairs = [(a, before[a["name"]]) for a in here["activity"] if a["name"] in before]
    if not pairs:
        return "not measured", ""
    counts = [sum(a[k] < b[k] for a, b in pairs) for k in ("mean_abs", "strongest_share")]
    n = len(pairs)
    verdicts: list[Verdict] = [
        "seen" if 2 * count > n else "not seen" if 2 * count < n else "undecided"
        for count in counts
    ]
    return worst(verdicts), (
        f"{at(facts, name)} has a smaller mean |activation| in {counts[0]} of {n} layers and a "
        f"smaller share of the strongest filter in {counts[1]} of {n}"
    )
