"""Whether a column overfits less than the unregularized network."""

from shrinkage.estimates import Difference
from shrinkage.reports.claims.verdicts import Claim, Verdict, at, conclude, inseparable, seeds_note
from shrinkage.reports.facts import Facts
from shrinkage.reports.wording import signed


def overfitting(facts: Facts) -> Claim:
    """Do L1 and L2 have a smaller gap *and* a lower held-out loss than none?

    The gap alone does not count: a network that learns nothing has none.
    """
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
    if gap is None or loss is None:
        return "not measured", ""
    verdict, words = _weigh(gap, loss, facts.held_out)
    text = f"{at(facts, name)} gap {signed(gap)}, {facts.held_out} loss {signed(loss)}"
    return verdict, f"{text}{', ' if words else ''}{words}"


def _weigh(gap: Difference, loss: Difference, part: str) -> tuple[Verdict, str]:
    if loss.sign is None:
        return "undecided", ""
    if loss.sign > 0:
        excuse = "; its smaller gap is only worse training" if gap.sign == -1 else ""
        return "not seen", f"a worse {part} loss{excuse}"
    if gap.sign == 1:
        return "not seen", "a wider gap"
    if gap.sign == -1 and loss.sign == -1:
        return "seen", "which is less overfitting"
    if gap.sign == -1:
        return "undecided", f"a smaller gap, but {inseparable(loss, f'the {part} losses')}"
    if loss.sign == -1:
        return "undecided", f"a better {part} loss, but {inseparable(gap, 'the gaps')}"
    return "undecided", f"which {inseparable(loss)}"
