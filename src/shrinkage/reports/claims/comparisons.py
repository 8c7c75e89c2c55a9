"""Columns against each other."""

from shrinkage.lesson import BeatsPruning, DifferentWays
from shrinkage.lesson.estimates import difference
from shrinkage.reports.claims.overfitting import generalises
from shrinkage.reports.claims.sentences import (
    Claim,
    at,
    conclude,
    not_measured,
    seeds_note,
    unclear,
)
from shrinkage.reports.facts import Facts, zero_share
from shrinkage.reports.words import listed, num, percent, signed


def in_different_ways(facts: Facts) -> Claim:
    """Do exact L1 and L2, at their own best, differ in exact zeros and in held-out loss?"""
    l1, l2 = facts.exact_l1, facts.l2
    if l1 is None or l2 is None:
        return not_measured("exact L1 and L2 are needed side by side")
    zeros = difference(facts.values(l1, zero_share), facts.values(l2, zero_share))
    loss = difference(facts.values(l1, facts.held_loss), facts.values(l2, facts.held_loss))
    verdict = DifferentWays(zeros).finding.verdict
    text = (
        f"{at(facts, l1)} has {percent(facts.mean(l1, zero_share))} exact zeros, {at(facts, l2)} "
        f"{percent(facts.mean(l2, zero_share))}; {facts.held_out} loss of L1 minus L2: "
        f"{signed(loss)}"
    )
    return conclude([(verdict, text + unclear(loss) + _beside_none(facts))],
                    ending=seeds_note([zeros]), empty="no seed has both yet")  # fmt: skip


def _beside_none(facts: Facts) -> str:
    signs = _signs(facts)
    if not signs:
        return ""
    told = []
    for kind, words in ((-1, "a lower"), (1, "a higher")):
        names = [facts.label(name) for name in signs if signs[name] == kind]
        if names:
            have = "have" if len(names) > 1 else "has"
            told.append(f"{listed(names)} {have} {words} {facts.held_out} loss")
    return "; " + (listed(told) + " than none" if told else "no column can be told from none")


def _signs(facts: Facts) -> dict[str, int]:
    """The sign of every column's held-out loss minus that of none, where seeds tell one."""
    if facts.base is None:
        return {}
    found = {n: facts.against_base(n, facts.held_loss) for n in facts.names if n != facts.base}
    return {name: d.sign for name, d in found.items() if d is not None and d.sign is not None}


def pruning(facts: Facts) -> Claim:
    """At the same number of nonzeros, does exact L1 predict better than magnitude pruning?"""
    cut = next((fit.column for fit in facts.fits.values() if fit.keep is not None), None)
    name = facts.exact_l1
    if cut is None or name is None:
        return not_measured("magnitude pruning comes after exact L1 has been chosen")
    loss = difference(facts.values(name, facts.held_loss), facts.values(cut, facts.held_loss))
    points = difference(facts.values(name, facts.held_score), facts.values(cut, facts.held_score))
    if loss is None:
        return not_measured("no seed has both yet")
    left = facts.mean(name, lambda fit: fit.weights.nonzeros)
    text = (
        f"with {num(left)} weights left, {at(facts, name)} minus {facts.label(cut)}: "
        f"{facts.held_out} loss {signed(loss)}, {facts.score} {signed(points)}"
    )
    verdict = BeatsPruning(-loss).finding.verdict
    return conclude([(verdict, text + unclear(loss))], ending=seeds_note([loss]), empty="")


def dropout(facts: Facts) -> Claim:
    """Does dropout overfit less than none?"""
    names = [name for name, column in facts.columns.items() if column.knob == "dropout"]
    if not names:
        return not_measured("dropout is not among the columns")
    name = names[0]
    row = facts.rows[name]
    if row.failed:
        return not_measured(row.failed.partition("\n")[0].partition(":")[0])
    note = seeds_note([facts.against_base(name, facts.held_loss)])
    return conclude([generalises(facts, name)], opening="against none: ", ending=note,
                    empty="no fit of dropout to compare with none yet")  # fmt: skip
