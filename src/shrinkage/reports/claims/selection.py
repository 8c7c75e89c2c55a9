"""Zeros that cost nothing, and what is left."""

from shrinkage.lesson import Concentration, Selection, Sparsity
from shrinkage.lesson.estimates import difference, mean
from shrinkage.reports.claims.sentences import (
    Claim,
    at,
    conclude,
    inseparable,
    not_measured,
    seeds_note,
    unclear,
)
from shrinkage.reports.facts import Facts, weight, zero_share
from shrinkage.reports.summary import inputs_used
from shrinkage.reports.words import count, percent, score, signed


def selection(facts: Facts) -> Claim:
    """Does exact L1 set weights to exactly zero without losing what was learnt, and drop inputs?

    Zeros that leave every input in use are half of it: ``"partly"``.
    """
    name, base = facts.exact_l1, facts.base
    if name is None:
        return not_measured("no fit under exact L1 yet")
    share = facts.mean(name, zero_share) or 0.0
    others = [other for other in (base, *facts.textbook) if other not in (None, name)]
    beside = ", ".join(
        f"{facts.label(o)} {percent(facts.mean(o, zero_share))}" for o in others if o is not None
    )
    text = f"{at(facts, name)} sets {percent(share)} of the penalised weights to exactly zero"
    text += f" ({beside})" if beside else ""
    loss = facts.against_base(name, facts.held_loss)
    zeros = None if base is None else facts.against_base(name, zero_share)
    judged = Selection(Sparsity(share, zeros), loss, _dropped(facts, name))
    told = text + _paid(judged, facts.held_out) + _features(facts, name, judged)
    return conclude([(judged.finding.verdict, told + _dead(facts, name))],
                    ending=seeds_note([loss]), empty="")  # fmt: skip


def _paid(judged: Selection, part: str) -> str:
    """What the zeros are worth, and what they cost."""
    zeros = judged.sparsity.finding
    no_gain = {
        "no zeros": "",
        "nothing left": ": nothing is left, the network is constant",
        "no more than others": ", no more than without a penalty",
    }
    if zeros.verdict == "not seen":
        return no_gain[zeros.reason]
    few = ", less than half of them" if judged.finding.reason == "few zeros" else ""
    if judged.loss is None:
        return f"{few}; there is no unregularized column to compare its loss with"
    words = f"{few}, with a {part} loss of {signed(judged.loss)} against none"
    cost = {
        "not unimportant": ": they were not unimportant",
        "losses alike": f", which {inseparable(judged.loss)}",
    }
    return words + cost.get(judged.cost.reason, "")


def _dropped(facts: Facts, name: str) -> dict[int, bool]:
    """By seed, whether inputs are out of use that are in use without a penalty."""
    total = facts.rows[name].inputs or 0
    without = {} if facts.base is None else facts.values(facts.base, inputs_used)
    used = facts.values(name, inputs_used)
    return {seed: n < without.get(seed, total) for seed, n in used.items()}


def _features(facts: Facts, name: str, judged: Selection) -> str:
    total = facts.rows[name].inputs or 0
    left = mean(facts.values(name, inputs_used))
    if left is None:
        return ""
    told = f"{count(left)} of {total:,} inputs are still used"
    dropped = judged.dropped.values()
    match judged.features:
        case "not seen":
            told += "" if left == total else ", no fewer than under none"
            return f"; but no input is dropped: {told}"
        case "partly":
            told += f", fewer than under none in {sum(dropped)} of {len(dropped)} seeds"
    return f"; {told}"


def _dead(facts: Facts, name: str) -> str:
    row = facts.rows[name]
    if row.units_dead is None:
        return ""
    return f"; {row.units_dead.mean:.0f} of {row.units} filters and neurons are dead"


def concentration(facts: Facts) -> Claim:
    """Do fewer weights carry more under exact L1, and does the network need them?"""
    name, base = facts.exact_l1, facts.base
    if name is None or base is None:
        return not_measured("exact L1 and the unregularized column are needed")
    top10, gini = (
        difference(facts.values(name, read), facts.values(base, read))
        for read in (weight("top10"), weight("gini"))
    )
    drop = _removed(facts, name)
    judged = Concentration(top10, gini, None if drop is None else drop[0])
    if judged.finding.verdict == "not measured":
        return not_measured("no seed has both exact L1 and the unregularized column yet")
    text = (
        f"the largest 10 % of all weights carry {percent(facts.mean(name, weight('top10')))} of "
        f"Σ|w| under {at(facts, name)} and {percent(facts.mean(base, weight('top10')))} under "
        f"none (difference {signed(top10)}; Gini index {signed(gini)})"
    )
    text += unclear(top10, gini) + ("" if drop is None else drop[1])
    return conclude([(judged.finding.verdict, text)], ending=seeds_note([top10, gini]), empty="")


def _removed(facts: Facts, name: str) -> tuple[float, str] | None:
    trace = facts.trace(name)
    if trace is None or not trace.history.test_score:
        return None
    whole, without = trace.history.test_score[-1], trace.without_top.get("0.1")
    if whole is None or without is None:
        return None
    return whole - without, (
        f"; without the largest 10 % of those left, its test {facts.score} goes from "
        f"{score(facts.score, whole)} to {score(facts.score, without)}"
    )
