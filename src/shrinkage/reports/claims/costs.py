"""The two parts of the cost, and which parameters the second part covers."""

from collections.abc import Sequence
from math import prod

from shrinkage.lesson import CostSplit, Coverage, PenaltyTerm, Verdict
from shrinkage.lesson.estimates import mean
from shrinkage.reports.claims.sentences import ONE_SEED, Claim, conclude, not_measured
from shrinkage.reports.facts import Facts, weight
from shrinkage.reports.seed_figures import plus
from shrinkage.reports.words import listed, num, percent, strength
from shrinkage.runs import FitRecord, ParameterConfig


def cost_split(facts: Facts) -> Claim:
    """Is the measured penalty λ·Σ|w| for L1 and λ·Σw² for L2, in every fit?"""
    fits = [fit for fit in facts.fits.values() if fit.column in facts.textbook]
    judged = {fit.key: split for fit in fits if (split := _split(facts, fit)) is not None}
    fits = [fit for fit in fits if fit.key in judged]
    if not fits:
        return not_measured("no fit under L1 or L2 yet")
    key, far = max(judged.items(), key=lambda item: item[1].apart)
    verdict = far.finding.verdict
    if verdict != "seen":
        return Claim(
            verdict,
            f"Not seen here: in fit {key} the measured penalty departs from λ times the sum over "
            f"the weights by {percent(far.apart)}.",
        )
    fit = fits[len(fits) // 2]
    loss, penalty = fit.train.loss, fit.penalty
    return Claim(
        verdict,
        f"In all {len(fits)} fits under L1 or L2 the measured penalty is λ times that sum, to "
        f"within {num(far.apart, 1)} of its value; for example {facts.label(fit.column)} at "
        f"λ = {strength(fit.knob)}: cost {num(plus(loss, penalty))} = loss {num(loss)} + penalty "
        f"{num(penalty)}.",
    )


def _split(facts: Facts, fit: FitRecord) -> CostSplit | None:
    """The penalty that was measured, and λ times the sum; None where they are no numbers."""
    l1, l2, penalty = fit.weights.l1, fit.weights.l2, fit.penalty
    if l1 is None or l2 is None or penalty is None:
        return None
    squares = facts.columns[fit.column].penalty == "L2"
    return CostSplit(penalty, fit.knob * (l2**2 if squares else l1))


def penalty_share(facts: Facts) -> Claim:
    """Does the penalty term grow with λ, and what share of the cost is it?"""
    parts = [_grows(facts, name) for name in facts.textbook]
    knobs = [k for name in facts.textbook for k in facts.columns[name].knobs]
    below = "all strengths tried are below 1" if knobs and max(knobs) < 1 else ""
    if knobs and not below:
        below = f"strengths tried reach {strength(max(knobs))}"
    note = "; ".join([below, ONE_SEED] if facts.seeds == 1 else [below])
    return conclude(parts, opening="penalty and its share of the cost: ", ending=note,
                    empty="no two strengths of L1 or L2 yet")  # fmt: skip


def _grows(facts: Facts, name: str) -> tuple[Verdict, str]:
    path = facts.along(name, lambda fit: fit.penalty)
    if len(path) < 2:
        return "not measured", ""
    judged = PenaltyTerm([values for _, values in path])
    shares = dict(facts.along(name, lambda fit: fit.penalty_share))
    top = judged.top

    def told(k: int) -> str:
        share = mean(shares.get(path[k][0], {}))
        return f"{num(judged.means[k])} ({percent(share)}) at λ = {strength(path[k][0])}"

    if top == 0:
        return judged.finding.verdict, f"{facts.label(name)} {told(0)} and nowhere more"
    text = f"{facts.label(name)} {told(0)}, {told(top)}"
    if top < len(path) - 1:
        sizes = facts.along(name, weight("l1"))
        left = mean(sizes[-1][1]) if sizes else None
        text += f", then {told(len(path) - 1)} with Σ|w| down to {num(left)}"
    return judged.finding.verdict, text


def coverage(facts: Facts) -> Claim:
    """Are weights and biases of all convolutional and linear layers penalised?"""
    plan = facts.config.plan
    meant = [e for e in plan if e.role in ("weight", "bias")]
    if not meant:
        return not_measured("the run records no plan")
    taken = [e for e in plan if e.penalised]
    left = [e for e in meant if not e.penalised]
    verdict = Coverage(_numbers(left)).finding.verdict
    text = (
        f"{len(taken)} of {len(plan)} parameter tensors are penalised, {_numbers(taken):,} of "
        f"{_numbers(plan):,} numbers"
    )
    if verdict == "seen":
        return Claim(verdict, f"{text}: every weight and every bias.")
    return Claim(verdict, f"Not the setting here: {text}; left out: {_named(left)}.")


def _numbers(entries: Sequence[ParameterConfig]) -> int:
    return sum(prod(e.shape) for e in entries)


def _named(left: Sequence[ParameterConfig]) -> str:
    names = [e.name for e in left]
    shown = listed(names if len(names) <= 4 else [*names[:3], f"{len(names) - 3} more"])
    biases = all(e.role == "bias" for e in left)
    return shown + (", which is usual; --biases penalises them too" if biases else "")
