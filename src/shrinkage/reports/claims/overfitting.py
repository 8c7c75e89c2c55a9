"""Whether a column overfits less than the unregularized network."""

from shrinkage.lesson import Overfitting, Verdict
from shrinkage.reports.claims.sentences import Claim, at, conclude, inseparable, seeds_note
from shrinkage.reports.facts import Facts
from shrinkage.reports.words import num, signed


def overfitting(facts: Facts) -> Claim:
    """Do L1 and L2 have a smaller gap *and* a lower held-out loss than none?"""
    if facts.base is None:
        return conclude([], empty="no unregularized column to compare with")
    parts = [generalises(facts, name) for name in facts.textbook]
    own = "best so far" if facts.stage == "fitting" else "own choice"
    note = seeds_note([facts.against_base(n, facts.held_loss) for n in facts.textbook])
    return conclude(
        parts,
        opening=f"against none, each at its {own}: ",
        ending=note,
        empty="no fit of L1 or L2 to compare with none yet",
    )


def generalises(facts: Facts, name: str) -> tuple[Verdict, str]:
    """The verdict on one column, and its numbers."""
    gap = facts.against_base(name, facts.gap)
    loss = facts.against_base(name, facts.held_loss)
    base_gap = None if facts.base is None else facts.mean(facts.base, facts.gap)
    if gap is None or loss is None or base_gap is None:
        return "not measured", ""
    judged = Overfitting(gap, loss, base_gap)
    words = _words(judged, facts.held_out)
    text = f"{at(facts, name)} gap {signed(gap)}, {facts.held_out} loss {signed(loss)}"
    return judged.finding.verdict, f"{text}{', ' if words else ''}{words}"


def _words(judged: Overfitting, part: str) -> str:
    nothing = f"with nothing to reduce: without a penalty the gap is {num(judged.base_gap)}"
    reasons = {
        "nothing to reduce": nothing,
        "only worse training": f"a worse {part} loss; its smaller gap is only worse training",
        "worse loss": f"a worse {part} loss",
        "wider gap": "a wider gap",
        "less overfitting": "which is less overfitting",
        "losses alike": f"a smaller gap, but {inseparable(judged.loss, f'the {part} losses')}",
        "gaps alike": f"a better {part} loss, but {inseparable(judged.gap, 'the gaps')}",
        "both alike": f"which {inseparable(judged.loss)}",
    }
    return reasons.get(judged.finding.reason, "")
