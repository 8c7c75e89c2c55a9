"""Zeros that cost nothing, and what is left."""

from statistics import fmean

from shrinkage.estimates import Difference, difference
from shrinkage.reports.claims.verdicts import (
    Claim,
    Verdict,
    at,
    conclude,
    described,
    inseparable,
    not_measured,
    seeds_note,
    worst,
)
from shrinkage.reports.facts import Facts, weight, zero_share
from shrinkage.reports.summary import inputs_used
from shrinkage.reports.wording import count, percent, score, signed


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
    verdict, words = _paid(share, loss, zeros, facts.held_out)
    features, used = _features(facts, name)
    if verdict == "seen" and features != "seen":
        verdict = "partly"
    return conclude([(verdict, text + words + used + _dead(facts, name))],
                    ending=seeds_note([loss]), empty="")  # fmt: skip


def _paid(
    share: float, loss: Difference | None, zeros: Difference | None, part: str
) -> tuple[Verdict, str]:
    if share == 0:
        return "not seen", ""
    if share == 1:
        return "not seen", ": nothing is left, the network is constant"
    if zeros is not None and described(zeros, +1) == "not seen":
        return "not seen", ", no more than without a penalty"
    if loss is None:
        return "undecided", "; there is no unregularized column to compare its loss with"
    words = f", with a {part} loss of {signed(loss)} against none"
    match loss.sign:
        case None:
            return "undecided", words
        case 1:
            return "not seen", f"{words}: they were not unimportant"
        case 0:
            cannot = f"{words}, which {inseparable(loss)}"
            return ("undecided" if loss.mean > 0 else "seen"), cannot
    return "seen", words


def _features(facts: Facts, name: str) -> tuple[Verdict, str]:
    """Whether inputs are out of use that are in use without a penalty, in the seeds' networks.

    Where it is not known which inputs are used, nothing speaks against it.
    """
    used = facts.values(name, inputs_used)
    total: int = facts.rows[name]["inputs"]
    if not used:
        return "seen", ""
    without = {} if facts.base is None else facts.values(facts.base, inputs_used)
    dropped = [n < without.get(seed, total) for seed, n in used.items()]
    left = fmean(used.values())
    told = f"{count(left)} of {total:,} inputs are still used"
    if not any(dropped):
        told += "" if left == total else ", no fewer than under none"
        return "not seen", f"; but no input is dropped: {told}"
    if not all(dropped):
        told += f", fewer than under none in {sum(dropped)} of {len(dropped)} seeds"
        return "partly", f"; {told}"
    return "seen", f"; {told}"


def _dead(facts: Facts, name: str) -> str:
    row = facts.rows[name]
    if row["units_dead"] is None:
        return ""
    return f"; {row['units_dead']['mean']:.0f} of {row['units']} filters and neurons are dead"


def concentration(facts: Facts) -> Claim:
    """Do fewer weights carry more under exact L1, and does the network need them?"""
    name, base = facts.exact_l1, facts.base
    if name is None or base is None:
        return not_measured("exact L1 and the unregularized column are needed")
    found = {
        key: difference(facts.values(name, weight(key)), facts.values(base, weight(key)))
        for key in ("top10", "gini")
    }
    if None in found.values():
        return not_measured("no seed has both exact L1 and the unregularized column yet")
    verdicts: list[Verdict] = [described(d, +1) for d in found.values()]
    if any(d is not None and d.sign is None for d in found.values()):
        verdicts = ["undecided" if v == "seen" else v for v in verdicts]
    text = (
        f"the largest 10 % of all weights carry {percent(facts.mean(name, weight('top10')))} of "
        f"Σ|w| under {at(facts, name)} and {percent(facts.mean(base, weight('top10')))} under "
        f"none (difference {signed(found['top10'])}; Gini index {signed(found['gini'])})"
    )
    unclear = [d for d in found.values() if d is not None and d.sign == 0]
    if unclear:
        text += f", which {inseparable(unclear[0])}"
    drop = _removed(facts, name)
    if drop is not None:
        verdicts.append("seen" if drop[0] > 0 else "not seen")
        text += drop[1]
    return conclude([(worst(verdicts), text)], ending=seeds_note(found.values()), empty="")


def _removed(facts: Facts, name: str) -> tuple[float, str] | None:
    trace = facts.trace(name)
    if trace is None or not trace["history"].get("test_score"):
        return None
    whole, without = trace["history"]["test_score"][-1], trace["without_top"].get("0.1")
    if whole is None or without is None:
        return None
    return whole - without, (
        f"; without the largest 10 % of those left, its test {facts.score} goes from "
        f"{score(facts.score, whole)} to {score(facts.score, without)}"
    )
